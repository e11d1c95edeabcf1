"""How a message changes its state and who is looked at again because of it; must not know facts.

`move` is the only writer of `Message.state`. `touch` looks again at whatever a document's change may have set free.
"""

from collections.abc import Callable
from heapq import heappush
from typing import Final

from lane import pace
from lane.order import ARRIVALS, blocker, earliest_ms, front
from lane.state import ASIDE, FINISHED, PENDING, Blocker, Channel, Document, LaneState, Message, State

REACHING: Final = frozenset({"close", "conveyance_arrival", "cargo_arrival"})
"""Kinds of document that wait for others which they do not name themselves, over what others name."""

TAKEN_BACK: Final = frozenset({"withdrawn", "replaced"})
"""States in which a message speaks for its document no more, whatever was on file."""

RELATED_COUNT_MAX: Final = 10_000
"""Most documents looked at when a relation ends: a vessel's cargo and its house bills; beyond is a mistake."""

CYCLE_COUNT_MAX: Final = 1_000
"""Longest chain of waiting messages that is followed in search of a cycle."""


def move(state: LaneState, message: Message, to: State, *, at_ms: int, remark: str = "", code: str = "") -> None:
    """Bring a message into another state and keep every count and index of the lane true. Whoever calls it touches then."""
    was, position = message.state, message.position
    channel = state.channel(message.form.channel)
    if was == "held":
        _leave_held(state, channel, message)
    else:
        index = _index(state, was)
        if index is not None and position in index:
            del index[position]
    if channel.drain is not None and to in ("transmitted", "captured", "rejected"):
        pace.heard_of(channel.drain, at_ms - message.since_ms, was=was, to=to)
    if message.more is not None or remark or code:
        _remark(state, message, remark, code)
    counts = state.counts
    counts[was] -= 1
    counts[to] += 1
    message.state = to
    if state.census is not None:
        state.census.moved(message, was)
    message.since_ms = at_ms
    _keep_queue(message, was, to)
    if to == "held":
        channel.held += 1
        message.held_at = state.position
    elif to in FINISHED:
        state.finished.append(position)
    else:
        index = _index(state, to)
        if index is not None and (index is not state.troubled or message.corrected_by is None):
            index[position] = message


def _leave_held(state: LaneState, channel: Channel, message: Message) -> None:
    set_unblocked(state, message, False)
    channel.held -= 1
    if in_drain(channel, message):
        assert channel.drain is not None
        channel.drain.left -= 1
        pace.gone(state, channel, channel.drain)
    if message.blocker is not None:
        message.blocker, message.watches = None, False
        state.missing.pop(message.position, None)


def _index(state: LaneState, which: State) -> dict[int, Message] | None:
    """The index of the messages in that state, where there is one."""
    match which:
        case "transmitted":
            return state.awaiting
        case "unknown":
            return state.unsure
        case "parked" | "rejected":
            return state.troubled
        case _:
            return None


def _remark(state: LaneState, message: Message, remark: str, code: str) -> None:
    """Forget what was said of the message in its last state, and say this."""
    more = message.grown()
    more.remark, more.code = remark, code
    if more.needs_person:
        ask_person(state, message, "")
    if more.settled:
        more.settled = False
        del state.settled[message.position]
        message.doc.settled = any(each.settled for each in message.doc.queue)


def ask_person(state: LaneState, message: Message, reason: str) -> None:
    """Say that only a person can bring this message on, and why; an empty reason takes it back."""
    message.needs_person = reason
    if reason:
        state.asked[message.position] = message
    else:
        state.asked.pop(message.position, None)


def enter(state: LaneState, message: Message) -> None:
    """Take a new message into the lane, held, at its place in its document's queue."""
    state.messages.add(message.position, message)
    state.counts["held"] += 1
    if state.census is not None:
        state.census.entered(message)
    state.channel(message.form.channel).held += 1
    _enqueue(message)


