"""A golden run is killed at a sample of its boundaries (`golden_run`), and bugs that are planted in it are found."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fault.golden_boundaries import Strike
from tests.fault.golden_run import ROLES_AGAIN, spread
from tests.fault.golden_script import ENDS, PUBLISHED

RUN_WAIT_S = 120.0
"""A sample takes half a minute of two cores; more on a machine that does much else."""

PLANTED_TIMES = 2
"""Runs for each planted bug: a kill at the right place shows it; what else goes on there is chance."""


def golden_run(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Run the module as a program, for it forks, which a process of pytest with its threads must not."""
    result = folder / "golden.json"
    process = subprocess.run(
        [sys.executable, "-m", "tests.fault.golden_run", *words, "--json", str(result)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=RUN_WAIT_S,
        check=False,
    )
    assert result.exists(), process.stderr
    return process.returncode, json.loads(result.read_text()), process.stderr


@pytest.mark.slow
def test_a_kill_at_any_boundary_loses_doubles_and_disorders_nothing(tmp_path: Path) -> None:
    """RELIABILITY C1, C3: workers, provider and auditor die and start again, once, twice and three times in one run."""
    code, told, said = golden_run(tmp_path, "--size", "sample")
    figures = told["figures"]
    assert [] == told["broken"], said
    assert 0 == code
    assert (0, 0, 0) == (figures["lost"], figures["doubled"], figures["out_of_order"])
    assert {"worker", "provider", "auditor"} == set(figures["boundaries_by_process"])
    assert figures["struck"] >= figures["points"] * 0.8, "too few of the points were reached: it tests too little"
    assert figures["struck_twice"] + figures["struck_three_times"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "point", "rule"),
    [
        ("early-receipts", "provider: receipt noted #20", "was acknowledged and is not in the log"),
        ("taken-as-captured", "worker: before send: highway #7", "is said to be captured and CBSA never did"),
        ("resent-without-grant", "worker: request left, no reply read: highway #9", "I4c"),
    ],
)
def test_a_planted_bug_is_found(tmp_path: Path, plant: str, point: str, rule: str) -> None:
    """A receipt before its append, a send's end made up, a send without a grant: each is red, and what repeats it is told."""
    words = ("--plant", plant, "--point", point, "--patience", "3", "--times", str(PLANTED_TIMES))
    code, told, said = golden_run(tmp_path, *words)
    assert 1 == code
    assert told["broken"]
    assert rule in said
    assert f'python -m tests.fault.golden_run --plant {plant} --point "{point}"' in said


def test_a_strike_is_read_as_it_is_written() -> None:
    """The command that a red run prints repeats just that kill."""
    strike = Strike("worker", "before append: lane.highway SendIntended", 3)
    assert strike == Strike.read(str(strike))
    with pytest.raises(ValueError, match="ROLE: NAME #NUMBER"):
        Strike.read("somewhere")


def test_a_sample_takes_one_of_each_kind_before_two_of_any() -> None:
    """A sample leaves no kind of boundary out."""
    many = [Strike("worker", f"before append: lane.{number}", 1) for number in range(50)]
    few = [Strike(role, f"kind {number}", 1) for role in set(ROLES_AGAIN) for number in range(4)]
    chosen = spread([*many, *few], len(few) + 1, random.Random(1))
    assert {strike.kind for strike in (*many, *few)} == {strike.kind for strike in chosen}


def test_the_script_says_of_every_message_how_it_ends() -> None:
    """Each key is a message of its own but for the one that is published again, with the same bytes and with others."""
    keys = [(each.attributes.mode, each.attributes.tenant, each.attributes.key) for each in PUBLISHED]
    assert len(keys) - 2 == len(ENDS)
    assert set(keys) == set(ENDS)
