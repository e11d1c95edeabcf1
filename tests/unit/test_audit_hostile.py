"""What a hostile authority says is no fault of the log: the auditor knows what was never sent, as the fold does."""

import pytest

from audit.verify import verify
from schemas.facts import MessageSettled
from tests.audit_world import World


def _world() -> tuple[World, int, int]:
    """A lane with a shipment on its way and a trip that waits for it."""
    world = World()
    world.take()
    cargo = world.publish("c1", "cargo", keys={"ccn": ["ABCD1"]})
    trip = world.publish("t1", "conveyance", keys={"crn": ["ABCDT"], "ccn": ["ABCD1"]})
    world.send(cargo)
    return world, cargo, trip


def _said(world: World, *said: tuple[str, str]) -> None:
    """A page of answers, by wire key and outcome, and the lane's fact of it."""
    world.read_page(world.page([{"idempotency_key": key, "outcome": outcome} for key, outcome in said]))


@pytest.mark.parametrize("outcome", ["rejected", "captured", "duplicate"])
def test_an_answer_to_a_submission_that_was_never_sent_is_nobodys_verdict(outcome: str) -> None:
    """R52: it is kept, and the true answer behind it counts: found by a hostile authority, which made V6 blame the trip."""
    world, cargo, trip = _world()
    _said(world, ("highway/acme/c1~7", outcome), ("highway/acme/c1", "captured"))
    assert "captured" == world.message(cargo).state
    world.send(trip)
    assert verify(world.log, world.codec).ok


def test_an_answer_to_a_submission_that_was_sent_again_counts() -> None:
    """R57: after a reject a person lets it go again: the second submission is the current one, to the auditor, too."""
    world, cargo, trip = _world()
    _said(world, ("highway/acme/c1", "rejected"))
    settled = MessageSettled(
        at_ms=world.now_ms,
        message=cargo,
        to="held",
        basis=world.message(cargo).act,
        evidence="a call",
        person="ann",
        reason="asked",
    )
    world.write(settled)
    world.send(cargo)
    assert 2 == world.message(cargo).submission
    _said(world, ("highway/acme/c1~3", "rejected"), ("highway/acme/c1~2", "captured"))
    assert "captured" == world.message(cargo).state
    world.send(trip)
    assert verify(world.log, world.codec).ok


def test_a_capture_of_a_submission_that_was_never_sent_files_nothing() -> None:
    """V6 goes on looking: a trip that goes because of such an answer goes too early."""
    world, _, trip = _world()
    _said(world, ("highway/acme/c1~7", "captured"))
    assert "held" == world.message(trip).state
    grant = world.intend(trip)
    world.conclude(trip, grant)
    assert ["V6"] == [finding.check for finding in verify(world.log, world.codec).findings if finding.check == "V6"]
