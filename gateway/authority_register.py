"""The simulated authority's register: judges each message against the documents on file; must not know channels, HTTP or clocks.

It states CBSA's order rules (DOMAIN 1.2) a second time, apart from the lane's: a check of the lane that used the lane would
check nothing. A document is *on file* when its latest captured message is not a cancel.

Every reject is labelled. `confirmed`: a source says that CBSA *rejects* it: E1 and E11 on the highway [M5], NOF [M15], Y55 [M16].
`assumed`: all else, the edges of the plan's own table among them, for the plan states an order and not what happens to who breaks
it (DOMAIN section 8, question 3).

What an authority can know. Named edges (a trip's CCNs, a close's house bills, an arrival's CRN) are judged by what the message
lists. Unnamed ones follow from relations, and a predecessor that never came to the authority is unknown to it. So at the level
`known` (the default) an unnamed edge is broken only by a document that the authority has reason to expect:

    E2  close: the chain previous CCN -> primary CCN ends at a cargo on file, and
        highway, rail: some conveyance that lists it came in, but none that lists it is on file;
        air, marine: that cargo names a CRN, and no conveyance of that CRN is on file
    E4  arrival without a list of CCNs: a cargo that names its CRN came in and never got on file
    E5  arrival: a release for one of its cargos came in and never got on file
    E8  close: its previous CCN is a house bill that came in, or must be one (another primary CCN is named), and isn't on file

`strict` rejects also where the predecessor may never come: E2 for every close whose primary cargo is on file without a
conveyance, E5 for every arrival of a cargo that no release on file names. `off` does not judge that edge.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.authority_documents import DocumentRef, TakenMessage, document_ref, first_named, named

Level: TypeAlias = Literal["off", "known", "strict"]
Label: TypeAlias = Literal["confirmed", "assumed"]
Outcome: TypeAlias = Literal["captured", "rejected", "duplicate"]

EDGES: Final = ("E1", "E2", "E3", "E4", "E5", "E6", "E8", "E11", "Y55", "NOF")
"""What can be switched. E7 and E10 are soft and E9 depends on the date, so nothing is refused for them."""

MISSING_PREDECESSOR_CODES: Final = frozenset({"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "NOF"})
"""Codes of rejects that end when the document that was missing comes on file (R55). E11 and Y55 end when another lets go."""

CHAIN_STEPS_MAX: Final = 16
"""Longest walk from a previous CCN to its primary: consolidations nest two or three deep, and a cycle must end."""

_ROAD: Final = ("highway", "rail")
_NOT_HIGHWAY: Final = ("rail", "air", "marine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the authority decided; `label` is None unless rejected."""

    outcome: Outcome
    code: str
    text: str
    label: Label | None = None


@dataclass(slots=True)
class _Document:
    """What is known of one document; `latest` is its latest captured message, None while none was captured."""

    ref: DocumentRef
    seen: TakenMessage
    latest: TakenMessage | None = None

    @property
    def on_file(self) -> bool:
        return self.latest is not None and self.latest.function != "cancel"


class _Naming:
    """Who names a key: documents in the order they came, whatever their verdict. Entries are never removed."""

    def __init__(self) -> None:
        self._refs: dict[str, dict[str, DocumentRef | dict[DocumentRef, None]]] = {}

    def add(self, mode: str, key: str, ref: DocumentRef) -> None:
        refs = self._refs.setdefault(mode, {})
        known = refs.setdefault(key, ref)  # nearly every key has one: a table for each took 400 bytes more
        if isinstance(known, dict):
            known[ref] = None
        elif known != ref:
            refs[key] = {known: None, ref: None}

    def of(self, mode: str, key: str) -> Iterable[DocumentRef]:
        known = self._refs.get(mode, {}).get(key, {})
        return known if isinstance(known, dict) else (known,)


class _Index:
    """The relations that predecessors are looked up by."""

    def __init__(self) -> None:
        self.conveyances_by_ccn = _Naming()
        self.cargos_by_crn = _Naming()
        self.releases_by_ccn = _Naming()
        self.closes_by_house_bill = _Naming()
        self._by_kind = {
            "conveyance": (self.conveyances_by_ccn, "ccn"),
            "cargo": (self.cargos_by_crn, "crn"),
            "release": (self.releases_by_ccn, "ccn"),
            "close": (self.closes_by_house_bill, "house_bill"),
        }

    def add(self, message: TakenMessage, ref: DocumentRef) -> None:
        if message.kind in self._by_kind:
            naming, name = self._by_kind[message.kind]
            for key in named(message.keys, name):
                naming.add(message.mode, key, ref)


