"""Rows of the SQLite log as records, and a record's headers as one column; must not know tables, or what a header says."""

import struct
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from eventlog.port import LogRegressed
from schemas.streams import Headers, Record

Row: TypeAlias = tuple[int, int, bytes | None, bytes, bytes]
"""Position, the log's clock, key, headers, value."""

ALIKE_COUNT_MAX: Final = 4_096
"""Most sets of header names and of value lengths remembered: a provider's messages have a handful."""

_LENGTH: Final = struct.Struct(">I")


def records(rows: Iterable[Row], start: int, bytes_max: int = sys.maxsize) -> tuple[Record, ...]:
    """The records of these rows, which begin at `start` or later; the rest is left when their values have so many bytes.

    Raises LogRegressed for a row that we can't have written: SQLite has no checksums, and hands out what a damaged page says.
    """
    found = []
    taken_bytes = 0
    before = start - 1
    try:
        for row in rows:
            record = _record(row)
            assert record.position > before, f"position {record.position} comes after {before}"
            before = record.position
            found.append(record)
            taken_bytes += len(record.value)
            if taken_bytes >= bytes_max:
                break
    except (AssertionError, TypeError, ValueError, struct.error) as error:
        raise LogRegressed(f"A record can't be read: the file is damaged, restore it from a backup ({error}).") from error
    return tuple(found)


def _record(row: Row) -> Record:
    position, at_ms, key, headers, value = row
    assert isinstance(at_ms, int), "the time of a record is no number"
    assert isinstance(headers, bytes), "the headers of a record are no bytes"
    assert isinstance(value, bytes), "the value of a record is no bytes"
    assert key is None or isinstance(key, bytes), "the key of a record is no bytes"
    return Record(position, at_ms, value, unpack(headers), key)


def pack(headers: Headers) -> bytes:
    """Names, then the values' lengths, then the values: a reader meets the same names and lengths over and over."""
    if not headers:
        return b""
    names, values = zip(*headers, strict=True)
    block = _block(names)
    return b"".join((_LENGTH.pack(len(block)), block, struct.pack(f">{len(values)}I", *map(len, values)), *values))


def unpack(packed: bytes) -> Headers:
    """What `pack` packed, in a fifth of the time that walking from one header to the next took (12 us)."""
    if not packed:
        return ()
    at = _LENGTH.size + _LENGTH.unpack_from(packed)[0]
    names = _names(packed[_LENGTH.size : at])
    values_at = at + _LENGTH.size * len(names)
    cut = _cut(packed[at:values_at])
    assert values_at + cut.size == len(packed), "the headers of a record are cut short"
    return tuple(zip(names, cut.unpack_from(packed, values_at), strict=True))


@lru_cache(ALIKE_COUNT_MAX)
def _block(names: tuple[str, ...]) -> bytes:
    return b"".join(_LENGTH.pack(len(name)) + name for name in map(str.encode, names))


@lru_cache(ALIKE_COUNT_MAX)
def _names(block: bytes) -> tuple[str, ...]:
    names, at = [], 0
    while at < len(block):
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(block, at)[0]
        names.append(block[begin:at].decode())
    assert at == len(block), "the names of a record's headers are cut short"
    return tuple(names)


@lru_cache(ALIKE_COUNT_MAX)
def _cut(lengths: bytes) -> struct.Struct:
    """Cuts values of these lengths apart."""
    return struct.Struct("".join(f"{length}s" for (length,) in _LENGTH.iter_unpack(lengths)))
