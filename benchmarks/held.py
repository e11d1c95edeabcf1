"""What drain, hold and keys share: the workers in this process, an outage and its end, and messages held behind it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from benchmarks.figures import Progress
from console.clock import wall_ms
from console.driver import Driver
from console.up import WORKERS, spare_the_collector
from console.wiring import Opened, lane_view, run_workers
from consumers.intake import fact_of
from eventlog.port import EventLog
from gateway.https import HttpsGateway
from lane.policy import Policy
from lane.state import LaneState
from lane.view import LaneView
from producers.bulletins import add_bulletin
from producers.publisher import Message, Publisher
from schemas.cloudevents import to_headers
from schemas.codec import encode
from schemas.facts import PolicyAdopted, Source
from schemas.streams import DESK, NO_POSITION, Entry, Record, inbound, lane

WAIT_S: Final = 7_200.0
"""Longest wait for a phase: a bench that hangs says so after two hours; a million messages take ten minutes."""

LOOK_S: Final = 0.02
"""Pause between two looks at the fold of this process."""

SLAB_COUNT: Final = 20_000
"""Messages handed to the publisher at a time: bounds the memory of the receipts, and progress is told between."""

SEED_COUNT: Final = 5_000
"""Messages of one append when the log is written directly: the log's own limit."""

_NOTICE: Final = """TCC25-9900 {state}- Electronic Data Interchange (EDI) Inbound Outage

Start Date / Time

2025-11-24 09:40 (ET)

End Date / Time

{end}

Clients Affected

All clients.

Description

{what}

Action Required

Follow the contingency plan.
"""
DOWN: Final = _NOTICE.format(
    state="", end="Initial investigation underway", what="The CBSA is currently unable to receive inbound EDI messages."
)
RESOLVED: Final = _NOTICE.format(
    state="RESOLVED ", end="2025-11-24 15:10 (ET)", what="The EDI inbound outage has now been resolved."
)


def adopt(log: Opened, *, in_flight: int) -> None:
    """A policy with no rate: what is measured is the program, not its brake."""
    policy = replace(Policy(), rate_max_per_s=None, in_flight_max=in_flight)
    fact = PolicyAdopted(at_ms=wall_ms(), policy=policy.as_json(), person="bench", reason="no rate")
    log.log.append(DESK, [Entry(encode(fact))])


def announce(log: EventLog, notice: str) -> None:
    """Hand a notice in, as a person would."""
    add_bulletin(log, notice.encode(), received_ms=wall_ms(), name="bench")


@asynccontextmanager
async def workers(log: Opened, url: str, *, in_flight: int, names: tuple[str, ...] = WORKERS) -> AsyncIterator[Driver]:
    """The named workers of every lane in this process, on a gateway of their own."""
    ready: asyncio.Future[Driver] = asyncio.get_running_loop().create_future()
    gateway = HttpsGateway(url, connections_max=in_flight)
    running = asyncio.create_task(run_workers(log, gateway, names=names, ready=ready.set_result))
    await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    driver = await ready
    spare_the_collector()  # as `tidegate up` does
    whole = asyncio.current_task()
    assert whole is not None
    running.add_done_callback(lambda ended: None if ended.cancelled() or ended.exception() is None else whole.cancel())
    try:
        yield driver
    finally:
        driver.stop()
        await running


async def until(
    reached: Callable[[], bool], what: str, tell: Callable[[], None] = lambda: None, *, look_s: float = LOOK_S
) -> None:
    """Look until it is so. Raises TimeoutError with a sentence."""
    deadline = time.monotonic() + WAIT_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {WAIT_S:.0f} s for {what}")
        tell()
        await asyncio.sleep(look_s)


async def hold(log: Opened, driver: Driver, messages: Iterator[Message], count: int) -> float:
    """Publish so many behind an outage and wait until all are held. Returns the seconds that publishing took."""
    state = driver.view(lane("highway")).state
    await _be_down(log, state)
    started = time.perf_counter()
    await asyncio.to_thread(_publish, log.log, messages, count)
    published_s = time.perf_counter() - started
    progress = Progress("hold", count)
    await until(lambda: state.counts["held"] >= count, "everything to be held", lambda: progress.at(state.counts["held"]))
    progress.done()
    return published_s


async def hold_seeded(log: Opened, driver: Driver, messages: Iterator[Message], count: int) -> None:
    """The same, the log written directly in big batches: no publisher and no intake (its worker must not run)."""
    state = driver.view(lane("highway")).state
    await _be_down(log, state)
    await asyncio.to_thread(seed, log.log, messages, count)
    await until(lambda: state.counts["held"] >= count, "everything to be held")


async def _be_down(log: Opened, state: LaneState) -> None:
    announce(log.log, DOWN)
    await until(lambda: bool(state.outages), "EDI to be down")


def _publish(log: EventLog, messages: Iterator[Message], count: int) -> None:
    publisher, progress = Publisher(log, clock_ms=wall_ms), Progress("publish", count)
    for slab in range(0, count, SLAB_COUNT):
        publisher.publish_many(itertools.islice(messages, SLAB_COUNT))
        progress.at(slab + SLAB_COUNT)
    progress.done()


def seed(log: EventLog, messages: Iterator[Message], count: int, *, previous: int = NO_POSITION) -> None:
    """Write records and the facts that intake would make of them, SEED_COUNT at a time."""
    progress, mode, done = Progress("seed the log", count), "highway", 0
    while batch := list(itertools.islice(messages, SEED_COUNT)):
        entries = _entries(batch)
        appended = log.append(inbound(mode), entries)
        facts = []
        for entry, position, at_ms in zip(entries, appended, appended.at_ms, strict=True):
            source = Source(stream=inbound(mode), position=position, previous=previous)
            record = Record(position, at_ms, entry.value, entry.headers)
            facts.append(Entry(encode(fact_of(record, source, mode=mode, at_ms=at_ms))))
            previous = position
        log.append(lane(mode), facts)
        done += len(batch)
        progress.at(done)
    progress.done()


def _entries(messages: Iterable[Message]) -> list[Entry]:
    now = datetime.now(UTC)
    return [Entry(payload, to_headers(attributes, now)) for attributes, payload in messages]


def folded(log: Opened, mode: str = "highway") -> LaneView:
    """The lane's fold as of now."""
    return lane_view(log, mode)
