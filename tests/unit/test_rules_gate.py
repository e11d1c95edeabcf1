"""R30 to R34: what closes, what opens and nothing else; windows, canaries, suspicion, the clerk's portal."""

from dataclasses import replace

import pytest

from lane.due import due_facts, questions
from lane.why import is_to_file
from schemas.facts import Scope
from tests.unit.lane_story import T0, Story, rules

EDI_IN = Scope(component="edi", direction="inbound", effect="unavailable")
SWI_IN = Scope(component="swi", direction="inbound", effect="unavailable")


def _held(**policy: object) -> Story:
    story = Story("rail", **policy)
    story.cargo("A1")
    story.cargo("A2")
    return story


def test_r30_nothing_is_granted_while_a_needed_component_is_on_hold() -> None:
    """R30: no intent is granted at a position where one of its components is on hold."""
    story = _held()
    story.declare()
    assert [("R30", True)] == [(each.rule, each.void) for each in story.intend("A1")]
    story.resolve()
    assert () == story.intend("A1")


def test_r30_a_message_needs_a_set_of_components() -> None:
    """R30: an IID over the single window needs EDI and SWI; plain EDI needs no SWI."""
    story = Story()
    story.cargo("A1")
    story.release("R", channel="swi")
    story.declare("swi")
    assert [[], ["R30"]] == [rules(story.intend("A1")), rules(story.intend("R"))]


def test_r30_directions_are_apart() -> None:
    """R30: an outbound-only outage never closes inbound (DESIGN section 7)."""
    story = _held()
    story.declare(direction="outbound")
    assert () == story.intend("A1")


@pytest.mark.parametrize(
    ("profile", "effect", "holds"),
    [
        ("careful", "unavailable", True),
        ("careful", "not_processing", True),
        ("careful", "partial", True),
        ("careful", "delayed", False),
        ("careful", "relogon", False),
        ("cbsa-queues", "unavailable", True),
        ("cbsa-queues", "not_processing", False),
        ("cbsa-queues", "delayed", False),
        ("cbsa-queues", "relogon", False),
    ],
)
def test_r30_the_profile_says_which_effects_hold(profile: str, effect: str, holds: bool) -> None:
    """DESIGN section 7: careful holds when CBSA can't receive or process; cbsa-queues where it can't receive."""
    story = _held(profile=profile)
    story.declare(effect=effect)
    assert holds == bool(story.intend("A1"))


def test_r30_partial_makes_links_suspect_where_cbsa_queues() -> None:
    """DESIGN section 7: one probe instead of a hold; an outbound notice says nothing of the way in."""
    story = _held(profile="cbsa-queues")
    story.declare(effect="partial", direction="outbound", incident="OUT")
    assert story.state.channel("edi").suspect_since_ms is None
    story.declare(effect="partial")
    assert ["R33"] == rules(story.intend("A1"))
    assert ["R33"] == rules(story.wait(5).intend("A1", "A2"))


def test_r30_a_component_opens_when_every_outage_over_it_is_resolved() -> None:
    """R30: set semantics, in any order of notices."""
    story = _held()
    story.declare(incident="TCC1")
    story.declare(incident="TCC2", effect="partial")
    story.resolve("TCC1")
    assert ["R30"] == rules(story.intend("A1"))
    story.resolve("TCC2")
    assert () == story.intend("A1")


def test_r30_an_outage_of_named_tenants_holds_only_them() -> None:
    """R30: an outage covers tenants."""
    story = _held()
    story.cargo("Z1", tenant="zeta")
    story.declare(tenants=("zeta",))
    assert [[], ["R30"]] == [rules(story.intend("A1")), rules(story.intend("Z1"))]


def test_r30_resolved_for_an_unknown_incident_opens_nothing() -> None:
    """R30, I2f: recorded, and said."""
    story = _held()
    story.declare()
    assert ["R30"] == rules(story.resolve("TCC99"))
    assert ["R30"] == rules(story.intend("A1"))


