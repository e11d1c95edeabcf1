"""The planner: which held messages to name in the next intent; must not decide: the fold judges each again (R40).

It takes from the ready heaps, which are hints, and asks the gate, which is the rule. What it took and could not use goes back.
"""

from collections.abc import Container, Iterator
from itertools import islice
from typing import Final

from lane.gate import held_tenants
from lane.grants import TOKEN, gate, rate_per_s, tokens_milli
from lane.moves import push_ready
from lane.ready import Ready, is_ready, taken
from lane.state import Channel, LaneState, Message

SCAN_COUNT_MAX: Final = 5_000
"""Most ready messages looked at for one plan: bounds a turn when many are unfit (arrivals as canaries); those of tenants for whom
the channel is held are not looked at."""

PROBES_COUNT_MAX: Final = 3
"""So often the first in turn is tried where one goes alone, so that a dead link makes no other message doubtful. Beyond, it may
be the message that is to blame, and the one that was tried the fewest times goes."""

CAPPED: Final = "R42"
"""The rule of caps and rate: a message refused by it alone is sendable as R43 means it."""


def plan(state: LaneState, *, at_ms: int, outstanding: dict[str, int]) -> list[Message]:
    """The next messages to intend, in the order in which they should go; at most the policy's batch.

    `outstanding`: how many are intended and not read back yet, per channel; they count against the caps here.
    """
    chosen: list[Message] = []
    for channel in state.channels.values():
        held_for = held_tenants(state, channel.name, at_ms=at_ms)
        if held_for is None:
            continue
        room = min(
            _room(state, channel, at_ms=at_ms, outstanding=outstanding.get(channel.name, 0)), state.policy.batch_max - len(chosen)
        )
        if room > 0:
            chosen.extend(_take(state, channel, held_for, at_ms=at_ms, count=room))
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

    The order does not matter here; SCAN_COUNT_MAX are looked at, none of a tenant for whom the channel is held. What has gone
    meanwhile is dropped first: a standby takes nothing out, and behind thousands that another process sent it would see nothing
    to do.
    """
    for channel in state.channels.values():
        channel.ready.drop()
        channel.drained.drop()
        held_for = held_tenants(state, channel.name, at_ms=at_ms)
        if held_for is None:
            continue
        for message in islice(_ready(channel, held_for), SCAN_COUNT_MAX):
            if _may_go(state, channel, message, at_ms=at_ms):
                return True
    return bool(state.timed) and state.timed[0][0] <= at_ms


def _ready(channel: Channel, held_for: Container[str]) -> Iterator[Message]:
    """What stands ready, but for some tenants' messages. A function, for mypyc makes a list of what stands in brackets."""
    for each in _open_to_go(channel):
        yield from each.of_others(held_for)


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


def _take(state: LaneState, channel: Channel, held_for: frozenset[str], *, at_ms: int, count: int) -> list[Message]:
    """Take up to `count` messages that the gate lets through; what it keeps back returns to where it stood.

    Where no canary tells the channel's messages apart, the gate is asked once: it took a third of a drain. Those of the tenants
    for whom the channel is held are not looked at.

    Where one goes alone, as a probe (R33) or a canary (R32), and the first in turn was tried PROBES_COUNT_MAX times, the one that
    was tried the fewest times goes: one that never gets through would keep all others back for ever (I7c).
    """
    alone = channel.canary_needed or channel.suspect_since_ms is not None
    chosen: list[Message] = []
    kept: list[Message] = []
    for message in islice(taken(_open_to_go(channel), but=held_for), SCAN_COUNT_MAX):
        if is_ready(message):
            alike = chosen and not channel.canary_needed
            refused = None if alike else gate(state, channel, message, at_ms=at_ms)
            if refused is None or refused.rule == CAPPED:
                chosen.append(message)
            else:
                kept.append(message)
                if not _is_about_the_message(refused.rule):
                    break
        if len(chosen) >= count and (not alone or chosen[0].attempts < PROBES_COUNT_MAX or not chosen[-1].attempts):
            break
    if len(chosen) > count:
        tried = sorted(chosen, key=_tried)
        chosen = tried[:count]
        kept.extend(tried[count:])
    for message in reversed(kept):
        push_ready(state, message)
    return chosen


def _tried(message: Message) -> int:
    """How often the submission was put on the wire."""
    return message.attempts


def _open_to_go(channel: Channel) -> list[Ready]:
    """Where the channel's ready messages stand; those of a drain only while its replay runs (R61)."""
    running = channel.drain is not None and channel.drain.status == "running"
    return [channel.drained, channel.ready] if running else [channel.ready]


def _is_about_the_message(rule: str) -> bool:
    """Whether another message of the channel may still go: a notice for one tenant (R30, R31) or an unfit canary (R32)."""
    return rule in ("R30", "R31", "R32")


def _may_go(state: LaneState, channel: Channel, message: Message, *, at_ms: int) -> bool:
    """Whether a ready message passes the gate, caps aside."""
    if not is_ready(message):
        return False
    refused = gate(state, channel, message, at_ms=at_ms)
    return refused is None or refused.rule == CAPPED
