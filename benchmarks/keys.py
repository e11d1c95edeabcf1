"""A drain in order by key: many messages over few documents, unevenly, at a CBSA that takes a while for each.

It proves that order waits only where a rule asks for it. All messages of one document form a chain (an original, then changes;
each waits for the capture of the one before), chains go side by side, and CBSA needs a fixed time for each message without
blocking others. The longest chain then decides: its own need is its length times the time that one message alone takes through
the whole path (held, grant, send, CBSA's service time, answer, fold). What the drain takes beyond that is ours to answer for.

The peer is the raw loop, the same messages in any order with as many in flight; it shows what the wire and CBSA alone allow.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks import charts, held
from benchmarks.engines import Kafka, add_engine, fresh_log, kafka_for
from benchmarks.figures import Bar, Figure, Progress, Report, arguments, machine_line, positive, told_round
from benchmarks.processes import in_fresh_process
from console.clock import wall_ms
from console.demo_fifo import plain_transmission
from console.driver import Driver
from console.loop import run as run_loop
from console.up import log_jsonlines
from console.wiring import Opened
from gateway.authority_process import AuthorityProcess, running_authority
from gateway.https import HttpsGateway
from lane.state import LaneState
from producers.publisher import Message, Publisher
from schemas.messages import parse_attributes
from schemas.streams import lane

BEYOND_MAX_S: Final = 2.1
"""Most seconds beyond the longest chain's own need."""

ALONE_COUNT: Final = 30
"""Messages sent one by one for the round trip of one alone, before the drain and again after it; the median of all is taken.
Before it only, the pace of the disk in that one second stood for the minute of the drain: the same program was found between
-14 and +4 s beyond on a disk that others used."""

ALONE_LOOK_S: Final = 0.0005
"""Pause between two looks at one message: a small part of its time, and no load."""

FIGURES: Final = (
    Figure(name="total_s", unit="s", meaning="from the resolved notice until CBSA judged the last message", digits=3),
    Figure(name="longest_chain", unit="messages", meaning="messages of the document that has most"),
    Figure(
        name="alone_ms",
        unit="ms",
        meaning="one message alone, from held to captured, service time in it; before the drain and after it",
        digits=2,
    ),
    Figure(name="chain_needs_s", unit="s", meaning="the longest chain's own need: its length times alone_ms", digits=3),
    Figure(name="beyond_s", unit="s", meaning="the total beyond the longest chain's own need", digits=3),
    Figure(
        name="step_ms",
        unit="ms",
        meaning="the total over the longest chain: what a step of it took among all the others",
        digits=2,
    ),
    Figure(name="drain_per_s", unit="messages/s", meaning="messages over the total"),
    Figure(name="raw_s", unit="s", meaning="the peer: the raw loop in no order, same service time and in-flight", digits=3),
    Figure(name="order_violations", unit="messages", meaning="captured out of order, by the authority's own check"),
    Figure(name="unaccounted", unit="messages", meaning="published and not captured at the end"),
)
BARS: Final = (
    Bar(name="beyond_s", most=BEYOND_MAX_S),
    Bar(name="order_violations", most=0),
    Bar(name="unaccounted", most=0),
)


def chain_lengths(messages: int, documents: int, skew: float) -> list[int]:
    """How many messages each document has, longest first: one each, the others in shares of 1/rank**skew (Zipf's law at 1).

    Raises ValueError for fewer messages than documents.
    """
    if messages < documents:
        raise ValueError(f"{messages} messages are too few for {documents} documents; ask for at least one each")
    shares = [rank**-skew for rank in range(1, documents + 1)]
    spread, left = sum(shares), messages - documents
    lengths = [1 + int(left * share / spread) for share in shares]
    for number in range(messages - sum(lengths)):  # what rounding left: fewer than there are documents
        lengths[number % documents] += 1
    return sorted(lengths, reverse=True)


def chains(lengths: list[int]) -> Iterator[Message]:
    """The first message of every document, then the second of every document that has one, and so on."""
    for step in range(max(lengths)):
        for document, length in enumerate(lengths):
            if step < length:
                yield _message(f"d{document}", step)


def _message(document: str, step: int) -> Message:
    fields: dict[str, Any] = {
        "tenant": "bench",
        "mode": "highway",
        "kind": "cargo",
        "key": f"{document}-{step}",
        "keys": {"ccn": [f"BNCH{document}"]},
        "function": "original" if step == 0 else "change",
    }
    return Message(parse_attributes(fields), fields["key"].encode().ljust(1024, b"~"))


async def alone_s(log: Opened, driver: Driver, *, name: str) -> list[float]:
    """The times of messages, one by one, through the whole path with nothing else on it: from held to captured."""
    state: LaneState = driver.view(lane("highway")).state
    publisher = Publisher(log.log, clock_ms=wall_ms)

    async def one(number: int) -> float:
        document = f"{name}{number}"
        await asyncio.to_thread(publisher.publish, *_message(document, 0))
        await held.until(lambda: bool(state.find("bench", f"{document}-0")), "the message", look_s=ALONE_LOOK_S)
        started, message = time.perf_counter(), state.find("bench", f"{document}-0")[0]
        await held.until(lambda: message.state == "captured", "its capture", look_s=ALONE_LOOK_S)
        return time.perf_counter() - started

    return [await one(number) for number in range(ALONE_COUNT)]


