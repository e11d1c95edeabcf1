"""R1 to R6 as the fold decides them: chains of source records, acts that look before they change, time by facts."""

import pytest

from lane.view import FactMisplaced, LaneView
from replay.planner import plan
from schemas.facts import (
    AnswersReceived,
    ComponentOverridden,
    DoorRefused,
    Fact,
    MessageRefused,
    Source,
    StillHere,
    WindowEnded,
)
from schemas.streams import Record
from tests.unit.lane_story import T0, Story, rules


def _refused(previous: int, position: int) -> MessageRefused:
    source = Source(stream="inbound.highway", position=position, previous=previous)
    return MessageRefused(at_ms=T0, source=source, tenant="acme", key="A1", sha256="x", code="no_key", reason="name its key")


@pytest.mark.parametrize(("previous", "position"), [(-1, 0), (1, 2), (0, 0), (0, -1)], ids=["again", "hole", "same", "back"])
def test_r1_a_fact_off_its_sources_chain_is_void(previous: int, position: int) -> None:
    """R1: a sourced fact is void unless `previous` equals the fold's mark; so no record is skipped or taken twice."""
    story = Story()
    story.say(_refused(-1, 0))
    found = story.say(_refused(previous, position))
    assert [("R1", True)] == [(each.rule, each.void) for each in found]
    assert 0 == story.state.marks["inbound.highway"]
    assert 1 == story.state.refused


def test_r1_a_fact_may_span_records_and_moves_the_mark_to_the_last() -> None:
    """R1: a fact that spans several records carries the previous and the last."""
    story = Story()
    story.say(_refused(-1, 7))
    assert 7 == story.state.marks["inbound.highway"]


def test_r1_a_fact_of_the_desk_without_its_source_is_void_in_a_lane() -> None:
    """R1: what stands in a lane was copied there with its source."""
    story = Story()
    fact = ComponentOverridden(at_ms=T0, component="edi", direction="inbound", to="hold", person="ann", reason="phone", basis=-1)
    assert ["R1"] == rules(story.say(fact))
    assert {} == story.state.outages


def test_r2_a_refused_record_is_counted_and_moves_the_mark_but_takes_no_key() -> None:
    """R2, R10: a refused record is a fact of its lane; the key stays free."""
    story = Story()
    source = story.source("inbound.highway")
    story.say(MessageRefused(at_ms=T0, source=source, tenant="acme", key="A1", sha256="x", code="no_key", reason="name its key"))
    story.cargo("A1")
    assert "held" == story.is_("A1")
    assert ("refused", "name its key") == story.state.verdicts[0][:2]


def test_r3_an_answer_off_the_chain_is_void_and_an_empty_one_moves_the_mark() -> None:
    """R3: answers chain by their record in [responses]; nothing is judged twice."""
    story = Story()
    story.cargo("A1")
    story.sent("A1")
    story.answers()
    assert 0 == story.state.marks["responses"]
    stale = Source(stream="responses", position=1, previous=-1)
    assert ["R1"] == rules(story.say(AnswersReceived(at_ms=T0, source=stale, gateway="cbsa", answers=())))


def test_r5_an_act_that_did_not_see_the_last_act_is_void() -> None:
    """R5: a late retry can not undo what came after it."""
    story = Story()
    story.cargo("A1", channel="emanifest_portal")
    seen = story["A1"].act
    story.filed("A1")
    assert ["R5"] == rules(story.filed("A1", basis=seen))
    assert ["R5"] == rules(story.revoke("A1", basis=seen))
    assert "filed" == story.is_("A1")


def test_r5_an_act_on_a_message_that_is_not_there_is_void() -> None:
    """R5: every act names an object of this lane."""
    story = Story()
    story.cargo("A1")
    assert ["R5"] == rules(story.withdraw("A1", message=99))


