"""Rebuilding a lane's state from its facts: facts folded a second, with and without a snapshot, against decoding alone.

It proves that a start is quick after years of traffic. The facts are those of benchmarks/generate.py (an honest mix: trips of
three shipments, grants one by one and in groups, rejects, corrections, unknowns, outages, a horizon that moves each day), made
page by page outside the clock, so that ten million fit. Each page is decoded alone first (the peer: no fold can be quicker than
reading its facts), then folded, in the same process. Then the state is dumped as a snapshot and loaded again.

    python -m benchmarks.rebuild --facts 1000000,10000000 --rounds 1
"""

import argparse
import itertools
import time
from pathlib import Path

from benchmarks import charts
from benchmarks.figures import Bar, Figure, Progress, Report, arguments, machine_line, positive, sizes, told_round
from benchmarks.generate import lane_facts
from benchmarks.processes import in_fresh_process, rss_bytes
from console.snapshots import no_collection
from eventlog.port import READ_COUNT_MAX
from lane.snapshot import dump, load
from lane.view import LaneView
from schemas.codec import Codec
from schemas.streams import Record

FIGURES = (
    Figure(name="fold_per_s", unit="facts/s", meaning="decoded and folded"),
    Figure(name="decode_per_s", unit="facts/s", meaning="the peer: decoded alone"),
    Figure(name="ratio_to_decode", unit="x", meaning="fold over decoding alone", digits=2),
    Figure(name="fold_us_first", unit="us", meaning="a fact's fold in the first tenth", digits=1),
    Figure(name="fold_us_last", unit="us", meaning="a fact's fold in the last tenth; flat: length costs nothing", digits=1),
    Figure(name="fold_s", unit="s", meaning="the whole fold from zero", digits=2),
    Figure(name="snapshot_load_s", unit="s", meaning="the same state from its snapshot", digits=3),
    Figure(name="snapshot_dump_s", unit="s", meaning="taking the snapshot", digits=3),
    Figure(name="snapshot_mib", unit="MiB", meaning="the snapshot's size", digits=1),
    Figure(name="messages_kept", unit="messages", meaning="in the fold at the end; the horizon took the others"),
    Figure(name="rss_mib", unit="MiB", meaning="this process with the state folded, before the snapshot"),
    Figure(name="differences", unit="states", meaning="states that were another after dump and load"),
)
BARS = (Bar(name="fold_per_s", least=1_000_000 / 6), Bar(name="differences", most=0))


def one_round(count: int, trips_a_day: int) -> dict[str, float]:
    """Decode and fold so many facts, page by page; then dump and load."""
    facts = lane_facts("highway", count, trips_a_day=trips_a_day)
    decode = Codec().decode
    view = LaneView("highway", Codec().decode)
    progress, position, decode_s = Progress("fold", count), 0, 0.0
    pages: list[float] = []
    with no_collection():  # as a start does
        while page := list(itertools.islice(facts, READ_COUNT_MAX)):
            records = [Record(position + number, 0, value) for number, value in enumerate(page)]
            position += len(page)
            started = time.perf_counter()
            for value in page:
                decode(value)
            decoded = time.perf_counter()
            view.absorb(records)
            folded = time.perf_counter()
            decode_s += decoded - started
            pages.append((folded - decoded) / len(page))
            progress.at(position)
    progress.done()
    fold_s, tenth = sum(pages) / len(pages) * position, max(1, len(pages) // 10)
    rss = rss_bytes()
    return {
        "fold_per_s": position / fold_s,
        "decode_per_s": position / decode_s,
        "ratio_to_decode": decode_s / fold_s,
        "fold_us_first": sum(pages[:tenth]) / tenth * 1e6,
        "fold_us_last": sum(pages[-tenth:]) / tenth * 1e6,
        "fold_s": fold_s,
        "messages_kept": len(view.state.messages),
        "rss_mib": rss / 2**20,
        **_snapshot(view),
    }


def _snapshot(view: LaneView) -> dict[str, float]:
    """Dump the state and load it again."""
    started = time.perf_counter()
    body = dump(view.state)
    dumped = time.perf_counter()
    with no_collection():  # as a start does
        state = load(body)
    loaded = time.perf_counter()
    return {
        "snapshot_dump_s": dumped - started,
        "snapshot_load_s": loaded - dumped,
        "snapshot_mib": len(body) / 2**20,
        "differences": float(dump(state) != body),
    }


def options_of(argv: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks."""
    parser = arguments("rebuild", __doc__, rounds=3)
    parser.add_argument("--facts", type=sizes, default=[200_000], metavar="N[,N]", help="sizes, each a case (default: 200000)")
    parser.add_argument("--trips-a-day", type=positive, default=1_250, help="four messages each (default: 1,250)")
    return parser.parse_args(argv)


def main() -> None:
    """Run the rounds and print the figures."""
    options = options_of()
    report = Report("rebuild", {"trips_a_day": options.trips_a_day, "mix": "benchmarks/generate.py"}, FIGURES, BARS)
    for count in options.facts:
        rounds = []
        for number in range(options.rounds):
            rounds.append(in_fresh_process(one_round, count, options.trips_a_day))
            told_round(number + 1, options.rounds, f"{count:,} facts at {rounds[-1]['fold_per_s']:,.0f} a second")
        report.add({"facts": count}, rounds)

    def draw(path: Path) -> None:
        groups = {}
        for number, (case, _) in enumerate(report.rounds):
            medians = report.medians(number)
            groups[f"{case['facts']:,} facts"] = {"folded": medians["fold_per_s"], "decoded alone": medians["decode_per_s"]}
        charts.bars(path, "Rebuilding a lane from its facts", groups, unit="facts/s", note=machine_line(report.machine))

    report.tell(options, draw)


if __name__ == "__main__":
    main()
