"""The runner: one lane's loop of intent, read back, send, outcome; must not decide what may go: the fold does (R40).

Live forwarding and replay are the same loop: send what is sendable. The runner is a generator that is pipelined: intents, sends,
outcomes and questions are under way together, and order is kept only where the fold asks for it. It reads no clock: each turn
brings the wall clock and the boot clock. What it leans on: `lease` (who holds the lane), `planner` (what to name next), `flight`
(what is under way), `questions` (what became of the unknown), `lag` (is it up to date).
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from lane.due import due_facts
from lane.view import DeskView, LaneView
from replay.flight import Flight
from replay.lag import Lag
from replay.lease import Standing
from replay.planner import plan
from replay.questions import Questions
from schemas.codec import encode
from schemas.effects import Append, CatchUp, Done, Follow, Lock, LockResult, Sleep, Submission, Turn, Unlock, Worker
from schemas.facts import LaneFact, LaneReleased
from schemas.streams import DESK, Entry, lane
from schemas.wire import TransportReply

LOOK_AROUND_S: Final = 0.05
"""How often the holder looks at clocks: time's facts, questions, lag, signs of life; in between it only lets go."""

TICK_S: Final = 0.2
"""Longest sleep of the loop: how late a timer or a takeover may be noticed."""

STANDBY_TICK_S: Final = 0.5
"""How often a standby looks at the lease and the lock."""

RETRY_S: Final = 0.5
"""Wait after an error of the log before it is written to again, and before the same fact that time brings is."""

