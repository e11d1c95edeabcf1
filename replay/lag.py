"""Whether this reader is up to date with CBSA's notices: R4; must not know what a notice says.

Fails closed: before the first look, when the log can't be read, and when the last look is too old, the reader lags.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lane.desk import DeskState
from lane.state import NEVER, LaneState
from schemas.effects import Done, Read, Turn
from schemas.streams import BULLETINS, DESK

LOOK_S: Final = 1.0
"""How often [bulletins] is looked at for a notice that nobody has read: a fifth of *lag_max*."""


@dataclass(slots=True)
class Lag:
    """What the last look at [bulletins] told; `looked_s` is a reading of the boot clock."""

    behind: bool = True
    looked_s: float = float("-inf")
    asked: bool = False

    def look(self, desk: DeskState, *, boot_s: float) -> Iterator[Read]:
        """Ask for the first notice that the desk has not passed, now and then."""
        if not self.asked and boot_s - self.looked_s >= LOOK_S:
            self.asked = True
            yield Read("lag", BULLETINS, desk.marks.get(BULLETINS, NEVER) + 1, 1, 0.0)

    def learn(self, state: LaneState, done: Done, turn: Turn) -> None:
        """A notice that nobody has read for *lag_max* stops us; so does a log that can't be read."""
        self.asked = False
        self.looked_s = turn.boot_s
        records = done.result
        if done.error is not None or not isinstance(records, (list, tuple)):
            self.behind = True
        else:
            self.behind = bool(records) and turn.at_ms - records[0].at_ms > state.policy.lag_max_ms

    def lags(self, state: LaneState, desk: DeskState, turn: Turn) -> bool:
        """Whether [bulletins] or the desk hold something that this lane should have passed by now."""
        if self.behind or (turn.boot_s - self.looked_s) * 1000 > state.policy.lag_max_ms:
            return True
        copies = desk.copies_after(state.marks.get(DESK, NEVER))
        return bool(copies) and turn.at_ms - copies[0].at_ms > state.policy.lag_max_ms