def test_r30_an_update_that_says_less_opens_nothing() -> None:
    """R30: resolved, an override or a window's end open; an update that leaves a component out is none of them."""
    story = _held()
    story.release("R", channel="swi")
    story.notice("TCC1", EDI_IN, SWI_IN)
    found = story.notice("TCC1", Scope(component="edi", direction="inbound", effect="delayed"))
    assert ["R30", "R30"] == rules(found)
    assert "edi inbound is unavailable: it stays on hold" in found[0].sentence
    assert ["R30", "R30"] == rules(story.intend("A1", "R"))
    story.resolve()
    assert () == story.intend("A1", "R")


def test_r30_an_update_does_not_shorten_a_hold_to_a_window() -> None:
    """R30: an outage that is said to end at noon is not a scheduled window: only *resolved* ends it."""
    story = _held()
    story.declare()
    story.declare(ends_s=60)
    story.wait(60).window_ended()
    assert ["R30"] == rules(story.intend("A1"))


def test_r30_an_update_may_move_a_window_that_has_not_begun() -> None:
    """R31: a correction of times is not an opening."""
    story = _held()
    story.declare(starts_s=60, ends_s=120)
    story.declare(starts_s=600, ends_s=900)
    assert () == story.wait(100).intend("A1")


def test_r30_an_override_opens_against_every_outage_that_covers_it_now() -> None:
    """R30: an operator's hand opens; a notice that comes later closes again."""
    story = _held()
    story.declare(incident="TCC1")
    story.declare(incident="TCC2")
    story.override()
    assert () == story.intend("A1")
    story.declare(incident="TCC1")
    assert ["R30"] == rules(story.intend("A2"))


def test_r30_an_override_may_hold_what_no_notice_closed() -> None:
    """R30: and CBSA's *resolved* doesn't take it back."""
    story = _held()
    story.declare()
    story.override(to="hold")
    story.resolve()
    assert ["R30"] == rules(story.intend("A1"))
    story.override(to="open")
    assert () == story.intend("A1")


def test_r30_only_a_scheduled_window_ends_by_a_window_ended() -> None:
    """R30: no other timer opens."""
    story = _held()
    story.declare()
    assert ["R30"] == rules(story.window_ended())
    assert ["R30"] == rules(story.intend("A1"))


def test_r30_a_policy_that_holds_less_opens_by_a_canary() -> None:
    """I11, R32: a person's policy is like a person's override."""
    story = _held()
    story.declare(effect="not_processing")
    story.adopt(profile="cbsa-queues")
    assert ["R32"] == rules(story.intend("A1", "A2"))


def test_r31_a_window_closes_at_its_published_start() -> None:
    """R31: judged by the intent's `at`; nobody has to be awake at the start."""
    story = _held()
    story.declare(starts_s=60, ends_s=120)
    assert () == story.wait(59.999).intend("A1")
    story.transmitted("A1")
    assert ["R31"] == rules(story.wait(0.001).intend("A2"))
    assert () == story.intend("A2", at_ms=story.at_ms - 1)


def test_r31_a_window_holds_until_its_end_is_effective() -> None:
    """R31: past the published end, and no fact of it yet: still void."""
    story = _held()
    story.declare(ends_s=60)
    story.wait(61)
    assert ["R31"] == rules(story.intend("A1"))
    story.window_ended(ends_ms=T0 + 60_000)
    assert () == story.intend("A1")


def test_r31_each_window_of_a_notice_ends_by_itself() -> None:
    """R31: two windows in a day with an hour of service between."""
    story = _held()
    window = replace(EDI_IN, scheduled=True, starts_ms=T0, ends_ms=T0 + 60_000)
    windows = (window, replace(window, starts_ms=T0 + 120_000, ends_ms=T0 + 180_000))
    story.notice("TCC1", *windows)
    story.wait(60)
    assert [T0 + 60_000] == [each.ends_ms for each in due_facts(story.state, at_ms=story.at_ms)]  # type: ignore[union-attr]
    story.window_ended()
    story.done("A1")
    assert ["R31"] == rules(story.wait(60).intend("A2"))


def test_r31_one_window_within_another_outage_opens_nothing() -> None:
    """R30, R31: a window that turned into an outage."""
    story = _held()
    story.declare(ends_s=60)
    story.declare(incident="TCC2")
    story.wait(60).window_ended()
    assert ["R30"] == rules(story.intend("A1"))


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
    shown = lambda: [key for key in ("A1", "T") if is_to_file(story.state, story[key], at_ms=story.at_ms)]  # noqa: E731
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
