"""Letting go: the planner and the runner, as sans-I/O generators; must not open a connection or read a clock."""
