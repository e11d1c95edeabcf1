"""The state of all lanes and of the desk at a moment or position of the past; must not know how it is shown.

What was known then is the fold of the prefix whose facts' running maximum of `at` is not after that moment (R6, I5b): a notice
that came in late changes what is said today of the past, never what was known in it (I9e).
"""

from dataclasses import dataclass

from audit.reading import learn_schemas, records
from eventlog.port import EventLog
from lane.desk import DeskState
from lane.state import LaneState
from lane.view import DeskView, LaneView
from schemas.codec import Codec
from schemas.facts import Fact
from schemas.streams import DESK, MODES, lane


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known at `at_ms` (Unix ms UTC). `positions`: per stream, where reading stopped: the first position left out."""

    at_ms: int
    lanes: dict[str, LaneState]
    desk: DeskState
    positions: dict[str, int]


class _Last:
    """A decoder that keeps the last fact, so that a fact is read once though it is looked at twice."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._value = b""
        self._fact: Fact | None = None

    def decode(self, value: bytes) -> Fact:
        if self._fact is None or self._value is not value:
            self._value, self._fact = value, self._codec.decode(value)
        return self._fact


def as_of(log: EventLog, codec: Codec, *, at_ms: int) -> Snapshot:
    """Fold every lane and the desk up to that moment. Raises CodecError, RulesTooOld, FactMisplaced or what the log raises."""
    learn_schemas(log, codec)
    last = _Last(codec)
    views = {lane(mode): LaneView(mode, last.decode) for mode in MODES}
    desk = DeskView(last.decode)
    everything: tuple[tuple[str, LaneView | DeskView], ...] = (*views.items(), (DESK, desk))
    for stream, view in everything:
        for record in records(log, stream, end=log.end(stream)):
            if last.decode(record.value).at_ms > at_ms:
                break
            view.absorb([record])
    positions = {stream: view.next_position for stream, view in views.items()} | {DESK: desk.next_position}
    return Snapshot(at_ms, {mode: views[lane(mode)].state for mode in MODES}, desk.state, positions)


def at_position(log: EventLog, codec: Codec, *, mode: str, position: int) -> LaneState:
    """Fold one lane up to and with the fact at that position. Raises ValueError when the lane is shorter, else as `as_of`."""
    learn_schemas(log, codec)
    end = log.end(lane(mode))
    if not 0 <= position < end:
        raise ValueError(f"lane.{mode} has positions 0 to {end - 1}; ask for one of them" if end else f"lane.{mode} is empty")
    view = LaneView(mode, codec.decode)
    for record in records(log, lane(mode), end=position + 1):
        view.absorb([record])
    return view.state
