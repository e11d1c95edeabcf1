"""Each limit of the log's engines, driven over its edge (docs/limits.md, *The log*), where their contract does not do it."""

# ruff: noqa: ARG002 - stand-ins for what is outside take what they are handed and need none of it.

import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from eventlog import kafka_link, kafka_reader, kafka_writer, sqlite
from eventlog.kafka_link import FETCH_BYTES_MAX
from eventlog.kafka_reader import AHEAD_BYTES_MAX, PositionReader, _Ahead
from eventlog.kafka_tail import WINDOW_BYTES_MAX, WINDOW_COUNT_MAX, Tail
from eventlog.kafka_wire import FRAME_BYTES_MAX, Wire
from eventlog.kafka_writer import StreamWriter
from eventlog.memory import MemoryLog
from eventlog.port import READ_COUNT_MAX, AppendAmbiguous, AppendNotDone, EventLog, LogUnavailable
from eventlog.sqlite import GROUP_COUNT_MAX, READERS_MAX, SqliteLog
from schemas.streams import DESK, Entry, Record, inbound, lane
from tests.unit.loopback_broker import IDENTITY, SOON_S, TOPIC, framed, identity, question, serving

HIGHWAY = lane("highway")
SHORT_S = 0.1
MIB = 1024 * 1024


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """A log in a folder of its own."""
    opened = SqliteLog.open(tmp_path, lambda: 0)
    yield opened
    opened.close()


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
def test_a_read_returns_so_many_records_and_the_next_one_the_rest(engine: str, log: SqliteLog) -> None:
    """READ_COUNT_MAX: whatever is asked for; a fetch of more is a mistake of the caller's and is refused."""
    here: EventLog = log if engine == "sqlite" else MemoryLog(lambda: 0)
    for count in (READ_COUNT_MAX // 2, READ_COUNT_MAX // 2, 1):
        here.append(HIGHWAY, [Entry(b"")] * count)
    page = here.read(HIGHWAY, 0, 10 * READ_COUNT_MAX, 0.0)
    assert READ_COUNT_MAX == len(page)
    assert [READ_COUNT_MAX] == [record.position for record in here.read(HIGHWAY, READ_COUNT_MAX, 10 * READ_COUNT_MAX, 0.0)]
    with pytest.raises(ValueError, match=f"at most {READ_COUNT_MAX} records"):
        here.fetch(HIGHWAY, range(READ_COUNT_MAX + 1))


def test_one_reader_too_many_waits_and_then_hears_that_the_log_is_unavailable(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READERS_MAX: connections are bounded, not readers: who waits is served as soon as one comes free."""
    monkeypatch.setattr(sqlite, "TURN_WAIT_MAX_S", SHORT_S)
    log.append(HIGHWAY, [Entry(b"a")])
    with ExitStack() as reading:
        for _ in range(READERS_MAX):
            reading.enter_context(log._turn_to_read())
        with pytest.raises(LogUnavailable, match="Other threads have been reading"):
            log.read(HIGHWAY, 0, 1, 0.0)
        monkeypatch.setattr(sqlite, "TURN_WAIT_MAX_S", SOON_S)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(log.read, HIGHWAY, 0, 1, 0.0)
            time.sleep(SHORT_S)
            assert not waiting.done()
            reading.close()
            assert [b"a"] == [record.value for record in waiting.result()]


def test_an_append_without_a_turn_was_not_done(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """TURN_WAIT_MAX_S: nothing of it stands in the log, then or later."""
    monkeypatch.setattr(sqlite, "TURN_WAIT_MAX_S", SHORT_S)
    with log._turn_to_write(), pytest.raises(AppendNotDone, match="Nothing was written"):
        log.append(HIGHWAY, [Entry(b"lost")])
    assert [0] == list(log.append(HIGHWAY, [Entry(b"next")]))
    assert [b"next"] == [record.value for record in log.read(HIGHWAY, 0, 10, 0.0)]


def test_appends_that_waited_together_go_in_transactions_of_so_many_entries(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GROUP_COUNT_MAX: who does not fit goes with the next one; each append stays whole."""
    groups: list[list[int]] = []
    write = log._write

    def watched(connection: Any, group: Any) -> Any:
        groups.append([len(each.rows) for each in group])
        return write(connection, group)

    monkeypatch.setattr(log, "_write", watched)
    part = GROUP_COUNT_MAX // 2
    with ThreadPoolExecutor(3) as pool:
        with log._turn_to_write():
            waiting = [pool.submit(log.append, HIGHWAY, [Entry(b"")] * count) for count in (part, part, 1)]
            deadline_s = time.monotonic() + SOON_S
            while len(log._waiting) < len(waiting):
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
        written = sorted(position for each in waiting for position in each.result())
    assert list(range(2 * part + 1)) == written
    assert all(sum(group) <= GROUP_COUNT_MAX for group in groups)
    assert 2 == len(groups), "they did not wait together: this tests nothing"


class Consumer:
    """A client of kafka-python that gets nothing and notes of which topics it would go on."""

    def __init__(self) -> None:
        self.paused: set[str] = set()

    def seek(self, partition: TopicPartition, start: int) -> None:
        """Go to a place."""

    def pause(self, partition: TopicPartition) -> None:
        self.paused.add(partition.topic)

    def resume(self, partition: TopicPartition) -> None:
        self.paused.discard(partition.topic)

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        return {}

    def position(self, partition: TopicPartition) -> int:
        return 0


@pytest.mark.parametrize(
    ("count", "size_bytes"), [(WINDOW_COUNT_MAX, 0), (WINDOW_BYTES_MAX // MIB, MIB)], ids=["WINDOW_COUNT_MAX", "WINDOW_BYTES_MAX"]
)
def test_a_full_window_is_extended_no_further_until_somebody_has_read(count: int, size_bytes: int) -> None:
    """WINDOW_COUNT_MAX, WINDOW_BYTES_MAX: a follower that stands still costs so much and no more."""
    tail = Tail("127.0.0.1:1", {DESK: "desk", "schemas": "schemas"}, lambda _stream, _since: 0)
    consumer = tail._consumer = Consumer()
    window = tail._windows[DESK]
    window.move(0, None)
    with window.changed:
        window.take_fetched([Record(position, 0, bytes(size_bytes)) for position in range(count - 1)])
    tail._step()
    assert "desk" not in consumer.paused
    with window.changed:
        window.take_fetched([Record(count - 1, 0, bytes(size_bytes))])
    tail._step()
    assert "desk" in consumer.paused
    assert [0] == [record.position for record in tail.read(DESK, 0, 1, 0.0)]
    tail._step()
    assert "desk" not in consumer.paused


def test_an_answer_that_says_that_it_is_longer_is_not_begun() -> None:
    """FRAME_BYTES_MAX: the broker is left before a byte of it is kept."""
    for length, sentence in (
        (FRAME_BYTES_MAX, "closed the connection"),
        (FRAME_BYTES_MAX + 1, f"has {FRAME_BYTES_MAX + 1} bytes"),
    ):
        with serving(lambda *_, length=length: (struct.pack(">i", length),)) as broker:
            wire = Wire("127.0.0.1", broker.port, within_s=SOON_S)
            closing = threading.Timer(SHORT_S, wire.interrupt)
            closing.start()
            with pytest.raises(ConnectionError, match=sentence):
                wire.ask(question(), within_s=SOON_S)
            closing.join()
            wire.close()


def test_an_append_that_nobody_acknowledges_is_ambiguous_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """DELIVERY_WAIT_S: it says that it may be written, and what to do; nobody waits longer."""
    waits = StreamWriter.__init__.__kwdefaults__
    assert waits is not None
    assert kafka_link.DELIVERY_WAIT_S == waits["delivery_wait_s"]
    monkeypatch.setitem(waits, "delivery_wait_s", 2 * SHORT_S)

    def answering(kind: int, number: int) -> tuple[bytes, ...]:
        return (framed(number, identity()),) if kind == IDENTITY else (b"\0",)

    with serving(answering) as broker:
        writer = StreamWriter(f"127.0.0.1:{broker.port}", TOPIC, told=lambda *_: None)
        began_s = time.monotonic()
        with pytest.raises(AppendAmbiguous, match="it may be written"):
            writer.append([Entry(b"a")])
        assert time.monotonic() - began_s < SOON_S
        writer.close()


def test_a_broker_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUEST_WAIT_S, READ_WAIT_S: one answer of one broker, and all that a fetch may take: then the log is unavailable."""
    monkeypatch.setattr(kafka_reader, "REQUEST_WAIT_S", SHORT_S)
    monkeypatch.setattr(kafka_reader, "READ_WAIT_S", 3 * SHORT_S)
    with serving(lambda *_: (b"\0",)) as broker:
        reader = PositionReader(f"127.0.0.1:{broker.port}", {inbound("rail"): TOPIC}, lambda _stream: 9)
        began_s = time.monotonic()
        with pytest.raises(LogUnavailable, match=r"did not answer in 0\.1 s"):
            reader.fetch(inbound("rail"), [3])
        assert time.monotonic() - began_s < SOON_S
        assert len(broker.asked) > 2, "it was asked once: no other broker would have had a chance"
        reader.close()


def test_a_cluster_that_does_not_answer_is_unavailable_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONNECT_WAIT_S: who mistyped an address is told, and does not wait."""
    monkeypatch.setattr(kafka_link, "CONNECT_WAIT_S", SHORT_S)
    began_s = time.monotonic()
    with pytest.raises(LogUnavailable, match="check the address"):
        kafka_link.connect_consumer("127.0.0.1:1", partition_bytes_max=1, idle_wait_ms=1)
    assert time.monotonic() - began_s < SOON_S


def test_what_is_read_ahead_of_a_fetch_is_kept_up_to_a_limit() -> None:
    """AHEAD_BYTES_MAX: the oldest go first; an answer of FETCH_BYTES_MAX fits."""
    ahead = _Ahead()
    ahead.keep(Record(position, 0, bytes(MIB)) for position in range(AHEAD_BYTES_MAX // MIB))
    assert AHEAD_BYTES_MAX // MIB == len(ahead.records)
    ahead.keep([Record(10_000, 0, bytes(2 * MIB))])
    assert (AHEAD_BYTES_MAX, {0, 1}) == (ahead.size_bytes, set(range(AHEAD_BYTES_MAX // MIB)) - ahead.records.keys())
    assert FETCH_BYTES_MAX < AHEAD_BYTES_MAX


def test_an_append_larger_than_a_kafka_batch_is_written_in_several() -> None:
    """CHUNK_BYTES_MAX, CHUNK_COUNT_MAX: each is whole or not at all, and what is written is always a beginning."""
    assert [(0, 1), (1, 3)] == list(kafka_writer.chunks([kafka_writer.CHUNK_BYTES_MAX, 1, 1]))
    assert [(0, 5_000), (5_000, 5_001)] == list(kafka_writer.chunks([1] * 5_001))
