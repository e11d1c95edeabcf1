"""Who a message is and where it stands: R10 to R15; must not know outages, leases or the wire."""

import re
from typing import Final, TypeAlias
from urllib.parse import quote, unquote

from lane.document import name_of
from lane.late import successors
from lane.moves import ask_person, disturb, enter, let_go, move, park, refresh, touch
from lane.order import EDGELESS, would_be_on_file
from lane.record import differs, record_of
from lane.state import ASIDE, Blocker, Document, Finding, LaneState, Message, Verdict, document_kind
from schemas.facts import MessageReceived, MessageRefused

NO_TIMES: Final = (None, None, None, None)

FIRST_REPEAT: Final = 2
"""The first submission that is numbered in a wire key: the first of all has none (R11)."""

SUBMISSION_WORDS: Final = re.compile("[1-9][0-9]{0,8}", re.ASCII)
"""A submission's number in a wire key: bounded, for it is read from what CBSA's end says."""

DocumentName: TypeAlias = tuple[str, str]
"""A document's own-key namespace and its key."""

SELF_SUFFICIENT: Final = frozenset({"cargo", "house_bill", "release"})
"""Kinds that wait for nothing of what they are only related to, as long as nothing but their own word is known of it."""

ALONE_COUNT_MAX: Final = 8
"""Most documents that a message names by their packed names alone: they are looked through one by one."""

PLAIN: Final = re.compile("[A-Za-z0-9._:-]*", re.ASCII)
"""Texts in which nothing is percent-encoded."""

PERCENT: Final = {"/": "%2F", "~": "%7E", "%": "%25"}


def wire_key(mode: str, message: Message) -> str:
    """The key that all attempts of one submission share (R11): lane/tenant/key, `~2` and so on for later submissions."""
    base = f"{mode}/{_escaped(message.tenant)}/{_escaped(message.key)}"
    return base if message.submission == 1 else f"{base}~{message.submission}"


def parse_wire_key(text: str) -> tuple[str, str, str, int] | None:
    """Read a wire key back: mode, tenant, key, submission; None when it is not one that `wire_key` writes."""
    parts = text.split("/")
    if len(parts) != 3:
        return None
    mode, tenant, last = parts
    base, mark, number = last.partition("~")
    if mark and not (SUBMISSION_WORDS.fullmatch(number) and int(number) >= FIRST_REPEAT):
        return None
    names = unquote(tenant), unquote(base)
    if (_escaped(names[0]), _escaped(names[1])) != (tenant, base):
        return None
    return mode, *names, int(number or 1)


def receive(state: LaneState, position: int, fact: MessageReceived) -> tuple[Finding, ...]:
    """Take a readable record into the lane: once for each tenant and key, everything else is a duplicate or a conflict (R10)."""
    known = state.by_publisher(fact.tenant, fact.key)
    if known is not None:
        return _again(state, fact, known)
    message = _message(state, position, fact)
    state.take_key(message)
    if message.doc.is_new() and message.form.kind in EDGELESS and not (fact.corrects or fact.replaces):
        enter(state, message)
        refresh(state, message)
        return ()
    remark, left = _take_place(state, message, fact)
    late = _late_predecessor(state, message)
    enter(state, message)
    disturb(state, message.doc)
    if remark:
        park(state, message, Blocker("R15", "second", message.doc), remark=remark)
    elif message.function == "original" and would_be_on_file(message.doc, message):
        park(state, message, Blocker("R14", "second", message.doc))
    else:
        touch(state, message.doc)
        if message.blocker is None and not message.unblocked:
            refresh(state, message)
    if left is not None:
        let_go(state, left)
    if message.state == "parked":
        state.verdicts[fact.source.position] = Verdict("parked", message.remark, fact.at_ms)
        return (*late, Finding(message.code, message.remark, position))
    return late


def refuse(state: LaneState, fact: MessageRefused) -> tuple[Finding, ...]:
    """Count a record that can't be taken; it takes no key (R2, R10)."""
    state.refused += 1
    state.verdicts[fact.source.position] = Verdict("refused", fact.reason, fact.at_ms)
    return (Finding("R2", f"refused ({fact.code}): {fact.reason}"),)


def _again(state: LaneState, fact: MessageReceived, known: Message) -> tuple[Finding, ...]:
    what = differs(known.record, _record(fact))
    if not what:
        told = f"the same message stands at position {known.position}; it is not sent twice"
        verdict = Verdict("duplicate", told, fact.at_ms)
    else:
        verdict = Verdict("conflict", f"key {fact.key} was published before with other {what}; use a new key", fact.at_ms)
    state.verdicts[fact.source.position] = verdict
    return (Finding("R10", f"{verdict.verdict}: {verdict.reason}", known.position, void=True),)


def _record(fact: MessageReceived) -> bytes:
    return record_of(
        inbound=fact.source.position, received_ms=fact.received_ms, size_bytes=fact.size_bytes, digest=fact.sha256,
        attributes_digest=fact.attributes_sha256,
    )  # fmt: skip


def _message(state: LaneState, position: int, fact: MessageReceived) -> Message:
    form = state.form((fact.tenant, fact.kind, fact.function, fact.channel, fact.inland))
    doc = state.document(document_kind(fact.kind), fact.document)
    message = Message(position=position, key=fact.key, form=form, doc=doc, record=_record(fact))
    if fact.kind == "house_bill":
        doc.house_bill = True
    _name(state, message, fact)
    message.since_ms = fact.at_ms
    if (fact.eta_ms, fact.not_before_ms, fact.not_after_ms, fact.occurred_ms) != NO_TIMES:
        _take_times(message, fact)
    return message


