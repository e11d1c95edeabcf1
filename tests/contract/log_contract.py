"""What every engine of the event log promises, as tests that an engine's file only instantiates; must not know any engine.

An engine's file derives one class and gives the fixture `open_log`: a function whose calls return handles on one log that is
fresh for the test. The fixture closes what was opened.
"""

# Tests say `expected == actual` (HOUSE 20), which the rule calls a Yoda condition.

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest

from eventlog.admission import KEY_AND_HEADERS_BYTES_MAX
from eventlog.port import (
    BATCH_COUNT_MAX,
    ENTRY_BYTES_MAX,
    READ_COUNT_MAX,
    AppendNotDone,
    EntryTooLarge,
    EventLog,
    LogError,
    LogRegressed,
    LogUnavailable,
)
from schemas.streams import DESK, SCHEMAS, Entry, Record, inbound, lane

OpenLog: TypeAlias = Callable[[], EventLog]

HIGHWAY = lane("highway")
MAIL = inbound("highway")

WAKE_WAIT_S = 20.0
"""Longest wait for something that should come at once: long enough for a loaded machine, so that only a lost wake-up fails."""


def entries(*values: bytes) -> list[Entry]:
    """Make one bare entry of each value."""
    return [Entry(value) for value in values]


def read_all(log: EventLog, stream: str, start: int = 0) -> list[Record]:
    """Read a stream page by page to the end that it has now."""
    records: list[Record] = []
    end = log.end(stream)
    while start < end:
        page = log.read(stream, start, READ_COUNT_MAX, WAKE_WAIT_S)
        assert page, f"{stream} has an end of {end} and nothing to read from {start} on"
        records.extend(page)
        start = page[-1].position + 1
    return records


def values(records: Sequence[Record]) -> list[bytes]:
    """Return the records' values in order."""
    return [record.value for record in records]


