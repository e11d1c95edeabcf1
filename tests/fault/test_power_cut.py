"""The power is cut at every moment, and nothing that was acknowledged is lost; planted bugs show that the cuts would find it."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from eventlog import sqlite_file
from eventlog.port import Appended
from eventlog.sqlite import _SQL, SqliteLog, _end, _Waiting
from eventlog.sqlite_rows import pack
from schemas.streams import Entry, Record
from tests.fault import disk_writers
from tests.fault.disk_judge import Promised, judge, promised
from tests.fault.disk_plan import Batch
from tests.fault.disk_suite import Suite, scratch
from tests.fault.power_cut import SIZES, WHAT, Size, golden, run_cuts, run_day, second_cuts
from tests.fault.power_disk import FOLDER, Meeting, Op, PowerDisk
from tests.fault.power_platter import Platter

SEED = 20_261_128
FEW = Size(12, 4, 0.5)
"""For a planted bug: enough to meet it."""


def first_broken(**planted: Callable[..., object]) -> str:
    """What the suite finds first when the golden run is one of an engine some of whose methods are these."""
    suite = Suite("power_cut", WHAT, "sample", SEED, broken_max=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_writers, "QUEUE_WAIT_S", 0.02)  # these engines keep clients waiting
        for name, method in planted.items():
            patch.setattr(SqliteLog, name, method)
        run = golden(SEED, bursts=FEW.bursts)
    run_cuts(suite, run, FEW)
    return " ".join(suite.broken)


def test_no_power_cut_loses_what_was_acknowledged_or_leaves_a_part_of_a_batch() -> None:
    """I1a, I1c; C4 and C3 of the fault matrix, sampled (`python -m tests.fault.power_cut --size full` does all)."""
    suite = Suite("power_cut", WHAT, "sample", SEED)
    run_cuts(suite, golden(SEED, bursts=SIZES["sample"].bursts), SIZES["sample"])
    assert [] == suite.broken
    assert 40 * SIZES["sample"].survivals == suite.figures["survivals"]
    assert suite.figures["acknowledged records looked for"] > 1_000
    assert suite.figures["batches there that nobody had been told of"] > 0, "no cut fell between a write and its acknowledgement"
    assert suite.figures["second cuts"] > 20


def test_a_day_of_real_facts_is_sound_wherever_the_power_is_cut() -> None:
    """The independent checker finds every acknowledged publish, and `audit.verify` nothing wrong (I1a, I1b, I6)."""
    suite = Suite("power_cut", WHAT, "sample", SEED)
    run_day(suite, groups=SIZES["sample"].groups, cuts_count=SIZES["sample"].days)
    assert [] == suite.broken
    assert SIZES["sample"].days == suite.figures["days cut and judged by the checker"]


def test_the_same_seed_does_the_same_to_the_disk() -> None:
    """A failing case can be repeated by its numbers; only SQLite's random salts differ."""
    first, second = (golden(SEED, bursts=8) for _ in range(2))
    shapes = [[(op.kind, op.file, op.offset, len(op.data), op.name) for op in run.trace] for run in (first, second)]
    assert shapes[0] == shapes[1]
    assert {(told.number, told.at) for told in first.notes.told} == {(told.number, told.at) for told in second.notes.told}


def test_group_commits_and_checkpoints_are_among_what_is_cut() -> None:
    """The cuts strike where the risk is: several threads' appends behind one sync, and pages on their way into the database."""
    run = golden(SEED, bursts=FEW.bursts)
    told_together = [told.at for told in run.notes.told if told.answer == "acknowledged"]
    assert len(set(told_together)) < len(told_together)
    assert len(run.notes.seen) > len(run.notes.told), "no reader looked while SQLite waited for the disk"
    after_layout = run.trace[run.notes.told[0].at :]
    assert any(op.kind == "write" and op.name == sqlite_file.FILE_NAME for op in after_layout)


# -- planted bugs: each must be found


