"""What every benchmark reports: medians of interleaved rounds, ratios, and the machine; must not know what was measured.

Standard output gets a table, or with `--json` exactly one line; progress goes to standard error.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from schemas import native

BUSY_LOAD_PER_CORE: Final = 0.5
"""Load average of the last minute per core above which others share the machine and single figures are noise."""

PROGRESS_TERMINAL_S: Final = 0.5
PROGRESS_FILE_S: Final = 10.0
"""Time between two lines of progress: often for a person who watches, seldom in a file."""

LIBRARIES: Final = ("aiohttp", "apsw", "crc32c", "fastavro", "httptools", "kafka-python", "pydantic", "uvloop")
"""Libraries whose version moves the figures."""

OUT: Final = Path(__file__).resolve().parent / "out"
"""Where charts go unless told: not kept in git."""

Case = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a name in the results means: a unit, a sentence for the reader, and how many digits after the point are honest."""

    name: str
    unit: str
    meaning: str
    digits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A promise that a median is held against: at least `least`, or at most `most`."""

    name: str
    least: float | None = None
    most: float | None = None

    def said(self) -> str:
        """The promise as a person reads it."""
        return f"{self.name} at least {self.least:g}" if self.least is not None else f"{self.name} at most {self.most:g}"

    def is_met(self, value: float) -> bool:
        """Whether a value keeps the promise."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(slots=True)
class Report:
    """The rounds of each case (a size, an engine) of one benchmark. A round is a dict of values by the names of `figures`."""

    name: str
    settings: Case
    figures: Sequence[Figure]
    bars: Sequence[Bar] = ()
    notes: list[str] = field(default_factory=list)
    machine: Case = field(default_factory=lambda: machine())
    rounds: list[tuple[Case, list[dict[str, float]]]] = field(default_factory=list)

    def add(self, case: Case, rounds: list[dict[str, float]]) -> None:
        """Add a case with its rounds, each with the same names."""
        assert rounds, "a case without a round has no median"
        self.rounds.append((case, rounds))

    def medians(self, number: int) -> dict[str, float]:
        """The medians of a case, by name, rounded to honest digits."""
        _, rounds = self.rounds[number]
        known = {figure.name: figure for figure in self.figures}
        return {name: _rounded(statistics.median(each[name] for each in rounds), known[name].digits) for name in rounds[0]}

    def as_json(self) -> str:
        """The whole on one line: each result is its case, the medians by name, and `spread` as [least, most] of the rounds."""
        digits = {figure.name: figure.digits for figure in self.figures}
        results = []
        for number, (case, rounds) in enumerate(self.rounds):
            spread = {
                name: [_rounded(pick(each[name] for each in rounds), digits[name]) for pick in (min, max)] for name in rounds[0]
            }
            results.append({**case, "rounds": len(rounds), **self.medians(number), "spread": spread})
        whole = {"benchmark": self.name, "settings": self.settings, "results": results, "bars": self._bars(), "notes": self.notes}
        return json.dumps({**whole, "machine": {**self.machine, "load_at_end": _load()}}, separators=(",", ":"))

    def table(self) -> Table:
        """The same as a person reads it: a line for each figure, a column for each case."""
        table = Table(
            title=f"benchmarks.{self.name}: medians of {len(self.rounds[0][1])} rounds (least to most)", title_justify="left"
        )
        table.add_column("figure", no_wrap=True)
        table.add_column("unit")
        for case, _ in self.rounds:
            table.add_column(
                ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in case.values()), justify="right"
            )
        table.add_column("what it is")
        for figure in self.figures:
            if any(figure.name in rounds[0] for _, rounds in self.rounds):
                table.add_row(
                    figure.name, figure.unit, *(self._cell(figure, rounds) for _, rounds in self.rounds), figure.meaning
                )
        return table

    def _cell(self, figure: Figure, rounds: list[dict[str, float]]) -> str:
        if figure.name not in rounds[0]:
            return ""
        values = [each[figure.name] for each in rounds]
        middle, low, high = (_text(value, figure.digits) for value in (statistics.median(values), min(values), max(values)))
        return middle if low == high else f"{middle} ({low} to {high})"

    def _bars(self) -> list[Case]:
        """Each promise with the medians of the cases that it speaks of."""
        said = []
        for bar in self.bars:
            for number, (case, rounds) in enumerate(self.rounds):
                if bar.name in rounds[0]:
                    value = self.medians(number)[bar.name]
                    said.append({"bar": bar.said(), **case, "value": value, "met": bar.is_met(value)})
        return said

    def tell(self, options: argparse.Namespace, draw: Callable[[Path], None]) -> None:
        """Print the result as the options ask and draw the chart."""
        chart: Path = options.chart or OUT / f"{self.name}.svg"
        chart.parent.mkdir(parents=True, exist_ok=True)
        draw(chart)
        if options.json:
            print(self.as_json())
        else:
            console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
            console.print(self.table())
            for bar in self._bars():
                where = ", ".join(str(bar[name]) for name in self.rounds[0][0])
                console.print(f"{'met' if bar['met'] else 'NOT MET'}: {bar['bar']} ({where}: {bar['value']})", markup=False)
            for note in self.notes:
                console.print(note, markup=False)
            console.print(machine_line(self.machine), markup=False)
        _tell(f"chart: {chart}")


