"""Questions: what became of messages whose fate is unknown, R51 and R54; must not decide what an answer does.

A status answer is kept raw in [responses] first; the fact names where it lies.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lane.due import questions
from lane.identity import wire_key
from lane.state import NEVER, LaneState, Message
from schemas.effects import Append, Done, Query, Submission
from schemas.facts import MEMBERS_COUNT_MAX, PersonNeeded, StatusAnswered, StatusGiven
from schemas.responses import status_entry
from schemas.streams import RESPONSES
from schemas.wire import StatusReply

ASK_AGAIN_S: Final = 2.0
"""First wait before the same question is asked again; it doubles."""

ASK_AGAIN_MAX_S: Final = 300.0
"""Longest wait between two askings of the same question."""

QUESTIONS_OUT_MAX: Final = 32
"""Most status queries under way at once."""

AGAIN_COUNT_MAX: Final = 8
"""Most times that a submission goes again because CBSA does not know it; then a person is asked. The questions in between are
further and further apart, so that this takes four minutes at least: a restart of CBSA's server is over by then."""


@dataclass(slots=True)
class Asked:
    """One question: when it may be asked again, and how long the wait after that."""

    grant: int
    again_s: float
    wait_s: float = ASK_AGAIN_S


@dataclass(slots=True)
class Questions:
    """The questions of one lane's runner."""

    gateway: str
    idempotent: bool
    can_query: bool
    asked: dict[int, Asked] = field(default_factory=dict)
    out: dict[int, tuple[Message, int]] = field(default_factory=dict)
    wire_keys: dict[int, str] = field(default_factory=dict)
    replies: dict[int, StatusReply] = field(default_factory=dict)
    again: dict[int, int] = field(default_factory=dict)
    given: list[StatusGiven] = field(default_factory=list)
    persons: list[tuple[int, str]] = field(default_factory=list)

    def ask(self, state: LaneState, *, at_ms: int, boot_s: float) -> Iterator[Submission]:
        """Ask what is due, each question with back-off; nothing goes to a channel that a notice holds."""
        self.again = {number: count for number, count in self.again.items() if _is_open(state, number)}
        waiting = {
            number for number, asked in self.asked.items() if boot_s < asked.again_s and self._same_question(state, number, asked)
        }
        for message in questions(state, at_ms=at_ms, not_now=waiting | self.out.keys()):
            if len(self.out) >= QUESTIONS_OUT_MAX:
                break
            asked = self.asked.get(message.position)
            same = asked is not None and self._same_question(state, message.position, asked)
            wait_s = asked.wait_s if asked is not None and same else ASK_AGAIN_S
            self.asked[message.position] = Asked(message.grant, boot_s + wait_s, min(wait_s * 2, ASK_AGAIN_MAX_S))
            if self.can_query:
                self.out[message.position] = (message, message.grant)
                self.wire_keys[message.position] = wire_key(state.mode, message)
                yield Query(("query", message.position), self.wire_keys[message.position])
            else:
                self._without_query(message, answer_due=at_ms >= message.since_ms + state.policy.answer_due_ms)
        self.asked = {number: asked for number, asked in self.asked.items() if boot_s < asked.again_s + ASK_AGAIN_MAX_S}

    def _same_question(self, state: LaneState, number: int, asked: Asked) -> bool:
        """Whether the question is still about the attempt that it was asked about, or about one more of those that CBSA never
        knew: each of these is asked about later than the one before."""
        message = state.messages.get(number)
        return message is not None and (message.grant == asked.grant or number in self.again)

    def complete(self, done: Done, *, boot_s: float) -> Iterator[Submission]:
        """Take in a status answer, or the word that it is kept."""
        match done.tag:
            case ("query", int(number)):
                reply = done.result
                if not isinstance(reply, StatusReply) or reply.known is None:
                    del self.out[number]
                    return
                self.replies[number] = reply
                entry = status_entry(self.gateway, self.wire_keys.pop(number), reply.raw)
                yield Append(("evidence", number), RESPONSES, (entry,))
            case ("evidence", int(number)):
                message, grant = self.out.pop(number)
                reply = self.replies.pop(number)
                if done.error is not None:
                    self.asked[number] = Asked(grant, boot_s + ASK_AGAIN_S)
                    return
                positions = done.positions
                self._learn(message, grant, reply=reply, evidence=positions[0])
            case _:
                raise AssertionError(f"no question has the tag {done.tag}")

    def facts(self, *, epoch: int, at_ms: int) -> Iterator[StatusAnswered | PersonNeeded]:
        """What was learnt, as facts."""
        while self.given:
            batch, self.given = tuple(self.given[:MEMBERS_COUNT_MAX]), self.given[MEMBERS_COUNT_MAX:]
            yield StatusAnswered(at_ms=at_ms, epoch=epoch, answers=batch)
        persons, self.persons = self.persons, []
        for reason in sorted({reason for _, reason in persons}):
            numbers = tuple(number for number, why in persons if why == reason)
            yield PersonNeeded(at_ms=at_ms, epoch=epoch, messages=numbers[:MEMBERS_COUNT_MAX], reason=reason)

    def _learn(self, message: Message, grant: int, *, reply: StatusReply, evidence: int) -> None:
        known = bool(reply.known)
        if not known and not self.idempotent and message.state == "unknown":
            self.persons.append(
                (message.position, "CBSA does not know it, and this gateway may not send the same again by itself")
            )
            return
        if not known and message.state == "unknown" and not self._may_go_again(message):
            return
        outcome = reply.outcome
        self.given.append(StatusGiven(message=message.position, grant=grant, known=known, outcome=outcome, evidence=evidence))

    def _may_go_again(self, message: Message) -> bool:
        """Count that it goes again; where it has gone so often, ask a person instead (I7c)."""
        count = self.again.get(message.position, 0) + 1
        if count <= AGAIN_COUNT_MAX:
            self.again[message.position] = count
            return True
        del self.again[message.position]  # who settles it to held lets it go as often anew
        self.persons.append((message.position, f"it was sent {count} times and CBSA does not know it: look what is in its way"))
        return False

    def _without_query(self, message: Message, *, answer_due: bool) -> None:
        """R51: without a status query the same submission goes again if the gateway is idempotent, else a person decides.

        One that CBSA called a duplicate was taken: it never goes again, an answer to the first attempt is waited for (R53, R54).
        """
        if message.state == "unknown" and message.code != "R53" and self.idempotent:
            if self._may_go_again(message):
                self.given.append(
                    StatusGiven(message=message.position, grant=message.grant, known=False, outcome=None, evidence=NEVER)
                )
        elif answer_due or not (message.state == "unknown" and message.code == "R53"):
            self.persons.append((message.position, "CBSA has not answered, and this gateway can't ask"))


def _is_open(state: LaneState, number: int) -> bool:
    """Whether a message is there and may yet go again."""
    message = state.messages.get(number)
    return message is not None and message.state in ("held", "granted", "unknown")
