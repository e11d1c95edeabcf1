"""What it means: the pure fold of a lane's facts and of the desk's; knows no clock, no I/O, no randomness, no settings."""
