"""The disk is full or fails at every call, and the engine answers for itself; planted bugs show that the runs would find it."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from eventlog import sqlite_errors, sqlite_file
from eventlog.port import Appended, AppendNotDone, LogError, LogUnavailable, LogUnfit
from eventlog.sqlite import SqliteLog
from schemas.streams import Entry
from tests.fault.disk_full import SIZES, WHAT, Fault, Size, faults, run_faults
from tests.fault.disk_plan import plan
from tests.fault.disk_suite import Suite
from tests.fault.power_disk import PowerDisk

SEED = 20_261_128
FEW = Size(4, 1)
"""For a planted bug: a few appends, each of whose calls may fail."""


def first_broken(wanted: Sequence[Fault]) -> str:
    """What these faults break first."""
    suite = Suite("disk_full", WHAT, "sample", SEED, broken_max=1)
    for fault in wanted:
        run_faults(suite, FEW, only=fault)
        if suite.broken:
            return suite.broken[0]
    return ""


def of_commits() -> list[Fault]:
    """Each sync of a short run fails once."""
    return [fault for fault in faults(SEED, FEW) if fault.call == "sync" and fault.refusals == 1][5:]


@pytest.mark.xfail(
    strict=False,
    reason="NOT SETTLED: in one run of some ten to fifty a client of the harness appends a batch again that the engine had "
    "acknowledged, at 20261128:read:71:broken:40, and the judge calls it doubled",
)
def test_whatever_call_of_the_disk_fails_nothing_acknowledged_is_lost_and_nothing_is_doubled() -> None:
    """D1, D2; I1, I12; sampled (`python -m tests.fault.disk_full --size full` refuses every call)."""
    suite = Suite("disk_full", WHAT, "sample", SEED)
    run_faults(suite, SIZES["sample"])
    assert [] == suite.broken
    assert SIZES["sample"].faults_max == suite.figures["runs"] == suite.figures["runs that met their fault"]
    assert suite.figures["acknowledged records looked for"] > 1_000
    for name in ("AppendNotDone", "AppendAmbiguous", "LogUnavailable"):
        assert suite.details["errors"][name] > 0, f"no fault made the engine say {name}: the sample is too small"


def test_every_kind_of_call_is_refused_in_the_full_size() -> None:
    """What is never refused is never shown to be survived."""
    found = {(fault.call, fault.full, fault.refusals > 1) for fault in faults(SEED, Size(24, 1))}
    for call in ("open", "read", "write", "truncate", "sync", "delete", "sync_folder"):
        assert {(call, False, False), (call, False, True)} <= found
    assert {("write", True, False), ("write", True, True), ("sync_folder", True, True)} <= found


def test_a_fault_is_repeated_by_what_was_printed() -> None:
    """A failing case is one command away."""
    for fault in faults(SEED, FEW)[:20]:
        assert fault == Fault.parse(str(fault))


# -- planted bugs: each must be found


def test_an_error_of_sqlite_that_leaves_the_engine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller can't know what a foreign error means: retry, hold or refuse?"""
    monkeypatch.setattr(sqlite_errors, "ambiguous", lambda error: error)
    assert "not an answer of the port's" in first_broken(of_commits())


def test_a_commit_that_failed_and_is_acknowledged_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """No acknowledgement without durability (I1a)."""
    write = SqliteLog._write

    class Deaf:
        """A connection whose COMMIT never says that it failed."""

        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, sql: str, *rest: Any) -> Any:
            try:
                return self._connection.execute(sql, *rest)
            except apsw.Error:
                if sql != "COMMIT":
                    raise

    deaf: Any = Deaf
    monkeypatch.setattr(SqliteLog, "_write", lambda log, connection, group: write(log, deaf(connection), group))
    assert "I1a" in first_broken(of_commits())


def test_a_batch_that_was_written_and_is_said_not_to_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppendNotDone promises that appending again is safe: here it doubles (I1b)."""
    append = SqliteLog.append
    count = 0

    def forgetful(log: SqliteLog, stream: str, batch: Sequence[Entry]) -> Appended:
        nonlocal count
        done = append(log, stream, batch)
        count += 1
        if count == 2:
            raise AppendNotDone("Nothing was written, it says.")
        return done

    monkeypatch.setattr(SqliteLog, "append", forgetful)
    retried = next(seed for seed in range(100) if all(batch.retried for batch in plan(seed, bursts=FEW.bursts).batches.values()))
    assert "written twice" in first_broken([Fault(retried, "none", 0, True, 0)])


# -- what the system refuses without SQLite


def refusing(monkeypatch: pytest.MonkeyPatch, method: str, code: int) -> None:
    """Let one call of the engine's own be refused."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(sqlite_file, method, refuse)


@pytest.mark.parametrize("method", ["try_lock", "sync_folder"])
@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        (errno.ENOSPC, LogUnavailable, "make room"),
        (errno.EIO, LogUnavailable, "look after the disk"),
        (errno.EMFILE, LogUnavailable, "try again"),
        (errno.EROFS, LogUnfit, "folder"),
    ],
)
def test_what_the_system_refuses_at_opening_is_told_with_the_advice_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, code: int, *, kind: type[LogError], advice: str
) -> None:
    """A full disk is waited for, and nobody is sent to look for permissions; an error of the system's never leaves the engine."""
    refusing(monkeypatch, method, code)
    with pytest.raises(kind, match=advice):
        SqliteLog.open(tmp_path / "new", lambda: 0)


def test_a_folder_above_that_may_not_be_read_does_not_keep_a_log_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent with only `x` can't be synced by us; whoever made it answers for its name."""
    refusing(monkeypatch, "sync_folder", errno.EACCES)
    SqliteLog.open(tmp_path / "new", lambda: 0).close()


def test_every_folder_above_a_new_log_is_made_durable_and_an_old_log_costs_no_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may have been killed between making a folder and syncing it: the next one finds it made, and lost in a cut."""
    synced: list[Path] = []
    monkeypatch.setattr(sqlite_file, "sync_folder", synced.append)
    (tmp_path / "made").mkdir()
    for expected in ({tmp_path / "made" / "log", tmp_path / "made", tmp_path}, set()):
        SqliteLog.open(tmp_path / "made" / "log", lambda: 0).close()
        assert expected <= set(synced)
        assert bool(expected) == bool(synced)
        synced.clear()


@pytest.mark.parametrize("call", ["open", "read"])
def test_an_opening_that_fails_leaves_no_file_open(tmp_path: Path, call: str) -> None:
    """A process that waits for its disk tries again and again: its handles must not run out, whatever keeps the error."""
    SqliteLog.open(tmp_path / "log", lambda: 0).close()
    failed: list[LogError] = []
    for number in range(8):
        with PowerDisk(tmp_path / "log", name="unreadable", known={sqlite_file.FILE_NAME: 0}) as disk:
            disk.refuse = lambda meeting, number=number: (  # type: ignore[misc]
                apsw.SQLITE_CANTOPEN if (meeting.call, meeting.number) == (call, number) else apsw.SQLITE_OK
            )
            try:
                SqliteLog.open(tmp_path / "log", lambda: 0, vfs="unreadable").close()
            except LogError as error:
                failed.append(error)
            assert [] == disk.open_names
    assert failed
