"""Whether a message's turn has come: R13, R14 and R20 to R24; must not know outages, leases or the wire.

`blocker` is the one place that decides order. It returns the first thing in the way, or None. A blocked message is looked at
again only when that thing's document changes, so a long list of predecessors costs one look a change, not one a member.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from lane.more import More
from lane.policy import SLOWS
from lane.state import Blocker, Document, LaneState, Message
from schemas.facts import Scope

ARRIVALS: Final = frozenset({"conveyance_arrival", "cargo_arrival"})

EDGELESS: Final = frozenset({"cargo", "image", "export_declaration", "accounting", "other"})
"""Kinds that wait for no other document."""

CHAIN_COUNT_MAX: Final = 1_000
"""Most documents that a chain of previous CCNs is followed over: consolidation has a handful of tiers; beyond is a mistake."""


def blocker(state: LaneState, message: Message, *, at_ms: int) -> Blocker | None:
    """The first thing that stands in a held message's way at that time, or None when its turn has come.

    Most messages have no times of their own, were never granted and are alone in their document's queue: nothing but an edge can
    stand in an original's way then.
    """
    doc = message.doc
    if message.more is None and doc.raw_queue is message and message.form.function == "original":
        if doc.on_file:
            return Blocker("R14", "second", doc)
        return None if message.form.kind in EDGELESS else _edge_blocker(state, message)
    return judged(state, message, at_ms=at_ms)


def judged(state: LaneState, message: Message, *, at_ms: int) -> Blocker | None:
    """The same for any message, with nothing taken for granted."""
    if at_ms < earliest_ms(message):
        return Blocker("times", "time", message.doc)
    if state.in_flight(message):
        return Blocker("R41", "flight", message.doc)
    found = _queue_blocker(state, message) or _own_document_blocker(state, message)
    if found is not None:
        return found
    if message.function == "cancel":
        return _naming_blocker(state, message)
    return _edge_blocker(state, message)


def wanted(state: LaneState, message: Message) -> bool:
    """Whether a message that CBSA rejected for want of a predecessor finds one that is not on file here (R55)."""
    was, message.strict = message.strict, True
    found = _edge_blocker(state, message) or (_own_document_blocker(state, message) if message.function == "change" else None)
    message.strict = was
    return found is not None


def earliest_ms(message: Message) -> int:
    """Before this it may not go: its own not_before; an arrival never before the goods are there (contravention C274)."""
    more = message.more
    if not isinstance(more, More):
        return 0
    happened_ms = more.occurred_ms if message.form.kind in ARRIVALS else None
    return max(more.not_before_ms or 0, happened_ms or 0)


def front(doc: Document) -> Iterator[Message]:
    """The held messages of a document whose turn in its queue may have come: its first, and an original that passes changes."""
    first = True
    for message in doc.queue:
        if message.settled:
            continue
        if message.state != "held":
            return
        if first or message.function == "original":
            yield message
        if message.function != "change":
            return
        first = False


def would_be_on_file(doc: Document, before: Message) -> bool:
    """Whether the document is on file once everything that stands before that message in its queue is captured (R14).

    A change is no sign of an original, not even one that is on its way: CBSA may well reject it for want of one. An original
    behind it waits and is judged again at its turn.
    """
    on_file = doc.on_file
    for message in doc.queue:
        if message is before:
            break
        if message.function != "change":
            on_file = message.function == "original"
    return on_file


def counts_as_on_file(state: LaneState, doc: Document, message: Message) -> bool:
    """On file; or transmitted and settled while answers for this channel are missing or late (R23).

    Not for a message that CBSA has rejected for want of it (R55): that asks for the real thing.
    """
    return doc.on_file or (doc.settled and not message.strict and settling_counts(state, message))


def settling_counts(state: LaneState, message: Message) -> bool:
    """Whether *transmitted plus settling time* is enough for this message now (R23)."""
    return state.policy.settling_ms is not None and answers_are_late(state, message)


def missing(message: Message) -> Iterator[Document]:
    """The documents that the message names itself, and its own where it changes one, that are not on file and wait nowhere."""
    named = message.listed if message.function == "original" else (message.doc, *message.listed)
    if message.kind == "conveyance_arrival":
        named = (*message.related, *named)
    return (doc for doc in named if not doc.on_file and not any(each is not message for each in doc.queue))


def answers_are_late(state: LaneState, message: Message) -> bool:
    """Whether a notice says that answers on the message's channel are missing or late."""
    needs = state.policy.channels[message.channel].outbound
    return any(
        scope.component in needs and (not scope.tenants or message.tenant in scope.tenants) for scope in late_scopes(state)
    )


