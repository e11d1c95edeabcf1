"""What went before a predecessor that was received too late to be waited for (R22); must not decide anything."""

from collections.abc import Container
from typing import Final

from lane.state import Document, LaneState, Message

REACHED_COUNT_MAX: Final = 5_000
"""Most documents looked at for one late message: a vessel's cargo; beyond, the finding may name fewer."""


def successors(state: LaneState, message: Message) -> list[tuple[str, Document]]:
    """Documents on file that a hard edge puts after this message's document, each with the edge."""
    found = {id(doc): (edge, doc) for edge, doc in _successors(message, state.edges) if edge in state.edges and doc.on_file}
    return list(found.values())


def _successors(message: Message, edges: Container[str]) -> list[tuple[str, Document]]:
    """Those that an edge of the lane may put after it, on file or not."""
    doc = message.doc
    match message.form.kind:
        case "cargo" | "house_bill":
            return _after_shipment(message, edges)
        case "conveyance":
            aboard = [*message.listed, *[each for each in doc.namers if each.kind == "shipment" and each.names(doc)]]
            found = [("E2", each) for each in _closes_under(aboard)]
            if "E6" in edges:
                found.extend([("E6", each) for each in _arrivals_of([doc])])
            return found
        case "release":
            found = []
            for ccn in message.related if "E5" in edges else ():
                found.extend([("E5", each) for each in ccn.namers if each.kind == "conveyance_arrival" and ccn in each.listed()])
                found.extend([("E5", each) for each in _arrivals_of(_carriers(ccn))])
            return found
        case "image":
            return [("E10", each) for each in doc.namers if each.kind == "release" and each.names(doc)]
        case _:
            return []


def _after_shipment(message: Message, edges: Container[str]) -> list[tuple[str, Document]]:
    """What goes after a cargo or a house bill."""
    doc = message.doc
    group = {"conveyance": "E1", "close": "E3", "conveyance_arrival": "E4"}
    found = [(group[each.kind], each) for each in doc.namers if each.on_file and each.kind in group and doc in each.listed()]
    if message.form.kind == "house_bill":
        found.extend([("E8", each) for each in doc.namers if each.kind == "close" and doc in _previous(each)])
    if "E4" in edges:
        found.extend([("E4", each) for each in _arrivals_of(_carriers(doc))])
    return found


def _carriers(shipment: Document) -> list[Document]:
    """The conveyances that carry a shipment."""
    naming = [each for each in shipment.namers if each.kind == "conveyance" and each.names(shipment)]
    return [*naming, *[each for each in shipment.related() if each.kind == "conveyance"]]


def _arrivals_of(conveyances: list[Document]) -> list[Document]:
    return [
        each
        for conveyance in conveyances
        for each in conveyance.namers
        if each.kind == "conveyance_arrival" and each.names(conveyance)
    ]


def _closes_under(shipments: list[Document]) -> list[Document]:
    """The closes that lead to one of these shipments, over any number of house bills."""
    found = []
    seen = set(shipments)
    ahead = shipments
    while ahead and len(seen) < REACHED_COUNT_MAX:
        here = ahead.pop()
        for each in here.namers:
            if each.kind == "close" and here in each.related():
                found.append(each)
            elif each.kind == "shipment" and each not in seen and here in each.related():
                seen.add(each)
                ahead.append(each)
    return found


def _previous(close: Document) -> list[Document]:
    return [message.related[0] for message in close.speakers() if message.related]
