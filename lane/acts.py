"""What a person does, and what time does on a person's behalf: R5, R15, R22, R34, R56, R57, R61; must not know the wire."""

from lane import pace
from lane.moves import disturb, let_go, move, park, refresh, touch
from lane.outcomes import next_submission, put_on_file, take_off_file
from lane.state import ASIDE, NEVER, Blocker, Drain, Finding, LaneState, Message
from schemas.facts import (
    CaptureRevoked,
    GraceElapsed,
    MessageFiled,
    MessageSettled,
    MessageWithdrawn,
    ReplayChanged,
)


def withdraw(state: LaneState, position: int, fact: MessageWithdrawn) -> tuple[Finding, ...]:
    """R15: taken back until something of it may be at CBSA."""
    message, refused = _object(state, fact.message, fact.basis)
    if message is None:
        return (refused,)
    if message.state not in ("held", "parked") or message.touched:
        sentence = f"it is {message.state} and may be at CBSA already; publish a cancel instead"
        if message.state in ("withdrawn", "replaced"):
            sentence = f"it is {message.state} already; withdrawing it again changes nothing"
        return (Finding("R15", sentence, message.position, void=True),)
    message.act = position
    _withdraw(state, message, at_ms=fact.at_ms, remark=f"withdrawn by {fact.person}: {fact.reason}")
    return ()


def _withdraw(state: LaneState, message: Message, *, at_ms: int, remark: str) -> None:
    """Out of the queue for good; what it corrected waits for a person again."""
    move(state, message, "withdrawn", at_ms=at_ms, remark=remark)
    corrected = message.corrects
    if corrected is not None and corrected.corrected_by is message:
        corrected.corrected_by = message.corrects = None
        if corrected.state in ASIDE:
            state.troubled[corrected.position] = corrected
        touch(state, corrected.doc)
    let_go(state, message)


def file(state: LaneState, position: int, fact: MessageFiled) -> tuple[Finding, ...]:
    """R34: a clerk filed it by hand; the document is on file."""
    message, refused = _object(state, fact.message, fact.basis)
    if message is None:
        return (refused,)
    if message.state not in ("held", "parked", "rejected"):
        return (
            Finding(
                "R34", f"it is {message.state}; only what waits here can have been filed by hand", message.position, void=True
            ),
        )
    message.act = position
    move(state, message, "filed", at_ms=fact.at_ms, remark=f"filed by {fact.person}, reference {fact.reference}")
    put_on_file(state, message, grant=position)
    return ()


def settle(state: LaneState, position: int, fact: MessageSettled) -> tuple[Finding, ...]:
    """R57: a person says what became of it, with evidence."""
    message, refused = _object(state, fact.message, fact.basis)
    if message is None:
        return (refused,)
    was = message.state
    if was not in ("parked", "unknown", "rejected") and not message.needs_person:
        sentence = f"it is {was}; only parked, rejected and unknown messages are settled by a person"
        return (Finding("R57", sentence, message.position, void=True),)
    if fact.to == "held" and message.corrected_by is not None:
        sentence = f"{message.corrected_by.key} corrects it and stands in its place; act on that one"
        return (Finding("R57", sentence, message.position, void=True),)
    message.act = position
    remark = f"settled by {fact.person}: {fact.reason} ({fact.evidence})"
    if fact.to == "withdrawn":
        _withdraw(state, message, at_ms=fact.at_ms, remark=remark)
    else:
        move(state, message, fact.to, at_ms=fact.at_ms, remark=remark)
    if fact.to == "held" and was not in ("unknown", "transmitted") and message.attempts:
        next_submission(message)
    if fact.to == "captured":
        put_on_file(state, message, grant=max(message.grant, message.position))
    elif message.filing != NEVER and (fact.to == "held" or was in ("captured", "filed")):
        take_off_file(state, message)
    if fact.to == "held":
        message.touched = False
        disturb(state, message.doc)
    let_go(state, message)
    refresh(state, message)
    return ()