def late_scopes(state: LaneState) -> Iterator[Scope]:
    """The scopes in force by which answers are missing or late."""
    for outage in state.outages.values():
        for _, scope in outage.active():
            bad = scope.direction == "outbound" and scope.effect in SLOWS
            if bad and (not scope.scheduled or (scope.starts_ms or 0) <= state.now_ms):
                yield scope


def _queue_blocker(state: LaneState, message: Message) -> Blocker | None:
    """R13: the document's messages go one after another; an original passes changes that wait for it."""
    doc = message.doc
    if doc.raw_queue is message:
        return None
    for earlier in doc.queue:
        if earlier is message:
            return None
        waits_for_original = earlier.state == "held" and earlier.function == "change" and not doc.on_file
        may_pass = message.function == "original" and waits_for_original and not state.in_flight(earlier)
        if not may_pass and not _has_settled(state, earlier, message):
            return Blocker("R13", "queue", doc, earlier)
    return None


def _own_document_blocker(state: LaneState, message: Message) -> Blocker | None:
    """R14 for originals; a change or cancel goes when its document is on file, or was never seen here and the grace is over."""
    doc = message.doc
    if message.function == "original":
        return Blocker("R14", "second", doc) if doc.on_file else None
    if counts_as_on_file(state, doc, message):
        return None
    original = _original_that_passes(message)
    if original is not None:
        return Blocker("R13", "queue", doc, original)
    return _troubled(doc, "R13") or _missing(state, message, doc)


def _original_that_passes(change: Message) -> Message | None:
    """The original that a waiting change lets go first: the next one behind it, unless a cancel stands between."""
    if change.function == "change":
        for later in change.doc.queue[change.doc.queue.index(change) + 1 :]:
            if later.function != "change":
                return later if later.function == "original" else None
    return None


def _has_settled(state: LaneState, earlier: Message, message: Message) -> bool:
    """Whether an earlier message, transmitted and unanswered, is done with as far as this one is concerned (R23)."""
    return earlier.settled and not message.strict and settling_counts(state, message)


def _naming_blocker(state: LaneState, message: Message) -> Blocker | None:
    """R21: a cancel waits for earlier pending messages that name its document."""
    for other in message.doc.namers:
        for earlier in other.queue:
            names = message.doc in earlier.listed or message.doc in earlier.met
            if names and earlier.place < message.place and not _has_settled(state, earlier, message):
                return Blocker("R21", "naming", other, earlier)
    return None


def _edge_blocker(state: LaneState, message: Message) -> Blocker | None:
    """The first thing that stands in the way by the edges of the plan, named ones first."""
    match message.form.kind:
        case "conveyance":
            return _named(state, message, docs=message.listed, edge="E1") or _same_group(state, message)
        case "close":
            named = _named(state, message, docs=message.listed, edge="E3")
            return named or _close(state, message) or _same_group(state, message)
        case "conveyance_arrival":
            return _arrival(state, message)
        case "cargo_arrival":
            return _cargo_arrival(state, message)
        case "release":
            return _named(state, message, docs=message.listed, edge="E10")
        case "house_bill":
            return _soft(state, message, docs=[doc for doc in message.met if doc.house_bill], edge="E9")
        case _:
            return None


def _named(state: LaneState, message: Message, *, docs: tuple[Document, ...], edge: str) -> Blocker | None:
    """R20 to R22 for documents that the message lists itself: one that was never seen is missing."""
    if edge not in state.edges:
        return None
    soft = not state.edges[edge].hard
    for doc in docs:
        if counts_as_on_file(state, doc, message):
            found = _earlier_pending(state, message, doc=doc, edge=edge)
        else:
            found = _pending(message, doc, edge) or (None if soft else _troubled(doc, edge))
            if found is None and not (soft and doc.aside):
                found = _missing(state, message, doc)
        if found is not None:
            return found
    return None


def _unnamed(state: LaneState, message: Message, *, docs: Iterable[Document], edge: str) -> Blocker | None:
    """R22 for documents that follow from relations: what was received here is waited for, nothing else."""
    if edge not in state.edges:
        return None
    for doc in docs:
        if doc is message.doc:
            continue
        if counts_as_on_file(state, doc, message):
            found = _earlier_pending(state, message, doc=doc, edge=edge)
        else:
            found = _pending(message, doc, edge) or _troubled(doc, edge)
        if found is not None:
            return found
    return None


def _soft(state: LaneState, message: Message, *, docs: Iterable[Document], edge: str) -> Blocker | None:
    """R23: a soft edge waits for what is held or in flight here."""
    if edge not in state.edges:
        return None
    for doc in docs:
        if doc is message.doc or counts_as_on_file(state, doc, message):
            continue
        found = _pending(message, doc, edge)
        if found is not None:
            return found
    return None


