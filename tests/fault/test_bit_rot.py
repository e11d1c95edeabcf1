"""Files of a log are damaged: who notices is counted, no error but the port's comes out, and no payload changes unnoticed."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from audit.reading import silent
from audit.verify_report import Report
from audit.verify_sources import dense
from eventlog import sqlite_file
from eventlog.port import LogRegressed
from eventlog.sqlite import SqliteLog
from schemas.streams import Entry
from tests.fault import bit_rot
from tests.fault.bit_rot import DAMAGES, Case, Whole, cases, damaged, run_damages, whole
from tests.fault.disk_suite import Suite

SEED = 20_261_128


@pytest.fixture(scope="module")
def before() -> Whole:
    """A small log that is whole, made once: it is only read."""
    return whole(6)


def rotten(before: Whole, wanted: list[Case]) -> Suite:
    """Run the suite in this process."""
    suite = Suite("bit_rot", bit_rot.WHAT, "sample", SEED)
    run_damages(suite, before, wanted)
    return suite


def test_a_damaged_log_is_found_or_says_what_it_said(before: Whole) -> None:
    """D3, sampled (`python -m tests.fault.bit_rot --size full` counts what is not noticed)."""
    suite = rotten(before, cases(SEED, 60))
    assert [] == suite.broken
    assert 60 == suite.figures["damages"]
    for found in ("found", "harmless"):
        assert suite.figures[found] > 0, f"no damage was {found}: the sample shows nothing"


def test_a_payload_that_nobody_compares_with_its_fact_is_found(before: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counting can fail: with an auditor who looks at nothing, a flipped payload goes unnoticed."""
    monkeypatch.setattr(bit_rot, "verify", lambda *_: Report())
    data = before.closed[sqlite_file.FILE_NAME]

    def flip_a_payload(*_: object) -> dict[str, bytes]:
        at = data.index(b"ISA*00*3*") + 12
        return {sqlite_file.FILE_NAME: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]}

    monkeypatch.setattr(bit_rot, "damaged", flip_a_payload)
    suite = rotten(before, [Case(0, "closed", "flip")])
    assert "a payload is not what its fact says" in suite.broken[0]


def test_each_damage_changes_the_files_as_it_says(before: Whole) -> None:
    """A bit is one bit, swapped blocks are all still there, a cut leaves a beginning."""
    whole_file = before.closed[sqlite_file.FILE_NAME]
    moved = 0
    for seed in range(20):
        flipped, swapped, cut = (
            damaged(before.closed, Case(0, "closed", damage), random.Random(seed))[sqlite_file.FILE_NAME]
            for damage in DAMAGES[-3:]
        )
        assert 1 == sum((new ^ old).bit_count() for new, old in zip(flipped, whole_file, strict=True))
        assert Counter(whole_file) == Counter(swapped)
        assert whole_file.startswith(cut)
        assert len(cut) < len(whole_file)
        moved += whole_file != swapped
    assert moved > 10, "most blocks differ from each other"


@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("headers", "x'00000009'"),
        ("headers", "x'0000000500000001ff00000000'"),
        ("headers", "cast(x'00000000ff' AS BLOB)"),
    ],
)
def test_a_record_that_nobody_can_have_written_stops_its_readers(tmp_path: Path, column: str, damage: str) -> None:
    """A damaged page may decode to anything: the answer is the port's, stop and call a person (I1f), never Python's own error."""
    log = SqliteLog.open(tmp_path, lambda: 0)
    log.append("desk", [Entry(b"whole", (("name", b"value"),)), Entry(b"rotten", (("name", b"value"),))])
    other = apsw.Connection(str(tmp_path / sqlite_file.FILE_NAME))
    other.execute(f"UPDATE desk SET {column} = {damage} WHERE position = 1")
    other.close()
    assert b"whole" == log.read("desk", 0, 1, 0.0)[0].value
    reads: list[Callable[[], object]] = [lambda: log.read("desk", 1, 1, 0.0), lambda: log.fetch("desk", [1])]
    for read in reads:
        with pytest.raises(LogRegressed, match="restore it from a backup"):
            read()
    assert b"whole" == log.fetch("desk", [0])[0].value
    log.close()


def test_pages_of_two_streams_that_changed_places_are_found(tmp_path: Path) -> None:
    """A stream then ends where its last page says, far too early: what lies behind that end gives it away (V2)."""
    log = SqliteLog.open(tmp_path, lambda: 0)
    log.append("bulletins", [Entry(b"b" * 500)] * 300)
    log.append("desk", [Entry(b"d" * 500)] * 100)
    log.close()
    path = tmp_path / sqlite_file.FILE_NAME
    other = apsw.Connection(str(path))
    last = [
        other.execute("SELECT max(pageno) FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (stream,)).get
        for stream in ("bulletins", "desk")
    ]
    other.close()
    data = path.read_bytes()
    blocks = [data[at : at + 4_096] for at in range(0, len(data), 4_096)]
    blocks[last[0] - 1], blocks[last[1] - 1] = blocks[last[1] - 1], blocks[last[0] - 1]
    path.write_bytes(b"".join(blocks))
    swapped = SqliteLog.open(tmp_path, lambda: 0)
    end = swapped.end("bulletins")
    assert end < 200
    report = Report()
    assert end == len(list(dense(swapped, "bulletins", end=end, report=report, progress=silent)))
    assert [("V2", end)] == [(each.check, each.position) for each in report.findings]
    with pytest.raises(LogRegressed, match="comes after"):
        swapped.read("bulletins", 0, 1_000, 0.0)
    swapped.close()