class Register:
    """The documents on file and the verdicts they lead to. Messages are judged one after the other, in the order given."""

    def __init__(self, levels: Mapping[str, Level] | None = None) -> None:
        """Take the level of each edge of EDGES; `known` unless told. Raises ValueError for an edge that isn't there."""
        unknown = set(levels or ()) - set(EDGES)
        if unknown:
            raise ValueError(f"There is no edge {sorted(unknown)}; the register knows {', '.join(EDGES)}.")
        self._levels: dict[str, Level] = {edge: (levels or {}).get(edge, "known") for edge in EDGES}
        self._documents: dict[DocumentRef, _Document] = {}
        self._index = _Index()

    def judge(self, message: TakenMessage) -> Verdict:
        """Return the verdict on the next message and remember it: a captured one changes what is on file."""
        ref = message.document
        document = self._documents.get(ref)
        if document is None:
            document = self._documents[ref] = _Document(ref, message)
        self._index.add(message, ref)
        document.seen = message
        verdict = self._verdict(message, document)
        if verdict.outcome == "captured":
            document.latest = message
        return verdict

    def is_on_file(self, ref: DocumentRef) -> bool:
        """Return whether the document's latest captured message is not a cancel."""
        document = self._documents.get(ref)
        return document is not None and document.on_file

    def _verdict(self, message: TakenMessage, document: _Document) -> Verdict:
        if message.function == "original":
            if document.on_file and document.latest is not None:
                text = f"{message.kind} {message.own} is on file, filed with key {document.latest.wire_key}"
                return Verdict(outcome="duplicate", code="DUP", text=text)
        elif not document.on_file and self._levels["NOF"] != "off":
            return _rejected("NOF", "confirmed", f"{message.kind} {message.own} not on file, nothing to {message.function}")
        if message.function != "cancel":
            for code, label, text in self._broken(message):
                if self._levels[code] != "off":
                    return _rejected(code, label, text)
        return _captured(message.kind, message.function)

    def _broken(self, message: TakenMessage) -> Iterator[tuple[str, Label, str]]:
        match message.kind:
            case "conveyance":
                yield from self._broken_by_conveyance(message)
            case "close":
                yield from self._broken_by_close(message)
            case "conveyance_arrival":
                yield from self._broken_by_arrival(message)
            case _:
                return

    def _broken_by_conveyance(self, trip: TakenMessage) -> Iterator[tuple[str, Label, str]]:
        label: Label = "confirmed" if trip.mode == "highway" else "assumed"
        if trip.mode in _ROAD:
            for ccn in named(trip.keys, "ccn"):
                if not self.is_on_file((trip.mode, "ccn", ccn)):
                    yield "E1", label, f"shipment not on file: trip {trip.own} names CCN {ccn}"
        for ccn in named(trip.keys, "ccn"):
            for other in self._holders(self._index.conveyances_by_ccn, trip, "ccn", ccn):
                yield "E11", label, f"CCN {ccn} is on trip {other.own}, which has to let go of it before trip {trip.own}"

    def _broken_by_close(self, close: TakenMessage) -> Iterator[tuple[str, Label, str]]:
        mode = close.mode
        for house_bill in named(close.keys, "house_bill"):
            if not self.is_on_file((mode, "ccn", house_bill)):
                yield "E3", "assumed", f"house bill not on file: close {close.own} names {house_bill}"
            for other in self._holders(self._index.closes_by_house_bill, close, "house_bill", house_bill):
                yield (
                    "Y55",
                    "confirmed",
                    f"house bill {house_bill} is in close {other.own} already, which has to be cancelled first",
                )
        primary = first_named(close.keys, "primary_ccn")
        parent = self._documents.get((mode, "ccn", close.own))
        parent_is_house_bill = parent.seen.kind == "house_bill" if parent else primary is not None and primary != close.own
        if parent_is_house_bill and not (parent and parent.on_file):
            yield "E8", "assumed", f"parent house bill not on file: close {close.own} lies under it"
        yield from self._missing_conveyance(close)

    def _missing_conveyance(self, close: TakenMessage) -> Iterator[tuple[str, Label, str]]:
        """E2: see the module's docstring for what is expected when."""
        cargo = self._primary_cargo(close)
        if cargo is None or cargo.latest is None:
            return
        ccn = cargo.ref[2]
        if close.mode in _ROAD:
            seen = self._index.conveyances_by_ccn.of(close.mode, ccn)
            carried = any(self._names_now(ref, "ccn", ccn) for ref in seen)
            expected = bool(seen) or self._levels["E2"] == "strict"
        else:
            crns = named(cargo.latest.keys, "crn")
            carried = all(self.is_on_file((close.mode, "conveyance", crn)) for crn in crns) and bool(crns)
            expected = bool(crns) or self._levels["E2"] == "strict"
        if expected and not carried:
            yield (
                "E2",
                "assumed",
                f"conveyance not on file: close {close.own} belongs to cargo {ccn}, which no trip on file carries",
            )

    def _broken_by_arrival(self, arrival: TakenMessage) -> Iterator[tuple[str, Label, str]]:
        mode, crn = arrival.mode, arrival.own
        if mode not in _NOT_HIGHWAY:
            return
        if not self.is_on_file((mode, "conveyance", crn)):
            yield "E6", "assumed", f"conveyance not on file: arrival names CRN {crn}"
        ccns = self._cargos_of(arrival)
        for ccn in ccns:
            if not self.is_on_file((mode, "ccn", ccn)):
                yield "E4", "assumed", f"cargo not on file: arrival of {crn} names CCN {ccn}"
        for ccn in ccns:
            releases = [self._documents[ref] for ref in self._index.releases_by_ccn.of(mode, ccn)]
            if any(release.latest is None for release in releases):
                yield "E5", "assumed", f"release not on file: one for CCN {ccn} came in and was not captured"
            elif self._levels["E5"] == "strict" and not any(release.on_file for release in releases):
                yield "E5", "assumed", f"release not on file: none names CCN {ccn} of arrival {crn}"

    def _cargos_of(self, arrival: TakenMessage) -> list[str]:
        """Return the CCNs of an arrival: its own list where it has one, else what the CRN relates and may be expected."""
        listed = list(named(arrival.keys, "ccn"))
        if listed:
            return listed
        conveyance = self._documents.get((arrival.mode, "conveyance", arrival.own))
        if arrival.mode == "rail":
            return list(named(conveyance.latest.keys, "ccn")) if conveyance and conveyance.latest else []
        cargos = [self._documents[ref] for ref in self._index.cargos_by_crn.of(arrival.mode, arrival.own)]
        # A cargo that was on file and was cancelled, or changed to another CRN, is no part of this arrival any more.
        return [
            cargo.ref[2]
            for cargo in cargos
            if cargo.latest is None or (cargo.on_file and arrival.own in named(cargo.latest.keys, "crn"))
        ]

    def _primary_cargo(self, close: TakenMessage) -> _Document | None:
        """Walk from the close to its primary cargo; None when the chain leaves what is on file."""
        ccn = first_named(close.keys, "primary_ccn") or close.own
        for _ in range(CHAIN_STEPS_MAX):
            document = self._documents.get(document_ref(close.mode, "cargo", ccn))
            if document is None or not document.on_file or document.latest is None:
                return None
            if document.latest.kind == "cargo":
                return document
            parent = first_named(document.latest.keys, "primary_ccn") or first_named(document.latest.keys, "previous_ccn")
            if parent is None:
                return None
            ccn = parent
        return None

    def _holders(self, index: _Naming, message: TakenMessage, name: str, key: str) -> Iterator[TakenMessage]:
        """Yield the latest messages of other documents on file that name this key now."""
        for ref in index.of(message.mode, key):
            latest = self._documents[ref].latest
            if ref != message.document and latest is not None and self._names_now(ref, name, key):
                yield latest

    def _names_now(self, ref: DocumentRef, name: str, key: str) -> bool:
        document = self._documents[ref]
        return document.on_file and document.latest is not None and key in named(document.latest.keys, name)


@functools.cache  # as many as kinds and functions: each message keeps one of them
def _captured(kind: str, function: str) -> Verdict:
    return Verdict(outcome="captured", code="OK", text=f"{kind} {function} captured")


def _rejected(code: str, label: Label, text: str) -> Verdict:
    return Verdict(outcome="rejected", code=code, text=f"{label}: {text}", label=label)
