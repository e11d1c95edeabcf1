"""Virtual time and processes that carry out what the product's own workers ask, with faults; must not know rules of the lane."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.availability import copy_to_lane, read_bulletins
from consumers.intake import intake
from consumers.responses import ResponsesView, answers_to_lane, doubts_to_desk, dump_responses, load_responses, poll_answers
from eventlog.memory import Fault, MemoryLog
from eventlog.port import LogError, LogUnavailable
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
from schemas.streams import DESK, RESPONSES, Entry, lane
from tests.simulation.authority import SimulatedAuthority
from tests.simulation.locks import Locks

EPOCH_MS = 1_764_000_000_000
STOP_WITHIN_S = 200.0
"""Virtual seconds for an orderly end: a pause of 60 s, a send's time-out and a dozen failed appends fit."""

CODEC = Codec()


@dataclass(slots=True)
class Odds:
    """How likely each fault is, drawn anew for each seed: some seeds are calm and deep, others violent."""

    crash: float
    pause: float
    append: float
    unavailable: float
    stop: float
    jump: float
    skew_ms: int

    @classmethod
    def draw(cls, rng: random.Random) -> "Odds":
        """Pick each from a few values, nothing among them."""
        return cls(
            crash=rng.choice((0, 0, 0.0005, 0.002)),
            pause=rng.choice((0, 0, 0.0005, 0.002)),
            append=rng.choice((0, 0, 0.01, 0.05)),
            unavailable=rng.choice((0, 0, 0.01, 0.05)),
            stop=rng.choice((0, 0, 0.0005)),
            jump=rng.choice((0, 0, 0.001)),
            skew_ms=rng.choice((0, 0, 500, 5_000)),
        )


class Clockwork:
    """A heap of what happens next, in virtual seconds."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.calm = False
        self.odds = Odds.draw(self.rng)
        self.log = MemoryLog(lambda: EPOCH_MS + round(self.now_s * 1000), fault=self._fault)
        self.sometimes: dict[str, int] = {}
        self.broken: list[str] = []
        self.waiters: dict[str, list[Callable[[], None]]] = {}
        self._heap: list[tuple[float, float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, delay_s: float, what: Callable[[], None]) -> None:
        """Let something happen after a while; ties are broken at random."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_s + delay_s, self.rng.random(), self._count, what))

    def run(self, until_s: float) -> None:
        """Let things happen until a moment."""
        while self._heap and self._heap[0][0] <= until_s:
            self.now_s, _, _, what = heapq.heappop(self._heap)
            what()
        self.now_s = max(self.now_s, until_s)

    def append(self, stream: str, entries: Sequence[Entry]) -> Sequence[int]:
        """Append, and wake whoever waits for the stream. Raises LogError."""
        try:
            return self.log.append(stream, entries)
        finally:
            self.wake(stream)

    def wake(self, stream: str) -> None:
        """Something may be new in a stream."""
        waiting = self.waiters.pop(stream, [])
        for wait in waiting:
            self.at(self.rng.uniform(0, 0.02), wait)

    def wait_for(self, stream: str, look: Callable[[], None], *, deadline_s: float) -> None:
        """Look again when the stream may have grown, or at the deadline, whichever comes first."""
        looked = False

        def once() -> None:
            nonlocal looked
            if not looked:
                looked = True
                look()

        self.waiters.setdefault(stream, []).append(once)
        self.at(max(0.0, deadline_s - self.now_s), once)

    def saw(self, what: str) -> None:
        """Count something that should happen sometimes."""
        self.sometimes[what] = self.sometimes.get(what, 0) + 1

    def _fault(self, _stream: str, _batch: Sequence[Entry]) -> Fault | None:
        if self.calm or self.rng.random() >= self.odds.append:
            return None
        fault = self.rng.choice((Fault.NOT_DONE, Fault.ANSWER_LOST, Fault.NEVER_APPLIED, Fault.APPLIED_LATE))
        self.saw(f"append {fault.name}")
        if fault is Fault.APPLIED_LATE:
            self.at(self.rng.uniform(0.1, 30), self._release)
        return fault

    def _release(self) -> None:
        self.log.release_late()
        for stream in list(self.waiters):
            self.wake(stream)


@dataclass(slots=True)
class Running:
    """One worker under way: what has come in for it, and whether it will be woken."""

    worker: Worker
    inbox: list[Done] = field(default_factory=list)
    woken: bool = False


