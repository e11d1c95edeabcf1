"""Messages and documents as the auditor keeps them; must not know facts' effects, edges or outages, nor the fold.

A document is on file when its latest captured or filed message, latest by grant, is not a cancel, whoever filed it (R12).
"""

from collections.abc import Iterator
from typing import Final

from schemas.facts import MessageReceived

STATES: Final = (
    "waits", "sent", "unknown", "captured", "rejected", "refused", "foreign", "withdrawn", "replaced", "filed",
)  # fmt: skip
UNSETTLED: Final = frozenset({"waits", "sent", "unknown"})
ASIDE: Final = frozenset({"rejected", "refused", "foreign"})
FINISHED: Final = frozenset({"captured", "filed", "withdrawn", "replaced"})
ON_THE_WIRE: Final = frozenset({"sent", "unknown"})
NEVER: Final = -1


class Paper:
    """A document as CBSA knows it: its messages here, who names it, and whether it is on file."""

    __slots__ = ("filings", "house_bill", "key", "kind", "letters", "namers", "unsure")

    def __init__(self, kind: str, key: str) -> None:
        self.kind = kind
        self.key = key
        self.letters: list[Letter] = []
        self.namers: list[Paper] = []
        self.filings: list[tuple[int, Letter]] = []
        self.house_bill = False
        self.unsure = False  # on file or not: by a fact that may have been void

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def on_file(self) -> bool:
        """Whether its latest filing is not a cancel; also where the auditor can't be sure that it is not."""
        return self.unsure or (bool(self.filings) and self.filings[-1][1].function != "cancel")

    def put_on_file(self, letter: "Letter", *, grant: int) -> None:
        """Note a capture or filing in its turn."""
        self.take_off_file(letter)
        self.filings.append((grant, letter))
        self.filings.sort(key=lambda filing: filing[0])

    def take_off_file(self, letter: "Letter") -> None:
        """CBSA has lost it, or never had it: what was on file before is so again."""
        self.filings = [filing for filing in self.filings if filing[1] is not letter]

    def original_due(self, *, before: int | None = None) -> "Letter | None":
        """An original that was received and has neither come on file nor left the queue (withdrawn, replaced, corrected).

        `before`: only one whose turn came before that place.
        """
        for letter in self.letters:
            due = letter.function == "original" and letter.state in UNSETTLED | ASIDE
            if due and not (letter.corrected or letter.unsure) and (before is None or letter.place < before):
                return letter
        return None

    def busy(self) -> bool:
        """Whether a message of it is not finished."""
        return any(not letter.finished() for letter in self.letters)

    def settled(self) -> bool:
        """Whether a message of it was transmitted and its settling time has passed (R23)."""
        return any(letter.settled for letter in self.letters)

    def speakers(self) -> Iterator["Letter"]:
        """The messages that say what it names: the one on file, those on the wire, and a waiting one that can't be parked."""
        if self.filings and self.filings[-1][1].function != "cancel":
            yield self.filings[-1][1]
        for letter in self.letters:
            alone = len(self.letters) == 1 and letter.state == "waits" and letter.plain and not letter.grace
            if not letter.unsure and (letter.state in ON_THE_WIRE or alone):
                yield letter

    def names(self, paper: "Paper") -> bool:
        """Whether this document names that one."""
        return any(paper in letter.listed or paper in letter.related for letter in self.speakers())


class Letter:
    """One effective message."""

    __slots__ = (
        "acts", "again", "ahead", "attempts", "channel", "concluded", "corrected", "function", "grace", "grant", "intended",
        "key", "kind", "listed", "paper", "place", "plain", "position", "put_back", "related", "resubmissions", "settled",
        "state", "submission", "tenant", "touched", "turned_ms", "unasked", "unsure", "went",
    )  # fmt: skip

    def __init__(self, position: int, fact: MessageReceived, paper: Paper) -> None:
        self.position = self.place = position
        self.acts: tuple[int, ...] = (position,)  # what a person may have seen last; several where one may have been void
        self.tenant, self.key = fact.tenant, fact.key
        self.kind, self.function, self.channel = fact.kind, fact.function, fact.channel
        self.plain = fact.function == "original" and (fact.replaces, fact.corrects, fact.not_after_ms) == (None, None, None)
        self.paper = paper
        self.listed: tuple[Paper, ...] = ()
        self.related: tuple[Paper, ...] = ()
        self.state = "waits"
        self.turned_ms = 0
        self.intended = NEVER  # the last intent of the epoch in force that names it
        self.concluded = NEVER  # the last grant with an outcome
        self.grant = NEVER  # the last grant that touched the wire
        self.went = NEVER  # the first one
        self.put_back = NEVER  # outcomes of grants up to here come too late to change the state
        self.unasked = NEVER  # an answer that came before any outcome: void if it was never granted before
        self.submission = 1
        self.again = False  # it may be that the next submission is current
        self.ahead = 0  # so many submissions may have followed the one that is known
        self.attempts = 0
        self.resubmissions = 0
        self.touched = False
        self.settled = False
        self.corrected = False
        self.grace = False
        self.unsure = False

    def __str__(self) -> str:
        return f"{self.paper} ({self.tenant}/{self.key})"

    def turn(self, state: str, *, at_ms: int = 0) -> None:
        """Come into another state; `at_ms` counts where that is its last one."""
        self.state = state
        self.turned_ms = at_ms
        self.settled = False

    def back(self) -> None:
        """Wait again; outcomes of earlier grants change nothing any more."""
        self.turn("waits")
        self.put_back = self.intended

    def doubt(self, act: int | None = None) -> None:
        """From here on nothing is held against anybody because of this message."""
        self.unsure = True
        self.paper.unsure = True
        self.acts = self.acts if act is None else (*self.acts, act)

    def open(self) -> bool:
        """Whether an intent names it that has no outcome: it may be in flight, or have been when its holder went."""
        return self.intended > self.concluded

    def finished(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state in FINISHED or (self.state in ASIDE and self.corrected)

    def on_the_wire(self) -> bool:
        """Whether it went and nobody knows yet what became of it."""
        return self.state in ON_THE_WIRE and not self.unsure
