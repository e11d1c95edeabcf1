"""Carries a plan out on a real SqliteLog as its clients would, and notes what each was told and when; must not judge it.

Which appends share a transaction is made sure of, not left to chance: the log asks its clock inside a transaction, and there the
next ones are started and seen to wait. So the same plan does the same to the disk each time.
"""

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias
from unittest.mock import patch

import apsw

from eventlog import sqlite_file
from eventlog.folders import sync_folder
from eventlog.port import READ_COUNT_MAX, AppendAmbiguous, AppendNotDone, LogError, LogUnavailable, LogUnfit
from eventlog.sqlite import SqliteLog
from schemas.streams import ALL_STREAMS, Record
from tests.fault.disk_plan import Batch, Burst, Checkpoint, HoldReader, LetReaderGo, Plan, Reopen
from tests.fault.power_disk import PowerDisk

CHECKPOINT_PAGES: Final = 40
"""Pages in the write-ahead file at which SQLite checkpoints by itself in a commit: its own 1,000 would need megabytes a cut."""

TRIES_MAX: Final = 400
"""Most tries of one append or opening: a disk that fails for some operations fails for fewer tries; more is a log that hangs."""

QUEUE_WAIT_S = 10.0
"""A thread that was started waits for its turn after milliseconds, and one that is told of its append says so at once."""

HANDLES: Final = 2
"""Open logs on one folder: two processes, as far as SQLite can tell."""

Answer: TypeAlias = Literal["acknowledged", "found", "not done", "unknown"]
"""`found`: it was not known whether the append was written, and it was read at its positions."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told of a batch. `at`: how many things had been done to the disk by then."""

    number: int
    answer: Answer
    at: int
    records: tuple[Record, ...] = ()


@dataclass(slots=True)
class Notes:
    """What the clients saw. `issued`: when each batch was first handed over. `seen`: (when, stream, end) as a reader saw it."""

    issued: dict[int, int] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    seen: list[tuple[int, str, int]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)


