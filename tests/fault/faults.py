"""Runs every long suite and writes docs/reliability.md from what they measured; must not judge anything itself.

    python -m tests.fault.faults --size full                 # or: make faults
    python -m tests.fault.faults --size full --only golden_run power_cut
    python -m tests.fault.faults --report                    # the page anew, from the figures that are kept

Each suite leaves its figures in docs/faults/; what stands between the marks of the page is made of them and of nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "docs" / "faults"
PAGE: Final = ROOT / "docs" / "reliability.md"
BEGIN: Final = "<!-- figures: written by `make faults`, do not edit -->"
END: Final = "<!-- end of the figures -->"

SUITE_S_MAX: Final = 4 * 3_600
"""Longest time of one suite: the night's simulation takes two hours."""

SEEDS: Final = {"full": 1_000_000, "sample": 20_000}
"""Seeds of the simulation: a night, or some minutes."""

SUITES: Final[dict[str, Callable[[str], list[str]]]] = {
    "simulation": lambda size: [
        "tests.simulation.play",
        "--seeds",
        str(SEEDS[size]),
        "--size",
        size,
    ],
    "planted_bugs": lambda size: ["tests.simulation.matrix", "--size", size],
    **{
        name: lambda size, name=name: [f"tests.fault.{name}", "--size", size]  # type: ignore[misc]  # bound by name
        for name in ("golden_run", "power_cut", "disk_full", "bit_rot", "kafka_faults", "limits_run", "hostile_run")
    },
}
"""What each suite is started with."""


def run(name: str, size: str) -> bool:
    """Run one suite; its figures are kept whether it was green or not."""
    print(f"{name}: begins", file=sys.stderr, flush=True)
    began_s = time.monotonic()
    command = [sys.executable, "-m", *SUITES[name](size), "--json", str(KEPT / f"{name}.json")]
    done = subprocess.run(command, cwd=ROOT, timeout=SUITE_S_MAX, check=False)
    verdict = "green" if done.returncode == 0 else f"RED ({done.returncode})"
    print(f"{name}: {verdict} after {time.monotonic() - began_s:,.0f} s", file=sys.stderr, flush=True)
    return done.returncode == 0


def rendered(kept: Mapping[str, Any]) -> str:
    """The figures as Markdown, by suite."""
    rows = ["| suite | what | figures | broken | took | measured |", "| --- | --- | --- | --- | --- | --- |"]
    for name, found in kept.items():
        plain = {what: value for what, value in found["figures"].items() if not isinstance(value, (dict, list))}
        figures = "; ".join(f"{what.replace('_', ' ')} {_number(value)}" for what, value in plain.items())
        broken = "; ".join(found["broken"][:3]) or "nothing"
        took = f"{found['seconds']:,.0f} s"
        rows.append(f"| `{name}` ({found['size']}) | {found['what']} | {figures} | {broken} | {took} | {found['measured_at']} |")
    parts = ["\n".join(rows)]
    for name, found in kept.items():
        parts += [
            _details(name, what, value) for what, value in found["figures"].items() if isinstance(value, (dict, list)) and value
        ]
    return "\n\n".join(parts)


def _details(name: str, what: str, value: Any) -> str:
    """A table of its own for figures that are many."""
    title = f"### {name.replace('_', ' ')}: {what.replace('_', ' ')}"
    if isinstance(value, dict) and not any(isinstance(each, dict) for each in value.values()):
        return f"{title}\n\n" + ", ".join(f"{key} {_number(each)}" for key, each in value.items())
    rows = [{"": key, **each} for key, each in value.items()] if isinstance(value, dict) else value
    names = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(key.replace('_', ' ') for key in names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(key)) for key in names)} |" for row in rows]
    return f"{title}\n\n" + "\n".join(lines)


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else _number(value)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def kept_figures() -> dict[str, Any]:
    """What the suites left, in the order in which they run."""
    return {
        name: json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
        for name in SUITES
        if (KEPT / f"{name}.json").exists()
    }


def page(text: str, figures: str) -> str:
    """The page with these figures between its marks. Raises ValueError when it has lost a mark."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"docs/reliability.md has lost a mark: put {BEGIN!r} and {END!r} around its figures again")
    return f"{head}{BEGIN}\n\n{figures}\n\n{END}{tail}"


def main() -> None:
    """Run what is asked, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("full", "sample"), default="full")
    parser.add_argument("--only", nargs="*", choices=SUITES, default=list(SUITES))
    parser.add_argument("--report", action="store_true", help="run nothing, write the page")
    options = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    green = [run(name, options.size) for name in options.only] if not options.report else []
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), rendered(kept_figures())), encoding="utf-8")
    sys.exit(0 if all(green) else 1)


if __name__ == "__main__":
    main()
