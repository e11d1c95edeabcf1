"""Follows streams ahead of their readers with one client and one thread; must not know what a record means.

Each stream has a window: a run of records without holes, kept in memory, that the client extends at its far end. A read is
served from the window; a read elsewhere moves the window there. Readers of one stream at different places take turns.

What this process writes itself comes with its acknowledgement: where it stands right behind the window's end, the window is
extended by it (`take_written`), and the brokers are not asked for that stream while such writes follow each other. A record that
was acknowledged is in every copy that is in sync, as one that was fetched is. Where a stranger's record stands between, positions
tell, and the stream is fetched from the window's end on as ever.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import TopicPartition
from kafka import errors as kafka_errors

from eventlog.kafka_link import READ_WAIT_S, assign_all, connect_consumer, translate
from eventlog.port import READ_COUNT_MAX, Appended, LogError, LogRegressed, LogUnavailable
from schemas.streams import SCHEMAS, Entry, Record

WINDOW_COUNT_MAX: Final = 2 * READ_COUNT_MAX
"""Most records of a window: one page is read while the next one comes."""

WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024
"""Most bytes of a window's values (one larger record still fits): sixteen streams stay under 150 MB."""

POLL_COUNT_MAX: Final = 5_000
"""Most records taken from the client at a time: bounds how long the windows are locked."""

POLL_WAIT_S: Final = 0.05
"""How long one poll waits: a reader that turns to another place waits this long at most."""

IDLE_WAIT_MS: Final = 100
"""How long a broker holds a question when nothing is new; a new record is answered at once, a moved window waits for it."""

PARTITION_BYTES_MAX: Final = 2 * 1024 * 1024
"""Most bytes of one stream in one answer."""

TURN_S: Final = 0.5
"""How long a window stays where a reader asked before another reader may move it: longer than one question takes."""

QUIET_S: Final = 5.0
"""After this long without a reader the thread stops asking, until the next one comes."""

MEND_PAUSE_S: Final = 1.0
"""Pause before a client that failed is replaced."""

OWN_S: Final = 0.1
"""How long after a write of ours its stream is not fetched: a stranger's record waits that much and IDLE_WAIT_MS at most."""

SHARED_S: Final = 5.0
"""How long a stream is fetched without such pauses after a stranger's record stood between ours: others are at work there."""

CLOSE_WAIT_S: Final = 10.0
"""Longest wait for the thread to end."""


@dataclass(eq=False, slots=True)
class _Claim:
    """A reader that waits for records from `start` on, since `begun_s` (monotonic); `failure` ends its waiting."""

    start: int
    begun_s: float
    failure: LogError | None = None


