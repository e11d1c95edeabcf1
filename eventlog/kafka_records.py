"""Unpacks what a consumer of kafka-python fetched straight into records of ours; must not know streams.

The library takes 28 us for a message's record with its thirteen headers, by way of two objects of its own; this takes 17.
Its framing, checksums and compression are used. What is here is the body of a batch of format 2 (the only one that Kafka 4 writes
or serves), as the protocol's page "Record Batch" tells it.

Kafka's brokers don't look at header names, so anybody who may publish can write one that is not UTF-8. The library takes such a
record for a damaged one, and a reader would never get past it; here the bytes of the name are shown as `\\xff`: no header of ours
is called so. A header without a value stays None: `schemas.cloudevents` refuses it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher

from schemas.streams import Record

NAMES_COUNT_MAX: Final = 1_024
"""Header names kept as text: ours are some twenty, a stranger's may be any."""

ONE_BYTE_MAX: Final = 0x7F
"""Largest byte that is a whole number by itself; larger ones go on in the next byte."""

LONG_OR_NEGATIVE: Final = 0x81
"""Bits of a number's first byte of which one is set where it is not the whole of a number from 0 on."""

NUMBER_BYTES_MAX: Final = 10
"""Most bytes of a number: 64 bits, seven to a byte."""


class FetchedRecords(Fetcher.PartitionRecords):  # type: ignore[misc] # kafka-python ships no types
    """The library's iterator over one answer about one partition, giving `Record`s; `install` puts it in."""

    def _maybe_skip_record(self, record: Record) -> bool:  # noqa: ARG002 (the library's own signature)
        """What lies before the position asked for was never unpacked."""
        return False

    def _unpack_records(self, tp: Any, records: Any, *_deserializers: object) -> Iterator[Record]:
        """As the library's own, for readers of what is not committed; positions count also what compaction took away."""
        while (batch := records.next_batch()) is not None:
            if not batch.validate_crc():
                raise kafka_errors.CorruptRecordError(f"the batch of {tp.topic} at {batch.base_offset} has a wrong checksum")
            self.leader_epoch = batch.leader_epoch
            if not batch.is_control_batch:
                for record in unpacked(batch, self.fetch_offset):
                    self.next_fetch_offset = record.position + 1
                    yield record
            self.next_fetch_offset = max(self.fetch_offset, batch.next_offset)
        self.drain()


def install(consumer: Any) -> None:
    """Let a consumer give `Record`s."""
    consumer._fetcher.PartitionRecords = FetchedRecords


def unpacked(batch: Any, first: int) -> list[Record]:
    """Return a batch's records from position `first` on. Raises CorruptRecordError."""
    if batch.magic != 2:
        raise kafka_errors.CorruptRecordError(f"the batch at {batch.base_offset} has format {batch.magic}: no Kafka 4 serves it")
    batch._maybe_uncompress()
    body, at = bytes(batch._buffer), batch._pos
    stamped = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    found = []
    try:
        for _ in range(batch.records_count):
            size, at = _number(body, at)
            if size < 0:
                raise ValueError(f"it has a size of {size}")
            stop = at + size
            later_ms, place = _number(body, at + 1)  # past the attributes, of which there are none
            delta, place = _number(body, place)
            position = batch.base_offset + delta
            if position >= first:
                at_ms = batch.first_timestamp + later_ms if stamped is None else stamped
                found.append(_record(body, place, stop, position=position, at_ms=at_ms))
            at = stop
    except (IndexError, ValueError) as error:
        raise kafka_errors.CorruptRecordError(f"a record of the batch at {batch.base_offset} can't be read: {error}") from error
    if at != len(body):
        raise kafka_errors.CorruptRecordError(f"the batch at {batch.base_offset} ends elsewhere than its last record")
    return found


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
    return Record(position, at_ms, value or b"", tuple(headers), key)  # type: ignore[arg-type] # a header may lack its value


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