def touch(state: LaneState, doc: Document) -> None:
    """Look again at what waited for this document: what watches it, and the front of its own queue."""
    waiting, doc.watchers = doc.watchers, ()
    for message in waiting:
        if message.watching is doc:
            message.watches = False
            refresh(state, message)
    alone = doc.raw_queue
    if type(alone) is Message:  # mostly
        refresh(state, alone)
    elif alone:
        for message in list(front(doc)):
            refresh(state, message)


def disturb(state: LaneState, doc: Document) -> None:
    """Look again at what was free to go and names this document, now that there is something new to wait for."""
    if doc.raw_namers == ():
        return
    for other in doc.namers:
        for message in other.queue:
            if message.unblocked:
                refresh(state, message)


def let_go(state: LaneState, message: Message) -> None:
    """Look again at what waited because of what this message named: it speaks for its document no more.

    Closes and arrivals wait for documents that they reach over others, so a relation's end is no change of what they wait for.
    """
    touch(state, message.doc)
    ahead = [message.doc, *(doc for doc in message.met if doc.kind == "conveyance")]
    seen = set(ahead)
    while ahead and len(seen) < RELATED_COUNT_MAX:
        for other in ahead.pop().namers:
            if other not in seen:
                seen.add(other)
                if other.kind == "shipment":
                    ahead.append(other)
                for each in other.queue if other.kind in REACHING else ():
                    refresh(state, each)


def refresh(state: LaneState, message: Message) -> None:
    """Judge a held message anew: ready, waiting for one thing, a second original (R14) or part of a cycle (R24).

    Its own times are judged by the fact's own clock, as an intent's are: by the running maximum one writer whose clock was ahead
    would call it ready, and every intent would be void until the others' clocks have come so far.

    What waits in its own document's queue watches nothing, and what goes before it is not kept: its turn comes at the front,
    where `touch` looks. Watching, all 1,200 messages of a document were judged anew at each of its captures: a drain took 42 s
    instead of 22.
    """
    if message.state != "held":
        return
    was, watched, found = message.blocker, message.watching, blocker(state, message, at_ms=state.at_ms)
    if was is not None:
        message.blocker = None
        state.missing.pop(message.position, None)
    if found is None:
        set_unblocked(state, message, True)
        message.watches = False
        push_ready(state, message)
        return
    ahead = found.kind == "queue" and found.message is not None and found.message.place < message.place
    message.blocker = found.by_nobody() if ahead else found
    set_unblocked(state, message, False)
    if found.kind == "second":
        park(state, message, found)
        return
    waits_in_turn = found.message is not None and found.message.blocker is not None
    ring = _chain_to_itself(message, lambda each: _remembered(state, each)) if waits_in_turn else []
    cycle = _chain_to_itself(message, lambda each: blocker(state, each, at_ms=state.at_ms)) if ring else []
    if cycle:
        chain = " -> ".join(each.told_to(message) for each in cycle)
        park(state, message, found.by("R24"), remark=f"a cycle, each waits for the next: {chain}")
        return
    topic = found.topic
    message.watches = found.kind != "queue"
    if message.watches and watched is not topic:
        topic.watched_by(message)
    if found.kind == "missing":
        state.missing[message.position] = message
    if found.kind == "time" and (was is None or was.kind != "time"):
        heappush(state.timed, (earliest_ms(message), message))
    for each in _out_of_date(state, ring):
        refresh(state, each)


def _out_of_date(state: LaneState, ring: list[Message]) -> list[Message]:
    """Of messages that seem to wait for each other in a ring and do not: those that wait for something else by now.

    Nothing else would look at them again. An opening takes a grace back (R22), and whoever had passed on to the next thing to
    wait for has to wait for what is missing once more; where that next thing waits for it in turn, both would wait for ever.
    """
    at_ms = state.at_ms
    return [each for each in ring[1:-1] if _topic(_remembered(state, each)) is not _topic(blocker(state, each, at_ms=at_ms))]


