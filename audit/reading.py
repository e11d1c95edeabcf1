"""Reading the log's streams forward in pages; must not know what a record means, and must not import the fold.

Everything in this room reads through the EventLog port, so a Kafka cluster, an SQLite file and an exported file read alike.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from eventlog.port import EventLog
from schemas.codec import Codec
from schemas.streams import SCHEMAS, Record

PAGE_COUNT: Final = 200
"""Records of one read: a payload has kilobytes as a rule and megabytes at most, so that a page fits in memory."""

FACTS_PAGE_COUNT: Final = 2_000
"""Facts of one read: they are small (a fact of 500 messages has some tens of kilobytes)."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told now and then: the stream, the next position in it, and its end."""


def silent(stream: str, position: int, end: int) -> None:
    """Tell nobody."""


def learn_schemas(log: EventLog, codec: Codec) -> None:
    """Learn the schemas that the log brings along, so that the log alone is enough to read it. Raises CodecError."""
    for record in records(log, SCHEMAS, end=log.end(SCHEMAS)):
        codec.learn([record])


def records(log: EventLog, stream: str, *, end: int, start: int = 0, progress: Progress = silent) -> Iterator[Record]:
    """Yield the records from `start` up to, not including, position `end`, in order."""
    limit = FACTS_PAGE_COUNT if stream.startswith(("lane.", "desk")) else PAGE_COUNT
    here = start
    while here < end:
        page = log.read(stream, here, limit, 0.0)
        if not page:
            return
        for record in page:
            if record.position >= end:
                return
            yield record
            here = record.position + 1
        progress(stream, here, end)
