"""Each limit on making facts and on letting go, driven over its edge, without a wire (docs/limits.md)."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from consumers import availability, intake, responses
from consumers.availability import read_bulletins
from consumers.responses import PAGES_COUNT_MAX, answers_to_lane
from lane.due import QUESTIONS_COUNT_MAX, questions
from lane.view import DeskView, LaneView
from replay import planner
from replay.flight import INTENTS_COUNT_MAX, Flight
from replay.planner import PROBES_COUNT_MAX, plan
from replay.questions import AGAIN_COUNT_MAX, ASK_AGAIN_MAX_S, QUESTIONS_OUT_MAX, Questions
from schemas import native
from schemas.codec import Codec
from schemas.effects import Append, CatchUp, Done, Follow, Read, Submission, Turn, Worker
from schemas.facts import MEMBERS_COUNT_MAX, Outcome, PersonNeeded, StatusAnswered
from schemas.streams import BULLETINS, MODES, Record, inbound
from schemas.wire import StatusReply
from tests.unit.lane_story import Story
from tests.unit.long_story import LongStory

# -- making facts of it


class Driven:
    """A worker that is driven by hand: each submission is answered by what is given, or as if nothing had gone wrong."""

    def __init__(self, worker: Worker) -> None:
        self.asked: list[Submission] = list(next(worker))
        self._worker = worker

    def go_on(self, result: Any = ()) -> Submission:
        """Complete what is asked; the next wish."""
        (before,) = self.asked
        self.asked = list(self._worker.send(Turn(1_000, 1.0, (Done(before.tag, result),))))
        return self.asked[0]


def raw_records(count: int, first: int = 0) -> list[Record]:
    """Raw records that nobody can read."""
    return [Record(first + number, 0, b"?") for number in range(count)]


@pytest.mark.parametrize(
    ("worker", "stream", "count"),
    [
        (lambda: intake.intake(LaneView("rail", Codec().decode)), inbound("rail"), intake.READ_COUNT),
        (lambda: read_bulletins(DeskView(Codec().decode)), BULLETINS, availability.READ_COUNT),
    ],
    ids=["intake", "availability"],
)
def test_the_next_are_read_when_the_facts_of_these_are_read_back(worker: Callable[[], Worker], stream: str, count: int) -> None:
    """READ_COUNT: of messages and of notices; so many facts are under way, and no more."""
    driven = Driven(worker())
    reading = driven.go_on()
    assert isinstance(reading, Read)
    assert (stream, count) == (reading.stream, reading.limit)
    writing = driven.go_on(raw_records(count))
    assert isinstance(writing, Append)
    assert count == len(writing.entries)
    assert isinstance(driven.go_on(tuple(range(count))), Follow)
    assert isinstance(driven.go_on(), Read)


def test_so_many_pages_become_facts_in_one_append() -> None:
    """PAGES_COUNT_MAX: the next go when the facts of these are read back."""
    lanes: dict[str, LaneView] = {mode: LaneView(mode, Codec().decode) for mode in MODES}
    view = responses.ResponsesView(lanes, DeskView(Codec().decode))
    view.pages["rail"].extend((position, "sim", ()) for position in range(PAGES_COUNT_MAX + 1))
    driven = Driven(answers_to_lane(view, lanes["rail"]))
    assert isinstance(driven.go_on(), CatchUp)
    writing = driven.go_on()
    assert isinstance(writing, Append)
    assert PAGES_COUNT_MAX == len(writing.entries)
    lanes["rail"].state.marks["responses"] = PAGES_COUNT_MAX - 1
    assert isinstance(driven.go_on(tuple(range(PAGES_COUNT_MAX))), Follow)
    rest = driven.go_on()
    assert isinstance(rest, Append)
    assert 1 == len(rest.entries)


def test_a_fact_names_so_many_messages_and_the_next_one_the_rest() -> None:
    """MEMBERS_COUNT_MAX: of outcomes, which come by the thousand when a drain ends."""
    flight = Flight()
    flight.outcomes = [Outcome(message=number, grant=0, result="expired") for number in range(MEMBERS_COUNT_MAX + 1)]
    facts = [fact for _, fact in flight.conclude(epoch=1, at_ms=0)]
    assert [MEMBERS_COUNT_MAX, 1] == [len(fact.outcomes) for fact in facts]


# -- letting go


def test_no_further_intent_is_made_until_one_is_read_back_and_ended() -> None:
    """INTENTS_COUNT_MAX: what is under way stays readable."""
    story = LongStory(rate_max_per_s=None)
    for number in range(INTENTS_COUNT_MAX + 1):
        story.cargo(f"A{number}")
    flight, turn = Flight(), Turn(story.at_ms, 0.0)
    messages = plan(story.state, at_ms=story.at_ms, outstanding={})
    for message in messages[:INTENTS_COUNT_MAX]:
        assert flight.may_issue()
        issued = flight.issue(story.state, [message], epoch=1, turn=turn)
        assert issued is not None
        flight.written(issued[0], Done("intent", [issued[0]]))
    assert not flight.may_issue()
    flight.give_up(story.state)
    assert flight.may_issue()


def unknown_ones(count: int) -> LongStory:
    """A lane in which nobody knows of so many messages whether CBSA took them."""
    story = LongStory(rate_max_per_s=None, in_flight_max=1_000, unknown_streak_max=1_000)
    for number in range(count):
        story.cargo(f"A{number}")
        story.intend(f"A{number}")
        story.concluded(f"A{number}", "unknown")
    return story


def test_so_many_questions_are_asked_at_once_and_the_next_waits_for_an_answer() -> None:
    """QUESTIONS_OUT_MAX, QUESTIONS_COUNT_MAX: a question costs CBSA as much as a message."""
    state = unknown_ones(QUESTIONS_COUNT_MAX + 1).state
    assert QUESTIONS_COUNT_MAX == len(questions(state, at_ms=state.now_ms))
    asking = Questions(gateway="sim", idempotent=True, can_query=True)
    asked = list(asking.ask(state, at_ms=state.now_ms, boot_s=0.0))
    assert QUESTIONS_OUT_MAX == len(asked)
    assert [] == list(asking.ask(state, at_ms=state.now_ms, boot_s=1_000.0))
    assert [] == list(asking.complete(Done(asked[0].tag, StatusReply(raw=b"", known=None, outcome=None)), boot_s=1_000.0))
    assert 1 == len(list(asking.ask(state, at_ms=state.now_ms, boot_s=1_000.0)))


def test_a_question_that_gets_no_answer_is_put_ever_more_rarely() -> None:
    """ASK_AGAIN_MAX_S: never more rarely than that, for the answer may be there any time."""
    state = unknown_ones(1).state
    asking = Questions(gateway="sim", idempotent=True, can_query=True)
    asked_s: list[int] = []
    for boot_s in range(2_000):
        for question in asking.ask(state, at_ms=state.now_ms, boot_s=float(boot_s)):
            asked_s.append(boot_s)
            assert [] == list(asking.complete(Done(question.tag, StatusReply(raw=b"", known=None, outcome=None)), boot_s=boot_s))
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked_s)]
    assert [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] == pauses[:10]
    assert ASK_AGAIN_MAX_S == max(pauses)


def never_known(story: Story, asking: Questions, *, from_s: float) -> tuple[int, float, str]:
    """Send `A0` again and again to a CBSA that knows nothing of it: how often, until when, and what a person is told."""
    sends, boot_s = 0, from_s
    while True:
        story.wait(400).intend("A0")
        story.concluded("A0", "unknown")
        sends += 1
        while not (asked := list(asking.ask(story.state, at_ms=story.at_ms, boot_s=boot_s))):
            boot_s += 1.0
        (kept,) = asking.complete(Done(asked[0].tag, StatusReply(raw=b"{}", known=False, outcome=None)), boot_s=boot_s)
        assert [] == list(asking.complete(Done(kept.tag, (0,)), boot_s=boot_s))
        (fact,) = asking.facts(epoch=story.state.lease.epoch, at_ms=story.at_ms)
        story.say(fact)
        if isinstance(fact, PersonNeeded):
            return sends, boot_s - from_s, fact.reason
        assert isinstance(fact, StatusAnswered)
        assert "held" == story.is_("A0")


def test_what_never_gets_through_is_a_persons_after_so_many_sends() -> None:
    """R51, AGAIN_COUNT_MAX: it would be sent for ever; the pauses grow, and who settles it to held lets it go as often anew."""
    story = Story(rate_max_per_s=None)
    story.cargo("A0")
    asking = Questions(gateway="sim", idempotent=True, can_query=True)
    sends, took_s, told = never_known(story, asking, from_s=0.0)
    assert (AGAIN_COUNT_MAX + 1, True) == (sends, 240.0 <= took_s <= 600.0)
    assert f"sent {AGAIN_COUNT_MAX + 1} times and CBSA does not know it" in told
    assert ("unknown", told) == (story.is_("A0"), story["A0"].needs_person)
    assert [] == list(asking.ask(story.state, at_ms=story.at_ms, boot_s=took_s + 3_600.0))
    story.settle("A0", "held")
    assert AGAIN_COUNT_MAX + 1 == never_known(story, asking, from_s=took_s + 3_600.0)[0]


def tried(story: Story, *keys: str, times: int) -> None:
    """Send these so many times, and nobody ever knows of them."""
    for _ in range(times):
        story.wait(400).intend(*keys)
        for key in keys:
            story.concluded(key, "unknown")
        for key in keys:
            story.status(key, known=False)


def next_one(story: Story) -> list[str]:
    """What is planned now, and put back."""
    planned = plan(story.state, at_ms=story.at_ms, outstanding={})
    planner.put_back(story.state, planned)
    return [message.key for message in planned]


def test_one_that_never_gets_through_keeps_no_other_back() -> None:
    """R33, PROBES_COUNT_MAX, I7c: where one goes alone, the first in turn is tried some times; then what was tried the fewest."""
    story = Story(rate_max_per_s=None, unknown_streak_max=1)
    story.cargo("POISON")
    for count in range(PROBES_COUNT_MAX):
        story.wait(400)
        assert ["POISON"] == next_one(story), count
        tried(story, "POISON", times=1)
        if not count:
            story.cargo("GOOD")
    assert story.state.channel("edi").suspect_since_ms is not None
    story.wait(400)
    assert ["GOOD"] == next_one(story)
    story.intend("GOOD")
    story.transmitted("GOOD")
    assert ["POISON"] == next_one(story)


@pytest.mark.skipif(native.runs(), reason="COMPILED CODE HAS ITS LIMITS INSIDE: the run of the plain sources sets a small one")
def test_a_plan_is_made_of_so_many_and_the_rest_is_looked_at_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """SCAN_COUNT_MAX: behind so many that were tried before, one that was not is not found; when some of them are away it is."""
    story = LongStory(rate_max_per_s=None)
    keys = [f"P{number}" for number in range(4)]
    for key in keys:
        story.cargo(key)
    tried(story, *keys, times=1)
    for key in keys * (PROBES_COUNT_MAX - 1):  # the link is suspect now: one at a time
        tried(story, key, times=1)
    story.wait(400).cargo("GOOD")
    monkeypatch.setattr(planner, "SCAN_COUNT_MAX", len(keys))
    (first,) = plan(story.state, at_ms=story.at_ms, outstanding={})
    assert "P0" == first.key
    assert ["GOOD"] == [message.key for message in plan(story.state, at_ms=story.at_ms, outstanding={})]
