"""The compiled twin of the fold, the facts and the workers: never stale, and the same to the byte."""

import ast
import base64
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from benchmarks.generate import lane_facts
from lane import fold
from lane.snapshot import dump
from lane.view import LaneView
from schemas.codec import HEADER_BYTES, Codec, CodecError
from schemas.native import PLAIN_SETTING, ROOMS, runs, twin
from schemas.native_build import COMPILED, LEFT_PLAIN, lacking
from schemas.streams import Record

ROOT = Path(__file__).parent.parent.parent
FACTS_COUNT = 6_000
DAMAGES_COUNT = 100
LEAST_UNREADABLE_COUNT = 1_000


def _asked(line: str, folder: Path, *, plain: str = "") -> str:
    """What a fresh process in that folder prints."""
    environment = {**os.environ, PLAIN_SETTING: plain}
    command = [sys.executable, "-B", "-c", line]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


def _digest() -> str:
    """The state after some thousand facts of an honest mix, as the digest of its snapshot."""
    view = LaneView("highway", Codec().decode)
    facts = itertools.islice(lane_facts("highway", FACTS_COUNT, trips_a_day=250), FACTS_COUNT)
    view.absorb([Record(position, 0, value) for position, value in enumerate(facts)])
    return sha256(dump(view.state)).hexdigest()


def _damaged() -> str:
    """What reading says of every recorded fact cut short at each byte, and with bytes changed, too many or missing."""
    draw, decode, said = random.Random(4), Codec().decode, []
    for line in (ROOT / "tests" / "data" / "facts-v1.jsonl").read_text(encoding="utf-8").splitlines():
        whole = base64.b64decode(json.loads(line)["value"])
        damaged = [whole[:length] for length in range(len(whole))]
        for _ in range(DAMAGES_COUNT):
            at, by = draw.randrange(HEADER_BYTES, len(whole) + 1), draw.randbytes(draw.randint(0, 3))
            damaged.append(whole[:at] + by + whole[at + draw.randint(0, 3) :])
        for value in damaged:
            try:
                said.append(repr(decode(value)))
            except CodecError as error:
                said.append(f"{type(error).__name__}: {error}")
    return f"{len(said)} {sum(each.startswith('FactUnreadable') for each in said)} {sha256(repr(said).encode()).hexdigest()}"


def test_a_changed_line_is_never_run_from_a_twin_that_was_built_before_it(tmp_path: Path) -> None:
    """I5: what runs is what stands in the sources. A change anywhere in them names a twin that is not there."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    ask = "import lane.fold, schemas.native as n; print(n.twin().name, lane.fold.__file__)"
    name, _ = _asked(ask, tmp_path).split()
    assert twin().name == name
    for room in ROOMS:
        changed = next((tmp_path / room).glob("[a-z]*.py"))
        changed.write_text(changed.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
        other, file = _asked(ask, tmp_path).split()
        assert name != other
        assert str(tmp_path / "lane" / "fold.py") == file
        name = other


@pytest.mark.skipif(bool(lacking()), reason="NOTHING WAS COMPILED HERE, only the plain sources ran: make native says why")
def test_this_run_tests_what_it_says_that_it_tests() -> None:
    """`make test` runs the plain sources and then the twin; a run that means the one and takes the other proves nothing."""
    assert (not os.environ.get(PLAIN_SETTING) and twin().is_dir()) == runs()
    assert runs() == fold.__file__.endswith(tuple(EXTENSION_SUFFIXES))


@pytest.mark.skipif(not runs(), reason="this is the run of the plain sources: the next one compares")
def test_i5_the_twin_leaves_the_same_bytes_as_the_plain_sources() -> None:
    """A state is a function of the facts alone, whatever folds them: so a snapshot of the one is gone on with by the other."""
    line = "from tests.unit.test_native import _digest, runs; print(runs(), _digest())"
    assert f"False {_digest()}" == _asked(line, ROOT, plain="1").strip()


@pytest.mark.skipif(not runs(), reason="this is the run of the plain sources: the next one compares")
def test_i13_of_damaged_bytes_the_twin_says_what_the_plain_sources_say() -> None:
    """A damaged log stops both with the same sentence; bytes that still are a fact are the same fact to both."""
    line = "from tests.unit.test_native import _damaged, runs; print(runs(), _damaged())"
    said = _damaged()
    assert f"False {said}" == _asked(line, ROOT, plain="1").strip()
    _, unreadable, _ = said.split()
    assert int(unreadable) > LEAST_UNREADABLE_COUNT


def _waits_in_finally(source: str) -> list[int]:
    """The lines of `finally` blocks in which something is awaited or yielded."""
    waits = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncWith, ast.AsyncFor)
    tries = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Try)]
    blocks = [line for node in tries for line in node.finalbody]
    return [line.lineno for line in blocks if any(isinstance(node, waits) for node in ast.walk(line))]


def test_nothing_that_is_compiled_waits_in_a_finally() -> None:
    """mypyc 2.4 keeps the error that passes such a block and raises it in a later call: a stop was told another one's failure."""
    assert [4] == _waits_in_finally("try:\n    pass\nfinally:\n    await it\n")
    paths = [path for pattern in COMPILED for path in ROOT.glob(pattern) if path.name not in LEFT_PLAIN]
    found = {path.name: _waits_in_finally(path.read_text(encoding="utf-8")) for path in paths}
    assert {} == {name: lines for name, lines in found.items() if lines}
    assert "driver.py" in found
