"""The desk's fold: which notices and acts are effective and go to every lane (R4); must not know messages or order."""

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, assert_never

from lane.fold import RulesTooOld
from lane.policy import Policy
from lane.state import NEVER, RULES_VERSION, Finding
from schemas.facts import (
    ActDenied,
    AnswerDoubted,
    BulletinRead,
    BulletinUnread,
    ComponentOverridden,
    DeskFact,
    DoorRefused,
    NoticeHandled,
    NoticeState,
    OutageDeclared,
    OutageResolved,
    PolicyAdopted,
    PollFailed,
    PollRestored,
    RulesAdopted,
    Source,
)
from schemas.streams import DESK

Effective: TypeAlias = OutageDeclared | OutageResolved | ComponentOverridden | PolicyAdopted | RulesAdopted

RANK: Final[dict[NoticeState, int]] = {"info": 0, "unclear": 0, "scheduled": 1, "open": 1, "update": 2, "resolved": 3}
"""Order of an incident's notices by what they are, not by when they arrive (RELIABILITY I2f)."""


@dataclass(slots=True)
class Incident:
    """What is known of one bulletin number: its latest notice, and every text seen under it."""

    number: str
    state: NoticeState
    title: str
    position: int
    received_ms: int
    components: frozenset[tuple[str, str]]
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Task:
    """Something on the desk that asks for a person. `position` names it for `notice handled`."""

    position: int
    at_ms: int
    what: str


class DeskState:
    """Everything that the desk's facts amount to."""

    def __init__(self) -> None:
        self.position = NEVER
        self.now_ms = 0
        self.marks: dict[str, int] = {}
        self.incidents: dict[str, Incident] = {}
        self.effective: list[tuple[int, Effective]] = []
        self.policy = Policy()
        self.policy_at = NEVER
        self.tasks: dict[int, Task] = {}
        self.silent: dict[str, int] = {}
        self.last_act: dict[tuple[str, str], int] = {}
        self.refused_at_doors = 0
        self.denied = 0

    def copies_after(self, mark: int) -> list[Effective]:
        """The effective facts that a lane whose mark stands there has not got yet, as they go into it, chained (R1)."""
        out: list[Effective] = []
        previous = mark
        start = len(self.effective)
        while start and self.effective[start - 1][0] > mark:
            start -= 1
        for position, fact in self.effective[start:]:
            source = Source(stream=DESK, position=position, previous=previous)
            out.append(replace(fact, source=source))
            previous = position
        return out


def apply(state: DeskState, position: int, fact: DeskFact) -> tuple[Finding, ...]:
    """Let one fact of the desk take effect at its position."""
    assert position > state.position, f"position {position} after {state.position}: the log was not read in order"
    state.position = position
    state.now_ms = max(state.now_ms, fact.at_ms)
    match fact:
        case BulletinRead():
            return _off_chain(state, fact.source) or _notice(state, position, fact)
        case BulletinUnread():
            return _off_chain(state, fact.source) or _unread(state, position, fact)
        case AnswerDoubted():
            return _off_chain(state, fact.source) or _doubted(state, position, fact)
        case PollFailed():
            return _fell_silent(state, position, fact)
        case PollRestored():
            return _answers_again(state, fact)
        case ComponentOverridden():
            return _override(state, position, fact)
        case PolicyAdopted():
            return _adopt(state, position, fact)
        case RulesAdopted():
            if fact.version > RULES_VERSION:
                raise RulesTooOld(
                    f"the desk adopts rules {fact.version}, this program knows {RULES_VERSION}; install a newer one"
                )
            state.effective.append((position, fact))
        case NoticeHandled():
            if state.tasks.pop(fact.position, None) is None:
                return (Finding("R4", f"nothing at {fact.position} waits for a person", void=True),)
        case DoorRefused():
            state.refused_at_doors += 1
        case ActDenied():
            state.denied += 1
        case _:
            assert_never(fact)
    return ()


def _off_chain(state: DeskState, source: Source) -> tuple[Finding, ...]:
    mark = state.marks.get(source.stream, NEVER)
    if source.previous != mark or source.position <= mark:
        return (Finding("R1", f"{source.stream} stands at {mark} here, the fact continues {source.previous}", void=True),)
    state.marks[source.stream] = source.position
    return ()


def _unread(state: DeskState, position: int, fact: BulletinUnread) -> tuple[Finding, ...]:
    state.tasks[position] = Task(position, fact.at_ms, f"a notice could not be read and changes nothing: {fact.reason}")
    return (Finding("R4", fact.reason),)


def _doubted(state: DeskState, position: int, fact: AnswerDoubted) -> tuple[Finding, ...]:
    where = f"{fact.source.stream} at {fact.source.position}"
    state.tasks[position] = Task(position, fact.at_ms, f"an answer of CBSA changes nothing ({where}): {fact.reason}")
    return (Finding("R52", fact.reason),)


