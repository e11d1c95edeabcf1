"""R21 to R24: predecessors that are pending, missing, late, settled or in a circle."""

from collections.abc import Callable

import pytest

from lane.ready import taken
from tests.unit.lane_story import Story, rules

Setting = Callable[[Story], object]


def test_r21_a_successor_waits_until_every_predecessor_is_on_file() -> None:
    """R21, first sentence."""
    story = Story()
    for ccn in ("A1", "A2", "A3"):
        story.cargo(ccn)
    story.trip("T", "A1", "A2", "A3")
    story.done("A3", "A1")
    assert "E1" == story.waits("T")
    story.done("A2")
    assert story["T"].unblocked


def test_r21_a_successor_waits_for_earlier_cancels_and_originals_of_a_document_on_file() -> None:
    """R21, second sentence: cancelled and filed anew before the trip was published."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A1", key="cancel", function="cancel")
    story.cargo("A1", key="again")
    story.trip("T", "A1")
    story.cargo("A1", key="later", function="cancel")
    assert "E1" == story.waits("T")
    story.done("cancel")
    assert "E1" == story.waits("T")
    story.done("again")
    assert story.waits("T") is None


def test_r21_a_successor_does_not_wait_for_changes_of_a_document_on_file() -> None:
    """R21 speaks of originals and cancels."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A1", key="change", function="change")
    story.trip("T", "A1")
    assert story.waits("T") is None


def test_r21_a_cancel_waits_for_earlier_messages_that_name_its_document() -> None:
    """R21, third sentence: the trip goes before its cargo is taken away; a trip published later is no reason to wait."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.trip("T", "A1")
    story.release("R", "A1")
    story.cargo("A1", key="cancel", function="cancel")
    story.trip("T9", "A1")
    assert "R21" == story.waits("cancel")
    story.done("T", "R")
    assert story["cancel"].unblocked


def test_r21_a_trip_waits_for_earlier_trips_that_name_or_let_go_of_its_shipment() -> None:
    """R21, fourth sentence, E11: T1 carries K, its change lets K go, T2 takes K."""
    story = Story()
    story.cargo("K")
    story.trip("T1", "K")
    story.done("K", "T1")
    story.trip("T1", key="change", function="change")
    story.trip("T2", "K")
    assert "E11" == story.waits("T2")
    story.done("change", "T2")


def test_r14_a_second_original_that_is_parked_keeps_no_arrival_waiting_for_what_it_lists() -> None:
    """E4: what is on file speaks for the trip; the arrival does not wait for a cargo that only the parked message lists."""
    story = Story("rail")
    story.trip("T", "A1", key="first")
    story.cargo("A1")
    story.done("A1", "first")
    story.cargo("A2")
    story.arrival("T")
    story.trip("T", "A2", key="again")
    assert ("parked", None) == (story.is_("again"), story["arrival T"].blocker)


@pytest.mark.parametrize("end", ["rejected", "refused", "settled"])
def test_r55_a_change_that_is_out_keeps_no_arrival_waiting_for_what_it_lists(end: str) -> None:
    """E4: what is on file speaks for the trip, so an arrival is looked at again when a change of it stands aside."""
    story = Story("rail")
    for ccn in ("A1", "A2"):
        story.cargo(ccn)
    story.trip("T", "A1", key="first")
    story.done("A1", "A2", "first")
    story.trip("T", "A1", "A2", key="more", function="change")
    story.intend("more")
    story.cargo("A2", key="back", function="cancel")
    story.arrival("T")
    assert "E4" == story.waits("arrival T")
    match end:
        case "settled":
            story.concluded("more", "unknown")
            story.settle("more", "rejected")
        case "rejected":
            story.rejected("more")
        case _:
            story.concluded("more", end)
    assert story["arrival T"].unblocked


def test_r22_a_named_document_that_was_never_seen_is_waited_for_ten_minutes() -> None:
    """R22: from B's receipt; then it goes, with a finding that `why` tells."""
    story = Story()
    story.trip("T", "A1")
    assert "R22" == story.waits("T")
    assert ["R6"] == rules(story.wait(599.999).grace_elapsed("T"))
    assert () == story.wait(0.001).grace_elapsed("T")
    assert () == story.intend("T")
    assert ("went without shipment A1, which was never seen here (R22)",) == story["T"].notes


def test_r22_grace_runs_from_the_channels_last_opening() -> None:
    """R22: while it was shut nobody could have sent it; a grace that ended before an opening begins anew."""
    story = Story()
    story.trip("T", "A1")
    story.wait(600).grace_elapsed("T")
    story.declare()
    story.wait(60).resolve()
    assert ["R22"] == rules(story.intend("T"))
    assert ["R6"] == rules(story.wait(599).grace_elapsed("T"))
    story.wait(1).grace_elapsed("T")
    assert () == story.intend("T")


def test_r22_what_comes_within_the_grace_is_waited_for() -> None:
    """R22: seen is not missing any more, though the grace is over."""
    story = Story()
    story.trip("T", "A1")
    story.wait(600).grace_elapsed("T")
    story.cargo("A1")
    assert "E1" == story.waits("T")
    story.done("A1", "T")


