"""R40 to R44: who may grant, what an intent grants, caps and rate, and what a new holder finds."""

import json
from collections import Counter
from typing import Any

import pytest

from lane.grants import rate_per_s
from lane.policy import Policy
from schemas.facts import LaneTaken, SendIntended, StillHere
from tests.unit.lane_story import Story, rules


def _ready(count: int, **policy: Any) -> tuple[Story, list[str]]:
    story = Story(**policy)
    keys = [f"A{number}" for number in range(count)]
    for key in keys:
        story.cargo(key)
    story.take_lane()
    return story, keys


def test_r40_members_are_judged_in_list_order_and_the_rest_stand() -> None:
    """R40: a forbidden member becomes a finding; what is granted first counts against the next."""
    story, _ = _ready(1)
    story.trip("T", "A0")
    story.release("R", "A0")
    assert ["E1", "R40"] == rules(story.intend("A0", "T", "A0", "R"))
    assert ("granted", "held", "granted") == (story.is_("A0"), story.is_("T"), story.is_("R"))


@pytest.mark.parametrize("epoch", [0, 2])
def test_r40_a_wrong_lease_voids_the_whole_intent(epoch: int) -> None:
    """R40, I4g."""
    story, keys = _ready(2)
    assert [("R40", None, True)] == [(each.rule, each.message, each.void) for each in story.intend(*keys, epoch=epoch)]
    assert 0 == story.state.counts["granted"]


def test_r40_a_released_lease_grants_nothing() -> None:
    """R43: the holder that left has left."""
    story, keys = _ready(1)
    story.release_lane()
    assert ["R40"] == rules(story.intend(*keys))


def test_r40_an_intent_beyond_the_batch_is_void() -> None:
    """R40: up to *batch* messages."""
    story, keys = _ready(3, batch_max=2)
    assert ["R40"] == rules(story.intend(*keys))
    assert () == story.intend(*keys[:2])


def test_r40_a_message_that_is_not_there_is_a_finding() -> None:
    """R40: the rest stand."""
    story, _ = _ready(1)
    here = story["A0"].position
    fact = SendIntended(at_ms=story.at_ms, epoch=1, issue=1, messages=(99, here))
    assert [("R40", 99)] == [(each.rule, each.message) for each in story.say(fact)]
    assert "granted" == story.is_("A0")


def test_r40_status_answers_of_another_epoch_are_void() -> None:
    """R40: the same for facts of answers: a zombie's question may precede its own send."""
    story, keys = _ready(1)
    story.intend(*keys)
    story.concluded("A0", "unknown")
    assert ["R40"] == rules(story.status("A0", known=False, epoch=7))
    assert "unknown" == story.is_("A0")


def test_r41_an_expired_grant_leaves_the_message_held_as_if_never_sent() -> None:
    """R41: its attempt doesn't count, and the same submission goes again."""
    story, _ = _ready(1)
    story.intend("A0")
    story.concluded("A0", "expired")
    message = story["A0"]
    assert ("held", 0, 1, True) == (message.state, message.attempts, message.submission, message.unblocked)


def test_r41_the_first_outcome_of_a_grant_counts() -> None:
    """R41: whatever a second one says."""
    story, _ = _ready(1)
    story.intend("A0")
    story.concluded("A0", "transmitted")
    assert ["R41"] == rules(story.concluded("A0", "unknown"))
    assert "transmitted" == story.is_("A0")


def test_r41_an_outcome_names_its_grant() -> None:
    """R41: a late outcome of an earlier grant is not the newer one's."""
    story, _ = _ready(1)
    story.intend("A0")
    first = story["A0"].grant
    story.concluded("A0", "expired")
    story.intend("A0")
    assert ["R41"] == rules(story.concluded("A0", "transmitted", grant=first))
    assert "granted" == story.is_("A0")


def test_r41_an_outcome_comes_from_its_grants_epoch() -> None:
    """R41, R43: nobody concludes another holder's grants."""
    story, _ = _ready(1)
    story.intend("A0")
    assert ["R41"] == rules(story.concluded("A0", "expired", epoch=9))


def test_r41_two_attempts_never_overlap() -> None:
    """I4b: a reject for want of a predecessor overtakes the outcome; the message goes again only when that is in."""
    story = Story(missing="send")
    story.trip("T", "A1")
    story.intend("T")
    story.cargo("A1")
    story.done("A1")
    story.rejected("T", code="E1")
    assert ("held", 2) == (story.is_("T"), story["T"].submission)
    assert ["R41"] == rules(story.intend("T"))
    story.transmitted("T")
    assert story["T"].unblocked
    assert () == story.intend("T")


def test_r42_the_cap_counts_grants_without_outcome() -> None:
    """R42: per lane and channel, by the fold."""
    story, keys = _ready(4, in_flight_max=2)
    story.release("R", channel="cad_api")
    assert ["R42", "R42"] == rules(story.intend(*keys, "R"))
    story.transmitted("A0")
    assert ["R42"] == rules(story.intend("A2", "A3"))
    assert 2 == story.state.channel("edi").in_flight


