"""The log in memory, for tests and the simulator; must not know files, processes or what a record means.

It keeps every promise of the port but one: it dies with its process. Faults of an append (refused, answer lost, never applied,
applied late) are injected by a function, so that a seeded simulator decides them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, TypeAlias

from eventlog.admission import refuse_unfit_batch, refuse_unfit_fetch, refuse_unfit_read, refuse_unknown_stream
from eventlog.port import NOTHING_APPENDED, READ_COUNT_MAX, AppendAmbiguous, Appended, AppendNotDone, LogRegressed, LogUnavailable
from schemas.streams import ALL_STREAMS, SCHEMAS, Entry, Record


class Fault(Enum):
    """What goes wrong with one append."""

    NOT_DONE = auto()
    """Nothing is written and the writer is told so."""
    ANSWER_LOST = auto()
    """The batch is written and the writer is not told."""
    NEVER_APPLIED = auto()
    """Nothing is written and the writer is not told."""
    APPLIED_LATE = auto()
    """The writer is not told, and the batch is written when `release_late` is called."""


FaultOf: TypeAlias = Callable[[str, Sequence[Entry]], Fault | None]


class MemoryLog:
    """One handle on a log in memory; `another` gives a second one on the same records."""

    at_hand = True

    def __init__(self, clock_ms: Callable[[], int], *, fault: FaultOf | None = None) -> None:
        """Start an empty log. `clock_ms` stamps records (Unix ms); `fault` is asked before each append, under the log's lock."""
        self._shelf: Final = _Shelf(clock_ms, fault)
        self._closed = False

    def another(self) -> "MemoryLog":
        """Return a second handle on the same records, as a restarted or a second process would have."""
        log = object.__new__(MemoryLog)
        log.__dict__.update(_shelf=self._shelf, _closed=False)
        return log

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """See `EventLog.append`."""
        with self._shelf.grown:
            self._refuse_closed()
            refuse_unfit_batch(stream, batch)
            return self._shelf.append(stream, tuple(batch)) if batch else NOTHING_APPENDED

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """See `EventLog.read`."""
        deadline = time.monotonic() + wait_s if wait_s > 0 else None
        with self._shelf.grown:
            while True:
                self._refuse_closed()
                refuse_unfit_read(stream, start=start, limit=limit)
                page = self._shelf.page(stream, start, min(limit, READ_COUNT_MAX))
                remaining_s = deadline - time.monotonic() if deadline is not None else 0.0
                if page or remaining_s <= 0:
                    return page
                self._shelf.grown.wait(remaining_s)

    def end(self, stream: str) -> int:
        """See `EventLog.end`."""
        with self._shelf.grown:
            self._refuse_closed()
            refuse_unknown_stream(stream)
            return self._shelf.ends[stream]

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """See `EventLog.fetch`."""
        with self._shelf.grown:
            self._refuse_closed()
            refuse_unfit_fetch(stream, positions)
            return tuple(self._shelf.at(stream, position) for position in positions)

    def close(self) -> None:
        """See `EventLog.close`; other handles go on."""
        with self._shelf.grown:
            self._closed = True
            self._shelf.grown.notify_all()

    def release_late(self) -> int:
        """Write the batches of all `Fault.APPLIED_LATE` appends, oldest first, and return how many there were."""
        with self._shelf.grown:
            self._refuse_closed()
            return self._shelf.release_late()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("This log was closed: open it again.")


class _Shelf:
    """The records that the handles share; every method is called with `grown` held."""

    def __init__(self, clock_ms: Callable[[], int], fault: FaultOf | None) -> None:
        self.grown: Final = threading.Condition()
        self.ends: Final = dict.fromkeys(ALL_STREAMS, 0)
        self._clock_ms: Final = clock_ms
        self._fault: Final = fault
        self._records: Final[dict[str, list[Record]]] = {stream: [] for stream in ALL_STREAMS if stream != SCHEMAS}
        # Insertion order is position order: a key that is written again is taken out first.
        self._latest: Final[dict[bytes | None, Record]] = {}
        self._late: Final[list[tuple[str, Sequence[Entry]]]] = []

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        match self._fault(stream, batch) if self._fault else None:
            case None:
                return self._write(stream, batch)
            case Fault.NOT_DONE:
                raise AppendNotDone("The append was refused by an injected fault: append again.")
            case Fault.ANSWER_LOST:
                self._write(stream, batch)
            case Fault.APPLIED_LATE:
                self._late.append((stream, batch))
            case Fault.NEVER_APPLIED:
                pass
        raise AppendAmbiguous("The answer was lost by an injected fault: read the stream to its end before going on.")

    def release_late(self) -> int:
        released = len(self._late)
        for stream, batch in self._late:
            self._write(stream, batch)
        self._late.clear()
        return released

    def page(self, stream: str, start: int, limit: int) -> Sequence[Record]:
        if start > self.ends[stream]:
            raise LogRegressed(
                f"{stream} ends at {self.ends[stream]} and {start} was to be read: the log is shorter than it was; "
                "stop and call a person."
            )
        if stream == SCHEMAS:
            return tuple(record for record in self._latest.values() if record.position >= start)[:limit]
        return tuple(self._records[stream][start : start + limit])

    def at(self, stream: str, position: int) -> Record:
        if stream == SCHEMAS:
            found = next((record for record in self._latest.values() if record.position == position), None)
        else:
            found = self._records[stream][position] if 0 <= position < self.ends[stream] else None
        if found is None:
            raise LogRegressed(f"{stream} has no record at position {position}: stop and call a person.")
        return found

    def _write(self, stream: str, batch: Sequence[Entry]) -> Appended:
        at_ms = self._clock_ms()
        first = self.ends[stream]
        for position, entry in enumerate(batch, first):
            record = Record(position, at_ms, entry.value, entry.headers, entry.key)
            if stream == SCHEMAS:
                self._latest.pop(entry.key, None)
                self._latest[entry.key] = record
            else:
                self._records[stream].append(record)
        self.ends[stream] = first + len(batch)
        self.grown.notify_all()
        return Appended(range(first, first + len(batch)), (at_ms,) * len(batch))
