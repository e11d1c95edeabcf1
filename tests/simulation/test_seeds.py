"""Seeded stories of the product's own workers in virtual time: all green as built, and red for each bug that is planted."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lane import fold, gate, grants, identity, moves
from lane.state import Finding, LaneState
from replay.lease import Standing
from schemas import native
from schemas.facts import MessageReceived, SendIntended, Source
from tests.simulation.play import play

GREEN_SEEDS = 25
"""Seeds that are played as built: half a minute; `python -m tests.simulation.play --seeds N` plays as many as wanted."""

RED_WITHIN = 80
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
    receive = identity.receive

    def forgetting(state: LaneState, position: int, fact: MessageReceived) -> tuple[Finding, ...]:
        known = state.by_publisher(fact.tenant, fact.key)
        if known is not None:
            state.free_key(known)
        return receive(state, position, fact)

    monkeypatch.setattr(identity, "receive", forgetting)


def plant_source_chain_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts take effect whatever they continue."""

    def unchecked(state: LaneState, source: Source | None) -> Finding | None:
        if source is not None:
            state.marks[source.stream] = max(source.position, state.marks.get(source.stream, -1))
        return None

    monkeypatch.setattr(fold, "_off_chain", unchecked)


def plant_lease_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any epoch may grant: whoever once held the lane goes on."""
    intend = grants.intend

    def unfenced(state: LaneState, position: int, fact: SendIntended) -> tuple[Finding, ...]:
        return intend(state, position, replace(fact, epoch=state.lease.epoch))

    monkeypatch.setattr(grants, "intend", unfenced)
    monkeypatch.setattr(Standing, "holds", lambda self, state: self.epoch > 0 and not state.lease.released)


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (plant_order_off, "audit V6|rejected"),
    (plant_gate_off, "audit V5"),
    (plant_dedup_off, "I1b"),
    (plant_source_chain_off, "R1"),
    (plant_lease_off, "audit V4|I4b"),
]
"""Each bug with the promise that it breaks, as the judge of a seed names it."""


@pytest.mark.skipif(native.runs(), reason="BUGS CAN'T BE PLANTED IN COMPILED CODE: the run of the plain sources plants them")
@pytest.mark.parametrize(("plant", "promise"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_bug_turns_a_seed_red(
    plant: Callable[[pytest.MonkeyPatch], None], promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that no bug can turn red checks nothing; and red for the reason that was planted, not by a crash."""
    plant(monkeypatch)
    assert any(re.search(promise, line) for seed in range(RED_WITHIN) for line in play(seed).broken)
