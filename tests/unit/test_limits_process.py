"""Each limit of the process and of looking, driven over its edge (docs/limits.md, *The process*, *Looking*)."""

# ruff: noqa: ARG002 - stand-ins for what is outside take what the port hands them and need none of it.

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from console import verbs_publish, wiring
from console.driver import FOLLOW_COUNT, STOP_WAIT_MAX_S, THREADS_MAX, TOLD_COUNT_MAX, Driver
from console.settings import Settings
from console.up import CONNECTIONS_MAX, WORKERS, _serve
from console.watching import LOG_SILENT_S, Watching
from eventlog.memory import MemoryLog
from eventlog.port import LogUnavailable
from gateway.https import boot_clock_s
from gateway.port import GatewayUnavailable
from lane.forecast import LOOK_COUNT_MAX, forecast
from lane.pace import MARK_MS, MARKS_COUNT_MAX, note
from lane.view import DeskView
from schemas.codec import Codec, encode
from schemas.effects import Append, Poll, Read, Sleep, Worker
from schemas.facts import StillHere
from schemas.streams import DESK, Entry, Record, inbound
from tests.cli_rig import Rig
from tests.contract.gateway_contract import cargo, fresh_key
from tests.contract.test_https_gateway import scripted_peer
from tests.unit.hurried import hurried
from tests.unit.long_story import LongStory

WAIT_S = 20.0
"""What comes at once comes within this on a loaded machine."""

RAIL = inbound("rail")


def driver(log: MemoryLog) -> Driver:
    """A driver on a log, with the desk's fold."""
    return Driver(log, None, {DESK: DeskView(Codec().decode)})


async def driven(made: Driver, worker: Worker, *, stop_after: Callable[[], bool] = lambda: False) -> None:
    """Run one worker until it ends; ask it to when `stop_after` says so."""

    async def watch() -> None:
        while not stop_after():  # noqa: ASYNC110 - what is watched is no task's doing and sets no event
            await asyncio.sleep(0.01)
        made.stop()

    watching = asyncio.create_task(watch())
    await made.run({"worker": worker}, ready=lambda: None)
    watching.cancel()


class CountingLog(MemoryLog):
    """A log whose reads of one stream wait until they are let go, and which counts how many wait at once."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(clock_ms)
        self.go = threading.Event()
        self.limits: list[int] = []
        self.waiting = self.waiting_max = 0
        self._guard = threading.Lock()

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        if stream != RAIL:
            self.limits.append(limit)
            return super().read(stream, start, limit, min(wait_s, 0.01))
        with self._guard:
            self.waiting += 1
            self.waiting_max = max(self.waiting_max, self.waiting)
        assert self.go.wait(WAIT_S)
        with self._guard:
            self.waiting -= 1
        return ()


def test_so_many_calls_to_the_log_are_made_at_once_and_the_next_one_waits() -> None:
    """THREADS_MAX: however much the workers ask for; one thread is the follower's."""
    log = CountingLog(lambda: 0)
    asked = THREADS_MAX + 10
    done: list[object] = []

    def worker() -> Worker:
        turn = yield [Read(("read", number), RAIL, 0, 1, 0.0) for number in range(asked)]
        while True:
            done.extend(turn.done)
            if len(done) == asked:
                return
            turn = yield []

    def soon_let_go() -> None:
        until_s = time.monotonic() + WAIT_S
        while log.waiting < THREADS_MAX - 1 and time.monotonic() < until_s:
            time.sleep(0.01)
        time.sleep(0.1)  # one more would have come by now
        log.go.set()

    threading.Thread(target=soon_let_go).start()
    asyncio.run(driven(driver(log), worker()))
    assert asked == len(done)
    assert THREADS_MAX - 1 <= log.waiting_max <= THREADS_MAX


