"""Writes one stream's appends to its topic, whole and in order; must not know readers or other streams.

- It sends one Kafka batch at a time and waits for its acknowledgement: Kafka writes a batch whole or not at all.
- It sends nothing more of an append after a part of it failed: what is written of an append is always a beginning of it.
- It throws the producer away after any error and refuses the appends that were waiting behind: none slips past the failed one.

What cannot be taken back: a request already on the wire may still be applied later. That is AppendAmbiguous.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kafka import errors as kafka_errors

from eventlog.admission import UTF8_BYTES_MAX
from eventlog.kafka_link import CONNECT_WAIT_S, DELIVERY_WAIT_S, MESSAGE_BYTES_MAX, REQUEST_WAIT_S, translate
from eventlog.kafka_producer import Producer
from eventlog.port import BATCH_COUNT_MAX, AppendAmbiguous, Appended, AppendNotDone, EntryTooLarge, LogError, LogUnavailable
from schemas.streams import Entry

CHUNK_BYTES_MAX: Final = MESSAGE_BYTES_MAX - 1024
"""Most bytes of one Kafka batch: the topic's limit less the batch's own header (61 bytes)."""

CHUNK_COUNT_MAX: Final = BATCH_COUNT_MAX
"""Most entries of one Kafka batch, however small: bounds the time that one thread writes for others."""

FRAMING_BYTES: Final = 64
"""Upper bound of what Kafka's format adds to an entry and to each of its headers (a handful of varints: under 40)."""

CLOSE_WAIT_S: Final = 5.0
"""How long an append that is under way may go on when the log is closed."""


@dataclass(slots=True)
class _Ticket:
    """One append on its way; `outcome` is set by whichever thread wrote it."""

    entries: Sequence[Entry]
    sizes: Sequence[int]
    outcome: Appended | LogError | None = None


