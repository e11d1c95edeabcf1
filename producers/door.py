"""Writing down what a door turned away before it was in the log (R2); must not know which door it was.

A door that refuses says so twice: to who stands before it, and on the desk, where a person sees it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from eventlog.port import BATCH_COUNT_MAX, EventLog
from schemas.codec import encode
from schemas.facts import DoorRefused
from schemas.messages import MessageUnreadable
from schemas.streams import DESK, Entry

DOOR_CHARS_MAX: Final = 64
"""Longest name of a door: `http`, `drop`, `batch` and the like."""


class Refusal(NamedTuple):
    """What was turned away: why, and the hash of the bytes as they came, so that their sender can find them again."""

    why: MessageUnreadable
    sha256: str


def refuse(log: EventLog, refusals: Sequence[Refusal], *, door: str, at_ms: int) -> list[int]:
    """Append a `DoorRefused` for each refusal to the desk and return their positions; none for none.

    `at_ms`: the door's clock, Unix milliseconds. Raises what `EventLog.append` raises; appending again after a doubt writes the
    refusal twice, which tells a person the same twice and changes nothing.
    """
    entries = [Entry(value=encode(_fact(one, door=door, at_ms=at_ms))) for one in refusals]
    positions: list[int] = []
    for start in range(0, len(entries), BATCH_COUNT_MAX):
        positions.extend(log.append(DESK, entries[start : start + BATCH_COUNT_MAX]))
    return positions


def _fact(refusal: Refusal, *, door: str, at_ms: int) -> DoorRefused:
    why = refusal.why
    return DoorRefused(
        at_ms=at_ms,
        door=door[:DOOR_CHARS_MAX],
        tenant=why.tenant,
        key=why.key,
        sha256=refusal.sha256,
        code=why.code,
        reason=str(why),
    )
