"""What became of each message, told anew from the facts; must not know edges or outages, nor the fold.

A message `waits` (held or parked: the auditor does not ask which), was `sent`, or is `unknown`, `captured`, `rejected`, `refused`
by the transport, `foreign` (another party filed it), `withdrawn`, `replaced` or `filed`. Where a fact may have been void for a
reason that the auditor does not re-derive (a person's act on what was in flight, an answer to what was never granted), the
message is `unsure` and nothing is held against anybody because of it.
"""

from typing import Final

from audit.verify_papers import ASIDE, NEVER, STATES, UNSETTLED, Letter, Paper
from schemas.facts import (
    AnswerGiven,
    AnswerOutcome,
    CaptureRevoked,
    MessageFiled,
    MessageReceived,
    MessageSettled,
    MessageWithdrawn,
    Outcome,
    StatusGiven,
)

NAMES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "cargo": ((), ("crn",)),
    "conveyance": (("ccn",), ()),
    "house_bill": ((), ("previous_ccn", "primary_ccn")),
    "close": (("house_bill",), ("previous_ccn", "primary_ccn")),
    "release": (("image",), ("ccn",)),
    "conveyance_arrival": (("ccn",), ("crn",)),
    "cargo_arrival": ((), ("ccn",)),
}
"""By kind: the roles of the documents that a message lists as its group, and of those that it is related to (INTERFACES 2)."""

KINDS: Final = {"crn": "conveyance", "image": "image"}
"""The kind of document that a role names; all others name a shipment (R12)."""


