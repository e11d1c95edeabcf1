"""What every engine turns away before it touches its store; must not know any engine.

The engines share these checks so that the same batch is refused everywhere, with the same sentence.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final

from eventlog.port import (
    BATCH_COUNT_MAX,
    ENTRY_BYTES_MAX,
    READ_COUNT_MAX,
    AppendNotDone,
    EntryTooLarge,
    LogUnavailable,
)
from schemas.streams import ALL_STREAMS, SCHEMAS, Entry

KEY_AND_HEADERS_BYTES_MAX: Final = 64 * 1024
"""Most bytes of an entry's key and headers together: CloudEvents attributes take a few hundred; large things are values."""

UTF8_BYTES_MAX: Final = 4
"""Most bytes of a letter of a header's name."""


def refuse_unfit_batch(stream: str, batch: Sequence[Entry]) -> None:
    """Raise AppendNotDone (unknown stream, batch too long, key missing) or EntryTooLarge; nothing was written then."""
    if stream not in ALL_STREAMS:
        raise AppendNotDone(_unknown(stream))
    if len(batch) > BATCH_COUNT_MAX:
        raise AppendNotDone(f"A batch holds at most {BATCH_COUNT_MAX} entries and this one has {len(batch)}: split it.")
    for index, entry in enumerate(batch):
        _refuse_unfit_entry(stream, index, entry)


def refuse_unfit_read(stream: str, *, start: int, limit: int) -> None:
    """Raise LogUnavailable for an unknown stream, ValueError for a start below 0 or a limit below 1."""
    refuse_unknown_stream(stream)
    if start < 0 or limit < 1:
        raise ValueError(f"Read from position 0 or later, at least one record; asked were start={start}, limit={limit}.")


def refuse_unfit_fetch(stream: str, positions: Sequence[int]) -> None:
    """Raise LogUnavailable for an unknown stream, ValueError for more than READ_COUNT_MAX positions."""
    refuse_unknown_stream(stream)
    if len(positions) > READ_COUNT_MAX:
        raise ValueError(f"A fetch returns at most {READ_COUNT_MAX} records and {len(positions)} were asked: split it.")


def refuse_unknown_stream(stream: str) -> None:
    """Raise LogUnavailable when no engine has this stream."""
    if stream not in ALL_STREAMS:
        raise LogUnavailable(_unknown(stream))


def _unknown(stream: str) -> str:
    return f"There is no stream {stream!r} in the log: use one of {', '.join(ALL_STREAMS)}."


def _refuse_unfit_entry(stream: str, index: int, entry: Entry) -> None:
    if len(entry.value) > ENTRY_BYTES_MAX:
        raise EntryTooLarge(
            f"Entry {index} of the batch for {stream} has {len(entry.value)} bytes and the log takes {ENTRY_BYTES_MAX}: "
            "send a smaller document."
        )
    letters_and_bytes = sum(map(len, chain.from_iterable(entry.headers)))
    if entry.key is None and UTF8_BYTES_MAX * letters_and_bytes <= KEY_AND_HEADERS_BYTES_MAX and stream != SCHEMAS:
        return  # all but the largest: the exact sum took 2 us more of each message's 15
    beside = len(entry.key or b"") + sum(len(name.encode()) + len(value) for name, value in entry.headers)
    if beside > KEY_AND_HEADERS_BYTES_MAX:
        raise EntryTooLarge(
            f"Key and headers of entry {index} of the batch for {stream} have {beside} bytes and the log takes "
            f"{KEY_AND_HEADERS_BYTES_MAX}: put what is large into the value."
        )
    if stream == SCHEMAS and entry.key is None:
        raise AppendNotDone(f"Entry {index} for {SCHEMAS} has no key and the stream keeps the latest per key: give it one.")
