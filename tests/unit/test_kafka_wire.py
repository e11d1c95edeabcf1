"""A broker's answer is taken whole, in time and to its own question, or is an error."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import errors as kafka_errors
from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from kafka.protocol.producer import InitProducerIdResponse, ProduceRequest, ProduceResponse

from eventlog.kafka_producer import PRODUCE_VERSION, _code_of_write, _written
from eventlog.kafka_wire import METADATA_VERSION, Leader, Wire, _brokers, _leaders, understood
from tests.unit.loopback_broker import (
    IDENTITY,
    METADATA,
    SOON_S,
    TOPIC,
    Answering,
    Broker,
    Leading,
    framed,
    identity,
    itself,
    question,
    serving,
)

NOT_LEADER = 6
REFUSED = 29
WRITE = 0
BrokerAt = MetadataResponse.MetadataResponseBroker
WITHIN_S = 1.0
"""The time given to an answer that never comes whole; twice as much must do on a machine that is busy with other things, too."""

LARGE_COUNT = 500
"""So many names of 30 kB are more than any socket takes at once."""


@contextmanager
def wired(answering: Answering) -> Iterator[Wire]:
    """A connection to a broker that answers so."""
    with serving(answering) as broker:
        wire = Wire("127.0.0.1", broker.port, within_s=SOON_S)
        try:
            yield wire
        finally:
            wire.close()


@contextmanager
def led(answering: Answering, leading: Leading = itself) -> Iterator[tuple[Leader, Broker]]:
    """The way to the leader of a topic, which answers so."""
    with serving(answering, leading) as broker:
        leader = Leader(f"127.0.0.1:{broker.port}", TOPIC, request_wait_s=SOON_S)
        try:
            yield leader, broker
        finally:
            leader.let_go()


def hanging_up(*_: int) -> tuple[bytes, ...]:
    """A broker that answers nothing."""
    return ()


def silent(*_: int) -> tuple[bytes, ...]:
    """A broker that never ends its answer."""
    return (b"\0",)


def code_of(answer: InitProducerIdResponse) -> int:
    """The code of an answer."""
    return int(answer.error_code)


def writing() -> ProduceRequest:
    """A question of the kind that writes."""
    return ProduceRequest(version=PRODUCE_VERSION, transactional_id=None, acks=-1, timeout_ms=1, topic_data=[])


def write(*partitions: int) -> bytes:
    """The body of an answer to a write, with so many partitions of one topic."""
    topic = ProduceResponse.TopicProduceResponse
    written = [topic.PartitionProduceResponse(index=0, error_code=0, base_offset=7, log_append_time_ms=8) for _ in partitions]
    return bytes(ProduceResponse(version=PRODUCE_VERSION, responses=[topic(name=TOPIC, partition_responses=written)]).encode())


def test_an_answer_in_pieces_is_taken_whole() -> None:
    """TCP keeps no borders: what comes byte by byte, and what is longer than one read, is one answer."""
    pieces: Answering = lambda _, number: tuple(bytes([byte]) for byte in framed(number, identity(number=number)))  # noqa: E731
    with wired(pieces) as wire:
        assert [1, 2] == [wire.ask(question(), within_s=SOON_S).producer_id for _ in range(2)]
    text = "x" * 30_000
    brokers = [BrokerAt(node_id=each, host=text, port=1) for each in range(9)]
    long = MetadataResponse(version=METADATA_VERSION, brokers=brokers, controller_id=1, topics=[]).encode()
    with serving(hanging_up, lambda number, _: (framed(number, long),)) as broker:
        wire = Wire("127.0.0.1", broker.port, within_s=SOON_S)
        answer = wire.ask(MetadataRequest(version=METADATA_VERSION, topics=[]), within_s=SOON_S)
        wire.close()
    assert [text] * 9 == [each.host for each in answer.brokers]


@pytest.mark.parametrize(
    "answering",
    [
        hanging_up,
        lambda _, number: (framed(number + 1, identity()),),
        lambda _, number: (framed(number, b"\x00"),),
        lambda *_: (struct.pack(">i", -1),),
        lambda *_: (struct.pack(">i", 2**31 - 1),),
    ],
    ids=["hangs up", "another question's", "cut short", "length below 0", "length beyond all bounds"],
)
def test_what_is_no_answer_is_an_error(answering: Answering) -> None:
    """A broker that is none, or answers another question, is left."""
    with wired(answering) as wire, pytest.raises(OSError, match="the broker"):
        wire.ask(question(), within_s=SOON_S)


def test_a_broker_that_is_silent_is_left_in_time() -> None:
    """No thread waits longer for an answer than it may."""
    with wired(silent) as wire:
        began_s = time.monotonic()
        with pytest.raises(OSError, match="did not answer in"):
            wire.ask(question(), within_s=0.2)
        assert time.monotonic() - began_s < SOON_S


@pytest.mark.parametrize("whole", [3, 100], ids=["of its length", "of the rest"])
def test_an_answer_that_trickles_is_left_in_time(whole: int) -> None:
    """The time is for the whole of an answer: a broker that sends a byte now and then holds nobody longer than a silent one."""

    def answering(_: int, number: int) -> Iterator[bytes]:
        for byte in framed(number, bytes(whole + 1))[:whole]:
            yield bytes([byte])
            time.sleep(WITHIN_S / 2)

    with wired(answering) as wire:
        began_s = time.monotonic()
        with pytest.raises(OSError, match="did not answer in"):
            wire.ask(question(), within_s=WITHIN_S)
        assert time.monotonic() - began_s < 2 * WITHIN_S


def test_a_question_that_is_read_slowly_is_given_up_in_time() -> None:
    """A broker that takes a large batch a bit at a time holds nobody longer than a silent one."""
    reading = threading.Event()
    topic = MetadataRequest.MetadataRequestTopic(name="x" * 30_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def read_slowly() -> None:
            connection, _ = listener.accept()
            with connection:
                while not reading.wait(WITHIN_S / 8):
                    connection.recv(256 * 1024)

        thread = threading.Thread(target=read_slowly)
        thread.start()
        wire = Wire("127.0.0.1", listener.getsockname()[1], within_s=SOON_S)
        began_s = time.monotonic()
        with pytest.raises(OSError, match="did not answer in"):
            wire.ask(MetadataRequest(version=METADATA_VERSION, topics=[topic] * LARGE_COUNT), within_s=WITHIN_S)
        took_s = time.monotonic() - began_s
        reading.set()
        thread.join(SOON_S)
        wire.close()
    assert took_s < 2 * WITHIN_S


@pytest.mark.parametrize("leading", [itself, silent], ids=["of the leader", "about who leads"])
def test_who_waits_for_an_answer_can_be_interrupted(leading: Leading) -> None:
    """A log that is closed waits for nobody."""
    with led(silent, leading) as (leader, _):
        timer = threading.Timer(0.1, leader.interrupt)
        timer.start()
        with pytest.raises(ConnectionError, match="closed"):
            leader.ask(question(), code_of, until_s=time.monotonic() + 60)
        timer.join()


def test_who_is_interrupted_while_looking_for_the_leader_asks_no_other_broker() -> None:
    """A log that is closed doesn't wait for each of its brokers in turn."""

    def leading(_number: int, _port: int) -> tuple[bytes, ...]:
        leader.interrupt()
        return ()

    with serving(hanging_up, leading) as first, socket.create_server(("127.0.0.1", 0)) as second:
        leader = Leader(f"127.0.0.1:{first.port},127.0.0.1:{second.getsockname()[1]}", TOPIC, request_wait_s=SOON_S)
        with pytest.raises(ConnectionAbortedError):
            leader.ask(question(), code_of, until_s=time.monotonic() + 60)
        second.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody waits to be let in
            second.accept()
    assert [METADATA] == first.asked