def test_r42_the_rate_is_a_bucket_of_one_second() -> None:
    """R42: *rate_max* a second, judged by the intent's `at`; a fact overtaken by a little gives nothing."""
    story, keys = _ready(5, rate_max_per_s=2)
    assert ["R42"] == rules(story.intend(*keys[:3]))
    assert ["R42"] == rules(story.intend("A2", at_ms=story.at_ms - 900))
    assert ["R42"] == rules(story.wait(0.5).intend("A2", "A3"))
    assert () == story.wait(10).intend("A3", "A4")


def test_r42_a_clock_that_was_ahead_stops_nothing_once_it_is_set_right() -> None:
    """R42: the rate is counted from the holder's new time on; the bucket is not filled by the way back."""
    story, keys = _ready(5, rate_max_per_s=2)
    ahead_ms = story.at_ms + 3_600_000
    assert ["R42"] == rules(story.intend(*keys[:3], at_ms=ahead_ms))
    assert ["R42"] == rules(story.intend(keys[2]))
    assert () == story.wait(0.5).intend(keys[2])
    assert ["R42"] == rules(story.intend(keys[3]))
    assert () == story.wait(0.5).intend(keys[3])


def test_r33_a_clock_that_was_ahead_does_not_put_the_probe_off() -> None:
    """R33: the back-off is counted from the holder's new time on."""
    story, keys = _ready(2)
    story.wait(3_600).intend(keys[0])
    story.concluded(keys[0], "not_taken")
    story.wait(-3_600)
    assert ["R33"] == rules(story.intend(keys[1]))
    assert () == story.wait(5).intend(keys[1])


def test_r42_a_channel_may_have_a_rate_of_its_own() -> None:
    """R42, I11: the channel's own rate, slower or faster; the others keep the one for all."""
    story, keys = _ready(6, rate_max_per_s=3, channel_rate_max_per_s={"edi": 1, "cad_api": 5})
    for channel in ("cad_api", "swi"):
        for number in range(6):
            story.release(f"{channel} {number}", channel=channel)
            keys.append(f"{channel} {number}")
    story.intend(*keys)
    granted = Counter(story[key].channel for key in keys if story.is_(key) == "granted")
    assert {"edi": 1, "cad_api": 5, "swi": 3} == granted


def test_r42_a_channels_own_rate_may_be_none() -> None:
    """R42: no limit for one channel, while the others keep theirs."""
    story, keys = _ready(60, rate_max_per_s=1, channel_rate_max_per_s={"edi": None})
    assert () == story.intend(*keys)


def test_r61_a_replays_rate_slows_a_channel_and_never_hastens_it() -> None:
    """R42, R61: the slower of the channel's own rate and the replay's is in force."""
    found = []
    for own, replays in ((2, 5), (5, 2)):
        story = Story(rate_max_per_s=50, drain="operator", channel_rate_max_per_s={"edi": own})
        story.declare()
        for number in range(10):
            story.cargo(f"A{number}")
        story.take_lane()
        story.resolve()
        story.replay("start", rate_per_s=replays)
        found.append(rate_per_s(story.state, story.state.channel("edi")))
    assert [2, 2] == found


def test_i11_a_policy_of_before_channel_rates_is_read_as_it_was_meant() -> None:
    """I11: a setting that an older program wrote without gets its default."""
    old = json.loads(Policy(rate_max_per_s=7).as_json())
    del old["channel_rate_max_per_s"]
    assert Policy(rate_max_per_s=7) == Policy.from_json(json.dumps(old))


def test_i11_a_channels_own_rate_goes_with_default() -> None:
    """R42: what was given can be taken back; giving one channel a rate leaves the others' alone."""
    policy = Policy().with_rates({"edi": 5, "cig": None}).with_rates({"edi": "default", "swi": 9})
    assert {"cig": None, "swi": 9} == policy.channel_rate_max_per_s
    assert (50, None, 9) == (policy.rate_of("edi"), policy.rate_of("cig"), policy.rate_of("swi"))
    assert policy == Policy.from_json(policy.as_json())


def test_r42_none_is_no_rate() -> None:
    """R42: `--rate-max none`."""
    story, keys = _ready(60, rate_max_per_s=None)
    assert () == story.intend(*keys)


@pytest.mark.parametrize(("basis", "void"), [("free", True), ("released", True), ("dead", False), ("silent", False)])
def test_r43_a_lease_is_taken_only_on_a_basis_that_holds(basis: str, void: bool) -> None:
    """R43: free, released, proved dead, or silent since the taker's end of the log."""
    story, _ = _ready(1)
    assert void == any(each.void for each in story.take_lane(basis))


