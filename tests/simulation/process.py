"""Processes in virtual time: they carry out what the product's own workers ask, and crash, pause and start again; no rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.availability import copy_to_lane, read_bulletins
from consumers.intake import intake
from consumers.responses import ResponsesView, answers_to_lane, doubts_to_desk, dump_responses, load_responses, poll_answers
from eventlog.port import READ_COUNT_MAX, LogError, LogUnavailable
from gateway.port import GatewayUnavailable
from lane.desk_snapshot import dump_desk, load_desk
from lane.snapshot import dump, load
from lane.view import DeskView, LaneView
from replay.runner import Runner
from schemas.codec import Codec
from schemas.effects import (
    Append,
    CatchUp,
    Done,
    Fetch,
    Follow,
    Lock,
    LockResult,
    Poll,
    Query,
    Read,
    Send,
    Sleep,
    Submission,
    Turn,
    Unlock,
    Worker,
)
from schemas.streams import BULLETINS, DESK, RESPONSES, inbound, lane
from tests.simulation.authority import ANSWERS, SimulatedAuthority
from tests.simulation.clockwork import EPOCH_MS, Clockwork
from tests.simulation.locks import Locks

STOP_WITHIN_S: Final = 200.0
"""Virtual seconds for an orderly end: a pause of 60 s, a send's time-out and a dozen failed appends fit."""

PAUSES_S: Final = (0.5, 3.0, 15.0, 60.0)
"""How long a process stands still; the longest is beyond every lease."""

JUMPS_MS: Final = (-60_000, -5_000, 5_000, 60_000)
"""By how much a process's wall clock jumps."""

COMES_BACK_S: Final = (0.1, 20.0)
"""After how long a process that ended is started again."""

ZERO_EVERY: Final = 3
"""Each third start folds from zero, the others from a snapshot."""

TICK_STRETCH_MAX: Final = 8.0
"""A runner's ticks are not stretched beyond this: a holder gives a sign of life each second (R43)."""

STOPPING_WAIT_S: Final = 0.05
"""Longest wait of anything in a process that is to end, as in the product's driver."""

TURN_S: Final = 0.002
"""Longest time from a completion to the turn that brings it: others may come into the same turn."""

AT_ONCE: Final = 0.5
"""How often a completion is brought in a turn of its own."""

CODEC: Final = Codec()


@dataclass(slots=True)
class Running:
    """One worker under way: what has come in for it, whether it will be woken, and how much its idle waits are stretched."""

    name: str
    worker: Worker
    stretch: float
    inbox: list[Done] = field(default_factory=list)
    woken: bool = False