def arguments(name: str, doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=positive, default=rounds, help=f"interleaved rounds; figures are medians (default: {rounds})"
    )
    parser.add_argument("--json", action="store_true", help="exactly one line of JSON on standard output")
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help=f"where the chart goes: .svg or .png (default: benchmarks/out/{name}.svg)"
    )
    return parser


def positive(text: str) -> int:
    """A count on the command line: 1 or more; `100_000` and `100,000` are read too. Raises ArgumentTypeError."""
    try:
        number = int(text.replace(",", "").replace("_", ""))
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return number


def sizes(text: str) -> list[int]:
    """Counts with commas between, such as 10000,100000. Raises ArgumentTypeError."""
    return [positive(piece) for piece in text.split(",")]


def machine() -> Case:
    """What these figures were measured on and when; a warning on standard error when others use it too."""
    load = _load()
    busy = load > BUSY_LOAD_PER_CORE * (os.cpu_count() or 1)
    if busy:
        _tell(f"WARNING: the machine is busy (load {load:g} before this began): trust ratios, not single figures")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "compiled": native.runs(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "load_at_start": load,
        "busy_at_start": busy,
    }


def machine_line(found: Case) -> str:
    """The machine in one sentence, with the warning where it was busy."""
    busy = "; BUSY at the start: trust ratios, not single figures" if found["busy_at_start"] else ""
    kind = "compiled" if found["compiled"] else "plain sources"
    return (
        f"{found['measured_at'][:10]}, {found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['kernel']}, "
        f"Python {found['python']}, {kind}, load {found['load_at_start']:g} at the start{busy}"
    )


class Progress:
    """How far a long step is, on standard error: count, rate and time left."""

    def __init__(self, what: str, total: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._what, self._total, self._clock_s = what, total, clock_s
        self._started_s = self._told_s = clock_s()
        self._terminal = sys.stderr.isatty()
        self._every_s = PROGRESS_TERMINAL_S if self._terminal else PROGRESS_FILE_S

    def at(self, count: int) -> None:
        """Tell it now and then."""
        now_s = self._clock_s()
        if now_s - self._told_s < self._every_s:
            return
        self._told_s = now_s
        rate = count / (now_s - self._started_s)
        left = f", {(self._total - count) / rate:,.0f} s left" if rate > 0 else ""
        line = f"{self._what}: {count:,} of {self._total:,} ({rate:,.0f}/s{left})"
        print(f"\r\x1b[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def over(self, items: Iterable[Any]) -> Iterable[Any]:
        """The items, telling how many have passed."""
        for number, item in enumerate(items):
            if number % 256 == 0:
                self.at(number)
            yield item

    def done(self) -> None:
        """End the line on a terminal."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def told_round(number: int, total: int, said: str) -> None:
    """One line on standard error at the end of a round."""
    _tell(f"round {number} of {total}: {said}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) if digits else round(value)


def _text(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"
