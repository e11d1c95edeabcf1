"""Seeded stories of the product's own workers in virtual time: green as built, the same each time, small when they are red."""

import os
import subprocess
import sys

import pytest

from schemas import native
from tests.simulation import play
from tests.simulation.mutants import canary_skipped
from tests.simulation.plan import cut, draw
from tests.simulation.shrink import shrink
from tests.simulation.story import play as play_story

GREEN_SEEDS = 60
"""Seeds that are played as built; `make simulate SEEDS=20000` plays as many as wanted."""

SAME_SEEDS = 12
"""Seeds that two processes play for one digest."""

RED_SEED = 12
"""A seed that is red when the canary is skipped."""

SAME = "from tests.simulation.play import played; print(f'{{played({first}, {count}).digests:016x}}')"


def test_seeds_are_green_and_the_faults_really_happen() -> None:
    """I1 to I7: whatever crashes, pauses, gets lost, comes late or twice."""
    tally = play.played(0, GREEN_SEEDS)
    assert [] == tally.red, f"python -m tests.simulation.play --seed {tally.red[0]}"
    seen = {"crash of runner", "pause", "reply lost", "append ANSWER_LOST", "append APPLIED_LATE", "inbound refuse", "declared"}
    assert set() == seen - set(tally.sometimes)


def test_what_never_happened_is_a_failure() -> None:
    """A run whose faults no longer strike shows nothing, and says so."""
    tally = play.Tally(seeds=play.SOMETIMES_FROM)
    tally.sometimes.update(dict.fromkeys(play.SOMETIMES[1:], 1))
    assert [play.SOMETIMES[0]] == tally.never()


def test_the_same_seeds_tell_the_same_story_in_another_process() -> None:
    """A red seed can be played again anywhere: neither Python's salt nor its clock gets in."""
    digests = set()
    for salt in ("1", "4711"):
        command = [sys.executable, "-c", SAME.format(first=5, count=SAME_SEEDS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONHASHSEED": salt})
        assert "" == done.stderr
        digests.add(done.stdout.strip())
    assert 1 == len(digests)


def test_a_plan_is_cut_by_name_and_says_what_was_cut() -> None:
    """The command that shows a red seed's rest names what was left out."""
    plan = draw(RED_SEED)
    smaller = cut(cut(cut(plan, "m0"), "p1"), "crash")
    assert (len(plan.publications) - 1, 1, 0.0) == (len(smaller.publications), smaller.processes, smaller.odds.crash)
    assert ("m0", "p1", "crash") == smaller.cuts
    with pytest.raises(ValueError, match="cuts nothing"):
        cut(plan, "everything")


@pytest.mark.skipif(native.runs(), reason="BUGS CAN'T BE PLANTED IN COMPILED CODE: the run of the plain sources plants them")
def test_a_red_seed_is_cut_small_and_told_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown to a person still breaks the same promise, with less of everything."""
    assert [] == play_story(RED_SEED).broken
    canary_skipped(monkeypatch)
    red = play_story(RED_SEED)
    small = shrink(red.plan, plays_max=60)
    assert red.broken[0].rule == small.broken[0].rule == "I2e"
    assert len(small.plan.publications) < len(red.plan.publications)
    assert small.plan.cuts
    assert any("published" in line for line in small.trace)