def test_r22_policy_send_waits_for_nothing_unseen() -> None:
    """R22: *missing* policy `send`; adopting it frees what waits."""
    story = Story()
    story.trip("T", "A1")
    story.adopt(missing="send")
    assert story["T"].unblocked


def test_r22_policy_park_parks_after_the_wait() -> None:
    """R22: *missing* policy `park`."""
    story = Story(missing="park")
    story.trip("T", "A1")
    story.wait(600).grace_elapsed("T")
    assert ("parked", "shipment A1 was never seen here") == (story.is_("T"), story["T"].remark)


def test_r22_grace_for_what_does_not_wait_is_void() -> None:
    """R22: late or repeated facts change nothing."""
    story = Story()
    story.cargo("A1")
    assert ["R22"] == rules(story.wait(601).grace_elapsed("A1"))


def test_r22_an_unnamed_document_that_was_never_seen_is_not_waited_for() -> None:
    """R22: the close goes; the conveyance that comes after it gives `LatePredecessor`."""
    story = Story()
    story.house_bill("H", primary="P")
    story.done("H")
    story.close("P", "H")
    story.done("close P")
    found = story.trip("T", "P")
    assert ["R22"] == rules(found)
    assert "late predecessor: close P went before this message was received (E2)" == found[0].sentence
    assert found[0].sentence in story["T"].notes


@pytest.mark.parametrize(
    ("mode", "late"),
    [
        ("highway", lambda story: (story.trip("T", "A"), story.cargo("A"))),
        ("rail", lambda story: (story.arrival("T"), story.trip("T"))),
        ("rail", lambda story: (story.trip("T", "A"), story.arrival("T"), story.release("R", "A"))),
        ("highway", lambda story: (story.close("P", "H"), story.house_bill("H", primary="P"))),
        ("highway", lambda story: (story.release("R", "A", image="I"), story.image("I"))),
    ],
    ids=["E1", "E6", "E5", "E3", "E10"],
)
def test_r22_whatever_comes_after_its_successor_is_said(mode: str, late: Setting) -> None:
    """R22, I3b: not silence, for any edge."""
    story = Story(mode, missing="send")
    publish = story.publish

    def and_send(kind: str, document: str, keys: object, **more: object) -> object:
        found = publish(kind, document, keys, **more)  # type: ignore[arg-type]
        newest = max(story.state.messages.values(), key=lambda each: each.position)
        story.last = found  # type: ignore[attr-defined]
        story.done(newest.key)
        return found

    story.publish = and_send  # type: ignore[assignment, method-assign]
    late(story)
    assert ["R22"] == rules(story.last)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["air", "marine"])
@pytest.mark.parametrize("listed", [(), ("A",)], ids=["as the maps say", "with a list that means nothing there"])
def test_r22_cargo_after_its_conveyance_is_no_late_predecessor_in_air_and_marine(mode: str, listed: tuple[str, ...]) -> None:
    """R22: there is no E1 there."""
    story = Story(mode)
    story.trip("T", *listed)
    story.done("T")
    assert () == story.cargo("A", crn="T")


def _late_answers(**more: object) -> Story:
    story = Story(**more)  # type: ignore[arg-type]
    story.cargo("A1")
    story.trip("T", "A1")
    story.declare(direction="outbound", effect="delayed", incident="OUT")
    story.sent("A1")
    return story


def test_r23_transmitted_and_settled_counts_as_on_file_while_answers_are_late() -> None:
    """R23: 30 minutes after transmission; void before."""
    story = _late_answers()
    assert ["R6"] == rules(story.wait(1_799).settling_elapsed("A1"))
    assert "E1" == story.waits("T")
    assert () == story.wait(1).settling_elapsed("A1")
    assert story["T"].unblocked


def test_r23_settling_does_not_count_once_answers_come_again() -> None:
    """R23: only while outbound is down, delayed or in backlog; when it goes bad again it counts again."""
    story = _late_answers()
    story.wait(1_800).settling_elapsed("A1")
    story.resolve("OUT")
    assert ["E1"] == rules(story.intend("T"))
    story.declare(direction="outbound", incident="OUT2")
    assert story["T"].unblocked


def test_r23_a_scheduled_outbound_window_counts_from_its_start() -> None:
    """R23, R31: nobody has to be awake at the start."""
    story = _late_answers()
    story.wait(1_800).settling_elapsed("A1")
    story.resolve("OUT")
    story.intend("T")
    story.declare(direction="outbound", incident="OUT2", starts_s=60, ends_s=600)
    assert not story["T"].unblocked
    story.wait(60).cargo("other")
    assert story["T"].unblocked


def test_r23_settling_can_be_switched_off_by_policy() -> None:
    """R23: by policy."""
    story = _late_answers(settling_ms=None)
    assert ["R23"] == rules(story.wait(1_800).settling_elapsed("A1"))


def test_r23_a_change_goes_when_its_settled_original_counts() -> None:
    """R13, R23: one queue moves on while answers are out."""
    story = _late_answers()
    story.cargo("A1", key="change", function="change")
    story.wait(1_800).settling_elapsed("A1")
    assert () == story.intend("change")


