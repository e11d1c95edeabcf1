"""Letting go: the planner and the runner, as sans-I/O generators; must not open a connection or read a clock."""

from schemas.native import path_of

__path__[:0] = path_of("replay")
