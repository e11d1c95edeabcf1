"""A snapshot is a cache: from whatever position a fold starts, its bytes and its choices are those of a fold from zero (I5)."""

from dataclasses import fields
from random import Random
from types import GetSetDescriptorType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.snapshots import UNREADABLE
from lane import document, fold, message
from lane.canonical import canonical
from lane.document import blank_documents
from lane.filling import fill_documents, fill_done, fill_messages
from lane.message import blank_messages
from lane.more import DONE_FIELDS, blank_done
from lane.record import Form
from lane.shapes import CHANNEL_SLOTS, DOCUMENT_SLOTS, HINTS, MESSAGE_SLOTS, STATE_FIELDS
from lane.snapshot import dump, load
from lane.state import Channel, Document, LaneState, Message
from replay.planner import plan
from schemas.codec import Codec
from schemas.facts import LANE_FACTS, HorizonMoved, MessageReceived
from tests.property.test_fold_machine import random_log
from tests.unit.lane_story import Story, assert_consistent

from benchmarks.generate import lane_facts  # isort: skip


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 400), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None)
def test_i5_a_fold_that_goes_on_from_a_snapshot_gives_the_same_bytes(seed: int, cuts: list[int]) -> None:
    """I5: at each later position the state, whole and canonical, equals the one from zero."""
    log = random_log(seed)
    zero, resumed = LaneState("rail"), LaneState("rail")
    for number, (position, fact) in enumerate(log):
        if number in cuts:
            resumed = load(dump(resumed))
            assert_consistent(resumed)
        fold.apply(zero, position, fact)
        fold.apply(resumed, position, fact)
        if number % 7 == 0 or number + 1 == len(log):
            assert canonical(zero) == canonical(resumed)
            assert dump(zero) == dump(resumed)


def _ready(seed: int, drain: str) -> Story:
    """Some were held at an opening and belong to its replay, others came later; releases and deadlines among them."""
    dice, story = Random(seed), Story("highway", drain="operator", rate_max_per_s=None)
    for number in range(40):
        if number == 25:
            story.declare()
            story.resolve()
            if drain != "waiting":
                story.replay("start")
        deadline = story.at_ms + dice.randrange(1, 10**9) if dice.random() < 0.5 else None
        if dice.random() < 0.2:
            story.release(f"R{number}", key=f"m{number}", not_after_ms=deadline)
        else:
            story.cargo(f"A{number}", key=f"m{number}", not_after_ms=deadline)
    story.done("m3", "m30") if drain == "running" else story.done("m30")
    return story


@pytest.mark.parametrize("drain", ["waiting", "running"])
@pytest.mark.parametrize("seed", range(5))
def test_i5_a_planner_chooses_the_same_after_a_snapshot(seed: int, drain: str) -> None:
    """The ready heaps are built anew at a load, with the members and the order that a fold from zero gives them."""
    story = _ready(seed, drain)
    resumed = load(dump(story.state))
    chosen = [each.position for each in plan(story.state, at_ms=story.at_ms, outstanding={})]
    assert (38 if drain == "running" else 14) == len(chosen)
    assert chosen == [each.position for each in plan(resumed, at_ms=story.at_ms, outstanding={})]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_i5_what_a_planner_took_leaves_no_trace_in_a_snapshot(seed: int) -> None:
    """The ready heaps are one process's own: what a planner holds in its hand stands ready again after a start."""
    log = random_log(seed)
    dice, asked, plain = Random(seed), LaneState("rail"), LaneState("rail")
    for position, fact in log:
        fold.apply(asked, position, fact)
        fold.apply(plain, position, fact)
        if dice.random() < 0.2:
            plan(asked, at_ms=asked.now_ms, outstanding={})
    assert dump(plain) == dump(asked)


def _fields(thing: object) -> set[str]:
    """The fields of an object, also of a compiled one, which has no `__dict__`."""
    if hasattr(thing, "__dict__"):
        return set(vars(thing))
    return {name for name, what in vars(type(thing)).items() if isinstance(what, GetSetDescriptorType)}


def test_every_slot_of_the_state_stands_in_a_snapshot() -> None:
    """Whoever adds a slot to the state says here how it is kept, or a start from a snapshot would forget it."""
    names = {
        Document: set(document.DOCUMENT_FIELDS),
        Message: set(message.MESSAGE_FIELDS),
        Channel: {each.name for each in fields(Channel)},
        LaneState: _fields(LaneState("rail")),
    }
    kept = {Document: DOCUMENT_SLOTS, Message: MESSAGE_SLOTS, Channel: CHANNEL_SLOTS, LaneState: STATE_FIELDS}
    for kind, slots in names.items():
        assert slots - set(HINTS) == set(kept[kind]), kind.__name__