def test_r23_what_settled_and_is_rejected_holds_its_successors_again() -> None:
    """R23, R55: the late answer is the truth."""
    story = _late_answers()
    story.wait(1_800).settling_elapsed("A1")
    story.rejected("A1")
    assert ["E1"] == rules(story.intend("T"))


def test_r13_what_waits_in_a_documents_queue_is_judged_when_its_turn_comes_and_not_before() -> None:
    """R13: a document of 1,000 messages costs each of its captures one look, not 1,000."""
    story = Story()
    story.cargo("A1")
    for number in range(2, 6):
        story.cargo("A1", key=f"A1 {number}", function="change")
    doc = story["A1"].doc
    assert not doc.watchers
    for number in range(2, 6):
        story.done("A1" if number == 2 else f"A1 {number - 1}")
        assert [f"A1 {number}"] == [message.key for message in doc.queue if message.unblocked]
        assert not doc.watchers


def test_r24_a_cycle_through_a_documents_queue_is_found() -> None:
    """R24: what goes before a message in its own queue is a link of the chain too, though it is not kept."""
    story = Story()
    story.house_bill("H", primary="A1", previous="P")
    story.house_bill("P", primary="A1", key="P cancel", function="cancel")
    story.house_bill("P", primary="A1")
    assert ("E9", "R13", "R22") == (story.waits("H"), story.waits("P"), story.waits("P cancel"))
    story.wait(600).grace_elapsed("P cancel")
    assert ("parked", "R24") == (story.is_("P cancel"), story["P cancel"].code)
    story.done("P", "H")


def test_r24_a_cycle_of_house_bills_is_parked_and_printed() -> None:
    """R24: the message that closes the cycle is parked at its receipt; the others go on."""
    story = Story()
    story.house_bill("H1", primary="P", previous="H3")
    story.house_bill("H2", primary="P", previous="H1")
    found = story.house_bill("H3", primary="P", previous="H2")
    assert ["R24"] == rules(found)
    assert found[0].sentence.count("house_bill") == 4
    story.done("H1", "H2")


def test_r24_among_free_choices_release_first_then_deadline_then_lane_order() -> None:
    """R24: what the ready heap gives out."""
    story = Story()
    story.cargo("A1")
    story.cargo("A2", eta_ms=story.at_ms + 5_000)
    story.cargo("A3", eta_ms=story.at_ms + 1_000)
    story.release("R", "A9")
    assert ["R", "A3", "A2", "A1"] == [message.key for message in taken([story.state.channel("edi").ready], but=())]


def test_r55_what_depends_on_a_parked_message_goes_on_by_whatever_message() -> None:
    """R55: held with the chain as reason; another tenant's filing of the document frees it."""
    story = Story()
    story.cargo("A1", not_after_ms=story.at_ms)
    story.trip("T", "A1")
    story.wait(1).intend("A1")
    assert "E1" == story.waits("T")
    assert "A1" in (story.blocker("T") or pytest.fail("T waits")).sentence
    story.cargo("A1", key="other", tenant="zeta")
    story.done("other", "T")


def test_r13_a_change_at_the_front_says_which_original_it_waits_for() -> None:
    """R13, R14: what stands behind it and goes first is kept; only what goes before it in the queue is looked up there."""
    story = Story()
    story.cargo("A1", key="change", function="change")
    story.cargo("A1", key="original")
    story.cargo("A1", key="later", function="change")
    front, behind = story["change"].blocker, story["later"].blocker
    assert front is not None
    assert behind is not None
    assert (story["original"], None) == (front.message, behind.message)


def _close_behind_a_chain(story: Story) -> Story:
    """A close whose chain of house bills leads over H4; who speaks for H4 says whether it goes on to the trip's cargo."""
    story.trip("T", "H8", key="trip")
    story.close("H3", key="close")
    assert "E2" == story.waits("close")
    return story


def _story_with_a_chain() -> Story:
    story = Story("marine")
    story.house_bill("H3", primary="H4", key="chain")
    story.done("chain")
    return story


def test_what_stood_aside_lets_go_of_a_close_when_its_document_comes_on_file() -> None:
    """R22, I3d: a parked message speaks for its document until that is on file; what waited over its word is looked at again."""
    story = _story_with_a_chain()
    story.house_bill("H4", primary="X", key="first")
    story.intend("first")
    story.concluded("first", "transmitted")
    story.house_bill("H4", primary="H8", key="second")
    assert "parked" == story.is_("second")
    _close_behind_a_chain(story)
    story.answer("first", "captured")
    assert story["close"].unblocked


def test_a_captured_cancel_lets_go_of_a_close() -> None:
    """R22, I3d: a cancel speaks for its document until it is captured, also where that was never on file."""
    story = _story_with_a_chain()
    story.house_bill("H4", primary="H8", key="cancel", function="cancel")
    story.wait(600).grace_elapsed("cancel")
    story.intend("cancel")
    story.concluded("cancel", "transmitted")
    _close_behind_a_chain(story)
    story.answer("cancel", "captured")
    assert story["close"].unblocked
