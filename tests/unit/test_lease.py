"""Who may take a lane and from when the taker may grant: R43 by one process's own clock."""

import pytest

from lane.state import LaneState
from replay import planner
from replay.lease import LOCK_AGAIN_S, Standing
from schemas import native
from schemas.effects import LockResult
from schemas.facts import LaneTaken
from tests.unit.lane_story import Story


def a_lane_of_somebody_else() -> Story:
    """Another process holds it, has granted, and has something left to send."""
    story = Story()
    story.cargo("A0")
    story.cargo("A1")
    story.intend("A0")
    return story


def stand_by_until_silent(standing: Standing, state: LaneState, *, from_s: float) -> tuple[LaneTaken, float]:
    """Look each half second; returns the taking and when it came."""
    boot_s = from_s
    while True:
        fact = standing.taking(state, at_ms=2_000_000_000_000, boot_s=boot_s, seen=1_000)
        if fact is not None:
            return fact, boot_s
        assert boot_s < from_s + 60, "a silent holder was never noticed"
        boot_s += 0.5


def test_r43_a_taker_waits_from_the_last_sign_of_life_that_it_saw() -> None:
    """R43: all that a silent holder was granted stood before its last fact, so its sends end delta + tau after that was seen."""
    story = a_lane_of_somebody_else()
    standing = Standing("ours")
    fact, boot_s = stand_by_until_silent(standing, story.state, from_s=100.0)
    assert ("silent", 103.0) == (fact.basis, boot_s)
    story.take_lane("silent", seen=1_000)
    story.state.lease.holder = "ours"
    assert standing.took(story.state, epoch=fact.epoch, boot_s=103.25)
    policy = story.state.policy
    assert 100.0 + (policy.delta_ms + policy.tau_ms) / 1000 == standing.may_grant_from_s


def test_r43_a_fact_of_the_holder_begins_the_wait_anew() -> None:
    """R43: what the holder wrote a moment ago may have granted something a moment ago."""
    story = a_lane_of_somebody_else()
    standing = Standing("ours")
    assert standing.taking(story.state, at_ms=story.at_ms, boot_s=100.0, seen=1_000) is None
    story.intend("A1")
    fact, boot_s = stand_by_until_silent(standing, story.state, from_s=102.5)
    assert 105.5 == boot_s
    story.take_lane("silent", seen=1_000)
    story.state.lease.holder = "ours"
    standing.took(story.state, epoch=fact.epoch, boot_s=boot_s)
    assert 102.5 + 12.0 == standing.may_grant_from_s


@pytest.mark.parametrize(("first", "wait_s"), [("silent", 12.0), ("dead", 0.0)])
def test_r43_a_wait_owed_from_further_back_begins_at_the_taking(first: str, wait_s: float) -> None:
    """R43: the taker of a silent holder died before it granted; we saw nothing of the silent one."""
    story = a_lane_of_somebody_else()
    story.take_lane(first, seen=1_000)
    standing = Standing("ours")
    standing.learn(LockResult(taken=True, dead=story.state.lease.holder))
    fact = standing.taking(story.state, at_ms=story.at_ms, boot_s=100.0, seen=1_000)
    assert fact is not None
    assert "dead" == fact.basis
    story.take_lane("dead")
    story.state.lease.holder = "ours"
    standing.took(story.state, epoch=fact.epoch, boot_s=101.0)
    assert 101.0 + wait_s == standing.may_grant_from_s


def test_r43_a_holder_without_the_lock_asks_for_it_now_and_then() -> None:
    """R43: who took over from a frozen process has no lock yet; its own death must be provable all the same."""
    standing = Standing("ours")
    assert [True, False, True] == [standing.asks_lock(boot_s=at_s) for at_s in (5.0, 5.5, 5.0 + LOCK_AGAIN_S)]
    standing.learn(LockResult(taken=True, dead=None))
    assert not standing.asks_lock(boot_s=100.0)


@pytest.mark.skipif(native.runs(), reason="COMPILED CODE HAS ITS LIMITS INSIDE: the run of the plain sources sets a small one")
def test_r43_a_standby_that_saw_many_go_still_notices_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """R43: a standby takes nothing out of its ready heaps; what another process sent must not hide what is left to send."""
    monkeypatch.setattr(planner, "SCAN_COUNT_MAX", 10)
    story = Story(rate_max_per_s=None)
    keys = [f"A{number}" for number in range(11)]
    for key in keys:
        story.cargo(key)
    story.intend(*keys)
    for key in keys:
        story.concluded(key, "transmitted")
    story.captured(*keys)
    assert not planner.is_sendable(story.state, at_ms=story.at_ms)
    story.cargo("last")
    assert planner.is_sendable(story.state, at_ms=story.at_ms)
    assert [1] == [len(channel.ready) for channel in story.state.channels.values() if channel.ready]
