"""Carries out what workers ask: the same generators that tests drive with virtual time meet the real log and the real gateway.

Must not decide anything. One event loop; the log's blocking calls run in a bounded pool of threads; one follower per stream reads
its tail into this process's fold and wakes whoever waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog

from console.clock import wall_ms
from console.follower import Folded, Follower
from eventlog.lane_lock import LaneLocks
from eventlog.port import EntryTooLarge, EventLog, LogError, LogRegressed, LogUnavailable, LogUnfit
from gateway.https import boot_clock_s
from gateway.port import Gateway, GatewayUnavailable
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
from schemas.streams import Record

THREADS_MAX: Final = 64
"""Most blocking calls to the log at once: a follower for each stream waits in one, the rest is work."""

FOLLOW_COUNT: Final = 2_000
"""Records that a follower reads at once."""

SLICE_COUNT: Final = 10
"""Records folded between two looks at the clock: a fact may name 500 messages, and then takes some five milliseconds."""

SLICE_S: Final = 0.005
"""How long a follower folds before others get the loop again: a send must not wait long for its turn."""

FOLLOW_WAIT_S: Final = 1.0
"""Longest wait of a follower for a record; a stop is noticed after it at the latest."""

RETRY_S: Final = 1.0
"""A follower's wait after an error of the log."""

STOPPING_WAIT_S: Final = 0.05
"""Longest wait of anything that waits while the process ends: what is in flight is looked at that often."""

STOP_WAIT_MAX_S: Final = 45.0
"""Longest time from a stop until the workers have ended: an append's 30 s with room, within the container's 60 s of grace. Who is
not done then is cut off, as a kill would (R44)."""

TELL_AGAIN_S: Final = 60.0
"""The same error of the same worker is logged again after this long: seen by whoever looks, and no flood."""

TOLD_COUNT_MAX: Final = 1_000
"""Most errors remembered as told; beyond, all are forgotten, so that one may be told twice and none never."""

JUDGED: Final = (LogError, GatewayUnavailable)
"""Errors that are a worker's to judge; any other is a fault of ours and ends the process."""

FATAL: Final = (LogRegressed, LogUnfit, EntryTooLarge)
"""Of those, the ones after which nothing may go on in this process: a wrong log (I1f), and a fact that can never be written."""

T = TypeVar("T")


