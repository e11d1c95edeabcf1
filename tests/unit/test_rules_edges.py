"""R20 and R24: every edge in every mode, and what never waits."""

import pytest

from lane.edges import EDGES
from tests.unit.lane_story import Story, rules

IMPORTS = ("highway", "rail", "air", "marine")


def _e1(story: Story) -> tuple[str, str]:
    story.trip("after", "before")
    story.cargo("before")
    return "before", "after"


def _e2(story: Story) -> tuple[str, str]:
    story.cargo("P", crn="before" if story.state.mode in ("air", "marine") else None)
    if story.state.mode in ("air", "marine"):
        story.done("P")
        story.trip("before")
    else:
        story.done("P")
        story.trip("before", "P")
    story.close("P", key="after")
    return "before", "after"


def _e3(story: Story) -> tuple[str, str]:
    story.close("P", "before", key="after")
    story.house_bill("before", primary="P")
    return "before", "after"


def _e4(story: Story) -> tuple[str, str]:
    story.trip("T")
    story.done("T")
    story.cargo("before", crn="T")
    story.arrival("T", key="after")
    return "before", "after"


def _e5(story: Story) -> tuple[str, str]:
    story.cargo("A", crn="T")
    story.trip("T", "A")
    story.done("A", "T")
    story.release("before", "A")
    story.arrival("T", key="after")
    return "before", "after"


def _e6(story: Story) -> tuple[str, str]:
    story.arrival("before", key="after")
    story.trip("before")
    return "before", "after"


def _e7(story: Story) -> tuple[str, str]:
    story.cargo("A")
    story.done("A")
    story.release("before", "A")
    story.cargo_arrival("A", key="after")
    return "before", "after"


def _e8(story: Story) -> tuple[str, str]:
    story.cargo("P")
    story.done("P")
    story.house_bill("before", primary="P")
    story.close("before", key="after")
    return "before", "after"


def _e9(story: Story) -> tuple[str, str]:
    story.house_bill("before", primary="P")
    story.house_bill("after", primary="P", previous="before")
    return "before", "after"


def _e10(story: Story) -> tuple[str, str]:
    story.release("after", "A", image="before")
    story.image("before")
    return "before", "after"


def _e11(story: Story) -> tuple[str, str]:
    story.house_bill("H", primary="P")
    story.done("H")
    story.close("P", "H", key="before")
    story.close("Q", "H", key="after")
    return "before", "after"


SETTINGS = {
    "E1": _e1, "E2": _e2, "E3": _e3, "E4": _e4, "E5": _e5, "E6": _e6, "E7": _e7, "E8": _e8, "E9": _e9, "E10": _e10, "E11": _e11,
}  # fmt: skip
HOLDING = [(edge.id, mode) for edge in EDGES for mode in IMPORTS if mode in edge.modes]
ABSENT = [(edge.id, mode) for edge in EDGES for mode in (*IMPORTS, "export", "accounting") if mode not in edge.modes]


def test_r20_every_edge_of_the_plan_has_its_setting_here() -> None:
    """R20: a new edge needs a test in every mode."""
    assert {edge.id for edge in EDGES} == set(SETTINGS)


def test_r20_the_modes_of_each_edge_are_those_of_the_plan() -> None:
    """DOMAIN 1.2: E1 in highway and rail, E4 to E6 not in highway, the rest in all four import modes."""
    table = {edge.id: "".join(mode[0] for mode in IMPORTS if mode in edge.modes) for edge in EDGES}
    other = dict.fromkeys(("E2", "E3", "E7", "E8", "E9", "E10", "E11"), "hram")
    assert other | {"E1": "hr", "E4": "ram", "E5": "ram", "E6": "ram"} == table
    assert {"E7", "E9", "E10"} == {edge.id for edge in EDGES if not edge.hard}


@pytest.mark.parametrize(("edge", "mode"), HOLDING)
def test_r20_the_later_document_waits_until_the_earlier_is_captured(edge: str, mode: str) -> None:
    """R20, R21: A -> B: B may be granted when A is on file, not when A is on its way; then it goes by itself."""
    story = Story(mode)
    before, after = SETTINGS[edge](story)
    assert [edge] == rules(story.intend(after))
    story.sent(before)
    assert edge == story.waits(after)
    story.captured(before)
    assert story[after].unblocked
    assert () == story.intend(after)


@pytest.mark.parametrize(("edge", "mode"), ABSENT)
def test_r24_where_there_is_no_edge_there_is_no_waiting(edge: str, mode: str) -> None:
    """R24, I3d: the plan gives this edge no such mode."""
    story = Story(mode)
    if edge == "E2":
        story.cargo("P")
        story.trip("before", "P")
        story.close("P", key="after")
        after = "after"
    else:
        _, after = SETTINGS[edge](story)
    assert story.waits(after) is None


@pytest.mark.parametrize("mode", IMPORTS)
def test_n1_a_house_bill_never_waits_for_its_primary_cargo(mode: str) -> None:
    """N1: not rejected if ahead of the primary cargo; nor the other way round."""
    story = Story(mode)
    story.cargo("P")
    story.house_bill("H", primary="P", previous="P")
    story.cargo("Q")
    assert (None, None) == (story.waits("H"), story.waits("Q"))


