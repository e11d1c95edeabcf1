"""R32 to R34: canaries, suspicion, and what a clerk files in the portal."""

from typing import Any

import pytest

from lane.due import QUESTIONS_COUNT_MAX, questions
from lane.why import is_to_file
from tests.unit.lane_story import T0, Story, rules


def _held(**policy: Any) -> Story:
    story = Story("rail", **policy)
    story.cargo("A1")
    story.cargo("A2")
    return story


def _canary(by: str) -> Story:
    story = _held()
    if by == "window":
        story.declare(ends_s=60)
        story.wait(60).window_ended()
    elif by == "override":
        story.declare()
        story.override()
    else:
        story.declare()
        story.resolve()
    return story


@pytest.mark.parametrize("by", ["window", "override"])
def test_r32_one_message_goes_ahead_and_waits_for_its_answer(by: str) -> None:
    """R32: after `WindowEnded` or an override."""
    story = _canary(by)
    assert ["R32"] == rules(story.intend("A1", "A2"))
    story.transmitted("A1")
    assert ["R32"] == rules(story.intend("A2"))
    story.captured("A1")
    assert () == story.intend("A2")


def test_r32_resolved_needs_no_canary() -> None:
    """R32: CBSA says that it is up."""
    assert () == _canary("resolved").intend("A1", "A2")


@pytest.mark.parametrize("outcome", ["rejected", "duplicate"])
def test_r32_a_reject_or_duplicate_proves_the_link_too(outcome: str) -> None:
    """R32: any application answer."""
    story = _canary("window")
    story.sent("A1").answer("A1", outcome)
    assert not story.state.channel("edi").canary_needed


def test_r32_a_status_answer_proves_the_link_only_with_a_verdict() -> None:
    """R32, R52: known but unanswered says nothing of CBSA's processing."""
    story = _canary("window")
    story.sent("A1").status("A1", known=True)
    assert story.state.channel("edi").canary_needed
    story.status("A1", known=True, outcome="captured")
    assert () == story.intend("A2")


def test_r32_an_answer_to_what_was_sent_before_proves_nothing() -> None:
    """R32: the link of before the window is not the link of after it."""
    story = _held()
    story.sent("A1")
    story.declare()
    story.override()
    story.captured("A1")
    assert story.state.channel("edi").canary_needed


def test_r32_a_silent_canary_is_asked_about_and_the_next_goes_after_a_minute() -> None:
    """R32: 60 s, status query, then the next message, one at a time."""
    story = _canary("override")
    story.cargo("A3")
    story.sent("A1")
    assert ["R32"] == rules(story.wait(59).intend("A2"))
    assert [] == questions(story.state, at_ms=story.at_ms)
    story.wait(1)
    assert [story["A1"]] == questions(story.state, at_ms=story.at_ms)
    assert ["R32"] == rules(story.intend("A2", "A3"))
    assert "granted" == story.is_("A2")


def test_r32_a_canary_that_is_silent_for_a_quarter_of_an_hour_is_asked_about_once() -> None:
    """R32, R54: it is due twice over; the runner, which asks one question of a message at a time, stopped (seed 609)."""
    story = _canary("override")
    story.sent("A1").wait(900)
    assert [story["A1"]] == questions(story.state, at_ms=story.at_ms)


def test_r32_an_unknown_canary_lets_the_next_go_after_a_minute() -> None:
    """R32, I7: a canary whose fate nobody can tell doesn't shut the channel for good."""
    story = _canary("override")
    story.intend("A1")
    story.concluded("A1", "unknown")
    assert ["R32"] == rules(story.wait(59).intend("A2"))
    assert () == story.wait(1).intend("A2")


def test_r32_a_canary_that_was_not_taken_is_no_canary() -> None:
    """R32: held again; whoever is next goes ahead."""
    story = _canary("override")
    story.intend("A1")
    story.concluded("A1", "expired")
    assert () == story.intend("A2")


def test_r32_where_answers_are_out_by_notice_the_transport_proves_the_link() -> None:
    """R32: outbound bad by notice: transport acceptance suffices."""
    story = _canary("override")
    story.declare(direction="outbound", incident="OUT")
    story.sent("A1")
    assert () == story.intend("A2")


