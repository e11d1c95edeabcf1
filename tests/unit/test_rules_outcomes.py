"""R50 to R57: transport, unknowns, CBSA's verdicts, and what a person says became of a message."""

from typing import get_args

import pytest

from lane.due import questions
from lane.outcomes import ANSWER_TABLE
from lane.state import STATES
from schemas.facts import AnswerGiven, AnswerOutcome
from tests.unit.lane_story import T0, Story, rules

VERDICTS = tuple(each for each in get_args(AnswerOutcome) if each != "notice")


def _one(result: str | None = None) -> Story:
    story = Story()
    story.cargo("A1")
    story.intend("A1")
    if result is not None:
        story.concluded("A1", result)
    return story


@pytest.mark.parametrize(
    ("result", "state"),
    [
        ("transmitted", "transmitted"), ("refused", "parked"), ("not_taken", "held"), ("slow_down", "held"),
        ("unknown", "unknown"), ("expired", "held"),
    ],
)  # fmt: skip
def test_r50_what_the_transport_says_of_a_grant(result: str, state: str) -> None:
    """R50: 202; 400, 409; 503, refused connection; 429; other 5xx, time-outs, broken replies; too late. It never captures."""
    story = _one(result)
    assert state == story.is_("A1")
    assert not story["A1"].doc.on_file


def test_r51_known_without_an_outcome_waits() -> None:
    """R51: CBSA has it: transmitted, and its verdict is awaited."""
    story = _one("unknown")
    story.status("A1", known=True)
    assert "transmitted" == story.is_("A1")


def test_r51_not_known_goes_again_as_the_same_submission() -> None:
    """R51, I4a: the same wire key."""
    story = _one("unknown")
    story.status("A1", known=False)
    assert ("held", 1, True) == (story.is_("A1"), story["A1"].submission, story["A1"].unblocked)


@pytest.mark.parametrize(("outcome", "state"), [("captured", "captured"), ("rejected", "rejected"), ("duplicate", "parked")])
def test_r51_a_status_answer_may_hold_the_verdict(outcome: str, state: str) -> None:
    """R51, R52."""
    story = _one("unknown")
    story.status("A1", known=True, outcome=outcome)
    assert state == story.is_("A1")


def test_r51_a_status_answer_about_an_earlier_attempt_is_void() -> None:
    """R51: it names the grant that was asked about."""
    story = _one("expired")
    assert ["R51"] == rules(story.status("A1", known=False))


def test_r51_unknown_is_asked_at_once_until_a_person_is_needed() -> None:
    """R51: status query where the gateway can, else a person."""
    story = _one("unknown")
    assert [story["A1"]] == questions(story.state, at_ms=story.at_ms)
    story.person_needed("A1")
    assert [] == questions(story.state, at_ms=story.at_ms)
    assert "ask TCCU" == story["A1"].needs_person


def _in(state: str) -> Story:
    """A message that was sent once and stands in that state."""
    story = Story()
    story.cargo("A1", channel="edi")
    story.intend("A1")
    match state:
        case "granted":
            return story
        case "held":
            story.concluded("A1", "not_taken")
        case "unknown" | "transmitted":
            story.concluded("A1", state)
        case "captured" | "rejected":
            story.transmitted("A1")
            story.answer("A1", state)
        case "parked":
            story.concluded("A1", "refused")
        case "filed":
            story.concluded("A1", "not_taken")
            story.filed("A1")
        case "withdrawn":
            story.concluded("A1", "not_taken")
            story.withdraw("A1")
        case "replaced":
            story.concluded("A1", "not_taken")
            story.cargo("A1", key="A1b", replaces="A1")
        case _:
            pytest.fail(state)
    return story


