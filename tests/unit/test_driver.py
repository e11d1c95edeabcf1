"""The driver carries out what workers ask: what goes wrong there is told or ends the process, and never hangs it."""

# ruff: noqa: ARG002 - stand-ins for what is outside take what the port hands them and need none of it.

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from console.driver import Driver
from console.follower import Follower
from eventlog.lane_lock import LaneLocks
from eventlog.memory import Fault, MemoryLog
from eventlog.port import Appended, AppendNotDone, EntryTooLarge, EventLog, LogUnavailable
from gateway.port import GatewayUnavailable, Page, StatusReply, TransportReply
from lane.view import DeskView
from schemas.codec import Codec
from schemas.effects import Append, CatchUp, Follow, Lock, Poll, Query, Send, Sleep, Submission, Worker
from schemas.streams import DESK, Entry, Record
from schemas.wire import Transmission

ENDS_WAIT_S = 20.0
"""A driver that does not hang ends within milliseconds; a loaded machine gets much more."""

MESSAGE = Transmission(
    wire_key="highway/acme/1",
    payload=b"",
    content_type="text/plain",
    tenant="acme",
    mode="highway",
    kind="cargo",
    channel="edi",
    function="original",
    keys="{}",
    start_by_s=0.0,
    within_s=1.0,
)


class FaultOfOurs(Exception):
    """What no adapter says it raises."""


class BrokenGateway:
    """A way to the authority with a fault of ours in it."""

    name = "broken"
    idempotent = True
    can_query = True

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = False

    async def send(self, transmission: Transmission) -> TransportReply:
        raise self.error

    async def poll(self, after: int, wait_s: float) -> Page:
        raise self.error

    async def query(self, wire_key: str) -> StatusReply:
        raise self.error

    async def close(self) -> None:
        self.closed = True


class BrokenLocks(LaneLocks):
    """Locks that fail in a way that nobody foresaw."""

    def acquire(self, lane: str, holder: str) -> Any:
        raise FaultOfOurs(lane)


class BrokenLog(MemoryLog):
    """A log whose appends fail with an error of the test's choice."""

    error: Exception = FaultOfOurs("append")

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        raise self.error


class SilentLog(MemoryLog):
    """A log that tells where a stream ends and then gives no records: brokers that went away in between."""

    gone = False

    def end(self, stream: str) -> int:
        return super().end(stream) + (1 if self.gone else 0)

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        if self.gone:
            raise LogUnavailable("the brokers are away")
        return super().read(stream, start, limit, wait_s)

    def go(self) -> None:
        """From now on."""
        self.gone = True


def asks_once(submission: Submission) -> Worker:
    """A worker with one wish."""
    yield [submission]


def asks_for_ever(submission: Submission, errors: list[object]) -> Worker:
    """A worker that only tries again, until it is to stop."""
    while True:
        turn = yield [submission]
        errors.append(turn.done[0].error)
        if turn.stopping:
            return
        turn = yield [Sleep("retry", 0.01)]


def drive(worker: Worker, log: EventLog, *, stop_after: Callable[[], bool] = lambda: False, **parts: Any) -> Driver:
    """Run one worker until it ends, and beside it one that never would; stop when `stop_after` says so."""
    stop_wait_max_s = parts.pop("stop_wait_max_s", 10.0)
    locks = parts.pop("locks", None)
    made: list[Driver] = []

    async def run() -> None:
        desk = DeskView(Codec().decode)
        driver = Driver(log, parts.pop("gateway", None), {DESK: desk}, locks, stop_wait_max_s=stop_wait_max_s)
        made.append(driver)

        async def watch() -> None:
            while not stop_after():  # noqa: ASYNC110 - what is watched is no task's doing and sets no event
                await asyncio.sleep(0.01)
            driver.stop()

        watching = asyncio.create_task(watch())
        try:
            async with asyncio.timeout(ENDS_WAIT_S):
                await driver.run({"worker": worker, "other": idle()}, ready=parts.pop("ready", lambda: None))
        finally:
            watching.cancel()

    asyncio.run(run())
    return made[0]


def idle() -> Worker:
    """A worker that has nothing to do until it is to stop."""
    turn = yield [Sleep("idle", 0.02)]
    while not turn.stopping:
        turn = yield [Sleep("idle", 0.02)]


@pytest.mark.parametrize("submission", [Send("send", MESSAGE), Query("query", "key"), Poll("poll", 0, 0.0)])
def test_a_gateway_that_raises_ends_the_process(submission: Submission) -> None:
    """HOUSE 7: an error that nobody foresaw is raised; a worker without its completion would hang in silence."""
    gateway = BrokenGateway(FaultOfOurs("gateway"))
    with pytest.raises(FaultOfOurs, match="gateway"):
        drive(asks_once(submission), MemoryLog(lambda: 0), gateway=gateway)
    assert gateway.closed


def test_a_lock_that_raises_ends_the_process(tmp_path: Path) -> None:
    """HOUSE 7, of the engine's lock."""
    with pytest.raises(FaultOfOurs, match="highway"):
        drive(asks_once(Lock("lock", "highway", "anna")), MemoryLog(lambda: 0), locks=BrokenLocks(tmp_path))


def test_a_log_call_that_raises_ends_the_process() -> None:
    """HOUSE 7, of the log."""
    with pytest.raises(FaultOfOurs, match="append"):
        drive(asks_once(Append("append", DESK, (Entry(b""),))), BrokenLog(lambda: 0))