@dataclass(eq=False, slots=True)
class _Window:
    """Records of one stream from `first` up to but without `next`; `first` is -1 before the first seek.

    `fetched` is where the client goes on; it lags behind `next` by what was written here. Until `own_until_s` nothing is fetched.
    `changed` wakes this stream's readers alone: where all waited for one condition, each record woke the followers of all
    streams, which took 1.4 switches of threads a message of a drain.
    """

    changed: threading.Condition
    first: int = -1
    next: int = -1
    records: list[Record] = field(default_factory=list)
    size: int = 0
    read_to: int = 0
    claims: list[_Claim] = field(default_factory=list)
    claim: _Claim | None = None
    moved_s: float = 0.0
    fetched: int = -1
    own_until_s: float = float("-inf")
    shared_until_s: float = float("-inf")

    def page(self, start: int, limit: int) -> Sequence[Record]:
        """Return up to `limit` records from `start` on, as far as they are here."""
        if not self.covers(start):
            return ()
        index = bisect_left(self.records, start, key=lambda record: record.position)
        page = tuple(self.records[index : index + limit])
        if page:
            self.read_to = page[-1].position + 1
        return page

    def covers(self, start: int) -> bool:
        """Tell whether what follows `start` is here or is the next to come."""
        return 0 <= self.first <= start <= self.next

    def move(self, start: int, claim: _Claim | None) -> None:
        """Forget everything and begin again at `start`."""
        self.first = self.next = self.read_to = self.fetched = start
        self.own_until_s = float("-inf")
        self.records, self.size = [], 0
        self.claim, self.moved_s = claim, time.monotonic()

    def extend(self, records: Sequence[Record]) -> None:
        """Add records that come next."""
        self.records += records
        self.size += sum(len(record.value) for record in records)
        self.next = records[-1].position + 1
        self.changed.notify_all()

    def take_fetched(self, records: Sequence[Record]) -> bool:
        """Add what was fetched, but for what was written here meanwhile; False if a record is missing."""
        self.fetched = records[-1].position + 1
        fresh = [record for record in records if record.position >= self.next]
        if [record.position for record in fresh] != list(range(self.next, self.next + len(fresh))):
            return False
        if fresh:
            self.extend(fresh)
        return True

    def take_written(self, entries: Sequence[Entry], appended: Appended) -> None:
        """Add what this process wrote, if nothing is missing between; otherwise somebody else writes here, too."""
        now_s = time.monotonic()
        if self.next < appended[0]:
            self.own_until_s, self.shared_until_s = float("-inf"), now_s + SHARED_S
            return
        if appended[0] == self.next and appended[-1] == self.next + len(appended) - 1 and not self.is_full():
            stamped = zip(entries, appended, appended.at_ms, strict=True)
            self.extend([Record(position, at_ms, entry.value, entry.headers, entry.key) for entry, position, at_ms in stamped])
        if now_s > self.shared_until_s and self._holds(appended[-1], appended.at_ms[-1], entries[-1]):
            self.own_until_s = now_s + OWN_S

    def _holds(self, position: int, at_ms: int, entry: Entry) -> bool:
        """Tell whether the record at the position here is that one: in a topic made anew it is not, and fetching tells."""
        index = bisect_left(self.records, position, key=lambda record: record.position)
        found = self.records[index : index + 1]
        return [(position, at_ms, entry.value)] == [(record.position, record.at_ms, record.value) for record in found]

    def end(self, failure: LogError, claims: Iterable[_Claim]) -> None:
        """Tell these readers that they wait in vain, and forget everything."""
        for claim in claims:
            claim.failure = failure
        self.move(-1, None)
        self.changed.notify_all()

    def is_full(self) -> bool:
        """Tell whether nothing more may come; first drops what the last reader has passed."""
        if len(self.records) < WINDOW_COUNT_MAX and self.size < WINDOW_BYTES_MAX:
            return False
        passed = bisect_left(self.records, self.read_to, key=lambda record: record.position)
        if passed:
            self.size -= sum(len(record.value) for record in self.records[:passed])
            del self.records[:passed]
            self.first = self.records[0].position if self.records else self.next
        return len(self.records) >= WINDOW_COUNT_MAX or self.size >= WINDOW_BYTES_MAX

    def next_claim(self) -> _Claim | None:
        """Return the reader that the window must move to now, or None to stay."""
        elsewhere = [claim for claim in self.claims if not self.covers(claim.start)]
        if not elsewhere or (self.claim in self.claims and time.monotonic() < self.moved_s + TURN_S):
            return None
        return elsewhere[0]