def test_the_same_question_is_asked_again_until_it_is_answered_and_the_leader_is_looked_for_anew() -> None:
    """A broker that hangs up or leads no more is no end: another leads then."""
    answers = [(), (NOT_LEADER,), (0,)]

    def answering(_: int, number: int) -> tuple[bytes, ...]:
        return tuple(framed(number, identity(code)) for code in answers.pop(0))

    with led(answering) as (leader, broker):
        assert 42 == leader.ask(question(), code_of, until_s=time.monotonic() + SOON_S).producer_id
    assert [METADATA, IDENTITY] * 3 == broker.asked
    assert 3 == leader.asked_count


def test_a_refusal_is_not_asked_again() -> None:
    """What another try can't mend is told at once."""
    with led(lambda _, number: (framed(number, identity(REFUSED)),)) as (leader, broker):
        with pytest.raises(kafka_errors.TopicAuthorizationFailedError):
            leader.ask(question(), code_of, until_s=time.monotonic() + SOON_S)
        assert [METADATA, IDENTITY] == broker.asked


def test_where_nobody_listens_nothing_was_asked() -> None:
    """An append of which no byte can have gone out is not ambiguous."""
    with serving(hanging_up) as broker:
        port = broker.port
    leader = Leader(f"127.0.0.1:{port}", TOPIC, request_wait_s=SOON_S)
    with pytest.raises(ConnectionRefusedError):
        leader.ask(question(), code_of, until_s=time.monotonic() + 0.3)
    assert 0 == leader.asked_count