def _fell_silent(state: DeskState, position: int, fact: PollFailed) -> tuple[Finding, ...]:
    """R3: `silent` holds the gateway until it is restored, so that a silence asks once, whoever polls and whoever handled it."""
    if fact.gateway in state.silent:
        return (Finding("R3", f"{fact.gateway} is known to be silent, see {state.silent[fact.gateway]}", void=True),)
    state.silent[fact.gateway] = position
    silent_s = (fact.at_ms - fact.since_ms) // 1000
    sentence = f"no answers could be fetched from CBSA over {fact.gateway} for {silent_s} s: {fact.reason}"
    state.tasks[position] = Task(position, fact.at_ms, sentence)
    return (Finding("R3", sentence),)


def _answers_again(state: DeskState, fact: PollRestored) -> tuple[Finding, ...]:
    if fact.gateway not in state.silent:
        return (Finding("R3", f"{fact.gateway} was not known to be silent", void=True),)
    state.tasks.pop(state.silent.pop(fact.gateway), None)
    return ()


def _notice(state: DeskState, position: int, fact: BulletinRead) -> tuple[Finding, ...]:
    """A notice as read: effective unless it is older than what is known, said before, or about nothing in force."""
    if fact.findings:
        state.tasks[position] = Task(position, fact.at_ms, f"{fact.number}: {'; '.join(fact.findings)}")
    known = state.incidents.get(fact.number)
    refused = _not_effective(known, fact)
    if refused:
        if known is not None and fact.state == "resolved" and known.state != "resolved" and fact.received_ms > known.received_ms:
            sentence = f"{fact.number} is said to be resolved in words that were read before: open it by hand if that is so"
            state.tasks[position] = Task(position, fact.at_ms, sentence)
        if known is not None:
            known.seen.add(fact.sha256)
        elif fact.state == "resolved":
            state.incidents[fact.number] = _incident(fact, position, frozenset())
        return (Finding("R30", f"{fact.number}: {refused}", void=True),)
    findings = tuple(Finding("R4", sentence) for sentence in fact.findings)
    if known is not None and known.state == "resolved" and fact.state != "resolved":
        sentence = f"{fact.number} was resolved and is said to be {fact.state} now: held until a person has looked"
        state.tasks[position] = Task(position, fact.at_ms, sentence)
        findings = (*findings, Finding("R30", sentence))
    said = frozenset((str(scope.component), str(scope.direction)) for scope in fact.scopes)
    components = said | (known.components if known else frozenset())
    incident = _incident(fact, position, components)
    incident.seen |= known.seen if known else set()
    state.incidents[fact.number] = incident
    for name in components:
        state.last_act[name] = position
    state.effective.append((position, _effect(fact)))
    return findings


def _not_effective(known: Incident | None, fact: BulletinRead) -> str:
    """Why a notice changes nothing, in a sentence, or nothing."""
    if fact.state in ("info", "unclear"):
        return "it closes and opens nothing"
    if known is None:
        return "resolved, but no such outage is known here: recorded, nothing opens" if fact.state == "resolved" else ""
    if fact.sha256 in known.seen:
        return "the same text was read before"
    if RANK[fact.state] < RANK[known.state] and (fact.state != "update" or fact.received_ms <= known.received_ms):
        return f"it is older than the notice in force ({known.state})"
    if fact.received_ms < known.received_ms:
        return "it was received before the notice in force"
    return "it was resolved before" if fact.state == known.state == "resolved" else ""


def _incident(fact: BulletinRead, position: int, components: frozenset[tuple[str, str]]) -> Incident:
    return Incident(
        number=fact.number, state=fact.state, title=fact.title, position=position, received_ms=fact.received_ms,
        components=components, seen={fact.sha256},
    )  # fmt: skip


def _effect(fact: BulletinRead) -> Effective:
    source = Source(stream=DESK, position=NEVER, previous=NEVER)
    if fact.state == "resolved":
        return OutageResolved(
            at_ms=fact.at_ms, source=source, incident=fact.number, title=fact.title, received_ms=fact.received_ms,
            resolved_ms=fact.resolved_ms,
        )  # fmt: skip
    return OutageDeclared(
        at_ms=fact.at_ms, source=source, incident=fact.number, title=fact.title, scopes=fact.scopes, received_ms=fact.received_ms
    )


def _override(state: DeskState, position: int, fact: ComponentOverridden) -> tuple[Finding, ...]:
    """R5, R30: an operator's hand on a component, void if something happened to it since the operator looked."""
    name = (fact.component, fact.direction)
    last = state.last_act.get(name, NEVER)
    if fact.basis != last:
        return (Finding("R5", f"{fact.component} {fact.direction} changed at {last}, since you looked; look again", void=True),)
    state.last_act[name] = position
    state.effective.append((position, fact))
    return ()


def _adopt(state: DeskState, position: int, fact: PolicyAdopted) -> tuple[Finding, ...]:
    """R5, I11: a policy is written whole, so one that was made from another than that in force would undo what came between."""
    if fact.basis != state.policy_at:
        return (Finding("R5", f"another policy was adopted at {state.policy_at}, since you looked; look again", void=True),)
    state.policy = Policy.from_json(fact.policy)
    state.policy_at = position
    state.effective.append((position, fact))
    return ()