def _topic(found: Blocker | None) -> Message | Document | None:
    """What is waited for: a message, or a document that no message brings yet."""
    return None if found is None else found.message or found.topic


def park(state: LaneState, message: Message, why: Blocker, *, remark: str = "") -> None:
    """Set a message aside for a person; what depends on it stays held (R55), unless what is on file speaks for its document."""
    move(state, message, "parked", at_ms=state.now_ms, remark=remark or why.sentence, code=why.rule)
    let_go(state, message)


def push_ready(state: LaneState, message: Message) -> None:
    """Put a message among the ready ones of its channel, once (R24).

    One that left its drain while it stood among the drain's in this process is put among the others too.
    """
    channel = state.channel(message.form.channel)
    ready = channel.drained if in_drain(channel, message) else channel.ready
    if message.heap != ready.number:
        ready.push(message)


def in_drain(channel: Channel, message: Message) -> bool:
    """Whether a held message belongs to the channel's drain: held at the opening and ever since (R61)."""
    return channel.drain is not None and message.held_at < channel.drain.position


def set_unblocked(state: LaneState, message: Message, unblocked: bool) -> None:
    """Count the messages whose turn has come, arrivals apart (the canary asks, R32)."""
    if message.unblocked == unblocked:
        return
    message.unblocked = unblocked
    form = message.form
    channel = state.channel(form.channel)
    step = 1 if unblocked else -1
    channel.unblocked += step
    if unblocked and channel.unblocked == 1 and channel.drain is not None:
        pace.note(state, channel, channel.drain)
    if form.kind not in ARRIVALS:
        which = (form.tenant, in_drain(channel, message))
        left = channel.others.get(which, 0) + step
        if left:
            channel.others[which] = left
        else:
            del channel.others[which]
    elif unblocked:
        channel.arrivals[message.position] = message
    else:
        del channel.arrivals[message.position]


def _keep_queue(message: Message, was: State, to: State) -> None:
    doc = message.doc
    if was in PENDING:
        if to in PENDING:
            return
        if doc.raw_queue is message:
            doc.raw_queue = ()
        else:
            doc.queue = without(doc.queue, message)
    elif to in PENDING:
        _enqueue(message)
    if was in ASIDE and to not in ASIDE:
        doc.aside = without(doc.aside, message)
    elif was not in ASIDE and to in ASIDE:
        doc.aside = (*doc.aside, message)
    if was in TAKEN_BACK and to not in TAKEN_BACK:
        doc.gone = without(doc.gone, message)
    elif was not in TAKEN_BACK and to in TAKEN_BACK:
        doc.gone = (*doc.gone, message)


def without(messages: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    """The messages but for that one, which is among them."""
    at = messages.index(message)
    return messages[:at] + messages[at + 1 :]


def _enqueue(message: Message) -> None:
    queue = message.doc.queue
    if not queue:
        message.doc.raw_queue = message
        return
    at = len(queue)
    while at and queue[at - 1].place > message.place:
        at -= 1
    message.doc.queue = (*queue[:at], message, *queue[at:])


def _remembered(state: LaneState, message: Message) -> Blocker | None:
    """What a message waits for as far as it is known; in its own queue, what goes before it now."""
    known = message.blocker
    return blocker(state, message, at_ms=state.at_ms) if known is not None and known.kind == "queue" else known


def _chain_to_itself(message: Message, waits_for: Callable[[Message], Blocker | None]) -> list[Message]:
    """From a message over what each waits for back to itself: a cycle, or nothing.

    What the others wait for is remembered and may be out of date, so a ring found by that is walked again, each judged anew.
    """
    chain = [message]
    here = message
    while len(chain) < CYCLE_COUNT_MAX:
        found = waits_for(here)
        if found is None or found.message is None or found.message.state != "held":
            return []
        here = found.message
        chain.append(here)
        if here is message:
            return chain
    return []
