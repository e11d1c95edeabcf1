"""What became of a message on the wire and at CBSA: R50 to R57; must not know how an intent was granted.

Answers may overtake outcomes, come twice, late, for an earlier submission, or contradict each other: all are recorded and one
table says what each does (`ANSWER_TABLE`). Nothing regresses but by `CaptureRevoked` and `settle`.
"""

from typing import Final, Literal, TypeAlias

from lane.gate import outbound_bad, prove, suspect, trust
from lane.moves import move, refresh, touch
from lane.state import Finding, LaneState, Message, State
from schemas.facts import (
    AnswerGiven,
    AnswerOutcome,
    AnswersReceived,
    Outcome,
    PersonNeeded,
    SendsConcluded,
    SettlingElapsed,
    StatusAnswered,
)

Effect: TypeAlias = Literal["capture", "reject", "foreign", "doubt", "same", "conflict"]

_OPEN: Final[tuple[State, ...]] = ("held", "granted", "transmitted", "unknown")

ANSWER_TABLE: Final[dict[tuple[State, AnswerOutcome], Effect]] = {
    **{(state, "captured"): "capture" for state in (*_OPEN, "parked", "withdrawn", "replaced")},
    ("captured", "captured"): "same",
    ("filed", "captured"): "same",
    ("rejected", "captured"): "conflict",
    **{(state, "rejected"): "reject" for state in _OPEN},
    ("captured", "rejected"): "conflict",
    ("filed", "rejected"): "conflict",
    ("rejected", "rejected"): "same",
    ("parked", "rejected"): "reject",
    ("withdrawn", "rejected"): "same",
    ("replaced", "rejected"): "same",
    **{(state, "duplicate"): "doubt" for state in _OPEN},
    **{(state, "duplicate"): "same" for state in ("captured", "filed", "rejected", "parked", "withdrawn", "replaced")},
}
"""State x answer: capture, reject; foreign, another party filed the document; doubt, what became of the first attempt is asked
(`duplicate` turns into `foreign` on a first attempt, R53); same, nothing new; conflict, kept for a person."""


def conclude(state: LaneState, position: int, fact: SendsConcluded) -> tuple[Finding, ...]:
    """R50: what the transport said of each grant; the first outcome of a grant counts (R41)."""
    if fact.epoch == state.lease.epoch:
        state.lease.last = position
        state.lease.last_ms = fact.at_ms
    findings = []
    for outcome in fact.outcomes:
        message = state.messages.get(outcome.message)
        if message is None or message.grant != outcome.grant or not message.open:
            findings.append(Finding("R41", "the grant has an outcome already", outcome.message, void=True))
            continue
        message.open = False
        _close_grant(state, message)
        findings.extend(_conclude(state, message, outcome, at_ms=fact.at_ms))
    return tuple(findings)


def answer(state: LaneState, fact: AnswersReceived) -> tuple[Finding, ...]:
    """R52: CBSA's verdicts, in the order in which they were given."""
    findings: list[Finding] = []
    for given in fact.answers:
        known = state.by_key.get((given.tenant, given.key))
        if known is None:
            findings.append(Finding("R52", f"an answer for a key that was never published here: {given.key}"))
        else:
            findings.extend(_answer(state, known[0], given, at_ms=fact.at_ms))
    return tuple(findings)


def status(state: LaneState, position: int, fact: StatusAnswered) -> tuple[Finding, ...]:
    """R51 and R54: what status queries told of each message."""
    if fact.epoch == state.lease.epoch:
        state.lease.last = position
        state.lease.last_ms = fact.at_ms
    findings: list[Finding] = []
    for given in fact.answers:
        message = state.messages.get(given.message)
        if message is None or message.grant != given.grant or message.state not in ("unknown", "transmitted"):
            findings.append(Finding("R51", "the status answer is about an earlier attempt", given.message, void=True))
            continue
        message.answered_ms = fact.at_ms
        if given.outcome in ("captured", "rejected", "duplicate"):
            findings.extend(_judge(state, message, given.outcome, code="", text="by status query", at_ms=fact.at_ms))
        elif given.known:
            if message.state == "unknown":
                _transmitted(state, message, at_ms=fact.at_ms)
        elif message.state == "unknown":
            _again(state, message, "CBSA does not know it: the same submission goes again (R51)", at_ms=fact.at_ms)
        else:
            findings.append(Finding("R54", "CBSA took it once and does not know it now", given.message))
            message.needs_person = "CBSA took it and does not know it now: ask TCCU, then settle it"
    return tuple(findings)