def test_a_snapshot_holds_every_kind_of_thing_that_a_lane_can_hold() -> None:
    """A state with an outage, a window, a drain, a canary, open grants, verdicts and late answers comes back whole."""
    story = Story("rail", drain="operator", in_flight_max=3, rate_max_per_s=5, settling_ms=1_000)
    story.cargo("A1")
    story.cargo("A2", not_after_ms=story.at_ms + 10**7)
    story.cargo("A1", key="A1 again")
    story.cargo("A1")
    story.arrival("T", "A1", occurred_ms=story.at_ms + 60_000)
    story.trip("T", "A1", "A9")
    story.done("A1")
    story.declare("cig", tenants=("acme",))
    story.declare("edi", incident="TCC2", direction="outbound", effect="delayed")
    story.declare("edi", incident="TCC3", starts_s=100, ends_s=200)
    story.declare("edi", incident="TCC4")
    story.cargo("A3")
    story.resolve("TCC4")
    story.override("edi")
    story.replay("start", rate_per_s=2)
    story.intend("A2")
    again = load(dump(story.state))
    assert_consistent(again)
    assert canonical(story.state) == canonical(again)
    assert dump(story.state) == dump(again)
    assert story.state.late == again.late
    assert [each.position for _, each in sorted(story.state.timed)] == [each.position for _, each in sorted(again.timed)]


@pytest.mark.parametrize("body", [b"", b"no snapshot", b"N", b"(\x00\x00\x00\x00"])
def test_other_bytes_are_refused_as_such(body: bytes) -> None:
    """Whoever keeps snapshots passes over what can't be read; a load raises only what `UNREADABLE` names."""
    with pytest.raises((ValueError, EOFError, TypeError)):
        load(body)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_are_refused_as_such(seed: int) -> None:
    """A real snapshot with a byte changed, or cut short, loads or raises what `UNREADABLE` names; never anything else."""
    dice = Random(seed)
    body = dump(_ready(seed, "running").state)
    refused = 0
    for _ in range(60):
        damaged = bytearray(body)
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            load(bytes(damaged[: dice.choice([len(body), dice.randrange(len(body))])]))
        except UNREADABLE:
            refused += 1
    assert refused > 30


class _Read(dict[str, list[object]]):
    """Columns that remember which were asked for."""

    def __init__(self, columns: dict[str, list[object]]) -> None:
        super().__init__(columns)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> list[object]:
        self.names.add(name)
        return super().__getitem__(name)


def test_what_is_written_of_each_thing_is_filled_in_again() -> None:
    """Whoever adds a field says in `lane.filling` where it goes, or a load would drop it."""
    form, doc = Form(("acme", "cargo", "original", "edi", True)), Document("shipment", "A1")
    [message], [blank], [done] = blank_messages(1), blank_documents(1), blank_done(1)
    of_message = {
        "blocker": None, "doc": doc, "form": form, "more": None, "position": 7, "raw_named": (), "raw_state": 3, "record": b"r",
        "since_ms": 5, "unblocked": True, "watches": True,
    }  # fmt: skip
    of_document = {
        "filed_at": 3, "house_bill": True, "key": "A1", "more": document.DocumentMore(), "on_file": True, "raw_filings": message,
        "raw_kind": 2, "raw_namers": doc, "raw_queue": message,
    }  # fmt: skip
    of_done = {"answered_ms": 1, "epoch": 2, "filing": 3, "grant": 4, "transmitted_ms": 5}
    assert (set(MESSAGE_SLOTS), set(DOCUMENT_SLOTS)) == (set(of_message), set(of_document))
    assert set(DONE_FIELDS) == set(of_done)
    assert {"aside", "gone", "raw_watchers", "settled"} == set(document.DOCUMENT_MORE_FIELDS), "shapes.py writes these by name"
    filled: list[tuple[Any, dict[str, Any], Any]] = [
        (message, of_message, fill_messages),
        (blank, of_document, fill_documents),
        (done, of_done, fill_done),
    ]
    for thing, fields_of, fill in filled:
        columns = _Read({name: [value] for name, value in fields_of.items()})
        fill([thing], columns)
        assert set(fields_of) == columns.names
        assert fields_of == {name: getattr(thing, name) for name in fields_of}


def test_i5_a_log_of_years_gives_the_same_bytes_from_any_snapshot_of_it() -> None:
    """I5, R58: over notices, leases, rejects, unknowns and days on which the horizon moved."""
    decode = Codec().decode
    facts = [fact for fact in map(decode, lane_facts("highway", 3_000, trips_a_day=1)) if isinstance(fact, LANE_FACTS)]
    assert any(isinstance(fact, HorizonMoved) for fact in facts)
    zero, resumed = LaneState("highway"), LaneState("highway")
    void = []
    for position, fact in enumerate(facts):
        if position % 250 == 0:
            resumed = load(dump(resumed))
        void += [each for each in fold.apply(zero, position, fact) if each.void]
        fold.apply(resumed, position, fact)
        if position % 100 == 0:
            assert dump(zero) == dump(resumed)
    assert [] == void
    assert canonical(zero) == canonical(resumed)
    assert len(zero.messages) < sum(isinstance(fact, MessageReceived) for fact in facts)
