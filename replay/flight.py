"""What one incarnation has under way: intents, grants to start, sends and their outcomes; must not choose what goes.

Grants are learnt only by reading (R41): an append may be ambiguous or late, so that a grant may come back that nobody waits for
any more. It expires, like one that comes too late to be started within *delta* of the moment before its intent was issued.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lane.identity import wire_key
from lane.state import NEVER, Grants, LaneState, Message
from replay.planner import put_back
from schemas.cloudevents import attributes_of, keys_text
from schemas.effects import Done, Fetch, Send, Turn
from schemas.facts import MEMBERS_COUNT_MAX, Outcome, SendIntended, SendResult, SendsConcluded
from schemas.messages import MessageUnreadable
from schemas.streams import Record, inbound
from schemas.wire import Transmission, TransportReply, TransportResult

INTENTS_COUNT_MAX: Final = 4
"""Most intents under way at once: enough to hide the log's latency, few enough to read."""

ISSUE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Most payload bytes that one intent brings into memory, passed by at most one message."""

DETAIL_CHARS_MAX: Final = 200
"""How much of the transport's words is kept in an outcome: a sentence."""

RESULTS: Final[dict[TransportResult, SendResult]] = {
    "transmitted": "transmitted", "refused": "refused", "not_taken": "not_taken", "slow_down": "slow_down",
    "unknown": "unknown", "not_started": "expired",
}  # fmt: skip


class PayloadAltered(Exception):
    """The log gives other bytes than were published (I1f): nothing is sent, a person is called."""


@dataclass(slots=True)
class Issue:
    """One intent of this incarnation: when it was issued, what it names, where it stands, and its payloads as they come in.

    `lost`: its append failed or is ambiguous; after the lane is read to its end it is given up. `read_back`: its grants are
    known.
    """

    issued_s: float
    messages: list[Message]
    channels: Counter[str]
    payloads: dict[int, Record] | None = None
    position: int | None = None
    lost: bool = False
    read_back: bool = False


