"""One lane, checked fact by fact in log order; must not import the fold: it would agree with itself.

For each intent the auditor notes which of the messages it names could not rightly be granted there; when an outcome shows that
one of them touched the wire nevertheless, the note becomes a finding.
"""

from dataclasses import dataclass, field
from typing import Final

from audit.reading import Progress
from audit.verify_gate import Gate
from audit.verify_ledger import Ledger
from audit.verify_order import broken, overtaken
from audit.verify_papers import Letter
from audit.verify_report import Report
from audit.verify_sources import Answers, DeskCopies, Marks, check_inbound, evidence_of, raw_inbound
from eventlog.port import EventLog
from gateway.answers import parse_status
from schemas.facts import (
    AnswersReceived,
    CaptureRevoked,
    ComponentOverridden,
    Fact,
    GraceElapsed,
    HorizonMoved,
    LaneReleased,
    LaneTaken,
    MessageFiled,
    MessageReceived,
    MessageRefused,
    MessageSettled,
    MessageWithdrawn,
    OutageDeclared,
    OutageResolved,
    Outcome,
    PersonNeeded,
    PolicyAdopted,
    RulesAdopted,
    SendIntended,
    SendsConcluded,
    SettlingElapsed,
    StatusAnswered,
    StatusGiven,
    StillHere,
    WindowEnded,
)
from schemas.responses import QUERIED
from schemas.streams import lane

RULES_VERSION: Final = 1
"""The newest rules that this verifier knows (R59)."""


@dataclass(slots=True)
class Intent:
    """An intent as it was written: by whom, what it names, and what speaks against a grant of each."""

    epoch: int
    messages: frozenset[int]
    at_ms: int
    in_force: bool
    against: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Lease:
    """The epoch in force (R43)."""

    epoch: int = 0
    released: bool = True
    last: int = -1


