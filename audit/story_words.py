"""What a fact says of one message, in sentences; must not decide what it did: findings say that."""

from lane.state import LaneState, Message, Outage
from schemas.facts import (
    AnswersReceived,
    CaptureRevoked,
    ComponentOverridden,
    Fact,
    GraceElapsed,
    HorizonMoved,
    LaneTaken,
    MessageFiled,
    MessageReceived,
    MessageSettled,
    MessageWithdrawn,
    OutageDeclared,
    OutageResolved,
    Outcome,
    PersonNeeded,
    ReplayChanged,
    Scope,
    SendIntended,
    SendsConcluded,
    SettlingElapsed,
    StatusAnswered,
    WindowEnded,
)

RESULTS = {
    "transmitted": "CBSA's transport took it",
    "refused": "CBSA's transport refused it",
    "not_taken": "CBSA's transport did not take it",
    "slow_down": "CBSA asked to slow down",
    "unknown": "it is not known whether CBSA took it",
    "expired": "it was not started in time",
}


def about(fact: Fact, message: Message) -> tuple[list[str], str]:
    """The sentences of a fact that names the message, and where its evidence lies; empty for all other facts."""
    number = message.position
    match fact:
        case SendIntended() if number in fact.messages:
            return [f"intended to send, epoch {fact.epoch}, with {len(fact.messages) - 1:,} others"], ""
        case SendsConcluded():
            return [_outcome(each) for each in fact.outcomes if each.message == number], ""
        case AnswersReceived():
            given = [each for each in fact.answers if (each.tenant, each.key) == (message.tenant, message.key)]
            sentences = [
                f"CBSA answered {each.outcome} to submission {each.submission} {each.code} {each.text}".strip() for each in given
            ]
            return sentences, f"responses at {fact.source.position}" if given else ""
        case StatusAnswered():
            asked = [each for each in fact.answers if each.message == number]
            sentences = [
                f"asked, CBSA said: {'known' if each.known else 'not known'}" + (f", {each.outcome}" if each.outcome else "")
                for each in asked
            ]
            return sentences, f"responses at {asked[0].evidence}" if asked and asked[0].evidence >= 0 else ""
        case PersonNeeded() if number in fact.messages:
            return [f"a person is needed: {fact.reason}"], ""
        case GraceElapsed() if number in fact.messages:
            return ["the wait for a predecessor that was never seen is over"], ""
        case HorizonMoved() if number in fact.messages:
            return ["it finished a horizon ago and leaves the fold; the log keeps all that is told here"], ""
        case SettlingElapsed() if number in fact.messages:
            return ["its settling time is over: it counts as on file while answers are late"], ""
        case MessageReceived() if message.tenant == fact.tenant and message.key in (fact.replaces, fact.corrects):
            return [f"{fact.key} {'replaces' if fact.replaces else 'corrects'} it"], f"fact of {fact.key}"
        case _:
            return _act(fact, number), ""


def _act(fact: Fact, number: int) -> list[str]:
    """What a person did to it."""
    match fact:
        case MessageWithdrawn() if fact.message == number:
            return [f"{fact.person} withdrew it: {fact.reason}"]
        case MessageFiled() if fact.message == number:
            return [f"{fact.person} filed it by hand, reference {fact.reference}: {fact.reason}"]
        case MessageSettled() if fact.message == number:
            return [f"{fact.person} settled it as {fact.to}: {fact.reason} (evidence: {fact.evidence})"]
        case CaptureRevoked() if fact.message == number:
            return [f"{fact.person} recorded that CBSA lost it ({fact.notice}): {fact.reason}"]
        case _:
            return []


def steps_of_channel(fact: Fact | Outage, message: Message, state: LaneState, *, covering: set[str]) -> list[str]:
    """The sentences of a fact that happens to the message's channel, lane or replay; empty for all other facts.

    `covering` keeps the incidents that covered the channel so far, so that their end is told and that of others is not.
    """
    match fact:
        case OutageDeclared() | Outage() if _covers(fact.scopes, message, state):
            covering.add(fact.incident)
            what = ", ".join(f"{scope.component} {scope.direction} {scope.effect}" for scope in fact.scopes)
            return [f"notice {fact.incident} covers its channel: {fact.title} ({what})"]
        case OutageDeclared() if fact.incident in covering:
            covering.discard(fact.incident)
            return [f"notice {fact.incident} does not cover its channel any more: {fact.title}"]
        case OutageResolved() if fact.incident in covering:
            covering.discard(fact.incident)
            return [f"notice {fact.incident} is resolved: {fact.title}"]
        case WindowEnded() if fact.incident in covering and fact.at_ms >= fact.ends_ms:
            return [f"a window of {fact.incident} ended"]
        case ComponentOverridden() if _needs(fact.component, fact.direction, message, state):
            return [f"{fact.person} set {fact.component} {fact.direction} to {fact.to}: {fact.reason}"]
        case LaneTaken() if message.state == "unknown":
            return [f"{fact.holder} took the lane (epoch {fact.epoch}, {fact.basis})"]
        case ReplayChanged() if max(message.position, message.grant) < fact.replay:
            return [f"{fact.person}: replay {fact.replay} {fact.act}: {fact.reason}"]
        case _:
            return []


def _outcome(outcome: Outcome) -> str:
    detail = f": {outcome.detail}" if outcome.detail else ""
    status = f" (status {outcome.status})" if outcome.status is not None else ""
    return f"{RESULTS[outcome.result]}, grant {outcome.grant}{status}{detail}"


def _covers(scopes: tuple[Scope, ...], message: Message, state: LaneState) -> bool:
    return any(
        _needs(scope.component, scope.direction, message, state) and (not scope.tenants or message.tenant in scope.tenants)
        for scope in scopes
    )


def _needs(component: str, direction: str, message: Message, state: LaneState) -> bool:
    needs = state.policy.channels[message.channel]
    return component in (needs.inbound if direction == "inbound" else needs.outbound)