def need_person(state: LaneState, fact: PersonNeeded) -> tuple[Finding, ...]:
    """R51, R54: nothing more can be learnt by program."""
    for number in fact.messages:
        message = state.messages.get(number)
        if message is not None and message.state in ("unknown", "transmitted"):
            message.needs_person = fact.reason
    return ()


def settle_in(state: LaneState, fact: SettlingElapsed) -> tuple[Finding, ...]:
    """R23: while answers are out, transmitted and old enough counts as on file; void before its time."""
    settling_ms = state.policy.settling_ms
    findings = []
    for number in fact.messages:
        message = state.messages.get(number)
        if message is None or message.state != "transmitted" or settling_ms is None:
            findings.append(Finding("R23", "it is not waiting for an answer", number, void=True))
        elif fact.at_ms < (message.transmitted_ms or 0) + settling_ms:
            findings.append(Finding("R6", "its settling time is not over", number, void=True))
        elif message.function != "cancel":
            message.settled = True
            message.doc.settled = True
            touch(state, message.doc)
    return tuple(findings)


def capture(message: Message, *, grant: int, at_ms: int) -> None:
    """The document's latest captured or filed message, latest by grant and not by answer, says whether it is on file (R12)."""
    doc = message.doc
    if grant >= doc.file_grant:
        doc.file_grant = grant
        doc.on_file = message.function != "cancel"
        doc.file_listed = message.listed if doc.on_file else ()
        doc.file_related = message.related if doc.on_file else ()
    message.answered_ms = at_ms


def _close_grant(state: LaneState, message: Message) -> None:
    grants = state.grants.get(message.grant)
    if grants is not None and grants.members.pop(message.position, None) is not None:
        state.channel(message.channel).in_flight -= 1
        if not grants.members:
            del state.grants[message.grant]


def _conclude(state: LaneState, message: Message, outcome: Outcome, *, at_ms: int) -> list[Finding]:
    """One grant's outcome: what it does to the link, and to the message if no answer has overtaken it."""
    channel = state.channel(message.channel)
    waits = message.state in ("granted", "unknown")
    if outcome.result == "expired":
        message.attempts -= 1
        if waits:
            _again(state, message, "expired: it was not started in time (R41)", at_ms=at_ms)
        return []
    if outcome.result in ("not_taken", "slow_down"):
        if outcome.result == "slow_down":
            channel.quiet_until_ms = max(channel.quiet_until_ms, at_ms + (outcome.retry_after_ms or state.policy.probe_ms))
        else:
            suspect(state, channel, at_ms=at_ms, why=outcome.detail or f"status {outcome.status}")
        if waits:
            _again(state, message, f"not taken: {outcome.detail}", at_ms=at_ms)
        return []
    message.touched = True
    if outcome.result == "unknown":
        channel.unknown_streak += 1
        if channel.unknown_streak >= state.policy.unknown_streak_max or channel.suspect_since_ms is not None:
            suspect(state, channel, at_ms=at_ms, why=f"{channel.unknown_streak} unknowns in a row: {outcome.detail}")
        if waits:
            move(state, message, "unknown", at_ms=at_ms, remark=outcome.detail)
        return []
    trust(channel)
    if outcome.result == "refused":
        if waits:
            move(state, message, "parked", at_ms=at_ms, remark=f"refused by the transport: {outcome.detail}", code="R50")
            touch(state, message.doc)
        return [Finding("R50", f"refused by the transport: {outcome.detail}", message.position)]
    if waits:
        _transmitted(state, message, at_ms=at_ms)
    return []


