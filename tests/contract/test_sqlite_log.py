"""The SQLite engine keeps the log's contract, between processes too, and says what to do when folder or disk are unfit."""

# Tests say `expected == actual` (HOUSE 20), which the rule calls a Yoda condition.

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from eventlog import sqlite, sqlite_errors, sqlite_file, sqlite_watch
from eventlog.port import AppendAmbiguous, AppendNotDone, EventLog, LogError, LogRegressed, LogUnavailable, LogUnfit
from eventlog.sqlite import SqliteLog
from schemas.streams import MODES, Entry
from tests.contract.log_contract import HIGHWAY, WAKE_WAIT_S, LogContract, OpenLog, entries, read_all, values

APPENDER = """
import sys
from pathlib import Path
from eventlog.sqlite import SqliteLog
from schemas.streams import Entry
log = SqliteLog.open(Path(sys.argv[1]), lambda: 0)
for number in range(int(sys.argv[3])):
    log.append("lane.highway", [Entry(f"{sys.argv[2]}:{number}".encode())])
log.close()
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """Give a log in a folder of its own."""
    log = open_log_in(tmp_path)
    yield log
    log.close()


def open_log_in(folder: Path, *, vfs: str | None = None) -> SqliteLog:
    """Open the log of a folder with a clock that stands at 0."""
    return SqliteLog.open(folder, lambda: 0, vfs=vfs)


def start_appender(folder: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    """Start another process that appends `count` entries `name:number` one by one."""
    return subprocess.Popen([sys.executable, "-c", APPENDER, str(folder), name, str(count)])


class TestSqliteLog(LogContract):
    """Handles are opened on one folder."""

    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[OpenLog]:
        """Open handles on one folder, as several processes would."""
        opened: list[EventLog] = []

        def open_one() -> EventLog:
            opened.append(open_log_in(tmp_path / "made" / "on the way"))
            return opened[-1]

        yield open_one
        for log in opened:
            log.close()


# -- several processes


def test_processes_that_open_an_empty_folder_at_once_share_one_log(tmp_path: Path) -> None:
    """Whoever comes first makes the file; every append of every process is there, each in its order."""
    folder = tmp_path / "new"
    appenders = [start_appender(folder, name, 25) for name in "abc"]
    assert [0, 0, 0] == [appender.wait(60) for appender in appenders]
    log = open_log_in(folder)
    found = values(read_all(log, HIGHWAY))
    log.close()
    assert 75 == len(found)
    for name in "abc":
        assert [f"{name}:{number}".encode() for number in range(25)] == [
            value for value in found if value.startswith(name.encode())
        ]


def test_handles_that_open_an_empty_folder_at_the_same_instant_all_open_it(tmp_path: Path) -> None:
    """Two that make the file at once would meet `database is locked`: one makes it, the others wait their turn."""
    for round_number in range(10):
        start = threading.Barrier(6)

        def open_and_append(_: int, folder: Path = tmp_path / str(round_number), start: threading.Barrier = start) -> list[int]:
            start.wait()
            log = open_log_in(folder)
            positions = list(log.append(HIGHWAY, entries(b"a")))
            log.close()
            return positions

        with ThreadPoolExecutor(6) as pool:
            positions = list(pool.map(open_and_append, range(6)))
        assert [[0], [1], [2], [3], [4], [5]] == sorted(positions)


def test_an_append_of_another_process_wakes_a_waiting_reader(log: SqliteLog, tmp_path: Path) -> None:
    """The watcher sees other processes' commits."""
    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(log.read, HIGHWAY, 0, 10, WAKE_WAIT_S)
        assert 0 == start_appender(tmp_path, "other", 1).wait(60)
        assert [b"other:0"] == values(page.result())


