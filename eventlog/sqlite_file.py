"""The SQLite file: made, checked and connected to; must not know appending, reading or what a record means.

One table per stream with `position INTEGER PRIMARY KEY`, measured (1 KiB values, 2 cores) against one table for all streams and
against WITHOUT ROWID: batches of 100 at 80,000/s, 31,000/s and 33,000/s, single fetches twice as fast, a third of the disk.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from eventlog import sqlite_errors
from eventlog.folders import sync_folder
from eventlog.lane_lock import try_lock
from eventlog.port import LogError, LogUnavailable, LogUnfit
from schemas.streams import ALL_STREAMS, SCHEMAS

FILE_NAME: Final = "tidegate.db"
SETUP_LOCK_NAME: Final = "tidegate.setup.lock"

APPLICATION_ID: Final = 0x54494445
"""`TIDE` in ASCII: tells our file from another program's."""

FORMAT_VERSION: Final = 2
"""The layout of the tables (`PRAGMA user_version`)."""

BUSY_WAIT_MAX_S: Final = 10.0
"""Longest wait for another process's write: several times the longest batch, short enough that a caller learns of a hung one."""

BUSY_POLL_S: Final = 0.001
"""Pause between two looks at a lock: SQLite's own pauses grow to 100 ms, and then a busy neighbour starves us."""

WAL_BYTES_MAX: Final = 64 * 1024 * 1024
"""Size to which a checkpoint cuts the write-ahead file back, so that one burst does not keep the disk for ever."""

_SETUP_WAIT_MAX_S: Final = 30.0
"""Longest wait for another process that sets the file up: that takes milliseconds, so this one hangs."""

_PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What the system answers when the disk is full or fails, or handles run out: these may pass, and no permission mends them."""

_FULL: Final = 2


def has_log(data_dir: Path) -> bool:
    """Whether a log's file lies in the folder; whether it is ours and whole is seen when it is opened."""
    return (data_dir / FILE_NAME).exists()


def prepare(data_dir: Path, *, vfs: str | None) -> Path:
    """Make folder and file where missing, check that the file is ours, return its path. Raises LogUnfit or LogUnavailable."""
    path = data_dir / FILE_NAME
    _make_folder(data_dir)
    with _setup_lock(data_dir):
        try:
            # SQLite gives its -wal and -shm files the mode of the database.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _refused(error, f"{path} can't be opened for writing", _WRITE_ADVICE) from error
        connection = connect(path, vfs=vfs)
        try:
            _check_ours(connection, path)
            _lay_out(connection, path)
        except apsw.Error as error:
            raise sqlite_errors.unopened(error, path) from error
        finally:
            connection.close()
    return path


def connect(path: Path, *, vfs: str | None) -> apsw.Connection:
    """Open one connection whose commits are durable before they return. Raises LogUnfit or LogUnavailable."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    except apsw.Error as error:
        raise sqlite_errors.unopened(error, path) from error
    try:
        _make_durable(connection, path)
    except BaseException:
        connection.close(force=True)  # left to the collector, it would keep its files open for as long as its error is remembered
        raise
    return connection


def _make_durable(connection: apsw.Connection, path: Path) -> None:
    try:
        connection.set_busy_handler(_wait_for_lock)
        # FULL syncs the write-ahead file at each commit: NORMAL lost acknowledged records in power cuts (RELIABILITY 2.2).
        # The fullfsync pair does the same on macOS, where fsync alone leaves data in the drive's cache.
        for pragma in ("synchronous=FULL", "fullfsync=ON", "checkpoint_fullfsync=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.pragma("journal_size_limit", WAL_BYTES_MAX)
        synchronous = connection.pragma("synchronous")
    except apsw.Error as error:
        raise sqlite_errors.unopened(error, path) from error
    if synchronous != _FULL:
        raise LogUnfit(f"SQLite refuses synchronous=FULL for {path} and facts would be lost: use an unaltered SQLite.")


_WRITE_ADVICE: Final = "give the user that runs Tidegate the right to read and write it, or name another folder."


def _wait_for_lock(waited_count: int) -> bool:
    time.sleep(BUSY_POLL_S)
    return waited_count * BUSY_POLL_S < BUSY_WAIT_MAX_S


def _make_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise LogUnfit(f"{data_dir} is, or lies below, a file: name a folder for the log.") from error
    except OSError as error:
        raise _refused(error, f"The folder {data_dir} can't be made", _WRITE_ADVICE) from error


def _keep_names(data_dir: Path) -> None:
    """Make the names of the file and of each folder above it durable, before the file takes its first record.

    Those above too, whoever made them: a process may have been killed between making a folder and this. A mount's own name is
    nobody's to keep, and what we may not read (a parent with only `x`) we can't sync.
    """
    try:
        device = data_dir.stat().st_dev
        for folder in (data_dir, *data_dir.absolute().parents):
            if folder.stat().st_dev != device:
                return
            with suppress(PermissionError):
                sync_folder(folder)
    except OSError as error:
        raise _refused(error, f"The name of {data_dir} can't be made durable", "move the folder to a local disk.") from error


def _refused(error: OSError, what: str, advice: str) -> LogError:
    """What the system's refusal means: wait and look after the disk, or a person must do as advised."""
    if error.errno in _PASSING:
        return LogUnavailable(f"{what} ({error.strerror}): make room, or look after the disk, and try again.")
    return LogUnfit(f"{what} ({error.strerror}): {advice}")


@contextmanager
def _setup_lock(data_dir: Path) -> Iterator[None]:
    # Two processes that switch a new file to WAL at once get "database is locked" at once, without the busy handler.
    deadline = time.monotonic() + _SETUP_WAIT_MAX_S
    while True:
        try:
            handle = try_lock(data_dir / SETUP_LOCK_NAME)
        except OSError as error:
            raise _refused(error, f"The folder {data_dir} can't be written", _WRITE_ADVICE) from error
        if handle is not None:
            break
        if time.monotonic() > deadline:
            raise LogUnavailable(f"Another process has been opening {data_dir} for {_SETUP_WAIT_MAX_S:.0f} s: end that process.")
        time.sleep(BUSY_POLL_S)
    try:
        yield
    finally:
        os.close(handle)


def _check_ours(connection: apsw.Connection, path: Path) -> None:
    if connection.readonly("main"):
        raise LogUnfit(f"{path} can't be written: {_WRITE_ADVICE}")
    application_id, version = connection.pragma("application_id"), connection.pragma("user_version")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if (application_id, version) == (0, 0) and empty:
        return
    if application_id != APPLICATION_ID:
        raise LogUnfit(f"{path} belongs to another program: move it away, or name another folder for the log.")
    if version != FORMAT_VERSION:
        raise LogUnfit(
            f"{path} has format {version} and this Tidegate reads format {FORMAT_VERSION}: use the version that wrote it."
        )


def _lay_out(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("journal_mode", "wal") != "wal":
        raise LogUnfit(f"The file system of {path} can't hold a write-ahead log: move the folder to a local disk.")
    present = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    missing = [stream for stream in ALL_STREAMS if stream not in present]
    if not missing:
        return
    _keep_names(path.parent)
    with connection:
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", FORMAT_VERSION)
        for stream in missing:
            key = "key BLOB NOT NULL UNIQUE" if stream == SCHEMAS else "key BLOB"
            connection.execute(
                f'CREATE TABLE "{stream}" (position INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, '
                f"{key}, headers BLOB NOT NULL, value BLOB NOT NULL) STRICT"
            )
