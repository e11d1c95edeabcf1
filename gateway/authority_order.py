"""Finds, after the fact, what was captured in the wrong order (I3b); must not know the register, the lane or how it is kept.

It looks at a whole history with full knowledge of all relations, so it also sees what nobody could know at the time: a trip
that the carrier sent an hour after the close. Whether the sender could have known is the caller's to decide, from the seqs.

A pair (edge, before, after): the document of `after` must be captured before the message `before`, by a hard edge of DOMAIN 1.2,
and was first captured later. "First captured" is the first captured original: that a document was cancelled and filed again
later makes no violation of what was captured in between. Predecessors that never were captured make no pair. E11 and Y55 (one
trip or close has to let go first) leave no trace in a history of captures; the register refuses them as they come.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypedDict

from gateway.authority_documents import DocumentRef, document_ref, first_named, named, own_key_of
from schemas.messages import OWN_KEY

CHAIN_STEPS_MAX: Final = 16
"""Longest walk from a previous CCN to its primary; a cycle must end."""


class HistoryRow(TypedDict):
    """One row of `GET /v1/history`. `judged` counts verdicts: under a delayed channel it rises in another order than `seq`."""

    seq: int
    idempotency_key: str
    sha256: str
    tenant: str
    mode: str
    kind: str
    channel: str
    function: str
    keys: Mapping[str, Sequence[str]]
    outcome: str | None
    code: str | None
    label: str | None
    text: str | None
    judged: int | None
    at: str


class OrderViolation(TypedDict):
    """`before` and `after` are history seqs: `before` was captured first, and by `edge` should have come after `after`."""

    edge: str
    before: int
    after: int


@dataclass(slots=True)
class _Filed:
    """A document as captured: its first original and all captured messages, in the order of capture."""

    ref: DocumentRef
    kind: str
    first: HistoryRow | None = None
    rows: list[HistoryRow] = field(default_factory=list)

    def ever_named(self, name: str) -> set[str]:
        return {key for row in self.rows for key in named(row["keys"], name)}

    def names_at(self, name: str, key: str, order: int) -> bool:
        """Return whether the document was on file just before `order`, and named this key."""
        earlier = [row for row in self.rows if _order(row) < order]
        return bool(earlier) and earlier[-1]["function"] != "cancel" and key in named(earlier[-1]["keys"], name)


@dataclass(slots=True)
class _Relations:
    """All captured documents, and who ever named a key, by (mode, key)."""

    filed: dict[DocumentRef, _Filed] = field(default_factory=dict)
    conveyances_by_ccn: dict[tuple[str, str], list[_Filed]] = field(default_factory=dict)
    cargos_by_crn: dict[tuple[str, str], list[_Filed]] = field(default_factory=dict)
    releases_by_ccn: dict[tuple[str, str], list[_Filed]] = field(default_factory=dict)

    def first(self, mode: str, kind: str, key: str) -> HistoryRow | None:
        filed = self.filed.get(document_ref(mode, kind, key))
        return filed.first if filed else None


def order_violations(history: Iterable[HistoryRow]) -> list[OrderViolation]:
    """Return every pair captured in the wrong order, by the seqs of the earlier capture and then of the later one."""
    captured = sorted((row for row in history if row["outcome"] == "captured"), key=_order)
    relations = _relations(captured)
    found: set[tuple[int, int, str]] = set()
    for row in captured:
        for edge, predecessor in _predecessors(row, relations):
            if predecessor is not None and _order(predecessor) > _order(row):
                found.add((row["seq"], predecessor["seq"], edge))
    return [OrderViolation(edge=edge, before=before, after=after) for before, after, edge in sorted(found)]


def _order(row: HistoryRow) -> int:
    judged = row.get("judged")
    return row["seq"] if judged is None else judged


def _own(row: HistoryRow) -> str:
    assert row["kind"] in OWN_KEY, row
    return own_key_of(row["kind"], row["keys"], row["idempotency_key"])


def _relations(captured: Sequence[HistoryRow]) -> _Relations:
    relations = _Relations()
    for row in captured:
        ref = document_ref(row["mode"], row["kind"], _own(row))
        filed = relations.filed.setdefault(ref, _Filed(ref, row["kind"]))
        filed.rows.append(row)
        if row["function"] == "original" and filed.first is None:
            filed.first, filed.kind = row, row["kind"]
    for filed in relations.filed.values():
        index, name = {
            "conveyance": (relations.conveyances_by_ccn, "ccn"),
            "cargo": (relations.cargos_by_crn, "crn"),
            "release": (relations.releases_by_ccn, "ccn"),
        }.get(filed.kind, (None, ""))
        if index is not None:
            for key in sorted(filed.ever_named(name)):
                index.setdefault((filed.ref[0], key), []).append(filed)
    return relations


def _predecessors(row: HistoryRow, relations: _Relations) -> Iterator[tuple[str, HistoryRow | None]]:
    """Yield (edge, first captured original) of every document that this message had to come after."""
    mode, kind, own = row["mode"], row["kind"], _own(row)
    if row["function"] != "original":
        yield "NOF", relations.first(mode, kind, own)
    if row["function"] == "cancel":
        return
    match kind:
        case "conveyance" if mode in ("highway", "rail"):
            for ccn in named(row["keys"], "ccn"):
                yield "E1", relations.first(mode, "cargo", ccn)
        case "close":
            for house_bill in named(row["keys"], "house_bill"):
                yield "E3", relations.first(mode, "house_bill", house_bill)
            parent = relations.filed.get(document_ref(mode, "house_bill", own))
            if parent is not None and parent.kind == "house_bill":
                yield "E8", parent.first
            for conveyance in _conveyances_of(row, relations):
                yield "E2", conveyance
        case "conveyance_arrival" if mode != "highway":
            yield "E6", relations.first(mode, "conveyance", own)
            for ccn in _cargos_of(row, relations):
                yield "E4", relations.first(mode, "cargo", ccn)
                for release in relations.releases_by_ccn.get((mode, ccn), ()):
                    yield "E5", release.first
        case _:
            return


def _cargos_of(arrival: HistoryRow, relations: _Relations) -> Sequence[str]:
    """Return the arrival's CCNs: its own list where it has one, else what its CRN relates."""
    mode, crn = arrival["mode"], _own(arrival)
    listed = named(arrival["keys"], "ccn")
    if listed:
        return listed
    if mode == "rail":
        conveyance = relations.filed.get(document_ref(mode, "conveyance", crn))
        return sorted(conveyance.ever_named("ccn")) if conveyance else []
    return [cargo.ref[2] for cargo in relations.cargos_by_crn.get((mode, crn), ())]


