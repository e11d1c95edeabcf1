"""What went before a predecessor that was received too late to be waited for (R22); must not decide anything."""

from collections.abc import Container, Iterator
from typing import Final

from lane.state import Document, LaneState, Message

REACHED_COUNT_MAX: Final = 5_000
"""Most documents looked at for one late message: a vessel's cargo; beyond, the finding may name fewer."""


def successors(state: LaneState, message: Message) -> Iterator[tuple[str, Document]]:
    """Documents on file that a hard edge puts after this message's document, each with the edge."""
    found = {id(doc): (edge, doc) for edge, doc in _successors(message, state.edges) if edge in state.edges and doc.on_file}
    yield from found.values()


def _successors(message: Message, edges: Container[str]) -> Iterator[tuple[str, Document]]:
    """Those that an edge of the lane may put after it, on file or not."""
    doc = message.doc
    match message.kind:
        case "cargo" | "house_bill":
            group = {"conveyance": "E1", "close": "E3", "conveyance_arrival": "E4"}
            for each in doc.namers:
                if each.on_file and each.kind in group and doc in each.listed():
                    yield group[each.kind], each
            if message.kind == "house_bill":
                yield from (("E8", each) for each in doc.namers if each.kind == "close" and doc in _previous(each))
            if "E4" in edges:
                yield from (("E4", each) for each in _arrivals_of(_carriers(doc)))
        case "conveyance":
            aboard = [*message.listed, *(each for each in doc.namers if each.kind == "shipment" and each.names(doc))]
            yield from (("E2", each) for each in _closes_under(aboard))
            if "E6" in edges:
                yield from (("E6", each) for each in _arrivals_of(iter((doc,))))
        case "release":
            for ccn in message.related if "E5" in edges else ():
                listing = (each for each in ccn.namers if each.kind == "conveyance_arrival" and ccn in each.listed())
                yield from (("E5", each) for each in (*listing, *_arrivals_of(_carriers(ccn))))
        case "image":
            yield from (("E10", each) for each in doc.namers if each.kind == "release" and each.names(doc))
        case _:
            pass


def _carriers(shipment: Document) -> Iterator[Document]:
    """The conveyances that carry a shipment."""
    yield from (each for each in shipment.namers if each.kind == "conveyance" and each.names(shipment))
    yield from (each for each in shipment.related() if each.kind == "conveyance")


def _arrivals_of(conveyances: Iterator[Document]) -> Iterator[Document]:
    for conveyance in conveyances:
        yield from (each for each in conveyance.namers if each.kind == "conveyance_arrival" and each.names(conveyance))


def _closes_under(shipments: list[Document]) -> Iterator[Document]:
    """The closes that lead to one of these shipments, over any number of house bills."""
    seen = {id(doc) for doc in shipments}
    ahead = list(shipments)
    while ahead and len(seen) < REACHED_COUNT_MAX:
        here = ahead.pop()
        for each in here.namers:
            if each.kind == "close" and here in each.related():
                yield each
            elif each.kind == "shipment" and id(each) not in seen and here in each.related():
                seen.add(id(each))
                ahead.append(each)


def _previous(close: Document) -> Iterator[Document]:
    return (message.related[0] for message in close.speakers() if message.related)
