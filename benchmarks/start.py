"""Starting on a log of years: from a snapshot and the tail behind it, against the fold from zero.

It proves that a machine that died comes back in seconds, however long the log. The log is written by benchmarks/generate.py, or
was before (`--folder`, which is kept). Each round, each part in a fresh process:

from zero     every fact of the lane is read from the log and folded; on the way a snapshot is kept, with as many facts behind it
              as a kill leaves at worst (SNAPSHOT_FACTS)
start         the snapshot is loaded and the tail read; the state must be the same to the byte
command       `tidegate status --json`, from the start of its interpreter to the end of its answer

    python -m benchmarks.start --facts 10000000 --rounds 1
"""

import argparse
import statistics
import time
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import charts
from benchmarks.engines import fresh_log
from benchmarks.figures import Bar, Figure, Progress, Report, arguments, machine_line, positive, sizes, told_round
from benchmarks.generate import Town, write
from benchmarks.hold import command_s
from benchmarks.processes import in_fresh_process, rss_bytes
from console.keeping import SNAPSHOT_FACTS
from console.snapshots import Folds, no_collection
from console.wiring import read_into
from eventlog.port import READ_COUNT_MAX
from eventlog.sqlite import SqliteLog
from lane.snapshot import dump
from schemas.streams import lane

MODE: Final = "highway"
COMMAND_COUNT: Final = 3
"""Commands started anew in a round."""

START_S_MAX: Final = 5.0
"""Longest start, the command's own interpreter included: what a truck driver doesn't notice."""

FIGURES: Final = (
    Figure(name="command_s", unit="s", meaning="`tidegate status --json` started anew, the middle", digits=2),
    Figure(name="start_s", unit="s", meaning="the snapshot loaded and its tail read", digits=3),
    Figure(name="load_s", unit="s", meaning="of that, the snapshot", digits=3),
    Figure(name="from_zero_s", unit="s", meaning="the peer: every fact read from the log and folded", digits=3),
    Figure(name="fold_s", unit="s", meaning="of that, decoded and folded; the rest is reading", digits=3),
    Figure(name="ratio", unit="x", meaning="from zero over start", digits=0),
    Figure(name="tail", unit="facts", meaning="read behind the snapshot"),
    Figure(name="messages_kept", unit="messages", meaning="in the fold at the end; the horizon took the others"),
    Figure(name="snapshot_mib", unit="MiB", meaning="the snapshot's size", digits=1),
    Figure(name="rss_mib", unit="MiB", meaning="resident memory of the started process"),
    Figure(name="differences", unit="states", meaning="states that were another than the one folded from zero"),
)
BARS: Final = (Bar(name="command_s", most=START_S_MAX), Bar(name="differences", most=0))


def from_zero(folder: Path, tail: int) -> tuple[dict[str, float], str]:
    """Fold the whole log, keep a snapshot on the way; the figures, and the digest of the state."""
    with fresh_log("sqlite", None, folder=folder) as log, no_collection():
        view, stream = Folds(log.log, log.codec, None).lane(MODE), lane(MODE)
        end, reading_s, folding_s = log.log.end(stream), 0.0, 0.0
        progress = Progress("from zero", end)
        while view.next_position < end:
            began_s = time.perf_counter()
            ahead = end - tail - view.next_position
            records = log.log.read(stream, view.next_position, ahead if ahead > 0 else READ_COUNT_MAX, 1.0)
            read_s = time.perf_counter()
            view.absorb(records)
            reading_s, folding_s = reading_s + read_s - began_s, folding_s + time.perf_counter() - read_s
            if view.next_position == end - tail and view.last is not None and log.snapshots is not None:
                body = dump(view.state)
                log.snapshots.keep(view.last, stream, body, made_ms=0)
            progress.at(view.next_position)
        progress.done()
        figures = {
            "from_zero_s": reading_s + folding_s, "fold_s": folding_s, "messages_kept": len(view.state.messages),
            "snapshot_mib": len(body) / 2**20,
        }  # fmt: skip
        return figures, _digest(dump(view.state))


def started(folder: Path) -> tuple[dict[str, float], str]:
    """Go on from the snapshot and read the tail; the figures, and the digest of the state."""
    with fresh_log("sqlite", None, folder=folder) as log:
        began_s = time.perf_counter()
        view, stream = log.folds.lane(MODE), lane(MODE)
        loaded_s = time.perf_counter()
        read_into(log.log, stream, view)
        ended_s = time.perf_counter()
        tail = view.next_position - view.begun_at
        figures = {"start_s": ended_s - began_s, "load_s": loaded_s - began_s, "tail": tail, "rss_mib": rss_bytes() / 2**20}
        return figures, _digest(dump(view.state))


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def one_round(folder: Path, tail: int) -> dict[str, float]:
    """All figures of a log."""
    peer, wanted = in_fresh_process(from_zero, folder, tail)
    ours, found = in_fresh_process(started, folder)
    assert ours["tail"] == tail, "the start passed the snapshot over"
    return {
        **peer, **ours, "ratio": peer["from_zero_s"] / ours["start_s"], "differences": float(wanted != found),
        "command_s": statistics.median(command_s(folder, "status") for _ in range(COMMAND_COUNT)),
    }  # fmt: skip


def written(folder: Path, count: int, *, trips_a_day: int) -> int:
    """How many facts the lane of that log holds, so many at least; they are written where there are none."""
    town = Town(MODE, trips_a_day=trips_a_day)
    log = SqliteLog.open(folder, lambda: town.now_ms)
    if not log.end(lane(MODE)):
        write(log, town, count)
    facts = log.end(lane(MODE))
    log.close()
    return facts


def options_of(argv: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks."""
    parser = arguments("start", __doc__, rounds=1)
    parser.add_argument("--facts", type=sizes, default=[200_000], metavar="N[,N]", help="sizes, each a case (default: 200000)")
    parser.add_argument(
        "--tail", type=positive, default=SNAPSHOT_FACTS, help=f"behind the snapshot (default: {SNAPSHOT_FACTS:,})"
    )
    parser.add_argument("--trips-a-day", type=positive, default=1_250, help="four messages each (default: 1,250)")
    parser.add_argument("--folder", type=Path, help="the log, written if it is not there and kept; for one size")
    options = parser.parse_args(argv)
    if options.folder is not None and len(options.facts) > 1:
        parser.error("--folder is for one size")
    return options


def main() -> None:
    """Run the rounds and print the figures."""
    options = options_of()
    report = Report(
        "start", {"engine": "sqlite", "trips_a_day": options.trips_a_day, "mix": "benchmarks/generate.py"}, FIGURES, BARS
    )
    for count in options.facts:
        with TemporaryDirectory(prefix="tidegate-bench-") as name:
            folder = options.folder or Path(name)
            facts = written(folder, count, trips_a_day=options.trips_a_day)
            rounds = []
            for number in range(options.rounds):
                rounds.append(one_round(folder, min(options.tail, facts // 2)))
                told_round(number + 1, options.rounds, f"{facts:,} facts, started in {rounds[-1]['start_s']:,.2f} s")
            report.add({"facts": facts}, rounds)

    def draw(path: Path) -> None:
        groups = {}
        for number, (case, _) in enumerate(report.rounds):
            medians = report.medians(number)
            groups[f"{case['facts']:,} facts"] = {
                "from the snapshot": medians["start_s"], "status, anew": medians["command_s"], "from zero": medians["from_zero_s"]
            }  # fmt: skip
        charts.bars(path, "Starting on a log of years", groups, unit="s", note=machine_line(report.machine))

    report.tell(options, draw)


if __name__ == "__main__":
    main()