class Tail:
    """Serves reads of all streams; may be called from several threads."""

    def __init__(self, bootstrap: str, topics: Mapping[str, str], end_since: Callable[[str, float], int]) -> None:
        """Connect nothing yet: the first read does.

        `topics` maps streams to topics, `end_since` says where a stream ended at some moment since a time (monotonic).
        """
        self._bootstrap: Final = bootstrap
        self._streams: Final = {TopicPartition(topic, 0): stream for stream, topic in topics.items()}
        self._topics: Final = topics
        self._end_since: Final = end_since
        self._lock: Final = threading.Lock()
        self._asked: Final = threading.Condition(self._lock)
        self._windows: Final = {stream: _Window(threading.Condition(self._lock)) for stream in topics}
        self._thread: threading.Thread | None = None
        self._consumer: Any = None
        self._last_claim_s = 0.0
        self._closed = False

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """Return records as `EventLog.read`; nothing only when the brokers said that there was nothing."""
        window, claim = self._windows[stream], _Claim(start, time.monotonic())
        limit = min(limit, READ_COUNT_MAX)
        with self._lock:
            page = window.page(start, limit)
            if page:
                return page
            window.claims.append(claim)
            self._last_claim_s = claim.begun_s
            self._run_thread()
            self._asked.notify_all()
        try:
            page = self._wait_page(window, claim, limit, wait_s)
            if page:
                return page
            return self._read_to_end(stream, claim, limit)
        finally:
            with self._lock:
                window.claims.remove(claim)

    def take_written(self, stream: str, entries: Sequence[Entry], appended: Appended) -> None:
        """Show what this process has just appended to whoever follows the stream here."""
        window = self._windows[stream]
        with self._lock:
            if window.first >= 0 and stream != SCHEMAS:
                window.take_written(entries, appended)

    def close(self) -> None:
        """End the thread and its client; readers that wait get LogUnavailable."""
        with self._lock:
            self._closed = True
            self._asked.notify_all()
            for window in self._windows.values():
                window.changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_WAIT_S)

    def _wait_page(self, window: _Window, claim: _Claim, limit: int, wait_s: float) -> Sequence[Record]:
        deadline = time.monotonic() + wait_s
        with self._lock:
            while True:
                if self._closed:
                    raise LogUnavailable("This log was closed: open it again.")
                page = window.page(claim.start, limit)
                if page:
                    return page
                if claim.failure is not None:
                    raise type(claim.failure)(*claim.failure.args) from claim.failure  # one object for each thread
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return ()
                window.changed.wait(left_s)

    def _read_to_end(self, stream: str, claim: _Claim, limit: int) -> Sequence[Record]:
        """Settle a read that got nothing in its time: is there nothing, or did nothing get here yet?"""
        window, end = self._windows[stream], self._end_since(stream, claim.begun_s)
        if claim.start > end:
            raise LogRegressed(
                f"{stream} ends at {end} and {claim.start} was to be read: records were deleted or the topic was made anew; "
                "stop, keep the brokers' data folders and call a person."
            )
        deadline = time.monotonic() + READ_WAIT_S
        while claim.start < end:
            page = self._wait_page(window, claim, limit, POLL_WAIT_S)
            with self._lock:
                only_holes = window.covers(claim.start) and window.next >= end
            if page or only_holes:
                return page
            if time.monotonic() > deadline:
                raise LogUnavailable(f"{stream} could not be read at {claim.start} in {READ_WAIT_S:.0f} s: try again.")
        return ()

    def _run_thread(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._follow, name="tidegate-kafka-tail", daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        """Keep the windows filled until the log is closed: the top of this worker's loop."""
        while not self._closed:
            try:
                self._await_readers()
                self._step()
            except LogError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 (the top of a worker loop: every reader is told, and it starts anew)
                self._fail(translate(error, "be followed", self._bootstrap))
        self._let_go()

    def _await_readers(self) -> None:
        with self._lock:
            while not self._closed and not self._wanted() and time.monotonic() > self._last_claim_s + QUIET_S:
                self._asked.wait(QUIET_S)

    def _wanted(self) -> bool:
        return any(window.claims for window in self._windows.values())

    def _step(self) -> None:
        """Move and pause windows as their readers need, and take what has come."""
        if self._consumer is None:
            self._consumer = connect_consumer(self._bootstrap, partition_bytes_max=PARTITION_BYTES_MAX, idle_wait_ms=IDLE_WAIT_MS)
            assign_all(self._consumer, self._topics.values())
        consumer = self._consumer
        with self._lock:
            now_s = time.monotonic()
            for partition, stream in self._streams.items():
                window = self._windows[stream]
                claim = window.next_claim()
                if claim is not None:
                    window.move(claim.start, claim)
                    consumer.seek(partition, claim.start)
                if window.first < 0 or window.is_full() or now_s < window.own_until_s:
                    consumer.pause(partition)
                    continue
                if window.fetched < window.next and stream != SCHEMAS:
                    consumer.seek(partition, window.next)
                    window.fetched = window.next
                consumer.resume(partition)
        try:
            found = consumer.poll(timeout_ms=int(POLL_WAIT_S * 1000), max_records=POLL_COUNT_MAX)
        except kafka_errors.OffsetOutOfRangeError as error:
            self._regress(error.args[0], error)
        except kafka_errors.LogTruncationError as error:
            self._regress(error.divergent_offsets, error)
        else:
            self._take(found)

    def _take(self, found: Mapping[TopicPartition, Sequence[Record]]) -> None:
        # The compacted stream's position also passes what compaction took away.
        compacted = TopicPartition(self._topics[SCHEMAS], 0)
        passed = self._consumer.position(compacted) if self._windows[SCHEMAS].first >= 0 else None
        with self._lock:
            for partition, records in found.items():
                stream = self._streams[partition]
                window = self._windows[stream]
                if stream == SCHEMAS:
                    window.extend(records)
                elif not window.take_fetched(records):
                    self._end_window(window, LogRegressed(f"{stream} has a hole after {window.next}: stop and call a person."))
            if passed is not None and passed > self._windows[SCHEMAS].next:
                self._windows[SCHEMAS].next = passed
                self._windows[SCHEMAS].changed.notify_all()

    def _regress(self, partitions: Mapping[TopicPartition, object], error: kafka_errors.KafkaError) -> None:
        """Tell the readers of these streams that their place is gone; other streams go on."""
        with self._lock:
            for partition in partitions:
                failure = translate(error, f"read {self._streams[partition]}", self._bootstrap)
                failure.__cause__ = error
                self._end_window(self._windows[self._streams[partition]], failure)

    def _end_window(self, window: _Window, failure: LogError) -> None:
        """Tell the readers that the window serves; others may look for their place yet."""
        window.end(failure, [claim for claim in window.claims if claim is window.claim or claim.start == window.next])

    def _fail(self, error: LogError) -> None:
        """Tell every reader that waits, and begin anew with another client after a pause."""
        self._let_go()
        with self._lock:
            for window in self._windows.values():
                window.end(error, window.claims)
            if not self._closed:
                self._asked.wait(MEND_PAUSE_S)

    def _let_go(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
