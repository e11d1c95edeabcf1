"""The log in one SQLite file that several processes and threads share; must not know what a record means.

Durable before acknowledged: write-ahead log with synchronous=FULL, one transaction per append. Positions are dense from 0: each
append takes them under SQLite's one write lock, and the newest record of a stream is never removed.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from eventlog import sqlite_errors, sqlite_file
from eventlog.admission import refuse_unfit_batch, refuse_unfit_fetch, refuse_unfit_read, refuse_unknown_stream
from eventlog.port import (
    BATCH_COUNT_MAX,
    NOTHING_APPENDED,
    READ_COUNT_MAX,
    AppendAmbiguous,
    Appended,
    AppendNotDone,
    LogError,
    LogRegressed,
    LogUnavailable,
)
from eventlog.runs import runs
from eventlog.sqlite_rows import pack, records
from eventlog.sqlite_watch import CommitWatch
from schemas.streams import ALL_STREAMS, SCHEMAS, Entry, Record

READERS_MAX: Final = 8
"""Most connections that read at once in a process: each costs file handles and a page cache; more readers wait their turn."""

PAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A page ends once its values exceed this: bounds memory, and the time for which a read keeps checkpoints from finishing."""

TURN_WAIT_MAX_S: Final = 30.0
"""Longest wait for a turn behind this process's own threads: some of their waits for other processes (BUSY_WAIT_MAX_S)."""

GAP_COUNT_MAX: Final = 3
"""Positions not further apart than this are fetched in one go: reading two rows past costs less than another question."""

LOOK_WAIT_S: Final = 0.1
"""Longest wait of a look for other processes' commits behind our own writes; then readers look for themselves."""

GROUP_COUNT_MAX: Final = BATCH_COUNT_MAX
"""Most entries of one transaction, unless one append alone has more: those that waited for a write go together in the next. A
drain writes intents, outcomes, answers and pages at once; one sync for all of them took its appends from 45 ms to 10."""

NAMES_COUNT_MAX: Final = 256
"""Names of headers that are remembered as bytes: ours are 19; a stranger's many push nothing out for long."""


class _Statements(NamedTuple):
    end: str
    insert: str
    page: str
    fetch: str


def _statements(stream: str) -> _Statements:
    # The names come from ALL_STREAMS, never from outside. In the compacted stream a new record drives out its key's older one.
    columns = "position, at_ms, key, headers, value"
    insert = "INSERT OR REPLACE" if stream == SCHEMAS else "INSERT"
    return _Statements(
        end=f'SELECT coalesce(max(position) + 1, 0) FROM "{stream}"',  # noqa: S608
        insert=f'{insert} INTO "{stream}" ({columns}) VALUES (?, ?, ?, ?, ?)',
        page=f'SELECT {columns} FROM "{stream}" WHERE position >= ? ORDER BY position LIMIT ?',  # noqa: S608
        fetch=f'SELECT {columns} FROM "{stream}" WHERE position BETWEEN ? AND ?',  # noqa: S608
    )


_SQL: Final = {stream: _statements(stream) for stream in ALL_STREAMS}


@dataclass(eq=False, slots=True)
class _Waiting:
    """An append that waits for the next transaction; `written` is set when it was in one, `failure` when that failed."""

    stream: str
    rows: Sequence[tuple[bytes | None, bytes, bytes]]
    positions: Appended = NOTHING_APPENDED
    written: bool = False
    failure: LogError | None = None