def test_r52_the_table_says_what_every_answer_does_in_every_state() -> None:
    """R52: one table (state x fact)."""
    assert {(state, verdict) for state in STATES for verdict in VERDICTS} == set(ANSWER_TABLE)


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("state", STATES)
def test_r52_every_answer_in_every_state_does_what_the_table_says(state: str, verdict: AnswerOutcome) -> None:
    """R52: answers overtake outcomes, come twice, late and contradict; nothing regresses."""
    story = _in(state)
    assert state == story.is_("A1")
    effect = ANSWER_TABLE[story["A1"].state, verdict]
    story.answer("A1", verdict)
    expected = {"capture": "captured", "reject": "rejected", "doubt": "parked", "same": state, "conflict": state}[effect]
    assert expected == story.is_("A1")
    assert ("contradict" in story["A1"].needs_person) == (effect == "conflict")


@pytest.mark.parametrize("state", ["captured", "filed"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_r52_nothing_regresses_by_an_answer(state: str, verdict: str) -> None:
    """R52, I4f: only `CaptureRevoked` and `settle` take a capture back."""
    story = _in(state)
    story.answer("A1", verdict)
    assert (state, True) == (story.is_("A1"), story["A1"].doc.on_file)


def test_r52_an_answer_overtakes_the_outcome() -> None:
    """R52: captured first; the 202 that follows changes nothing but the counters."""
    story = _one()
    story.captured("A1")
    assert 1 == story.state.channel("edi").in_flight
    story.transmitted("A1")
    assert ("captured", 0) == (story.is_("A1"), story.state.channel("edi").in_flight)


def test_r52_an_answer_for_an_unknown_key_is_kept() -> None:
    """R52: a finding, and the mark moves on."""
    story = Story()
    given = AnswerGiven(
        tenant="acme", key="nobody", submission=1, outcome="captured", code="", text="", seq=1, answered_ms=T0
    )  # fmt: skip
    assert ["R52"] == rules(story.answers(given))
    assert 0 == story.state.marks["responses"]


@pytest.mark.parametrize("submission", [1, 9])
def test_r52_an_answer_to_what_was_never_sent_captures_nothing(submission: int) -> None:
    """R52, I4e: no capture without a grant behind it."""
    story = Story()
    story.cargo("A1")
    assert ["R52"] == rules(story.answer("A1", "captured", submission=submission))
    assert "held" == story.is_("A1")


def test_r52_a_late_capture_of_an_earlier_submission_is_a_persons() -> None:
    """R52: kept; settled by hand."""
    story = _one("transmitted")
    story.captured("A1")
    story.revoke("A1")
    story.answer("A1", "captured", submission=1)
    assert "settle it" in story["A1"].needs_person
    assert () == story.settle("A1", "captured")


def test_r52_a_notice_changes_nothing() -> None:
    """R52: matched, not matched: no verdict."""
    story = _one("transmitted")
    assert () == story.answer("A1", "notice")
    assert "transmitted" == story.is_("A1")


def test_r52_a_capture_of_what_was_withdrawn_asks_for_a_person() -> None:
    """R52: the transport had said *not taken*, and CBSA has it all the same."""
    story = _in("withdrawn")
    story.captured("A1")
    assert ("captured", True) == (story.is_("A1"), "cancel" in story["A1"].needs_person)


def test_r53_duplicate_to_a_first_attempt_means_another_party_filed_it() -> None:
    """R53: document on file, message parked; what depends on it goes."""
    story = Story()
    story.trip("T", "A1")
    story.cargo("A1")
    story.sent("A1")
    assert ["R53"] == rules(story.answer("A1", "duplicate"))
    assert ("parked", "another party filed it; content at CBSA may differ") == (story.is_("A1"), story["A1"].remark)
    assert story["T"].unblocked


def test_r53_duplicate_to_a_later_attempt_is_unknown() -> None:
    """R53: until an answer or a status says what became of the first; the later attempt's 202 says nothing of that."""
    story = _one("unknown")
    story.status("A1", known=False)
    story.intend("A1")
    story.answer("A1", "duplicate")
    story.transmitted("A1")
    assert "unknown" == story.is_("A1")
    story.captured("A1")
    assert "captured" == story.is_("A1")


def test_r53_a_person_may_say_that_the_other_partys_filing_is_not_there() -> None:
    """R53, R57: held again, as a new filing with its own key."""
    story = Story()
    story.cargo("A1")
    story.sent("A1").answer("A1", "duplicate")
    story.settle("A1", "held")
    assert ("held", 2, False) == (story.is_("A1"), story["A1"].submission, story["A1"].doc.on_file)


def test_r54_unanswered_is_asked_after_a_quarter_of_an_hour_then_hourly() -> None:
    """R54: with outbound up."""
    story = _one("transmitted")
    assert [] == questions(story.state, at_ms=story.wait(899).at_ms)
    assert [story["A1"]] == questions(story.state, at_ms=story.wait(1).at_ms)
    story.status("A1", known=True)
    assert [] == questions(story.state, at_ms=story.wait(3_599).at_ms)
    assert [story["A1"]] == questions(story.state, at_ms=story.wait(1).at_ms)


def test_r54_nothing_is_asked_while_answers_are_out_by_notice() -> None:
    """R54: outbound bad: the answer's absence says nothing."""
    story = _one("transmitted")
    story.declare(direction="outbound")
    assert [] == questions(story.state, at_ms=story.wait(900).at_ms)


def test_r54_what_cbsa_took_and_does_not_know_is_never_resent() -> None:
    """R54: never a resend; a person asks."""
    story = _one("transmitted")
    assert ["R54"] == rules(story.status("A1", known=False))
    assert ("transmitted", True) == (story.is_("A1"), bool(story["A1"].needs_person))


def test_r55_a_reject_for_a_missing_predecessor_goes_again_when_that_is_on_file() -> None:
    """R55: same bytes, next wire key; this time without a grace."""
    story = Story(missing="send")
    story.trip("T", "A1")
    story.sent("T").rejected("T", code="E1")
    assert ("held", 2, "R55") == (story.is_("T"), story["T"].submission, story.waits("T"))
    story.cargo("A1")
    story.done("A1", "T")


def test_r55_at_most_three_times() -> None:
    """R55: then a person."""
    story = Story(missing="send")
    story.trip("T", "A1")
    story.sent("T").rejected("T", code="E1")
    for _ in range(3):
        assert "held" == story.is_("T")
        story.cargo("A1", key=f"A1-{story.position}")
        newest = max(story.state.messages.values(), key=lambda each: each.position).key
        story.done(newest).sent("T")
        story.revoke(newest)
        story.settle(newest, "withdrawn") if story.is_(newest) == "parked" else story.withdraw(newest)
        story.rejected("T", code="E1")
    assert "rejected" == story.is_("T")


def test_r55_settling_is_not_enough_after_a_reject_for_want_of_it() -> None:
    """R55, R23: CBSA has just said that it isn't there."""
    story = Story()
    story.cargo("A1")
    story.trip("T", "A1")
    story.declare(direction="outbound", incident="OUT")
    story.sent("A1").wait(1_800).settling_elapsed("A1")
    story.sent("T").rejected("T", code="E1")
    assert "E1" == story.waits("T")
    story.captured("A1")
    assert story["T"].unblocked


def test_r55_a_reject_for_want_of_nothing_that_is_known_here_is_a_persons() -> None:
    """R55: all that it names is on file here, and was when it was sent: to send it again would be haste."""
    story = Story()
    story.cargo("A1")
    story.trip("T", "A1")
    story.done("A1").sent("T").rejected("T", code="E1")
    assert "rejected" == story.is_("T")


def test_r55_a_message_that_waits_for_its_predecessor_can_be_taken_back() -> None:
    """R15, R55: CBSA has rejected it, so nothing of it is there."""
    story = Story(missing="send")
    story.trip("T", "A1")
    story.sent("T").rejected("T", code="E1")
    assert () == story.withdraw("T")


def test_r55_every_other_reject_is_a_persons_or_a_corrections() -> None:
    """R55: nothing is sent again by itself."""
    story = _one("transmitted")
    assert ["R55"] == rules(story.rejected("A1", code="T36"))
    assert ("rejected", "rejected T36") == (story.is_("A1"), story["A1"].remark)


def test_r55_what_depends_on_a_rejected_message_goes_on_by_whatever_message() -> None:
    """R55: held with the chain as reason; a correction, a settlement, another party's filing."""
    story = Story()
    story.cargo("A1")
    story.trip("T", "A1")
    story.sent("A1").rejected("A1")
    assert "E1" == story.waits("T")
    story.settle("A1", "captured")
    assert story["T"].unblocked


def test_r56_a_revoked_capture_is_held_again_as_the_next_submission() -> None:
    """R56: CBSA lost it."""
    story = Story()
    story.cargo("A1")
    story.trip("T", "A1")
    story.done("A1")
    story.revoke("A1")
    assert ("held", 2, False) == (story.is_("A1"), story["A1"].submission, story["A1"].doc.on_file)
    assert not story["T"].unblocked
    assert ["E1"] == rules(story.intend("T"))
    story.done("A1", "T")


def test_r56_revoking_a_change_leaves_its_original_on_file() -> None:
    """R12, R56: what was on file before is so again."""
    story = Story()
    story.cargo("A1")
    story.cargo("A1", key="change", function="change")
    story.done("A1", "change").revoke("change")
    assert (True, "held") == (story["A1"].doc.on_file, story.is_("change"))
    story.done("change")


def test_r56_a_settled_capture_can_be_revoked() -> None:
    """R56, R57: by whatever way it came on file."""
    story = _one("unknown")
    story.settle("A1", "captured")
    story.revoke("A1")
    assert not story["A1"].doc.on_file


def test_r56_only_a_capture_is_revoked() -> None:
    """R56."""
    story = _one("transmitted")
    assert ["R56"] == rules(story.revoke("A1"))


@pytest.mark.parametrize("to", ["held", "captured", "rejected", "withdrawn"])
@pytest.mark.parametrize("state", ["parked", "unknown", "rejected"])
def test_r57_a_person_settles_what_is_parked_unknown_or_rejected(state: str, to: str) -> None:
    """R57: person, reason, evidence; every end is open."""
    story = _in(state)
    assert () == story.settle("A1", to)
    assert to == story.is_("A1")
    assert (to == "captured") == story["A1"].doc.on_file


@pytest.mark.parametrize("state", ["transmitted", "captured", "held", "withdrawn"])
def test_r57_nothing_else_is_settled(state: str) -> None:
    """R57: ends parked and unknown."""
    story = _in(state)
    assert ["R57"] == rules(story.settle("A1", "rejected"))


@pytest.mark.parametrize(("state", "submission"), [("unknown", 1), ("parked", 2), ("rejected", 2)])
def test_r57_what_had_its_verdict_goes_again_as_a_new_filing(state: str, submission: int) -> None:
    """R11, R57: an unknown one keeps its wire key, or it might be filed twice."""
    story = _in(state)
    story.settle("A1", "held")
    assert submission == story["A1"].submission


def test_r57_what_a_person_settled_to_held_can_be_withdrawn() -> None:
    """R15, R57: the person has said that nothing of it is at CBSA."""
    story = _in("unknown")
    story.settle("A1", "held")
    assert () == story.withdraw("A1")


def test_r57_contradicting_answers_are_settled_and_the_document_follows() -> None:
    """R52, R57: captured, then rejected; the person believes the reject."""
    story = _in("captured")
    story.rejected("A1")
    assert () == story.settle("A1", "rejected")
    assert ("rejected", False, "") == (story.is_("A1"), story["A1"].doc.on_file, story["A1"].needs_person)