class Writers:
    """The clients of one run on one folder."""

    def __init__(self, folder: Path, disk: PowerDisk) -> None:
        self.notes = Notes()
        self._folder = folder
        self._disk = disk
        self._logs: list[SqliteLog] = []
        self._reader: apsw.Connection | None = None
        self._now_ms = 1_000
        self._behind: tuple[Batch, ...] = ()
        self._handle = 0
        self._threads: list[threading.Thread] = []
        self._first_told = threading.Event()

    def run(self, plan: Plan) -> Notes:
        """Do all of it, and close the log at the end."""
        with patched(self._disk):
            self._open()
            for step in plan.steps:
                match step:
                    case Burst():
                        self._burst(step)
                    case Checkpoint():
                        self._checkpoint(step.mode)
                    case HoldReader():
                        self._hold_reader()
                    case LetReaderGo():
                        self._let_reader_go()
                    case Reopen():
                        self._close()
                        self._open()
            self._close()
        return self.notes

    def write(self, bursts: Sequence[Burst], log: SqliteLog) -> Notes:
        """Only these, on a log that somebody else opened and closes."""
        self._logs = [log]
        for burst in bursts:
            self._burst(burst)
        return self.notes

    def look(self, streams: Sequence[str]) -> None:
        """Note how far another handle reads now, if somebody writes: what it is shown must be durable."""
        for stream in streams if self._threads else ():
            self.notes.seen.append((len(self._disk.trace), stream, self._logs[-1].end(stream)))

    def _open(self) -> None:
        for _ in range(HANDLES):
            for attempt in range(TRIES_MAX):
                try:
                    self._logs.append(SqliteLog.open(self._folder, self._clock_ms, vfs=self._disk.name))
                    break
                except LogUnavailable as error:
                    self._count(error)
                except LogUnfit as error:
                    self._count(error)
                    if "CantOpenError" not in str(error):
                        self.notes.broken.append(f"a failing disk made the log unfit, as if a person had to mend it: {error}")
                except Exception as error:  # noqa: BLE001 (any other error is what is looked for)
                    self._foreign("opening", error)
                if attempt == TRIES_MAX - 1:
                    raise AssertionError("the log could not be opened though the disk works again")

    def _close(self) -> None:
        self._let_reader_go()
        for log in self._logs:
            try:
                log.close()
            except Exception as error:  # noqa: BLE001 (as above)
                self._foreign("closing", error)
        self._logs.clear()

    def _burst(self, burst: Burst) -> None:
        self._behind, self._handle = burst.behind, burst.handle
        self._first_told.clear()
        self._start(burst.first)
        self._threads[0].join()
        for batch in self._behind:  # the log never asked for the time: it could not even begin
            self._start(batch)
        self._behind = ()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self, batch: Batch) -> None:
        thread = threading.Thread(target=self._client, args=(batch, self._logs[self._handle]), name=f"client {batch.number}")
        self._threads.append(thread)
        thread.start()

    def _clock_ms(self) -> int:
        """Called by the log inside a transaction, before it writes."""
        behind, self._behind = self._behind, ()
        if behind:
            for batch in behind:
                waiting = len(self._logs[self._handle]._waiting)
                self._start(batch)
                deadline_s = time.monotonic() + QUEUE_WAIT_S
                while len(self._logs[self._handle]._waiting) == waiting and time.monotonic() < deadline_s:
                    time.sleep(0.0001)
        elif threading.current_thread() in self._threads[1:]:
            self._first_told.wait(QUEUE_WAIT_S)
        self._now_ms += 1
        return self._now_ms

    def _client(self, batch: Batch, log: SqliteLog) -> None:
        """Hand a batch to the log; after an error do what the port says."""
        self.notes.issued[batch.number] = len(self._disk.trace)
        try:
            for _ in range(TRIES_MAX):
                told = self._once(batch, log)
                self.notes.told.append(told)
                self._first_told.set()
                if told.records or not batch.retried:
                    return
            self.notes.broken.append(f"batch {batch.number} was not taken though the disk works again")
        except Exception as error:  # noqa: BLE001 (any error but the port's is what is looked for)
            self._foreign(f"appending batch {batch.number}", error)
        finally:
            self._first_told.set()

    def _once(self, batch: Batch, log: SqliteLog) -> Told:
        answer: Answer = "not done"
        records: tuple[Record, ...] = ()
        try:
            places = log.append(batch.stream, batch.entries)
        except AppendAmbiguous as error:
            self._count(error)
            records = self._find(batch, log) if batch.retried else ()
            answer = "found" if records else "unknown"
        except (AppendNotDone, LogUnavailable) as error:
            self._count(error)
        else:
            answer = "acknowledged"
            written = zip(places, places.at_ms, batch.entries, strict=True)
            records = tuple(Record(at, at_ms, each.value, each.headers, each.key) for at, at_ms, each in written)
        return Told(batch.number, answer, len(self._disk.trace), records)

    def _find(self, batch: Batch, log: SqliteLog) -> tuple[Record, ...]:
        """Read the stream to its end; the batch's records if they are there."""
        for _ in range(TRIES_MAX):
            try:
                wanted = {entry.value for entry in batch.entries}
                return tuple(record for record in read_all(log, batch.stream) if record.value in wanted)
            except LogUnavailable as error:
                self._count(error)
        raise AssertionError("the log could not be read though the disk works again")

    def _checkpoint(self, mode: str) -> None:
        connection = self._other_program(f"PRAGMA wal_checkpoint({mode})")
        if connection is not None:
            connection.close(force=True)

    def _hold_reader(self) -> None:
        self._reader = self._other_program("BEGIN", "SELECT count(*) FROM desk")

    def _let_reader_go(self) -> None:
        if self._reader is not None:
            self._reader.close(force=True)
            self._reader = None

    def _other_program(self, *statements: str) -> apsw.Connection | None:
        """A connection that is not Tidegate's, and has done that; None when the disk failed under it, which is its own affair."""
        connection = None
        try:
            path = str(self._folder / sqlite_file.FILE_NAME)
            connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._disk.name)
            for statement in ("PRAGMA synchronous=FULL", *statements):
                connection.execute(statement).fetchall()
        except apsw.Error:
            if connection is not None:
                connection.close(force=True)
            return None
        return connection

    def _count(self, error: LogError) -> None:
        name = type(error).__name__
        self.notes.errors[name] = self.notes.errors.get(name, 0) + 1

    def _foreign(self, doing: str, error: Exception) -> None:
        self.notes.broken.append(f"{doing} raised {type(error).__name__}, which is not an answer of the port's: {error}")


def read_all(log: SqliteLog, stream: str) -> list[Record]:
    """A stream from its first record to the end that it has now; one that goes backwards is left there."""
    records: list[Record] = []
    start, end = 0, log.end(stream)
    while start < end:
        page = log.read(stream, start, READ_COUNT_MAX, 0.0)
        records.extend(page)
        if not page or page[-1].position < start:
            break
        start = page[-1].position + 1
    return records


@contextmanager
def patched(disk: PowerDisk) -> Iterator[None]:
    """Let the disk see and refuse what the engine does without SQLite, the sync of folders, and let checkpoints come soon."""
    connect = sqlite_file.connect

    def connect_soon_full(path: Path, *, vfs: str | None) -> apsw.Connection:
        connection = connect(path, vfs=vfs)
        connection.wal_autocheckpoint(CHECKPOINT_PAGES)
        return connection

    def sync_seen(folder: Path) -> None:
        refused = disk.meet("sync_folder", folder.name)
        if refused:
            code = errno.ENOSPC if refused == apsw.SQLITE_FULL else errno.EIO
            raise OSError(code, os.strerror(code), str(folder))
        disk.sync_folder(folder)
        sync_folder(folder)

    with patch.object(sqlite_file, "connect", connect_soon_full), patch.object(sqlite_file, "sync_folder", sync_seen):
        yield


def everything(log: SqliteLog) -> dict[str, list[Record]]:
    """All records by stream."""
    return {stream: read_all(log, stream) for stream in ALL_STREAMS}
