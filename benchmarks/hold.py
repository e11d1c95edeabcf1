"""What holding costs: memory a held message, the time to the first send, and how quickly a person is answered meanwhile.

It proves that an outage can be long: N messages are held behind a notice, in a log in a file, and then

memory        a fresh process folds that log, as a restart would: its resident memory and Python's own count (tracemalloc, in
              another fresh process) less those of an empty fold, by N; with one, two and three document keys on each message
first send    from *resolved* to the first message taken by CBSA, with N held, all workers in one process
answers       `status` and `why` of the fold in a process that lives (p50, p99), and as commands started anew on that log

The log is written directly, in the facts that intake would have made; no publisher and no intake are measured here. The peer of
the memory is the least that a Python program could hold: the attributes alone, one dict a message.
"""

import argparse
import functools
import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import charts, held
from benchmarks.engines import fresh_log
from benchmarks.figures import Bar, Figure, Report, arguments, machine_line, sizes, told_round
from benchmarks.processes import in_fresh_process, rss_bytes
from console.clock import wall_ms
from console.loop import run as run_loop
from console.up import WORKERS, log_jsonlines
from gateway.authority_process import running_authority
from lane.summary import channel_states, lane_summary, needs_a_person
from lane.why import why
from producers.publisher import Message
from schemas.messages import parse_attributes
from schemas.streams import lane

KEYS_MAX: Final = 3
"""Document keys of a message: one to three, as most have (a trip with its shipments, a house bill with its parents)."""

ASK_COUNT: Final = 200
"""Questions for a median and a 99th percentile."""

COMMAND_COUNT: Final = 5
"""Commands started anew: each takes seconds at a million."""

COMMAND: Final = "import sys; from console.cli import main; sys.exit(main())"
"""What the installed `tidegate` does."""

COMMAND_WAIT_S: Final = 1_800.0
"""Longest wait for one command."""

HELD_BYTES_MAX: Final = 600
"""Most memory that a held message may take: a million of them fit a small machine beside everything else."""

FIGURES: Final = (
    *(
        Figure(name=f"{kind}_bytes_{keys}", unit="bytes", meaning=f"{what} a held message with {keys} key{'s' * (keys > 1)}")
        for kind, what in (("rss", "resident memory"), ("traced", "tracemalloc's count"), ("dict", "the peer: a bare dict,"))
        for keys in range(1, KEYS_MAX + 1)
    ),
    Figure(name="fold_per_s", unit="facts/s", meaning="folding the held log at the start"),
    Figure(name="first_send_s", unit="s", meaning="from the resolved notice to the first message taken by CBSA", digits=3),
    Figure(name="status_p50_ms", unit="ms", meaning="status of a fold in memory, the middle", digits=3),
    Figure(name="status_p99_ms", unit="ms", meaning="status of a fold in memory, one in a hundred", digits=3),
    Figure(name="why_p50_ms", unit="ms", meaning="why of a message in a fold in memory, the middle", digits=3),
    Figure(name="why_p99_ms", unit="ms", meaning="why of a message in a fold in memory, one in a hundred", digits=3),
    Figure(name="status_command_s", unit="s", meaning="`tidegate status --json` started anew, the middle", digits=2),
    Figure(name="why_command_s", unit="s", meaning="`tidegate why KEY --json` started anew, the middle", digits=2),
)
BARS: Final = (
    *(Bar(name=f"rss_bytes_{keys}", most=HELD_BYTES_MAX) for keys in range(1, KEYS_MAX + 1)),
    Bar(name="first_send_s", most=1.0),
)


def cargo(count: int, keys: int) -> Iterator[Message]:
    """House bills that name one, two or three documents of their own: none waits for another that is not there."""
    for number in range(count):
        name = f"H{number:08}"
        roles = ("house_bill", "primary_ccn", "previous_ccn")[:keys]
        fields: dict[str, Any] = {"tenant": "bench", "mode": "highway", "kind": "house_bill", "key": name}
        fields["keys"] = {role: [name if role == "house_bill" else f"{role[:4].upper()}{number:08}"] for role in roles}
        yield Message(parse_attributes(fields), name.encode().ljust(1024, b"~"))


async def _hold(folder: Path, url: str, messages: Iterator[Message], count: int) -> None:
    """Make a log in which so many are held."""
    with fresh_log("sqlite", None, folder=folder) as log:
        held.adopt(log, in_flight=128)
        async with held.workers(log, url, in_flight=8, names=("availability",)) as driver:
            await held.hold_seeded(log, driver, messages, count)


def folded_memory(folder: Path, count: int, *, traced: int) -> dict[str, float]:
    """Fold the log in this process and say what a message takes; `traced` frames for tracemalloc, 0 for none."""
    with fresh_log("sqlite", None, folder=folder) as log:
        gc.collect()
        if traced:
            tracemalloc.start(traced)
        rss_before, started = rss_bytes(), time.perf_counter()
        view = held.folded(log)
        took_s = time.perf_counter() - started
        assert view.state.counts["held"] == count, "the log holds another number of messages"
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] if traced else rss_bytes() - rss_before
    return {"bytes": used / count, "fold_per_s": view.next_position / took_s}


