"""Writes batches to one topic, each once however often it is sent; must not know appends or who waits for them.

Kafka knows a producer by a number and counts its records: a batch that is sent again, because no answer came or another broker
leads now, is written once and answered as the first time. One batch is under way at a time. After an error the producer is over.
"""

import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from crc32c import crc32c
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest

from eventlog.kafka_batch import body_of
from eventlog.kafka_wire import Leader
from schemas.streams import Entry

PRODUCE_VERSION: Final = 9
IDENTITY_VERSION: Final = 3

ALL_IN_SYNC: Final = -1
"""Acknowledged when every copy that is in sync has it (acks=all)."""

FORMAT: Final = 2
"""The format of batches, the only one that Kafka 4 writes."""

SEQUENCE_BITS: Final = 31
"""The count of a producer's records begins at 0 again beyond."""

NOBODY: Final = -1

_HEAD: Final = struct.Struct(">qiibI")
"""First position, length of what follows, leader's epoch, format and checksum of the rest."""

_REST: Final = struct.Struct(">hiqqqhii")
"""Attributes, last offset, first and last time, the producer's number, its epoch, the first record's count, and how many."""

_LENGTH_FROM: Final = 12
"""A batch's length counts from behind itself."""


class Producer:
    """One producer; one thread writes at a time, any may `interrupt`."""

    def __init__(self, bootstrap: str, topic: str, *, request_wait_s: float, connect_wait_s: float) -> None:
        """Connect and get a number. Raises OSError and KafkaError within about `connect_wait_s`."""
        self._topic: Final = topic
        self._timeout_ms: Final = int(request_wait_s * 1000)
        self._leader: Final = Leader(bootstrap, topic, request_wait_s=request_wait_s)
        self._count = 0
        asked = InitProducerIdRequest(
            version=IDENTITY_VERSION,
            transactional_id=None,
            transaction_timeout_ms=self._timeout_ms,
            producer_id=NOBODY,
            producer_epoch=NOBODY,
        )
        try:
            given = self._leader.ask(asked, _code_of_identity, until_s=time.monotonic() + connect_wait_s)
        except BaseException:
            self._leader.let_go()
            raise
        self._number, self._epoch = given.producer_id, given.producer_epoch

    @property
    def asked_count(self) -> int:
        """How many requests may have reached a broker: the same before and after a `write` that failed, it wrote nothing."""
        return self._leader.asked_count

    def write(self, entries: Sequence[Entry], *, within_s: float) -> tuple[int, int]:
        """Write the entries as one batch; return the first one's position and the broker's time. Raises OSError, KafkaError."""
        now_ms = int(time.time() * 1000)
        batch = batch_of(entries, number=self._number, epoch=self._epoch, count=self._count, at_ms=now_ms)
        part = ProduceRequest.TopicProduceData.PartitionProduceData(index=0, records=batch)
        request = ProduceRequest(
            version=PRODUCE_VERSION,
            transactional_id=None,
            acks=ALL_IN_SYNC,
            timeout_ms=self._timeout_ms,
            topic_data=[ProduceRequest.TopicProduceData(name=self._topic, partition_data=[part])],
        )
        answer = self._leader.ask(request, _code_of_write, until_s=time.monotonic() + within_s)
        self._count = (self._count + len(entries)) % (1 << SEQUENCE_BITS)
        written = _written(answer)
        return written.base_offset, written.log_append_time_ms

    def interrupt(self) -> None:
        """End a `write` that is under way: it raises."""
        self._leader.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._leader.let_go()


def batch_of(entries: Sequence[Entry], *, number: int, epoch: int, count: int, at_ms: int) -> bytes:
    """Pack entries as a producer's batch; `count` is how many records of its number were before, `at_ms` the entries' time."""
    rest = _REST.pack(0, len(entries) - 1, at_ms, at_ms, number, epoch, count, len(entries)) + body_of(entries)
    return _HEAD.pack(0, _HEAD.size - _LENGTH_FROM + len(rest), NOBODY, FORMAT, crc32c(rest)) + rest


def _written(answer: Any) -> Any:
    """What an answer says of the only partition of the only topic that was written."""
    return answer.responses[0].partition_responses[0]


def _code_of_write(answer: Any) -> int:
    return int(_written(answer).error_code)


def _code_of_identity(answer: Any) -> int:
    return int(answer.error_code)
