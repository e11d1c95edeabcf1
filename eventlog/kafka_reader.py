"""Reads records at positions asked for, and where streams end; must not know who follows a stream."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import TopicPartition
from kafka.protocol.consumer import FetchRequest

from eventlog.kafka_link import FETCH_BYTES_MAX, READ_WAIT_S, REQUEST_WAIT_S, connect_consumer, translated
from eventlog.kafka_records import records_of
from eventlog.kafka_wire import Leader
from eventlog.port import LogRegressed, LogUnavailable
from eventlog.runs import runs
from schemas.streams import Record

GAP_COUNT_MAX: Final = 200
"""Positions not further apart than this are read in one go: reading 200 records past costs less than another question."""

PARTITION_BYTES_MAX: Final = 1024 * 1024
"""Most bytes of one answer (a larger single batch still comes): scattered positions throw most of it away."""

AHEAD_BYTES_MAX: Final = 32 * 1024 * 1024
"""Most bytes of values kept of what was read and not asked for yet, of one stream; the oldest go first."""

IDLE_WAIT_MS: Final = 5
"""How long a broker holds a question at a stream's end before it says that nothing is there."""

FETCH_VERSION: Final = 12
"""Fetch by topic name."""

UNKNOWN: Final = -1
"""What a fetch says of epochs and of what a copy would tell."""


@dataclass(slots=True)
class _Ahead:
    """Records of one stream that were read on the way to others; payloads are asked for nearly in the order of the log.

    `reached` is where the last answer ended.
    """

    records: dict[int, Record] = field(default_factory=dict)
    size_bytes: int = 0
    reached: int = 0

    def keep(self, records: Iterable[Record]) -> None:
        """Keep these, and let go of the oldest beyond AHEAD_BYTES_MAX."""
        for record in records:
            self._drop(record.position)
            self.records[record.position] = record
            self.size_bytes += len(record.value)
        while self.size_bytes > AHEAD_BYTES_MAX:
            self._drop(next(iter(self.records)))

    def take(self, positions: Sequence[int]) -> dict[int, Record]:
        """Give away what is here of these: a payload is asked for once, as a rule."""
        found = {position: self.records[position] for position in positions if position in self.records}
        for position in found:
            self._drop(position)
        return found

    def _drop(self, position: int) -> None:
        record = self.records.pop(position, None)
        if record is not None:
            self.size_bytes -= len(record.value)


class PositionReader:
    """Reads scattered positions, for one caller at a time. An answer holds more than was asked for: the rest is kept for a while,
    for a batch is unpacked from its beginning for each question about it."""

    def __init__(self, bootstrap: str, topics: Mapping[str, str], end: Callable[[str], int]) -> None:
        """Connect nothing yet: the first fetch does. `topics` maps streams to topics, `end` says where a stream ends."""
        self._bootstrap: Final = bootstrap
        self._topics: Final = topics
        self._end: Final = end
        self._turn: Final = threading.Lock()
        self._leaders: Final = {
            stream: Leader(bootstrap, topic, request_wait_s=REQUEST_WAIT_S) for stream, topic in topics.items()
        }
        self._ahead: Final[dict[str, _Ahead]] = {stream: _Ahead() for stream in topics}

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """Return the records at these positions, in the order asked; errors as `EventLog.fetch`."""
        with self._turn:
            found = self._ahead[stream].take(positions)
            for run in runs(sorted(set(positions) - found.keys()), GAP_COUNT_MAX):
                try:
                    with translated(f"fetch {len(positions)} records of {stream}", self._bootstrap):
                        found.update(self._read_run(stream, run))
                except LogUnavailable:
                    self._let_go()
                    raise
        missing = [position for position in positions if position not in found]
        if missing:
            raise _gone(stream, missing)
        return tuple(found[position] for position in positions)

    def close(self) -> None:
        """End the connections; a fetch that is under way raises."""
        for leader in self._leaders.values():
            leader.interrupt()
        with self._turn:
            self._let_go()

    def _read_run(self, stream: str, run: Sequence[int]) -> dict[int, Record]:
        """Read from the first to the last of rising positions and keep those asked for."""
        if run[0] < 0:
            raise _gone(stream, run)
        ahead, wanted, last, found = self._ahead[stream], set(run), run[-1], dict[int, Record]()
        # What was just passed over is asked for soon, and would be read again from the beginning of its batch.
        reached = ahead.reached if run[0] - GAP_COUNT_MAX <= ahead.reached <= run[0] else run[0]
        deadline = time.monotonic() + READ_WAIT_S
        while reached <= last:
            batch, reached = self._read(stream, reached, deadline)
            found.update((record.position, record) for record in batch if record.position in wanted)
            ahead.keep(record for record in batch if record.position not in wanted)
            if not batch and reached <= last and self._end(stream) <= last:
                raise _gone(stream, [last])
            if reached <= last and time.monotonic() > deadline:
                raise LogUnavailable(f"{stream} could not be read at {reached} in {READ_WAIT_S:.0f} s: try again.")
        ahead.reached = reached
        return found

    def _read(self, stream: str, start: int, until_s: float) -> tuple[list[Record], int]:
        """Return some records from there on, and where reading goes on: that also passes what compaction took away."""
        partition = FetchRequest.FetchTopic.FetchPartition(
            partition=0,
            current_leader_epoch=UNKNOWN,
            fetch_offset=start,
            last_fetched_epoch=UNKNOWN,
            log_start_offset=UNKNOWN,
            partition_max_bytes=PARTITION_BYTES_MAX,
        )
        request = FetchRequest(
            version=FETCH_VERSION,
            replica_id=UNKNOWN,
            max_wait_ms=IDLE_WAIT_MS,
            min_bytes=1,
            max_bytes=FETCH_BYTES_MAX,
            isolation_level=0,
            session_id=0,
            session_epoch=UNKNOWN,
            topics=[FetchRequest.FetchTopic(topic=self._topics[stream], partitions=[partition])],
            forgotten_topics_data=[],
            rack_id="",
        )
        answer = self._leaders[stream].ask(request, _code_of, until_s=until_s)
        return records_of(answer.responses[0].partitions[0].records or b"", start, topic=self._topics[stream])

    def _let_go(self) -> None:
        for stream, leader in self._leaders.items():
            self._ahead[stream] = _Ahead()
            leader.let_go()