class LogContract(ABC):
    """The promises of `eventlog.port.EventLog`."""

    @pytest.fixture
    @abstractmethod
    def open_log(self) -> Iterator[OpenLog]:
        """Give a function that opens one more handle on one fresh log."""

    @pytest.fixture
    def log(self, open_log: OpenLog) -> EventLog:
        """Give one handle on a fresh log."""
        return open_log()

    # -- append

    def test_positions_are_dense_from_zero_in_order_of_append(self, log: EventLog) -> None:
        """Positions are what facts point at: they rise by one, batch after batch."""
        first = list(log.append(HIGHWAY, entries(b"a", b"b")))
        second = list(log.append(HIGHWAY, entries(b"c")))
        assert ([0, 1], [2]) == (first, second)
        assert [(0, b"a"), (1, b"b"), (2, b"c")] == [(record.position, record.value) for record in read_all(log, HIGHWAY)]

    def test_an_append_tells_the_time_that_its_records_carry(self, log: EventLog) -> None:
        """A receipt carries the log's own time, and nothing need be read back for it."""
        appended = [log.append(HIGHWAY, entries(b"a", b"b")), log.append(HIGHWAY, entries(b"c"))]
        told = [(position, at_ms) for each in appended for position, at_ms in zip(each, each.at_ms, strict=True)]
        assert [(record.position, record.at_ms) for record in read_all(log, HIGHWAY)] == told
        assert ((), ()) == (log.append(HIGHWAY, []), log.append(HIGHWAY, []).at_ms)

    def test_each_stream_counts_by_itself(self, log: EventLog) -> None:
        """A stream is one order of its own."""
        log.append(HIGHWAY, entries(b"a", b"b"))
        assert [0] == list(log.append(DESK, entries(b"x")))
        assert (2, 1, 0) == (log.end(HIGHWAY), log.end(DESK), log.end(MAIL))
        assert [b"x"] == values(read_all(log, DESK))

    def test_an_empty_batch_writes_nothing(self, log: EventLog) -> None:
        """A caller need not ask whether there is anything to write."""
        assert [] == list(log.append(HIGHWAY, []))
        assert 0 == log.end(HIGHWAY)

    def test_the_longest_batch_is_taken_whole_and_in_order(self, log: EventLog) -> None:
        """BATCH_COUNT_MAX entries may be appended at once."""
        written = [f"{number}".encode() for number in range(BATCH_COUNT_MAX)]
        assert list(range(BATCH_COUNT_MAX)) == list(log.append(HIGHWAY, entries(*written)))
        assert written == values(read_all(log, HIGHWAY))

    def test_a_batch_over_the_limit_is_refused_and_nothing_is_written(self, log: EventLog) -> None:
        """A batch has a limit, and refusing is explicit (I12)."""
        with pytest.raises(AppendNotDone, match=str(BATCH_COUNT_MAX)):
            log.append(HIGHWAY, entries(b"x") * (BATCH_COUNT_MAX + 1))
        assert 0 == log.end(HIGHWAY)

    def test_an_entry_over_the_limit_is_refused_and_nothing_of_its_batch_is_written(self, log: EventLog) -> None:
        """An entry has a limit (I12), and a batch with one that is too large leaves no half behind."""
        with pytest.raises(EntryTooLarge, match=str(ENTRY_BYTES_MAX)):
            log.append(MAIL, entries(b"fits", bytes(ENTRY_BYTES_MAX + 1), b"fits too"))
        assert 0 == log.end(MAIL)
        assert [0] == list(log.append(MAIL, entries(b"next")))

    def test_an_entry_at_the_limit_is_taken(self, log: EventLog) -> None:
        """ENTRY_BYTES_MAX itself is inside the limit."""
        largest = bytes(ENTRY_BYTES_MAX - 1) + b"!"
        log.append(MAIL, [Entry(largest, (("ce_id", b"1"),))])
        assert [largest] == values(read_all(log, MAIL))

    def test_headers_over_the_limit_are_refused(self, log: EventLog) -> None:
        """Key and headers have a limit too (I12): `eventlog.admission` holds it for every engine."""
        with pytest.raises(EntryTooLarge, match=str(KEY_AND_HEADERS_BYTES_MAX)):
            log.append(MAIL, [Entry(b"", (("name", bytes(KEY_AND_HEADERS_BYTES_MAX)),))])
        assert 0 == log.end(MAIL)

    @pytest.mark.parametrize(
        "entry",
        [
            Entry(b""),
            Entry(bytes(range(256)) * 3),
            Entry(b"value", key=b""),
            Entry(b"value", key=b"\x00\xff key"),
            Entry(b"value", (("b", b"2"), ("a", b"1"), ("b", b"3"), ("b", b"2"))),
            Entry(b"", (("empty", b""), ("binary", bytes(range(256))), ("", b"no name"), ("número", "é".encode()))),
        ],
        ids=["empty value", "binary value", "empty key", "binary key", "header order and duplicates", "odd headers"],
    )
    def test_what_was_written_is_read_back_byte_for_byte(self, log: EventLog, entry: Entry) -> None:
        """The log alters nothing: value, key and headers are evidence."""
        [position] = log.append(MAIL, [entry])
        for [record] in (log.read(MAIL, position, 1, WAKE_WAIT_S), log.fetch(MAIL, [position])):
            assert (entry.value, entry.headers, entry.key) == (record.value, record.headers, record.key)

    # -- several handles, several threads

    def test_what_was_acknowledged_is_read_by_another_handle(self, open_log: OpenLog) -> None:
        """An acknowledged record is in every later read, whoever reads (I1a)."""
        writer = open_log()
        reader = open_log()
        writer.append(HIGHWAY, entries(b"a", b"b"))
        assert 2 == reader.end(HIGHWAY)
        assert read_all(writer, HIGHWAY) == read_all(reader, HIGHWAY)
        assert [2] == list(reader.append(HIGHWAY, entries(b"c")))
        assert [b"a", b"b", b"c"] == values(read_all(writer, HIGHWAY))

    def test_closing_one_handle_leaves_the_other_open(self, open_log: OpenLog) -> None:
        """What was acknowledged stays when its writer goes."""
        writer = open_log()
        writer.append(HIGHWAY, entries(b"a"))
        reader = open_log()
        writer.close()
        assert [b"a"] == values(read_all(reader, HIGHWAY))

    @pytest.mark.parametrize("handle_count", [1, 2])
    def test_appends_of_several_threads_are_all_there_and_each_in_its_order(self, open_log: OpenLog, handle_count: int) -> None:
        """No append is lost, doubled or overtaken by a later one of the same thread, on one handle or on two."""
        handles = [open_log() for _ in range(handle_count)]

        def write(thread: int) -> list[tuple[int, bytes]]:
            told: list[tuple[int, bytes]] = []
            for number in range(20):
                batch = [f"{thread}:{number}:{part}".encode() for part in range(3)]
                told.extend(zip(handles[thread % handle_count].append(HIGHWAY, entries(*batch)), batch, strict=True))
            return told

        with ThreadPoolExecutor(4) as pool:
            told_by_thread = list(pool.map(write, range(4)))
        found = [(record.position, record.value) for record in read_all(handles[0], HIGHWAY)]
        assert sorted(pair for told in told_by_thread for pair in told) == found
        assert list(range(240)) == [position for position, _ in found]
        assert all(told == sorted(told) for told in told_by_thread)

    # -- read, end, fetch

    def test_a_page_ends_at_its_limit_and_the_next_goes_on(self, log: EventLog) -> None:
        """Reading in pages meets every record once."""
        log.append(HIGHWAY, entries(b"a", b"b", b"c", b"d", b"e"))
        pages = [values(log.read(HIGHWAY, start, 2, WAKE_WAIT_S)) for start in (0, 2, 4)]
        assert [[b"a", b"b"], [b"c", b"d"], [b"e"]] == pages

    def test_a_read_at_the_end_returns_nothing_when_its_wait_is_over(self, log: EventLog) -> None:
        """No news is an empty page, not an error."""
        assert [] == list(log.read(HIGHWAY, 0, 10, 0.0))
        log.append(HIGHWAY, entries(b"a"))
        started = time.monotonic()
        assert [] == list(log.read(HIGHWAY, 1, 10, 0.2))
        assert time.monotonic() - started >= 0.2

    def test_a_read_without_wait_sees_what_was_appended_before(self, log: EventLog) -> None:
        """Read back what was just acknowledged: a grant is learnt that way (DESIGN section 4)."""
        for number in range(10):
            log.append(HIGHWAY, entries(b"%d" % number))
            assert [b"%d" % number] == values(log.read(HIGHWAY, number, 10, WAKE_WAIT_S))

    @pytest.mark.parametrize("handle_count", [1, 2])
    def test_an_append_wakes_a_waiting_reader(self, open_log: OpenLog, handle_count: int) -> None:
        """A reader at the end gets the next record as it comes, from its own handle or from another."""
        handles = [open_log() for _ in range(handle_count)]
        with ThreadPoolExecutor(1) as pool:
            started = time.monotonic()
            page = pool.submit(handles[0].read, HIGHWAY, 0, 10, WAKE_WAIT_S)
            time.sleep(0.1)
            handles[-1].append(DESK, entries(b"another stream's"))
            handles[-1].append(HIGHWAY, entries(b"a"))
            assert [b"a"] == values(page.result())
        assert time.monotonic() - started < WAKE_WAIT_S / 2

    def test_who_follows_reads_own_and_others_writes_as_everybody_does(self, open_log: OpenLog) -> None:
        """What a process has just written itself is shown to it at its place among others' records, not before (I1e)."""
        mine, theirs = open_log(), open_log()
        followed: list[Record] = []

        def follow() -> None:
            while len(followed) < 240:
                page = mine.read(HIGHWAY, len(followed), 7, WAKE_WAIT_S)
                assert page, f"nothing more came after {len(followed)} records"
                followed.extend(page)

        def write(log: EventLog, name: str) -> None:
            for number in range(40):
                headers = (("ce_id", name.encode()), ("n", b"%d" % number))
                log.append(HIGHWAY, [Entry(f"{name} {number} {part}".encode(), headers) for part in range(3)])
                time.sleep(0.02 if name == "theirs" and number > 20 else 0)

        with ThreadPoolExecutor(3) as pool:
            under_way = [pool.submit(follow), pool.submit(write, mine, "mine"), pool.submit(write, theirs, "theirs")]
            for each in under_way:
                each.result()
        assert read_all(open_log(), HIGHWAY) == followed

    def test_a_strangers_record_comes_soon_between_own_writes_and_after_them(self, open_log: OpenLog) -> None:
        """Who writes much himself is not deaf to others: an outage's notice among them."""
        mine, theirs = open_log(), open_log()
        for number in range(20):
            mine.append(HIGHWAY, entries(b"mine"))
            assert [b"mine"] == values(mine.read(HIGHWAY, number, 10, WAKE_WAIT_S))
        for number in (20, 21):
            theirs.append(HIGHWAY, entries(b"theirs"))
            started = time.monotonic()
            assert [b"theirs"] == values(mine.read(HIGHWAY, number, 10, WAKE_WAIT_S))
            assert time.monotonic() - started < WAKE_WAIT_S / 2

    def test_a_read_beyond_the_end_says_that_the_log_regressed(self, log: EventLog) -> None:
        """A log that is shorter than what was read from it stops everybody (I1f)."""
        log.append(HIGHWAY, entries(b"a"))
        with pytest.raises(LogRegressed, match=HIGHWAY):
            log.read(HIGHWAY, 2, 10, 0.0)

    def test_a_fetch_returns_the_records_in_the_order_asked(self, log: EventLog) -> None:
        """A fetch is a list of look-ups: any order, any repetition."""
        log.append(HIGHWAY, entries(b"a", b"b", b"c", b"d"))
        assert [b"d", b"a", b"c", b"a"] == values(log.fetch(HIGHWAY, [3, 0, 2, 0]))
        assert [] == list(log.fetch(HIGHWAY, []))

    @pytest.mark.parametrize("missing", [1, 7, -1])
    def test_a_fetch_of_a_missing_record_says_that_the_log_regressed(self, log: EventLog, missing: int) -> None:
        """A fact points only at what was there: if it is gone, stop (I1f)."""
        log.append(HIGHWAY, entries(b"a"))
        with pytest.raises(LogRegressed, match=HIGHWAY):
            log.fetch(HIGHWAY, [0, missing])

    def test_the_end_is_the_next_position(self, log: EventLog) -> None:
        """A reader that reached the end has read everything."""
        assert 0 == log.end(HIGHWAY)
        log.append(HIGHWAY, entries(b"a", b"b"))
        assert 2 == log.end(HIGHWAY)

    def test_a_stream_that_does_not_exist_is_named_in_the_refusal(self, log: EventLog) -> None:
        """A misspelt stream is never made on the fly."""
        with pytest.raises(AppendNotDone, match="bicycle"):
            log.append("lane.bicycle", entries(b"a"))
        calls: list[Callable[[], object]] = [
            lambda: log.read("lane.bicycle", 0, 1, 0.0),
            lambda: log.end("lane.bicycle"),
            lambda: log.fetch("lane.bicycle", [0]),
        ]
        for call in calls:
            with pytest.raises(LogError, match="bicycle"):
                call()

    # -- the compacted stream

    def test_the_schemas_stream_keeps_the_latest_record_of_each_key(self, log: EventLog) -> None:
        """Who reads it to the end knows the latest value of each key; older ones may be gone, positions still grow."""
        log.append(SCHEMAS, [Entry(b"1", key=b"a"), Entry(b"2", key=b"b"), Entry(b"3", key=b"b")])
        assert [3] == list(log.append(SCHEMAS, [Entry(b"4", key=b"a")]))
        assert 4 == log.end(SCHEMAS)
        records = read_all(log, SCHEMAS)
        assert {b"a": b"4", b"b": b"3"} == {record.key: record.value for record in records}
        positions = [record.position for record in records]
        assert sorted(positions) == positions
        assert [b"4", b"3"] == values(log.fetch(SCHEMAS, [3, 2]))

    def test_the_schemas_stream_refuses_an_entry_without_a_key(self, log: EventLog) -> None:
        """Without a key there is nothing to keep the latest of."""
        with pytest.raises(AppendNotDone, match="key"):
            log.append(SCHEMAS, entries(b"1"))
        assert 0 == log.end(SCHEMAS)

    # -- close

    def test_every_method_of_a_closed_log_says_that_it_is_closed(self, log: EventLog) -> None:
        """After close every method raises LogUnavailable; closing again is fine."""
        log.append(HIGHWAY, entries(b"a"))
        log.close()
        log.close()
        calls: list[Callable[[], object]] = [
            lambda: log.append(HIGHWAY, entries(b"b")),
            lambda: log.append(HIGHWAY, []),
            lambda: log.read(HIGHWAY, 0, 1, 0.0),
            lambda: log.end(HIGHWAY),
            lambda: log.fetch(HIGHWAY, [0]),
        ]
        for call in calls:
            with pytest.raises(LogUnavailable):
                call()

    def test_closing_wakes_a_waiting_reader(self, log: EventLog) -> None:
        """A process that stops does not wait for its readers' patience."""
        reading = threading.Event()

        def read() -> object:
            reading.set()
            return log.read(HIGHWAY, 0, 1, WAKE_WAIT_S)

        with ThreadPoolExecutor(1) as pool:
            started = time.monotonic()
            page = pool.submit(read)
            reading.wait()
            time.sleep(0.1)
            log.close()
            with pytest.raises(LogUnavailable):
                page.result()
        assert time.monotonic() - started < WAKE_WAIT_S / 2
