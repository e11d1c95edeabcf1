"""The compiled twin of the fold, the facts and the workers: never stale, and the same to the byte."""

import itertools
import os
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
from schemas.codec import Codec
from schemas.native import PLAIN_SETTING, ROOMS, runs, twin
from schemas.native_build import lacking
from schemas.streams import Record

ROOT = Path(__file__).parent.parent.parent
FACTS_COUNT = 6_000


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
