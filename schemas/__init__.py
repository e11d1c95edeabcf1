"""What is said: streams, messages, facts, their bytes, and what a worker may ask of the world; knows nothing of what it means."""