def _conveyances_of(close: HistoryRow, relations: _Relations) -> Iterator[HistoryRow | None]:
    """Yield the originals of the conveyances that the close had to wait for.

    Highway and rail: none when a trip on file carried the primary cargo at that moment, for a cargo moves to another trip
    after its close; else the first trip filed after the close. Air, marine: the conveyance of each CRN that the cargo ever named.
    """
    mode = close["mode"]
    cargo = _primary_cargo(close, relations)
    if cargo is None:
        return
    ccn = cargo.ref[2]
    if mode in ("highway", "rail"):
        trips = relations.conveyances_by_ccn.get((mode, ccn), [])
        if not any(trip.names_at("ccn", ccn, _order(close)) for trip in trips):
            later = (trip.first for trip in trips if trip.first is not None and _order(trip.first) > _order(close))
            yield min(later, key=_order, default=None)
    else:
        for crn in sorted(cargo.ever_named("crn")):
            yield relations.first(mode, "conveyance", crn)


def _primary_cargo(close: HistoryRow, relations: _Relations) -> _Filed | None:
    ccn = first_named(close["keys"], "primary_ccn") or _own(close)
    for _ in range(CHAIN_STEPS_MAX):
        filed = relations.filed.get(document_ref(close["mode"], "cargo", ccn))
        if filed is None or filed.kind == "cargo":
            return filed
        keys = filed.rows[0]["keys"]
        parent = first_named(keys, "primary_ccn") or first_named(keys, "previous_ccn")
        if parent is None:
            return None
        ccn = parent
    return None