class Ledger:
    """All messages and documents of one lane."""

    def __init__(self) -> None:
        self.at_ms = 0  # the clock of the fact that is being told
        self.letters: dict[int, Letter] = {}
        self.by_key: dict[tuple[str, str], tuple[Letter, str, str]] = {}
        self.again: dict[int, int] = {}
        self.conflicts = 0
        self.papers: dict[tuple[str, str], Paper] = {}

    def counts(self) -> dict[str, int]:
        """Messages by state."""
        counts = dict.fromkeys(STATES, 0)
        for letter in self.letters.values():
            counts[letter.state] += 1
        return counts

    def paper(self, kind: str, key: str) -> Paper:
        """The document of that key; cargo and house bills share one namespace of own keys (R12)."""
        kind = "shipment" if kind in ("cargo", "house_bill") else kind
        found = self.papers.get((kind, key))
        if found is None:
            found = self.papers[kind, key] = Paper(kind, key)
        return found

    def receive(self, position: int, fact: MessageReceived) -> None:
        """One effect for each tenant and key; the same again is a duplicate, other content a conflict (R10)."""
        known = self.by_key.get((fact.tenant, fact.key))
        if known is not None:
            self.again[position] = known[0].position
            self.conflicts += known[1:] != (fact.sha256, fact.attributes_sha256)
            return
        letter = Letter(position, fact, self.paper(fact.kind, fact.document))
        listed, related = NAMES.get(fact.kind, ((), ()))
        letter.listed, letter.related = self._named(fact, listed), self._named(fact, related)
        letter.paper.house_bill |= fact.kind == "house_bill"
        for paper in (*letter.listed, *letter.related):
            if letter.paper not in paper.namers:
                paper.namers.append(letter.paper)
        name = fact.corrects or fact.replaces
        target = self.by_key.get((fact.tenant, name)) if name else None
        if target is not None:
            _take_place(letter, target[0], corrects=fact.corrects is not None, at_ms=self.at_ms)
        self.letters[position] = letter
        self.by_key[fact.tenant, fact.key] = (letter, fact.sha256, fact.attributes_sha256)
        letter.paper.letters.append(letter)

    def conclude(self, letter: Letter, outcome: Outcome, *, late: bool) -> None:
        """What the transport said of one grant: it changes the state unless an answer or a person was faster.

        `late`: another epoch holds the lane meanwhile, so that the grant was unknown in between (R44); that nothing was sent
        takes it back (R15), unless it was intended anew before.
        """
        letter.concluded = max(letter.concluded, outcome.grant)
        results = {"transmitted": "sent", "unknown": "unknown", "refused": "refused"}
        becomes = results.get(outcome.result, "waits")
        if outcome.result != "expired":
            letter.attempts += 1
            letter.grant = outcome.grant
            letter.went = outcome.grant if letter.went == NEVER else letter.went
        if NEVER < letter.unasked < outcome.grant:  # it was granted after the answer that it got: that one was void
            letter.turn("waits", at_ms=self.at_ms)
            letter.doubt()
        letter.unasked = NEVER
        if outcome.grant <= letter.put_back:
            return
        letter.again = False
        beaten = letter.state in ("withdrawn", "replaced", "filed") and outcome.grant < letter.acts[-1]
        if letter.state == "waits" or beaten:
            letter.turn(becomes, at_ms=self.at_ms)
            letter.touched |= outcome.result in results or (late and outcome.grant != letter.intended)

    def answer(self, position: int, letter: Letter, given: AnswerGiven, *, may_go_again: bool) -> None:
        """CBSA's verdict on the submission that is current (R52, R53, R55)."""
        if given.outcome == "notice" or given.submission < letter.submission or letter.intended == NEVER:
            return
        if given.submission > letter.submission + letter.ahead:  # it was never sent: kept, and nobody's verdict
            return
        if letter.concluded == NEVER == letter.unasked:
            letter.unasked = position
        if given.submission > letter.submission:
            letter.ahead -= given.submission - letter.submission
            letter.submission = given.submission
            letter.again = False
        if letter.again:
            letter.doubt()
        self._judge(letter, given.outcome, may_go_again=may_go_again, first=letter.attempts <= 1)

    def status(self, letter: Letter, given: StatusGiven) -> None:
        """What a status query told of the current grant (R51)."""
        if letter.state not in UNSETTLED or given.grant < letter.grant or given.grant <= letter.put_back:
            return
        if given.outcome in ("captured", "rejected", "duplicate"):
            self._judge(letter, given.outcome, may_go_again=False, first=True)
        elif given.known and letter.state != "sent":
            letter.turn("sent", at_ms=self.at_ms)
            letter.touched = True
        elif not given.known and letter.state != "sent":
            letter.back()

    def settle_in(self, letter: Letter) -> None:
        """Transmitted and settled: it counts as on file while answers are late (R23)."""
        letter.settled = letter.state in ("sent", "unknown") and letter.function != "cancel"

    def withdraw(self, position: int, fact: MessageWithdrawn, *, flying: bool) -> None:
        """A person took it back before anything of it was at CBSA (R15)."""
        letter = self._object(fact.message, fact.basis)
        if letter is None or letter.state not in {"waits"} | ASIDE:
            return
        if flying or letter.again or letter.touched or letter.open() or letter.state != "waits":
            letter.doubt(position)
        else:
            letter.acts = (position,)
            letter.turn("withdrawn", at_ms=self.at_ms)

    def file(self, position: int, fact: MessageFiled, *, flying: bool) -> None:
        """A clerk filed it by hand (R34)."""
        letter = self._object(fact.message, fact.basis)
        if letter is None or letter.state not in {"waits"} | ASIDE:
            return
        if flying:
            letter.doubt(position)
            return
        letter.acts = (position,)
        letter.turn("filed", at_ms=self.at_ms)
        letter.paper.put_on_file(letter, grant=position)

    def settle(self, position: int, fact: MessageSettled, *, flying: bool) -> None:
        """A person said what became of it (R57)."""
        letter = self._object(fact.message, fact.basis)
        if letter is None:
            return
        certain = letter.state == "unknown" or (letter.state in ASIDE and not letter.corrected)
        if flying or not certain:
            letter.doubt(position)
        if letter.state not in UNSETTLED | ASIDE or letter.corrected:
            return
        if not letter.unsure:
            letter.acts = (position,)
        if fact.to == "held":
            letter.again |= letter.state != "unknown"
            letter.ahead += 1
            letter.touched = False
            letter.back()
            letter.paper.take_off_file(letter)
        else:
            letter.turn(fact.to, at_ms=self.at_ms)
            if fact.to == "captured":
                letter.paper.put_on_file(letter, grant=max(letter.intended, letter.position))

    def revoke(self, position: int, fact: CaptureRevoked, *, flying: bool) -> None:
        """CBSA lost what it had captured: it waits again, as the next submission (R56)."""
        letter = self._object(fact.message, fact.basis)
        if letter is None or letter.state not in ("captured", "filed"):
            return
        if flying or letter.unsure:
            letter.doubt(position)
            return
        letter.acts = (position,)
        letter.submission += 1
        letter.attempts = 0
        letter.touched = False
        letter.back()
        letter.paper.take_off_file(letter)

    def leave(self, number: int, *, before_ms: int) -> None:
        """A finished message leaves, and its key may be published anew (R58): unless it is not finished here, or something
        unfinished may lean on what it put on file. What it put on file is remembered here all the same."""
        letter = self.letters.get(number)
        if letter is None or not (letter.unsure or (letter.finished() and letter.turned_ms < before_ms)):
            return
        paper = letter.paper
        latest = bool(paper.filings) and paper.filings[-1][1] is letter
        if not (latest and (paper.busy() or any(namer.busy() for namer in paper.namers))):
            self.by_key.pop((letter.tenant, letter.key), None)

    def _judge(self, letter: Letter, outcome: AnswerOutcome, *, may_go_again: bool, first: bool) -> None:
        match outcome:
            case "captured" if letter.state not in ("captured", "filed", "rejected"):
                letter.turn("captured", at_ms=self.at_ms)
                letter.paper.put_on_file(letter, grant=letter.intended)
            case "rejected" if letter.state in UNSETTLED | {"refused", "foreign"}:
                if may_go_again and letter.function != "cancel":
                    letter.resubmissions += 1
                    letter.again = True  # held for the next submission, or a person's: the auditor can't tell
                    letter.ahead += 1
                    letter.touched = False
                    letter.attempts = 0
                    letter.back()
                else:
                    letter.turn("rejected", at_ms=self.at_ms)
            case "duplicate" if letter.state in UNSETTLED:
                letter.turn("foreign" if first else "unknown", at_ms=self.at_ms)
                if first and letter.function != "cancel":
                    letter.paper.put_on_file(letter, grant=letter.intended)
            case _:
                pass

    def _named(self, fact: MessageReceived, roles: tuple[str, ...]) -> tuple[Paper, ...]:
        return tuple(self.paper(KINDS.get(role, "cargo"), key) for role in roles for key in fact.keys.get(role, ()))

    def _object(self, number: int, basis: int) -> Letter | None:
        """The message an act is about, unless somebody else acted on it since the person looked (R5)."""
        letter = self.letters.get(number)
        return letter if letter is not None and basis in letter.acts else None


def _take_place(letter: Letter, target: Letter, *, corrects: bool, at_ms: int) -> None:
    """R13, R15: a correction or a replacement takes the place of the message that it names, if that may still be."""
    if corrects and target.state in {"waits"} | ASIDE and not target.corrected:
        letter.place = target.place
        target.corrected = True
    elif not corrects and target.paper is letter.paper and target.state in {"waits"} | ASIDE and not target.touched:
        letter.place = target.place
        target.acts = (*target.acts, letter.position)
        target.turn("replaced", at_ms=at_ms)
        if target.open():
            target.doubt()
