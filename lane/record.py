"""What a lane rarely looks at of a published record, packed: where it stands, when and how big it is, its digests; no rules.

And what many messages have in common, kept once.
"""

from binascii import unhexlify
from hashlib import sha256
from struct import Struct
from typing import Final, TypeAlias, final

_RECORD: Final = Struct("<QQQ32s16s")
_HEX_CHARS: Final = 64


Row: TypeAlias = tuple[str, str, str, str, bool]
"""Tenant, kind, function, channel, and whether it moves inland."""


@final
class Form:
    """What many messages share, one object for all of them (`LaneState.form`)."""

    __slots__ = ("channel", "function", "inland", "kind", "row", "tenant")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.tenant, self.kind, self.function, self.channel, self.inland = row


def where_of(record: bytes) -> tuple[int, int, int]:
    """Its position in [inbound], when it was published, and the size of its payload."""
    inbound, received_ms, size_bytes, _, _ = _RECORD.unpack(record)
    return inbound, received_ms, size_bytes


def digest_of(record: bytes) -> str:
    """The digest of its payload, in hex."""
    return record[24:56].hex()


def record_of(*, inbound: int, received_ms: int, size_bytes: int, digest: str, attributes_digest: str) -> bytes:
    """Pack what is rarely looked at: 76 bytes instead of five objects of 370."""
    return _RECORD.pack(inbound, received_ms, size_bytes, _digest(digest), _digest(attributes_digest)[:16])


def differs(record: bytes, other: bytes) -> str:
    """In what the content of two published records differs (R10): bytes, attributes, or nothing."""
    return "bytes" if record[24:56] != other[24:56] else "attributes" if record[56:] != other[56:] else ""


def _digest(text: str) -> bytes:
    """A SHA-256 as bytes; of a text that is none, its own."""
    if len(text) == _HEX_CHARS:
        try:
            return unhexlify(text)
        except ValueError:
            pass
    return sha256(text.encode()).digest()
