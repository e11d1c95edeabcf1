"""R30 and R31: what closes, what opens and nothing else; windows."""

from dataclasses import replace
from typing import Any

import pytest

from lane.due import due_facts
from schemas.facts import Scope
from tests.unit.lane_story import T0, Story, rules

EDI_IN = Scope(component="edi", direction="inbound", effect="unavailable")
SWI_IN = Scope(component="swi", direction="inbound", effect="unavailable")


def _held(**policy: Any) -> Story:
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


@pytest.mark.parametrize(("new_end_s", "held"), [(30, True), (120, False)], ids=["shortened", "extended"])
def test_r30_an_update_shortens_no_window_that_has_begun(new_end_s: int, held: bool) -> None:
    """R30: an earlier end is no resolution: the end that was published first stands beside it; a later one takes its place."""
    story = Story()
    story.cargo("A1")
    story.declare(ends_s=60)
    first_ms = story.at_ms + 60_000
    assert ["R30"] * held == rules(story.declare(ends_s=new_end_s))
    new_ms = story.at_ms + new_end_s * 1_000
    story.wait(new_end_s).window_ended(ends_ms=new_ms)
    assert held == bool(story.state.outages)
    story.wait(60).window_ended(ends_ms=first_ms)
    assert {} == story.state.outages


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
