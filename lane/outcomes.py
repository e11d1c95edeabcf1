"""What became of a message on the wire and at CBSA: R50 to R57; must not know how an intent was granted.

Answers may overtake outcomes, come twice, late, for an earlier submission, or contradict each other: all are recorded and one
table says what each does (`ANSWER_TABLE`). Nothing regresses but by `CaptureRevoked` and `settle`.
"""

from typing import Final, Literal, TypeAlias

from lane.gate import outbound_bad, prove, suspect, trust
from lane.grants import heard
from lane.moves import ask_person, disturb, let_go, move, refresh, touch
from lane.order import wanted
from lane.state import FINISHED, NEVER, Document, Finding, LaneState, Message, State
from schemas.facts import (
    AnswerGiven,
    AnswerOutcome,
    AnswersReceived,
    Outcome,
    PersonNeeded,
    SendsConcluded,
    SettlingElapsed,
    StatusAnswered,
    StatusGiven,
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
    """R50: what the transport said of each grant; the first outcome of a grant counts (R41).

    A holder that has lost the lane may still say what became of its own grants: that is the truth, and ends an unknown.
    """
    heard(state, position, fact)
    findings = []
    for outcome in fact.outcomes:
        message = state.messages.get(outcome.message)
        if message is None or message.grant != outcome.grant or message.epoch != fact.epoch or not message.open:
            findings.append(Finding("R41", "the grant has an outcome already", outcome.message, void=True))
            continue
        message.grown().open = False
        _close_grant(state, message)
        findings += _conclude(state, message, outcome, at_ms=fact.at_ms)
        if message.state in FINISHED:
            state.finished.append(message.position)  # its answer was faster, or a person: nothing is in flight any more
    return tuple(findings)


def answer(state: LaneState, fact: AnswersReceived) -> tuple[Finding, ...]:
    """R52: CBSA's verdicts, in the order in which they were given."""
    findings: list[Finding] = []
    for given in fact.answers:
        known = state.by_publisher(given.tenant, given.key)
        if known is None:
            findings.append(Finding("R52", f"an answer for a key that was never published here: {given.key}"))
        else:
            findings.extend(_answer(state, known, given, at_ms=fact.at_ms))
    return tuple(findings)


def status(state: LaneState, position: int, fact: StatusAnswered) -> tuple[Finding, ...]:
    """R51 and R54: what status queries told of each message; the holder's alone (R40), for its questions follow its sends."""
    if not heard(state, position, fact):
        return (Finding("R40", f"epoch {fact.epoch} does not hold the lane (epoch {state.lease.epoch} does)", void=True),)
    findings: list[Finding] = []
    for given in fact.answers:
        message = state.messages.get(given.message)
        if message is None or message.grant != given.grant or message.state not in ("unknown", "transmitted"):
            findings.append(Finding("R51", "the status answer is about an earlier attempt", given.message, void=True))
        else:
            findings.extend(_status(state, message, given, at_ms=fact.at_ms))
    return tuple(findings)


def _status(state: LaneState, message: Message, given: StatusGiven, *, at_ms: int) -> list[Finding]:
    message.answered_ms = at_ms
    if given.outcome in ("captured", "rejected", "duplicate"):
        prove(state, message)
        return _judge(state, message, given.outcome, code="", text="by status query", at_ms=at_ms, first=True)
    if given.known:
        ask_person(state, message, "")
        if message.state == "unknown":
            _transmitted(state, message, at_ms=at_ms)
        return []
    if message.state == "unknown" and message.code != "R53":
        _again(state, message, "CBSA does not know it: the same submission goes again (R51)", at_ms=at_ms)
        return []
    ask_person(state, message, "CBSA took it and does not know it now: ask TCCU, then settle it")
    return [Finding("R54", "CBSA took it once and does not know it now", given.message)]


def need_person(state: LaneState, position: int, fact: PersonNeeded) -> tuple[Finding, ...]:
    """R51, R54: nothing more can be learnt by program."""
    if not heard(state, position, fact):
        return (Finding("R40", f"epoch {fact.epoch} does not hold the lane (epoch {state.lease.epoch} does)", void=True),)
    findings = []
    for number in fact.messages:
        message = state.messages.get(number)
        if message is not None and message.state in ("unknown", "transmitted"):
            ask_person(state, message, fact.reason)
        else:
            findings.append(Finding("R51", "it is neither unknown nor unanswered", number, void=True))
    return tuple(findings)


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
        elif message.function == "cancel":
            findings.append(
                Finding("R23", "a cancel settles nothing: its document is off file by CBSA's word", number, void=True)
            )
        else:
            message.settled = True
            message.doc.settled = True
            state.settled[number] = message
            touch(state, message.doc)
    return tuple(findings)


def put_on_file(state: LaneState, message: Message, *, grant: int) -> None:
    """The document's latest captured or filed message, latest by grant and not by answer, says whether it is on file (R12)."""
    doc = message.doc
    message.filing = grant
    earlier = doc.filings
    _file(state, doc, (*(each for each in earlier if each is not message), message) if earlier else (message,))
    if not doc.on_file or doc.filings[-1] is not message:  # it spoke as long as it was under way: a later one does now, or none
        let_go(state, message)


def take_off_file(state: LaneState, message: Message) -> None:
    """CBSA has lost it, or a person says that it never had it: what was on file before it is so again (R12, R56)."""
    message.filing = NEVER
    _file(state, message.doc, tuple(each for each in message.doc.filings if each is not message))


def _file(state: LaneState, doc: Document, filings: tuple[Message, ...]) -> None:
    was, before = doc.on_file, doc.filings[-1:]
    if len(filings) > 1:
        filings = tuple(sorted(filings, key=_filing_of))
    doc.filings = filings
    doc.on_file = bool(filings) and filings[-1].form.function != "cancel"
    if doc.on_file and not was:
        doc.filed_at = state.position
        for message in doc.aside:  # they spoke for it as long as it was not on file
            let_go(state, message)
    for message in before:
        if doc.filings[-1:] != before:
            let_go(state, message)
    touch(state, doc)
    if was and not doc.on_file:
        disturb(state, doc)


def _filing_of(message: Message) -> int:
    return message.filing


def _close_grant(state: LaneState, message: Message) -> None:
    grants = state.grants.get(message.grant)
    if grants is not None and message.position in grants.members:
        del grants.members[message.position]
        state.channel(message.form.channel).in_flight -= 1
        if not grants.members:
            del state.grants[message.grant]


def _conclude(state: LaneState, message: Message, outcome: Outcome, *, at_ms: int) -> list[Finding]:
    """One grant's outcome: what it does to the link, and to the message if no answer has overtaken it."""
    channel = state.channel(message.form.channel)
    waits = message.state == "granted" or (message.state == "unknown" and message.code == "R44")
    if not waits:
        touch(state, message.doc)
        refresh(state, message)
    unsent = outcome.result in ("expired", "not_taken", "slow_down")
    more = message.grown()
    if more.doubted and unsent and message.state in ("unknown", "held"):
        more.touched = False  # only R44 had doubted it: it may be withdrawn (R15)
    more.doubted = False
    if outcome.result == "expired":
        more.attempts -= 1
        if waits:
            _again(state, message, "expired: it was not started in time (R41)", at_ms=at_ms)
        return []
    if outcome.result in ("not_taken", "slow_down"):
        channel.unknown_streak = 0
        if outcome.result == "slow_down":
            channel.quiet_until_ms = max(channel.quiet_until_ms, at_ms + (outcome.retry_after_ms or state.policy.probe_ms))
        else:
            why = outcome.detail or f"status {outcome.status}"
            suspect(state, channel, at_ms=at_ms, why=why, grant=outcome.grant)
        if waits:
            _again(state, message, f"not taken: {outcome.detail}", at_ms=at_ms)
        return []
    more.touched = more.touched or waits
    if outcome.result == "unknown":
        channel.unknown_streak += 1
        if channel.unknown_streak >= state.policy.unknown_streak_max or channel.suspect_since_ms is not None:
            why = f"{channel.unknown_streak} unknowns in a row: {outcome.detail}"
            suspect(state, channel, at_ms=at_ms, why=why, grant=outcome.grant)
        if waits:
            move(state, message, "unknown", at_ms=at_ms, remark=outcome.detail, code="R51")
        return []
    trust(channel)
    if outcome.result == "refused":
        if waits:
            move(state, message, "parked", at_ms=at_ms, remark=f"refused by the transport: {outcome.detail}", code="R50")
            let_go(state, message)
        return [Finding("R50", f"refused by the transport: {outcome.detail}", message.position)]
    if waits:
        _transmitted(state, message, at_ms=at_ms)
    return []


def _transmitted(state: LaneState, message: Message, *, at_ms: int) -> None:
    move(state, message, "transmitted", at_ms=at_ms)
    message.transmitted_ms = at_ms
    channel = state.channel(message.form.channel)
    if channel.canary is message and outbound_bad(state, message.channel):
        prove(state, message)


def _again(state: LaneState, message: Message, remark: str, *, at_ms: int) -> None:
    """Back to held, the same submission: whatever stood behind it waits on, but for an original that passes a change (R13)."""
    move(state, message, "held", at_ms=at_ms, remark=remark)
    touch(state, message.doc)
    refresh(state, message)


def _answer(state: LaneState, message: Message, given: AnswerGiven, *, at_ms: int) -> list[Finding]:
    if given.outcome == "notice":
        return []
    if given.submission > message.submission or message.grant == NEVER:
        return [Finding("R52", f"an answer to submission {given.submission}, which was never sent: kept", message.position)]
    if given.submission != message.submission:
        if given.outcome == "captured" and message.state != "captured":
            ask_person(state, message, f"CBSA captured submission {given.submission} after all: settle it")
            return [Finding("R52", f"captured submission {given.submission} late", message.position)]
        return [Finding("R52", f"an answer to submission {given.submission}, {message.submission} is current", message.position)]
    prove(state, message)
    first = message.attempts <= 1
    return _judge(state, message, given.outcome, code=given.code, text=given.text, at_ms=at_ms, first=first)


def _judge(
    state: LaneState, message: Message, outcome: AnswerOutcome, *, code: str, text: str, at_ms: int, first: bool
) -> list[Finding]:
    """Look the answer up in the table and do what it says. `first`: it is about the first attempt, so there is no doubt."""
    was = message.state
    effect = ANSWER_TABLE[was, outcome]
    match "foreign" if effect == "doubt" and first else effect:
        case "capture":
            taken_back = was in ("withdrawn", "replaced") or message.corrected_by is not None
            move(state, message, "captured", at_ms=at_ms)
            message.answered_ms = at_ms
            put_on_file(state, message, grant=message.grant)
            if taken_back:
                ask_person(state, message, "CBSA captured it although it was taken back: publish a cancel, or settle it")
            else:
                message.shrink()
        case "reject":
            return _reject(state, message, code=code, text=text, at_ms=at_ms)
        case "foreign":
            who = "another party" if message.submission == 1 else "another party, or an earlier submission of ours,"
            move(state, message, "parked", at_ms=at_ms, code="R53", remark=f"{who} filed it; content at CBSA may differ")
            if message.function == "cancel":
                let_go(state, message)
            else:
                put_on_file(state, message, grant=message.grant)
            return [Finding("R53", message.remark, message.position)]
        case "doubt":
            move(state, message, "unknown", at_ms=at_ms, remark="CBSA calls a later attempt a duplicate", code="R53")
        case "conflict":
            ask_person(state, message, f"CBSA's answers contradict each other: {was}, then {outcome} {code} {text}".strip())
            return [Finding("R52", message.needs_person, message.position)]
        case "same":
            pass
    return []


def _reject(state: LaneState, message: Message, *, code: str, text: str, at_ms: int) -> list[Finding]:
    """R55: a reject for want of a predecessor goes again when that is on file; every other one is a person's.

    Where nothing that the message names is missing here, and nothing came on file since it was sent, nothing would ever call
    it up again but its own haste: that one is a person's too.
    """
    remark = f"rejected {code}: {text}".strip(": ")
    message.answered_ms = at_ms
    again = code in state.policy.missing_codes and message.resubmissions < state.policy.resubmissions_max
    if again and message.function != "cancel" and message.state != "parked" and _predecessor_is_due(state, message):
        move(state, message, "held", at_ms=at_ms, remark=remark, code=code)
        next_submission(message)
        message.resubmissions += 1
        message.strict = True
        touch(state, message.doc)
        refresh(state, message)
        return [Finding("R55", f"{remark}; it goes again when its predecessor is on file", message.position)]
    move(state, message, "rejected", at_ms=at_ms, remark=remark, code=code)
    let_go(state, message)
    return [Finding("R55", remark, message.position)]


def _predecessor_is_due(state: LaneState, message: Message) -> bool:
    """Whether something that this message needs is not on file here, or came on file only after it was sent."""
    named = (
        (message.doc, *message.listed, *message.related) if message.function == "change" else (*message.listed, *message.related)
    )
    if any(doc.on_file and doc.filed_at > message.grant for doc in named):
        return True
    return wanted(state, message)


def next_submission(message: Message) -> None:
    """The next time that this message is put to CBSA is a new filing with a wire key of its own."""
    message.submission += 1
    message.touched = False
    message.attempts = 0
    message.transmitted_ms = None
    message.answered_ms = None
