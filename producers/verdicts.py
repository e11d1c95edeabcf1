"""Waiting for what intake and the fold made of published messages; must not know how they decide."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from eventlog.port import READ_COUNT_MAX, EventLog
from lane.state import Verdict
from schemas.streams import Record, lane

READ_WAIT_S: Final = 1.0
"""Longest wait of one read, so that the deadline is looked at again."""


class Follower(Protocol):
    """What is needed of a lane's view (`lane.view.LaneView` is one)."""

    next_position: int

    def absorb(self, records: Sequence[Record]) -> None:
        """Fold records in."""

    def verdict_of(self, inbound_position: int) -> Verdict | None:
        """What became of a record of [inbound]; None while intake has not come to it."""


def wait_for_verdicts(
    log: EventLog,
    view: Follower,
    *,
    mode: str,
    positions: Iterable[int],
    wait_s: float,
    clock_s: Callable[[], float] = time.monotonic,
) -> dict[int, Verdict]:
    """Read the lane until each of these positions of [inbound.MODE] has its verdict, or `wait_s` is over; returns those known.

    Reads what the lane holds now in any case, also with `wait_s` 0. Raises LogUnavailable, LogRegressed and what the view raises.
    """
    deadline_s = clock_s() + wait_s
    held_now = log.end(lane(mode))
    known: dict[int, Verdict] = {}
    missing = list(dict.fromkeys(positions))
    while True:
        still = []
        for position in missing:
            verdict = view.verdict_of(position)
            if verdict is None:
                still.append(position)
            else:
                known[position] = verdict
        missing = still
        left_s = deadline_s - clock_s()
        if not missing or (left_s <= 0 and view.next_position >= held_now):
            return known
        view.absorb(log.read(lane(mode), view.next_position, READ_COUNT_MAX, max(0.0, min(left_s, READ_WAIT_S))))