@pytest.mark.parametrize("mode", ["NORMAL", "OFF"])
def test_an_engine_that_syncs_less_is_found(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Why FULL (RELIABILITY 2.2): the cuts find both weaker modes."""
    connect = sqlite_file.connect

    def weaker(path: Path, *, vfs: str | None) -> apsw.Connection:
        connection = connect(path, vfs=vfs)
        connection.execute(f"PRAGMA synchronous={mode}")
        return connection

    monkeypatch.setattr(sqlite_file, "connect", weaker)
    assert "I1a" in first_broken()


def append_and_commit_later(log: SqliteLog, stream: str, batch: Sequence[Entry]) -> Appended:
    """In place of `SqliteLog.append`: tells the positions before they are committed."""
    waiting = _Waiting(stream, tuple((entry.key, pack(entry.headers), entry.value) for entry in batch))
    log._waiting.append(waiting)

    def commit_later() -> None:
        with log._turn_to_write() as connection:
            while log._waiting:
                log._write_group(connection)

    threading.Thread(target=commit_later).start()
    while not waiting.positions:
        time.sleep(0.0005)
    return waiting.positions


def write_and_tell_first(log: SqliteLog, connection: apsw.Connection, group: Sequence[_Waiting]) -> Sequence[Appended]:
    """In place of `SqliteLog._write`."""
    connection.execute("BEGIN IMMEDIATE")
    at_ms = log._clock_ms()
    for each in group:
        first = _end(connection, each.stream)
        connection.executemany(_SQL[each.stream].insert, ((at, at_ms, *row) for at, row in enumerate(each.rows, first)))
        each.positions = Appended(range(first, first + len(each.rows)), (at_ms,) * len(each.rows))
    time.sleep(0.005)  # its clients go on
    connection.execute("COMMIT")
    return [each.positions for each in group]


def append_one_by_one(log: SqliteLog, stream: str, batch: Sequence[Entry], append: Any = SqliteLog.append) -> Appended:
    """In place of `SqliteLog.append`: each entry in a transaction of its own."""
    parts = [append(log, stream, [entry]) for entry in batch]
    return Appended([at for part in parts for at in part], [at_ms for part in parts for at_ms in part.at_ms])


def test_an_acknowledgement_before_the_commit_is_found() -> None:
    """A cut between the two loses what a client was told is durable (I1a)."""
    assert "I1a" in first_broken(append=append_and_commit_later, _write=write_and_tell_first)


def test_a_batch_in_several_transactions_is_found() -> None:
    """A cut between them leaves a part of it (I1c)."""
    assert "I1c" in first_broken(append=append_one_by_one)


def test_a_folder_whose_name_was_never_made_durable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synced files are lost with a folder whose own name the cut took."""
    monkeypatch.setattr(sqlite_file, "_keep_names", lambda _: None)
    assert "I1a" in first_broken()


def test_what_a_killed_process_left_unsynced_is_made_durable_before_it_is_read_or_built_upon() -> None:
    """A kill keeps unsynced writes in the kernel's memory: the next process finds them, and a power cut still takes them."""
    run = golden(SEED, bursts=4)
    suite = Suite("power_cut", WHAT, "sample", SEED)
    platter, broken = Platter(), []
    for at, op in enumerate(run.trace):
        if op.kind in ("sync", "sync_folder") and at < 200:
            promise = promised(run.notes, run.plan.batches, at=at)
            broken += list(second_cuts(suite, platter.copy(), promise, random.Random(at)))
        platter.apply([op])
    assert [] == broken
    assert suite.figures["second cuts"] > 50


# -- the disk itself


def cut(ops: Sequence[Op], *, survival: int, seed: int = 0, forgets: bool = False) -> dict[str, bytes]:
    """What is left of a folder that is durable, after these things were done to it."""
    platter = Platter({}, forgets=forgets)
    platter.apply(ops)
    return platter.after_cut(survival, random.Random(seed))


NEW = [Op("create", 1, name="f"), Op("sync_folder"), Op("write", 1, 0, b"old" * 500), Op("sync", 1)]


def test_what_was_synced_survives_and_the_rest_may_or_may_not() -> None:
    """A lost write leaves what was there; a later one may survive without an earlier one."""
    later = [*NEW, Op("write", 1, 0, b"A" * 10), Op("write", 1, 100, b"B" * 10)]
    assert b"old" * 500 == cut(later, survival=0)["f"]
    whole = cut(later, survival=1)["f"]
    assert (b"A" * 10, b"B" * 10) == (whole[:10], whole[100:110])
    left = {(b"A" in data, b"B" in data) for data in (cut(later, survival=5, seed=seed)["f"] for seed in range(60))}
    assert {(False, False), (True, False), (False, True), (True, True)} == left


def test_a_write_may_be_torn_between_its_sectors_and_within_one() -> None:
    """Drives promise no more than a sector, and not always that."""
    torn = [cut([*NEW, Op("write", 1, 0, b"N" * 1_500)], survival=5, seed=seed)["f"] for seed in range(200)]
    counts = {data.count(b"N") for data in torn}
    assert {0, 512, 1_024, 1_500} <= counts
    assert any(count % 512 and count < 1_024 for count in counts)


def test_a_name_is_lost_until_its_folder_is_synced() -> None:
    """A file's data alone brings nobody to it; a deleted file may come back."""
    assert {} == cut([Op("create", 1, name="f"), Op("write", 1, 0, b"x"), Op("sync", 1)], survival=0)
    assert {"f": b"old" * 500} == cut([*NEW, Op("delete", 1, name="f")], survival=0)
    assert {} == cut([*NEW, Op("delete", 1, name="f"), Op("sync_folder")], survival=0)
    lost = Platter()
    lost.apply([Op("create", name=FOLDER), *NEW])
    assert {} == lost.after_cut(0, random.Random(0))


def test_a_disk_that_forgets_never_writes_what_a_failed_sync_was_to_write() -> None:
    """Linux marks a page as written though writing it failed; a later sync that succeeds says nothing about it."""
    tried = [*NEW, Op("write", 1, 0, b"A"), Op("sync_failed", 1), Op("write", 1, 1, b"B"), Op("sync", 1)]
    assert b"AB" == cut(tried, survival=0)["f"][:2]
    assert b"oB" == cut(tried, survival=0, forgets=True)["f"][:2]


def test_an_error_that_sqlite_swallows_reaches_no_caller(tmp_path: Path) -> None:
    """Why this disk is no apsw.VFSFile: a commit is durable and acknowledged though the checkpoint behind it fails."""
    with PowerDisk(tmp_path / "log", name="swallowed") as disk:
        log = SqliteLog.open(tmp_path / "log", lambda: 0, vfs="swallowed")
        log.append("desk", [Entry(b"a")])
        assert log._writer is not None
        log._writer.wal_autocheckpoint(1)
        refused: list[str] = []

        def refuse_database(meeting: Meeting) -> int:
            if meeting.call in ("write", "sync") and meeting.name == sqlite_file.FILE_NAME:
                refused.append(meeting.call)
                return apsw.SQLITE_IOERR
            return apsw.SQLITE_OK

        disk.refuse = refuse_database
        assert [1] == list(log.append("desk", [Entry(b"b")]))
        assert refused
        log.close()


def test_the_judge_finds_a_missing_a_foreign_and_a_doubled_record() -> None:
    """The judge can fail: each way in which a log may be wrong is told by its rule."""
    batches = {number: Batch(number, "desk", (Entry(b"%d:0:" % number), Entry(b"%d:1:" % number))) for number in range(3)}
    told = {("desk", 4): Record(4, 0, b"2:0:")}
    with scratch() as place:
        log = SqliteLog.open(place / "log", lambda: 0)
        for number in (0, 1, 0):
            log.append("desk", batches[number].entries)
        log.close()
        assert "written twice" in str(judge(place / "log", Promised(batches, may={0, 1}), take=False).broken)
        assert "no batch that was handed over" in str(judge(place / "log", Promised(batches, may={0}), take=False).broken)
        assert "not what a client was told" in str(judge(place / "log", Promised(batches, told, {0, 1}), take=False).broken)
        ends = Promised(batches, {("desk", 9): Record(9, 0, b"")}, {0, 1}, {"desk": 8})
        broken = str(judge(place / "log", ends, take=False).broken)
        assert "was told of position 9" in broken
        assert "had seen its end at 8" in broken
