"""Seeded stories of the product's own workers in virtual time: all green as built, and red for each bug that is planted."""

from collections.abc import Callable

import pytest

from lane import fold, gate, grants, moves
from lane.state import Finding, LaneState
from schemas.facts import Source
from tests.simulation.play import play

GREEN_SEEDS = 25
"""Seeds that are played as built: half a minute; `python -m tests.simulation.play --seeds N` plays as many as wanted."""

RED_WITHIN = 40
"""Seeds within which a planted bug has to show."""


def test_seeds_are_green_and_the_faults_really_happen() -> None:
    """I1 to I4, I7: whatever crashes, pauses, gets lost, comes late or twice."""
    sometimes: set[str] = set()
    for seed in range(GREEN_SEEDS):
        outcome = play(seed)
        assert [] == outcome.broken, f"python -m tests.simulation.play --first {seed} --seeds 1"
        sometimes.update(outcome.sometimes)
    assert {
        "crash",
        "pause",
        "reply lost",
        "append ANSWER_LOST",
        "append APPLIED_LATE",
        "inbound refuse",
        "declared",
    } <= sometimes


def test_the_same_seed_tells_the_same_story() -> None:
    """A red seed can be played again."""
    assert play(3).digest == play(3).digest


def plant_order_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for anything."""
    monkeypatch.setattr(moves, "blocker", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(grants, "blocker", lambda *_args, **_kwargs: None)


def plant_gate_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice holds nobody."""
    monkeypatch.setattr(grants, "hold", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(gate, "holding", lambda *_args, **_kwargs: iter(()))


def plant_dedup_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key published again is a message of its own."""

    class Forgetful(dict[object, object]):
        def get(self, _key: object, default: object = None) -> object:
            return default

    built = LaneState.__init__

    def forgetting(self: LaneState, mode: str) -> None:
        built(self, mode)
        self.by_key = Forgetful()  # type: ignore[assignment]

    monkeypatch.setattr(LaneState, "__init__", forgetting)


def plant_source_chain_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts take effect whatever they continue."""

    def unchecked(state: LaneState, source: Source | None) -> Finding | None:
        if source is not None:
            state.marks[source.stream] = max(source.position, state.marks.get(source.stream, -1))
        return None

    monkeypatch.setattr(fold, "_off_chain", unchecked)


def plant_lease_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any epoch may grant."""
    monkeypatch.setattr(grants, "take", lambda *_args: ())


PLANTED: list[Callable[[pytest.MonkeyPatch], None]] = [
    plant_order_off, plant_gate_off, plant_dedup_off, plant_source_chain_off, plant_lease_off,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_turns_a_seed_red(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that no bug can turn red checks nothing."""
    plant(monkeypatch)
    assert any(_is_red(seed) for seed in range(RED_WITHIN))


def _is_red(seed: int) -> bool:
    try:
        return bool(play(seed).broken)
    except (AssertionError, KeyError, ValueError):
        return True
