"""Virtual time, and the log as workers meet it in it; must not know workers, rules or stories."""

import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from eventlog.memory import Fault, MemoryLog
from schemas.streams import ALL_STREAMS, Entry
from tests.simulation.plan import Odds

EPOCH_MS: Final = 1_764_000_000_000
"""What the clock of the log says at second 0: 11:00 in Ottawa on 24 November 2025."""

LATE_S: Final = (0.1, 30.0)
"""How long an append that nobody hears of may take until it is applied."""

WAKE_S: Final = 0.02
"""Longest time until a reader that waits notices that a stream has grown."""

Event = tuple[float, int, Callable[..., None], tuple[Any, ...]]


class Clockwork:
    """A heap of what happens next, in virtual seconds. `tell` takes a sentence for whatever a person would like to read."""

    def __init__(self, seed: int, odds: Odds | None = None, tell: Callable[[str], None] | None = None) -> None:
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.calm = False
        self.odds = odds or Odds()
        self.log = MemoryLog(lambda: EPOCH_MS + round(self.now_s * 1000), fault=self._fault)
        self.ends = dict.fromkeys(ALL_STREAMS, 0)
        self.sometimes: dict[str, int] = {}
        self.broken: list[str] = []
        self.tell = tell
        self._waiters: dict[str, list[Callable[[], None]]] = {}
        self._heap: list[Event] = []
        self._count = 0

    def at(self, delay_s: float, what: Callable[..., None], *given: Any) -> None:
        """Let something happen after a while."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_s + delay_s, self._count, what, given))

    def run(self, until_s: float) -> None:
        """Let things happen until a moment."""
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            self.now_s, _, what, given = heapq.heappop(heap)
            what(*given)
        self.now_s = max(self.now_s, until_s)

    def happens(self, odds: float) -> bool:
        """Whether a fault of these odds strikes now."""
        return odds > 0 and not self.calm and self.rng.random() < odds

    def append(self, stream: str, entries: Sequence[Entry]) -> Sequence[int]:
        """Append, and wake whoever waits for the stream. Raises LogError."""
        try:
            return self.log.append(stream, entries)
        finally:
            self.grown(stream)

    def grown(self, stream: str) -> None:
        """Note a stream's end, so that who looks for more need not ask the log, and wake whoever waits for it."""
        self.ends[stream] = self.log.end(stream)
        self.wake(stream)

    def wake(self, stream: str) -> None:
        """Let whoever waits for a stream look again."""
        waiting = self._waiters.pop(stream, None)
        if waiting:
            for wait in waiting:
                self.at(self.rng.random() * WAKE_S, wait)

    def wait_for(self, stream: str, look: Callable[[], None], *, deadline_s: float) -> None:
        """Look again when the stream may have grown, or at the deadline, whichever comes first."""
        looked = False

        def once() -> None:
            nonlocal looked
            if not looked:
                looked = True
                look()

        self._waiters.setdefault(stream, []).append(once)
        self.at(max(0.0, deadline_s - self.now_s), once)

    def saw(self, what: str) -> None:
        """Count something that should happen sometimes."""
        self.sometimes[what] = self.sometimes.get(what, 0) + 1
        if self.tell is not None:
            self.tell(what)

    def release_late(self) -> None:
        """Apply what was to be applied late, and let everybody look."""
        self.log.release_late()
        for stream in ALL_STREAMS:
            self.grown(stream)

    def _fault(self, stream: str, _batch: Sequence[Entry]) -> Fault | None:
        if not self.happens(self.odds.append):
            return None
        fault = self.rng.choice((Fault.NOT_DONE, Fault.ANSWER_LOST, Fault.NEVER_APPLIED, Fault.APPLIED_LATE))
        self.saw(f"append {fault.name}")
        if self.tell is not None:
            self.tell(f"  it was an append to {stream}")
        if fault is Fault.APPLIED_LATE:
            self.at(self.rng.uniform(*LATE_S), self.release_late)
        return fault