def test_a_silent_address_leaves_time_to_the_others() -> None:
    """A broker that takes connections and never answers stops nobody while another one serves; it is asked last from then on."""
    mute = socket.create_server(("127.0.0.1", 0))
    with mute, serving(lambda _, number: (framed(number, identity()),)) as broker:
        addresses = f"127.0.0.1:{mute.getsockname()[1]},127.0.0.1:{broker.port}"
        leader = Leader(addresses, TOPIC, request_wait_s=SOON_S)
        try:
            assert 42 == leader.ask(question(), code_of, until_s=time.monotonic() + 2.5 * WITHIN_S).producer_id
            leader.let_go()
            began_s = time.monotonic()
            assert 42 == leader.ask(question(), code_of, until_s=began_s + 2.5 * WITHIN_S).producer_id
            assert time.monotonic() - began_s < WITHIN_S, "the silent one was asked first again"
        finally:
            leader.let_go()


def without_topics(number: int, _port: int) -> tuple[bytes, ...]:
    """What a broker would say that has a list of brokers and none of topics."""
    answer = MetadataResponse(version=METADATA_VERSION, brokers=[], controller_id=1, topics=None)
    return (framed(number, answer.encode()),)


def test_an_answer_without_what_was_asked_is_asked_for_again_as_after_a_broken_connection() -> None:
    """An answer that parses and lacks a part is no end either, and never an error that nobody knows."""
    tellings, pieces = [without_topics, itself, itself], [write(), write(0)]
    leading: Leading = lambda number, port: tellings.pop(0)(number, port)  # noqa: E731
    with led(lambda _, number: (framed(number, pieces.pop(0)),), leading) as (leader, broker):
        assert 7 == _written(leader.ask(writing(), _code_of_write, until_s=time.monotonic() + SOON_S)).base_offset
        assert [METADATA, METADATA, WRITE, METADATA, WRITE] == broker.asked


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (_code_of_write, ProduceResponse(version=PRODUCE_VERSION, responses=[])),
        (_leaders, MetadataResponse(version=METADATA_VERSION, brokers=[], topics=None)),
        (_brokers, MetadataResponse(version=METADATA_VERSION, brokers=[BrokerAt(node_id=1, host=None, port=1)], topics=[])),
        (_brokers, MetadataResponse(version=METADATA_VERSION, brokers=[BrokerAt(node_id=1, host="", port=1)], topics=[])),
    ],
    ids=["no partition", "no topics", "no host", "an empty host"],
)
def test_an_answer_that_lacks_a_part_is_told_as_a_broken_connection(read: Callable[[Any], object], answer: Any) -> None:
    """Nobody looks for a broker called "None", nor takes this machine for the one that was not named."""
    with pytest.raises(ConnectionError, match="the broker's answer can't be read"):
        understood(read, answer)
