"""The runner: one lane's loop of intent, read back, send, outcome; must not decide what may go: the fold does (R40).

Live forwarding and replay are the same loop: send what is sendable. The runner is a generator that is pipelined: intents, sends,
outcomes and questions are under way together, and order is kept only where the fold asks for it. It reads no clock: each turn
brings the wall clock and the boot clock.
"""

import hashlib
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from lane.due import due_facts
from lane.identity import wire_key
from lane.state import NEVER, Grants, Message
from lane.view import DeskView, LaneView
from replay.lease import Standing
from replay.planner import plan, put_back
from replay.questions import Questions
from schemas.cloudevents import attributes_of
from schemas.codec import encode
from schemas.effects import Append, CatchUp, Done, Fetch, Follow, Lock, LockResult, Read, Send, Submission, Turn, Worker
from schemas.facts import MEMBERS_COUNT_MAX, LaneFact, LaneReleased, Outcome, SendIntended, SendResult, SendsConcluded
from schemas.streams import BULLETINS, DESK, Entry, Record, inbound, lane
from schemas.wire import Transmission, TransportReply, TransportResult

TICK_S: Final = 0.2
"""Longest sleep of the loop: how late a timer or a takeover may be noticed."""

INTENTS_COUNT_MAX: Final = 4
"""Most intents under way at once: enough to hide the log's latency, few enough to read."""

STANDBY_TICK_S: Final = 0.5
"""How often a standby looks at the lease and the lock."""

RETRY_S: Final = 0.5
"""Wait after an error of the log before it is written to again."""

LAG_CHECK_S: Final = 1.0
"""How often [bulletins] is looked at for a notice that nobody has read (R4)."""

Stretch: TypeAlias = Generator[list[Submission], Turn, Turn]
"""A stretch of a worker's life; it returns the turn with which it ended."""

RESULTS: Final[dict[TransportResult, SendResult]] = {
    "transmitted": "transmitted", "refused": "refused", "not_taken": "not_taken", "slow_down": "slow_down",
    "unknown": "unknown", "not_started": "expired",
}  # fmt: skip


class PayloadAltered(Exception):
    """The log gives other bytes than were published (I1f): nothing is sent, a person is called."""


@dataclass(slots=True)
class Issue:
    """One intent of this incarnation: when it was issued, what it names, and the payloads as they come in."""

    number: int
    issued_s: float
    messages: list[Message]
    payloads: dict[int, Record] | None = None
    position: int | None = None
    lost: bool = False


