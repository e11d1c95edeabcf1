"""Whether this reader is up to date with CBSA's notices: R4; must not know what a notice says.

Fails closed: before the first looks, when the log can't be read, and when a look is too old, the reader lags. What is behind is
judged by the record's own time and by how long it has stood there on our boot clock, so that no clock that is wrong opens a gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lane.state import NEVER, LaneState
from lane.view import DeskView
from schemas.effects import Done, Read, Turn
from schemas.streams import BULLETINS, DESK

LOOK_S: Final = 1.0
"""How often the log is looked at for what nobody has read: a fifth of *lag_max*."""


@dataclass(slots=True)
class Look:
    """The last look at a stream: whether something stands there that is too old, when we looked (boot clock), and since when
    the first record that was not passed has stood there."""

    behind: bool = True
    looked_s: float = float("-inf")
    asked: bool = False
    first: int = NEVER
    since_s: float = 0.0


@dataclass(slots=True)
class Lag:
    """What the looks at [bulletins], beyond the desk's mark, and at [desk], beyond our fold, told; and the copies to our lane."""

    looks: dict[str, Look] = field(default_factory=lambda: {BULLETINS: Look(), DESK: Look()})
    copy: int = NEVER
    copy_since_s: float = 0.0

    def look(self, desk: DeskView, *, boot_s: float) -> Iterator[Read]:
        """Ask for the first record that nobody has passed, now and then."""
        starts = {BULLETINS: desk.state.marks.get(BULLETINS, NEVER) + 1, DESK: desk.next_position}
        for stream, look in self.looks.items():
            if not look.asked and boot_s - look.looked_s >= LOOK_S:
                look.asked = True
                yield Read(("lag", stream, starts[stream]), stream, starts[stream], 1, 0.0)

    def learn(self, state: LaneState, done: Done, turn: Turn, *, beyond: tuple[str, int]) -> None:
        """What has stood unread for *lag_max* stops us; so does a log that can't be read."""
        stream, start = beyond
        look = self.looks[stream]
        look.asked = False
        look.looked_s = turn.boot_s
        records = done.result
        if done.error is not None or not isinstance(records, (list, tuple)):
            look.behind = True
            return
        if not records or start != look.first:
            look.first, look.since_s = start, turn.boot_s
        lag_max_ms = state.policy.lag_max_ms
        stood_ms = (turn.boot_s - look.since_s) * 1000
        look.behind = bool(records) and (turn.at_ms - records[0].at_ms > lag_max_ms or stood_ms > lag_max_ms)

    def lags(self, state: LaneState, desk: DeskView, turn: Turn) -> bool:
        """Whether [bulletins] or the desk hold something that this lane should have passed by now."""
        lag_max_ms = state.policy.lag_max_ms
        if any(look.behind or (turn.boot_s - look.looked_s) * 1000 > lag_max_ms for look in self.looks.values()):
            return True
        copies = desk.state.copies_after(state.marks.get(DESK, NEVER))
        if not copies:
            self.copy = NEVER
            return False
        assert copies[0].source is not None
        if copies[0].source.position != self.copy:
            self.copy, self.copy_since_s = copies[0].source.position, turn.boot_s
        return turn.at_ms - copies[0].at_ms > lag_max_ms or (turn.boot_s - self.copy_since_s) * 1000 > lag_max_ms
