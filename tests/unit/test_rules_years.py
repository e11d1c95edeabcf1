"""R59 to R61: rules that change, and what was held at an opening on its way out."""

from dataclasses import replace
from typing import Any

import pytest

from lane.fold import RulesTooOld
from lane.policy import CHANNELS, Policy
from lane.state import RULES_VERSION, Drain
from schemas.facts import PolicyAdopted, RulesAdopted
from tests.unit.lane_story import T0, Story, rules


def _rules(story: Story, version: int) -> RulesAdopted:
    return RulesAdopted(at_ms=T0, version=version, person="ann", reason="plan of 2027", source=story.source("desk"))


def test_r59_a_program_older_than_the_logs_rules_stops_there() -> None:
    """R59: changed semantics begin at that position; nothing after it is guessed."""
    story = Story()
    with pytest.raises(RulesTooOld, match="install a newer tidegate"):
        story.say(_rules(story, RULES_VERSION + 1))


def test_r59_rules_that_this_program_knows_are_adopted() -> None:
    """R59."""
    story = Story()
    assert () == story.say(_rules(story, RULES_VERSION))
    assert RULES_VERSION == story.state.rules_version


def test_i11_a_policy_counts_from_its_position_on() -> None:
    """I11: what was granted before it stays granted."""
    story = Story()
    for number in range(3):
        story.cargo(f"A{number}")
    story.intend("A0", "A1")
    story.adopt(in_flight_max=1)
    assert ["R42"] == rules(story.intend("A2"))
    assert 2 == story.state.counts["granted"]


def test_i11_a_policy_with_settings_of_a_newer_program_stops_an_older_one() -> None:
    """I11: a newer policy must not be half obeyed."""
    story = Story()
    fact = PolicyAdopted(at_ms=T0, policy='{"warp": 9}', person="ann", reason="?", source=story.source("desk"))
    with pytest.raises(ValueError, match="warp"):
        story.say(fact)


def test_i11_a_policy_that_names_some_channels_leaves_the_others_as_they_are() -> None:
    """I11: a lane's message always finds its channel."""
    policy = Policy.from_json('{"channels":{"edi":{"inbound":["cig"],"outbound":[],"delivery":"machine"}}}')
    assert set(CHANNELS) == set(policy.channels)
    assert ("cig",) == policy.channels["edi"].inbound


def test_i11_a_policy_reads_back_from_its_fact() -> None:
    """I11: the whole of it stands in the fact."""
    assert Policy() == Policy.from_json(Policy().as_json())


def _opened(**policy: Any) -> Story:
    """A1 and A2 were held for EDI when it opened; B1 came afterwards. An operator's hand is asked for."""
    story = Story(drain="operator", **policy)
    story.cargo("A1")
    story.cargo("A2")
    story.declare()
    story.resolve()
    story.cargo("B1")
    return story


def _drain(story: Story) -> Drain:
    drain = story.state.channel("edi").drain
    assert drain is not None
    return drain


def test_r61_the_set_is_what_was_held_at_the_opening_and_others_flow() -> None:
    """R61: until the operator starts it."""
    story = _opened()
    assert ("waiting", 2, 2) == (_drain(story).status, _drain(story).total, _drain(story).left)
    assert ["R61", "R61"] == rules(story.intend("A1", "A2", "B1"))
    assert "granted" == story.is_("B1")


def test_r61_a_start_lets_it_go() -> None:
    """R61."""
    story = _opened()
    assert () == story.replay("start")
    assert () == story.intend("A1", "A2")
    assert 0 == _drain(story).left


def test_r61_an_automatic_drain_starts_by_itself() -> None:
    """DESIGN section 3: policy per lane."""
    story = Story()
    story.cargo("A1")
    story.declare()
    story.resolve()
    assert "running" == _drain(story).status
    assert () == story.intend("A1")


@pytest.mark.parametrize(("act", "after"), [("pause", "resume"), ("abort", "start")])
def test_r61_paused_and_aborted_replays_leave_the_rest_held(act: str, after: str) -> None:
    """R61: an abort leaves the rest held; a later start takes it up again."""
    story = _opened()
    story.replay("start")
    story.done("A1")
    story.replay(act)
    assert ["R61"] == rules(story.intend("A2", "B1"))
    story.replay(after)
    assert () == story.intend("A2")


def test_r61_an_edge_binds_other_messages_to_the_replay() -> None:
    """R61: others flow unless an edge or R13 binds them to it."""
    story = _opened()
    story.trip("T", "A1")
    story.cargo("A2", key="change", function="change")
    assert ["E1", "R13"] == rules(story.intend("T", "change"))


def test_r61_membership_ends_at_the_first_grant() -> None:
    """R61: what came back is not the replay's any more."""
    story = _opened()
    story.replay("start")
    story.intend("A1")
    story.concluded("A1", "not_taken")
    story.replay("pause")
    assert () == story.wait(5).intend("A1")
    assert 1 == _drain(story).left


@pytest.mark.parametrize("way", ["withdraw", "filed"])
def test_r61_what_leaves_by_another_way_is_no_backlog(way: str) -> None:
    """R61: a drain is finished when nothing of it is held."""
    story = _opened()
    getattr(story, way)("A1")
    story.withdraw("A2")
    assert 0 == _drain(story).left


def test_r61_what_was_parked_at_the_opening_is_no_member() -> None:
    """R61: *held* at the opening; a person who settles it later wants it to go."""
    story = Story(drain="operator")
    story.cargo("A1", not_after_ms=T0)
    story.wait(1).intend("A1")
    story.declare()
    story.resolve()
    story.settle("A1", "held")
    assert 0 == _drain(story).left
    assert ["times"] == rules(story.intend("A1"))


def test_r61_a_new_opening_makes_a_new_set() -> None:
    """R61: the old replay is gone, and acts on it are void."""
    story = _opened()
    old = _drain(story)
    story.declare()
    story.resolve()
    assert (3, "waiting") == (_drain(story).total, _drain(story).status)
    assert ["R61"] == rules(story.replay("start", seen=old))
    assert "waiting" == _drain(story).status


def test_r61_r5_an_act_that_did_not_see_the_last_one_is_void() -> None:
    """R5: the late retry of a start can not undo the abort."""
    story = _opened()
    seen = replace(_drain(story))
    story.replay("start")
    story.replay("abort")
    assert ["R5"] == rules(story.replay("start", seen=seen))
    assert "aborted" == _drain(story).status


@pytest.mark.parametrize("act", ["resume", "pause"])
def test_r61_an_act_that_does_not_fit_is_void(act: str) -> None:
    """R61: with the sentence why."""
    story = _opened()
    found = story.replay(act)
    assert ["R61"] == rules(found)
    assert f"the replay is waiting; {act} does not apply" == found[0].sentence


def test_r61_an_operator_may_slow_a_replay_but_not_beyond_the_channels_rate() -> None:
    """R42, R61: *rate_max* is enforced by the fold; a replay's own rate counts while it runs."""
    story = _opened(rate_max_per_s=2)
    story.replay("start", rate_per_s=1)
    assert ["R42"] == rules(story.intend("A1", "A2"))
    story.replay("rate", rate_per_s=100)
    story.cargo("B2")
    assert ["R42"] == rules(story.intend("A2", "B1", "B2"))


def test_r61_a_paused_replays_rate_slows_nobody_else() -> None:
    """R61: others flow."""
    story = _opened()
    story.replay("start", rate_per_s=1)
    story.replay("pause")
    story.cargo("B2")
    assert () == story.intend("B1", "B2")
