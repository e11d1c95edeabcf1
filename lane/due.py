"""What time brings: which facts may be written and which questions asked at a moment; must not read a clock.

What ends by time ends by a fact that is void before its time (R6); the runner asks here what is due and writes it.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final, TypeAlias

from lane.acts import grace_due_ms
from lane.gate import holding, outbound_bad
from lane.horizon import horizon_due
from lane.state import LaneState, Message
from schemas.facts import MEMBERS_COUNT_MAX, GraceElapsed, HorizonMoved, SettlingElapsed, WindowEnded

DueFact: TypeAlias = WindowEnded | GraceElapsed | SettlingElapsed | HorizonMoved

QUESTIONS_COUNT_MAX: Final = 64
"""Most status queries asked at once: a question costs CBSA as much as a message."""


def due_facts(state: LaneState, *, at_ms: int) -> list[DueFact]:
    """The facts that are not void any more at that time: ended windows, graces, settling, the horizon (R58)."""
    facts: list[DueFact] = []
    for outage in state.outages.values():
        ends = {scope.ends_ms for _, scope in outage.active() if scope.scheduled and scope.ends_ms is not None}
        facts.extend(WindowEnded(at_ms=at_ms, incident=outage.incident, ends_ms=end) for end in sorted(ends) if end <= at_ms)
    graces = tuple(islice(_graces(state, at_ms), MEMBERS_COUNT_MAX))
    if graces:
        facts.append(GraceElapsed(at_ms=at_ms, messages=graces))
    settled = tuple(islice(_settled(state, at_ms), MEMBERS_COUNT_MAX))
    if settled:
        facts.append(SettlingElapsed(at_ms=at_ms, messages=settled))
    horizon = horizon_due(state, at_ms=at_ms)
    if horizon is not None:
        facts.append(horizon)
    return facts


def questions(state: LaneState, *, at_ms: int, not_now: Collection[int] = ()) -> list[Message]:
    """The messages whose fate may be asked of CBSA now: unknown ones (R51), unanswered ones (R54), a silent canary (R32).

    None of a channel that a notice holds: nothing may be asked there. `not_now`: positions that the asker leaves out, for it has
    asked them and waits. Both are left out before the count, or the first ones would keep all others from being asked about.
    A canary that waits long is due as one, and as a message without an answer: it is named once.
    """
    shut = _shut(state, at_ms)
    due: dict[int, Message] = {}
    for each in _questions(state, at_ms):
        if len(due) == QUESTIONS_COUNT_MAX:
            break
        if each.channel not in shut and each.position not in not_now:
            due[each.position] = each
    return list(due.values())


def _shut(state: LaneState, at_ms: int) -> set[str]:
    """The channels that a notice holds for somebody at that time."""
    return {name for name in state.policy.channels if any(True for _ in holding(state, name, at_ms=at_ms))}


def _questions(state: LaneState, at_ms: int) -> Iterator[Message]:
    for message in state.unsure.values():
        if not message.needs_person:
            yield message
    for channel in state.channels.values():
        canary = channel.canary
        waits = canary is not None and canary.state == "transmitted" and canary.answered_ms is None
        if canary is not None and waits and at_ms >= (canary.transmitted_ms or 0) + state.policy.canary_wait_ms:
            yield canary
    if not state.awaiting:
        return
    bad = {name for name in state.policy.channels if outbound_bad(state, name)}
    for message in state.awaiting.values():
        sent_ms = message.transmitted_ms or 0
        if at_ms < sent_ms + state.policy.answer_due_ms:
            break
        again_ms = sent_ms if message.answered_ms is None else message.answered_ms + state.policy.answer_again_ms
        if at_ms >= again_ms and message.channel not in bad and not message.needs_person:
            yield message


def _graces(state: LaneState, at_ms: int) -> Iterator[int]:
    """Messages that have waited long enough for a missing predecessor, on channels that are open (R22)."""
    if not state.missing:
        return
    shut = _shut(state, at_ms)
    for message in state.missing.values():
        if message.channel not in shut and grace_due_ms(state, message) <= at_ms:
            yield message.position


def _settled(state: LaneState, at_ms: int) -> Iterator[int]:
    """Transmitted messages that have settled while answers on their channel are missing or late (R23)."""
    settling_ms = state.policy.settling_ms
    if settling_ms is None or not state.awaiting:
        return
    bad = {name for name in state.policy.channels if outbound_bad(state, name)}
    for message in state.awaiting.values():
        if at_ms < (message.transmitted_ms or 0) + settling_ms:
            break
        if message.channel in bad and not message.settled and message.function != "cancel":
            yield message.position
