"""An export is the whole log, verifies far from it, and shows where it was changed."""

import io
import json
from pathlib import Path

import pytest

from audit.export import Summary, export
from audit.exported import ExportBroken, ExportedLog
from audit.verify import verify
from eventlog.port import AppendNotDone, LogRegressed
from schemas.codec import Codec
from schemas.streams import ALL_STREAMS, RESPONSES, Entry, inbound, lane
from tests.audit_world import World, closes


def _world() -> World:
    world = World()
    world.take()
    message = world.publish("a", payload=b"\x00\xff binary \n lines")
    world.notice("TCC26-001", "open", closes())
    world.notice("TCC26-001", "resolved")
    world.send(message)
    world.answer(message)
    world.log.append(RESPONSES, [Entry(b"raw", (("odd", b"\xff"),), None)])
    return world


def _exported(world: World, folder: Path) -> tuple[Path, Summary]:
    out = io.BytesIO()
    summary = export(world.log, world.codec, out)
    path = folder / "log.jsonl"
    path.write_bytes(out.getvalue())
    return path, summary


def test_an_export_gives_back_each_record_as_it_was(tmp_path: Path) -> None:
    """The file is the log: bytes, headers, keys, times and positions."""
    world = _world()
    path, summary = _exported(world, tmp_path)
    log = ExportedLog(path)
    for stream in ALL_STREAMS:
        records = list(world.log.read(stream, 0, 1_000, 0.0))
        assert records == list(log.read(stream, 0, 1_000, 0.0))
        assert world.log.end(stream) == log.end(stream)
        assert len(records) == summary.counts[stream]
    assert (summary.chain, summary.size_bytes) == (log.chain, path.stat().st_size)
    log.close()


def test_an_export_verifies_offline(tmp_path: Path) -> None:
    """I6c: the file alone is enough, with its own schemas."""
    path, _ = _exported(_world(), tmp_path)
    log = ExportedLog(path)
    report = verify(log, Codec())
    assert (True, 1) == (report.ok, report.lanes["highway"]["captured"])
    log.close()


def test_a_fact_is_readable_in_the_file_without_our_program(tmp_path: Path) -> None:
    """Any JSON reader can read what happened."""
    path, _ = _exported(_world(), tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert ["LaneTaken", "MessageReceived"] == [line["fact"]["type"] for line in lines if line.get("stream") == lane("highway")][
        :2
    ]


@pytest.mark.parametrize("number", [0, 5, -2, -1])
def test_an_altered_line_is_found_where_it_stands(tmp_path: Path, number: int) -> None:
    """I6a: any flipped byte is detected and located to the line."""
    path, _ = _exported(_world(), tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    where = number % len(lines)
    lines[where] = lines[where][:20] + bytes([lines[where][20] ^ 1]) + lines[where][21:]
    path.write_bytes(b"".join(lines))
    with pytest.raises(ExportBroken, match=f"^line {where + 1} of the export"):
        ExportedLog(path)


def test_a_removed_inserted_or_swapped_line_is_found_where_it_stands(tmp_path: Path) -> None:
    """I6a: entries as well as bytes."""
    path, _ = _exported(_world(), tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        [*lines[:5], *lines[6:]],
        [*lines[:5], lines[2], *lines[5:]],
        [*lines[:5], lines[6], lines[5], *lines[7:]],
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(ExportBroken, match=r"^line 6 of the export"):
            ExportedLog(path)


def test_a_file_that_breaks_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    """I6c: completeness, not just inclusion."""
    path, _ = _exported(_world(), tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(ExportBroken, match="breaks off"):
        ExportedLog(path)


def test_an_exported_log_is_read_only_and_knows_its_end(tmp_path: Path) -> None:
    """The port's promises, as far as a file can keep them."""
    path, _ = _exported(_world(), tmp_path)
    log = ExportedLog(path)
    with pytest.raises(AppendNotDone):
        log.append(RESPONSES, [Entry(b"x")])
    with pytest.raises(LogRegressed):
        log.fetch(inbound("highway"), [7])
    with pytest.raises(LogRegressed):
        log.read(inbound("highway"), 7, 1, 0.0)
    log.close()
