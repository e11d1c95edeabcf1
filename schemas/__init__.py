"""What is said: streams, messages, facts, their bytes, what a worker may ask of the world; knows not what it means."""