def test_r32_an_arrival_is_never_the_canary_while_another_may_go() -> None:
    """R32: never an arrival, unless only arrivals are sendable: then the oldest `occurred_at`."""
    story = Story("rail")
    story.declare()
    story.cargo_arrival("B1", inland=False, occurred_ms=T0 - 5_000)
    story.cargo_arrival("B2", inland=False, occurred_ms=T0 - 9_000)
    story.cargo("A1", not_after_ms=T0)
    story.wait(1).override()
    assert ["R32", "R32"] == rules(story.intend("arrival B1", "arrival B2"))
    assert ["times"] == rules(story.intend("A1"))
    assert ["R32"] == rules(story.intend("arrival B1"))
    assert () == story.intend("arrival B2")


def test_r32_what_may_not_go_does_not_keep_an_arrival_from_being_the_canary() -> None:
    """R32: *sendable*: a message of a tenant that is held for longer, or an arrival of one, is not."""
    story = Story("rail")
    story.declare()
    story.cargo("Z1", tenant="zeta")
    story.cargo_arrival("Z2", inland=False, tenant="zeta", occurred_ms=T0 - 9_000)
    story.cargo_arrival("B1", inland=False)
    story.override()
    story.declare(incident="TCC2", tenants=("zeta",))
    assert () == story.intend("arrival B1")


def test_r32_a_paused_replay_does_not_keep_a_new_arrival_from_being_the_canary() -> None:
    """R32, R61: what belongs to a replay that does not run is not sendable."""
    story = Story("rail", drain="operator")
    story.declare()
    story.cargo("A1")
    story.override()
    story.cargo_arrival("B1", inland=False)
    assert () == story.intend("arrival B1")


def test_r32_what_is_not_the_paused_replays_is_a_better_canary_than_an_arrival() -> None:
    """R32, R61: others flow, so another message is sendable."""
    story = Story("rail", drain="operator")
    story.declare()
    story.cargo("A1")
    story.override()
    story.cargo_arrival("B1", inland=False)
    story.cargo("B2")
    assert ["R32"] == rules(story.intend("arrival B1"))
    assert () == story.intend("B2")


def test_r32_channels_for_persons_have_no_canary() -> None:
    """R32: a clerk sees for himself."""
    story = Story()
    story.cargo("A1", channel="emanifest_portal")
    story.declare("emanifest_portal")
    story.override("emanifest_portal")
    assert not story.state.channel("emanifest_portal").canary_needed
    assert is_to_file(story.state, story["A1"], at_ms=story.at_ms)


def _suspect(count: int = 4) -> Story:
    story = Story()
    for number in range(count):
        story.cargo(f"A{number}")
    story.intend("A0")
    story.concluded("A0", "not_taken", detail="connection refused")
    return story


def test_r33_a_refused_connection_or_503_makes_the_link_suspect() -> None:
    """R33: held again, nothing parked, no other grant until the probe."""
    story = _suspect()
    assert ("held", True) == (story.is_("A0"), story["A0"].unblocked)
    assert ["R33"] == rules(story.wait(4.999).intend("A1"))
    assert ["R33"] == rules(story.wait(0.001).intend("A1", "A2"))


def test_r33_three_unknowns_in_a_row_make_the_link_suspect() -> None:
    """R33: consecutive; another outcome between them breaks the row."""
    story = Story()
    for number in range(6):
        story.cargo(f"A{number}")
    for number, result in enumerate(["unknown", "unknown", "slow_down", "unknown", "unknown"]):
        story.wait(60).intend(f"A{number}")
        story.concluded(f"A{number}", result)
    assert story.state.channel("edi").suspect_since_ms is None
    story.intend("A5")
    story.concluded("A5", "unknown", detail="timed out")
    assert ["R33"] == rules(story.intend("A2"))


def test_r33_the_back_off_doubles_with_each_probe_up_to_the_cap() -> None:
    """R33, R60: probe 5 s doubling to 5 min; a timed-out probe is followed by another."""
    story = _suspect()
    waits = [story.state.channel("edi").backoff_ms]
    for number in range(8):
        story.wait(waits[-1] / 1_000).intend(f"A{number % 3 + 1}")
        story.concluded(f"A{number % 3 + 1}", "not_taken")
        waits.append(story.state.channel("edi").backoff_ms)
    assert [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000] == waits


def test_r33_what_was_on_its_way_when_suspicion_began_is_no_probe() -> None:
    """R33: sixty refusals at once are one suspicion, not sixty doublings."""
    story = Story()
    for number in range(4):
        story.cargo(f"A{number}")
    story.intend("A0", "A1", "A2", "A3")
    for number in range(4):
        story.concluded(f"A{number}", "not_taken")
    assert 5_000 == story.state.channel("edi").backoff_ms


