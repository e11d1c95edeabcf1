"""What may go over a link that is doubtful or just opened: one at a time (R32, R33); told from raw facts, without the fold.

Only grants that touched the wire are judged: an intent that the fold voided leaves none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.verify_gate import Gate
from audit.verify_sources import Marks
from schemas.facts import (
    AnswersReceived,
    ComponentOverridden,
    LaneFact,
    LaneTaken,
    OutageDeclared,
    OutageResolved,
    PolicyAdopted,
    SendIntended,
    SendsConcluded,
    StatusAnswered,
    WindowEnded,
)

CANARY_WAIT_MS: Final = 60_000
"""How long a canary that is not answered keeps the next one back (R60)."""

NEVER: Final = -1
ANYBODY: Final = ""
"""A tenant of no name: scopes of named tenants say nothing of a channel as a whole."""

Sent = dict[tuple[int, int], str]
"""Of each grant (intent's position, message) that touched the wire, the first outcome's result."""


@dataclass(slots=True)
class Link:
    """One channel, as far as it was told."""

    suspect_since: int = NEVER
    opened_at: int = NEVER
    out: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Messages under way: the intent, and its moment. Only those of intents since the link is watched count."""
    last: tuple[int, int] | None = None
    """Since an opening that asks for a canary: the last intent that touched the wire, and its moment."""
    answered: bool = False


class Links:
    """All channels of a lane."""

    def __init__(self, channels: dict[int, str], sent: Sent) -> None:
        self.gate = Gate()
        self.links = {name: Link() for name in set(channels.values())}
        self._channels = channels
        self._sent = sent
        self._marks = Marks()
        self._latest = dict.fromkeys(channels, NEVER)

    def take(self, position: int, fact: LaneFact) -> Iterator[tuple[str, int, str]]:
        """Go on by one fact; the rule, the position and the sentence of what is broken by it."""
        self.gate.now_ms = max(self.gate.now_ms, fact.at_ms)
        match fact:
            case OutageDeclared() | OutageResolved() | ComponentOverridden() | WindowEnded() | PolicyAdopted():
                self._take_notice(position, fact)
            case LaneTaken():  # what an earlier holder had under way is waited out (R43)
                for link in self.links.values():
                    link.out = {}
            case SendIntended():
                yield from self._take_intent(position, fact)
            case SendsConcluded():
                self._conclude(position, fact)
            case AnswersReceived():
                if fact.answers:
                    self._proved()
            case StatusAnswered():
                if any(given.outcome for given in fact.answers):
                    self._proved()
            case _:
                pass

    def _take_notice(
        self, position: int, fact: OutageDeclared | OutageResolved | ComponentOverridden | WindowEnded | PolicyAdopted
    ) -> None:
        before = {name: self._is_closed(name) for name in self.links}
        if not isinstance(fact, WindowEnded) and not self._marks.continues(fact.source):
            return
        match fact:
            case OutageDeclared():
                self.gate.declare(fact)
            case OutageResolved():
                self.gate.resolve(fact)
            case ComponentOverridden():
                self.gate.override(fact)
            case WindowEnded():
                self.gate.end_window(fact)
            case PolicyAdopted():
                self.gate.adopt(fact)
        for name, was_closed in before.items():
            if was_closed and not self._is_closed(name):
                by_hand = isinstance(fact, (WindowEnded, ComponentOverridden))
                self.links[name] = Link(opened_at=position if by_hand else NEVER)

    def _is_closed(self, name: str) -> bool:
        return self.gate.held_by(name, ANYBODY, at_ms=self.gate.now_ms) is not None

    def _take_intent(self, position: int, fact: SendIntended) -> Iterator[tuple[str, int, str]]:
        went: dict[str, list[int]] = {}
        for number in fact.messages:
            if (position, number) in self._sent:
                self._latest[number] = position
                went.setdefault(self._channels[number], []).append(number)
        for name, numbers in went.items():
            link = self.links[name]
            if link.suspect_since != NEVER and (len(numbers) > 1 or link.out):
                together = len(numbers) + len(link.out)
                yield "I2f", position, f"{name} was suspect since {link.suspect_since}, and {together} were under way at once"
            if link.opened_at != NEVER and not link.answered:
                yield from self._canary(link, name, position=position, at_ms=fact.at_ms, count=len(numbers))
            link.last = position, fact.at_ms
            if link.suspect_since != NEVER:
                link.out.update((number, (position, fact.at_ms)) for number in numbers)

    def _canary(self, link: Link, name: str, *, position: int, at_ms: int, count: int) -> Iterator[tuple[str, int, str]]:
        since = f"{name} opened at {link.opened_at} by no word of CBSA's"
        if count > 1:
            yield "I2e", position, f"{since}, and {count} were sent together before one had an answer"
        elif link.last is not None:
            before, before_ms = link.last
            results = [self._sent[key] for key in self._sent if key[0] == before]
            waited = at_ms - before_ms >= self.gate.policy.get("canary_wait_ms", CANARY_WAIT_MS)
            if results == ["transmitted"] and not waited:
                yield "I2e", position, f"{since}, and the one sent at {before} had no answer yet"

    def _conclude(self, position: int, fact: SendsConcluded) -> None:
        for outcome in fact.outcomes:
            if (
                self._sent.get((outcome.grant, outcome.message)) != outcome.result
                or outcome.grant < self._latest[outcome.message]
            ):
                continue  # told before, or of a grant that the message has left behind: void (R41)
            link = self.links[self._channels[outcome.message]]
            link.out.pop(outcome.message, None)
            if outcome.result in ("transmitted", "refused"):
                link.suspect_since, link.out = NEVER, {}
            elif outcome.result == "not_taken" and outcome.grant > link.opened_at:
                link.suspect_since = position if link.suspect_since == NEVER else link.suspect_since

    def _proved(self) -> None:
        """An answer of CBSA's: whichever it is about, more is not asked for here."""
        for link in self.links.values():
            link.answered = True


def broken_links(facts: Sequence[tuple[int, LaneFact]], channels: dict[int, str]) -> Iterator[tuple[str, int, str]]:
    """Go through a lane's facts in order. `channels`: of each message, by the position of its receipt."""
    sent: Sent = {}
    for _, fact in facts:
        if isinstance(fact, SendsConcluded):
            for outcome in fact.outcomes:
                if outcome.message in channels and outcome.result != "expired":
                    sent.setdefault((outcome.grant, outcome.message), outcome.result)
    links = Links(channels, sent)
    for position, fact in facts:
        yield from links.take(position, fact)