@pytest.mark.parametrize("mode", IMPORTS)
def test_n2_a_close_never_waits_for_its_primary_cargo(mode: str) -> None:
    """N2: not rejected if ahead of the primary cargo."""
    story = Story(mode)
    story.cargo("P")
    story.close("P")
    assert (None, None) == (story.waits("close P"), story.waits("P"))


@pytest.mark.parametrize("mode", IMPORTS)
def test_n3_a_release_never_waits_for_cargo_or_conveyance_nor_they_for_it(mode: str) -> None:
    """N3: no order against cargo and conveyance."""
    story = Story(mode)
    story.trip("T")
    story.cargo("A", crn="T")
    story.release("R", "A")
    assert (None, None, None) == (story.waits("R"), story.waits("A"), story.waits("T"))


def test_e2_follows_the_tiers_up_to_the_primary_cargo() -> None:
    """R20: unnamed edges follow from relations, transitively up to the primary CCN."""
    story = Story()
    story.trip("T", "P")
    story.house_bill("H1", primary="P", previous="P")
    story.house_bill("H2", primary="P", previous="H1")
    story.cargo("P")
    story.done("P", "H1", "H2")
    story.close("H2")
    assert "E2" == story.waits("close H2")
    story.done("T", "close H2")


def test_e4_waits_for_all_cargo_that_the_trip_lists() -> None:
    """E4: the arrival names the trip, the trip its cargo; one that is on file but cancelled soon is waited for (R21)."""
    story = Story("rail")
    story.cargo("A1")
    story.trip("T", "A1")
    story.done("A1", "T")
    story.cargo("A1", key="cancel", function="cancel")
    story.arrival("T")
    assert "E4" == story.waits("arrival T")


def test_e5_looks_only_at_releases_that_still_name_the_cargo() -> None:
    """I3d: a release replaced by one for other cargo is no reason to wait."""
    story = Story("rail")
    story.cargo("A1")
    story.trip("T", "A1")
    story.done("A1", "T")
    story.release("R", "A1")
    story.arrival("T")
    story.release("R", "A9", key="R2", replaces="R")
    assert story["arrival T"].unblocked
    assert story.waits("arrival T") is None


def test_e4_a_trip_that_lets_cargo_go_frees_the_arrival() -> None:
    """R22: what the arrival waited for was on the trip by a relation that has ended."""
    story = Story("rail")
    story.cargo("A1")
    story.trip("T", "A1")
    story.arrival("T")
    story.trip("T", key="T2", replaces="T")
    story.done("T2")
    assert story["arrival T"].unblocked


def test_e7_holds_for_inland_cargo_only() -> None:
    """E7: for inland cargo the arrival goes last; elsewhere it doesn't wait."""
    story = Story()
    story.release("R", "A")
    story.cargo_arrival("A", inland=False)
    assert story.waits("arrival A") is None


@pytest.mark.parametrize("leaves", ["rejected", "withdrawn"])
def test_r23_a_soft_edge_waits_only_for_what_is_held_or_in_flight(leaves: str) -> None:
    """R23: a rejected parent house bill holds nobody; a hard edge's would (R55)."""
    story = Story()
    before, after = _e9(story)
    if leaves == "rejected":
        story.sent(before).rejected(before)
    else:
        story.withdraw(before)
    assert story[after].unblocked


def test_e4_a_trip_on_file_that_lets_cargo_go_frees_the_arrival() -> None:
    """R22: the arrival waits for the cargo over the trip; when the trip's change is captured it has no reason to wait."""
    story = Story("rail", missing="send")
    story.trip("T", "A1")
    story.done("T")
    story.cargo("A1")
    story.arrival("T")
    assert "E4" == story.waits("arrival T")
    story.trip("T", key="change", function="change")
    story.done("change")
    assert story["arrival T"].unblocked


def test_e4_a_second_trip_that_is_parked_puts_nothing_aboard() -> None:
    """R12, I3d: what is on file says what is on the trip, not what a person has yet to look at."""
    story = Story("rail", missing="send")
    story.trip("T")
    story.done("T")
    story.cargo("A9")
    story.trip("T", "A9", key="second")
    story.arrival("T")
    assert "parked" == story.is_("second")
    assert story.waits("arrival T") is None


def test_r24_an_opening_that_takes_a_grace_back_leaves_nobody_waiting_for_a_ring_that_is_none() -> None:
    """R22, R24: the cancel had waited long enough and waited for the trip; after the opening it waits anew, and is looked at
    when the trip comes to wait for what stands behind it. Both waited for ever: seed 1306 of the simulation found it."""
    story = Story()
    story.trip("T", "A1", "A2")
    story.cargo("A2", key="cancel", function="cancel")
    story.cargo("A2")
    story.wait(600).grace_elapsed("cancel")
    assert ("R22", "R21") == (story.waits("T"), story.waits("cancel"))
    story.declare()
    story.resolve()
    story.cargo("A1")
    story.done("A1")
    assert ("E1", "R22") == (story.waits("T"), story.waits("cancel"))
    story.wait(600).grace_elapsed("cancel")
    assert ("parked", "R24") == (story.is_("cancel"), story["cancel"].code)
    story.done("A2", "T")
