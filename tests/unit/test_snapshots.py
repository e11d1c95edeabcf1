"""Snapshots are a cache: what does not fit is passed over and said, and what fits gives the fold that zero gives."""

import asyncio
from pathlib import Path

import pytest

from console.keeping import Keeper
from console.snapshots import Folds, folder_of, program
from console.wiring import read_into
from consumers.responses import ResponsesView, dump_responses, load_responses
from eventlog.memory import MemoryLog
from eventlog.port import EventLog
from eventlog.snapshots import SnapshotFolder, mark_of
from lane.canonical import canonical
from lane.desk_snapshot import MADE, PLAIN, dump_desk, load_desk
from lane.view import DeskView, LaneView
from schemas.codec import Codec
from schemas.streams import DESK, RESPONSES, Entry, Record
from schemas.streams import lane as lane_stream
from tests.unit.lane_story import T0

from benchmarks.generate import Town, write  # isort: skip

STREAM = lane_stream("highway")


def _log(*values: bytes) -> MemoryLog:
    log = MemoryLog(lambda: T0)
    log.append(STREAM, [Entry(value) for value in values])
    return log


def _last(log: EventLog, position: int) -> Record:
    (record,) = log.fetch(STREAM, [position])
    return record


def _newest(folder: SnapshotFolder, log: EventLog) -> tuple[bytes | None, list[str]]:
    said: list[str] = []
    found = folder.newest(log, STREAM, passed_over=said.append)
    return (None if found is None else found.body), said


def _written(tmp_path: Path) -> tuple[SnapshotFolder, MemoryLog, list[Path]]:
    """A log of three records and the snapshots at the second and the third."""
    folder, log = SnapshotFolder(tmp_path / "cache", program="a" * 64), _log(b"one", b"two", b"three")
    return folder, log, [folder.keep(_last(log, at), STREAM, b"body %d" % at, made_ms=T0) for at in (1, 2)]


def test_the_newest_snapshot_that_fits_is_taken(tmp_path: Path) -> None:
    """A start reads the tail behind the furthest one."""
    folder, log, _ = _written(tmp_path)
    assert (b"body 2", []) == _newest(folder, log)
    assert 2 == folder.furthest(STREAM)


def test_without_snapshots_nothing_is_found_and_nothing_said(tmp_path: Path) -> None:
    """Deleting the folder changes nothing but the time of a start."""
    assert (None, []) == _newest(SnapshotFolder(tmp_path / "none", program="a"), _log(b"one"))


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_damaged_body_is_passed_over_for_an_older_snapshot(tmp_path: Path, bit: int) -> None:
    """D3: a flipped bit is found by the digest."""
    folder, log, (_, newest) = _written(tmp_path)
    raw = bytearray(newest.read_bytes())
    raw[-1] ^= 1 << bit
    newest.write_bytes(raw)
    body, said = _newest(folder, log)
    assert b"body 1" == body
    assert ["its bytes are not those that were written"] == [each.partition(": ")[2] for each in said]


@pytest.mark.parametrize("keep_bytes", [0, 1, 100, -1])
def test_a_file_cut_short_is_passed_over(tmp_path: Path, keep_bytes: int) -> None:
    """A crash of the machine may leave less than was written."""
    folder, log, (_, newest) = _written(tmp_path)
    newest.write_bytes(newest.read_bytes()[:keep_bytes])
    assert b"body 1" == _newest(folder, log)[0]


def test_a_snapshot_of_another_log_is_passed_over(tmp_path: Path) -> None:
    """The record at its position must be the one that was folded last: a log restored from a backup goes another way."""
    folder, _, _ = _written(tmp_path)
    body, said = _newest(folder, _log(b"one", b"two", b"other"))
    assert b"body 1" == body
    assert 1 == len(said)
    assert "another log" in said[0]


def test_a_snapshot_ahead_of_the_log_is_passed_over(tmp_path: Path) -> None:
    """I1f is the log's to tell; a snapshot never makes up for records that are gone."""
    folder, _, _ = _written(tmp_path)
    body, said = _newest(folder, _log(b"one", b"two"))
    assert b"body 1" == body
    assert "ahead of the log" in said[0]


def test_a_snapshot_of_another_program_is_passed_over(tmp_path: Path) -> None:
    """A fold that was mended never goes on from what the unmended one made."""
    folder, log, _ = _written(tmp_path)
    body, said = _newest(SnapshotFolder(folder.folder, program="b" * 64), log)
    assert body is None
    assert 2 == len(said)


def test_a_file_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    """Bodies are read as they are, so only what this user alone can have written is read."""
    folder, log, (_, newest) = _written(tmp_path)
    newest.chmod(0o620)
    assert b"body 1" == _newest(folder, log)[0]


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """They hold tenants' keys, as the log does."""
    folder, _, paths = _written(tmp_path)
    assert 0o700 == folder.folder.stat().st_mode & 0o777
    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in paths]