class Driver:
    """Drives workers on a log and a gateway until `stop` is called and they have finished, or something fatal happens."""

    def __init__(
        self,
        log: EventLog,
        gateway: Gateway | None,
        views: dict[str, Folded],
        locks: LaneLocks | None = None,
        *,
        stop_wait_max_s: float = STOP_WAIT_MAX_S,
    ) -> None:
        self._log = log
        self._gateway = gateway
        self._locks = locks
        self._followers = {stream: Follower(stream, view) for stream, view in views.items()}
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="log")
        self._stopping = asyncio.Event()
        self._stop_wait_max_s = stop_wait_max_s
        self.cut_off: tuple[str, ...] = ()
        """Workers that did not end in their time; threads of theirs may still wait for the log, for as long as it likes."""
        self._told: dict[tuple[str, str], float] = {}
        self._logger = structlog.get_logger("tidegate")

    async def run(self, workers: dict[str, Worker], *, ready: Callable[[], None]) -> None:
        """Drive the workers by name until all have ended, or for STOP_WAIT_MAX_S after a stop: who is not done is cut off then.

        Raises what was fatal, after the others were let go.
        """
        followers = [asyncio.create_task(self._follow(follower), name=stream) for stream, follower in self._followers.items()]
        tasks = [asyncio.create_task(self._drive(name, worker), name=name) for name, worker in workers.items()]
        limit = asyncio.create_task(self._stop_limit(), name="stop limit")
        # Not `finally`: compiled by mypyc 2.4, one that awaits raises the error of an earlier call again.
        try:
            await self._until_ended(tasks, followers, limit, ready)
        except BaseException:
            await self._let_go([*tasks, *followers, limit])
            raise
        await self._let_go([*tasks, *followers, limit])

    async def _until_ended(
        self,
        tasks: list[asyncio.Task[None]],
        followers: list[asyncio.Task[None]],
        limit: asyncio.Task[None],
        ready: Callable[[], None],
    ) -> None:
        """Return when the workers have ended or their time is over. Raises what was fatal."""
        await self._caught_up(followers)
        ready()
        pending: set[asyncio.Task[None]] = {*tasks, *followers, limit}
        while not all(task.done() for task in tasks):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if limit.done():
                self.cut_off = tuple(task.get_name() for task in tasks if not task.done())
                self._logger.warning("workers_cut_off", workers=list(self.cut_off))
                break

    async def _let_go(self, tasks: list[asyncio.Task[None]]) -> None:
        """End all of these, the gateway and the threads."""
        self._stopping.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._gateway is not None:
            await self._gateway.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def view(self, stream: str) -> Any:
        """This process's fold of a stream."""
        return self._followers[stream].view

    @property
    def stopping(self) -> bool:
        """Whether the workers were asked to end, or end because one of them failed."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask the workers to finish what is in flight and end."""
        self._stopping.set()
        for follower in self._followers.values():
            follower.let_go()

    async def _stop_limit(self) -> None:
        """Return when the workers have had their time to end."""
        await self._stopping.wait()
        await asyncio.sleep(self._stop_wait_max_s)

    async def _caught_up(self, followers: list[asyncio.Task[None]]) -> None:
        """Wait until every fold has read what its stream held at the start; a follower that failed says so now."""

        async def all_of_them() -> None:
            for stream in self._followers:
                await self._catch_up(stream)

        waiting = asyncio.create_task(all_of_them())
        try:
            done, _ = await asyncio.wait([waiting, *followers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            waiting.cancel()

    async def _follow(self, follower: Follower) -> None:
        """Read a stream's tail into its fold, for ever; an unreachable log is waited for, a wrong one is fatal."""
        view = follower.view
        while True:
            try:
                records = await self._call(self._log.read, follower.stream, view.next_position, FOLLOW_COUNT, FOLLOW_WAIT_S)
            except LogUnavailable as error:
                self._logger.warning("log_unavailable", stream=follower.stream, reason=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if records:
                await self._absorb(follower, records)

    async def _absorb(self, follower: Follower, records: Sequence[Record]) -> None:
        """Fold a page in, a slice at a time: sends and replies that are under way do not wait for all of it."""
        at = 0
        while at < len(records):
            until_s = boot_clock_s() + SLICE_S
            while at < len(records) and boot_clock_s() < until_s:
                follower.view.absorb(records[at : at + SLICE_COUNT])
                at += SLICE_COUNT
            follower.wake()
            await asyncio.sleep(0)

    async def _drive(self, name: str, worker: Worker) -> None:
        """One worker: carry out what it asks, hand it what has come in."""
        completions: asyncio.Queue[Done] = asyncio.Queue()
        under_way: set[asyncio.Task[None]] = set()
        try:
            submissions = next(worker)
            while True:
                for submission in submissions:
                    if isinstance(submission, Follow):
                        self._tell(submission, completions)
                        continue
                    task = asyncio.create_task(self._carry_out(submission, completions))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                done = [await completions.get()]
                while not completions.empty():
                    done.append(completions.get_nowait())
                for each in done:
                    if each.error is not None:
                        self._judge(name, each.error)
                turn = Turn(wall_ms(), boot_clock_s(), tuple(done), stopping=self._stopping.is_set())
                submissions = worker.send(turn)
        except StopIteration:
            self._logger.debug("worker_ended", worker=name)
        finally:
            for task in list(under_way):
                task.cancel()

    def _tell(self, submission: Follow, completions: "asyncio.Queue[Done]") -> None:
        """Report when the fold has come so far; to a process that is to end, soon."""
        wait_s = min(submission.wait_s, STOPPING_WAIT_S) if self._stopping.is_set() else submission.wait_s
        self._followers[submission.stream].tell(submission.beyond, wait_s, lambda: completions.put_nowait(Done(submission.tag)))

    async def _carry_out(self, submission: Submission, completions: "asyncio.Queue[Done]") -> None:
        """Carry out one submission and report it, whatever comes: a worker that got no completion would wait for ever."""
        try:
            done = Done(submission.tag, await self._result(submission))
        except Exception as error:  # noqa: BLE001 (the top of a task's work: `_judge` raises it again in the worker's loop)
            # No name keeps it: its traceback, with all that was read of a page, would hold it until the collector comes to it.
            completions.put_nowait(Done(submission.tag, error=error))
        else:
            completions.put_nowait(done)

    def _judge(self, name: str, error: Exception) -> None:
        """Raise what ends the process; log the rest for operators, since the worker only tries again."""
        if not isinstance(error, JUDGED) or isinstance(error, FATAL):
            raise error
        if isinstance(error, GatewayUnavailable) and self._stopping.is_set():
            return  # a poll that the stop itself cut short
        now_s, told = boot_clock_s(), (name, str(error))
        if now_s - self._told.get(told, -TELL_AGAIN_S) < TELL_AGAIN_S:
            return
        if len(self._told) >= TOLD_COUNT_MAX:
            self._told.clear()
        self._told[told] = now_s
        self._logger.warning("worker_error", worker=name, error=type(error).__name__, reason=str(error))

    async def _result(self, submission: Submission) -> Any:
        match submission:
            case Send():  # first, for there are the most of them
                assert self._gateway is not None
                return await self._gateway.send(submission.transmission)
            case Append():
                return await self._call(self._log.append, submission.stream, submission.entries)
            case Read():
                return await self._unless_stopping(
                    self._call(self._log.read, submission.stream, submission.start, submission.limit, submission.wait_s), ()
                )
            case Fetch() if self._log.at_hand:
                # Here, not in a thread: the two would take the interpreter's lock from each other at every row, which took a
                # fifth of a drain on SQLite (3.6 switches a message against 1.5).
                return self._log.fetch(submission.stream, submission.positions)
            case Fetch():
                return await self._call(self._log.fetch, submission.stream, submission.positions)
            case CatchUp():
                return await self._catch_up(submission.stream)
            case Lock():
                return await self._call(self._lock, submission.lane, submission.holder)
            case Unlock():
                return await self._call(self._unlock, submission.lane)
            case Query():
                assert self._gateway is not None
                return await self._gateway.query(submission.wire_key)
            case Poll():
                assert self._gateway is not None
                polling = self._gateway.poll(submission.after, submission.wait_s)
                page = await self._unless_stopping(polling, None)
                if page is None:
                    raise GatewayUnavailable("the process is stopping")
                return page
            case Sleep():
                return await self._unless_stopping(asyncio.sleep(submission.wait_s), None)

    async def _catch_up(self, stream: str) -> None:
        end = await self._call(self._log.end, stream)
        if end > 0:
            await self._followers[stream].beyond(end - 1)

    async def _unless_stopping(self, work: Awaitable[T], otherwise: T) -> T:
        """Wait for the work, but not when the process is to stop: then for a moment only, so that nobody spins."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stopping.wait())
        if self._stopping.is_set():
            await asyncio.wait((task,), timeout=STOPPING_WAIT_S)
        else:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            return otherwise
        try:
            return task.result()
        finally:
            del task  # as in `_carry_out`: its error would hold this, and this it

    def _lock(self, lane: str, holder: str) -> LockResult:
        """The engine's lock on a lane; one without locks proves nobody dead.

        Raises LogUnavailable for a disk that is full or lost.
        """
        if self._locks is None:
            return LockResult(taken=True, dead=None)
        try:
            taken = self._locks.acquire(lane, holder)
        except OSError as error:
            raise _broken_lock(lane, "taken", error) from error
        return LockResult(taken=taken.taken, dead=taken.before)

    def _unlock(self, lane: str) -> None:
        """Give the engine's lock back. Raises LogUnavailable; the lock stays ours then."""
        try:
            if self._locks is not None:
                self._locks.release(lane)
        except OSError as error:
            raise _broken_lock(lane, "given back", error) from error

    async def _call(self, method: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, method, *args)


def _broken_lock(lane: str, what: str, error: OSError) -> LogUnavailable:
    return LogUnavailable(
        f"The lock of lane {lane} could not be {what} ({error}): look after the data folder; it is tried again."
    )
