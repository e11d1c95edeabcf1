"""The log's port: five methods that every engine keeps to the letter; must not know what a record means.

Errors, each answering "retry, hold or refuse?":

    LogError
    ├── AppendNotDone    nothing was written, for certain: appending again is safe
    ├── AppendAmbiguous  written, not written, or written later: read the stream to its end and go on from the mark
    ├── EntryTooLarge    refused for ever: the entry is over `ENTRY_BYTES_MAX`
    ├── LogUnavailable   the log can't be reached now: hold and try again
    ├── LogRegressed     the log is shorter than, or differs from, what was read: stop and call a person (I1f)
    └── LogUnfit         settings that would lose facts: refuse to start, the message says what to mend
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, Self

from schemas.streams import Entry, Record

ENTRY_BYTES_MAX: Final = 8 * 1024 * 1024
"""Largest value that may enter: a customs message is kilobytes; images (DIF) reach megabytes."""

BATCH_COUNT_MAX: Final = 5_000
"""Most entries of one append: bounds the memory of a batch and the time of one durable write."""

READ_COUNT_MAX: Final = 10_000
"""Most records that one read or fetch returns: bounds a reader's memory."""


class LogError(Exception):
    """The log could not do what was asked."""


class AppendNotDone(LogError):
    """Nothing was written; appending again is safe."""


class AppendAmbiguous(LogError):
    """It is not known whether the batch was written, or will be; read the stream to its end before going on."""


class EntryTooLarge(LogError):
    """The entry is over the limit and can never be written."""


class LogUnavailable(LogError):
    """The log can't be reached now; nothing is lost, try again."""


class LogRegressed(LogError):
    """The log is shorter than what was read from it, or holds other bytes: stop and call a person."""


class LogUnfit(LogError):
    """The log's settings would lose facts; the message says what to mend."""


class Appended(tuple[int, ...]):  # noqa: SLOT001 (Python gives a tuple of any length no slots)
    """The positions of an append, rising; `at_ms` holds for each the log's own time, as `Record.at_ms` will say it."""

    at_ms: Sequence[int]

    def __new__(cls, positions: Iterable[int], at_ms: Sequence[int]) -> Self:
        """As many times as positions."""
        made = super().__new__(cls, positions)
        assert len(made) == len(at_ms), "an append has a time for each position"
        made.at_ms = at_ms
        return made


NOTHING_APPENDED: Final = Appended((), ())
"""What an append of no entries returns."""


class EventLog(Protocol):
    """Totally ordered streams of records, durable before they are acknowledged.

    Streams are those of `schemas.streams.ALL_STREAMS`. Every method may be called from several threads at once. After `close`
    every method raises `LogUnavailable`.

    `at_hand`: records lie in this machine's own memory or on its disk, so that a fetch takes microseconds a record and waits for
    nobody: it may be called on an event loop.
    """

    at_hand: bool

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """Write the batch in order and return its positions and times; then the batch survives a crash and a power cut.

        Other writers' records may stand between. Raises AppendNotDone, AppendAmbiguous, EntryTooLarge or LogUnavailable (nothing
        written). An append error says nothing about later appends: the caller goes back to its mark.
        """

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """Return up to `limit` (and READ_COUNT_MAX) records from position `start` on, in order, without holes.

        Waits up to `wait_s` for the first one and returns an empty sequence when none came. A record is returned only when it is
        durable. Raises LogUnavailable, or LogRegressed when `start` lies beyond the end.
        """

    def end(self, stream: str) -> int:
        """Return the position that the next record will get (at least); 0 for an empty stream. Raises LogUnavailable."""

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """Return the records at these positions, in the order asked. Raises LogRegressed if one is missing, LogUnavailable."""

    def close(self) -> None:
        """Let go of everything; what was acknowledged stays."""