class Process:
    """One `tidegate up` for one lane: its own folds and workers; it crashes, pauses and starts again."""

    def __init__(self, clockwork: Clockwork, authority: SimulatedAuthority, *, name: str, mode: str, locks: Locks | None) -> None:
        self.clockwork, self.authority = clockwork, authority
        self.name = name
        self.mode = mode
        self.locks = locks
        self.generation = 0
        self.paused_until_s = 0.0
        self.stopping_since_s: float | None = None
        self.at_work = 0
        self.kept: tuple[bytes, bytes, bytes] | None = None
        self.skew_ms = clockwork.rng.randint(-clockwork.odds.skew_ms, clockwork.odds.skew_ms)
        self.start()

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
        holder = f"{self.name}-{self.generation}"
        self.runner = Runner(
            view=self.lane, desk=self.desk, holder=holder, gateway="sim", idempotent=True, can_query=self.authority.can_query
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
        for worker in workers.values():
            running = Running(worker)
            self._submit(running, next(worker))

    def crash(self) -> None:
        """Lose all memory, and come back later."""
        self.clockwork.saw("crash")
        self._gone()

    def _gone(self) -> None:
        self.generation += 1
        if self.generation % 3:  # two starts of three go on from a snapshot, the third from zero
            self.clockwork.saw("start from a snapshot")
            self.kept = (dump(self.lane.state), dump_desk(self.desk.state), dump_responses(self.responses))
        else:
            self.kept = None
        if self.locks is not None:
            self.locks.free(self.name)
        self.clockwork.at(self.clockwork.rng.uniform(0.1, 20), self.start)

    def stop(self) -> None:
        """SIGTERM: finish what is in flight, end in time, and come back later."""
        if self.stopping_since_s is None:
            self.clockwork.saw("stop")
            self.stopping_since_s = self.clockwork.now_s
            generation = self.generation
            self.clockwork.at(STOP_WITHIN_S, lambda: self._check_stopped(generation))

    def _check_stopped(self, generation: int) -> None:
        if generation == self.generation:
            self.clockwork.broken.append(f"SIGTERM {self.name} did not end within {STOP_WITHIN_S:.0f} s")

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        """Something for this incarnation, not before a pause is over."""
        generation = self.generation

        def happen() -> None:
            if self.generation != generation:
                return
            if self.clockwork.now_s < self.paused_until_s:
                self.clockwork.at(self.paused_until_s - self.clockwork.now_s, happen)
            else:
                what()

        self.clockwork.at(delay_s, happen)

    def _submit(self, running: Running, submissions: list[Submission]) -> None:
        for submission in submissions:
            self._carry_out(running, submission)

    def _finish(self, running: Running, tag: object, result: object = None, error: Exception | None = None) -> None:
        """A completion has come in: wake the worker soon."""
        running.inbox.append(Done(tag, result, error))
        if not running.woken:
            running.woken = True
            self._later(self.clockwork.rng.uniform(0, 0.002), lambda: self._wake(running))

    def _wake(self, running: Running) -> None:
        clockwork = self.clockwork
        running.woken = False
        if not clockwork.calm:
            if clockwork.rng.random() < clockwork.odds.crash:
                return self.crash()
            if clockwork.rng.random() < clockwork.odds.pause:
                clockwork.saw("pause")
                self.paused_until_s = clockwork.now_s + clockwork.rng.choice((0.5, 3, 15, 60))
                running.woken = True
                return self._later(0, lambda: self._wake(running))
            if clockwork.rng.random() < clockwork.odds.stop:
                self.stop()
            if clockwork.rng.random() < clockwork.odds.jump:
                clockwork.saw("clock jump")
                self.skew_ms += clockwork.rng.choice((-60_000, -5_000, 5_000, 60_000))
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

    def _carry_out(self, running: Running, submission: Submission) -> None:
        clockwork, rng = self.clockwork, self.clockwork.rng
        soon = rng.uniform(0.0005, 0.01)
        tag = submission.tag
        if isinstance(submission, (Read, Fetch, CatchUp)) and not clockwork.calm and rng.random() < clockwork.odds.unavailable:
            clockwork.saw("log unavailable")
            error = LogUnavailable("the log is away for a moment")
            return self._later(soon, lambda: self._finish(running, tag, error=error))
        match submission:
            case Append():
                clockwork.at(soon, lambda: self._append(running, submission, self.generation))
            case Read():
                self._later(soon, lambda: self._read(running, submission, clockwork.now_s + self._patience(submission.wait_s)))
            case Fetch():
                result = clockwork.log.fetch(submission.stream, submission.positions)
                self._later(soon, lambda: self._finish(running, tag, result))
            case Follow():
                self._later(soon, lambda: self._follow(running, submission, clockwork.now_s + self._patience(submission.wait_s)))
            case CatchUp():
                self._later(soon, lambda: self._catch_up(running, submission, clockwork.log.end(submission.stream)))
            case Lock():
                lock = LockResult(True, None) if self.locks is None else self.locks.take(self.name, submission.holder)
                self._later(soon, lambda: self._finish(running, tag, lock))
            case Unlock():
                if self.locks is not None:
                    self.locks.give_back(self.name)
                self._later(soon, lambda: self._finish(running, tag))
            case Send():
                generation = self.generation
                self.authority.send(
                    submission.transmission,
                    lambda reply: (
                        self._later(0, lambda: self._finish(running, tag, reply)) if generation == self.generation else None
                    ),
                    is_alive=lambda: generation == self.generation,
                )
            case Query():
                generation = self.generation
                self.authority.query(
                    submission.wire_key,
                    lambda reply: (
                        self._later(0, lambda: self._finish(running, tag, reply)) if generation == self.generation else None
                    ),
                )
            case Poll():
                self._later(soon, lambda: self._poll(running, submission, clockwork.now_s + self._patience(submission.wait_s)))
            case Sleep():
                self._later(self._patience(submission.wait_s), lambda: self._finish(running, tag))
        return None

    def _patience(self, wait_s: float) -> float:
        """Nobody waits long while the process is to end."""
        return wait_s if self.stopping_since_s is None else min(wait_s, 0.05)

    def _append(self, running: Running, submission: Append, generation: int) -> None:
        """The log applies it whatever has become of the writer; only a living writer hears of it."""
        try:
            done = Done(submission.tag, self.clockwork.append(submission.stream, submission.entries))
        except LogError as error:
            done = Done(submission.tag, error=error)
        if generation == self.generation:
            delay_s = self.clockwork.rng.uniform(0.0005, 0.01)
            self._later(delay_s, lambda: self._finish(running, done.tag, done.result, done.error))

    def _read(self, running: Running, submission: Read, deadline_s: float) -> None:
        records = self.clockwork.log.read(submission.stream, submission.start, submission.limit, 0)
        if records or self.clockwork.now_s >= deadline_s:
            self._finish(running, submission.tag, records)
        else:
            self._wait(submission.stream, lambda: self._read(running, submission, deadline_s), deadline_s=deadline_s)

    def _wait(self, stream: str, look: Callable[[], None], *, deadline_s: float) -> None:
        """Look again for this incarnation when the stream may have grown."""
        generation = self.generation

        def again() -> None:
            if generation == self.generation:
                self._later(0, look)

        self.clockwork.wait_for(stream, again, deadline_s=deadline_s)

    def _pump(self, stream: str) -> int:
        view = self.views[stream]
        view.absorb(self.clockwork.log.read(stream, view.next_position, 10_000, 0))
        return int(view.next_position)

    def _follow(self, running: Running, submission: Follow, deadline_s: float) -> None:
        if self._pump(submission.stream) > submission.beyond or self.clockwork.now_s >= deadline_s:
            self._finish(running, submission.tag)
        else:
            self._wait(submission.stream, lambda: self._follow(running, submission, deadline_s), deadline_s=deadline_s)

    def _catch_up(self, running: Running, submission: CatchUp, end: int) -> None:
        assert self._pump(submission.stream) >= end
        self._finish(running, submission.tag)

    def _poll(self, running: Running, submission: Poll, deadline_s: float) -> None:
        page = self.authority.page(submission.after)
        if page is None:
            self._finish(running, submission.tag, error=GatewayUnavailable("the answer was lost"))
        elif page.count or self.clockwork.now_s >= deadline_s:
            self._finish(running, submission.tag, page)
        else:
            self._wait("answers", lambda: self._poll(running, submission, deadline_s), deadline_s=deadline_s)
