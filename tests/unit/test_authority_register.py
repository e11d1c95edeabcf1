"""The simulated authority's register: on file, duplicates, and each hard edge of DOMAIN 1.2 by mode."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from gateway.authority_documents import TakenMessage, own_key_of
from gateway.authority_register import EDGES, MISSING_PREDECESSOR_CODES, Level, Register

_numbers = count(1)

ROAD = ("highway", "rail")
SEA_AND_AIR = ("air", "marine")
ALL_MODES = (*ROAD, *SEA_AND_AIR)


def message(mode: str, kind: str, function: str = "original", **keys: str | Sequence[str]) -> TakenMessage:
    """Return a message; a key given as text stands for a list of one."""
    listed = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in keys.items()}
    wire_key = f"{mode}/acme/{next(_numbers)}"
    return TakenMessage(
        wire_key=wire_key,
        tenant="acme",
        mode=mode,
        kind=kind,
        channel="edi",
        function=function,
        keys=listed,
        sha256="0" * 64,
        own=own_key_of(kind, listed, wire_key),
    )


def verdicts(*messages: TakenMessage, levels: dict[str, Level] | None = None) -> list[str]:
    """Return the codes of the verdicts, in order; `OK` is captured."""
    register = Register(levels)
    return [register.judge(each).code for each in messages]


def labels(*messages: TakenMessage) -> list[Any]:
    """Return the labels of the verdicts, in order."""
    register = Register()
    return [register.judge(each).label for each in messages]


@pytest.mark.parametrize("mode", ROAD)
def test_a_trip_waits_for_its_shipments(mode: str) -> None:
    """E1: highway and rail."""
    trip, cargo = message(mode, "conveyance", crn="T", ccn=["A", "B"]), message(mode, "cargo", ccn="A")
    assert verdicts(trip, cargo, trip, message(mode, "cargo", ccn="B"), trip) == ["E1", "OK", "E1", "OK", "OK"]


@pytest.mark.parametrize("mode", SEA_AND_AIR)
def test_air_and_marine_know_no_order_of_cargo_and_conveyance(mode: str) -> None:
    """DOMAIN 1.1: no order in air and marine."""
    assert verdicts(message(mode, "conveyance", crn="V", ccn="A"), message(mode, "cargo", ccn="A", crn="V")) == ["OK", "OK"]


def test_a_reject_says_how_sure_its_rule_is() -> None:
    """E1 is confirmed for the highway [M5] and assumed for rail; the label leads the text (INTERFACES section 4)."""
    register = Register()
    found = [register.judge(message(mode, "conveyance", crn="T", ccn="A")) for mode in ROAD]
    assert [(each.label, each.code, each.text.partition(":")[0]) for each in found] == [
        ("confirmed", "E1", "confirmed"),
        ("assumed", "E1", "assumed"),
    ]
    assert found[0].text.startswith("confirmed: shipment not on file")


@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_close_waits_for_its_house_bills(mode: str) -> None:
    """E3, in every mode; and not for its primary cargo (N2)."""
    close = message(mode, "close", previous_ccn="P", house_bill=["H1", "H2"])
    bills = [message(mode, "house_bill", house_bill=name, previous_ccn="P") for name in ("H1", "H2")]
    assert verdicts(close, bills[0], close, bills[1], close) == ["E3", "OK", "E3", "OK", "OK"]


@pytest.mark.parametrize("mode", ROAD)
def test_a_close_waits_for_a_trip_that_is_known_and_not_on_file(mode: str) -> None:
    """E2, highway and rail: a trip that names the cargo came in and was rejected, so one is expected."""
    trip = message(mode, "conveyance", crn="T", ccn=["P", "Q"])
    close = message(mode, "close", previous_ccn="P")
    cargos = [message(mode, "cargo", ccn=name) for name in "PQ"]
    assert verdicts(cargos[0], trip, close, cargos[1], trip, close) == ["OK", "E1", "E2", "OK", "OK", "OK"]


@pytest.mark.parametrize("mode", ROAD)
def test_a_close_whose_trip_nobody_announced_goes_unless_strict(mode: str) -> None:
    """E2: what never came in is not expected; `strict` expects it all the same."""
    messages = [message(mode, "cargo", ccn="P"), message(mode, "close", previous_ccn="P")]
    assert verdicts(*messages) == ["OK", "OK"]
    assert verdicts(*messages, levels={"E2": "strict"}) == ["OK", "E2"]


@pytest.mark.parametrize("mode", SEA_AND_AIR)
def test_a_close_waits_for_the_conveyance_that_its_cargo_names(mode: str) -> None:
    """E2, air and marine: the cargo carries the CRN; reached through the consolidated house bill (R20: transitively)."""
    cargo = message(mode, "cargo", ccn="P", crn="V")
    parent = message(mode, "house_bill", house_bill="H", primary_ccn="P", previous_ccn="P")
    close = message(mode, "close", previous_ccn="H")
    assert verdicts(cargo, parent, close, message(mode, "conveyance", crn="V"), close) == ["OK", "OK", "E2", "OK", "OK"]


def test_a_chain_of_house_bills_that_bites_its_tail_ends() -> None:
    """Keys come from outside; a cycle must not hang the register."""
    bills = [message("air", "house_bill", house_bill=a, previous_ccn=b) for a, b in (("X", "Y"), ("Y", "X"))]
    assert verdicts(*bills, message("air", "close", previous_ccn="X")) == ["OK", "OK", "OK"]


@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_close_under_a_consolidated_house_bill_waits_for_it(mode: str) -> None:
    """E8: the previous CCN is a house bill when another primary CCN is named, or when one came in and is not on file."""
    close = message(mode, "close", previous_ccn="H", primary_ccn="P")
    bill = message(mode, "house_bill", house_bill="H", primary_ccn="P")
    assert verdicts(close, bill, close) == ["E8", "OK", "OK"]
    change = message(mode, "house_bill", "change", house_bill="H")
    plain = message(mode, "close", previous_ccn="H")
    assert verdicts(change, plain, bill, plain) == ["NOF", "E8", "OK", "OK"]


@pytest.mark.parametrize("mode", ["rail", "air", "marine"])
def test_an_arrival_waits_for_its_conveyance_and_its_cargos(mode: str) -> None:
    """E6 and E4, by the arrival's own list."""
    trip = message(mode, "conveyance", crn="T")
    arrival = message(mode, "conveyance_arrival", crn="T", ccn="A")
    assert verdicts(arrival, trip, arrival, message(mode, "cargo", ccn="A"), arrival) == ["E6", "OK", "E4", "OK", "OK"]


