"""Why a message stands where it stands, in sentences that name the rule; total: every message has an answer (I7b).

Must not decide anything: it asks the same functions that the fold asks.
"""

from typing import NamedTuple

from lane.gate import hold, holding
from lane.grants import gate
from lane.order import blocker
from lane.state import LaneState, Message


class Reason(NamedTuple):
    """One reason: the rule or edge, and a sentence for a person."""

    rule: str
    sentence: str


CHAIN_COUNT_MAX = 20
"""Longest chain of predecessors told in one answer: a person asks on from there."""


def why(state: LaneState, message: Message, *, at_ms: int) -> list[Reason]:
    """The reasons, nearest first; for a held message the whole chain of what it waits for."""
    reasons = _by_state(state, message, at_ms=at_ms)
    reasons += [Reason("note", note) for note in message.notes]
    if message.needs_person:
        reasons.append(Reason("person", message.needs_person))
    return reasons


def _by_state(state: LaneState, message: Message, *, at_ms: int) -> list[Reason]:
    match message.state:
        case "held":
            return _held(state, message, at_ms=at_ms)
        case "granted":
            return [Reason("R40", f"granted at position {message.grant}; it is on its way to CBSA")]
        case "transmitted":
            return [Reason("R50", "CBSA's transport took it; CBSA's verdict is awaited")]
        case "unknown":
            return [
                Reason(
                    "R51",
                    f"it is not known whether CBSA took it ({message.remark}); a status query settles it, never a blind resend",
                )
            ]
        case "captured":
            return [Reason("R52", "CBSA captured it" + (f": {message.remark}" if message.remark else ""))]
        case "rejected":
            corrected = (
                f"; corrected by {message.corrected_by.key}" if message.corrected_by else "; publish a message that corrects it"
            )
            return [Reason("R55", (message.remark or "CBSA rejected it") + corrected)]
        case "parked":
            corrected = f"; corrected by {message.corrected_by.key}" if message.corrected_by else ""
            return [Reason(message.code or "R57", f"parked, it waits for a person: {message.remark}{corrected}")]
        case "withdrawn" | "replaced":
            return [Reason("R15", message.remark)]
        case "filed":
            return [Reason("R34", message.remark)]


def _held(state: LaneState, message: Message, *, at_ms: int) -> list[Reason]:
    """What a held message waits for: its channel, then the chain of predecessors, each with its own reason.

    The chain ends where it leaves the asker's own tenant (I10).
    """
    reasons = []
    shut = hold(state, message, at_ms=at_ms) or gate(state, state.channel(message.channel), message, at_ms=at_ms)
    if shut is not None:
        reasons.append(Reason(shut.rule, shut.sentence))
    here: Message | None = message
    seen: set[int] = set()
    while here is not None and here.position not in seen and len(seen) < CHAIN_COUNT_MAX:
        seen.add(here.position)
        found = blocker(state, here, at_ms=at_ms)
        if found is None:
            break
        reasons.append(Reason(found.rule, found.told_to(message)))
        ahead = found.message
        here = ahead if ahead is not None and ahead.state == "held" and ahead.tenant == message.tenant else None
    if message.remark:
        reasons.append(Reason("last", message.remark))
    return reasons or [Reason("R30", "nothing stands in its way: it goes with the next grant")]


def is_to_file(state: LaneState, message: Message, *, at_ms: int) -> bool:
    """R34: a portal message that a clerk may file now, for the fold would grant it."""
    delivery = state.policy.channels[message.channel].delivery
    return (
        delivery == "person"
        and message.state == "held"
        and hold(state, message, at_ms=at_ms) is None
        and blocker(state, message, at_ms=at_ms) is None
    )


def channel_is_shut(state: LaneState, channel: str, *, at_ms: int) -> bool:
    """Whether a notice holds the channel for somebody at that time."""
    return any(True for _ in holding(state, channel, at_ms=at_ms))