class Process:
    """One `tidegate up` for one lane: its own folds and workers; it crashes, pauses and starts again."""

    def __init__(
        self,
        clockwork: Clockwork,
        authority: SimulatedAuthority,
        *,
        name: str,
        mode: str,
        locks: Locks | None,
        patience: float = 1.0,
    ) -> None:
        self.clockwork, self.authority = clockwork, authority
        self.name = name
        self.mode = mode
        self.locks = locks
        self.patience = patience
        self.generation = 0
        self.paused_until_s = 0.0
        self.stopping_since_s: float | None = None
        self.at_work = 0
        self.kept: tuple[bytes, bytes, bytes] | None = None
        self.skew_ms = clockwork.rng.randint(-clockwork.odds.skew_ms, clockwork.odds.skew_ms)
        self._carries_out: Final[dict[type[Any], Callable[[Running, Any], None]]] = {
            Append: self._append, Read: self._read, Fetch: self._fetch, Follow: self._follow, CatchUp: self._catch_up,
            Lock: self._lock, Unlock: self._unlock, Send: self._send, Query: self._query, Poll: self._poll, Sleep: self._sleep,
        }  # fmt: skip
        self.start()

    @property
    def holder(self) -> str:
        """What this incarnation calls itself."""
        return f"{self.name}-{self.generation}"

    def start(self) -> None:
        """Begin anew: memory is lost, the log is not."""
        self.generation += 1
        self.stopping_since_s = None
        lane_body, desk_body, responses_body = self.kept or (None, None, None)
        self.lane = LaneView(self.mode, CODEC.decode, state=None if lane_body is None else load(lane_body))
        self.desk = DeskView(CODEC.decode, state=None if desk_body is None else load_desk(desk_body, CODEC.decode))
        waiting = None if responses_body is None else load_responses(responses_body)
        self.responses = ResponsesView({self.mode: self.lane}, self.desk, waiting)
        self.views: dict[str, Any] = {lane(self.mode): self.lane, DESK: self.desk, RESPONSES: self.responses}
        self.runner = Runner(
            view=self.lane, desk=self.desk, holder=self.holder, gateway="sim", idempotent=True, can_query=self.authority.can_query
        )
        workers = {
            "intake": intake(self.lane),
            "bulletins": read_bulletins(self.desk),
            "notices": copy_to_lane(self.desk, self.lane),
            "poll": poll_answers(self.responses, gateway="sim"),
            "answers": answers_to_lane(self.responses, self.lane),
            "doubts": doubts_to_desk(self.responses, self.desk),
            "runner": self.runner.run(),
        }
        self.at_work = len(workers)
        for name, worker in workers.items():
            stretch = min(self.patience, TICK_STRETCH_MAX) if name == "runner" else self.patience
            running = Running(name, worker, stretch)
            self._submit(running, next(worker))

    def read_up(self) -> None:
        """Read every stream to its end."""
        for stream in self.views:
            self._pump(stream)

    def _say(self, what: str) -> None:
        self.clockwork.saw(what)
        if self.clockwork.tell is not None:
            self.clockwork.tell(f"  it was {self.holder}")

    def _gone(self) -> None:
        self.generation += 1
        if self.generation % ZERO_EVERY:
            self.clockwork.saw("start from a snapshot")
            self.kept = (dump(self.lane.state), dump_desk(self.desk.state), dump_responses(self.responses))
        else:
            self.kept = None
        if self.locks is not None:
            self.locks.free(self.name)
        self.clockwork.at(self.clockwork.rng.uniform(*COMES_BACK_S), self.start)

    def stop(self) -> None:
        """SIGTERM: finish what is in flight, end in time, and come back later."""
        if self.stopping_since_s is None:
            self._say("stop")
            self.stopping_since_s = self.clockwork.now_s
            self.clockwork.at(STOP_WITHIN_S, self._check_stopped, self.generation)
            for stream in (*self.views, inbound(self.mode), BULLETINS, ANSWERS):  # who waits idly looks up
                self.clockwork.wake(stream)

    def _check_stopped(self, generation: int) -> None:
        if generation == self.generation:
            self.clockwork.broken.append(f"SIGTERM: {self.name} did not end within {STOP_WITHIN_S:.0f} s")

    def _later(self, delay_s: float, what: Callable[..., None], *given: Any) -> None:
        """Something for this incarnation, not before a pause is over."""
        self.clockwork.at(delay_s, self._happen, self.generation, what, given)

    def _happen(self, generation: int, what: Callable[..., None], given: tuple[Any, ...]) -> None:
        if self.generation != generation:
            return
        if self.clockwork.now_s < self.paused_until_s:
            self.clockwork.at(self.paused_until_s - self.clockwork.now_s, self._happen, generation, what, given)
        else:
            what(*given)

    def _submit(self, running: Running, submissions: list[Submission]) -> None:
        for submission in submissions:
            self._carries_out[type(submission)](running, submission)

    def _soon(self) -> float:
        """How long the log or a lock takes."""
        return 0.0005 + self.clockwork.rng.random() * 0.01

    def _finish(self, running: Running, tag: object, result: object = None, error: Exception | None = None) -> None:
        """A completion has come in: wake the worker, now or soon."""
        running.inbox.append(Done(tag, result, error))
        if running.woken:
            return
        if self.clockwork.rng.random() < AT_ONCE:
            self._wake(running)
        else:
            running.woken = True
            self._later(self.clockwork.rng.random() * TURN_S, self._wake, running)

    def _wake(self, running: Running) -> None:
        clockwork, odds = self.clockwork, self.clockwork.odds
        running.woken = False
        if clockwork.happens(odds.crash):
            self._say(f"crash of {running.name}")
            return self._gone()
        if clockwork.happens(odds.pause):
            self._say("pause")
            self.paused_until_s = clockwork.now_s + clockwork.rng.choice(PAUSES_S)
            running.woken = True
            return self._later(0, self._wake, running)
        if clockwork.happens(odds.stop):
            self.stop()
        if clockwork.happens(odds.jump):
            self._say("clock jump")
            self.skew_ms += clockwork.rng.choice(JUMPS_MS)
        done, running.inbox = tuple(running.inbox), []
        at_ms = EPOCH_MS + round(clockwork.now_s * 1000) + self.skew_ms
        stopping = self.stopping_since_s is not None
        try:
            submissions = running.worker.send(Turn(at_ms, clockwork.now_s, done, stopping=stopping))
        except StopIteration:
            assert stopping, "a worker ended by itself"
            self.at_work -= 1
            if not self.at_work:
                self._gone()
        else:
            self._submit(running, submissions)
        return None

    def _unavailable(self, running: Running, tag: object) -> bool:
        """Whether the log is away for this call; then the worker hears of it."""
        if not self.clockwork.happens(self.clockwork.odds.unavailable):
            return False
        self.clockwork.saw("log unavailable")
        self._later(self._soon(), self._finish, running, tag, None, LogUnavailable("the log is away for a moment"))
        return True

    def _until(self, running: Running, wait_s: float) -> float:
        """When a wait is over: an idle worker may wait longer than it asked."""
        return self.clockwork.now_s + wait_s * running.stretch

    def _is_over(self, deadline_s: float) -> bool:
        """Whether a wait is over: by its deadline, or because the process is to end."""
        return self.clockwork.now_s >= deadline_s or self.stopping_since_s is not None

    def _append(self, running: Running, submission: Append) -> None:
        self.clockwork.at(self._soon(), self._write, running, submission, self.generation)

    def _write(self, running: Running, submission: Append, generation: int) -> None:
        """The log applies it whatever has become of the writer; only a living writer hears of it."""
        try:
            done = Done(submission.tag, self.clockwork.append(submission.stream, submission.entries))
        except LogError as error:
            done = Done(submission.tag, error=error)
        if generation == self.generation:
            self._later(self._soon(), self._finish, running, done.tag, done.result, done.error)

    def _read(self, running: Running, submission: Read) -> None:
        if not self._unavailable(running, submission.tag):
            self._later(self._soon(), self._look, running, submission, self._until(running, submission.wait_s))

    def _look(self, running: Running, submission: Read, deadline_s: float) -> None:
        there = self.clockwork.ends[submission.stream] > submission.start
        records = self.clockwork.log.read(submission.stream, submission.start, submission.limit, 0) if there else ()
        if records or self._is_over(deadline_s):
            self._finish(running, submission.tag, records)
        else:
            self._wait(submission.stream, lambda: self._look(running, submission, deadline_s), deadline_s=deadline_s)

    def _wait(self, stream: str, look: Callable[[], None], *, deadline_s: float) -> None:
        """Look again for this incarnation when the stream may have grown."""
        generation = self.generation
        self.clockwork.wait_for(stream, lambda: self._happen(generation, look, ()), deadline_s=deadline_s)

    def _fetch(self, running: Running, submission: Fetch) -> None:
        if not self._unavailable(running, submission.tag):
            result = self.clockwork.log.fetch(submission.stream, submission.positions)
            self._later(self._soon(), self._finish, running, submission.tag, result)

    def _pump(self, stream: str) -> int:
        view = self.views[stream]
        if self.clockwork.ends[stream] > view.next_position:
            view.absorb(self.clockwork.log.read(stream, view.next_position, READ_COUNT_MAX, 0))
        return int(view.next_position)

    def _follow(self, running: Running, submission: Follow) -> None:
        self._later(self._soon(), self._come_beyond, running, submission, self._until(running, submission.wait_s))

    def _come_beyond(self, running: Running, submission: Follow, deadline_s: float) -> None:
        if self._pump(submission.stream) > submission.beyond or self._is_over(deadline_s):
            self._finish(running, submission.tag)
        else:
            look = lambda: self._come_beyond(running, submission, deadline_s)  # noqa: E731
            self._wait(submission.stream, look, deadline_s=deadline_s)

    def _catch_up(self, running: Running, submission: CatchUp) -> None:
        if not self._unavailable(running, submission.tag):
            end = self.clockwork.log.end(submission.stream)
            self._later(self._soon(), self._caught_up, running, submission, end)

    def _caught_up(self, running: Running, submission: CatchUp, end: int) -> None:
        assert self._pump(submission.stream) >= end
        self._finish(running, submission.tag)

    def _lock(self, running: Running, submission: Lock) -> None:
        lock = LockResult(True, None) if self.locks is None else self.locks.take(self.name, submission.holder)
        self._later(self._soon(), self._finish, running, submission.tag, lock)

    def _unlock(self, running: Running, submission: Unlock) -> None:
        if self.locks is not None:
            self.locks.give_back(self.name)
        self._later(self._soon(), self._finish, running, submission.tag)

    def _send(self, running: Running, submission: Send) -> None:
        generation = self.generation
        self.authority.send(
            submission.transmission, sender=self.holder, is_alive=lambda: generation == self.generation,
            reply_to=lambda reply: self._happen(generation, self._finish, (running, submission.tag, reply)),
        )  # fmt: skip

    def _query(self, running: Running, submission: Query) -> None:
        generation = self.generation
        self.authority.query(
            submission.wire_key, lambda reply: self._happen(generation, self._finish, (running, submission.tag, reply))
        )

    def _poll(self, running: Running, submission: Poll) -> None:
        self._later(self._soon(), self._ask, running, submission, self._until(running, submission.wait_s))

    def _ask(self, running: Running, submission: Poll, deadline_s: float) -> None:
        page = self.authority.page(submission.after)
        if page is None:
            self._finish(running, submission.tag, error=GatewayUnavailable("the answer was lost"))
        elif page.count or self._is_over(deadline_s):
            self._finish(running, submission.tag, page)
        else:
            self._wait(ANSWERS, lambda: self._ask(running, submission, deadline_s), deadline_s=deadline_s)

    def _sleep(self, running: Running, submission: Sleep) -> None:
        wait_s = submission.wait_s if self.stopping_since_s is None else min(submission.wait_s, STOPPING_WAIT_S)
        self._later(wait_s, self._finish, running, submission.tag)