async def drain(log: Opened, authority: AuthorityProcess, lengths: list[int], *, options: argparse.Namespace) -> dict[str, float]:
    """Measure one message alone, hold all chains, resolve, and time the drain."""
    held.adopt(log, in_flight=options.in_flight)
    count = sum(lengths)
    async with held.workers(log, authority.base_url, in_flight=options.in_flight) as driver:
        alone = await alone_s(log, driver, name="before")
        counts = driver.view(lane("highway")).state.counts
        await held.hold(log, driver, chains(lengths), count)
        before, progress = counts["captured"], Progress("drain", count)
        started = time.perf_counter()
        held.announce(log.log, held.RESOLVED)
        await held.until(
            lambda: counts["captured"] - before + counts["rejected"] + counts["parked"] >= count,
            "everything to be judged",
            lambda: progress.at(counts["captured"] - before),
        )
        total = time.perf_counter() - started
        progress.done()
        unaccounted = count - (counts["captured"] - before)
        alone_one_s = statistics.median(alone + await alone_s(log, driver, name="after"))
    needs = max(lengths) * alone_one_s
    figures = {"total_s": total, "longest_chain": max(lengths), "alone_ms": alone_one_s * 1e3, "chain_needs_s": needs}
    step_ms = total * 1e3 / max(lengths)
    return {**figures, "beyond_s": total - needs, "step_ms": step_ms, "drain_per_s": count / total, "unaccounted": unaccounted}


async def raw_loop(url: str, lengths: list[int], *, in_flight: int) -> float:
    """Post everything in no order and wait until CBSA has answered the last. Seconds."""
    gateway, waiting, count = HttpsGateway(url, connections_max=in_flight), chains(lengths), sum(lengths)

    async def one_by_one() -> None:
        for attributes, payload in waiting:
            await gateway.send(plain_transmission(attributes, payload))

    async def all_answers() -> None:
        after = 0
        while after < count:
            after = (await gateway.poll(after, 1.0)).last_seq

    started = time.perf_counter()
    await asyncio.gather(all_answers(), *(one_by_one() for _ in range(in_flight)))
    took_s = time.perf_counter() - started
    await gateway.close()
    return took_s


def one_round(options: argparse.Namespace, kafka: Kafka | None) -> dict[str, float]:
    """The drain and the raw loop, each on an authority of its own with the same service time."""
    log_jsonlines("error")
    lengths = chain_lengths(options.messages, options.documents, options.skew)
    with running_authority(answer_latency_ms=options.service_ms) as authority, fresh_log(options.engine, kafka) as log:
        figures = run_loop(drain(log, authority, lengths, options=options))
        figures["order_violations"] = len(authority.order_violations())
    with running_authority(answer_latency_ms=options.service_ms) as authority:
        figures["raw_s"] = run_loop(raw_loop(authority.base_url, lengths, in_flight=options.in_flight))
    return figures


def main() -> None:
    """Run the rounds and print the figures."""
    parser = arguments("keys", __doc__, rounds=3)
    add_engine(parser, default="sqlite")
    parser.add_argument("--messages", type=positive, default=10_000, help="default: 10,000")
    parser.add_argument("--documents", type=positive, default=1_000, help="default: 1,000")
    parser.add_argument("--skew", type=float, default=1.0, help="how uneven: shares of 1/rank**SKEW (default: 1.0, Zipf's law)")
    parser.add_argument("--service-ms", type=float, default=2.5, help="CBSA's time from message to answer (default: 2.5)")
    parser.add_argument("--in-flight", type=positive, default=256, help="messages in flight, by policy (default: 256)")
    options = parser.parse_args()
    if options.messages < options.documents:
        parser.error("--messages must be at least --documents: each document has a message")
    settings = {name: getattr(options, name) for name in ("engine", "messages", "documents", "skew", "service_ms", "in_flight")}
    report = Report("keys", settings, FIGURES, BARS)
    with kafka_for(options) as kafka:
        rounds = []
        for number in range(options.rounds):
            rounds.append(in_fresh_process(one_round, options, kafka))
            last = rounds[-1]
            told_round(number + 1, options.rounds, f"{last['total_s']:.2f} s, {last['beyond_s']:+.2f} s beyond the longest chain")
    report.add({"engine": options.engine}, rounds)
    medians = report.medians(0)
    bars = {
        "ordered drain": {"seconds": medians["total_s"]},
        "longest chain alone": {"seconds": medians["chain_needs_s"]},
        "raw loop, no order": {"seconds": medians["raw_s"]},
    }
    title = f"{options.messages:,} messages over {options.documents:,} documents ({options.engine})"
    report.tell(options, lambda path: charts.bars(path, title, bars, unit="seconds", note=machine_line(report.machine)))


if __name__ == "__main__":
    main()
