"""The planner: which held messages to name in the next intent; must not decide: the fold judges each again (R40).

It takes from the ready heaps, which are hints, and asks the gate, which is the rule. What it took and could not use goes back.
"""

from collections.abc import Iterator
from heapq import heappop
from itertools import islice
from typing import Final

from lane.gate import holding
from lane.grants import TOKEN, gate, rate_per_s, tokens_milli
from lane.moves import push_ready
from lane.state import Channel, LaneState, Message

SCAN_COUNT_MAX: Final = 5_000
"""Most ready messages looked at for one plan: bounds a turn when one tenant's messages may not go and stand in front."""

CAPPED: Final = "R42"
"""The rule of caps and rate: a message refused by it alone is sendable as R43 means it."""


def plan(state: LaneState, *, at_ms: int, outstanding: dict[str, int]) -> list[Message]:
    """The next messages to intend, in the order in which they should go; at most the policy's batch.

    `outstanding`: how many are intended and not read back yet, per channel; they count against the caps here.
    """
    chosen: list[Message] = []
    for channel in state.channels.values():
        if _is_shut(state, channel, at_ms=at_ms):
            continue
        room = min(
            _room(state, channel, at_ms=at_ms, outstanding=outstanding.get(channel.name, 0)), state.policy.batch_max - len(chosen)
        )
        if room > 0:
            chosen.extend(_take(state, channel, at_ms=at_ms, count=room))
    if not chosen and state.timed and state.timed[0][0] <= at_ms:
        return [state.timed[0][1]]
    return chosen


def put_back(state: LaneState, messages: list[Message]) -> None:
    """Return messages whose intent was not written to the ready heaps."""
    for message in messages:
        if message.state == "held" and message.unblocked:
            push_ready(state, message)


def is_sendable(state: LaneState, *, at_ms: int) -> bool:
    """Whether something may be sent now, caps aside: then a holder that writes nothing is silent (R43).

    A ready heap is a list whose order does not matter here; SCAN_COUNT_MAX of it are looked at. What has gone meanwhile is
    dropped first: a standby takes nothing out, and behind thousands that another process sent it would see nothing to do.
    """
    for channel in state.channels.values():
        _drop_gone(channel.ready)
        _drop_gone(channel.drained)
        if _is_shut(state, channel, at_ms=at_ms):
            continue
        if any(_may_go(state, channel, entry[2], at_ms=at_ms) for entry in islice(_ready(channel), SCAN_COUNT_MAX)):
            return True
    return bool(state.timed) and state.timed[0][0] <= at_ms


def _is_shut(state: LaneState, channel: Channel, *, at_ms: int) -> bool:
    """Whether a notice holds the channel for everybody."""
    return any(not scope.tenants for _, scope in holding(state, channel.name, at_ms=at_ms))


def _drop_gone(heap: list[tuple[int, int, Message]]) -> None:
    """Drop from a heap's front what does not stand ready any more: it goes in turn, so that what is gone stood in front."""
    while heap and not _is_ready(heap[0][2]):
        heappop(heap)[2].queued = False


def _is_ready(message: Message) -> bool:
    return message.state == "held" and message.unblocked


def _room(state: LaneState, channel: Channel, *, at_ms: int, outstanding: int) -> int:
    """How many of a channel's messages the caps leave: one when a probe or a canary goes alone."""
    if state.policy.channels[channel.name].delivery == "person" or not (channel.ready or channel.drained):
        return 0
    busy = channel.in_flight + outstanding
    if channel.canary_needed or channel.suspect_since_ms is not None:
        return 0 if busy else 1
    room = state.policy.in_flight_max - busy
    if rate_per_s(state, channel) is not None:
        room = min(room, tokens_milli(state, channel, at_ms=at_ms) // TOKEN - outstanding)
    return room


def _take(state: LaneState, channel: Channel, *, at_ms: int, count: int) -> list[Message]:
    """Pop up to `count` messages that the gate lets through; what it keeps back returns to its heap.

    Where no tenant's outage and no canary tells the channel's messages apart, the gate is asked once: it took a third of a drain.
    """
    alike = not channel.canary_needed and not any(True for _ in holding(state, channel.name, at_ms=at_ms))
    chosen: list[Message] = []
    kept: list[Message] = []
    for _ in range(SCAN_COUNT_MAX):
        heap = _next_heap(channel)
        if heap is None or len(chosen) == count:
            break
        message = heappop(heap)[2]
        message.queued = False
        if not _is_ready(message):
            continue
        refused = None if chosen and alike else gate(state, channel, message, at_ms=at_ms)
        if refused is None or refused.rule == CAPPED:
            chosen.append(message)
            continue
        kept.append(message)
        if not _is_about_the_message(refused.rule):
            break
    for message in kept:
        push_ready(state, message)
    return chosen


def _ready(channel: Channel) -> Iterator[tuple[int, int, Message]]:
    """The channel's ready messages in no order, those of a drain only while its replay runs (R61)."""
    if channel.drain is not None and channel.drain.status == "running":
        yield from channel.drained
    yield from channel.ready


def _next_heap(channel: Channel) -> list[tuple[int, int, Message]] | None:
    """The heap whose head goes first; the drain's only while its replay runs (R61)."""
    drained = channel.drained if channel.drain is not None and channel.drain.status == "running" else []
    if channel.ready and drained:
        return channel.ready if channel.ready[0] < drained[0] else drained
    return channel.ready or drained or None


def _is_about_the_message(rule: str) -> bool:
    """Whether another message of the channel may still go: a tenant's outage (R30, R31) or an unfit canary (R32)."""
    return rule in ("R30", "R31", "R32")


def _may_go(state: LaneState, channel: Channel, message: Message, *, at_ms: int) -> bool:
    """Whether a ready message passes the gate, caps aside."""
    if not _is_ready(message):
        return False
    refused = gate(state, channel, message, at_ms=at_ms)
    return refused is None or refused.rule == CAPPED
