"""Unpacks what a consumer of kafka-python fetched straight into records of ours; must not know streams.

The library takes 28 us for a message's record with its thirteen headers, by way of two objects of its own; this takes 17.
Its framing, checksums and compression are used. What is here is the body of a batch of format 2 (the only one that Kafka 4 writes
or serves), as the protocol's page "Record Batch" tells it.

Kafka's brokers don't look at header names, so anybody who may publish can write one that is not UTF-8. The library takes such a
record for a damaged one, and a reader would never get past it; here the bytes of the name are shown as `\\xff`: no header of ours
is called so. A header without a value stays None: `schemas.cloudevents` refuses it.
"""

import struct
from collections.abc import Iterator
from typing import Any

from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.record.memory_records import MemoryRecords

from eventlog.kafka_batch import records_in
from schemas.streams import Record


class FetchedRecords(Fetcher.PartitionRecords):  # type: ignore[misc] # kafka-python ships no types
    """The library's iterator over one answer about one partition, giving `Record`s; `install` puts it in."""

    def _maybe_skip_record(self, record: Record) -> bool:  # noqa: ARG002 (the library's own signature)
        """What lies before the position asked for was never unpacked."""
        return False

    def _unpack_records(self, tp: Any, records: Any, *_deserializers: object) -> Iterator[Record]:
        """As the library's own, for readers of what is not committed; positions count also what compaction took away."""
        for batch in _batches(records, tp.topic):
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


def records_of(answer: bytes, first: int, *, topic: str) -> tuple[list[Record], int]:
    """Return an answer's records from position `first` on, and where reading goes on. Raises CorruptRecordError."""
    found, reached = list[Record](), first
    for batch in _batches(MemoryRecords(answer), topic):
        if not batch.is_control_batch:
            found += unpacked(batch, first)
        reached = max(reached, batch.next_offset)
    return found, reached


def _batches(batches: MemoryRecords, topic: str) -> Iterator[Any]:
    """The batches, each checked, up to the end or one that was cut short. Raises CorruptRecordError."""
    while (batch := _next_batch(batches, topic)) is not None:
        _check(batch, topic)
        yield batch


def _next_batch(batches: MemoryRecords, topic: str) -> Any:
    """The next batch, or None behind the last. Raises CorruptRecordError."""
    try:
        return batches.next_batch()
    except struct.error as error:  # the library looks whether there is room for a format, not whether there is for its head
        raise kafka_errors.CorruptRecordError(f"a batch of {topic} is shorter than its head: {error}") from error


def _check(batch: Any, topic: str) -> None:
    if batch.magic != 2:
        raise kafka_errors.CorruptRecordError(
            f"the batch of {topic} at {batch.base_offset} has format {batch.magic}: no Kafka 4 serves it"
        )
    if not batch.validate_crc():
        raise kafka_errors.CorruptRecordError(f"the batch of {topic} at {batch.base_offset} has a wrong checksum")


def unpacked(batch: Any, first: int) -> list[Record]:
    """Return the records of a batch of format 2 from position `first` on. Raises CorruptRecordError."""
    batch._maybe_uncompress()
    body, at = bytes(batch._buffer), batch._pos
    stamped = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    try:
        found, end = records_in(
            body, at, batch.records_count, first=first, base=batch.base_offset, first_ms=batch.first_timestamp, stamped_ms=stamped
        )
    except (IndexError, ValueError) as error:
        raise kafka_errors.CorruptRecordError(f"a record of the batch at {batch.base_offset} can't be read: {error}") from error
    if end != len(body):
        raise kafka_errors.CorruptRecordError(f"the batch at {batch.base_offset} ends elsewhere than its last record")
    return found
