"""`why` and `status`: every message explained by its rule, every component and lane in the words of INTERFACES."""

from collections import Counter

import pytest

from lane.census import Census
from lane.state import STATES
from lane.summary import channel_states, lane_summary, moment, needs_a_person
from lane.why import is_to_file, why
from tests.unit.lane_story import T0, Story
from tests.unit.test_rules_outcomes import _in as sent_and_in


def _told(story: Story, key: str) -> list[str]:
    return [reason.rule for reason in why(story.state, story[key], at_ms=story.at_ms)]


@pytest.mark.parametrize("state", STATES)
def test_i7b_every_state_has_a_reason(state: str) -> None:
    """I7b: `why(message)` is total."""
    story = sent_and_in(state)
    reasons = why(story.state, story["A1"], at_ms=story.at_ms)
    assert reasons
    assert all(reason.sentence for reason in reasons)


def test_why_tells_the_notice_first_and_then_the_whole_chain() -> None:
    """R55, UX: what a close waits for, down to the rejected cargo."""
    story = Story()
    story.cargo("A1")
    story.trip("T", "A1")
    story.close("A1")
    story.sent("A1").rejected("A1")
    story.declare()
    assert ["R30", "E2", "E1"] == _told(story, "close A1")


def test_why_tells_a_free_message_that_it_goes_next() -> None:
    """I7b."""
    story = Story()
    story.cargo("A1")
    assert [("R30", "nothing stands in its way: it goes with the next grant")] == why(story.state, story["A1"], at_ms=T0)


def test_why_changes_nothing() -> None:
    """It asks the same functions that the fold asks, and decides nothing."""
    story = Story()
    story.trip("T", "A1")
    before = story["T"].blocker
    why(story.state, story["T"], at_ms=T0 + 10**9)
    assert before == story["T"].blocker


def _line(story: Story, name: str, direction: str = "inbound") -> dict[str, object]:
    lines = channel_states([Story("air").state, story.state], story.at_ms)
    return next(line for line in lines if (line["name"], line["direction"]) == (name, direction))


def test_status_names_every_component_in_both_directions() -> None:
    """INTERFACES section 1."""
    lines = channel_states([Story().state], T0)
    assert 14 == len(lines)
    assert {"name", "direction", "state", "since", "incident", "reason"} == set(lines[0])
    assert {"up"} == {line["state"] for line in lines}


@pytest.mark.parametrize(
    ("effect", "tenants", "state"),
    [
        ("unavailable", (), "down"), ("not_processing", (), "down"), ("partial", (), "partial"), ("delayed", (), "delayed"),
        ("relogon", (), "up"), ("unavailable", ("acme",), "partial"),
    ],
)  # fmt: skip
def test_status_says_what_a_notice_does(effect: str, tenants: tuple[str, ...], state: str) -> None:
    """INTERFACES section 1: up, down, delayed, partial."""
    story = Story()
    story.declare(effect=effect, tenants=tenants)
    assert state == _line(story, "edi")["state"]


def test_status_names_the_notice_and_since_when() -> None:
    """INTERFACES section 1: RFC 3339, the incident, the reason."""
    story = Story()
    story.declare("cers", incident="TCC25-0132")
    line = _line(story, "cers")
    assert ("TCC25-0132", "2025-10-09T08:53:20.000Z") == (line["incident"], line["since"])


def test_status_shows_a_window_from_its_start() -> None:
    """R31."""
    story = Story()
    story.declare(starts_s=60, ends_s=120)
    assert "up" == _line(story, "edi")["state"]
    story.wait(60)
    assert ("down", "2025-10-09T08:54:20.000Z") == (_line(story, "edi")["state"], _line(story, "edi")["since"])


def test_status_tells_suspect_opening_and_backlog_of_any_lane() -> None:
    """R32, R33, R61: a lane's link is part of the component's inbound state."""
    story = Story()
    story.cargo("A1")
    story.cargo("A2")
    story.intend("A1")
    story.concluded("A1", "not_taken")
    assert "suspect" == _line(story, "edi")["state"]
    story.declare()
    story.override()
    assert ("opening", "up") == (_line(story, "edi")["state"], _line(story, "edi", "outbound")["state"])
    story.done("A1")
    assert "backlog" == _line(story, "edi")["state"]
    story.done("A2")
    assert "up" == _line(story, "edi")["state"]


def test_the_summary_of_a_lane_counts_each_message_once() -> None:
    """INTERFACES section 1: received are effective messages."""
    story = Story()
    for key in ("A1", "A2", "A3", "A4", "A5"):
        story.cargo(key)
    story.cargo("A5")
    story.cargo("P1", channel="emanifest_portal")
    story.done("A1").sent("A2", "A3").rejected("A3")
    story.intend("A4")
    story.concluded("A4", "unknown")
    expected = {
        "lane": "highway", "received": 6, "held": 2, "in_flight": 1, "captured": 1, "rejected": 1, "unknown": 1, "parked": 0,
        "to_file": 1, "oldest_held_at": "2025-10-09T08:53:20.000Z",
    }  # fmt: skip
    assert expected == lane_summary(story.state, story.at_ms)


def test_the_summary_is_what_a_look_at_every_message_gives() -> None:
    """I5: kept counts, and the oldest held with and without a census, agree with a scan, with messages in every state."""
    story = Story()
    for key in ("A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"):
        story.cargo(key)
        story.wait(1)
    story.cargo("P1", channel="emanifest_portal")
    story.cargo("P2", channel="emanifest_portal")
    story.done("A1").sent("A2", "A3").rejected("A3")
    story.intend("A4", "A6")
    story.concluded("A4", "unknown")
    story.withdraw("A5")
    story.filed("P1")
    for kept in (None, Census(story.state)):
        story.state.census = kept
        assert _scanned(story) == lane_summary(story.state, story.at_ms)
    story.intend("A7")
    story.concluded("A6", "expired")
    assert _scanned(story) == lane_summary(story.state, story.at_ms)
    assert {"received": 10, "in_flight": 2, "captured": 2} == {
        name: lane_summary(story.state, story.at_ms)[name] for name in ("received", "in_flight", "captured")
    }


