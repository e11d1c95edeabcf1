"""Packs entries into the body of a batch of Kafka's format 2, and unpacks one into records; must not know where its bytes go.

It stands by itself so that it is compiled (`schemas.native`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from schemas.streams import Entry, Record

NAMES_COUNT_MAX: Final = 1_024
"""Header names kept as text: ours are some twenty, a stranger's may be any."""

ONE_BYTE_MAX: Final = 0x7F
"""Largest byte that is a whole number by itself; larger ones go on in the next byte."""

LONG_OR_NEGATIVE: Final = 0x81
"""Bits of a number's first byte of which one is set where it is not the whole of a number from 0 on."""

NUMBER_BYTES_MAX: Final = 10
"""Most bytes of a number: 64 bits, seven to a byte."""

SMALL: Final = tuple(bytes([2 * number]) for number in range(64))
"""The whole numbers from 0 on that take one byte."""

NONE: Final = b"\x01"
"""The length -1: no key."""


def body_of(entries: Sequence[Entry]) -> bytes:
    """Pack entries; their time is the batch's own, their positions count from the batch's first."""
    pieces: list[bytes] = []
    for offset, entry in enumerate(entries):
        key, value, headers = entry.key, entry.value, entry.headers
        record = [b"\0\0", _packed(offset)]  # no attributes, no time later than the batch's
        if key is None:
            record.append(NONE)
        else:
            record += (_packed(len(key)), key)
        record += (_packed(len(value)), value, _packed(len(headers)))
        for name, content in headers:
            record += (_packed_name(name), _packed(len(content)), content)
        packed = b"".join(record)
        pieces += (_packed(len(packed)), packed)
    return b"".join(pieces)


def _packed(number: int) -> bytes:
    """Write a number from 0 on: seven bits to a byte, the lowest first, zigzag."""
    if number < len(SMALL):
        return SMALL[number]
    left, found = 2 * number, bytearray()
    while left > ONE_BYTE_MAX:
        found.append((left & ONE_BYTE_MAX) | (ONE_BYTE_MAX + 1))
        left >>= 7
    found.append(left)
    return bytes(found)


@lru_cache(NAMES_COUNT_MAX)
def _packed_name(name: str) -> bytes:
    """A header's name with its length."""
    text = name.encode()
    return _packed(len(text)) + text


def records_in(
    body: bytes, at: int, count: int, *, first: int, base: int, first_ms: int, stamped_ms: int | None
) -> tuple[list[Record], int]:
    """Return the records from position `first` on, and where the last one stops. Raises IndexError and ValueError."""
    found = []
    for _ in range(count):
        size, at = _number(body, at)
        if size < 0:
            raise ValueError(f"it has a size of {size}")
        stop = at + size
        later_ms, place = _number(body, at + 1)  # past the attributes, of which there are none
        delta, place = _number(body, place)
        position = base + delta
        if position >= first:
            at_ms = first_ms + later_ms if stamped_ms is None else stamped_ms
            found.append(_record(body, place, stop, position=position, at_ms=at_ms))
        at = stop
    return found, at


def _record(body: bytes, at: int, stop: int, *, position: int, at_ms: int) -> Record:
    """Read a record's key, value and headers, which end at `stop`.

    Any client can write a record without a value: it is an empty one to us, so that one record stops no reader (R2).
    """
    key, at = _bytes(body, at)
    value, at = _bytes(body, at)
    count, at = _number(body, at)
    if count < 0:
        raise ValueError(f"it has {count} headers")
    headers = []
    for _ in range(count):
        # Most lengths are one byte: read in place, thirteen headers take 6 us instead of 11.
        size, at = body[at], at + 1
        if size & LONG_OR_NEGATIVE:
            name, at = _bytes(body, at - 1)
        else:
            name, at = body[at : (end := at + (size >> 1))], end
        size, at = body[at], at + 1
        if size & LONG_OR_NEGATIVE:
            content, at = _bytes(body, at - 1)
        else:
            content, at = body[at : (end := at + (size >> 1))], end
        headers.append((_name(name), content))
    if at != stop:
        raise ValueError(f"it ends at {at} and should at {stop}")
    return Record(position, at_ms, value or b"", tuple(headers), key)


def _bytes(body: bytes, at: int) -> tuple[bytes | None, int]:
    """Read a length and so many bytes; a length of -1 is None. Returns where they stop, too."""
    size, at = _number(body, at)
    return (None, at) if size < 0 else (body[at : at + size], at + size)


def _number(body: bytes, at: int) -> tuple[int, int]:
    """Read a number: seven bits to a byte, the lowest first, zigzag; and return where it stops, too."""
    byte = body[at]
    found, shift = byte & ONE_BYTE_MAX, 7
    while byte > ONE_BYTE_MAX:
        at += 1
        byte = body[at]
        found |= (byte & ONE_BYTE_MAX) << shift
        shift += 7
        if shift > 7 * NUMBER_BYTES_MAX:
            raise ValueError(f"a number at {at} has no end")
    return (found >> 1) ^ -(found & 1), at + 1


@lru_cache(NAMES_COUNT_MAX)
def _name(name: bytes | None) -> str:
    """A header's name as text, the same object each time."""
    if name is None:
        raise ValueError("a header has no name")
    return name.decode("utf-8", "backslashreplace")
