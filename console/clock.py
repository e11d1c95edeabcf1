"""The real clock, read here and by the engines only (HOUSE 4)."""

import time


def wall_ms() -> int:
    """The wall clock, Unix milliseconds UTC."""
    return time.time_ns() // 1_000_000