class SqliteLog:
    """One handle on the log of a folder: one connection that writes, a few that read, a thread that watches for others."""

    at_hand = True

    def __init__(self, path: Path, clock_ms: Callable[[], int], *, vfs: str | None) -> None:
        """Use `open`: it makes and checks the file first."""
        self._path: Final = path
        self._clock_ms: Final = clock_ms
        self._vfs: Final = vfs
        self._identity: Final = _identity(path)
        self._closed: Final = threading.Event()
        self._write_turn: Final = threading.Lock()
        self._waiting: Final[deque[_Waiting]] = deque()
        self._writer: apsw.Connection | None = None
        self._writer_count = 0
        self._read_turns: Final = threading.BoundedSemaphore(READERS_MAX)
        self._idle_readers: Final[list[apsw.Connection]] = []
        self._watch: Final = CommitWatch(self._look_elsewhere)

    @staticmethod
    def open(data_dir: Path, clock_ms: Callable[[], int], *, vfs: str | None = None) -> "SqliteLog":
        """Open the log of a folder, making both where missing (folder 0700, files 0600).

        `clock_ms` stamps records, Unix milliseconds UTC. `vfs` names an apsw VFS, for tests that break the disk. Raises LogUnfit
        when a person must mend something, LogUnavailable when waiting may help. Close the log: a thread belongs to it.
        """
        return SqliteLog(sqlite_file.prepare(data_dir, vfs=vfs), clock_ms, vfs=vfs)

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """See `EventLog.append`."""
        self._refuse_closed()
        refuse_unfit_batch(stream, batch)
        if not batch:
            return NOTHING_APPENDED
        waiting = _Waiting(stream, tuple((entry.key, pack(entry.headers), entry.value) for entry in batch))
        self._waiting.append(waiting)
        try:
            with self._turn_to_write() as connection:
                while not waiting.written:
                    self._write_group(connection)
        except LogError as error:
            raise self._given_up(waiting, error) from error
        if waiting.failure is not None:
            raise type(waiting.failure)(*waiting.failure.args) from waiting.failure  # one object for each thread
        return waiting.positions

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """See `EventLog.read`; a page also ends after PAGE_BYTES_MAX."""
        deadline = time.monotonic() + wait_s
        while True:
            self._refuse_closed()
            refuse_unfit_read(stream, start=start, limit=limit)
            mark = self._watch.mark(stream)
            page = self._page(stream, start, min(limit, READ_COUNT_MAX))
            if page or time.monotonic() >= deadline:
                return page
            self._watch.wait_beyond(stream, mark, deadline=deadline)

    def end(self, stream: str) -> int:
        """See `EventLog.end`."""
        self._refuse_closed()
        refuse_unknown_stream(stream)
        with self._turn_to_read() as connection:
            return _end(connection, stream)

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """See `EventLog.fetch`."""
        self._refuse_closed()
        refuse_unfit_fetch(stream, positions)
        found: dict[int, Record] = {}
        wanted = set(positions)
        with self._turn_to_read() as connection:
            for run in runs(sorted(wanted), GAP_COUNT_MAX):
                rows = connection.execute(_SQL[stream].fetch, (run[0], run[-1]))
                found.update((record.position, record) for record in records(rows, run[0]) if record.position in wanted)
        missing = wanted - found.keys()
        if missing:
            raise LogRegressed(f"{stream} has no record at position {min(missing)}: stop and call a person.")
        return tuple(found[position] for position in positions)

    def close(self) -> None:
        """See `EventLog.close`; waits for the appends and reads under way."""
        with self._write_turn:
            if self._closed.is_set():
                return
            self._closed.set()
            self._watch.close()
            self._drop_writer()
            for _ in range(READERS_MAX):
                self._read_turns.acquire()
            for connection in self._idle_readers:
                connection.close()
            # Whoever still waits for a turn gets one, and finds the log closed.
            for _ in range(READERS_MAX):
                self._read_turns.release()

    def _write_group(self, connection: apsw.Connection) -> None:
        """Write what waits, of all threads and streams, in one transaction: they share one sync of the disk."""
        group: list[_Waiting] = []
        count = 0
        while self._waiting and (not group or count + len(self._waiting[0].rows) <= GROUP_COUNT_MAX):
            group.append(self._waiting.popleft())
            count += len(group[-1].rows)
        try:
            positions = self._write(connection, group)
        except BaseException as error:
            failure = error if isinstance(error, LogError) else AppendAmbiguous(f"The write was broken off ({error!r}).")
            for each in group:
                each.failure, each.written = failure, True
            raise
        for each, found in zip(group, positions, strict=True):
            each.positions, each.written = found, True
        for stream in {each.stream for each in group}:
            self._watch.announce(stream)

    def _write(self, connection: apsw.Connection, group: Sequence["_Waiting"]) -> Sequence[Appended]:
        positions = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            at_ms = self._clock_ms()
            for each in group:
                sql = _SQL[each.stream]
                first = _end(connection, each.stream)
                connection.executemany(sql.insert, ((at, at_ms, *row) for at, row in enumerate(each.rows, first)))
                positions.append(Appended(range(first, first + len(each.rows)), (at_ms,) * len(each.rows)))
        except apsw.Error as error:
            raise sqlite_errors.not_done(error) from error
        try:
            connection.execute("COMMIT")
        except apsw.BusyError as error:
            raise sqlite_errors.not_done(error) from error
        except apsw.Error as error:
            raise sqlite_errors.ambiguous(error) from error
        return positions

    def _given_up(self, waiting: "_Waiting", error: LogError) -> LogError:
        """What an append that got no turn, or whose write failed, has to say: certain only where nobody took it up."""
        try:
            self._waiting.remove(waiting)
        except ValueError:
            return waiting.failure or AppendAmbiguous("Another thread took this append up and is not done: read before going on.")
        return error

    def _page(self, stream: str, start: int, limit: int) -> Sequence[Record]:
        with self._turn_to_read() as connection:
            page = records(connection.execute(_SQL[stream].page, (start, limit)), start, PAGE_BYTES_MAX)
            end = start if page else _end(connection, stream)
        if start > end:
            raise LogRegressed(
                f"{stream} ends at {end} and {start} was to be read: the log is shorter than it was; stop and call a person."
            )
        return page

    @contextmanager
    def _turn_to_write(self) -> Iterator[apsw.Connection]:
        if not self._write_turn.acquire(timeout=TURN_WAIT_MAX_S):
            raise AppendNotDone(f"Nothing was written: other threads have been writing for {TURN_WAIT_MAX_S:.0f} s. Try again.")
        try:
            self._refuse_closed()
            self._refuse_other_file(LogUnavailable)
            yield self._open_writer()
        finally:
            # Whatever went wrong, the next append starts clean: closing the connection rolls an open transaction back.
            if self._writer is not None and self._writer.in_transaction:
                self._drop_writer()
            self._write_turn.release()

    def _open_writer(self) -> apsw.Connection:
        if self._writer is None:
            self._writer = self._connect()
            self._writer_count += 1
        return self._writer

    def _look_elsewhere(self) -> object:
        """What changes when another process commits. Asked of the writing connection, `data_version` passes over our own commits,
        which are announced: asked of any other, each of ours woke all followers a second time."""
        if not self._write_turn.acquire(timeout=LOOK_WAIT_S):
            return object()
        try:
            self._refuse_closed()
            return self._open_writer().pragma("data_version"), self._writer_count
        finally:
            self._write_turn.release()

    @contextmanager
    def _turn_to_read(self) -> Iterator[apsw.Connection]:
        if not self._read_turns.acquire(timeout=TURN_WAIT_MAX_S):
            raise LogUnavailable(f"Other threads have been reading for {TURN_WAIT_MAX_S:.0f} s: try again.")
        try:
            self._refuse_closed()
            self._refuse_other_file(LogRegressed)
            try:
                connection = self._idle_readers.pop()
            except IndexError:
                connection = self._connect()
            try:
                yield connection
            except apsw.Error as error:
                connection.close(force=True)
                raise sqlite_errors.unreadable(error) from error
            except BaseException:
                connection.close(force=True)
                raise
            self._idle_readers.append(connection)
        finally:
            self._read_turns.release()

    def _connect(self) -> apsw.Connection:
        # A file that was fit when we opened it: what fails now (no file handles left, disk gone) is a matter of waiting.
        try:
            return sqlite_file.connect(self._path, vfs=self._vfs)
        except LogError as error:
            raise LogUnavailable(str(error)) from error

    def _drop_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close(force=True)

    def _refuse_closed(self) -> None:
        if self._closed.is_set():
            raise LogUnavailable("This log was closed: open it again.")

    def _refuse_other_file(self, kind: type[LogError]) -> None:
        # Open connections go on in a file that was removed or replaced, and what they acknowledge would be lost with it (I1f).
        if _identity(self._path) != self._identity:
            raise kind(f"{self._path} was removed or replaced while it was open: stop and call a person.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _end(connection: apsw.Connection, stream: str) -> int:
    end = connection.execute(_SQL[stream].end).get
    assert isinstance(end, int)
    return end