@pytest.mark.parametrize("state", STATES)
def test_the_summary_agrees_with_a_scan_whatever_state_the_oldest_is_in(state: str) -> None:
    """I5: what is finished, on its way or stuck is never called the oldest that is held."""
    story = sent_and_in(state)
    story.wait(60)
    story.cargo("later")
    for kept in (None, Census(story.state)):
        story.state.census = kept
        assert _scanned(story) == lane_summary(story.state, story.at_ms)


def _scanned(story: Story) -> dict[str, object]:
    messages = list(story.state.messages.values())
    count = Counter(message.state for message in messages)
    return {
        "lane": "highway", "received": len(messages), "held": count["held"],
        "in_flight": count["granted"] + count["transmitted"], "captured": count["captured"] + count["filed"],
        "rejected": count["rejected"], "unknown": count["unknown"], "parked": count["parked"],
        "to_file": sum(is_to_file(story.state, message, at_ms=story.at_ms) for message in messages),
        "oldest_held_at": moment(min(message.received_ms for message in messages if message.state == "held")),
    }  # fmt: skip


def test_an_empty_lane_has_no_oldest() -> None:
    """INTERFACES section 1: null."""
    assert lane_summary(Story().state, T0)["oldest_held_at"] is None


def test_needs_a_person_lists_what_no_program_can_bring_on() -> None:
    """R55, R57: parked, rejected and not corrected, unknown for good, contradictions; oldest first."""
    story = Story()
    for key in ("A1", "A2", "A3", "A4"):
        story.cargo(key)
    story.done("A4").sent("A1", "A2").rejected("A1")
    story.wait(1).rejected("A2")
    story.cargo("A2b", corrects="A2")
    story.intend("A3")
    story.concluded("A3", "unknown")
    story.person_needed("A3")
    story.wait(1).rejected("A4")
    lines = needs_a_person([story.state])
    assert [("A1", "rejected"), ("A4", "captured"), ("A3", "unknown")] == [
        (line["key"], line["state"]) for line in sorted(lines, key=lambda line: "A1A4A3".index(line["key"]))
    ]
    assert {"lane", "tenant", "key", "state", "reason", "since"} == set(lines[0])
    assert "rejected T36" == next(line["reason"] for line in lines if line["key"] == "A1")


def test_i10_another_party_is_named_only_by_what_ones_own_message_names() -> None:
    """I10: edges cross tenants; the reason is told, and not who filed what under which key, nor what one never named."""
    story = Story()
    story.cargo("A1", key="ask-cargo", tenant="zeta")
    story.trip("T9", "A1", key="ask-trip", tenant="zeta")
    story.trip("T1", "A1", key="trip")
    story.close("A1", key="close")
    for key in ("trip", "close"):
        told = " ".join(reason.sentence for reason in why(story.state, story[key], at_ms=story.at_ms))
        assert [] == [word for word in ("zeta", "ask-cargo", "ask-trip", "T9") if word in told]
        assert "another party's" in told
    assert "shipment A1" in " ".join(reason.sentence for reason in why(story.state, story["trip"], at_ms=story.at_ms))


def _strangers_named(story: Story, key: str) -> list[str]:
    """The sentences told of a message that name zeta, or one of zeta's keys, all of which begin with Z."""
    sentences = [reason.sentence for reason in why(story.state, story[key], at_ms=story.at_ms)]
    return [sentence for sentence in sentences if "zeta" in sentence or "Z" in sentence]


def test_i10_the_canary_is_named_only_to_its_own_party() -> None:
    """I10, R32: who waits for another party's canary is told that it waits, and not for which message."""
    story = Story()
    story.declare()
    story.cargo("Z1", tenant="zeta")
    for key in ("A1", "Z2"):
        story.cargo(key, tenant="acme" if key == "A1" else "zeta")
    story.override()
    story.sent("Z1")
    assert ["R32"] == _told(story, "A1")
    assert [] == _strangers_named(story, "A1")
    assert 1 == len(_strangers_named(story, "Z2"))


def test_i10_a_cycle_names_only_the_partys_own_messages() -> None:
    """I10, R24: the parked message's remark stays with it for good."""
    story = Story("marine")
    story.close("Z1", "A1", tenant="zeta", key="Z close")
    story.close("A1", "Z1", key="A close")
    story.house_bill("Z1", primary="P", previous="A1", tenant="zeta")
    story.house_bill("A1", primary="P", previous="Z1")
    parked = [message for message in story.state.messages.values() if message.code == "R24"]
    assert parked
    for message in parked:
        assert "another party's message" in message.remark
        assert ("zeta" in message.remark) == (message.tenant == "zeta")


def test_i10_a_late_predecessor_is_told_without_naming_what_another_party_filed() -> None:
    """I10, R22: the note names a document by a key of its own message or of its own party only."""
    story = Story()
    story.trip("ZT", "A1", tenant="zeta")
    story.wait(600).grace_elapsed("ZT")
    story.done("ZT")
    story.cargo("A1")
    assert [] == _strangers_named(story, "A1")
    assert ["late predecessor: another party's conveyance went before this message was received (E1)"] == list(story["A1"].notes)