def _code_of(answer: Any) -> int:
    return int(answer.error_code or answer.responses[0].partitions[0].error_code)


class EndReader:
    """One client that asks where streams end, so that a big fetch never keeps a follower waiting."""

    def __init__(self, bootstrap: str, topics: Mapping[str, str]) -> None:
        """Connect nothing yet: the first question does. `topics` maps streams to topics."""
        self._bootstrap: Final = bootstrap
        self._partitions: Final = {stream: TopicPartition(topic, 0) for stream, topic in topics.items()}
        self._turn: Final = threading.Lock()
        self._consumer: Any = None
        self._asked_s = float("-inf")
        self._ends: Mapping[TopicPartition, int] = {}

    def end(self, stream: str) -> int:
        """Return the stream's end, of what is durable; errors as `EventLog.end`."""
        with self._turn:
            return self._ask([stream])[self._partitions[stream]]

    def end_since(self, stream: str, since_s: float) -> int:
        """Return where the stream ended at some moment since then (monotonic); errors as `EventLog.end`.

        One question about all streams is an answer to everybody who waited when it was put: where each follower at rest asked for
        itself, that was 18 questions a second.
        """
        with self._turn:
            if self._asked_s < since_s:
                asked_s = time.monotonic()
                try:
                    self._ends, self._asked_s = self._ask(self._partitions), asked_s
                except KeyError:
                    # kafka-python asks nobody about a topic whose leader it does not know, unless there is only this one to ask
                    # about: then it finds out.
                    return self._ask([stream])[self._partitions[stream]]
            return self._ends[self._partitions[stream]]

    def _ask(self, streams: Iterable[str]) -> Mapping[TopicPartition, int]:
        try:
            if self._consumer is None:
                self._consumer = connect_consumer(
                    self._bootstrap, partition_bytes_max=PARTITION_BYTES_MAX, idle_wait_ms=IDLE_WAIT_MS
                )
            with translated(f"say where {', '.join(streams)} ends", self._bootstrap):
                ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(
                    [self._partitions[stream] for stream in streams], timeout_ms=int(REQUEST_WAIT_S * 1000)
                )
                return ends
        except LogUnavailable:
            self._let_go()
            raise

    def close(self) -> None:
        """End the client."""
        with self._turn:
            self._let_go()

    def _let_go(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _gone(stream: str, positions: Sequence[int]) -> LogRegressed:
    return LogRegressed(
        f"{stream} has no record at {', '.join(map(str, positions[:5]))}: it was deleted or the topic was made anew; stop, keep "
        "the brokers' data folders and call a person."
    )