class StreamWriter:
    """The writing end of one topic. Appends of several threads that wait together share Kafka batches."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        told: Callable[[Sequence[Entry], Appended], None],
        delivery_wait_s: float = DELIVERY_WAIT_S,
        close_wait_s: float = CLOSE_WAIT_S,
    ) -> None:
        """Connect nothing yet: the first append does. `told` hears of all that was acknowledged, in order."""
        self._bootstrap: Final = bootstrap
        self._topic: Final = topic
        self._told: Final = told
        self._delivery_wait_s: Final = delivery_wait_s
        self._close_wait_s: Final = close_wait_s
        self._turn: Final = threading.Lock()
        self._waiting: Final[deque[_Ticket]] = deque()  # as long as there are threads that append: each waits for its own
        self._producer: Producer | None = None
        self._closed = False

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Write the entries (at least one) and return their positions and times; errors as `EventLog.append`."""
        sizes = [entry_bytes(entry) for entry in entries]
        for index, size in enumerate(sizes):
            if size > CHUNK_BYTES_MAX:
                raise EntryTooLarge(f"Entry {index} for {self._topic} is over {CHUNK_BYTES_MAX} bytes: give it fewer headers.")
        ticket = _Ticket(entries, sizes)
        self._waiting.append(ticket)
        with self._turn:
            while ticket.outcome is None:
                self._write_group(self._take_group())
        if isinstance(ticket.outcome, LogError):
            raise ticket.outcome
        return ticket.outcome

    def close(self) -> None:
        """Let go; an append that is under way gets a short while and is ambiguous then; what still connects writes nothing."""
        self._closed = True
        got_turn = self._turn.acquire(timeout=self._close_wait_s)
        producer = self._producer
        if not got_turn and producer is not None:
            producer.interrupt()
            got_turn = self._turn.acquire(timeout=self._close_wait_s)
        if got_turn:
            self._retire()
            self._turn.release()

    def _take_group(self) -> list[_Ticket]:
        """Take the first waiting append, and those behind it that fit into the same Kafka batch."""
        group = [self._waiting.popleft()]
        size, count = sum(group[0].sizes), len(group[0].sizes)
        while self._waiting:
            sizes = self._waiting[0].sizes
            size, count = size + sum(sizes), count + len(sizes)
            if size > CHUNK_BYTES_MAX or count > CHUNK_COUNT_MAX:
                break
            group.append(self._waiting.popleft())
        return group

    def _write_group(self, group: list[_Ticket]) -> None:
        """Write the group's entries and set each ticket's outcome; on an error turn back who waits behind."""
        entries = [entry for ticket in group for entry in ticket.entries]
        sizes = [size for ticket in group for size in ticket.sizes]
        written, at_ms = list[int](), list[int]()
        failure: LogError = AppendAmbiguous(f"The append to {self._topic} was interrupted: read the stream to its end.")
        try:
            for first, stop in chunks(sizes):
                position, chunk_ms = self._write_chunk(entries[first:stop])
                written += range(position, position + stop - first)
                at_ms += [chunk_ms] * (stop - first)
        except LogError as error:
            failure = error
            if written:  # only an append longer than one Kafka batch gets here: its beginning is written
                failure = AppendAmbiguous(f"{len(written)} of {len(entries)} entries were written to {self._topic}: {error}")
                failure.__cause__ = error
        finally:
            if len(written) == len(entries):
                appended = Appended(written, at_ms)
                _hand_out(group, appended)
                self._told(entries, appended)
            else:
                self._retire()
                self._turn_back(group, failure)

    def _write_chunk(self, entries: Sequence[Entry]) -> tuple[int, int]:
        """Write the entries as one Kafka batch; return the first one's position and the broker's time.

        The topics are LogAppendTime (`kafka_topics` refuses others), so that all of a batch has one time.
        """
        producer = self._connected()
        before = producer.asked_count
        try:
            first, at_ms = producer.write(entries, within_s=self._delivery_wait_s)
        except (kafka_errors.KafkaError, OSError) as error:
            if producer.asked_count == before:
                raise AppendNotDone(
                    f"Kafka took nothing of the append to {self._topic} ({type(error).__name__}: {error}): check that the "
                    "brokers run; append again."
                ) from error
            raise AppendAmbiguous(
                f"Kafka did not acknowledge the append to {self._topic} ({type(error).__name__}: {error}): it may be written, "
                "or be written later; read the stream to its end before going on."
            ) from error
        if first < 0 or at_ms < 0:
            raise AppendAmbiguous(f"Kafka acknowledged the append to {self._topic} without its positions: read the stream.")
        return first, at_ms

    def _connected(self) -> Producer:
        self._refuse_closed()
        if self._producer is None:
            try:
                self._producer = Producer(
                    self._bootstrap,
                    self._topic,
                    request_wait_s=min(REQUEST_WAIT_S, self._delivery_wait_s / 2),
                    connect_wait_s=CONNECT_WAIT_S,
                )
            except (kafka_errors.KafkaError, OSError) as error:
                raise translate(error, "connect a writer", self._bootstrap) from error
            self._refuse_closed()  # only now, for who closes looks for a producer after saying so, and found none to interrupt
        return self._producer

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("This log was closed: open it again.")

    def _retire(self) -> None:
        """Throw the producer away: nobody else sends what it has not sent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _turn_back(self, group: Sequence[_Ticket], failure: LogError) -> None:
        for ticket in group:
            ticket.outcome = failure if ticket is group[0] else _again(failure)
        while self._waiting:
            self._waiting.popleft().outcome = AppendNotDone(
                f"The append to {self._topic} that was before this one failed ({failure}); nothing of this one was sent: "
                "read the stream to its end, then append again."
            )


def chunks(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut entries of these sizes into runs that each fit into one Kafka batch: where each begins and where it stops."""
    first, total = 0, 0
    for index, size in enumerate(sizes):
        total += size
        if index > first and (total > CHUNK_BYTES_MAX or index - first >= CHUNK_COUNT_MAX):
            yield first, index
            first, total = index, size
    yield first, len(sizes)


def entry_bytes(entry: Entry) -> int:
    """Return an upper bound of what the entry takes in Kafka's format."""
    beside = len(entry.key or b"")
    for name, value in entry.headers:
        beside += UTF8_BYTES_MAX * len(name) + len(value)
    return len(entry.value) + beside + FRAMING_BYTES * (1 + len(entry.headers))


def _hand_out(group: Sequence[_Ticket], appended: Appended) -> None:
    taken = 0
    for ticket in group:
        stop = taken + len(ticket.entries)
        ticket.outcome = Appended(appended[taken:stop], appended.at_ms[taken:stop])
        taken = stop


def _again(failure: LogError) -> LogError:
    """Return the same failure as another object: two threads must not raise (and add their tracebacks to) one."""
    copy = type(failure)(*failure.args)
    copy.__cause__ = failure.__cause__
    return copy