def test_a_follower_reads_so_many_records_and_then_the_next() -> None:
    """FOLLOW_COUNT: a fold that has far to go leaves time to whoever sends."""
    log = CountingLog(lambda: 0)
    sign = Entry(encode(StillHere(at_ms=0, epoch=1)))
    log.append(DESK, [sign] * FOLLOW_COUNT)
    log.append(DESK, [sign])
    steps: list[int] = []

    class Watched:
        """The desk's place in the log, without its fold: a sign of life is no fact of the desk."""

        next_position = 0

        def absorb(self, records: Sequence[Record]) -> None:
            steps.append(len(records))
            self.next_position += len(records)

    made = Driver(log, None, {DESK: Watched()})
    asyncio.run(driven(made, iter_idle(), stop_after=lambda: sum(steps) > FOLLOW_COUNT))
    assert {FOLLOW_COUNT} == set(log.limits)
    assert FOLLOW_COUNT + 1 == sum(steps)


def iter_idle() -> Worker:
    """A worker that waits to be stopped."""
    turn = yield [Sleep("idle", 0.01)]
    while not turn.stopping:
        turn = yield [Sleep("idle", 0.01)]


def test_who_has_not_ended_so_long_after_a_stop_is_cut_off() -> None:
    """STOP_WAIT_MAX_S: the process ends, and says who was cut off."""

    def worker() -> Worker:
        yield [Append("append", DESK, ())]

    class Hanging(MemoryLog):
        def append(self, stream: str, batch: Sequence[Entry]) -> Any:
            ended.wait(WAIT_S)
            raise LogUnavailable("gone")

    ended = threading.Event()

    async def scenario() -> tuple[float, tuple[str, ...]]:
        made = driver(Hanging(lambda: 0))
        running = asyncio.create_task(driven(made, worker()))
        await asyncio.sleep(1.0)
        began_s = asyncio.get_running_loop().time()
        made.stop()
        await running
        ended.set()
        return asyncio.get_running_loop().time() - began_s, made.cut_off

    with capture_logs() as lines:
        took_s, cut_off = hurried(scenario())
    assert ("worker",) == cut_off
    assert STOP_WAIT_MAX_S <= took_s < 2 * STOP_WAIT_MAX_S
    assert [["worker"]] == [line["workers"] for line in lines if line["event"] == "workers_cut_off"]


def test_so_many_errors_are_remembered_as_told_and_then_none() -> None:
    """TOLD_COUNT_MAX: one may be told twice within its minute, none is silent, and memory stays as it is."""

    async def scenario() -> list[str]:
        made = driver(MemoryLog(lambda: 0))
        with capture_logs() as lines:
            for number in range(TOLD_COUNT_MAX + 1):
                made._judge("worker", LogUnavailable(f"error {number}"))
            made._judge("worker", LogUnavailable("error 0"))
            made._judge("worker", LogUnavailable("error 0"))
        assert len(made._told) <= TOLD_COUNT_MAX
        return [line["reason"] for line in lines]

    told = asyncio.run(scenario())
    assert [f"error {number}" for number in range(TOLD_COUNT_MAX + 1)] + ["error 0"] == told


class Page:
    """What was read of an authority that then failed."""


class FailingGateway:
    """A way to the authority on which every poll fails, with something in its hands."""

    name = "failing"
    idempotent = can_query = True

    def __init__(self) -> None:
        self.read: list[weakref.ref[Page]] = []

    async def poll(self, after: int, wait_s: float) -> Any:
        page = Page()
        self.read.append(weakref.ref(page))
        raise GatewayUnavailable("HTTP 500")

    async def close(self) -> None:
        """Nothing is open."""


def test_what_was_read_of_a_poll_that_failed_is_kept_by_nobody() -> None:
    """I12: an error holds its traceback, and that all that was in hand: 32 MB of a page, until the collector comes to it."""
    gateway = FailingGateway()

    def worker() -> Worker:
        for _ in range(5):
            yield [Poll("poll", 0, 0.0)]

    gc.disable()
    try:
        with capture_logs():
            asyncio.run(driven(Driver(MemoryLog(lambda: 0), cast("Any", gateway), {}), worker()))
        alive = [ref() for ref in gateway.read[:-1]]
    finally:
        gc.enable()
    assert [None] * 4 == alive