@pytest.mark.parametrize("mode", SEA_AND_AIR)
def test_an_arrival_without_a_list_waits_for_the_cargos_that_name_its_conveyance(mode: str) -> None:
    """E4 by relation: a cargo that came in for this CRN and never got on file; one that was cancelled is waited for no more."""
    trip, arrival = message(mode, "conveyance", crn="T"), message(mode, "conveyance_arrival", crn="T")
    early = message(mode, "cargo", "change", ccn="A", crn="T")
    cargo, cancel = message(mode, "cargo", ccn="A", crn="T"), message(mode, "cargo", "cancel", ccn="A", crn="T")
    assert verdicts(trip, early, arrival, cargo, arrival) == ["OK", "NOF", "E4", "OK", "OK"]
    assert verdicts(trip, cargo, cancel, arrival) == ["OK", "OK", "OK", "OK"]


@pytest.mark.parametrize("mode", ["rail", "air", "marine"])
def test_an_arrival_waits_for_a_release_that_came_in_and_was_not_captured(mode: str) -> None:
    """E5; `strict` wants a release for each cargo, `known` only what broke visibly."""
    start = [message(mode, "cargo", ccn="A"), message(mode, "conveyance", crn="T")]
    arrival = message(mode, "conveyance_arrival", crn="T", ccn="A")
    early, release = (
        message(mode, "release", "change", transaction="R", ccn="A"),
        message(mode, "release", transaction="R", ccn="A"),
    )
    assert verdicts(*start, early, arrival, release, arrival) == ["OK", "OK", "NOF", "E5", "OK", "OK"]
    assert verdicts(*start, arrival) == ["OK", "OK", "OK"]
    assert verdicts(*start, arrival, release, arrival, levels={"E5": "strict"}) == ["OK", "OK", "E5", "OK", "OK"]


def test_a_shipment_is_on_one_trip_at_a_time() -> None:
    """E11: until the first trip lets go, by a change without it or a cancel; confirmed for the highway [M5]."""
    cargo = message("highway", "cargo", ccn="K")
    first, second = (message("highway", "conveyance", crn=crn, ccn="K") for crn in ("T1", "T2"))
    without = message("highway", "conveyance", "change", crn="T1")
    cancel = message("highway", "conveyance", "cancel", crn="T1")
    assert verdicts(cargo, first, second, without, second) == ["OK", "OK", "E11", "OK", "OK"]
    assert verdicts(cargo, first, second, cancel, second) == ["OK", "OK", "E11", "OK", "OK"]
    assert labels(cargo, first, second)[2] == "confirmed"


def test_a_change_of_the_trip_that_holds_the_shipment_is_no_second_trip() -> None:
    """E11 speaks of another trip."""
    trip = [message("highway", "conveyance", function, crn="T1", ccn="K") for function in ("original", "change")]
    assert verdicts(message("highway", "cargo", ccn="K"), *trip) == ["OK", "OK", "OK"]


