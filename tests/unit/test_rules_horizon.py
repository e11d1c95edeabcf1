"""R58: what finished a horizon ago leaves the fold, and what is unfinished keeps what it leans on."""

from random import Random

import pytest

from lane.canonical import canonical
from lane.due import due_facts
from lane.fold import apply
from lane.horizon import DAY_MS
from lane.order import blocker
from lane.snapshot import dump, load
from lane.state import LaneState
from schemas.facts import AnswerGiven, HorizonMoved
from tests.unit.lane_story import Story, rules

HORIZON_DAYS = 120


def _later(story: Story, days: int = HORIZON_DAYS + 2) -> list[str]:
    """Let days pass and write what is due, until nothing more is; returns the rules of what was said about it."""
    story.wait(days * 86_400)
    told: list[str] = []
    for _ in range(100):
        facts = [fact for fact in due_facts(story.state, at_ms=story.at_ms) if isinstance(fact, HorizonMoved)]
        if not facts:
            return told
        told += [rule for fact in facts for rule in rules(story.say(fact))]
    raise AssertionError("what is due never ends")


def _keys(story: Story) -> list[str]:
    return sorted(message.key for message in story.state.messages.values())


def test_r58_what_finished_a_horizon_ago_leaves_with_its_document() -> None:
    """R58: message, key, capture and document; what is unfinished stays."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A2")
    story.withdraw("A2")
    story.cargo("A3")
    assert [] == _later(story, HORIZON_DAYS - 1)
    assert ["A1", "A2", "A3"] == _keys(story)
    _later(story, 3)
    assert ["A3"] == _keys(story)
    assert ["shipment A3"] == [str(doc) for doc in story.state.all_documents()]


def test_r58_a_document_that_names_itself_leaves_once() -> None:
    """R58: a house bill under its own number is a mistake that must not stop the fold 120 days later."""
    story = Story()
    story.house_bill("H1", primary="H1")
    story.withdraw("H1")
    _later(story)
    assert [] == _keys(story)
    assert [] == list(story.state.all_documents())


def test_r58_after_the_horizon_an_old_key_is_a_new_message() -> None:
    """R58: dedup ends there."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    assert ["R10"] == rules(story.cargo("A1"))
    _later(story)
    assert () == story.cargo("A1")
    assert () == story.intend("A1")


def test_r58_a_horizon_before_its_time_is_void() -> None:
    """R6."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    fact = HorizonMoved(at_ms=story.at_ms, before_ms=story.at_ms - HORIZON_DAYS * DAY_MS + 1, messages=(0,))
    assert ["R6"] == rules(story.say(fact))
    assert ["A1"] == _keys(story)


@pytest.mark.parametrize("state", ["parked", "unknown", "rejected", "transmitted"])
def test_r58_what_is_unfinished_stays(state: str) -> None:
    """R58: parked, unknown and rejected messages wait for somebody, however long."""
    story = Story()
    story.cargo("A1", not_after_ms=story.at_ms if state == "parked" else None)
    story.wait(1).intend("A1")
    if state == "unknown":
        story.concluded("A1", "unknown")
    elif state != "parked":
        story.transmitted("A1")
    if state == "rejected":
        story.rejected("A1")
    assert state == story.is_("A1")
    story.wait(HORIZON_DAYS * 2 * 86_400)
    before_ms = story.at_ms - HORIZON_DAYS * DAY_MS
    assert ["R58"] == rules(story.say(HorizonMoved(at_ms=story.at_ms, before_ms=before_ms, messages=(story["A1"].position,))))
    assert ["A1"] == _keys(story)


def test_r58_what_an_unfinished_message_names_stays_on_file() -> None:
    """R58: a trip that waits finds its cargo on file after years; the day after it has gone the cargo may leave too."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A2")
    story.trip("T", "A1", "A2")
    _later(story)
    assert ["A1", "A2", "T"] == _keys(story)
    story.done("A2")
    assert () == story.intend("T")
    story.transmitted("T")
    story.captured("T")
    _later(story)
    assert [] == _keys(story)
    assert [] == list(story.state.all_documents())


def test_r58_a_corrected_message_leaves_after_its_correction_has_finished() -> None:
    """R58: until then its correction may be withdrawn and it waits for a person again."""
    story = Story()
    story.cargo("A1")
    story.sent("A1").rejected("A1")
    story.cargo("A1", key="right", corrects="A1")
    _later(story)
    assert ["A1", "right"] == _keys(story)
    story.done("right")
    _later(story)
    assert [] == _keys(story)


def test_r58_a_correction_that_was_withdrawn_leaves_too() -> None:
    """R15, R58: it corrects nothing any more, so what another message corrects may leave before it, and it leaves itself."""
    story = Story()
    story.cargo("A1")
    story.sent("A1").rejected("A1")
    story.cargo("A1", key="wrong", corrects="A1")
    story.withdraw("wrong")
    story.cargo("A1", key="right", corrects="A1")
    story.done("right")
    _later(story)
    assert load(dump(story.state)).position == story.position
    assert [] == _keys(story)


