"""Whatever was published in whatever order: with everything received, the fold lets all of it go, and nothing before its turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authority_order import order_violations
from lane.state import Message
from tests.unit.lane_story import Story

MODES = ("highway", "rail", "air", "marine")
STEPS_MAX = 200
"""More captures than any drawn graph has messages."""


@dataclass(frozen=True)
class Publishing:
    """One message to publish: the story's method, its words, and the keys that CBSA sees."""

    how: str
    given: tuple[str, ...]
    more: dict[str, Any]
    kind: str
    keys: Mapping[str, tuple[str, ...]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[str, list[Publishing]]:
    """Cargo, trips that share it, tiers of house bills, their closes, releases, an arrival, in any order; none is missing."""
    mode = draw(st.sampled_from(MODES))
    by_crn = mode in ("air", "marine")
    ccns = [f"A{number}" for number in range(draw(st.integers(1, 4)))]
    trips = [f"T{number}" for number in range(draw(st.integers(1, 2)))]
    carried = {ccn: draw(st.sampled_from(trips)) for ccn in ccns}
    out = [_cargo(ccn, carried[ccn] if by_crn else None) for ccn in ccns]
    for trip in trips:
        own = tuple(ccn for ccn in ccns if carried[ccn] == trip or draw(st.booleans())) if not by_crn else ()
        out.append(Publishing("trip", (trip, *own), {}, "conveyance", {"crn": (trip,), "ccn": own}))
    above = list(ccns)
    primary = {ccn: ccn for ccn in ccns}
    for number in range(draw(st.integers(0, 4))):
        previous, bill = draw(st.sampled_from(above)), f"H{number}"
        primary[bill] = primary[previous]
        keys = {"house_bill": (bill,), "previous_ccn": (previous,), "primary_ccn": (primary[bill],)}
        out.append(Publishing("house_bill", (bill,), {"previous": previous, "primary": primary[bill]}, "house_bill", keys))
        above.append(bill)
    for previous in draw(st.sets(st.sampled_from(above), max_size=2)):
        bills = tuple(each.keys["house_bill"][0] for each in out if each.keys.get("previous_ccn") == (previous,))
        out.append(Publishing("close", (previous, *bills), {}, "close", {"previous_ccn": (previous,), "house_bill": bills}))
    for number in range(draw(st.integers(0, 2))):
        named = tuple(draw(st.lists(st.sampled_from(ccns), unique=True, max_size=2)))
        out.append(Publishing("release", (f"R{number}", *named), {}, "release", {"transaction": (f"R{number}",), "ccn": named}))
    if mode != "highway" and draw(st.booleans()):
        trip = draw(st.sampled_from(trips))
        listed = tuple(ccn for ccn in ccns if carried[ccn] == trip)
        out.append(Publishing("arrival", (trip, *listed), {}, "conveyance_arrival", {"crn": (trip,), "ccn": listed}))
    return mode, draw(st.permutations(out))


def _cargo(ccn: str, crn: str | None) -> Publishing:
    keys = {"ccn": (ccn,)} | ({"crn": (crn,)} if crn else {})
    return Publishing("cargo", (ccn,), {"crn": crn}, "cargo", keys)


@settings(deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_all_of_a_graph_goes_and_nothing_before_its_turn(graph: tuple[str, list[Publishing]], random: Any) -> None:
    """R20 to R24, I3, I7: of those whose turn has come any may go next; CBSA finds nothing wrong in its own history."""
    mode, publishing = graph
    story = Story(mode)
    story.declare()
    said: dict[int, Publishing] = {}
    for each in publishing:
        getattr(story, each.how)(*each.given, **each.more)
        said[story.position] = each
    story.resolve()
    captured: list[Message] = []
    while free := [message for message in story.state.held() if message.unblocked]:
        message = random.choice(free)
        refused = story.intend(message.key)
        if refused:  # something that came since has to go first: it is looked at again, and waits
            assert not message.unblocked
        else:
            story.transmitted(message.key)
            story.captured(message.key)
            captured.append(message)
        assert len(captured) < STEPS_MAX
    assert [] == [f"{message} waits: {story.waits(message.key)}" for message in story.state.held()]
    rows = [_row(seq, message, said[message.position], mode) for seq, message in enumerate(captured, 1)]
    assert [] == order_violations(rows)


def _row(seq: int, message: Message, each: Publishing, mode: str) -> Any:
    return {
        "seq": seq, "judged": seq, "idempotency_key": f"{mode}/acme/{message.key}", "mode": mode, "kind": each.kind,
        "function": "original", "outcome": "captured", "keys": each.keys,
    }  # fmt: skip