def test_a_house_bill_is_in_one_close_at_a_time() -> None:
    """Y55 [M16]: to move it, cancel the old close first."""
    bill = message("marine", "house_bill", house_bill="H")
    first, second = (message("marine", "close", previous_ccn=own, house_bill="H") for own in ("P1", "P2"))
    cancel = message("marine", "close", "cancel", previous_ccn="P1")
    assert verdicts(bill, first, second, cancel, second) == ["OK", "OK", "Y55", "OK", "OK"]
    assert labels(bill, first, second)[2] == "confirmed"


@pytest.mark.parametrize("function", ["change", "cancel"])
def test_what_is_not_on_file_can_not_be_changed_or_cancelled(function: str) -> None:
    """NOF, confirmed [M15]; a cancelled document is not on file."""
    later = message("rail", "cargo", function, ccn="A")
    cancel, cargo = message("rail", "cargo", "cancel", ccn="A"), message("rail", "cargo", ccn="A")
    assert verdicts(later, cargo, cancel, later, cargo, later) == ["NOF", "OK", "OK", "NOF", "OK", "OK"]
    assert labels(later) == ["confirmed"]


def test_a_second_original_is_a_duplicate_whoever_filed_the_first() -> None:
    """INTERFACES section 4; after a cancel it is a first one again."""
    register = Register()
    cargo = message("air", "cargo", ccn="A")
    outcomes = [
        register.judge(each).outcome
        for each in (
            cargo,
            message("air", "cargo", ccn="A"),
            message("air", "cargo", "cancel", ccn="A"),
            message("air", "cargo", ccn="A"),
        )
    ]
    assert outcomes == ["captured", "duplicate", "captured", "captured"]


def test_cargo_and_house_bill_share_one_namespace_and_modes_share_none() -> None:
    """R12; and who states another mode for the same shipment gets a missing predecessor (DESIGN section 2)."""
    assert verdicts(message("highway", "cargo", ccn="A"), message("highway", "house_bill", house_bill="A")) == ["OK", "DUP"]
    assert verdicts(message("rail", "cargo", ccn="A"), message("highway", "conveyance", crn="T", ccn="A")) == ["OK", "E1"]


def test_a_rejected_message_changes_nothing() -> None:
    """A document is on file by what was captured (DESIGN section 2)."""
    register = Register()
    rejected = message("highway", "conveyance", crn="T", ccn="A")
    assert register.judge(rejected).outcome == "rejected"
    assert register.is_on_file(rejected.document) is False


def test_a_cancel_needs_no_predecessor() -> None:
    """Letting go of a document asks only that it is on file."""
    trip, cancel = (message("highway", "conveyance", function, crn="T", ccn="A") for function in ("original", "cancel"))
    gone = message("highway", "cargo", "cancel", ccn="A")
    assert verdicts(message("highway", "cargo", ccn="A"), trip, gone, cancel) == ["OK", "OK", "OK", "OK"]


@pytest.mark.parametrize("edge", ["E1", "E3", "E6", "E11", "Y55", "NOF"])
def test_each_edge_can_be_switched_off_alone(edge: str) -> None:
    """A test that wants to see wrong order captured turns enforcement off, edge by edge."""
    broken = {
        "E1": [message("highway", "conveyance", crn="T", ccn="A")],
        "E3": [message("rail", "close", previous_ccn="P", house_bill="H")],
        "E6": [message("rail", "conveyance_arrival", crn="T")],
        "E11": [message("air", "conveyance", crn=crn, ccn="A") for crn in ("T1", "T2")],
        "Y55": [
            message("air", "house_bill", house_bill="H"),
            *(message("air", "close", previous_ccn=own, house_bill="H") for own in ("P1", "P2")),
        ],
        "NOF": [message("rail", "cargo", "change", ccn="A")],
    }[edge]
    assert verdicts(*broken)[-1] == edge
    assert verdicts(*broken, levels={edge: "off"})[-1] == "OK"
    others: dict[str, Level] = {each: "off" for each in EDGES if each != edge}
    assert verdicts(*broken, levels=others)[-1] == edge


def test_an_edge_that_is_not_there_can_not_be_switched() -> None:
    """A mistyped setting is refused, not passed over."""
    with pytest.raises(ValueError, match="E99"):
        Register({"E99": "off"})


def test_the_codes_of_a_missing_predecessor_are_those_that_a_document_can_end() -> None:
    """R55 submits again when the predecessor comes on file; E11 and Y55 wait for another to let go, DUP for nothing."""
    assert frozenset({"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "NOF"}) == MISSING_PREDECESSOR_CODES


@pytest.mark.parametrize(("kind", "expected"), [("other", "other/acme/k"), ("accounting", "other/acme/k")])
def test_a_document_without_an_own_key_goes_by_its_publishers(kind: str, expected: str) -> None:
    """INTERFACES section 2: id, or the publisher's key; a later submission (~2) is the same document."""
    assert own_key_of(kind, {}, "other/acme/k~2") == expected
    with pytest.raises(ValueError, match="ccn"):
        own_key_of("cargo", {"crn": ["T"]}, "k")
