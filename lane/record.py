"""What a lane rarely looks at of a published record, packed: where it stands, when and how big it is, its digests; no rules.

And what many messages have in common, kept once.
"""

from binascii import unhexlify
from hashlib import sha256
from struct import Struct
from typing import Final, TypeAlias, final

from mypy_extensions import mypyc_attr

_RECORD: Final = Struct("<HIHII32s16s")
_HEAD_BYTES: Final = 64
_HEX_CHARS: Final = 64

_HALF: Final = 32
_LOW: Final = 2**_HALF - 1

OWN_KEY: Final = 0
"""What is named: the message itself, by its publisher's key."""

_LENGTH_BITS: Final = 12
"""Of the two bytes before a name, these say how long it is, the others what is named."""

_NAME_BYTES_MAX: Final = 2**_LENGTH_BITS - 1
_NAME_HEAD_BYTES: Final = 2

Row: TypeAlias = tuple[str, str, str, str, bool]
"""Tenant, kind, function, channel, and whether it moves inland."""


@mypyc_attr(acyclic=True)
@final
class Form:
    """What many messages share, one object for all of them (`LaneState.form`).

    `lists`: those of its kind list the documents that they name as their group; others are related to them, or have some of both.
    """

    __slots__ = ("channel", "function", "inland", "kind", "lists", "row", "tenant")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.tenant, self.kind, self.function, self.channel, self.inland = row
        self.lists = self.kind == "conveyance"


def where_of(record: bytes) -> tuple[int, int, int]:
    """Its position in [inbound], when it was published, and the size of its payload."""
    inbound_high, inbound, received_high, received, size_bytes, _, _ = _RECORD.unpack(record[:_HEAD_BYTES])
    return inbound_high << _HALF | inbound, received_high << _HALF | received, size_bytes


def digest_of(record: bytes) -> str:
    """The digest of its payload, in hex."""
    return record[16:48].hex()


def digests_of(record: bytes) -> str:
    """The digests of its payload and of its attributes, in hex."""
    return record[16:64].hex()


def packed_name(what: int, name: str) -> bytes:
    """A name as it is packed behind a record; `what` says what is named, OWN_KEY or a number of the caller's, below 16."""
    text = name.encode()
    assert len(text) <= _NAME_BYTES_MAX, "a name has at most 128 characters"
    return (what << _LENGTH_BITS | len(text)).to_bytes(_NAME_HEAD_BYTES, "little") + text


def read_name(packed: bytes) -> tuple[int, str]:
    """What is named, and its name."""
    return packed[1] >> _LENGTH_BITS - 8, packed[_NAME_HEAD_BYTES:].decode()


def own_key_of(record: bytes) -> str | None:
    """The publisher's key that was packed behind the rest, where one was: the first of what is packed there."""
    if len(record) == _HEAD_BYTES:
        return None
    what = record[_HEAD_BYTES] | record[_HEAD_BYTES + 1] << 8
    if what >> _LENGTH_BITS != OWN_KEY:
        return None
    start = _HEAD_BYTES + _NAME_HEAD_BYTES
    return record[start : start + what].decode()


def packed_names(record: bytes) -> tuple[bytes, ...]:
    """The other names that were packed behind it, each as `packed_name` packs it."""
    found = []
    at = _HEAD_BYTES
    while at < len(record):
        what = record[at] | record[at + 1] << 8
        end = at + _NAME_HEAD_BYTES + (what & _NAME_BYTES_MAX)
        if what >> _LENGTH_BITS != OWN_KEY:
            found.append(record[at:end])
        at = end
    return tuple(found)


def without_names(record: bytes) -> bytes:
    """The record with nothing but the publisher's key behind it."""
    return record[: len(record) - sum(map(len, packed_names(record)))]


def record_of(*, inbound: int, received_ms: int, size_bytes: int, digest: str, attributes_digest: str) -> bytes:
    """Pack what is rarely looked at: 64 bytes instead of five objects of 370. Positions and moments take six bytes each."""
    return _RECORD.pack(
        inbound >> _HALF, inbound & _LOW, received_ms >> _HALF, received_ms & _LOW, size_bytes,
        _digest(digest), _digest(attributes_digest)[:16],
    )  # fmt: skip


def differs(record: bytes, other: bytes) -> str:
    """In what the content of two published records differs (R10): bytes, attributes, or nothing."""
    return "bytes" if record[16:48] != other[16:48] else "attributes" if record[48:64] != other[48:64] else ""


def _digest(text: str) -> bytes:
    """A SHA-256 as bytes; of a text that is none, its own."""
    if len(text) == _HEX_CHARS:
        try:
            return unhexlify(text)
        except ValueError:
            pass
    return sha256(text.encode()).digest()
