"""How many POSTs the simulated authority had open at a time, of one wire key and in all; must not know what they said."""

import time
from typing import Final

HANG_UP_LATE_S: Final = 0.01
"""How much later than the next POST a hang-up may be noticed: the operating system tells of both in any order."""


class Overlaps:
    """Counts POSTs at a time: of one wire key (I4b: more than one is a finding) and in all."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._open_count = 0
        self._began_s: dict[str, float] = {}
        self._overlapping: dict[str, int] = {}
        self._any = 0
        self.most_at_once = 0

    @property
    def keys(self) -> list[str]:
        """The keys of which more than one POST was open at a time."""
        return sorted(self._overlapping)

    @property
    def most_of_one_key(self) -> int:
        return max(self._overlapping.values(), default=self._any)

    def enter(self, wire_key: str) -> None:
        count = self._open[wire_key] = self._open.get(wire_key, 0) + 1
        self._open_count += 1
        self._any = 1
        self.most_at_once = max(self.most_at_once, self._open_count)
        if count > 1:
            if wire_key not in self._overlapping:
                self._began_s[wire_key] = time.monotonic()
            self._overlapping[wire_key] = max(self._overlapping.get(wire_key, 0), count)

    def leave(self, wire_key: str) -> None:
        self._open_count -= 1
        if self._open[wire_key] == 1:
            del self._open[wire_key]
        else:
            self._open[wire_key] -= 1

    def hang_up(self, wire_key: str) -> None:
        """The sender is gone. It had gone before the next POST began, where we learn of both at the same time."""
        self.leave(wire_key)
        if time.monotonic() - self._began_s.get(wire_key, -HANG_UP_LATE_S) < HANG_UP_LATE_S:
            del self._began_s[wire_key]
            del self._overlapping[wire_key]