def test_two_are_kept_of_each_program_and_older_ones_removed(tmp_path: Path) -> None:
    """A cache has a limit; a step back to the version before starts quickly too."""
    folder, log, _ = _written(tmp_path)
    other = SnapshotFolder(folder.folder, program="b" * 64)
    (folder.folder / f"{STREAM}.left.999999999.unfinished").write_bytes(b"half")
    for at in range(3):
        other.keep(_last(log, at), STREAM, b"other", made_ms=T0)
        folder.keep(_last(log, at), STREAM, b"ours", made_ms=T0)
    kept = [(each.header.program[0], each.header.position) for each in folder.kept(STREAM) if each.header]
    assert [("a", 1), ("a", 2), ("b", 1), ("b", 2)] == sorted(kept)
    assert [] == list(folder.folder.glob("*.unfinished"))


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    """Each needs memory for a whole fold."""
    folder = SnapshotFolder(tmp_path / "cache", program="a")
    with folder.turn() as first, folder.turn() as second:
        assert (True, False) == (first, second)
    with folder.turn() as again:
        assert again


def test_the_mark_tells_records_apart_by_bytes_and_moment() -> None:
    """A heartbeat says the same at the same position of two logs; it was not written in the same millisecond."""
    record = Record(position=7, at_ms=T0, value=b"x")
    others = [Record(7, T0 + 1, b"x"), Record(7, T0, b"y"), Record(8, T0, b"x")]
    assert mark_of(record) not in {mark_of(each) for each in others}


# --- folds that go on from what was kept


@pytest.fixture(scope="module")
def years() -> MemoryLog:
    """A generated log of ten thousand facts, with its sources."""
    town = Town("highway", trips_a_day=20)
    log = MemoryLog(lambda: town.now_ms)
    write(log, town, 10_000)
    return log


def _folds(log: EventLog, folder: Path | None) -> Folds:
    return Folds(log, Codec(), None if folder is None else folder_of(folder))


def _read(log: EventLog, folds: Folds) -> tuple[LaneView, DeskView, ResponsesView]:
    lane, desk = folds.lane("highway"), folds.desk()
    read_into(log, STREAM, lane)
    read_into(log, DESK, desk)
    responses = folds.responses({"highway": lane}, desk)
    read_into(log, RESPONSES, responses)
    return lane, desk, responses


def test_a_process_starts_from_what_another_kept_and_reads_the_tail_only(years: MemoryLog, tmp_path: Path) -> None:
    """I5: every fold of the process, to the byte, and no record is read twice."""
    first = _read(years, _folds(years, None))
    folder = folder_of(tmp_path / "cache")
    lane, desk, responses = first
    keeper = Keeper(folder, {STREAM: lane, DESK: desk, RESPONSES: responses})
    asyncio.run(_kept(keeper))
    again = _read(years, _folds(years, tmp_path / "cache"))
    assert [view.next_position for view in (lane, responses)] == [again[0].begun_at, again[2].begun_at]
    assert canonical(lane.state) == canonical(again[0].state)
    assert dump_desk(desk.state) == dump_desk(again[1].state)
    assert dump_responses(responses) == dump_responses(again[2])
    assert 0 == desk.begun_at == again[1].begun_at  # a desk of two facts is not worth a file


async def _kept(keeper: Keeper) -> None:
    await keeper.finish()


def test_a_program_has_one_name_and_it_is_of_its_sources() -> None:
    """The same in each process of a version; a SHA-256."""
    assert 64 == len(program())
    assert program() == program.__wrapped__()


def test_a_body_that_its_program_did_not_write_is_passed_over(years: MemoryLog, tmp_path: Path) -> None:
    """Whatever it is: the fold starts from zero, and the log says why."""
    folder = folder_of(tmp_path)
    (record,) = years.fetch(STREAM, [10])
    folder.keep(record, STREAM, b"N", made_ms=T0)
    assert 0 == _folds(years, tmp_path).lane("highway").next_position


def test_the_desk_comes_back_whole(years: MemoryLog) -> None:
    """I5: notices, effective facts, tasks, marks; and every field of the desk is named."""
    desk = DeskView(Codec().decode)
    read_into(years, DESK, desk)
    assert desk.state.effective
    again = load_desk(dump_desk(desk.state), Codec().decode)
    assert dump_desk(desk.state) == dump_desk(again)
    assert vars(desk.state) == vars(again)
    assert {*PLAIN, *MADE} == set(vars(desk.state))


@pytest.mark.parametrize("lane_at", [0, 500, 1_500])
def test_answers_that_no_lane_has_taken_come_back(years: MemoryLog, lane_at: int) -> None:
    """R1: a lane that is behind gets the same pages from a kept fold of [responses] as from one that reads all of it."""
    lane, desk = LaneView("highway", Codec().decode), DeskView(Codec().decode)
    lane.absorb(years.read(STREAM, 0, lane_at, 0) if lane_at else ())
    zero = ResponsesView({"highway": lane}, desk)
    zero.absorb(years.read(RESPONSES, 0, 300, 0))
    kept = ResponsesView({"highway": lane}, desk, load_responses(dump_responses(zero)))
    rest = years.read(RESPONSES, 300, 10_000, 0)
    zero.absorb(rest)
    kept.absorb(rest)
    assert zero.pages == kept.pages
    assert zero.chain == kept.chain
    assert zero.next_position == kept.next_position
    assert zero.pages["highway"]


def test_a_child_that_can_not_write_is_no_harm(years: MemoryLog, tmp_path: Path) -> None:
    """A snapshot is a cache: the process goes on, and ends in order."""
    lane = _read(years, _folds(years, None))[0]
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    asyncio.run(_kept(Keeper(folder_of(tmp_path / "cache"), {STREAM: lane})))