def test_a_fact_that_can_never_be_written_ends_the_process() -> None:
    """A worker that tried it again for ever would stop its lane without a word."""
    log = BrokenLog(lambda: 0)
    log.error = EntryTooLarge("9 MiB")
    with pytest.raises(EntryTooLarge, match="9 MiB"):
        drive(asks_for_ever(Append("append", DESK, (Entry(b""),)), []), log)


def test_an_error_that_the_worker_tries_again_is_logged_once_a_minute() -> None:
    """A permanent error must not be silent, and not a flood."""
    errors: list[object] = []
    log = MemoryLog(lambda: 0, fault=lambda _stream, _batch: Fault.NOT_DONE)
    with capture_logs() as lines:
        worker = asks_for_ever(Append("append", DESK, (Entry(b""),)), errors)
        drive(worker, log, stop_after=lambda: len(errors) > 5)
    told = [(line["worker"], line["error"]) for line in lines if line["event"] == "worker_error"]
    assert [("worker", "AppendNotDone")] == told
    assert all(isinstance(error, AppendNotDone) for error in errors)


def test_a_poll_that_fails_is_logged() -> None:
    """An authority that gives no answers is seen in the log of the process."""
    errors: list[object] = []
    with capture_logs() as lines:
        gateway = BrokenGateway(GatewayUnavailable("HTTP 401"))
        worker = asks_for_ever(Poll("poll", 0, 0.0), errors)
        drive(worker, MemoryLog(lambda: 0), gateway=gateway, stop_after=lambda: bool(errors))
    assert ["HTTP 401"] == [line["reason"] for line in lines if line["event"] == "worker_error"]


def test_a_lock_file_that_can_not_be_written_is_tried_again(tmp_path: Path) -> None:
    """A full disk passes: the worker is told, and the process goes on."""
    errors: list[object] = []
    locks = LaneLocks(tmp_path / "gone")
    with capture_logs():
        worker = asks_for_ever(Lock("lock", "highway", "anna"), errors)
        drive(worker, MemoryLog(lambda: 0), locks=locks, stop_after=lambda: bool(errors))
    assert isinstance(errors[0], LogUnavailable)


@pytest.mark.parametrize("waits", [CatchUp("caught up", DESK), Follow("never", DESK, 5, 3_600.0)])
def test_a_stop_ends_in_time_though_the_log_is_gone(waits: Submission) -> None:
    """A worker that waits for records that never come is cut off (R44), and the log line says who was."""
    log = SilentLog(lambda: 0)

    def worker() -> Worker:
        while not log.gone:
            yield [Sleep("not yet", 0.01)]
        while True:
            yield [waits]

    with capture_logs() as lines:
        drive(worker(), log, ready=log.go, stop_after=lambda: log.gone, stop_wait_max_s=0.3)
    assert [["worker"]] == [line["workers"] for line in lines if line["event"] == "workers_cut_off"]


class Fold:
    """A fold that stands where the test puts it."""

    next_position = 0

    def absorb(self, records: Sequence[Record]) -> None:
        raise AssertionError("nothing is read here")


def test_who_follows_a_fold_is_told_once_by_its_standing_or_its_time_and_not_within_the_asking() -> None:
    """I7: a wake-up that is lost would stop a lane; one that comes before it is asked for to the end would spin."""

    async def run() -> None:
        fold, told = Fold(), list[str]()
        follower = Follower(DESK, fold)
        follower.tell(0, 3_600.0, lambda: told.append("patient"))
        follower.tell(1, 3_600.0, lambda: told.append("further"))
        follower.tell(0, 0.01, lambda: told.append("hasty"))
        await asyncio.sleep(0.1)
        assert ["hasty"] == told
        fold.next_position = 1
        follower.wake()
        follower.wake()
        assert ["hasty", "patient"] == told
        follower.tell(0, 3_600.0, lambda: told.append("late"))
        assert ["hasty", "patient"] == told
        await asyncio.sleep(0.1)
        assert ["hasty", "patient", "late"] == told

    asyncio.run(run())


def test_a_stop_lets_go_who_follows_for_a_while_but_nobody_who_must_have_read_so_far() -> None:
    """R1: after a doubt the lane is read to its end, also by a process that is to end."""

    async def run() -> None:
        fold, told = Fold(), list[str]()
        follower = Follower(DESK, fold)
        follower.tell(0, 3_600.0, lambda: told.append("for a while"))
        reading = asyncio.create_task(follower.beyond(0))
        await asyncio.sleep(0.01)
        follower.let_go()
        await asyncio.sleep(0.01)
        assert (["for a while"], False) == (told, reading.done())
        fold.next_position = 1
        follower.wake()
        await reading

    asyncio.run(run())


def test_a_worker_that_follows_hears_of_a_stop_at_once() -> None:
    """A stop takes the time of what is in flight, not of what is waited for."""

    def worker() -> Worker:
        turn = yield [Follow("never", DESK, 5, 3_600.0)]
        while not turn.stopping:
            turn = yield [Follow("never", DESK, 5, 3_600.0)]
        yield [Follow("never", DESK, 5, 3_600.0)]

    started: list[bool] = []
    driver = drive(worker(), MemoryLog(lambda: 0), ready=lambda: started.append(True), stop_after=lambda: bool(started))
    assert () == driver.cut_off