def _take_times(message: Message, fact: MessageReceived) -> None:
    deadlines = [moment for moment in (fact.not_after_ms, fact.eta_ms) if moment is not None]
    message.deadline_ms = min(deadlines, default=None)
    message.not_before_ms = fact.not_before_ms
    message.not_after_ms = fact.not_after_ms
    message.occurred_ms = fact.occurred_ms


def _name(state: LaneState, message: Message, fact: MessageReceived) -> None:
    """Let a message name its documents: those of which nobody has spoken yet by their names alone, where its kind allows it."""
    listed_names, related_names = _named(fact)
    if not (listed_names or related_names):
        return
    if not listed_names and message.form.kind in SELF_SUFFICIENT and _is_alone(state, related_names):
        state.hear(message, [name_of(kind, key) for kind, key in related_names])
        return
    listed = tuple([state.document(kind, key) for kind, key in listed_names])
    related = tuple([state.document(kind, key) for kind, key in related_names])
    for other in listed:
        other.named_by(message.doc)
    for other in related:
        other.named_by(message.doc)
    message.name(listed, related)


def _is_alone(state: LaneState, names: tuple[DocumentName, ...]) -> bool:
    """Whether nobody has spoken of any of these documents yet, and they are few and each another."""
    for kind, key in names:
        if not state.is_unheard(kind, key):
            return False
    return len(names) <= ALONE_COUNT_MAX and len(set(names)) == len(names)


def _named(fact: MessageReceived) -> tuple[tuple[DocumentName, ...], tuple[DocumentName, ...]]:
    """The group that the message lists itself, and what it is related to otherwise (INTERFACES section 2)."""
    keys = fact.keys

    def shipments(*roles: str) -> tuple[DocumentName, ...]:
        return tuple([("shipment", key) for role in roles for key in keys.get(role, ())])

    def others(role: str) -> tuple[DocumentName, ...]:
        kind = "conveyance" if role == "crn" else role
        return tuple([(kind, key) for key in keys.get(role, ())])

    match fact.kind:
        case "cargo":
            return (), others("crn")
        case "conveyance":
            return shipments("ccn"), ()
        case "house_bill":
            return (), shipments("previous_ccn", "primary_ccn")
        case "close":
            return shipments("house_bill"), shipments("previous_ccn", "primary_ccn")
        case "release":
            return others("image"), shipments("ccn")
        case "conveyance_arrival":
            return shipments("ccn"), others("crn")
        case "cargo_arrival":
            return (), shipments("ccn")
        case _:
            return (), ()


def _take_place(state: LaneState, message: Message, fact: MessageReceived) -> tuple[str, Message | None]:
    """Give a replacement or a correction the named message's place (R13).

    Returns the sentence why not, or the message that leaves its place.
    """
    name = fact.corrects or fact.replaces
    if name is None:
        return "", None
    target = state.by_publisher(fact.tenant, name)
    if target is None:
        return f"it names {name}, which was never published here; publish without it or name the right key", None
    if fact.corrects is not None:
        if target.state not in ASIDE or target.corrected_by is not None:
            return f"it corrects {name}, which is {target.state}; only a rejected or parked message can be corrected", None
        message.place = target.place
        message.corrects, target.corrected_by = target, message
        ask_person(state, target, "")
        state.troubled.pop(target.position, None)
        state.finished.append(target.position)
        return "", target
    if target.doc is not message.doc:
        other = f"it replaces {name}, which is another document ({target.doc})"
        return f"{other}; withdraw that one and publish this without replaces", None
    if target.touched or target.state not in ("held", "parked"):
        return f"it replaces {name}, which is {target.state} and may be at CBSA already; publish a change instead", None
    message.place = target.place
    move(state, target, "replaced", at_ms=state.now_ms, remark=f"replaced by {message.key}")
    return "", target


def _late_predecessor(state: LaneState, message: Message) -> tuple[Finding, ...]:
    """R22: what came too late to be waited for is said, not passed over in silence."""
    if message.form.function != "original" or message.doc.on_file:
        return ()
    sentences = [
        f"late predecessor: {_told(doc, message)} went before this message was received ({edge})"
        for edge, doc in successors(state, message)
    ]
    if not sentences:
        return ()
    message.notes += tuple(sentences)
    return tuple(Finding("R22", sentence, message.position) for sentence in sentences)


def _told(doc: Document, asker: Message) -> str:
    """What a document on file is called in a sentence for a message's tenant, who may not know another party's keys (I10)."""
    own = doc in asker.listed or doc in asker.met or doc.filings[-1].tenant == asker.tenant
    return str(doc) if own else f"another party's {doc.kind}"


def _escaped(text: str) -> str:
    """Percent-encode what would end a part, what is not ASCII, and spaces at the ends, which no header carries."""
    if PLAIN.fullmatch(text):  # nearly every key: four times a message on its way, 1 us instead of 14
        return text
    inner = text.strip(" ")
    edge = "%20" * (len(text) - len(text.lstrip(" "))), "%20" * (len(text) - len(text.rstrip(" ")))
    out = "".join(PERCENT.get(char, char) for char in inner)
    return edge[0] + "".join(char if char.isascii() else quote(char) for char in out) + (edge[1] if inner else "")
