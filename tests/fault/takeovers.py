"""Takeovers in a row, timed: `python -m tests.fault.takeovers`; must not know how one is done.

    python -m tests.fault.takeovers --engine kafka --takeovers 50 --how mixed --json

Two `tidegate up` on one Kafka, or restarts on one SQLite file, while messages stream in and outages end; each time the holder
is killed, stopped, or frozen past its lease. Prints a table, and with --json one line; ends with 1 when a bar or a promise is
broken.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.charts import lines
from benchmarks.figures import OUT, machine, machine_line, positive
from lane.policy import Policy
from tests.e2e.town import town
from tests.fault.takeover_run import HOWS, How, Judged, Run, Takeover, running
from tests.kafka_cluster import BrokersUnavailable
from tests.kafka_cluster import running as brokers

GROUPS_PER_S: Final = 3.0
"""Twelve messages a second: more than the country's peak (DESIGN section 3)."""

LATENCY_MS: Final = 20
"""What CBSA's web service takes for one message here, so that strikes find sends under way."""

POLICY: Final = Policy()
"""The timers that everybody has who sets none."""


def run_takeovers(run: Run, *, count: int, how: str) -> Judged:
    """Take over so many times, telling each on standard error, and judge the whole."""
    began_s = time.monotonic()
    for number in range(count):
        kind: How = HOWS[number % len(HOWS)] if how == "mixed" else how  # type: ignore[assignment]  # argparse checked it
        done = run.takeover(kind)
        print(
            f"{number + 1:3}/{count} {time.monotonic() - began_s:5.0f} s  {done.how:6} {done.basis:8} "
            f"{done.since_ms:6} ms (bar {done.bar_ms}): taken {done.to_taken_ms}, intent +{done.to_intent_ms}, "
            f"send +{done.to_send_ms}{', in a drain' if done.in_a_drain else ''}, {done.waiting} waiting",
            file=sys.stderr,
            flush=True,
        )
    return run.judge()


def figures(takeovers: list[Takeover]) -> list[dict[str, Any]]:
    """Median and worst of each kind of strike, with its bar, in milliseconds."""
    out = []
    for how in HOWS:
        kind = [each for each in takeovers if each.how == how]
        if kind:
            since = [each.since_ms for each in kind]
            parts = {
                name: round(statistics.median(getattr(each, name) for each in kind))
                for name in ("to_taken_ms", "to_intent_ms", "to_send_ms")
            }
            row = {"how": how, "takeovers": len(kind), "median_ms": round(statistics.median(since)), "worst_ms": max(since)}
            bar_ms = kind[0].bar_ms
            out.append({**row, "bar_ms": bar_ms, "within": max(since) <= bar_ms, "median_of_parts": parts})
    return out


def tell(asked: argparse.Namespace, table: list[dict[str, Any]], judged: Judged, found: dict[str, Any]) -> None:
    """The table, and with --json the one line."""
    shown = Table(title=f"Takeovers in a row on {asked.engine}", title_justify="left")
    for name in ("strike", "times", "median", "worst", "bar", "until taken", "to the intent", "to the send", ""):
        shown.add_column(name, justify="left" if name in ("strike", "") else "right")
    for row in table:
        seconds = [f"{row[name] / 1000:.2f} s" for name in ("median_ms", "worst_ms", "bar_ms")]
        parts = [f"{part / 1000:.2f} s" for part in row["median_of_parts"].values()]
        shown.add_row(row["how"], str(row["takeovers"]), *seconds, *parts, "" if row["within"] else "BEYOND ITS BAR")
    console = Console(width=None if sys.stdout.isatty() else 130, highlight=False)
    console.print(shown)
    said = [
        (
            f"{judged.published} published, {judged.captured} captured, {judged.lost} lost, {judged.doubled} doubled, "
            f"{judged.out_of_order} out of order, {judged.overlaps} overlapping; tidegate audit verify: {judged.audit}"
        ),
        *judged.faults,
        machine_line(found),
    ]
    for line in said:
        console.print(line, markup=False)
    if asked.json:
        whole = {"engine": asked.engine, "nodes": asked.nodes, "figures": table, "judged": judged.as_json(), "machine": found}
        print(json.dumps(whole, separators=(",", ":")))


def draw(asked: argparse.Namespace, takeovers: list[Takeover], found: dict[str, Any]) -> Path:
    """A line for each kind of strike, a point for each takeover; returns the chart's file."""
    chart: Path = asked.chart or OUT / f"takeovers-{asked.engine}.svg"
    chart.parent.mkdir(parents=True, exist_ok=True)
    series = {}
    for how in HOWS:
        kind = [each for each in takeovers if each.how == how]
        if kind:
            series[f"{how} (bar {kind[0].bar_ms / 1000:g} s)"] = [(each.number, each.since_ms / 1000) for each in kind]
    title = f"Seconds until the next holder sends, on {asked.engine}"
    lines(chart, title, series, x="takeover", y="seconds", note=machine_line(found))
    return chart


def main() -> None:
    """Run, tell, and end with 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.takeovers", description=__doc__)
    parser.add_argument("--engine", choices=("sqlite", "kafka"), default="sqlite", help="default: sqlite")
    parser.add_argument("--takeovers", type=positive, default=50, help="how many in a row (default: 50)")
    parser.add_argument(
        "--how", choices=(*HOWS, "mixed"), default="mixed", help="what strikes the holder (default: each in turn)"
    )
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="Kafka brokers (default: 1)")
    parser.add_argument("--json", action="store_true", help="one line of JSON after the table")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="default: benchmarks/out/takeovers-ENGINE.svg")
    asked = parser.parse_args()
    found = machine()
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(brokers(asked.nodes)).bootstrap if asked.engine == "kafka" else None
        except BrokersUnavailable as error:
            sys.exit(str(error))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-takeovers-")))
        built = stack.enter_context(town(folder, kafka=kafka, answer_latency_ms=LATENCY_MS))
        built.authority.set_faults(latency_ms=LATENCY_MS, answer_latency_ms=LATENCY_MS)
        run = stack.enter_context(running(built, groups_per_s=GROUPS_PER_S, policy=POLICY))
        judged = run_takeovers(run, count=asked.takeovers, how=asked.how)
        table = figures(run.takeovers)
        chart = draw(asked, run.takeovers, found)
    tell(asked, table, judged, found)
    print(f"chart: {chart}", file=sys.stderr)
    if not (judged.ok and all(row["within"] for row in table)):
        sys.exit(1)


if __name__ == "__main__":
    main()
