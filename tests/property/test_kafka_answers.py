"""Bytes that are no answer of a broker end as a broken connection or a damaged record, never as an error that nobody knows."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from kafka.protocol.producer import InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse
from kafka.record.memory_records import MemoryRecords

from eventlog.kafka_producer import IDENTITY_VERSION, PRODUCE_VERSION, _code_of_identity, _code_of_write, batch_of
from eventlog.kafka_reader import FETCH_VERSION, _code_of
from eventlog.kafka_records import FetchedRecords, records_of
from eventlog.kafka_wire import METADATA_VERSION, _answer_to, _brokers, _leaders, understood
from schemas.streams import Entry, Record
from tests.unit.loopback_broker import framed

NUMBER: Final = 77

LENGTH_AT: Final = 11
"""The last byte of a batch's length."""

_Topic = MetadataResponse.MetadataResponseTopic
_Written = ProduceResponse.TopicProduceResponse
_Fetched = FetchResponse.FetchableTopicResponse

BATCH: Final = batch_of([Entry(b"value", (("ce_id", b"x"),))] * 3, number=1, epoch=0, count=0, at_ms=1)

ANSWERS: Final[dict[str, tuple[Any, Any, Callable[[Any], object]]]] = {
    "metadata": (
        MetadataRequest(version=METADATA_VERSION, topics=[]),
        MetadataResponse(
            version=METADATA_VERSION,
            brokers=[MetadataResponse.MetadataResponseBroker(node_id=1, host="broker", port=9092)],
            controller_id=1,
            topics=[_Topic(error_code=0, name="desk", partitions=[_Topic.MetadataResponsePartition(leader_id=1)])],
        ),
        lambda answer: (_brokers(answer), _leaders(answer)),
    ),
    "identity": (
        InitProducerIdRequest(version=IDENTITY_VERSION),
        InitProducerIdResponse(version=IDENTITY_VERSION, error_code=0, producer_id=1, producer_epoch=0),
        _code_of_identity,
    ),
    "write": (
        ProduceRequest(version=PRODUCE_VERSION),
        ProduceResponse(
            version=PRODUCE_VERSION,
            responses=[_Written(name="desk", partition_responses=[_Written.PartitionProduceResponse(index=0, error_code=0)])],
        ),
        _code_of_write,
    ),
    "fetch": (
        FetchRequest(version=FETCH_VERSION),
        FetchResponse(
            version=FETCH_VERSION,
            error_code=0,
            responses=[
                _Fetched(topic="desk", partitions=[_Fetched.PartitionData(partition_index=0, error_code=0, records=BATCH)])
            ],
        ),
        _code_of,
    ),
}


def by_consumer(answer: bytes) -> tuple[list[Record], int]:
    """What a follower reads of an answer, and where it goes on."""
    reading = FetchedRecords(0, TopicPartition("desk", 0), MemoryRecords(answer))
    return reading.take(), reading.next_fetch_offset


READINGS: Final[dict[str, Callable[[bytes], tuple[list[Record], int]]]] = {
    "by position": partial(records_of, first=0, topic="desk"),
    "by a consumer": by_consumer,
}

places = st.integers(0, 10_000)
damage = st.lists(st.tuples(places, st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255)), max_size=4)


def damaged(body: bytes, changes: list[tuple[int, int]], cut: int | None) -> bytes:
    """The body with bytes changed, and cut short."""
    found = bytearray(body)
    for place, byte in changes:
        found[place % len(found)] = byte
    return bytes(found if cut is None else found[: cut % len(found)])


@pytest.mark.parametrize("kind", ANSWERS)
@given(changes=damage, cut=st.none() | places)
@example(changes=[], cut=None)
def test_what_is_no_answer_is_a_broken_connection(kind: str, changes: list[tuple[int, int]], cut: int | None) -> None:
    """Whoever asks judges errors by their kind (retry, hold, refuse): a parser's own would end the process."""
    request, answer, read = ANSWERS[kind]
    request.with_header(correlation_id=NUMBER, client_id="test")
    whole = framed(NUMBER, answer.encode())[4:]
    body = damaged(whole, changes, cut)
    try:
        understood(read, understood(partial(_answer_to, request, NUMBER), bytearray(body)))
    except ConnectionError:
        if body == whole:
            raise
        return
    assert cut is None or changes, "a part of an answer was taken for the whole"


@pytest.mark.parametrize("way", READINGS)
@given(changes=damage, cut=st.none() | places)
@example(changes=[], cut=None)
@example(changes=[(LENGTH_AT, 40)], cut=None)
def test_what_is_no_batch_is_a_damaged_record(way: str, changes: list[tuple[int, int]], cut: int | None) -> None:
    """A reader stops for a person at what no broker can have written; a last batch that was cut short is read again."""
    body = damaged(BATCH, changes, cut)
    try:
        found, reached = READINGS[way](body)
    except kafka_errors.CorruptRecordError:
        if body == BATCH:
            raise
        return
    assert len(found) in ((3,) if body == BATCH else (0, 3))
    assert reached >= 0