class LaneCheck:
    """Everything that is re-derived of one lane, and the checks on it."""

    def __init__(self, log: EventLog, mode: str, *, report: Report, copies: DeskCopies, progress: Progress) -> None:
        self.mode = mode
        self.stream = lane(mode)
        self.gate = Gate()
        self.ledger = Ledger()
        self.lease = Lease()
        self.marks = Marks()
        self.intents: dict[int, Intent] = {}
        self.received = self.refused = self.sent_while_held = 0
        self._log = log
        self._report = report
        self._copies = copies
        self._raw = raw_inbound(log, mode, report=report, progress=progress)
        self._answers = Answers(log, mode, report=report)

    def take(self, position: int, fact: Fact) -> None:
        """Check one fact, and let it take effect."""
        self.gate.now_ms = max(self.gate.now_ms, fact.at_ms)
        self.ledger.at_ms = fact.at_ms
        match fact:
            case MessageReceived() | MessageRefused():
                if self.marks.continues(fact.source):
                    self._take_message(position, fact)
            case OutageDeclared() | OutageResolved() | ComponentOverridden() | PolicyAdopted() | RulesAdopted():
                if self.marks.continues(fact.source):
                    self._copies.check(fact, stream=self.stream, position=position, report=self._report)
                    self._take_copy(position, fact)
            case AnswersReceived():
                if self.marks.continues(fact.source):
                    self._answers.check(fact, stream=self.stream, position=position)
                    self._take_answers(position, fact)
            case (
                LaneTaken() | LaneReleased() | StillHere() | SendIntended() | SendsConcluded() | StatusAnswered() | PersonNeeded()
            ):
                self._take_of_epoch(position, fact)
            case _:
                self._take_act(position, fact)

    def _take_of_epoch(
        self,
        position: int,
        fact: LaneTaken | LaneReleased | StillHere | SendIntended | SendsConcluded | StatusAnswered | PersonNeeded,
    ) -> None:
        """What the lane's holder writes; each such fact of the epoch in force is a sign of life (R43)."""
        holds = fact.epoch == self.lease.epoch
        match fact:
            case LaneTaken():
                self._take_lease(position, fact)
                holds = False  # a taking that comes too late names the epoch in force, and is no sign of its holder's life
            case LaneReleased():
                self.lease.released = self.lease.released or holds
            case SendIntended():
                self._take_intent(position, fact)
                holds = holds and not self.lease.released
            case SendsConcluded():
                for outcome in fact.outcomes:
                    self._take_outcome(position, fact, outcome)
            case StatusAnswered():
                for given in fact.answers:
                    self._take_status(position, given, counts=holds)
            case _:
                pass
        if holds:
            self.lease.last = position

    def close(self) -> None:
        """V8: what was taken from [inbound] is a message, a duplicate, a conflict or a refusal, and each message has a state."""
        waiting = self._raw.rest()
        counts = self.ledger.counts()
        again = len(self.ledger.again)
        accounted = sum(counts.values()) + again + self.refused
        self._report.checked("V8", accounted)
        spoken = self.marks.at.get(self._raw.stream, -1) + 1
        if accounted != spoken:
            sentence = f"{spoken:,} records of {self._raw.stream} lie behind the lane's mark and {accounted:,} are accounted for"
            self._report.fault("V8", self.stream, self.marks.at.get(self._raw.stream, -1), sentence)
        if spoken or waiting:
            tail = {"duplicate": again - self.ledger.conflicts, "conflict": self.ledger.conflicts, "refused_entry": self.refused}
            self._report.lanes[self.mode] = {**counts, **tail, "not_yet_taken": waiting}
        if self.sent_while_held:
            self._report.notes.append(
                f"{self.mode}: {self.sent_while_held:,} sends granted before a notice ended after it (the race window, I2b)"
            )

    def _take_message(self, position: int, fact: MessageReceived | MessageRefused) -> None:
        check_inbound(self._raw, fact, mode=self.mode, report=self._report)
        if isinstance(fact, MessageRefused):
            self.refused += 1
            return
        self._report.checked("V3")
        self.ledger.receive(position, fact)

    def _take_copy(
        self, position: int, fact: OutageDeclared | OutageResolved | ComponentOverridden | PolicyAdopted | RulesAdopted
    ) -> None:
        match fact:
            case OutageDeclared():
                self.gate.declare(fact)
            case OutageResolved():
                self.gate.resolve(fact)
            case ComponentOverridden():
                self.gate.override(fact)
            case PolicyAdopted():
                try:
                    self.gate.adopt(fact)
                except ValueError as unreadable:
                    self._report.fault("V0", self.stream, position, f"the policy can't be read ({unreadable})")
            case RulesAdopted():
                if fact.version > RULES_VERSION:
                    sentence = (
                        f"rules {fact.version} are adopted here and this program knows {RULES_VERSION}; install a newer one"
                    )
                    self._report.fault("V0", self.stream, position, sentence)

    def _take_answers(self, position: int, fact: AnswersReceived) -> None:
        for given in fact.answers:
            known = self.ledger.by_key.get((given.tenant, given.key))
            if known is not None:
                letter = known[0]
                again = self.gate.goes_again(given.code, letter.resubmissions)
                self.ledger.answer(position, letter, given, may_go_again=again)

    def _take_lease(self, position: int, fact: LaneTaken) -> None:
        """R43: a taking is effective when it is of the next epoch and what it rests on holds."""
        rests = self.lease.released or fact.basis in ("dead", "silent")
        rests = rests and not (fact.basis == "silent" and self.lease.last >= fact.seen)
        if fact.epoch == self.lease.epoch + 1 and rests:
            self.lease = Lease(fact.epoch, released=False, last=position)

    def _take_intent(self, position: int, fact: SendIntended) -> None:
        """Note for each named message what speaks against a grant here: V3, V4, V5 and V6."""
        in_force = fact.epoch == self.lease.epoch and not self.lease.released
        intent = Intent(fact.epoch, frozenset(fact.messages), fact.at_ms, in_force)
        self.intents[position] = intent
        if not in_force:
            return
        for number in fact.messages:
            letter = self.ledger.letters.get(number)
            if letter is None:
                continue
            against = list(self._against(letter, at_ms=fact.at_ms))
            if against:
                intent.against[number] = against
            if letter.intended == -1:
                for later, sentence in overtaken(letter, grant=position, mode=self.mode):
                    intent.against.setdefault(number, []).append(("V6", f"{later.key} went too early: {sentence}"))
            letter.intended = position

    def _against(self, letter: Letter, *, at_ms: int) -> list[tuple[str, str]]:
        found = []
        if letter.state != "waits" and not letter.unsure and letter.unasked == -1:
            found.append(("V4", f"it was {letter.state} already, and is sent again without a word on what became of it"))
        held = self.gate.held_by(letter.channel, letter.tenant, at_ms=at_ms)
        if held is not None:
            found.append(("V5", held))
        found += [("V6", sentence) for sentence in broken(letter, mode=self.mode, gate=self.gate)]
        return found

    def _take_outcome(self, position: int, fact: SendsConcluded, outcome: Outcome) -> None:
        """V4, and what was noted at the intent, for one outcome; then it takes effect."""
        self._report.checked("V4")
        intent = self.intents.get(outcome.grant)
        letter = self.ledger.letters.get(outcome.message)
        if letter is None:
            self._no_message(position, outcome)
            return
        if intent is None or outcome.message not in intent.messages:
            self._report.fault("V4", self.stream, position, f"{letter} has an outcome and no intent at {outcome.grant} names it")
            return
        before = intent.outcomes.setdefault(outcome.message, outcome.result)
        if before != outcome.result:
            sentence = f"{letter} has two outcomes of its grant at {outcome.grant}: {before}, then {outcome.result}"
            self._report.fault("V4", self.stream, position, sentence)
            return
        if not intent.in_force:
            sentence = f"{letter} was put on the wire by an intent of epoch {intent.epoch}, which did not hold the lane there"
            self._report.fault("V4", self.stream, outcome.grant, sentence)
        if outcome.grant <= letter.concluded or fact.epoch != intent.epoch:
            return
        if outcome.result != "expired":
            self._tell(letter, outcome.grant, intent, at_ms=fact.at_ms)
        self.ledger.conclude(letter, outcome, late=intent.epoch != self.lease.epoch)

    def _no_message(self, position: int, outcome: Outcome) -> None:
        first = self.ledger.again.get(outcome.message)
        if first is None:
            self._report.fault("V4", self.stream, position, f"an outcome for {outcome.message}, where no message stands")
        elif outcome.result != "expired":
            sentence = f"the record at {outcome.message} was sent although its key had its one effect at {first}"
            self._report.fault("V3", self.stream, outcome.grant, sentence)

    def _tell(self, letter: Letter, grant: int, intent: Intent, *, at_ms: int) -> None:
        """A grant touched the wire: what spoke against it becomes a finding, at the intent's position."""
        self._report.checked("V5")
        self._report.checked("V6")
        for check, sentence in intent.against.pop(letter.position, []):
            self._report.fault(check, self.stream, grant, f"{letter} was granted here: {sentence}")
        if self.gate.held_by(letter.channel, letter.tenant, at_ms=max(at_ms, intent.at_ms)) is not None:
            self.sent_while_held += 1

    def _take_status(self, position: int, given: StatusGiven, *, counts: bool) -> None:
        """V7: a status answer is stored as it is told; then it takes effect."""
        self._report.checked("V7")
        letter = self.ledger.letters.get(given.message)
        record = evidence_of(self._log, given)
        sentence = ""
        if record is None:
            asked = given.evidence != -1 or given.known or given.outcome is not None
            sentence = f"the status answer is said to stand at {given.evidence} of [responses] and does not" if asked else ""
        elif record.header("ce_type") != QUERIED:
            sentence = f"the record at {given.evidence} of [responses] is no status answer"
        else:
            try:
                reply = parse_status(record.value)
            except ValueError as unreadable:
                sentence = f"the status answer at {given.evidence} of [responses] can't be read: {unreadable}"
            else:
                if (reply.known, reply.outcome) != (given.known, given.outcome):
                    sentence = f"the status answer at {given.evidence} of [responses] says something else"
        if sentence:
            self._report.fault("V7", self.stream, position, sentence)
        if letter is not None and counts:
            self.ledger.status(letter, given)

    def _take_act(self, position: int, fact: Fact) -> None:
        """What persons and time do to messages."""
        match fact:
            case WindowEnded():
                self.gate.end_window(fact)
            case GraceElapsed():
                for letter in self._letters(fact.messages):
                    letter.grace = True
            case HorizonMoved():
                if fact.before_ms <= fact.at_ms - self.gate.horizon_ms():
                    for number in fact.messages:
                        self.ledger.leave(number, before_ms=fact.before_ms)
            case SettlingElapsed():
                for letter in self._letters(fact.messages):
                    self.ledger.settle_in(letter)
            case MessageWithdrawn():
                self.ledger.withdraw(position, fact, flying=self._flying(fact.message))
            case MessageFiled():
                self.ledger.file(position, fact, flying=self._flying(fact.message))
            case MessageSettled():
                self.ledger.settle(position, fact, flying=self._flying(fact.message))
            case CaptureRevoked():
                self.ledger.revoke(position, fact, flying=self._flying(fact.message))
            case _:
                pass

    def _flying(self, number: int) -> bool:
        """Whether a grant of the epoch in force may lack its outcome: an act on what is in flight is void (R41)."""
        letter = self.ledger.letters.get(number)
        if letter is None or not letter.open():
            return False
        return self.intents[letter.intended].epoch == self.lease.epoch

    def _letters(self, numbers: tuple[int, ...]) -> list[Letter]:
        return [self.ledger.letters[number] for number in numbers if number in self.ledger.letters]
