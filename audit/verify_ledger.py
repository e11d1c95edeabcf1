"""What became of each message, told anew from the facts by one small table; must not know edges or outages, nor the fold.

A message `waits` (held or parked: the auditor does not ask which), was `sent`, or is `unknown`, `captured`, `rejected`, `refused`
by the transport, `foreign` (another party filed it), `withdrawn`, `replaced` or `filed`. A document is on file when its latest
captured or filed message, latest by grant, is not a cancel (R12).
"""

from typing import Final

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

STATES: Final = (
    "waits", "sent", "unknown", "captured", "rejected", "refused", "foreign", "withdrawn", "replaced", "filed",
)  # fmt: skip
UNSETTLED: Final = frozenset({"waits", "sent", "unknown"})
ASIDE: Final = frozenset({"rejected", "refused", "foreign"})
ON_THE_WIRE: Final = frozenset({"sent", "unknown"})
NEVER: Final = -1


class Paper:
    """A document as CBSA knows it: its messages here, who names it, and whether it is on file."""

    __slots__ = ("file_grant", "file_listed", "file_related", "house_bill", "key", "kind", "letters", "namers", "on_file")

    def __init__(self, kind: str, key: str) -> None:
        self.kind = kind
        self.key = key
        self.letters: list[Letter] = []
        self.namers: list[Paper] = []
        self.house_bill = False
        self.on_file = False
        self.file_grant = NEVER
        self.file_listed: tuple[Paper, ...] = ()
        self.file_related: tuple[Paper, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def original_due(self) -> "Letter | None":
        """An original that was received and has neither come on file nor left the queue (withdrawn, replaced, corrected)."""
        for letter in self.letters:
            if letter.function == "original" and not letter.corrected and letter.state in UNSETTLED | ASIDE:
                return letter
        return None

    def settled(self) -> bool:
        """Whether a message of it was transmitted and its settling time has passed (R23)."""
        return any(letter.settled for letter in self.letters)

    def listed(self) -> list["Paper"]:
        """What it lists, by what is on file or on the wire."""
        return [*self.file_listed, *(doc for letter in self.letters if letter.state in ON_THE_WIRE for doc in letter.listed)]

    def related(self) -> list["Paper"]:
        """What it is related to otherwise, by what is on file or on the wire."""
        return [*self.file_related, *(doc for letter in self.letters if letter.state in ON_THE_WIRE for doc in letter.related)]


class Letter:
    """One effective message."""

    __slots__ = (
        "acts", "attempts", "channel", "concluded", "corrected", "function", "grace", "grant", "intended", "key", "kind",
        "listed", "paper", "place", "position", "put_back", "related", "resubmissions", "settled", "state", "submission",
        "tenant", "touched", "went",
    )  # fmt: skip

    def __init__(self, position: int, fact: MessageReceived, paper: Paper) -> None:
        self.position = self.place = position
        self.acts: tuple[int, ...] = (position,)  # what a person may have seen last; several where one may have been void
        self.tenant, self.key = fact.tenant, fact.key
        self.kind, self.function, self.channel = fact.kind, fact.function, fact.channel
        self.paper = paper
        self.listed: tuple[Paper, ...] = ()
        self.related: tuple[Paper, ...] = ()
        self.state = "waits"
        self.intended = NEVER  # the last intent of the epoch in force that names it
        self.concluded = NEVER  # the last grant with an outcome
        self.grant = NEVER  # the last grant that touched the wire
        self.put_back = NEVER  # outcomes of grants up to here come too late to change the state
        self.went = NEVER  # the first grant that touched the wire
        self.submission = 1
        self.attempts = 0
        self.resubmissions = 0
        self.touched = False
        self.settled = False
        self.corrected = False
        self.grace = False

    def __str__(self) -> str:
        return f"{self.paper} ({self.tenant}/{self.key})"


class Ledger:
    """All messages and documents of one lane."""

    def __init__(self) -> None:
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
        letter.listed, letter.related = self._names(fact)
        letter.paper.house_bill |= fact.kind == "house_bill"
        for paper in (*letter.listed, *letter.related):
            if letter.paper not in paper.namers:
                paper.namers.append(letter.paper)
        name = fact.replaces or fact.corrects
        target = self.by_key.get((fact.tenant, name)) if name else None
        if target is not None:
            _take_place(letter, target[0], corrects=fact.corrects is not None)
        self.letters[position] = letter
        self.by_key[fact.tenant, fact.key] = (letter, fact.sha256, fact.attributes_sha256)
        letter.paper.letters.append(letter)

    def conclude(self, letter: Letter, outcome: Outcome) -> None:
        """What the transport said of one grant: it changes the state unless an answer or a person was faster."""
        letter.concluded = max(letter.concluded, outcome.grant)
        if outcome.result == "expired":
            went_back = "waits"
        else:
            letter.attempts += 1
            letter.grant = outcome.grant
            letter.went = outcome.grant if letter.went == NEVER else letter.went
            results = {"transmitted": "sent", "unknown": "unknown", "refused": "refused"}
            went_back = results.get(outcome.result, "waits")
            letter.touched |= outcome.result in results
        if outcome.grant <= letter.put_back:
            return
        beaten = letter.state in ("withdrawn", "replaced", "filed") and outcome.grant < letter.acts[-1]
        if letter.state in ("waits", "unknown") or beaten:  # an act on what was granted already was void
            _turn(letter, went_back)

    def answer(self, letter: Letter, given: AnswerGiven, *, goes_again: bool) -> None:
        """CBSA's verdict on the submission that is current (R52, R53, R55)."""
        if given.submission != letter.submission or given.outcome == "notice":
            return
        self._judge(letter, given.outcome, goes_again=goes_again, asked=False)

    def status(self, letter: Letter, given: StatusGiven) -> None:
        """What a status query told of the current grant (R51)."""
        if letter.state not in UNSETTLED or given.grant < letter.grant or given.grant <= letter.put_back:
            return
        if given.outcome in ("captured", "rejected", "duplicate"):
            self._judge(letter, given.outcome, goes_again=False, asked=True)
        elif given.known and letter.state != "sent":
            _turn(letter, "sent")
            letter.touched = True
        elif not given.known and letter.state != "sent":
            _put_back(letter)

    def settle_in(self, letter: Letter) -> None:
        """Transmitted and settled: it counts as on file while answers are late (R23)."""
        letter.settled = letter.state in ON_THE_WIRE and letter.function != "cancel"

    def withdraw(self, position: int, fact: MessageWithdrawn) -> None:
        """A person took it back before anything of it was at CBSA (R15)."""
        letter = self._object(fact.message, fact.basis)
        if letter is not None and letter.state in {"waits"} | ASIDE - {"rejected"} and not letter.touched:
            letter.acts = (position,)
            _turn(letter, "withdrawn")

    def file(self, position: int, fact: MessageFiled) -> None:
        """A clerk filed it by hand (R34)."""
        letter = self._object(fact.message, fact.basis)
        if letter is not None and letter.state in {"waits"} | ASIDE:
            letter.acts = (position,)
            _turn(letter, "filed")
            _put_on_file(letter, grant=position)

    def settle(self, position: int, fact: MessageSettled) -> None:
        """A person said what became of it (R57)."""
        letter = self._object(fact.message, fact.basis)
        if letter is None:
            return
        certain = letter.state in ASIDE | {"unknown"}
        letter.acts = (position,) if certain else (*letter.acts, position)
        if fact.to == "held":
            letter.touched = False
            if letter.state == "rejected":
                _next_submission(letter)
            else:
                _put_back(letter)
            return
        _turn(letter, fact.to)
        if fact.to == "captured":
            _put_on_file(letter, grant=max(letter.intended, letter.position))

    def revoke(self, position: int, fact: CaptureRevoked) -> None:
        """CBSA lost what it had captured: it waits again, as the next submission (R56)."""
        letter = self._object(fact.message, fact.basis)
        if letter is None or letter.state != "captured":
            return
        letter.acts = (position,)
        if letter.paper.file_grant == letter.intended:
            letter.paper.on_file = letter.function == "cancel"
            letter.paper.file_listed = letter.paper.file_related = ()
        _next_submission(letter)
        letter.touched = False

    def _judge(self, letter: Letter, outcome: AnswerOutcome, *, goes_again: bool, asked: bool) -> None:
        match outcome:
            case "captured" if letter.state not in ("captured", "filed", "rejected"):
                _turn(letter, "captured")
                _put_on_file(letter, grant=letter.intended)
            case "rejected" if letter.state in UNSETTLED | {"refused", "foreign"}:
                if goes_again and letter.function != "cancel":
                    letter.resubmissions += 1
                    _next_submission(letter)
                else:
                    _turn(letter, "rejected")
            case "duplicate" if letter.state in UNSETTLED:
                if letter.attempts > 1 and not asked:
                    _turn(letter, "unknown")
                else:
                    _turn(letter, "foreign")
                    letter.paper.on_file |= letter.function != "cancel"
            case _:
                pass

    def _names(self, fact: MessageReceived) -> tuple[tuple[Paper, ...], tuple[Paper, ...]]:
        """The documents that a message lists as its group, and those it is related to (INTERFACES section 2, "names")."""

        def named(*roles: str) -> tuple[Paper, ...]:
            kinds = {"crn": "conveyance", "image": "image"}
            return tuple(self.paper(kinds.get(role, "cargo"), key) for role in roles for key in fact.keys.get(role, ()))

        table = {
            "cargo": ((), ("crn",)),
            "conveyance": (("ccn",), ()),
            "house_bill": ((), ("previous_ccn", "primary_ccn")),
            "close": (("house_bill",), ("previous_ccn", "primary_ccn")),
            "release": (("image",), ("ccn",)),
            "conveyance_arrival": (("ccn",), ("crn",)),
            "cargo_arrival": ((), ("ccn",)),
        }
        listed, related = table.get(fact.kind, ((), ()))
        return named(*listed), named(*related)

    def _object(self, number: int, basis: int) -> Letter | None:
        """The message an act is about, unless somebody else acted on it since the person looked (R5)."""
        letter = self.letters.get(number)
        return letter if letter is not None and basis in letter.acts else None


def _take_place(letter: Letter, target: Letter, *, corrects: bool) -> None:
    """R13, R15: a correction or a replacement takes the place of the message that it names, if that may still be."""
    if corrects and target.state in {"waits"} | ASIDE and not target.corrected:
        letter.place = target.place
        target.corrected = True
    elif not corrects and target.paper is letter.paper and target.state in {"waits"} | ASIDE and not target.touched:
        letter.place = target.place
        target.acts = (*target.acts, letter.position)
        _turn(target, "replaced")


def _turn(letter: Letter, state: str) -> None:
    letter.state = state
    letter.settled = False


def _put_back(letter: Letter) -> None:
    _turn(letter, "waits")
    letter.put_back = letter.intended


def _next_submission(letter: Letter) -> None:
    letter.submission += 1
    letter.attempts = 0
    _put_back(letter)


def _put_on_file(letter: Letter, *, grant: int) -> None:
    paper = letter.paper
    if grant >= paper.file_grant:
        paper.file_grant = grant
        paper.on_file = letter.function != "cancel"
        paper.file_listed = letter.listed if paper.on_file else ()
        paper.file_related = letter.related if paper.on_file else ()
