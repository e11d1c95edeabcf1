"""What it means: the pure fold of a lane's facts and of the desk's; knows no clock, no I/O, no randomness, no settings."""

from schemas.native import path_of

__path__[:0] = path_of("lane")
