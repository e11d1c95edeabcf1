"""What is said: streams, messages, facts, their bytes, what a worker may ask of the world; knows not what it means."""

from schemas.native import path_of

__path__[:0] = path_of("schemas")
