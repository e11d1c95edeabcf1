"""The check of a whole history for wrong order (I3b): it sees each hard edge, and nothing where there is none."""

from collections.abc import Sequence

import pytest

from gateway.authority_order import HistoryRow, order_violations


def row(
    seq: int, mode: str, kind: str, function: str = "original", *, outcome: str = "captured", **keys: str | Sequence[str]
) -> HistoryRow:
    """Return a history row, judged in the order of its seq."""
    return HistoryRow(
        seq=seq,
        idempotency_key=f"{mode}/acme/{seq}",
        sha256="0" * 64,
        tenant="acme",
        mode=mode,
        kind=kind,
        channel="edi",
        function=function,
        keys={name: [value] if isinstance(value, str) else list(value) for name, value in keys.items()},
        outcome=outcome,
        code="OK",
        label=None,
        text=None,
        judged=seq,
        at="2025-10-01T00:00:00+00:00",
    )


def edges(*rows: HistoryRow) -> list[tuple[str, int, int]]:
    """Return (edge, before, after) of what was found."""
    return [(each["edge"], each["before"], each["after"]) for each in order_violations(rows)]


CASES = {
    "E1": (("conveyance", {"crn": "T", "ccn": "A"}), ("cargo", {"ccn": "A"}), "rail"),
    "E3": (("close", {"previous_ccn": "P", "house_bill": "H"}), ("house_bill", {"house_bill": "H"}), "air"),
    "E4": (("conveyance_arrival", {"crn": "T", "ccn": "A"}), ("cargo", {"ccn": "A"}), "marine"),
    "E5": (("conveyance_arrival", {"crn": "T", "ccn": "A"}), ("release", {"transaction": "R", "ccn": "A"}), "rail"),
    "E6": (("conveyance_arrival", {"crn": "T"}), ("conveyance", {"crn": "T"}), "air"),
    "E8": (("close", {"previous_ccn": "H"}), ("house_bill", {"house_bill": "H"}), "highway"),
}


@pytest.mark.parametrize("edge", CASES)
def test_each_edge_is_found_in_the_wrong_order_and_only_there(edge: str) -> None:
    """I3: B is captured after A, by each hard edge of DOMAIN 1.2."""
    (after_kind, after_keys), (before_kind, before_keys), mode = CASES[edge]
    wrong = [row(1, mode, after_kind, **after_keys), row(2, mode, before_kind, **before_keys)]
    right = [row(1, mode, before_kind, **before_keys), row(2, mode, after_kind, **after_keys)]
    assert edges(*wrong) == [(edge, 1, 2)]
    assert edges(*right) == []


@pytest.mark.parametrize(("mode", "trip_keys", "cargo_keys"), [("rail", {"ccn": "P"}, {}), ("marine", {}, {"crn": "T"})])
def test_a_close_ahead_of_its_conveyance_is_found_through_the_primary_cargo(
    mode: str, trip_keys: dict[str, str], cargo_keys: dict[str, str]
) -> None:
    """E2: previous CCN, house bill, primary cargo, conveyance."""
    start = [row(1, mode, "cargo", ccn="P", **cargo_keys), row(2, mode, "house_bill", house_bill="H", primary_ccn="P")]
    close, trip = {"previous_ccn": "H"}, {"crn": "T", **trip_keys}
    assert edges(*start, row(3, mode, "close", **close), row(4, mode, "conveyance", **trip)) == [("E2", 3, 4)]
    assert edges(*start, row(3, mode, "conveyance", **trip), row(4, mode, "close", **close)) == []


def test_a_trip_that_takes_over_after_the_close_is_no_violation() -> None:
    """E2: a trip on file carried the cargo when the close came; that it moved later is ordinary."""
    rows = [
        row(1, "highway", "cargo", ccn="P"),
        row(2, "highway", "conveyance", crn="T1", ccn="P"),
        row(3, "highway", "close", previous_ccn="P"),
        row(4, "highway", "conveyance", "cancel", crn="T1"),
        row(5, "highway", "conveyance", crn="T2", ccn="P"),
    ]
    assert edges(*rows) == []


def test_a_close_between_two_trips_is_a_violation_of_the_second() -> None:
    """E2: the first trip had let go, so the close had to wait for the next; the first one filed again was on file before."""
    start = [
        row(1, "highway", "cargo", ccn="P"),
        row(2, "highway", "conveyance", crn="T1", ccn="P"),
        row(3, "highway", "conveyance", "cancel", crn="T1"),
        row(4, "highway", "close", previous_ccn="P"),
    ]
    assert edges(*start, row(5, "highway", "conveyance", crn="T2", ccn="P")) == [("E2", 4, 5)]
    assert edges(*start, row(5, "highway", "conveyance", crn="T1", ccn="P")) == []


def test_a_document_filed_again_counts_from_its_first_capture() -> None:
    """What was captured between a cancel and the new filing came after the first."""
    rows = [
        row(1, "highway", "cargo", ccn="A"),
        row(2, "highway", "cargo", "cancel", ccn="A"),
        row(3, "highway", "conveyance", crn="T", ccn="A"),
        row(4, "highway", "cargo", ccn="A"),
    ]
    assert edges(*rows) == []


def test_a_change_that_names_more_is_judged_by_what_it_names() -> None:
    """R20: the successor's own list is the group, in each of its messages."""
    rows = [
        row(1, "highway", "conveyance", crn="T"),
        row(2, "highway", "conveyance", "change", crn="T", ccn="A"),
        row(3, "highway", "cargo", ccn="A"),
    ]
    assert edges(*rows) == [("E1", 2, 3)]


def test_only_captured_messages_count() -> None:
    """Order rules speak of captured, never of sent (DOMAIN section 0, 4)."""
    trip = {"crn": "T", "ccn": "A"}
    rejected = row(1, "highway", "conveyance", outcome="rejected", **trip)
    assert edges(rejected, row(2, "highway", "cargo", ccn="A"), row(3, "highway", "conveyance", **trip)) == []
    assert edges(row(1, "highway", "conveyance", **trip), row(2, "highway", "cargo", outcome="rejected", ccn="A")) == []


def test_the_order_is_that_of_the_verdicts() -> None:
    """Under a delayed channel what came first can be judged last."""
    cargo, trip = row(1, "highway", "cargo", ccn="A"), row(2, "highway", "conveyance", crn="T", ccn="A")
    cargo["judged"], trip["judged"] = 2, 1
    assert edges(cargo, trip) == [("E1", 2, 1)]


def test_free_choices_are_no_violations() -> None:
    """DOMAIN N1 to N3, and no order between cargo and conveyance in air and marine."""
    rows = [
        row(1, "air", "release", transaction="R", ccn="A"),
        row(2, "air", "house_bill", house_bill="H", previous_ccn="A"),
        row(3, "air", "close", previous_ccn="A", house_bill="H"),
        row(4, "air", "conveyance", crn="V", ccn="A"),
        row(5, "air", "cargo", ccn="A"),
    ]
    assert edges(*rows) == []


def test_a_change_captured_ahead_of_its_original_is_found() -> None:
    """A change goes after the original of the same document."""
    assert edges(row(1, "rail", "cargo", "change", ccn="A"), row(2, "rail", "cargo", ccn="A")) == [("NOF", 1, 2)]