def test_r58_a_capture_that_cbsa_lost_is_unfinished_again() -> None:
    """R56, R58."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.revoke("A1")
    _later(story)
    assert ["A1"] == _keys(story)


def test_r58_a_contradiction_waits_for_a_person() -> None:
    """R52, R58: needs_person is unfinished."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.rejected("A1")
    _later(story)
    assert ["A1"] == _keys(story)


def test_r58_an_answer_that_comes_after_the_horizon_is_kept_and_does_nothing() -> None:
    """R52."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    given = AnswerGiven(
        tenant="acme", key="A1", submission=1, outcome="rejected", code="T36", text="", seq=9, answered_ms=story.at_ms
    )
    _later(story)
    assert ["R52"] == rules(story.answers(given))
    assert [] == _keys(story)


def test_r58_old_verdicts_leave_too() -> None:
    """R58: a fold remembers what became of each refused record no longer than of messages."""
    story = Story()
    story.cargo("A1")
    story.cargo("A1")
    story.done("A1")
    assert [1] == list(story.state.verdicts)
    _later(story)
    assert ({}, 1) == (story.state.verdicts, story.state.forgotten)


def test_r58_nothing_is_written_twice_for_what_has_to_stay() -> None:
    """R58: what something unfinished leans on is looked at once a day, not at each turn."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.trip("T", "A1", "A9")
    assert ["R58"] == _later(story)
    assert [] == _later(story, 0)
    assert ["R58"] == _later(story, 1)


def _play(seed: int) -> Story:
    """A year of a small lane: everything is named by something, and days pass."""
    dice, story = Random(seed), Story("rail", drain="operator", rate_max_per_s=None)
    story.take_lane()
    for number in range(60):
        key = f"m{number}"
        match dice.randrange(7):
            case 0:
                story.trip(f"T{dice.randrange(3)}", *(f"A{each}" for each in dice.sample(range(5), 2)), key=key)
            case 1:
                story.release(f"R{number}", f"A{dice.randrange(5)}", key=key)
            case 2:
                story.house_bill(f"H{dice.randrange(3)}", primary=f"A{dice.randrange(5)}", key=key)
            case 3:
                story.close(f"A{dice.randrange(5)}", f"H{dice.randrange(3)}", key=key)
            case _:
                function = dice.choice(["original", "original", "change", "cancel"])
                story.cargo(f"A{dice.randrange(5)}", crn=f"T{dice.randrange(3)}", key=key, function=function)
        here = _keys(story)
        chosen = dice.sample(here, min(len(here), 4))
        story.wait(dice.choice([1, 700, 30 * 86_400])).intend(*chosen)
        for each in (each for each in chosen if story[each].grant == story.position):
            story.concluded(each, dice.choice(["transmitted", "transmitted", "unknown"]))
            story.answer(each, dice.choice(["captured", "captured", "captured", "rejected"]), code=dice.choice(["E1", "T36"]))
        _move(story)
    return story


def _move(story: Story) -> None:
    """Write what is due; the horizon changes nothing that a held message waits for."""
    for fact in due_facts(story.state, at_ms=story.at_ms):
        before = _waits(story.state)
        story.say(fact)
        if isinstance(fact, HorizonMoved):
            assert before == _waits(story.state)


def _waits(state: LaneState) -> dict[str, tuple[str, str] | None]:
    held = {each.key: blocker(state, each, at_ms=state.at_ms) for each in state.held()}
    return {key: None if found is None else (found.rule, str(found.topic)) for key, found in held.items()}


@pytest.mark.parametrize("seed", range(30))
def test_r58_the_horizon_changes_nothing_that_a_held_message_waits_for(seed: int) -> None:
    """R58: it keeps what an unfinished message names; and the state is the same to the byte when folded again (I5)."""
    story = _play(seed)
    again = LaneState("rail")
    for position, fact in story.log:
        apply(again, position, fact)
    assert canonical(story.state) == canonical(again)
    assert len(story.state.messages) < 60


def test_a_process_that_only_folds_keeps_nothing_ready_that_has_gone() -> None:
    """R24, R58: nobody plans there and takes it out, so what comes next does; and an opening carries nothing of it over."""
    story = Story(rate_max_per_s=None)
    for number in range(20):
        story.cargo(f"A{number}")
        story.done(f"A{number}")
    edi = story.state.channel("edi")
    assert 1 == len(edi.ready)
    story.cargo("last")
    assert ["last"] == [message.key for message in edi.ready]
    story.done("last")
    story.declare()
    story.resolve()
    assert [0, 0] == [len(edi.ready), len(edi.drained)]
