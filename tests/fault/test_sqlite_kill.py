"""Writers of the SQLite log are killed at random moments, and nothing that was acknowledged is missing afterwards (I1a)."""

# Tests say `expected == actual` (HOUSE 20), which the rule calls a Yoda condition.

import random
import subprocess
import sys
import time
from pathlib import Path

from eventlog.sqlite import SqliteLog
from tests.contract.log_contract import HIGHWAY, read_all

ROUND_COUNT = 10
BATCH_COUNT = 7

WRITER = """
import sys
from pathlib import Path
from eventlog.sqlite import SqliteLog
from schemas.streams import Entry
log = SqliteLog.open(Path(sys.argv[1]), lambda: 0)
for number in range(1_000_000):
    batch = [Entry(f"{sys.argv[2]}:{number}:{part}".encode()) for part in range(int(sys.argv[3]))]
    positions = log.append("lane.highway", batch)
    sys.stdout.write(f"{number} {positions[0]}\\n")
    sys.stdout.flush()
"""


def start_writer(folder: Path, name: str) -> subprocess.Popen[str]:
    """Start a process that appends batches for ever and prints `number first_position` for each that was acknowledged."""
    command = [sys.executable, "-c", WRITER, str(folder), name, str(BATCH_COUNT)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(writer: subprocess.Popen[str], name: str) -> dict[int, bytes]:
    """Read what a killed writer had printed and return position -> value; a line that was cut short was not acknowledged."""
    assert writer.stdout is not None
    lines = writer.stdout.read().split("\n")[:-1]
    writer.stdout.close()
    writer.wait()
    told: dict[int, bytes] = {}
    for line in lines:
        number, first = map(int, line.split())
        for part in range(BATCH_COUNT):
            assert first + part not in told, f"position {first + part} was acknowledged twice to {name}"
            told[first + part] = f"{name}:{number}:{part}".encode()
    return told


def test_what_was_acknowledged_survives_kills_of_two_writers_at_random_moments(tmp_path: Path) -> None:
    """Every acknowledged record is at its position; beyond those a writer leaves one whole batch at its end, or nothing."""
    chance = random.Random(20_251_102)
    told: dict[int, bytes] = {}
    names = []
    for round_number in range(ROUND_COUNT):
        pair = [f"{round_number}{letter}" for letter in "ab"]
        writers = [start_writer(tmp_path, name) for name in pair]
        for writer in writers:
            assert writer.stdout is not None
            # The first byte shows that it writes; it dies at a random moment of that.
            writer.stdout.buffer.peek(1)  # type: ignore[attr-defined]
            time.sleep(chance.uniform(0.0, 0.06))
            writer.kill()
        for writer, name in zip(writers, pair, strict=True):
            new = acknowledged(writer, name)
            assert not told.keys() & new.keys(), "a position was acknowledged to two writers"
            told.update(new)
            names.append(name)

    log = SqliteLog.open(tmp_path, lambda: 0)
    found = read_all(log, HIGHWAY)
    log.close()
    assert list(range(len(found))) == [record.position for record in found]
    assert told == {record.position: record.value for record in found if record.position in told}
    assert len(told) >= ROUND_COUNT * BATCH_COUNT, "the writers were killed before they wrote: the test showed nothing"
    for name in names:
        mine = [record.value for record in found if record.value.startswith(f"{name}:".encode())]
        batch_count, rest = divmod(len(mine), BATCH_COUNT)
        assert 0 == rest, f"half a batch of {name} is in the log"
        assert [f"{name}:{number}:{part}".encode() for number in range(batch_count) for part in range(BATCH_COUNT)] == mine
        acknowledged_count = sum(value.startswith(f"{name}:".encode()) for value in told.values())
        assert len(mine) - acknowledged_count in (0, BATCH_COUNT)