@dataclass(slots=True)
class Flight:
    """Everything of one incarnation that is under way. Times are readings of the boot clock, in seconds."""

    issues: dict[int, Issue] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)
    issue_count: int = 0
    last_grant: int = NEVER
    waiting: dict[int, Grants] = field(default_factory=dict)
    sending: dict[tuple[int, int], float] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    concluding: dict[int, tuple[Outcome, ...]] = field(default_factory=dict)
    conclude_count: int = 0

    def is_empty(self) -> bool:
        """Whether nothing is under way and every outcome is written."""
        return not (self.sending or self.outcomes or self.concluding or self.waiting or self.issues)

    def may_issue(self) -> bool:
        """Whether another intent may be made: one is written at a time, so that it names all that became free meanwhile."""
        return len(self.issues) < INTENTS_COUNT_MAX and all(
            issue.position is not None or issue.read_back for issue in self.issues.values()
        )

    def outstanding(self) -> Counter[str]:
        """How many messages per channel are intended and not read back yet: they count against the caps."""
        found: Counter[str] = Counter()
        for issue in self.issues.values():
            if not issue.read_back:
                found.update(issue.channels)
        return found

    def issue(self, state: LaneState, planned: list[Message], *, epoch: int, turn: Turn) -> tuple[int, SendIntended] | None:
        """Make an intent of what was planned and is not named by another one; None when nothing is left of it."""
        fresh = [message for message in planned if message.position not in self.named]
        messages = list(_within_bytes(fresh))
        put_back(state, fresh[len(messages) :])
        if not messages:
            return None
        self.issue_count += 1
        self.issues[self.issue_count] = Issue(turn.boot_s, messages, Counter(message.channel for message in messages))
        numbers = tuple(message.position for message in messages)
        self.named.update(numbers)
        return self.issue_count, SendIntended(at_ms=turn.at_ms, epoch=epoch, issue=self.issue_count, messages=numbers)

    def fetch(self, number: int, *, mode: str) -> Fetch:
        """Fetch an intent's payloads while it is being written."""
        positions = tuple(message.inbound for message in self.issues[number].messages)
        return Fetch(("payload", number), inbound(mode), positions)

    def written(self, number: int, done: Done) -> bool:
        """Take in that an intent was appended, or not; False when that is in doubt."""
        issue = self.issues.get(number)
        if issue is not None and done.error is None:
            positions = done.positions
            issue.position = positions[0]
        elif issue is not None:
            issue.lost = True
        return done.error is None

    def fetched(self, number: int, done: Done) -> bool:
        """Take in an intent's payloads; without them its grants expire. False when they could not be had."""
        issue = self.issues.get(number)
        if issue is not None:
            records = done.result if done.error is None else ()
            assert isinstance(records, (list, tuple))
            issue.payloads = {record.position: record for record in records}
        return done.error is None

    def collect(self, state: LaneState, *, epoch: int, read_to: int, in_doubt: bool) -> None:
        """Learn grants by reading, unasked-for ones too; give up intents that came back void or were lost."""
        fresh = []
        for position in reversed(state.grants):
            if position <= self.last_grant:
                break
            fresh.append(position)
        for position in reversed(fresh):
            self.last_grant = position
            grants = state.grants[position]
            if grants.epoch == epoch:
                self.waiting[position] = grants
                if grants.issue in self.issues:
                    self.issues[grants.issue].read_back = True
        for number, issue in list(self.issues.items()):
            is_void = issue.position is not None and read_to > issue.position and issue.position not in self.waiting
            if is_void or (issue.lost and not in_doubt):
                put_back(state, self._end(number).messages)

    def start(self, state: LaneState, turn: Turn, *, holds: bool) -> Iterator[Send]:
        """Start what is granted and has its payload; what came too late, or to nobody, expires (R41)."""
        delta_s = state.policy.delta_ms / 1000
        for position, grants in list(self.waiting.items()):
            issue = self.issues.get(grants.issue)
            in_time = issue is not None and holds and turn.boot_s <= issue.issued_s + delta_s
            if in_time and issue is not None and issue.payloads is None:
                continue
            del self.waiting[position]
            payloads = issue.payloads or {} if in_time and issue is not None else {}
            if issue is not None:
                self._end(grants.issue)
                put_back(state, [message for message in issue.messages if message.position not in grants.members])
            for message in list(grants.members.values()):
                record = payloads.get(message.inbound)
                if record is None or issue is None or message.state != "granted":
                    self.outcomes.append(Outcome(message=message.position, grant=position, result="expired"))
                else:
                    yield from self._send(state, message, record, issued_s=issue.issued_s)

    def _send(self, state: LaneState, message: Message, record: Record, *, issued_s: float) -> Iterator[Send]:
        """Put one message on the wire; what today's edge can't read any more is a person's."""
        try:
            transmission = _transmission(state, message, record, issued_s=issued_s)
        except MessageUnreadable as unreadable:
            detail = str(unreadable)[:DETAIL_CHARS_MAX]
            self.outcomes.append(Outcome(message=message.position, grant=message.grant, result="refused", detail=detail))
        else:
            self.sending[message.position, message.grant] = issued_s
            yield Send(("send", message.position, message.grant), transmission)

    def sent(self, message: int, grant: int, reply: TransportReply) -> None:
        """Take in what became of a send."""
        issued_s = self.sending.pop((message, grant))
        outcome = Outcome(
            message=message,
            grant=grant,
            result=RESULTS[reply.result],
            status=reply.status,
            retry_after_ms=None if reply.retry_after_s is None else round(reply.retry_after_s * 1000),
            age_ms=None if reply.started_s is None else round((reply.started_s - issued_s) * 1000),
            detail=reply.detail[:DETAIL_CHARS_MAX],
        )
        self.outcomes.append(outcome)

    def conclude(self, *, epoch: int, at_ms: int) -> Iterator[tuple[int, SendsConcluded]]:
        """The outcomes that are not written yet, as facts with a number each; those of a write's time go together in the next."""
        if self.concluding:
            return
        while self.outcomes:
            batch, self.outcomes = tuple(self.outcomes[:MEMBERS_COUNT_MAX]), self.outcomes[MEMBERS_COUNT_MAX:]
            self.conclude_count += 1
            self.concluding[self.conclude_count] = batch
            yield self.conclude_count, SendsConcluded(at_ms=at_ms, epoch=epoch, outcomes=batch)

    def concluded(self, number: int, done: Done) -> bool:
        """Take in that outcomes were written; what is in doubt is written again: the first outcome counts (R41)."""
        outcomes = self.concluding.pop(number)
        if done.error is not None:
            self.outcomes[:0] = outcomes
        return done.error is None

    def give_up(self, state: LaneState) -> None:
        """The lane is another's: nothing more is started; what is on the wire and its outcome stay ours to tell (R41)."""
        for number in list(self.issues):
            put_back(state, self._end(number).messages)

    def _end(self, number: int) -> Issue:
        """Forget an intent: its messages may be named again."""
        issue = self.issues.pop(number)
        self.named.difference_update(message.position for message in issue.messages)
        return issue


def _within_bytes(messages: list[Message]) -> Iterator[Message]:
    """As many as fit ISSUE_BYTES_MAX, and always the first."""
    size_bytes = 0
    for message in messages:
        size_bytes += message.size_bytes
        if size_bytes > ISSUE_BYTES_MAX and message is not messages[0]:
            return
        yield message


def _transmission(state: LaneState, message: Message, record: Record, *, issued_s: float) -> Transmission:
    """What goes on the wire: the bytes and the words as they were published, read from the record itself."""
    if hashlib.sha256(record.value).hexdigest() != message.sha256:
        raise PayloadAltered(f"the bytes at {record.position} are not those that were published as {message}; stop and verify")
    content_type, keys = _words(record, state.mode)
    return Transmission(
        wire_key=wire_key(state.mode, message),
        payload=record.value,
        content_type=content_type,
        tenant=message.tenant,
        mode=state.mode,
        kind=message.kind,
        channel=message.channel,
        function=message.function,
        keys=keys,
        start_by_s=issued_s + state.policy.delta_ms / 1000,
        within_s=state.policy.tau_ms / 1000,
    )


def _words(record: Record, mode: str) -> tuple[str, str]:
    """The record's content type, and its keys as JSON. Intake has checked all of it: where they stand plainly they are taken as
    they stand, which takes 2 us where reading every attribute anew takes 90. Raises MessageUnreadable."""
    content_type, keys = record.header("content-type"), record.header("ce_keys")
    if content_type is None or keys is None:
        attributes = attributes_of(record, mode)
        return attributes.content_type, keys_text(attributes.keys)
    try:
        return content_type.decode(), keys.decode()
    except ValueError as exc:
        raise MessageUnreadable("header_unreadable", f"the record's headers can't be read any more: {exc}") from exc