def _same_group(state: LaneState, message: Message) -> Blocker | None:
    """E11 and R21: earlier pending trips (closes) that name or let go of a shipment (house bill) that this one names."""
    if "E11" not in state.edges:
        return None
    own = message.doc
    for doc in message.listed:
        if doc.raw_namers is own:  # mostly: nobody else names it
            continue
        for other in doc.namers:
            if other.kind != own.kind or other is own:
                continue
            touches = other.on_file and doc in other.filings[-1].listed
            for earlier in other.queue:
                touches = touches or doc in earlier.listed
                if touches and earlier.place < message.place and not _has_settled(state, earlier, message):
                    return Blocker("E11", "naming", other, earlier)
    return None


def _close(state: LaneState, message: Message) -> Blocker | None:
    """E2 over the chain of CCNs up to the primary one, and E8."""
    shipments = list(_chain(message.related))
    own = message.related[:1]
    return _unnamed(state, message, docs=_conveyances(shipments), edge="E2") or _unnamed(
        state, message, docs=(doc for doc in own if doc.house_bill), edge="E8"
    )


def _chain(start: tuple[Document, ...]) -> Iterator[Document]:
    """The shipments that a CCN leads to, tier by tier, up to the primary one."""
    seen: set[int] = set()
    ahead = list(start)
    while ahead and len(seen) < CHAIN_COUNT_MAX:
        doc = ahead.pop()
        if doc.kind != "shipment" or id(doc) in seen:
            continue
        seen.add(id(doc))
        yield doc
        if doc.house_bill:
            ahead.extend(doc.related())


def _conveyances(shipments: list[Document]) -> Iterator[Document]:
    """The conveyances that carry these shipments: those that list them, and those whose CRN a cargo names."""
    for shipment in shipments:
        yield from (doc for doc in shipment.namers if doc.kind == "conveyance" and doc.names(shipment))
        yield from (doc for doc in shipment.related() if doc.kind == "conveyance")


def _arrival(state: LaneState, message: Message) -> Blocker | None:
    """E4, E5 and E6: the conveyance, all cargo on it and all releases for that cargo."""
    found = _named(state, message, docs=message.related, edge="E6") or _named(state, message, docs=message.listed, edge="E4")
    if found is not None:
        return found
    aboard = dict.fromkeys(message.listed)
    for conveyance in message.related:
        aboard.update(dict.fromkeys(conveyance.listed()))
        aboard.update(dict.fromkeys(doc for doc in conveyance.namers if doc.kind == "shipment" and doc.names(conveyance)))
    releases = (doc for ccn in aboard for doc in ccn.namers if doc.kind == "release" and doc.names(ccn))
    return _unnamed(state, message, docs=aboard, edge="E4") or _unnamed(state, message, docs=releases, edge="E5")


def _cargo_arrival(state: LaneState, message: Message) -> Blocker | None:
    """E7, inland only: the shipment itself and everything that names it or that it names."""
    if not message.inland:
        return None
    for shipment in message.related:
        around = (shipment, *(doc for doc in shipment.namers if doc.names(shipment)), *shipment.related())
        found = _soft(state, message, docs=(doc for doc in around if doc.kind != "cargo_arrival"), edge="E7")
        if found is not None:
            return found
    return None


def _earlier_pending(state: LaneState, message: Message, *, doc: Document, edge: str) -> Blocker | None:
    """R21: earlier pending originals and cancels of a document that is on file are waited for too."""
    for earlier in doc.queue:
        waits = earlier.place < message.place and earlier.function != "change"
        if waits and not _has_settled(state, earlier, message):
            return Blocker(edge, "pending", doc, earlier)
    return None


def _pending(message: Message, doc: Document, edge: str) -> Blocker | None:
    """What would bring a document on file, whenever it came; and an earlier cancel of it (R21)."""
    for each in doc.queue:
        if each.form.function != "cancel" or each.place < message.place:
            return Blocker(edge, "pending", doc, each)
    return None


def _troubled(doc: Document, rule: str) -> Blocker | None:
    """R55: what depends on a rejected or parked message is held until the document comes on file by whatever message."""
    for each in doc.aside:
        if each.function == "original" and each.corrected_by is None:
            return Blocker(rule, "aside", doc, each)
    return None


def _missing(state: LaneState, message: Message, doc: Document) -> Blocker | None:
    """R22: named and never seen. After a reject for want of it (R55) it is waited for without a grace."""
    if message.strict:
        return Blocker("R55", "wanted", doc)
    if state.policy.missing == "send" or message.grace > state.channel(message.channel).opened_position:
        return None
    return Blocker("R22", "missing", doc)
