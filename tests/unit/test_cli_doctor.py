"""`tidegate doctor`: what it counts is what stands in the log, and what it advises follows from it."""

from pathlib import Path
from typing import Any

import pytest

from console.checkup import position_at, size
from console.snapshots import folder_of
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from lane.snapshot import dump
from lane.view import LaneView
from schemas.codec import Codec
from schemas.streams import DESK, Entry
from schemas.streams import lane as lane_stream
from tests.cli_rig import EDI_DOWN, Rig, cargo

from benchmarks.generate import BEGINS_MS, DAY_MS, Town, write  # isort: skip

STREAM = lane_stream("highway")


@pytest.fixture
def rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    return Rig(tmp_path, capsys)


def _grown(rig: Rig, facts: int = 3_000) -> Rig:
    """A log of some days in the years 2020 and after."""
    town = Town("highway", trips_a_day=50)
    log = SqliteLog.open(rig.data / "log", lambda: town.now_ms)
    write(log, town, facts)
    log.close()
    return rig


def _keep(rig: Rig, *, facts: int) -> None:
    """A snapshot of so many facts, as a process of this version leaves it."""
    log = SqliteLog.open(rig.data / "log", lambda: BEGINS_MS)
    view = LaneView("highway", Codec().decode)
    view.absorb(log.read(STREAM, 0, facts, 0))
    assert view.last is not None
    folder_of(rig.data / "log" / "snapshots").keep(view.last, STREAM, dump(view.state), made_ms=BEGINS_MS)
    log.close()


def _of(value: dict[str, Any], what: str, name: str, by: str) -> dict[str, Any]:
    (found,) = (each for each in value[what] if each[by] == name)
    return dict(found)


def test_streams_are_counted_and_their_growth_is_that_of_their_own_days(rig: Rig) -> None:
    """Growth is measured by the records' own times, not by when somebody looks."""
    said = _grown(rig).type("doctor")
    assert 0 == said.code
    found = _of(said.value, "streams", STREAM, "name")
    assert 3_000 <= found["records"] < 3_020
    assert found["records_a_day"] == pytest.approx(3_000 / (3_000 / 14 / 50), rel=0.2)
    assert found["bytes"] == pytest.approx(found["records"] * 130, rel=0.5)
    assert found["oldest_at"] < found["newest_at"] < "2020-09-20"


def test_a_start_without_a_snapshot_reads_everything_and_one_with_it_the_tail(rig: Rig) -> None:
    """What the next start must read."""
    before = _of(_grown(rig).type("doctor").value, "lanes", "highway", "lane")
    _keep(rig, facts=2_500)
    after = _of(rig.type("doctor").value, "lanes", "highway", "lane")
    assert before["snapshot"] is None
    assert before["facts"] == before["tail"] == after["facts"]
    assert before["facts"] - 2_500 == after["tail"]
    assert (2_499, "") == (after["snapshot"]["position"], after["snapshot"]["misfit"])
    assert before["messages"] == after["messages"] == after["finished"] + after["unfinished"]


def test_a_snapshot_that_does_not_fit_is_shown_with_the_reason(rig: Rig) -> None:
    """Nobody should wonder why a start was slow."""
    _keep(_grown(rig), facts=2_500)
    (path,) = (rig.data / "log" / "snapshots").glob("*.snapshot")
    path.write_bytes(path.read_bytes().replace(b'"program": "', b'"program": "0', 1))
    found = _of(rig.type("doctor").value, "lanes", "highway", "lane")
    assert "another version" in found["snapshot"]["misfit"]
    assert found["facts"] == found["tail"]


def test_what_waits_before_intake_is_said_with_what_to_do(rig: Rig) -> None:
    """The lag of each source, and a sentence."""
    rig.with_a_log().publish(cargo("one", "A1"))
    rig.type("publish", "--batch", rig.file("more.jsonl", '{"tenant":"acme","mode":"highway","payload":"x","key":"two",'
             '"kind":"cargo","keys":{"ccn":["A2"]}}\n'))  # fmt: skip
    rig.type("bulletin", "add", rig.file("down.txt", EDI_DOWN))
    value = rig.type("doctor").value
    assert 1 == _of(value, "lag", "inbound.highway", "source")["behind"]
    assert 1 == _of(value, "lag", "bulletins", "source")["behind"]
    assert 2 == sum("does tidegate up run?" in each for each in value["findings"])


def test_messages_that_the_horizon_has_passed_are_asked_about(rig: Rig) -> None:
    """A runner lets them go once a day; where none is at work memory only grows."""
    said = _grown(rig, facts=300).type("doctor")
    assert any("behind the horizon of 120 days" in each for each in said.value["findings"])


def test_a_person_reads_tables_and_sentences(rig: Rig) -> None:
    """Within a hundred columns."""
    said = _grown(rig, facts=300).type("doctor", as_json=False)
    assert 0 == said.code
    assert "reached in" in said.out
    assert "are free" in said.out
    assert max(map(len, said.out.splitlines()[1:-2])) <= 100


def test_an_empty_log_needs_no_hand(rig: Rig) -> None:
    """Nothing to find is said too."""
    said = rig.with_a_log().type("doctor", as_json=False)
    assert (0, True) == (said.code, "Nothing needs a hand." in said.out)


@pytest.mark.parametrize(("at_ms", "expected"), [(-1, 0), (0, 0), (1, 1), (2 * DAY_MS, 2), (2 * DAY_MS + 1, 3), (9 * DAY_MS, 5)])
def test_a_moment_is_found_among_the_records(at_ms: int, expected: int) -> None:
    """The first record of that moment or later; the end behind the last."""
    now = [0]
    log = MemoryLog(lambda: now[0])
    for day in range(5):
        now[0] = day * DAY_MS
        log.append(DESK, [Entry(b"x")])
    assert expected == position_at(log, DESK, at_ms)


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (250_000_000, "250 MB")])
def test_sizes_are_said_shortly(count: int, said: str) -> None:
    """For a table of a hundred columns."""
    assert said == size(count)


def test_doctor_starts_a_fold_as_status_does(rig: Rig) -> None:
    """The same state from a snapshot as from zero."""
    _grown(rig)
    zero = rig.type("status").value
    _keep(rig, facts=2_500)
    assert zero == rig.type("status").value
