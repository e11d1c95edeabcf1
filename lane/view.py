"""A fold with the place up to which it has read: one per lane (or desk) and process; must not know where records come from."""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from lane import desk, fold
from lane.desk import DeskState
from lane.state import NEVER, Finding, LaneState, Verdict
from schemas.facts import DESK_FACTS, LANE_FACTS, Fact
from schemas.streams import Record, inbound

StateT = TypeVar("StateT")
Listener = Callable[[Record, Fact, tuple[Finding, ...]], None]

_LANE_TYPES: Final = frozenset(LANE_FACTS)
_DESK_TYPES: Final = frozenset(DESK_FACTS)


class FactMisplaced(Exception):
    """A fact stands in a stream that it does not belong to: the log was written by something else; stop (I13)."""


class View(Generic[StateT]):
    """The state, the positions that reading began at and is read next, and the last record. Each is absorbed once, in order."""

    def __init__(
        self, state: StateT, decode: Callable[[bytes], Fact], listener: Listener | None = None, *, next_position: int = 0
    ) -> None:
        self.state: StateT = state
        self.next_position = next_position
        self.begun_at = next_position
        self.last: Record | None = None
        self._decode = decode
        self._listener = listener

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold records in. Raises what decoding raises, RulesTooOld, and FactMisplaced."""
        for record in records:
            position = record.position
            assert position >= self.next_position, "a record was read twice or out of order"
            fact = self._decode(record.value)
            findings = self._apply(position, fact)
            self.next_position = position + 1
            self.last = record
            if self._listener is not None:
                self._listener(record, fact, findings)

    def _apply(self, position: int, fact: Fact) -> tuple[Finding, ...]:
        raise NotImplementedError


class LaneView(View[LaneState]):
    """A lane's fold in this process."""

    def __init__(
        self, mode: str, decode: Callable[[bytes], Fact], listener: Listener | None = None, state: LaneState | None = None
    ) -> None:
        """Begin from nothing, or from a state that was folded before."""
        state = state or LaneState(mode)
        super().__init__(state, decode, listener, next_position=state.position + 1)

    def _apply(self, position: int, fact: Fact) -> tuple[Finding, ...]:
        if type(fact) not in _LANE_TYPES:
            raise FactMisplaced(f"{type(fact).__name__} at {position} does not belong in a lane; this log is not Tidegate's")
        return fold.apply(self.state, position, fact)  # type: ignore[arg-type]  # it is one of the lane's

    def verdict_of(self, inbound_position: int) -> Verdict | None:
        """What became of a record of [inbound]; None while intake has not come to it, and when it lies behind the horizon."""
        if inbound_position <= self.state.forgotten:
            return None
        if self.state.marks.get(inbound(self.state.mode), NEVER) < inbound_position:
            return None
        return self.state.verdicts.get(inbound_position, Verdict("accepted", "taken into the lane"))


class DeskView(View[DeskState]):
    """The desk's fold in this process."""

    def __init__(self, decode: Callable[[bytes], Fact], listener: Listener | None = None, state: DeskState | None = None) -> None:
        """Begin from nothing, or from a state that was folded before."""
        state = state or DeskState()
        super().__init__(state, decode, listener, next_position=state.position + 1)

    def _apply(self, position: int, fact: Fact) -> tuple[Finding, ...]:
        if type(fact) not in _DESK_TYPES:
            raise FactMisplaced(f"{type(fact).__name__} at {position} does not belong on the desk; this log is not Tidegate's")
        return desk.apply(self.state, position, fact)  # type: ignore[arg-type]  # it is one of the desk's