@dataclass(slots=True)
class Runner:
    """One lane's runner in one process. `idempotent` and `can_query` are the gateway's (R51)."""

    view: LaneView
    desk: DeskView
    holder: str
    gateway: str
    idempotent: bool
    can_query: bool
    standing: Standing = field(init=False)
    questions: Questions = field(init=False)
    issues: dict[int, Issue] = field(default_factory=dict)
    issue_count: int = 0
    last_grant: int = NEVER
    waiting: dict[int, Grants] = field(default_factory=dict)
    sending: dict[tuple[int, int], tuple[Message, float]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    concluding: dict[int, tuple[Outcome, ...]] = field(default_factory=dict)
    conclude_count: int = 0
    doubtful: bool = False
    not_before_s: float = 0.0
    written_due: dict[object, float] = field(default_factory=dict)
    lag_checked_s: float = float("-inf")
    lagging: bool = True
    lag_asked: bool = False

    def __post_init__(self) -> None:
        self.standing = Standing(self.holder)
        self.questions = Questions(gateway=self.gateway, idempotent=self.idempotent, can_query=self.can_query)

    def run(self) -> Worker:
        """Stand by for the lane, hold it, send what is sendable; for ever, or until stopping and nothing is in flight."""
        stream = lane(self.view.state.mode)
        turn = yield [CatchUp("caught up", stream)]
        turn = yield [CatchUp("desk", DESK)]
        while not turn.stopping:
            turn = yield from self._stand_by(stream)
            if not turn.stopping:
                turn = yield from self._hold(stream, turn)

    def _stand_by(self, stream: str) -> Stretch:
        """Wait until the lane may be taken, and take it. Returns the turn it ended with."""
        while True:
            turn = yield [Lock("lock", self.view.state.mode, self.holder)]
            result = turn.done[0].result
            if isinstance(result, LockResult):
                self.standing.learn(result)
            fact = self.standing.taking(self.view.state, at_ms=turn.at_ms, boot_s=turn.boot_s, seen=self.view.next_position)
            if fact is not None and not turn.stopping:
                turn = yield [Append("take", stream, (Entry(encode(fact)),))]
                turn = yield [CatchUp("took", stream)]
                if self.standing.took(self.view.state, epoch=fact.epoch, boot_s=turn.boot_s):
                    self.last_grant = self.view.state.lease.taken
                    return turn
            if turn.stopping:
                return turn
            wanting = list(self._due(turn, stream, after_ms=self.view.state.policy.ttl_ms))
            if wanting:
                turn = yield wanting[:1]
            turn = yield [Follow("tick", stream, self.view.next_position, STANDBY_TICK_S)]

    def _hold(self, stream: str, turn: Turn) -> Stretch:
        """Send while the lease is ours. Returns the turn with which it was lost or given back."""
        follow_out = False
        under_way = 0
        turn = replace(turn, done=())
        while True:
            submissions: list[Submission] = []
            for done in turn.done:
                under_way -= 1
                if done.tag == "tick":
                    follow_out = False
                else:
                    self._complete(done, turn, submissions)
            if not self.standing.holds(self.view.state) and not self.sending:
                self._forget()
                while under_way > 0:
                    turn = yield []
                    under_way -= len(turn.done)
                return turn
            submissions.extend(self._work(turn, stream))
            if turn.stopping and self._idle() and under_way == 0 and not submissions:
                fact = LaneReleased(at_ms=turn.at_ms, epoch=self.standing.epoch)
                turn = yield [Append("release", stream, (Entry(encode(fact)),))]
                return turn
            if not follow_out and not (turn.stopping and self._idle()):
                follow_out = True
                submissions.append(Follow("tick", stream, self.view.next_position, TICK_S))
            under_way += len(submissions)
            turn = yield submissions

    def _work(self, turn: Turn, stream: str) -> Iterator[Submission]:
        """Everything that is to be done now: start grants, write outcomes, what time brings, questions, intents."""
        self._collect_grants()
        yield from self._start(turn)
        yield from self._conclude(turn, stream)
        if self.doubtful:
            self.doubtful = False
            yield CatchUp("doubt", stream)
        if turn.boot_s < self.not_before_s or not self.standing.holds(self.view.state) or turn.stopping:
            return
        yield from self._lag_check(turn)
        yield from self._due(turn, stream, after_ms=0)
        yield from self.questions.ask(self.view.state, at_ms=turn.at_ms, boot_s=turn.boot_s)
        for learnt in self.questions.facts(epoch=self.standing.epoch, at_ms=turn.at_ms):
            yield self._append("status", learnt, turn, stream)
        sign = self.standing.still_here(self.view.state, at_ms=turn.at_ms, boot_s=turn.boot_s)
        if sign is not None:
            yield self._append("sign", sign, turn, stream)
        yield from self._intend(turn, stream)

    def _intend(self, turn: Turn, stream: str) -> Iterator[Submission]:
        """Issue the next intents, and fetch their payloads meanwhile; a reader that lags issues none (R4)."""
        if turn.boot_s < self.standing.may_grant_from_s or self._lags(turn):
            return
        while len(self.issues) < INTENTS_COUNT_MAX:
            under_way = {message.position: message for issue in self.issues.values() for message in issue.messages}
            outstanding = Counter(message.channel for message in under_way.values() if message.state == "held")
            planned = plan(self.view.state, at_ms=turn.at_ms, outstanding=outstanding)
            messages = [message for message in planned if message.position not in under_way]
            if not messages:
                return
            self.issue_count += 1
            issue = Issue(self.issue_count, turn.boot_s, messages)
            self.issues[issue.number] = issue
            numbers = tuple(message.position for message in messages)
            fact = SendIntended(at_ms=turn.at_ms, epoch=self.standing.epoch, issue=issue.number, messages=numbers)
            yield self._append(("intent", issue.number), fact, turn, stream)
            positions = tuple(message.inbound for message in messages)
            yield Fetch(("payload", issue.number), inbound(self.view.state.mode), positions)

    def _complete(self, done: Done, turn: Turn, submissions: list[Submission]) -> None:
        """Take in one completion."""
        match done.tag:
            case ("intent", int(number)):
                self._intent_written(number, done, turn)
            case ("payload", int(number)):
                self._payload_came(number, done)
            case ("send", int(message), int(grant)):
                self._sent((message, grant), done)
            case ("conclude", int(number)):
                outcomes = self.concluding.pop(number)
                if done.error is not None:
                    self.outcomes[:0] = outcomes
                    self._doubt(turn)
            case ("query", *_) | ("evidence", *_):
                submissions.extend(self.questions.complete(done, boot_s=turn.boot_s))
            case ("lag", *_):
                self._lag_known(done, turn)
            case _:
                if done.error is not None:
                    self._doubt(turn)

    def _intent_written(self, number: int, done: Done, turn: Turn) -> None:
        issue = self.issues.get(number)
        if issue is None:
            return
        if done.error is None:
            positions = done.result
            assert isinstance(positions, (list, tuple, range))
            issue.position = positions[0]
        else:
            issue.lost = True
            self._doubt(turn)

    def _payload_came(self, number: int, done: Done) -> None:
        issue = self.issues.get(number)
        if issue is None:
            return
        records = done.result if done.error is None else ()
        assert isinstance(records, (list, tuple))
        issue.payloads = {record.position: record for record in records}

    def _collect_grants(self) -> None:
        """Learn grants by reading (R41): ours to start, unasked-for ones to expire; settle issues that were read back."""
        state = self.view.state
        fresh = []
        for position in reversed(state.grants):
            if position <= self.last_grant:
                break
            fresh.append(position)
        for position in reversed(fresh):
            self.last_grant = position
            if state.grants[position].epoch == self.standing.epoch:
                self.waiting[position] = state.grants[position]
        for issue in list(self.issues.values()):
            read_back = issue.position is not None and self.view.next_position > issue.position
            if (read_back and issue.position not in self.waiting) or (issue.lost and not self.doubtful):
                del self.issues[issue.number]
                put_back(state, issue.messages)

    def _start(self, turn: Turn) -> Iterator[Submission]:
        """Start what is granted, or let it expire when it came too late or nobody asked for it (R41)."""
        for position, grants in list(self.waiting.items()):
            issue = self.issues.get(grants.issue)
            late = issue is None or turn.boot_s > issue.issued_s + self.view.state.policy.delta_ms / 1000
            late = late or not self.standing.holds(self.view.state)
            if not late and issue is not None and issue.payloads is None:
                continue
            del self.waiting[position]
            if issue is not None:
                self.issues.pop(issue.number, None)
                put_back(self.view.state, [message for message in issue.messages if message.position not in grants.members])
            for message in list(grants.members.values()):
                record = None if issue is None or issue.payloads is None else issue.payloads.get(message.inbound)
                if late or record is None or issue is None:
                    self.outcomes.append(Outcome(message=message.position, grant=position, result="expired"))
                else:
                    yield self._send(message, record, position=position, issued_s=issue.issued_s)

    def _send(self, message: Message, record: Record, *, position: int, issued_s: float) -> Send:
        if hashlib.sha256(record.value).hexdigest() != message.sha256:
            raise PayloadAltered(
                f"the bytes at {record.position} are not those that were published as {message}; stop and verify"
            )
        attributes = attributes_of(record, self.view.state.mode)
        self.sending[message.position, position] = (message, issued_s)
        transmission = Transmission(
            wire_key=wire_key(self.view.state.mode, message),
            payload=record.value,
            content_type=attributes.content_type,
            tenant=message.tenant,
            mode=self.view.state.mode,
            kind=message.kind,
            channel=message.channel,
            function=message.function,
            keys=attributes.keys,
            start_by_s=issued_s + self.view.state.policy.delta_ms / 1000,
            within_s=self.view.state.policy.tau_ms / 1000,
        )
        return Send(("send", message.position, position), transmission)

    def _sent(self, name: tuple[int, int], done: Done) -> None:
        message, issued_s = self.sending.pop(name)
        reply = done.result
        assert isinstance(reply, TransportReply)
        self.outcomes.append(
            Outcome(
                message=message.position,
                grant=name[1],
                result=RESULTS[reply.result],
                status=reply.status,
                retry_after_ms=None if reply.retry_after_s is None else round(reply.retry_after_s * 1000),
                age_ms=None if reply.started_s is None else round((reply.started_s - issued_s) * 1000),
                detail=reply.detail[:200],
            )
        )

    def _conclude(self, turn: Turn, stream: str) -> Iterator[Submission]:
        """Write what became of grants; what could not be written is written again: the first outcome counts (R41)."""
        while self.outcomes and turn.boot_s >= self.not_before_s:
            batch, self.outcomes = tuple(self.outcomes[:MEMBERS_COUNT_MAX]), self.outcomes[MEMBERS_COUNT_MAX:]
            self.conclude_count += 1
            self.concluding[self.conclude_count] = batch
            fact = SendsConcluded(at_ms=turn.at_ms, epoch=self.standing.epoch, outcomes=batch)
            yield self._append(("conclude", self.conclude_count), fact, turn, stream)

    def _due(self, turn: Turn, stream: str, *, after_ms: int) -> Iterator[Submission]:
        """Write the facts that time brings, each not again until it had time to take effect.

        They belong to no epoch: a standby writes them too, a while later, lest a window whose holder died never ends.
        """
        for fact in due_facts(self.view.state, at_ms=turn.at_ms - after_ms):
            name = replace(fact, at_ms=0)
            if turn.boot_s >= self.written_due.get(name, float("-inf")):
                self.written_due = {key: until for key, until in self.written_due.items() if until > turn.boot_s}
                self.written_due[name] = turn.boot_s + RETRY_S
                yield self._append("due", replace(fact, at_ms=turn.at_ms), turn, stream)

    def _append(self, tag: object, fact: LaneFact, turn: Turn, stream: str) -> Append:
        self.standing.wrote_at_s = turn.boot_s
        return Append(tag, stream, (Entry(encode(fact)),))

    def _doubt(self, turn: Turn) -> None:
        """After an append error: read to the end before anything else is written (R1)."""
        self.doubtful = True
        self.not_before_s = turn.boot_s + RETRY_S

    def _lag_check(self, turn: Turn) -> Iterator[Submission]:
        if not self.lag_asked and turn.boot_s - self.lag_checked_s >= LAG_CHECK_S:
            self.lag_asked = True
            mark = self.desk.state.marks.get(BULLETINS, NEVER)
            yield Read(("lag", mark), BULLETINS, mark + 1, 1, 0.0)

    def _lag_known(self, done: Done, turn: Turn) -> None:
        """R4: a notice that nobody has read for *lag_max* stops us; so does a log that can't be read."""
        self.lag_asked = False
        self.lag_checked_s = turn.boot_s
        records = done.result
        if done.error is not None or not isinstance(records, (list, tuple)):
            self.lagging = True
        else:
            self.lagging = bool(records) and turn.at_ms - records[0].at_ms > self.view.state.policy.lag_max_ms

    def _lags(self, turn: Turn) -> bool:
        """Whether [bulletins] or the desk hold something that this lane should have passed by now (R4)."""
        lag_max_ms = self.view.state.policy.lag_max_ms
        if self.lagging or (turn.boot_s - self.lag_checked_s) * 1000 > lag_max_ms:
            return True
        copies = self.desk.state.copies_after(self.view.state.marks.get(DESK, NEVER))
        return bool(copies) and turn.at_ms - copies[0].at_ms > lag_max_ms

    def _idle(self) -> bool:
        return not (self.sending or self.outcomes or self.concluding or self.waiting or self.issues)

    def _forget(self) -> None:
        """The lane is another's: what we had not started is theirs to settle (R44)."""
        for issue in self.issues.values():
            put_back(self.view.state, issue.messages)
        self.issues.clear()
        self.waiting.clear()
        self.standing = Standing(self.holder, locked=self.standing.locked)
