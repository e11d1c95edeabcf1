"""What leaves the fold after the horizon: R58; must not know clocks, nor who writes the fact.

A finished message leaves with its key and its capture, each judged for itself; the document goes when nobody speaks of it any
more. What kept a message is looked at again a day later, so that each fact costs what it names and nothing else.
"""

from collections.abc import Iterator
from typing import Final

from lane.state import ASIDE, FINISHED, NEVER, Document, Finding, LaneState, Message
from schemas.facts import MEMBERS_COUNT_MAX, HorizonMoved

DAY_MS: Final = 86_400_000
"""The horizon moves in whole days, so that it is rarely written."""


def horizon_due(state: LaneState, *, at_ms: int) -> HorizonMoved | None:
    """The next fact that lets something leave, or None: at most MEMBERS_COUNT_MAX messages, the first to finish first."""
    before_ms = (at_ms - state.policy.horizon_ms) // DAY_MS * DAY_MS
    members: dict[int, None] = {}
    for kept_ms, number in state.kept:
        if kept_ms >= before_ms or len(members) == MEMBERS_COUNT_MAX:
            break
        members[number] = None
    for number in state.finished:
        message = state.messages.get(number)
        if message is not None and is_finished(message):
            if message.since_ms >= before_ms or len(members) == MEMBERS_COUNT_MAX:
                break
            members[number] = None
    return HorizonMoved(at_ms=at_ms, before_ms=before_ms, messages=tuple(members)) if members else None


def move_horizon(state: LaneState, fact: HorizonMoved) -> tuple[Finding, ...]:
    """R58: let the named messages leave, but for those that something unfinished leans on; void before its time."""
    if fact.before_ms > fact.at_ms - state.policy.horizon_ms:
        return (Finding("R6", "the horizon is not there yet", void=True),)
    findings = []
    kept = []
    for number in fact.messages:
        message = state.messages.get(number)
        if message is None:
            findings.append(Finding("R58", "there is no such message in this lane", number, void=True))
            continue
        reason = _stays(state, message, before_ms=fact.before_ms)
        if reason:
            findings.append(Finding("R58", reason, number, void=True))
            kept.append(message)
        else:
            _leave(state, message)
    _pass_over(state, frozenset(fact.messages))
    state.kept.extend((fact.before_ms, message.position) for message in kept if is_finished(message))
    while state.verdicts:
        inbound, verdict = next(iter(state.verdicts.items()))
        if verdict.at_ms >= fact.before_ms:
            break
        del state.verdicts[inbound]
        state.forgotten = inbound
    return tuple(findings)


def is_finished(message: Message) -> bool:
    """Whether nothing more is expected of a message: captured, filed, taken back, or corrected by another one."""
    return message.state in FINISHED or (message.state in ASIDE and message.corrected_by is not None)


def _stays(state: LaneState, message: Message, *, before_ms: int) -> str:
    """Why a message may not leave yet, or nothing."""
    if not is_finished(message) or message.needs_person or state.in_flight(message):
        return f"it is {message.state} and not finished"
    if message.since_ms >= before_ms:
        return "it finished after that day"
    if message.corrected_by is not None and not is_finished(message.corrected_by):
        return f"{message.corrected_by.key} corrects it and is not finished"
    if message.corrects is not None:
        return f"it corrects {message.corrects.key}, which is still here"
    doc = message.doc
    if doc.filings and doc.filings[-1] is message:
        if len(doc.filings) > 1:
            return "what was on file before it is still here"
        if _is_busy(doc) or any(_is_busy(other) for other in doc.namers):
            return "something unfinished may lean on what it put on file"
    return ""


def _is_busy(doc: Document) -> bool:
    """Whether a message of the document is not finished."""
    return bool(doc.queue) or any(message.corrected_by is None for message in doc.aside)


def _leave(state: LaneState, message: Message) -> None:
    doc = message.doc
    state.messages.remove(message.position)
    state.free_key(message)
    state.counts[message.state] -= 1
    if state.census is not None:
        state.census.left(message)
    if message.corrected_by is not None:
        message.corrected_by.corrects = None
    channel = state.channel(message.form.channel)
    if channel.canary is message:
        channel.canary = None
    if doc.raw_filings is message:  # mostly
        doc.raw_filings = ()
    else:
        doc.filings = tuple(each for each in doc.filings if each is not message)
    if not doc.filings:
        doc.on_file, doc.filed_at = False, NEVER
    if doc.more is not None:
        doc.aside = tuple(each for each in doc.aside if each is not message)
        doc.gone = tuple(each for each in doc.gone if each is not message)
    if message.raw_named is None:
        state.forget_hearsay(message)
    named = dict.fromkeys((*message.listed, *message.met))
    for each in _spoken(doc) if named else ():
        for other in (*each.listed, *each.met):
            named.pop(other, None)
    for other in named:
        other.named_no_more_by(doc)
    for other in dict.fromkeys((*named, doc)):  # a document may name itself
        if not (other.namers or other.queue or other.filings or other.aside or other.gone):
            state.forget_document(other)


def _spoken(doc: Document) -> Iterator[Message]:
    """All messages of a document that are still in the fold."""
    yield from doc.queue
    yield from doc.aside
    yield from doc.filings
    yield from doc.gone


def _pass_over(state: LaneState, named: frozenset[int]) -> None:
    """Take from the head of both queues what was judged, and what has no business there any more."""
    while state.kept and (state.kept[0][1] in named or state.kept[0][1] not in state.messages):
        state.kept.popleft()
    while state.finished:
        message = state.messages.get(state.finished[0])
        if message is not None and is_finished(message) and message.position not in named:
            break
        state.finished.popleft()