def test_r43_a_holder_that_has_written_since_is_not_silent() -> None:
    """R43: a fact of its epoch at or beyond what the taker had read voids the taking."""
    story, _ = _ready(1)
    seen = story.position + 1
    story.say(StillHere(at_ms=story.at_ms, epoch=1))
    assert ["R43"] == rules(story.take_lane("silent", seen=seen))
    assert 1 == story.state.lease.epoch


@pytest.mark.parametrize("sign", ["intend", "outcome", "status", "person", "still_here"])
def test_r43_every_fact_of_the_epoch_is_a_sign_of_life(sign: str) -> None:
    """R43: no fact of its epoch for *ttl*."""
    story, _ = _ready(2)
    story.intend("A0")
    story.concluded("A0", "unknown")
    if sign == "intend":
        story.intend("A1")
    elif sign == "outcome":
        story.concluded("A0", "unknown")
    elif sign == "status":
        story.status("A0", known=True)
    elif sign == "person":
        story.person_needed("A0")
    else:
        story.say(StillHere(at_ms=story.at_ms, epoch=1))
    assert story.position == story.state.lease.last


def test_r43_a_holder_with_grants_open_can_not_release() -> None:
    """R43: what it had not concluded would be forgotten."""
    story, _ = _ready(1)
    story.intend("A0")
    assert ["R43"] == rules(story.release_lane())
    story.transmitted("A0")
    assert () == story.release_lane()
    assert () == story.take_lane("released")


def test_r43_epochs_follow_each_other() -> None:
    """R43: a taker is a new incarnation with a new epoch."""
    story, _ = _ready(1)
    for epoch in (1, 3):
        fact = LaneTaken(at_ms=story.at_ms, epoch=epoch, holder="other", basis="dead", seen=0)
        assert ["R43"] == rules(story.say(fact))


def test_r44_a_grant_of_an_earlier_epoch_without_an_outcome_is_unknown() -> None:
    """R44: and it counts against no cap any more."""
    story, _ = _ready(2)
    story.intend("A0", "A1")
    story.transmitted("A1")
    assert ["R44"] == rules(story.take_lane("dead"))
    assert ("unknown", "transmitted") == (story.is_("A0"), story.is_("A1"))
    assert 0 == story.state.channel("edi").in_flight
    assert ["R15"] == rules(story.withdraw("A0"))


@pytest.mark.parametrize(("result", "state"), [("transmitted", "transmitted"), ("expired", "held"), ("not_taken", "held")])
def test_r44_the_old_holder_may_still_say_what_became_of_its_grants(result: str, state: str) -> None:
    """R41, R44: the first outcome counts, and the truth ends an unknown."""
    story, _ = _ready(1)
    story.intend("A0")
    story.take_lane("dead")
    story.concluded("A0", result, epoch=1)
    assert state == story.is_("A0")


@pytest.mark.parametrize("result", ["expired", "not_taken", "slow_down"])
def test_r15_what_was_doubted_and_turns_out_unsent_may_be_withdrawn(result: str) -> None:
    """R15, R44: a grant whose outcome is `expired` or *not taken* stands in nobody's way, however late it is told."""
    story, _ = _ready(1)
    story.intend("A0")
    story.take_lane("dead")
    story.concluded("A0", result, epoch=1)
    assert () == story.withdraw("A0")
    assert "withdrawn" == story.is_("A0")


def test_r15_what_an_earlier_attempt_may_have_sent_stays_so() -> None:
    """R15, R44: the second attempt's outcome says nothing about the first one's."""
    story, _ = _ready(1)
    story.intend("A0")
    story.concluded("A0", "unknown")
    story.status("A0", known=False)
    story.intend("A0")
    story.take_lane("dead")
    story.concluded("A0", "expired", epoch=1)
    assert ["R15"] == rules(story.withdraw("A0"))


def test_r60_the_defaults_are_those_of_the_rules() -> None:
    """R60, to the letter."""
    policy = Policy()
    assert (2_000, 10_000, 3_000, 5_000) == (policy.delta_ms, policy.tau_ms, policy.ttl_ms, policy.lag_max_ms)
    assert (30 * 60_000, 5_000, 5 * 60_000) == (policy.settling_ms, policy.probe_ms, policy.probe_max_ms)
    assert (500, 64, 50) == (policy.batch_max, policy.in_flight_max, policy.rate_max_per_s)
    assert (600_000, 60_000, 900_000, 3) == (
        policy.missing_wait_ms, policy.canary_wait_ms, policy.answer_due_ms, policy.resubmissions_max,
    )  # fmt: skip


def test_r43_the_wait_for_a_silent_holder_is_owed_until_somebody_has_granted() -> None:
    """R43, I4b: a taker by silence that dies in its wait leaves the wait to the next one (found by a seed)."""
    story = Story()
    story.cargo("A1")
    owes = []
    for basis in ("free", "silent", "dead", "dead"):
        story.take_lane(basis)
        owes.append(story.state.lease.owes)
    assert [False, True, True, True] == owes
    story.intend("A1")
    story.take_lane("dead")
    assert not story.state.lease.owes, "who has granted has waited"