def test_an_append_of_this_process_wakes_a_waiting_reader_at_once(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a process nobody waits for the next look at other processes' commits."""
    monkeypatch.setattr(sqlite_watch, "POLL_S", WAKE_WAIT_S)
    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(log.read, HIGHWAY, 0, 10, WAKE_WAIT_S)
        time.sleep(0.1)
        started = time.monotonic()
        log.append(HIGHWAY, entries(b"a"))
        assert [b"a"] == values(page.result())
        assert time.monotonic() - started < WAKE_WAIT_S / 2
        log.close()


def test_a_waiting_reader_does_not_keep_the_write_ahead_file_from_being_emptied(log: SqliteLog, tmp_path: Path) -> None:
    """A read transaction is never held across a wait: checkpoints would starve and the file would grow without end."""
    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(log.read, HIGHWAY, 0, 10, WAKE_WAIT_S)
        for _ in range(30):
            log.append("inbound.rail", [Entry(bytes(1024 * 1024))])
        wal_bytes = (tmp_path / f"{sqlite_file.FILE_NAME}-wal").stat().st_size
        log.append(HIGHWAY, entries(b"a"))
        assert [b"a"] == values(page.result())
    assert wal_bytes < 15 * 1024 * 1024


def test_a_page_ends_when_its_values_are_large(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's memory is bounded in bytes too; the next page goes on where this one ended."""
    monkeypatch.setattr(sqlite, "PAGE_BYTES_MAX", 5)
    log.append(HIGHWAY, entries(b"123", b"456", b"789", b"0123456"))
    assert [b"123", b"456"] == values(log.read(HIGHWAY, 0, 10, 0.0))
    assert [b"789", b"0123456"] == values(log.read(HIGHWAY, 2, 10, 0.0))


def test_only_the_owner_may_read_the_files(log: SqliteLog, tmp_path: Path) -> None:
    """Payloads are other people's trade: no file of the log is open to the group or to others."""
    log.append(HIGHWAY, entries(b"a"))
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    assert {"tidegate.db", "tidegate.db-wal", "tidegate.db-shm"} <= set(modes)
    assert set(modes.values()) == {0}


# -- unfit folders: one sentence that says what to do


def test_a_file_in_the_folders_place_is_unfit(tmp_path: Path) -> None:
    """The log lives in a folder."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LogUnfit, match="name a folder"):
            open_log_in(path)


def test_a_folder_where_no_file_can_be_made_is_unfit() -> None:
    """/proc takes no files, not even from root."""
    for path in (Path("/proc"), Path("/proc/tidegate")):
        with pytest.raises(LogUnfit, match="name another folder"):
            open_log_in(path)


def test_a_file_that_is_no_database_is_unfit(tmp_path: Path) -> None:
    """Whatever it is, it is not overwritten."""
    (tmp_path / sqlite_file.FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(LogUnfit, match="no SQLite database"):
        open_log_in(tmp_path)
    assert b"not a database" * 1000 == (tmp_path / sqlite_file.FILE_NAME).read_bytes()


@pytest.mark.parametrize(
    ("statements", "advice"),
    [
        ("CREATE TABLE theirs (a)", "belongs to another program"),
        ("PRAGMA application_id = 7", "belongs to another program"),
        (
            f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}; PRAGMA user_version = {sqlite_file.FORMAT_VERSION + 1}",
            "use the version that wrote it",
        ),
    ],
)
def test_a_database_that_is_not_ours_is_unfit(tmp_path: Path, statements: str, advice: str) -> None:
    """Another program's database, or a newer format, is left as it is."""
    theirs = apsw.Connection(str(tmp_path / sqlite_file.FILE_NAME))
    theirs.execute(statements)
    theirs.close()
    before = (tmp_path / sqlite_file.FILE_NAME).read_bytes()
    with pytest.raises(LogUnfit, match=advice):
        open_log_in(tmp_path)
    assert before == (tmp_path / sqlite_file.FILE_NAME).read_bytes()


def test_a_log_that_was_removed_or_replaced_under_an_open_handle_is_noticed(log: SqliteLog, tmp_path: Path) -> None:
    """What an open handle would acknowledge into a removed file would be lost (I1a, I1f)."""
    log.append(HIGHWAY, entries(b"a"))
    (tmp_path / sqlite_file.FILE_NAME).rename(tmp_path / "elsewhere.db")
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="removed or replaced"):
            log.append(HIGHWAY, entries(b"b"))
        with pytest.raises(LogRegressed, match="removed or replaced"):
            log.read(HIGHWAY, 0, 1, 0.0)
        (tmp_path / sqlite_file.FILE_NAME).write_bytes(b"")


# -- errors


def test_every_error_of_apsw_has_its_sentence() -> None:
    """No foreign error leaves the engine: a class that a new apsw brings must be thought about."""
    members = [getattr(apsw, name) for name in dir(apsw)]
    classes = {member for member in members if isinstance(member, type) and issubclass(member, apsw.Error)}
    assert classes == set(sqlite_errors.ADVICE)


@pytest.mark.parametrize("kind", sqlite_errors.ADVICE, ids=lambda kind: str(kind.__name__))
def test_every_error_of_apsw_becomes_an_error_of_the_port_with_advice(kind: type[apsw.Error]) -> None:
    """Each phase has its own answer, and each answer carries the advice."""
    error = kind("what SQLite said")
    answers: list[LogError] = [
        sqlite_errors.not_done(error),
        sqlite_errors.ambiguous(error),
        sqlite_errors.unreadable(error),
        sqlite_errors.unopened(error, Path("the/file")),
    ]
    assert [AppendNotDone, AppendAmbiguous] == [type(answer) for answer in answers[:2]]
    for answer in answers:
        assert sqlite_errors.ADVICE[kind] in str(answer)
        assert "what SQLite said" in str(answer)


def test_an_append_behind_a_writer_that_hangs_is_not_done(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for another process's write has a limit, and nothing was written when it is over."""
    monkeypatch.setattr(sqlite_file, "BUSY_WAIT_MAX_S", 0.05)
    other = apsw.Connection(str(tmp_path / sqlite_file.FILE_NAME))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(AppendNotDone, match="another process holds the log"):
        log.append(HIGHWAY, entries(b"a"))
    other.execute("ROLLBACK")
    other.close()
    assert [0] == list(log.append(HIGHWAY, entries(b"b")))
    assert [b"b"] == values(read_all(log, HIGHWAY))


def test_a_clock_that_fails_leaves_no_half_append(tmp_path: Path) -> None:
    """Whatever is raised inside the transaction, it is rolled back and the next append is clean."""
    times = iter([0, None, 0])

    def clock_ms() -> int:
        now = next(times)
        if now is None:
            raise ArithmeticError("the clock broke")
        return now

    log = SqliteLog.open(tmp_path, clock_ms)
    log.append(HIGHWAY, entries(b"a"))
    with pytest.raises(ArithmeticError):
        log.append(HIGHWAY, entries(b"b"))
    log.append(HIGHWAY, entries(b"c"))
    assert [(0, b"a"), (1, b"c")] == [(record.position, record.value) for record in read_all(log, HIGHWAY)]
    log.close()


def test_a_damaged_file_stops_its_readers(log: SqliteLog, tmp_path: Path) -> None:
    """Waiting does not mend a damaged file: LogRegressed, not LogUnavailable (I1f)."""
    log.append(HIGHWAY, [Entry(bytes(1000))] * 2000)
    log.close()
    path = tmp_path / sqlite_file.FILE_NAME
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    again = open_log_in(tmp_path)
    with pytest.raises(LogRegressed, match="restore it from a backup"):
        read_all(again, HIGHWAY)
    again.close()


# -- a disk that breaks


class BreakingDisk(apsw.VFS):
    """A file system whose write-ahead file fails when told to."""

    def __init__(self, name: str) -> None:
        """Register under `name`."""
        self.name = name
        self.broken: type[apsw.Error] | None = None
        self.breaks_at = ""
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "BreakingFile":  # noqa: N802 (apsw's name)
        """Open a file that asks this disk before each write and sync."""
        return BreakingFile(self, name, flags)

    def meet(self, operation: str, flags: int) -> None:
        """Fail if the operation is to fail on such a file."""
        if self.broken is not None and operation == self.breaks_at and flags & apsw.SQLITE_OPEN_WAL:
            raise self.broken("injected")


class BreakingFile(apsw.VFSFile):
    """A file of the breaking disk."""

    def __init__(self, disk: BreakingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        """Open the real file below."""
        self._disk = disk
        self._flags = flags[0]
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (apsw's name)
        """Write, or fail."""
        self._disk.meet("write", self._flags)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 (apsw's name)
        """Sync, or fail."""
        self._disk.meet("sync", self._flags)
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[BreakingDisk]:
    """Give a disk that works until it is told to break."""
    disk = BreakingDisk(f"breaking-{os.getpid()}")
    yield disk
    disk.unregister()


@pytest.mark.parametrize("broken", [apsw.IOError, apsw.FullError])
@pytest.mark.parametrize("breaks_at", ["write", "sync"])
def test_a_disk_that_breaks_at_commit_makes_the_append_ambiguous(
    tmp_path: Path, disk: BreakingDisk, broken: type[apsw.Error], breaks_at: str
) -> None:
    """No acknowledgement without durability; when the disk works again, the stream is whole and its positions dense."""
    log = open_log_in(tmp_path, vfs=disk.name)
    log.append(HIGHWAY, entries(b"a"))
    disk.broken, disk.breaks_at = broken, breaks_at
    for _ in range(2):
        with pytest.raises(AppendAmbiguous, match="make room"):
            log.append(HIGHWAY, entries(b"b", b"b"))
    disk.broken = None
    assert [b"a"] == values(read_all(log, HIGHWAY))
    assert [1] == list(log.append(HIGHWAY, entries(b"c")))
    assert [b"a", b"c"] == values(read_all(log, HIGHWAY))
    log.close()


def test_an_append_whose_sync_failed_may_come_back_after_a_crash(tmp_path: Path, disk: BreakingDisk) -> None:
    """Why an error of COMMIT is ambiguous: its commit mark may be on the disk, and recovery takes it up."""
    log = open_log_in(tmp_path / "crashed", vfs=disk.name)
    log.append(HIGHWAY, entries(b"a"))
    disk.broken, disk.breaks_at = apsw.IOError, "sync"
    with pytest.raises(AppendAmbiguous):
        log.append(HIGHWAY, entries(b"b"))
    (tmp_path / "restarted").mkdir()
    for name in (sqlite_file.FILE_NAME, f"{sqlite_file.FILE_NAME}-wal"):
        shutil.copy(tmp_path / "crashed" / name, tmp_path / "restarted" / name)
    restarted = open_log_in(tmp_path / "restarted")
    assert [b"a", b"b"] == values(read_all(restarted, HIGHWAY))
    restarted.close()
    disk.broken = None
    log.close()


def test_every_mode_has_its_tables(log: SqliteLog) -> None:
    """The file holds every stream from the start."""
    for mode in MODES:
        assert (0, 0) == (log.end(f"inbound.{mode}"), log.end(f"lane.{mode}"))
