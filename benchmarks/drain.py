"""An ordered drain of held messages over HTTP to the simulated CBSA, held against the raw loop.

It proves that order, the gate and the log cost a bounded share of what the wire alone takes, at any size: N messages are held
behind an outage, *resolved* comes, and the clock runs until CBSA has judged the last one. The simulated CBSA is a process of its
own and checks the order itself.

The raw loop is the same client posting the same kind of bytes with as many in flight, no log and no rules, half of it before the
drain and half after; beyond 100,000 messages it posts a sample of 100,000. Every round runs in a fresh process, on a fresh log.

    python -m benchmarks.drain --engine kafka --messages 10000,100000,1000000 --rounds 1 --seed-log
"""

import argparse
import asyncio
import cProfile
import pstats
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks import charts, held
from benchmarks.engines import Kafka, add_engine, fresh_log, kafka_for
from benchmarks.figures import Bar, Figure, Progress, Report, arguments, machine_line, positive, sizes, told_round
from benchmarks.processes import cpu_s, in_fresh_process, rss_bytes
from benchmarks.traffic import trips
from console.demo_fifo import plain_transmission
from console.driver import Driver
from console.loop import run
from console.up import WORKERS, log_jsonlines
from console.wiring import Opened
from gateway.authority_process import AuthorityProcess, running_authority
from gateway.https import HttpsGateway
from lane.state import LaneState
from schemas.streams import lane

RAW_COUNT_MAX: Final = 100_000
"""Messages of the raw loop at most: a million would only take time. Of 20,000, a second before the drain and one after, the ratio
strayed from 0.38 to 0.70 in three rounds within a minute."""

SAMPLE_S: Final = 1.0
"""Time between two points of the curve."""

FIGURES: Final = (
    Figure(name="drain_per_s", unit="messages/s", meaning="from the resolved notice until CBSA judged the last one"),
    Figure(name="raw_per_s", unit="messages/s", meaning="the peer: the same client, no log, no rules, around the drain"),
    Figure(name="ratio_to_raw", unit="x", meaning="drain over raw", digits=2),
    Figure(name="us_per_message", unit="us", meaning="wall time of the drain a message; flat: size costs nothing", digits=1),
    Figure(name="first_send_s", unit="s", meaning="from the resolved notice to the first message taken by CBSA", digits=3),
    Figure(name="publish_per_s", unit="messages/s", meaning="publishing during the outage, intake running beside it"),
    Figure(name="own_cpu_us", unit="us", meaning="CPU of this process a message drained", digits=1),
    Figure(name="authority_cpu_us", unit="us", meaning="CPU of the simulated CBSA a message drained", digits=1),
    Figure(name="broker_cpu_us", unit="us", meaning="CPU of the brokers a message drained", digits=1),
    Figure(name="rss_held_mib", unit="MiB", meaning="this process with everything held"),
    Figure(name="rss_end_mib", unit="MiB", meaning="this process when all was drained"),
    Figure(name="order_violations", unit="messages", meaning="captured out of order, by the authority's own check"),
    Figure(name="unaccounted", unit="messages", meaning="published and not captured at the end"),
)
BARS: Final = (
    Bar(name="drain_per_s", least=3_000),
    Bar(name="ratio_to_raw", least=0.5),
    Bar(name="first_send_s", most=1.0),
    Bar(name="order_violations", most=0),
    Bar(name="unaccounted", most=0),
)

Curve = list[tuple[float, float]]
T = TypeVar("T")


async def drain(
    log: Opened, authority: AuthorityProcess, count: int, *, options: argparse.Namespace, pids: tuple[int, ...]
) -> tuple[dict[str, float], Curve]:
    """Hold `count` messages, resolve, and time the drain; `pids` are the brokers'."""
    held.adopt(log, in_flight=options.in_flight)
    names = tuple(name for name in WORKERS if name != "intake") if options.seed_log else WORKERS
    async with held.workers(log, authority.base_url, in_flight=options.in_flight, names=names) as driver:
        figures: dict[str, float] = {}
        if options.seed_log:
            await held.hold_seeded(log, driver, trips(count), count)
        else:
            figures["publish_per_s"] = count / await held.hold(log, driver, trips(count), count)
        figures["rss_held_mib"] = rss_bytes() / 2**20
        whose = {"own_cpu_us": None, "authority_cpu_us": (authority.process.pid,), "broker_cpu_us": pids}
        before = {name: cpu_s(each) for name, each in whose.items()}
        drained, curve = await _drained(log, driver, count)
        used = {name: (cpu_s(each) - before[name]) * 1e6 / count for name, each in whose.items() if each is None or each}
        figures |= drained | used | {"rss_end_mib": rss_bytes() / 2**20}
    return figures, curve


async def _drained(log: Opened, driver: Driver, count: int) -> tuple[dict[str, float], Curve]:
    """From the resolved notice to the last capture."""
    state: LaneState = driver.view(lane("highway")).state
    curve: Curve = []
    progress = Progress("drain", count)
    started = time.perf_counter()
    sampling = asyncio.create_task(_sample(state, curve, started))
    held.announce(log.log, held.RESOLVED)
    await held.until(lambda: state.counts["transmitted"] + state.counts["captured"] > 0, "the first send")
    first_s = time.perf_counter() - started
    await held.until(
        lambda: state.counts["captured"] + state.counts["rejected"] + state.counts["parked"] >= count,
        "everything to be judged",
        lambda: progress.at(state.counts["captured"]),
    )
    took_s = time.perf_counter() - started
    sampling.cancel()
    progress.done()
    unaccounted = count - state.counts["captured"]
    rates = {"drain_per_s": count / took_s, "us_per_message": took_s * 1e6 / count}
    return {**rates, "first_send_s": first_s, "unaccounted": unaccounted}, curve