def dict_memory(count: int, keys: int) -> float:
    """What the same attributes take as bare dicts: tracemalloc's count a message."""
    tracemalloc.start(1)
    kept = [json.loads(attributes.model_dump_json()) for attributes, _ in cargo(count, keys)]
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / len(kept)


def asked(folder: Path) -> dict[str, float]:
    """Ask a living fold for its status and for the reasons of messages all over it."""
    with fresh_log("sqlite", None, folder=folder) as log:
        state = held.folded(log).state
    messages = list(state.messages.values())
    chosen = [messages[number * len(messages) // ASK_COUNT] for number in range(ASK_COUNT)]

    def status() -> None:
        now_ms = wall_ms()
        lane_summary(state, now_ms)
        channel_states([state], now_ms)
        needs_a_person([state])

    status_ms = _timed_ms([status] * ASK_COUNT)
    why_ms = _timed_ms([functools.partial(why, state, message, at_ms=wall_ms()) for message in chosen])
    return {
        "status_p50_ms": statistics.median(status_ms), "status_p99_ms": _p99(status_ms),
        "why_p50_ms": statistics.median(why_ms), "why_p99_ms": _p99(why_ms),
    }  # fmt: skip


def _timed_ms(works: list[Callable[[], Any]]) -> list[float]:
    took = []
    for work in works:
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1e3)
    return took


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def command_s(folder: Path, *words: str) -> float:
    """Seconds of a command started anew on that log, as a person would, from the start of its interpreter to its answer."""
    command = [sys.executable, "-c", COMMAND, *words, "--json", "--data", str(folder)]
    began_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, timeout=COMMAND_WAIT_S, check=False)
    took_s = time.perf_counter() - began_s
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout), "the command says something"
    return took_s


def commanded(folder: Path) -> dict[str, float]:
    """What the commands take, the middle of each."""
    return {
        "status_command_s": statistics.median(command_s(folder, "status") for _ in range(COMMAND_COUNT)),
        "why_command_s": statistics.median(command_s(folder, "why", "H00000000") for _ in range(COMMAND_COUNT)),
    }


def first_send(folder: Path) -> float:
    """Resolve, and wait for the first message that CBSA takes. Seconds; the log is drained a little by it, so this comes last."""
    log_jsonlines("error")

    async def measured(url: str) -> float:
        with fresh_log("sqlite", None, folder=folder) as log:
            names = tuple(name for name in WORKERS if name != "intake")
            async with held.workers(log, url, in_flight=128, names=names) as driver:
                counts = driver.view(lane("highway")).state.counts
                started = time.perf_counter()
                held.announce(log.log, held.RESOLVED)
                await held.until(lambda: counts["transmitted"] + counts["captured"] > 0, "the first send", look_s=0.002)
                return time.perf_counter() - started

    with running_authority() as authority:
        return run_loop(measured(authority.base_url))


def one_round(count: int) -> dict[str, float]:
    """All figures of one size, each part in a fresh process."""
    figures: dict[str, float] = {}
    for keys in range(1, KEYS_MAX + 1):
        with TemporaryDirectory(prefix="tidegate-bench-") as name:
            folder = Path(name)
            with running_authority() as authority:
                run_loop(_hold(folder, authority.base_url, cargo(count, keys), count))
            resident = in_fresh_process(_folded_memory, folder, count, 0)
            figures[f"rss_bytes_{keys}"] = resident["bytes"]
            figures[f"traced_bytes_{keys}"] = in_fresh_process(_folded_memory, folder, count, 1)["bytes"]
            figures[f"dict_bytes_{keys}"] = in_fresh_process(dict_memory, count, keys)
            if keys == 1:
                figures |= {"fold_per_s": resident["fold_per_s"], **in_fresh_process(asked, folder), **commanded(folder)}
                figures["first_send_s"] = in_fresh_process(first_send, folder)
    return figures


def _folded_memory(folder: Path, count: int, traced: int) -> dict[str, float]:
    return folded_memory(folder, count, traced=traced)


def options_of(argv: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks."""
    parser = arguments("hold", __doc__, rounds=1)
    parser.add_argument("--messages", type=sizes, default=[10_000], metavar="N[,N]", help="sizes, each a case (default: 10000)")
    return parser.parse_args(argv)


def main() -> None:
    """Run the rounds and print the figures."""
    options = options_of()
    log_jsonlines("error")
    report = Report("hold", {"engine": "sqlite", "keys": f"1 to {KEYS_MAX}"}, FIGURES, BARS)
    for count in options.messages:
        rounds = []
        for number in range(options.rounds):
            rounds.append(one_round(count))
            told_round(number + 1, options.rounds, f"{count:,} held, {rounds[-1]['rss_bytes_1']:,.0f} bytes each")
        report.add({"messages": count}, rounds)
    groups = {}
    for number, (case, _) in enumerate(report.rounds):
        medians = report.medians(number)
        for keys in range(1, KEYS_MAX + 1):
            bars = {"resident": medians[f"rss_bytes_{keys}"], "counted by Python": medians[f"traced_bytes_{keys}"]}
            groups[f"{case['messages']:,}\n{keys} key{'s' * (keys > 1)}"] = {**bars, "a bare dict": medians[f"dict_bytes_{keys}"]}
    note = machine_line(report.machine)
    report.tell(options, lambda path: charts.bars(path, "Memory a held message", groups, unit="bytes", note=note))


if __name__ == "__main__":
    main()
