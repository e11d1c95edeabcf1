"""Of a document that one message names and nobody else speaks of, the lane keeps the name; nobody can tell."""

from collections.abc import Callable

import pytest

from lane.canonical import canonical
from lane.document import DOCUMENT_KINDS
from lane.due import due_facts
from lane.snapshot import dump, load
from schemas.facts import HorizonMoved
from tests.unit.lane_story import Story, assert_consistent


def _story() -> Story:
    story = Story()
    story.house_bill("H", primary="P", previous="Q")
    return story


def _known(story: Story) -> list[bool]:
    return [story.state.known_document("shipment", key) is not None for key in ("P", "Q")]


def test_what_one_message_alone_names_takes_no_more_than_its_name() -> None:
    """House bills name shipments that come from elsewhere: at 200 bytes for each, those would be half of all memory."""
    story = _story()
    assert [False, False] == _known(story)
    assert 2 == story.state.hearsay.count
    assert ["shipment Q", "shipment P"] == [str(doc) for doc in story["H"].related]
    assert () == story["H"].met
    assert ["shipment H", "shipment Q", "shipment P"] == [str(doc) for doc in story.state.all_documents()]
    assert [["shipment H"]] * 2 == [[str(namer) for namer in doc.namers] for doc in story["H"].related]


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
def test_a_document_of_any_kind_comes_after_one_of_which_only_the_name_is_kept(kind: str) -> None:
    """I5: a packed name has room for seven kinds, and there are ten: no message may stop the fold."""
    story = _story()
    story.state.document(kind, "D")
    assert kind == story.state.document(kind, "D").kind
    assert not story.state.is_unheard(kind, "D")


@pytest.mark.parametrize("kind", ["export_declaration", "accounting", "other"])
def test_a_message_that_nothing_names_is_taken_after_one_that_names(kind: str) -> None:
    """I5, R12: what any provider may publish is folded like the rest."""
    story = _story()
    assert () == story.publish(kind, "D", {kind: ("D",)})
    assert "held" == story.is_("D")


SPEAKERS: dict[str, Callable[[Story], object]] = {
    "its own message": lambda story: story.cargo("P"),
    "another one that names it": lambda story: story.house_bill("H2", primary="P"),
    "a trip that lists it": lambda story: story.trip("T", "P"),
    "a message that names it twice": lambda story: story.house_bill("H2", primary="P", previous="P"),
}


@pytest.mark.parametrize("speaks", SPEAKERS.values(), ids=SPEAKERS)
@pytest.mark.parametrize("resumed", [False, True], ids=["folded", "from a snapshot"])
def test_it_is_a_document_as_soon_as_somebody_else_speaks_of_it(speaks: Callable[[Story], object], resumed: bool) -> None:
    """Who named it first is among its namers, and what else the same message names is known from then on too."""
    story = _story()
    if resumed:
        story.state = load(dump(story.state))
    speaks(story)
    assert_consistent(story.state)
    assert [True, True] == _known(story)
    assert 0 == story.state.hearsay.count
    named = story.state.known_document("shipment", "P")
    assert named in story["H"].related
    assert named is not None
    assert story["H"].doc in named.namers


def test_a_house_bill_waits_for_the_one_that_it_named_before_it_came() -> None:
    """E9: what is only a name in the lane becomes what it waits for, once it is a house bill here."""
    story = Story("highway")
    story.declare()
    story.house_bill("H", primary="P")
    assert story["H"].unblocked
    story.house_bill("P", primary="X")
    assert story["P"] is getattr(story["H"].blocker, "message", None)


def test_a_name_leaves_with_its_message() -> None:
    """R58: after the horizon nobody has heard of it."""
    story = _story()
    story.done("H").wait(122 * 86_400)
    for fact in due_facts(story.state, at_ms=story.at_ms):
        if isinstance(fact, HorizonMoved):
            story.say(fact)
    assert [] == list(story.state.all_documents())
    assert 0 == story.state.hearsay.count


def test_looking_makes_no_document_of_a_name() -> None:
    """Whoever reads leaves no trace, or a snapshot would tell who asked."""
    story = _story()
    before = dump(story.state)
    canonical(story.state)
    assert story["H"].related
    assert list(story.state.all_documents())
    assert before == dump(story.state)
