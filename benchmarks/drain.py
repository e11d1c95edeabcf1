"""An ordered drain of held messages over HTTP to the simulated CBSA in a process of its own, against the raw loop.

The raw loop is the same client posting the same bytes with as many in flight, with no log and no rules. Rounds are interleaved;
the figures are medians. `python -m benchmarks.drain --help`.
"""

import argparse
import asyncio
import cProfile
import json
import os
import platform
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from console.clock import wall_ms
from console.demo_fifo import plain_transmission
from console.driver import Driver
from console.settings import Settings
from console.up import WORKERS, log_jsonlines
from console.wiring import Opened, known_codec, opened, run_workers
from eventlog.memory import MemoryLog
from gateway.authority_process import AuthorityProcess, running_authority
from gateway.https import HttpsGateway
from lane.policy import Policy
from producers.bulletins import add_bulletin
from producers.publisher import Message, Publisher
from schemas.codec import encode
from schemas.facts import PolicyAdopted
from schemas.messages import parse_attributes
from schemas.streams import DESK, Entry, lane

WAIT_S: Final = 3_600.0
"""Longest wait for a drain: a bench that hangs says so after an hour."""

NOTICE: Final = """TCC25-9900 {state}- Electronic Data Interchange (EDI) Inbound Outage

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
DOWN: Final = NOTICE.format(
    state="", end="Initial investigation underway", what="The CBSA is currently unable to receive inbound EDI messages."
)
RESOLVED: Final = NOTICE.format(
    state="RESOLVED ", end="2025-11-24 15:10 (ET)", what="The EDI inbound outage has now been resolved."
)


def messages(count: int) -> Iterator[Message]:
    """Trips of three shipments, each trip published before what it lists: the order has work to do. 1 KiB each."""
    for number in range((count + 3) // 4):
        ccns = [f"BNCH{number:07}{letter}" for letter in "ABC"]
        fields = {"tenant": "bench", "mode": "highway"}
        keys = {"crn": [f"BNCH{number:07}T"], "ccn": ccns}
        yield _message({**fields, "key": f"t{number}", "kind": "conveyance", "keys": keys})
        for letter, ccn in zip("abc", ccns, strict=True):
            yield _message({**fields, "key": f"c{number}{letter}", "kind": "cargo", "keys": {"ccn": [ccn]}})


def _message(fields: dict[str, Any]) -> Message:
    return Message(parse_attributes(fields), fields["key"].encode().ljust(1024, b"~"))


async def drain(log: Opened, authority: AuthorityProcess, count: int, *, in_flight: int) -> dict[str, float]:
    """Hold `count` messages, resolve, and time the drain until CBSA has judged the last one. Seconds."""
    policy = replace(Policy(), rate_max_per_s=None, in_flight_max=in_flight)
    fact = PolicyAdopted(at_ms=wall_ms(), policy=policy.as_json(), person="bench", reason="no rate")
    log.log.append(DESK, [Entry(encode(fact))])
    add_bulletin(log.log, DOWN.encode(), received_ms=wall_ms(), name="bench")
    async with _workers(log, authority, in_flight) as driver:
        state = driver.view(lane("highway")).state
        await _until(lambda: bool(state.outages), "EDI to be down")
        publishing = time.perf_counter()
        await asyncio.to_thread(Publisher(log.log, clock_ms=wall_ms).publish_many, messages(count))
        published_s = time.perf_counter() - publishing
        await _until(lambda: state.counts["held"] >= count, "everything to be held")
        started = time.perf_counter()
        add_bulletin(log.log, RESOLVED.encode(), received_ms=wall_ms(), name="bench")
        await _until(lambda: state.counts["transmitted"] + state.counts["captured"] > 0, "the first send")
        first_s = time.perf_counter() - started
        await _until(lambda: state.counts["captured"] >= count, "everything to be captured")
        took_s = time.perf_counter() - started
    return {"drain_s": took_s, "first_send_s": first_s, "publish_s": published_s}


async def raw_loop(authority: AuthorityProcess, count: int, *, in_flight: int) -> float:
    """The same client, the same bytes, first-in-first-out, no log and no rules. Seconds."""
    gateway = HttpsGateway(authority.base_url, connections_max=in_flight)
    waiting = messages(count)

    async def one_by_one() -> None:
        for attributes, payload in waiting:
            await gateway.send(plain_transmission(attributes, payload))

    started = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))
    took_s = time.perf_counter() - started
    await gateway.close()
    return took_s


@asynccontextmanager
async def _workers(log: Opened, authority: AuthorityProcess, in_flight: int) -> AsyncIterator[Driver]:
    """All workers in this process, on a gateway of their own."""
    ready: asyncio.Future[Driver] = asyncio.get_running_loop().create_future()
    gateway = HttpsGateway(authority.base_url, connections_max=in_flight)
    running = asyncio.create_task(run_workers(log, gateway, names=WORKERS, ready=ready.set_result))
    driver = await ready
    try:
        yield driver
    finally:
        driver.stop()
        await running


async def _until(reached: Any, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {WAIT_S:.0f} s for {what}")
        await asyncio.sleep(0.02)


@contextmanager
def engine(name: str, kafka: str | None) -> Iterator[Opened]:
    """A fresh log of that engine."""
    with ExitStack() as stack:
        if name == "memory":
            log = MemoryLog(wall_ms)
            yield Opened(log, None, known_codec(log))
        elif name == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))
            yield stack.enter_context(opened(Settings(data=Path(folder))))
        else:
            if kafka is None:
                raise SystemExit("--engine kafka needs --kafka BOOTSTRAP; python -m tests.kafka_cluster --nodes 1 starts one")
            yield stack.enter_context(opened(Settings(kafka=kafka, topic_prefix=f"bench-{time.time_ns()}.")))


def one_round(options: argparse.Namespace) -> dict[str, float]:
    """One drain and one raw loop, each on an authority of its own."""
    with running_authority() as authority, engine(options.engine, options.kafka) as log:
        figures = asyncio.run(drain(log, authority, options.messages, in_flight=options.in_flight))
        figures["order_violations"] = len(authority.order_violations())
    with running_authority() as authority:
        figures["raw_s"] = asyncio.run(raw_loop(authority, options.messages, in_flight=options.in_flight))
    return figures


def main() -> None:
    """Run the rounds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("memory", "sqlite", "kafka"), default="sqlite")
    parser.add_argument("--messages", type=int, default=4_000)
    parser.add_argument("--in-flight", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kafka", help="bootstrap servers for --engine kafka")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--profile", action="store_true", help="one round under cProfile")
    options = parser.parse_args()
    log_jsonlines("error")
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(one_round, options)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    rounds = []
    for number in range(options.rounds):
        rounds.append(one_round(options))
        rate = options.messages / rounds[-1]["drain_s"]
        print(f"round {number + 1} of {options.rounds}: {rate:,.0f} messages a second", file=sys.stderr)
    median = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    result = {
        "engine": options.engine,
        "messages": options.messages,
        "in_flight": options.in_flight,
        "rounds": options.rounds,
        "drain_per_s": round(options.messages / median["drain_s"]),
        "raw_per_s": round(options.messages / median["raw_s"]),
        "ratio_to_raw": round(median["raw_s"] / median["drain_s"], 2),
        "first_send_s": round(median["first_send_s"], 3),
        "publish_per_s": round(options.messages / median["publish_s"]),
        "order_violations": int(max(each["order_violations"] for each in rounds)),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    print(json.dumps(result) if options.json else "\n".join(f"{name:18} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