def test_r5_nobody_acts_on_a_message_while_it_is_on_the_wire() -> None:
    """R41, I4b: an act that puts a message back to held while an attempt runs would let two attempts overlap."""
    story = Story()
    story.cargo("A1")
    story.intend("A1")
    story.rejected("A1", code="T36")
    assert ["R41"] == rules(story.settle("A1", "held"))
    story.transmitted("A1")
    assert () == story.settle("A1", "held")


def test_r6_a_window_does_not_end_before_its_time() -> None:
    """R6: what ends by time ends by a fact that is void before its time."""
    story = Story()
    story.declare(ends_s=60)
    found = story.say(WindowEnded(at_ms=T0 + 59_999, incident="TCC1", ends_ms=T0 + 60_000))
    assert [("R6", True)] == [(each.rule, each.void) for each in found]
    story.cargo("A1")
    assert ["R31"] == rules(story.intend("A1"))


def test_r6_time_in_a_lane_only_runs_forward() -> None:
    """R6: as-of uses the running maximum of `at`; a writer whose clock is behind turns nothing back."""
    story = Story()
    story.take_lane()
    story.say(StillHere(at_ms=T0 + 5_000, epoch=1))
    story.say(StillHere(at_ms=T0, epoch=1))
    assert T0 + 5_000 == story.state.now_ms


def test_r6_a_clock_that_is_ahead_makes_no_message_ready_before_its_time() -> None:
    """R6, R40: a message's own time is judged by the intent's `at`; the planner does not offer in vain what is void for it."""
    story = Story()
    story.take_lane()
    story.wait(3_600).cargo("ahead")
    story.wait(-3_600)
    story.cargo("later", not_before_ms=T0 + 1_800_000)
    story.wait(3_600).cargo("ahead again")
    story.wait(-3_600)
    story.done("ahead", "ahead again")
    void = 0
    for _ in range(20):
        planned = [message.key for message in plan(story.wait(1).state, at_ms=story.at_ms, outstanding={})]
        void += bool(planned and story.intend(*planned))
    assert 1 == void
    story.at_ms = T0 + 1_800_000
    assert ["later"] == [message.key for message in plan(story.state, at_ms=story.at_ms, outstanding={})]
    assert () == story.intend("later")


def test_r6_a_message_goes_from_its_not_before_on() -> None:
    """DESIGN section 7: `not_before` is judged by the intent's `at`; the moment wakes the message without a fact of its own."""
    story = Story()
    story.cargo("A1", not_before_ms=T0 + 1_000)
    assert ["times"] == rules(story.intend("A1"))
    story.wait(1).cargo("A2")
    assert story["A1"].unblocked
    assert () == story.intend("A1")


def test_r6_what_is_past_its_not_after_is_parked_as_stale_by_an_intent() -> None:
    """DESIGN section 7: past `not_after` is parked as stale; only a fact parks, so that every reader agrees."""
    story = Story()
    story.cargo("A1", not_after_ms=T0 + 1_000)
    assert ["times"] == rules(story.wait(2).intend("A1"))
    assert "parked" == story.is_("A1")


def test_r6_an_arrival_never_goes_before_it_happened() -> None:
    """C274: an arrival before the goods are there is itself a contravention; judged by the intent's `at`."""
    story = Story("rail")
    story.cargo_arrival("A1", inland=False, occurred_ms=T0 + 5_000)
    assert ["times"] == rules(story.intend("arrival A1"))
    assert () == story.wait(5).intend("arrival A1")


def test_i13_a_fact_of_the_desk_in_a_lane_stops_the_reader() -> None:
    """I13: a stream that holds what doesn't belong there was written by something else."""
    door = DoorRefused(at_ms=T0, door="http", tenant="acme", key="A1", sha256="x", code="size", reason="too big")

    def decode(value: bytes) -> Fact:
        return door

    with pytest.raises(FactMisplaced, match="DoorRefused at 0"):
        LaneView("highway", decode).absorb([Record(position=0, at_ms=T0, value=b"")])
