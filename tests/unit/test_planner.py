"""R24, R30: what the planner names next, whoever is held; and that what is judged quickly is judged as it is judged slowly."""

import pytest

from lane.grants import _is_wide_open, _refusal_by_caps_and_turn, refusal
from lane.order import blocker, judged
from replay import planner
from schemas import native
from tests.property.test_fold_machine import random_log
from tests.unit.lane_story import Story

from lane import fold  # isort: skip
from lane.state import LaneState  # isort: skip


@pytest.mark.skipif(native.runs(), reason="COMPILED CODE HAS ITS LIMITS INSIDE: the run of the plain sources sets a small one")
def test_r30_an_outage_of_one_tenant_hides_nobody_elses_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """R30: however many of theirs stand in front."""
    monkeypatch.setattr(planner, "SCAN_COUNT_MAX", 5)
    story = Story(rate_max_per_s=None)
    story.declare(tenants=("zeta",))
    for number in range(20):
        story.cargo(f"Z{number}", tenant="zeta")
    story.cargo("A1")
    assert ["A1"] == [message.key for message in planner.plan(story.state, at_ms=story.at_ms, outstanding={})]


@pytest.mark.parametrize("seed", range(6))
def test_r40_what_is_judged_quickly_is_judged_as_slowly(seed: int) -> None:
    """R20 to R42: the short ways of order and gate give what the long ways give, at every position."""
    state = LaneState("rail")
    for position, fact in random_log(seed):
        fold.apply(state, position, fact)
        at_ms = state.now_ms + 1_000 * (position % 3)
        for message in state.held():
            assert judged(state, message, at_ms=at_ms) == blocker(state, message, at_ms=at_ms)
            channel = state.channel(message.channel)
            if _is_wide_open(state, channel, at_ms=at_ms):
                slow = refusal(state, message, at_ms=at_ms)
                assert slow == _refusal_by_caps_and_turn(state, channel, message, at_ms=at_ms)