def _transmitted(state: LaneState, message: Message, *, at_ms: int) -> None:
    move(state, message, "transmitted", at_ms=at_ms)
    message.transmitted_ms = at_ms
    channel = state.channel(message.channel)
    if channel.canary is message and outbound_bad(state, message.channel):
        prove(state, message)


def _again(state: LaneState, message: Message, remark: str, *, at_ms: int) -> None:
    """Back to held, the same submission: whatever stood behind it waits on."""
    move(state, message, "held", at_ms=at_ms, remark=remark)
    refresh(state, message)


def _answer(state: LaneState, message: Message, given: AnswerGiven, *, at_ms: int) -> list[Finding]:
    if given.outcome == "notice":
        return []
    if given.submission != message.submission:
        if given.outcome == "captured" and message.state != "captured":
            message.needs_person = f"CBSA captured submission {given.submission} after all: settle it"
            return [Finding("R52", f"captured submission {given.submission} late", message.position)]
        return [Finding("R52", f"an answer to submission {given.submission}, {message.submission} is current", message.position)]
    prove(state, message)
    return _judge(state, message, given.outcome, code=given.code, text=given.text, at_ms=at_ms)


def _judge(state: LaneState, message: Message, outcome: AnswerOutcome, *, code: str, text: str, at_ms: int) -> list[Finding]:
    """Look the answer up in the table and do what it says."""
    effect = ANSWER_TABLE[message.state, outcome]
    if effect == "doubt" and (message.attempts <= 1 or text == "by status query"):
        effect = "foreign"
    match effect:
        case "capture":
            aside = message.state in ("withdrawn", "replaced", "parked")
            move(state, message, "captured", at_ms=at_ms)
            message.needs_person = "CBSA captured it although it was taken back: publish a cancel" if aside else ""
            capture(message, grant=message.grant, at_ms=at_ms)
            touch(state, message.doc)
        case "reject":
            return _reject(state, message, code=code, text=text, at_ms=at_ms)
        case "foreign":
            move(state, message, "parked", at_ms=at_ms, code="R53", remark="another party filed it; content at CBSA may differ")
            message.doc.on_file = message.doc.on_file or message.function != "cancel"
            touch(state, message.doc)
            return [Finding("R53", message.remark, message.position)]
        case "doubt":
            move(state, message, "unknown", at_ms=at_ms, remark="CBSA calls a later attempt a duplicate (R53)")
        case "conflict":
            message.needs_person = f"CBSA's answers contradict each other: {message.state}, then {outcome} {code} {text}".strip()
            return [Finding("R52", message.needs_person, message.position)]
        case "same":
            pass
    return []


def _reject(state: LaneState, message: Message, *, code: str, text: str, at_ms: int) -> list[Finding]:
    """R55: a reject for want of a predecessor goes again when that is on file; every other one is a person's."""
    remark = f"rejected {code}: {text}".strip(": ")
    message.answered_ms = at_ms
    wants_predecessor = code in state.policy.missing_codes and message.resubmissions < state.policy.resubmissions_max
    if wants_predecessor and message.function != "cancel":
        move(state, message, "held", at_ms=at_ms, remark=remark, code=code)
        next_submission(message)
        message.resubmissions += 1
        message.strict = True
        refresh(state, message)
        return [Finding("R55", f"{remark}; it goes again when its predecessor is on file", message.position)]
    move(state, message, "rejected", at_ms=at_ms, remark=remark, code=code)
    touch(state, message.doc)
    return [Finding("R55", remark, message.position)]


def next_submission(message: Message) -> None:
    """The next time that this message is put to CBSA is a new filing with a wire key of its own."""
    message.submission += 1
    message.attempts = 0
    message.transmitted_ms = None
    message.answered_ms = None