@pytest.mark.parametrize("result", ["transmitted", "refused"])
def test_r33_any_answer_but_429_and_5xx_ends_suspicion(result: str) -> None:
    """R33: 202, 400 and 409 come from a link that works."""
    story = _suspect()
    story.wait(5).intend("A1")
    story.concluded("A1", result)
    assert () == story.intend("A2", "A3")


def test_r33_429_waits_and_is_not_suspicion() -> None:
    """R33: `Retry-After`; neither begins nor ends suspicion."""
    story = Story()
    story.cargo("A1")
    story.intend("A1")
    story.concluded("A1", "slow_down", retry_after_ms=7_000)
    assert story.state.channel("edi").suspect_since_ms is None
    assert ["R33"] == rules(story.wait(6.999).intend("A1"))
    assert () == story.wait(0.001).intend("A1")


def test_r33_429_does_not_end_suspicion() -> None:
    """R33: any answer *but* 429."""
    story = _suspect()
    story.wait(5).intend("A1")
    story.concluded("A1", "slow_down", retry_after_ms=1)
    assert story.state.channel("edi").suspect_since_ms is not None


def test_r33_an_opening_ends_suspicion() -> None:
    """R33: suspected first, confirmed by its notice, then resolved: everything goes at once."""
    story = _suspect()
    story.declare()
    story.resolve()
    assert () == story.intend("A0", "A1", "A2")


def test_r33_suspicion_is_a_channels_own() -> None:
    """R33, R42: (lane, channel)."""
    story = _suspect()
    story.release("R", channel="cad_api")
    assert () == story.intend("R")


def test_r34_a_portal_message_is_shown_while_the_fold_would_grant_it() -> None:
    """R34: `to_file` is no grant; it follows notices and order."""
    story = Story()
    story.cargo("A1", channel="emanifest_portal")
    story.trip("T", "A1", channel="emanifest_portal")

    def shown() -> list[str]:
        return [key for key in ("A1", "T") if is_to_file(story.state, story[key], at_ms=story.at_ms)]

    assert ["A1"] == shown()
    assert ["R34"] == rules(story.intend("A1"))
    story.declare("emanifest_portal")
    assert [] == shown()
    story.resolve()
    story.filed("A1")
    assert ["T"] == shown()


def test_r34_filed_puts_the_document_on_file_across_channels() -> None:
    """R34: a close sent by EDI waits for a house bill held for the portal."""
    story = Story()
    story.house_bill("H", primary="P", channel="emanifest_portal")
    story.close("P", "H")
    assert "E3" == story.waits("close P")
    story.filed("H")
    story.done("close P")


def test_r34_what_is_on_its_way_can_not_have_been_filed() -> None:
    """R34: only what waits here."""
    story = Story()
    story.cargo("A1")
    story.sent("A1")
    assert ["R34"] == rules(story.filed("A1"))


def test_r51_what_can_not_be_asked_now_keeps_nothing_else_from_being_asked() -> None:
    """R51: neither the unknowns of a channel that a notice holds nor those just asked starve the others."""
    story = Story(in_flight_max=200, rate_max_per_s=None, unknown_streak_max=1_000)
    edi = [f"E{number}" for number in range(QUESTIONS_COUNT_MAX)]
    for key in edi:
        story.cargo(key, channel="edi")
    story.cargo("CAD", channel="cad_api")
    story.intend(*edi, "CAD")
    for key in (*edi, "CAD"):
        story.concluded(key, "unknown")
    asked = {story[key].position for key in edi}
    assert [story["CAD"]] == questions(story.state, at_ms=story.at_ms, not_now=asked)
    story.declare("edi")
    assert [story["CAD"]] == questions(story.state, at_ms=story.at_ms)


@pytest.mark.parametrize("end", ["outcome", "takeover"])
def test_r13_an_original_behind_a_change_is_free_when_the_changes_overtaken_grant_ends(end: str) -> None:
    """R13, R41, R44: a reject overtook the outcome of the change's grant; the original waits until nothing is on the wire, and no
    longer (found by a seed)."""
    story = Story()
    story.cargo("A1", key="change", function="change")
    story.wait(600).grace_elapsed("change")
    story.intend("change")
    story.cargo("A1")
    story.rejected("change", code="NOF")
    assert "R13" == story.waits("A1")
    if end == "outcome":
        story.concluded("change", "unknown")
    else:
        story.take_lane("silent")
    assert None is story.waits("A1")