def test_so_many_connections_are_opened_to_cbsa_and_a_send_too_many_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONNECTIONS_MAX: of the gateway that `tidegate up` makes; who finds no slot in time never touches the wire (R41)."""
    found: list[tuple[str, int]] = []

    class Enough(Exception):
        """The workers' place was taken to see what they would have been given."""

    async def scenario() -> None:
        async with scripted_peer(b"", then_close=False) as (url, requests):

            async def with_gateway(_log: object, gateway: Any, **_: object) -> None:
                sends = [asyncio.ensure_future(gateway.send(cargo(fresh_key("holds")))) for _ in range(CONNECTIONS_MAX)]
                until_s = time.monotonic() + WAIT_S
                while len(requests) < CONNECTIONS_MAX:
                    assert time.monotonic() < until_s
                    await asyncio.sleep(0.01)
                reply = await gateway.send(cargo(fresh_key("waits"), start_by_s=boot_clock_s() + 0.1))
                await gateway.close()
                await asyncio.wait(sends)
                found.append((reply.result, len(requests)))
                raise Enough

            monkeypatch.setattr(wiring, "run_workers", with_gateway)
            with pytest.raises(Enough):
                await _serve(None, Settings(data=Path("nowhere"), authority=url), WORKERS)  # type: ignore[arg-type]  # not used

    asyncio.run(scenario())
    assert [("not_started", CONNECTIONS_MAX)] == found


def test_a_log_that_has_not_answered_for_so_long_is_told() -> None:
    """LOG_SILENT_S: a moment before it is not."""
    watching = Watching(MemoryLog(lambda: 0), ("runner",))
    watching.answered_s = time.monotonic() - LOG_SILENT_S + 5
    assert not [each for each in watching.alive() if "log" in each]
    watching.answered_s = time.monotonic() - LOG_SILENT_S - 1
    assert [each for each in watching.alive() if "log" in each]


@pytest.mark.parametrize(("count", "is_counted"), [(LOOK_COUNT_MAX, True), (LOOK_COUNT_MAX + 1, False)])
def test_a_drain_that_is_longer_is_told_by_its_speed_alone(count: int, is_counted: bool) -> None:
    """LOOK_COUNT_MAX: a status costs milliseconds, however much is held; what was not looked at is said to be unknown."""
    story = LongStory(rate_max_per_s=None)
    story.declare()
    for number in range(count):
        story.cargo(f"A{number}")
    story.wait(60).resolve()
    told = forecast(story.state, story.state.channel("edi"), at_ms=story.at_ms)
    assert told is not None
    assert (count, is_counted) == (told.left, told.waits is not None)


def test_of_more_marks_of_a_drain_the_oldest_goes() -> None:
    """MARKS_COUNT_MAX: also where the clock has put them closer together than they should be."""
    story = LongStory(rate_max_per_s=None)
    story.declare()
    story.cargo("A1")
    story.cargo("A2")
    story.wait(60).resolve()
    channel = story.state.channel("edi")
    drain = channel.drain
    assert drain is not None
    row = drain.marks[-1][1:]
    at_ms = story.state.at_ms
    drain.marks[:] = [(at_ms - MARKS_COUNT_MAX + number, *row) for number in range(MARKS_COUNT_MAX)]
    second = drain.marks[1]
    story.state.at_ms = at_ms + MARK_MS
    note(story.state, channel, drain)
    assert (MARKS_COUNT_MAX, second) == (len(drain.marks), drain.marks[0])


def test_a_file_of_nonsense_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """REFUSED_COUNT_MAX: what was good before is published, what was bad is told, and the rest is left with a sentence."""
    monkeypatch.setattr(verbs_publish, "REFUSED_COUNT_MAX", 3)
    good = '{"key": "k%d", "tenant": "acme", "mode": "air", "kind": "other", "payload": "ISA*00*"}'
    lines = [good % 1, "x", "x", "x", good % 2]
    rig = Rig(tmp_path, capsys)
    said = rig.type("publish", "--batch", rig.file("batch.jsonl", "\n".join(lines)))
    assert (6, ["k1"]) == (said.code, [receipt["key"] for receipt in said.value])
    assert "3 lines were turned away up to line 4; mend the file first" in said.err
    assert 3 == len(rig.turned_away())