Stretch: TypeAlias = Generator[list[Submission], Turn, Turn]
"""A stretch of a worker's life; it returns the turn with which it ended."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """One lane's runner in one process. `idempotent` and `can_query` are the gateway's (R51)."""

    view: LaneView
    desk: DeskView
    holder: str
    gateway: str
    idempotent: bool
    can_query: bool
    standing: Standing = field(init=False)
    flight: Flight = field(init=False)
    questions: Questions = field(init=False)
    lag: Lag = field(init=False)
    in_doubt: bool = False
    doubt_asked: bool = False
    quiet_until_s: float = 0.0
    looked_s: float = float("-inf")
    written_due: dict[LaneFact, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Begin an incarnation: what the last one had asked, issued or looked at is no concern of this one."""
        locked = self.standing.locked if hasattr(self, "standing") else False
        self.standing = Standing(self.holder, locked=locked)
        self.flight = Flight()
        self.questions = Questions(gateway=self.gateway, idempotent=self.idempotent, can_query=self.can_query)
        self.lag = Lag()
        self.in_doubt = self.doubt_asked = False

    def run(self) -> Worker:
        """Stand by for the lane, hold it, send what is sendable; for ever, or until stopping and nothing is in flight."""
        turn = yield from self._read_up(DESK)
        while not turn.stopping:
            turn = yield from self._stand_by()
            if not turn.stopping:
                turn = yield from self._hold(turn)
                self._begin()

    def _read_up(self, stream: str) -> Stretch:
        """Read a stream to its end, however often that takes: nothing is judged on half a fold."""
        while True:
            turn = yield [CatchUp("caught up", stream)]
            if turn.done[0].error is None or turn.stopping:
                return turn
            turn = yield [Sleep("retry", RETRY_S)]

    def _stand_by(self) -> Stretch:
        """Wait until the lane may be taken, and take it. Returns the turn it ended with."""
        turn = yield from self._read_up(self._stream)
        while not turn.stopping:
            turn = yield [Lock("lock", self.view.state.mode, self.holder)]
            self._learn_lock(turn.done[0])
            fact = self.standing.taking(self.view.state, at_ms=turn.at_ms, boot_s=turn.boot_s, seen=self.view.next_position)
            if fact is not None and not turn.stopping:
                turn = yield [self._append("take", fact, turn)]
                turn = yield from self._read_up(self._stream)
                if self.standing.took(self.view.state, epoch=fact.epoch, boot_s=turn.boot_s):
                    self.flight.last_grant = self.view.state.lease.taken
                    return turn
            if self.standing.locked:
                turn = yield [self._unlock()]
            for submission in self._due(turn, after_ms=self.view.state.policy.ttl_ms):
                turn = yield [submission]
            turn = yield [Follow("tick", self._stream, self.view.next_position, STANDBY_TICK_S)]
        return turn

    def _hold(self, turn: Turn) -> Stretch:
        """Send while the lease is ours. Returns the turn with which it was lost or given back, and all that we know is told."""
        ticking = False
        under_way = 0
        turn = replace(turn, done=())
        while True:
            submissions: list[Submission] = []
            for done in turn.done:
                under_way -= 1
                ticking = ticking and done.tag != "tick"
                submissions.extend(self._complete(done, turn))
            submissions.extend(self._work(turn))
            ending = (turn.stopping or not self._holds()) and self.flight.is_empty()
            if ending and under_way == 0 and not submissions:
                if self._holds():
                    turn = yield [self._unlock()]  # first: a standby that the release wakes up finds the lock free
                    turn = yield [self._append("release", LaneReleased(at_ms=turn.at_ms, epoch=self.standing.epoch), turn)]
                return turn
            if not ticking and not ending:
                ticking = True
                submissions.append(Follow("tick", self._stream, self.view.next_position, TICK_S))
            under_way += len(submissions)
            turn = yield submissions

    def _work(self, turn: Turn) -> Iterator[Submission]:
        """Everything that is to be done now: start grants, write outcomes, what time brings, questions, intents."""
        state, epoch = self.view.state, self.standing.epoch
        if not self._holds():
            self.flight.give_up(state)
        self.flight.collect(state, epoch=epoch, read_to=self.view.next_position, in_doubt=self.in_doubt)
        yield from self.flight.start(state, turn, holds=self._holds())
        if turn.boot_s < self.quiet_until_s:
            return
        if self.in_doubt and not self.doubt_asked:
            self.doubt_asked = True
            yield CatchUp("doubt", self._stream)
        if self.in_doubt:
            return
        for number, fact in self.flight.conclude(epoch=epoch, at_ms=turn.at_ms):
            yield self._append(("conclude", number), fact, turn)
        if turn.stopping or not self._holds():
            return
        if turn.boot_s - self.looked_s >= LOOK_AROUND_S:
            self.looked_s = turn.boot_s
            yield from self._look_around(turn)
        yield from self._intend(turn)

    def _look_around(self, turn: Turn) -> Iterator[Submission]:
        """What the clock brings: a look at the lag, facts that are due, questions and what they taught, a sign of life."""
        state, epoch = self.view.state, self.standing.epoch
        if self.standing.asks_lock(boot_s=turn.boot_s):
            yield Lock("lock", state.mode, self.holder)
        yield from self.lag.look(self.desk, boot_s=turn.boot_s)
        yield from self._due(turn, after_ms=0)
        yield from self.questions.ask(state, at_ms=turn.at_ms, boot_s=turn.boot_s)
        for learnt in self.questions.facts(epoch=epoch, at_ms=turn.at_ms):
            yield self._append("status", learnt, turn)
        sign = self.standing.still_here(state, at_ms=turn.at_ms, boot_s=turn.boot_s)
        if sign is not None:
            yield self._append("sign", sign, turn)

    def _intend(self, turn: Turn) -> Iterator[Submission]:
        """Issue the next intents, and fetch their payloads meanwhile; a reader that lags issues none (R4)."""
        state = self.view.state
        if turn.boot_s < self.standing.may_grant_from_s or self.lag.lags(state, self.desk, turn):
            return
        if not self.flight.may_issue():
            return
        planned = plan(state, at_ms=turn.at_ms, outstanding=self.flight.outstanding())
        issued = self.flight.issue(state, planned, epoch=self.standing.epoch, turn=turn)
        if issued is not None:
            number, fact = issued
            yield self._append(("intent", number), fact, turn)
            yield self.flight.fetch(number, mode=state.mode)

    def _complete(self, done: Done, turn: Turn) -> Iterator[Submission]:
        """Take in one completion. After an append error the lane is read to its end before anything else is written (R1)."""
        sure = True
        match done.tag:
            case ("intent", int(number)):
                sure = self.flight.written(number, done)
            case ("payload", int(number)):
                sure = self.flight.fetched(number, done)
            case ("send", int(message), int(grant)):
                assert isinstance(done.result, TransportReply)
                self.flight.sent(message, grant, done.result)
            case ("conclude", int(number)):
                sure = self.flight.concluded(number, done)
            case ("query", *_) | ("evidence", *_):
                yield from self.questions.complete(done, boot_s=turn.boot_s)
            case ("lag", str(stream), int(position)):
                self.lag.learn(self.view.state, done, turn, beyond=(stream, position))
            case "lock":
                self._learn_lock(done)
            case "doubt":
                self.doubt_asked = False
                self.in_doubt = done.error is not None
                sure = done.error is None
            case _:
                sure = done.error is None
        if not sure:
            self.in_doubt = True
            self.quiet_until_s = turn.boot_s + RETRY_S

    def _due(self, turn: Turn, *, after_ms: int) -> Iterator[Append]:
        """Write the facts that time brings, each not again until it had time to take effect.

        They belong to no epoch: a standby writes them too, a while later, lest a window whose holder died never ends.
        """
        for fact in due_facts(self.view.state, at_ms=turn.at_ms - after_ms):
            timeless = replace(fact, at_ms=0)
            if turn.boot_s >= self.written_due.get(timeless, float("-inf")):
                self.written_due = {key: until for key, until in self.written_due.items() if until > turn.boot_s}
                self.written_due[timeless] = turn.boot_s + RETRY_S
                yield self._append("due", replace(fact, at_ms=turn.at_ms), turn)

    def _append(self, tag: object, fact: LaneFact, turn: Turn) -> Append:
        self.standing.wrote_at_s = turn.boot_s
        return Append(tag, self._stream, (Entry(encode(fact)),))

    def _learn_lock(self, done: Done) -> None:
        if isinstance(done.result, LockResult):
            self.standing.learn(done.result)

    def _unlock(self) -> Unlock:
        self.standing.locked = False
        return Unlock("unlock", self.view.state.mode)

    def _holds(self) -> bool:
        return self.standing.holds(self.view.state)

    @property
    def _stream(self) -> str:
        return lane(self.view.state.mode)