def revoke(state: LaneState, position: int, fact: CaptureRevoked) -> tuple[Finding, ...]:
    """R56: CBSA lost what it had captured, or what a clerk had filed; it is held again and goes as the next submission."""
    message, refused = _object(state, fact.message, fact.basis)
    if message is None:
        return (refused,)
    if message.state not in ("captured", "filed"):
        sentence = f"it is {message.state}; only a captured message can be lost by CBSA"
        return (Finding("R56", sentence, message.position, void=True),)
    message.act = position
    next_submission(message)
    move(state, message, "held", at_ms=fact.at_ms, remark=f"CBSA lost it ({fact.notice}), says {fact.person}")
    take_off_file(state, message)
    refresh(state, message)
    return ()


def elapse(state: LaneState, position: int, fact: GraceElapsed) -> tuple[Finding, ...]:
    """R22: the wait for a predecessor that was never seen is over; void before its time."""
    findings = []
    for number in fact.messages:
        message = state.missing.get(number)
        if message is None:
            findings.append(Finding("R22", "it does not wait for a missing predecessor", number, void=True))
        elif fact.at_ms < grace_due_ms(state, message):
            findings.append(Finding("R6", "its grace is not over", number, void=True))
        elif state.policy.missing == "park":
            assert message.blocker is not None
            why = message.blocker
            park(state, message, Blocker("R22", "missing", why.topic), remark=f"{why.topic} was never seen here")
        else:
            message.grace = position
            refresh(state, message)
    return tuple(findings)


def grace_due_ms(state: LaneState, message: Message) -> int:
    """When the wait for a missing predecessor ends: from the later of receipt and the channel's last opening (R22)."""
    return max(message.received_ms, state.channel(message.channel).opened_ms) + state.policy.missing_wait_ms


def replay(state: LaneState, position: int, fact: ReplayChanged) -> tuple[Finding, ...]:
    """R61: start, rate, pause, resume and abort of what was held at an opening."""
    drains = [channel for channel in state.channels.values() if channel.drain and channel.drain.position == fact.replay]
    if not drains or drains[0].drain is None:
        sentence = f"there is no replay {fact.replay} in this lane; it ended or a newer opening took its place"
        return (Finding("R61", sentence, void=True),)
    refused = _replay_refused(drains[0].drain, fact)
    if refused is not None:
        return (refused,)
    for channel in drains:
        drain = channel.drain
        assert drain is not None
        drain.act = position
        match fact.act:
            case "start" | "resume":
                drain.status = "running"
                drain.rate_per_s = fact.rate_per_s if fact.rate_per_s is not None else drain.rate_per_s
            case "pause":
                drain.status = "paused"
            case "abort":
                drain.status = "aborted"
            case "rate":
                drain.rate_per_s = fact.rate_per_s
                channel.tokens_milli = None
                pace.forget(drain)
        pace.note(state, channel, drain)
    return ()


def _replay_refused(drain: Drain, fact: ReplayChanged) -> Finding | None:
    """Why an act on a replay has no effect, or None. Channels that opened together are one replay and change together."""
    if fact.basis != drain.act:
        sentence = f"the replay changed at {drain.act}, since you looked; look again and repeat the act if it still fits"
        return Finding("R5", sentence, void=True)
    allowed = {
        "start": ("waiting", "aborted"),
        "resume": ("paused",),
        "pause": ("running",),
        "abort": ("waiting", "running", "paused"),
        "rate": ("waiting", "running", "paused"),
    }[fact.act]
    if drain.status in allowed:
        return None
    return Finding("R61", f"the replay is {drain.status}; {fact.act} does not apply", void=True)


def _object(state: LaneState, number: int, basis: int) -> tuple[Message | None, Finding]:
    """The message an act is about, unless something effective happened to it since the person looked (R5), or it is in flight."""
    message = state.messages.get(number)
    if message is None:
        return None, Finding("R5", f"there is no message at position {number} in this lane", number, void=True)
    if basis != message.act:
        sentence = f"somebody acted on it at {message.act}, since you looked; look again and repeat the act if it still fits"
        return None, Finding("R5", sentence, number, void=True)
    if state.in_flight(message):
        return None, Finding("R41", "its grant has no outcome yet; wait for it and repeat the act", number, void=True)
    return message, Finding("", "")