async def _sample(state: LaneState, curve: Curve, started: float) -> None:
    """A point each second: how many CBSA captured in it."""
    before, before_s = 0, 0.0
    while True:
        await asyncio.sleep(SAMPLE_S)
        now, now_s = state.counts["captured"], time.perf_counter() - started
        curve.append((now_s, (now - before) / (now_s - before_s)))
        before, before_s = now, now_s


async def raw_loop(url: str, count: int, *, in_flight: int) -> float:
    """The same client, the same bytes, first-in-first-out, no log and no rules. Seconds."""
    gateway = HttpsGateway(url, connections_max=in_flight)
    waiting = trips(count)

    async def one_by_one() -> None:
        for attributes, payload in waiting:
            await gateway.send(plain_transmission(attributes, payload))

    started = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))
    took_s = time.perf_counter() - started
    await gateway.close()
    return took_s


def one_round(options: argparse.Namespace, kafka: Kafka | None, count: int) -> tuple[dict[str, float], Curve]:
    """Half the raw loop, the drain, the other half; each on an authority of its own."""
    log_jsonlines("error")
    sample = max(1, min(count, RAW_COUNT_MAX) // 2)

    def raw_s() -> float:
        with running_authority() as authority:
            return _run(raw_loop(authority.base_url, sample, in_flight=options.in_flight), options.loop)

    before_s = raw_s()
    with running_authority() as authority, fresh_log(options.engine, kafka) as log:
        pids = kafka.pids if kafka is not None else ()
        figures, curve = _run(drain(log, authority, count, options=options, pids=pids), options.loop)
        figures["order_violations"] = len(authority.order_violations())
    figures["raw_per_s"] = 2 * sample / (before_s + raw_s())
    return figures | {"ratio_to_raw": figures["drain_per_s"] / figures["raw_per_s"]}, curve


def _run(work: Coroutine[Any, Any, T], loop: str) -> T:
    return run(work) if loop == "uvloop" else asyncio.run(work)


def options_of(argv: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks."""
    parser = arguments("drain", __doc__, rounds=3)
    add_engine(parser, default="sqlite")
    parser.add_argument("--messages", type=sizes, default=[4_000], metavar="N[,N]", help="sizes, each a case (default: 4000)")
    parser.add_argument("--in-flight", type=positive, default=128, help="messages in flight, by policy (default: 128)")
    parser.add_argument("--seed-log", action="store_true", help="write what is held directly: no publisher, no intake")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop", help="our event loop (default: uvloop)")
    parser.add_argument("--profile", action="store_true", help="one round under cProfile, in this process")
    return parser.parse_args(argv)


def main() -> None:
    """Run the rounds and print the figures."""
    options = options_of()
    if options.profile:
        with kafka_for(options) as kafka:
            profile = cProfile.Profile()
            profile.runcall(one_round, options, kafka, options.messages[0])
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
        return
    settings = {"engine": options.engine, "in_flight": options.in_flight, "loop": options.loop, "seeded": options.seed_log}
    report = Report("drain", settings, FIGURES, BARS)
    if options.seed_log:
        report.notes.append("The held messages were written into the log directly (--seed-log): publishing was not measured.")
    if max(options.messages) > RAW_COUNT_MAX:
        report.notes.append(f"The raw loop posted a sample of {RAW_COUNT_MAX:,}, half before the drain and half after.")
    curves: dict[str, Curve] = {}
    with kafka_for(options) as kafka:
        for count in options.messages:
            rounds = []
            for number in range(options.rounds):
                figures, curve = in_fresh_process(one_round, options, kafka, count)
                rounds.append(figures)
                curves[f"{count:,} messages" + (f", round {number + 1}" if options.rounds > 1 else "")] = curve
                said = f"{count:,} messages at {figures['drain_per_s']:,.0f} a second, {figures['ratio_to_raw']:.2f} of raw"
                told_round(number + 1, options.rounds, said)
            report.add({"messages": count}, rounds)
    report.tell(options, lambda path: draw(path, report, curves))


def draw(path: Path, report: Report, curves: dict[str, Curve]) -> None:
    """The rate over time; for drains shorter than two samples the rates as bars."""
    note, title = machine_line(report.machine), f"Ordered drain ({report.settings['engine']}"
    if all(len(curve) > 1 for curve in curves.values()):
        charts.lines(path, f"{title}): captured each second", curves, x="seconds after resolved", y="messages/s", note=note)
        return
    groups = {}
    for number, (case, _) in enumerate(report.rounds):
        medians = report.medians(number)
        groups[f"{case['messages']:,} messages"] = {"ordered drain": medians["drain_per_s"], "raw loop": medians["raw_per_s"]}
    charts.bars(path, f"{title}) against the raw loop", groups, unit="messages/s", note=note)


if __name__ == "__main__":
    main()
