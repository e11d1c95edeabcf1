"""The fold: one table from fact to rule, the only place where a lane's facts take effect; must not know clocks or I/O.

`apply` takes facts in log order. It returns what there is to say of the fact: nothing for a plain effect, findings for the rest;
a finding with `void` set says that the fact, or one member of it, had no effect, and by which rule.
"""

from heapq import heappop
from typing import Final, assert_never

from lane import acts, gate, grants, identity, outcomes, pace
from lane.horizon import move_horizon
from lane.moves import refresh, touch
from lane.order import late_scopes
from lane.policy import Policy
from lane.state import NEVER, RULES_VERSION, Channel, Finding, LaneState
from schemas.facts import (
    AnswersReceived,
    CaptureRevoked,
    ComponentOverridden,
    GraceElapsed,
    HorizonMoved,
    LaneFact,
    LaneReleased,
    LaneTaken,
    MessageFiled,
    MessageReceived,
    MessageRefused,
    MessageSettled,
    MessageWithdrawn,
    OutageDeclared,
    OutageResolved,
    PersonNeeded,
    PolicyAdopted,
    ReplayChanged,
    RulesAdopted,
    SendIntended,
    SendsConcluded,
    SettlingElapsed,
    Source,
    StatusAnswered,
    StillHere,
    WindowEnded,
)

SOURCED: Final = frozenset({
    MessageReceived, MessageRefused, AnswersReceived, OutageDeclared, OutageResolved, ComponentOverridden, PolicyAdopted,
    RulesAdopted,
})  # fmt: skip
"""Facts made from a source record: void unless they continue the chain (R1)."""


class RulesTooOld(Exception):
    """The log has adopted rules that this program does not know (R59): stop and install a newer program."""


def apply(state: LaneState, position: int, fact: LaneFact) -> tuple[Finding, ...]:
    """Let one fact take effect at its position. Raises RulesTooOld; positions must rise."""
    assert position > state.position, f"position {position} after {state.position}: the log was not read in order"
    at_ms = fact.at_ms
    state.position = position
    state.at_ms = at_ms
    if at_ms > state.now_ms:
        state.now_ms = at_ms
    while state.timed and state.timed[0][0] <= at_ms:
        refresh(state, heappop(state.timed)[1])
    if type(fact) in SOURCED:
        broken = _off_chain(state, fact.source)  # type: ignore[union-attr]  # each of those has one
        if broken is not None:
            return (broken,)
    findings = _effect(state, position, fact)
    if state.outages or state.late:
        _look_at_settled(state)
    return findings


def _look_at_settled(state: LaneState) -> None:
    """R23: when answers begin to be late, by a notice or a window's start, what has settled counts as on file."""
    late = frozenset(late_scopes(state))
    if late != state.late:
        state.late = late
        for doc in {id(message.doc): message.doc for message in state.settled.values()}.values():
            touch(state, doc)


def _effect(state: LaneState, position: int, fact: LaneFact) -> tuple[Finding, ...]:  # noqa: C901 - one table, one line a fact
    """`isinstance` and no `match`: compiled, a match asks Python about each class, which took 0.1 us of a fact's 5."""
    if isinstance(fact, MessageReceived):
        return identity.receive(state, position, fact)
    if isinstance(fact, SendIntended):
        return grants.intend(state, position, fact)
    if isinstance(fact, SendsConcluded):
        return outcomes.conclude(state, position, fact)
    if isinstance(fact, AnswersReceived):
        return outcomes.answer(state, fact)
    if isinstance(fact, OutageDeclared):
        return gate.declare(state, position, fact)
    if isinstance(fact, OutageResolved):
        return gate.resolve(state, position, fact)
    if isinstance(fact, ComponentOverridden):
        return gate.override(state, position, fact)
    if isinstance(fact, WindowEnded):
        return gate.end_window(state, position, fact)
    if isinstance(fact, LaneTaken):
        return grants.take(state, position, fact)
    if isinstance(fact, LaneReleased):
        return grants.release(state, position, fact)
    if isinstance(fact, StillHere):
        return grants.still_here(state, position, fact)
    if isinstance(fact, MessageRefused):
        return identity.refuse(state, fact)
    if isinstance(fact, StatusAnswered):
        return outcomes.status(state, position, fact)
    if isinstance(fact, PersonNeeded):
        return outcomes.need_person(state, position, fact)
    if isinstance(fact, SettlingElapsed):
        return outcomes.settle_in(state, fact)
    if isinstance(fact, HorizonMoved):
        return move_horizon(state, fact)
    if isinstance(fact, GraceElapsed):
        return acts.elapse(state, position, fact)
    if isinstance(fact, MessageWithdrawn):
        return acts.withdraw(state, position, fact)
    if isinstance(fact, MessageFiled):
        return acts.file(state, position, fact)
    if isinstance(fact, MessageSettled):
        return acts.settle(state, position, fact)
    if isinstance(fact, CaptureRevoked):
        return acts.revoke(state, position, fact)
    if isinstance(fact, ReplayChanged):
        return acts.replay(state, position, fact)
    if isinstance(fact, PolicyAdopted):
        return _adopt(state, position, fact)
    if isinstance(fact, RulesAdopted):
        return _adopt_rules(state, fact)
    assert_never(fact)


def _off_chain(state: LaneState, source: Source | None) -> Finding | None:
    """R1: the fact continues the source where the lane's mark stands, or it is void."""
    if source is None:
        return Finding("R1", "a fact of the desk stands in a lane without its source", void=True)
    mark = state.marks.get(source.stream, NEVER)
    if source.previous != mark or source.position <= mark:
        return Finding("R1", f"{source.stream} stands at {mark} here, the fact continues {source.previous}", void=True)
    state.marks[source.stream] = source.position
    return None


def _adopt(state: LaneState, position: int, fact: PolicyAdopted) -> tuple[Finding, ...]:
    """I11: decisions use the policy in force at their position. One that holds less opens what it lets go, by a canary (R32)."""
    before = gate.closed_channels(state)
    state.policy = Policy.from_json(fact.policy)
    for name in state.policy.channels:
        state.channels.setdefault(name, Channel(name))
    for channel in state.channels.values():
        channel.tokens_milli = None
        if channel.drain is not None:
            pace.forget(channel.drain)
    gate.open_what_opened(state, position, before=before, canary=True)
    for message in list(state.held()):
        refresh(state, message)
    return ()


def _adopt_rules(state: LaneState, fact: RulesAdopted) -> tuple[Finding, ...]:
    """R59: a program older than the log's rules stops here."""
    if fact.version > RULES_VERSION:
        raise RulesTooOld(
            f"the log adopts rules {fact.version} here and this program knows {RULES_VERSION}; install a newer tidegate"
        )
    state.rules_version = fact.version
    return ()
