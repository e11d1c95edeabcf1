"""How a message changes its state and who is looked at again because of it; must not know facts.

`move` is the only writer of `Message.state`. `touch` looks again at whatever a document's change may have set free.
"""

from heapq import heappush
from typing import Final

from lane.order import blocker, front
from lane.state import ASIDE, PENDING, Blocker, Channel, Document, LaneState, Message, State

ARRIVALS: Final = frozenset({"conveyance_arrival", "cargo_arrival"})
NO_DEADLINE: Final = 2**62
"""Sorts after every real deadline."""

CYCLE_COUNT_MAX: Final = 1_000
"""Longest chain of waiting messages that is followed in search of a cycle."""


def move(state: LaneState, message: Message, to: State, *, at_ms: int, remark: str = "", code: str = "") -> None:
    """Bring a message into another state and keep every count and index of the lane true."""
    was = message.state
    channel = state.channel(message.channel)
    if was == "held":
        channel.held -= 1
        set_unblocked(state, message, False)
        message.blocker = None
        state.missing.pop(message.position, None)
    state.awaiting.pop(message.position, None)
    state.unsure.pop(message.position, None)
    state.troubled.pop(message.position, None)
    if message.settled:
        message.settled = False
        message.doc.settled = any(each.settled for each in message.doc.queue)
    state.counts[was] -= 1
    state.counts[to] += 1
    message.state = to
    message.since_ms = at_ms
    message.remark = remark
    message.code = code
    _keep_queue(message, was, to)
    match to:
        case "held":
            channel.held += 1
        case "transmitted":
            state.awaiting[message.position] = message
        case "unknown":
            state.unsure[message.position] = message
        case "parked" | "rejected":
            state.troubled[message.position] = message
        case _:
            pass


def enter(state: LaneState, message: Message) -> None:
    """Take a new message into the lane, held, at its place in its document's queue."""
    state.messages[message.position] = message
    state.counts["held"] += 1
    state.channel(message.channel).held += 1
    _enqueue(message)


def touch(state: LaneState, doc: Document) -> None:
    """Look again at what waited for this document."""
    waiting, doc.watchers = doc.watchers, []
    for message in waiting:
        if message.state == "held" and message.blocker is not None and message.blocker.topic is doc:
            refresh(state, message)
    for message in list(front(doc)):
        refresh(state, message)


def refresh(state: LaneState, message: Message) -> None:
    """Judge a held message anew: ready, waiting for one thing, a second original (R14) or part of a cycle (R24)."""
    if message.state != "held":
        return
    found = blocker(state, message, at_ms=state.now_ms)
    message.blocker = found
    state.missing.pop(message.position, None)
    set_unblocked(state, message, found is None)
    if found is None:
        push_ready(state, message)
        return
    if found.kind == "second":
        park(state, message, found)
        return
    cycle = _cycle(message)
    if cycle:
        park(state, message, found._replace(rule="R24"), remark="a cycle, each waits for the next: " + " -> ".join(cycle))
        return
    if found.topic is not message.doc:
        found.topic.watchers.append(message)
    if found.kind == "missing":
        state.missing[message.position] = message
    if found.kind == "time":
        assert message.not_before_ms is not None
        heappush(state.timed, (message.not_before_ms, message))


def park(state: LaneState, message: Message, why: Blocker, *, remark: str = "") -> None:
    """Set a message aside for a person; what depends on it stays held (R55)."""
    move(state, message, "parked", at_ms=state.now_ms, remark=remark or why.sentence, code=why.rule)
    touch(state, message.doc)


def push_ready(state: LaneState, message: Message) -> None:
    """Put a message into the ready heap of its channel, once: release first, then deadline, then lane order (R24)."""
    if message.queued:
        return
    message.queued = True
    channel = state.channel(message.channel)
    first = 0 if message.kind == "release" else 1
    deadline = NO_DEADLINE if message.deadline_ms is None else message.deadline_ms
    heappush(channel.drained if in_drain(channel, message) else channel.ready, (first, deadline, message))


def in_drain(channel: Channel, message: Message) -> bool:
    """Whether the message belongs to the channel's drain: held at the opening, not granted since (R61)."""
    return channel.drain is not None and max(message.position, message.grant) < channel.drain.position


def set_unblocked(state: LaneState, message: Message, unblocked: bool) -> None:
    """Count the messages whose turn has come, arrivals apart (the canary asks, R32)."""
    if message.unblocked == unblocked:
        return
    message.unblocked = unblocked
    channel = state.channel(message.channel)
    channel.unblocked += 1 if unblocked else -1
    if message.kind in ARRIVALS and unblocked:
        channel.arrivals[message.position] = message
    elif message.kind in ARRIVALS:
        del channel.arrivals[message.position]


def _keep_queue(message: Message, was: State, to: State) -> None:
    doc = message.doc
    if was in PENDING and to not in PENDING:
        doc.queue.remove(message)
    elif was not in PENDING and to in PENDING:
        _enqueue(message)
    if was in ASIDE and to not in ASIDE:
        doc.aside.remove(message)
    elif was not in ASIDE and to in ASIDE:
        doc.aside.append(message)


def _enqueue(message: Message) -> None:
    queue = message.doc.queue
    at = len(queue)
    while at and queue[at - 1].place > message.place:
        at -= 1
    queue.insert(at, message)


def _cycle(message: Message) -> list[str]:
    """The messages of a cycle that this one closes, or nothing."""
    chain = [str(message)]
    here = message.blocker.message if message.blocker else None
    while here is not None and len(chain) < CYCLE_COUNT_MAX:
        chain.append(str(here))
        if here is message:
            return chain
        here = here.blocker.message if here.state == "held" and here.blocker else None
    return []
