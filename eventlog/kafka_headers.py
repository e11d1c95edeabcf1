"""Reads header names that are not UTF-8, which kafka-python takes for a damaged record; must not know what a header means.

Kafka's brokers don't look at header names, so anybody who may publish can write such a record. The library (3.0.12,
`DefaultRecordBatch._read_msg`) then raises CorruptRecordError, and a reader never gets past that record. Read this way the record
comes, the bytes of the name shown as `\\xff`: no header of ours is called so.
"""

from typing import Any, Final

from kafka.record.default_records import DefaultRecordBatch


class _Text(bytearray):
    """Bytes whose decoding never fails."""

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:  # noqa: ARG002 (the name is bytearray's)
        return bytes(self).decode(encoding, "backslashreplace")


class _Tolerant(bytearray):
    """A batch's bytes, of which every slice is a text that can be decoded."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Text(found) if isinstance(place, slice) else found


_AS_SHIPPED: Final = DefaultRecordBatch._read_msg


def _read_message(self: Any) -> Any:
    """As the library does; where a name is no text, again with bytes that always give one, for the rest of the batch."""
    try:
        return _AS_SHIPPED(self)
    except UnicodeDecodeError:
        self._buffer = _Tolerant(self._buffer)  # one copy a batch; the position moves only after a record was read whole
        return _AS_SHIPPED(self)


def read_any_header_name() -> None:
    """Teach the library, once a process; before the first consumer."""
    DefaultRecordBatch._read_msg = _read_message
