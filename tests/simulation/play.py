"""Plays many seeds on all cores, counts what happened, and shows the first red one, cut as small as it stays red.

    python -m tests.simulation.play --seeds 20000            # or: make simulate SEEDS=20000
    python -m tests.simulation.play --seed 4711 --trace      # one seed, told line by line
    python -m tests.simulation.play --seed 4711 --cut m3,o0,crash,t25 --trace

The first ends with the count of everything that should happen sometimes; one that never happened is a failure, for then the
seeds no longer show what they are said to show.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from schemas import native
from tests.simulation.plan import cut, draw
from tests.simulation.shrink import shrink
from tests.simulation.story import Outcome, play

CHUNK: Final = 250
"""Seeds of one process: compiled, a fold that is thrown away stays in memory until its process ends (decision 0014)."""

SOMETIMES: Final = (
    "crash of runner", "crash of intake", "crash of bulletins", "crash of notices", "crash of poll", "crash of answers", "pause",
    "stop", "clock jump", "start from a snapshot", "log unavailable", "append NOT_DONE", "append ANSWER_LOST",
    "append NEVER_APPLIED", "append APPLIED_LATE", "publish again", "withdraw", "filed elsewhere", "declared", "resolved",
    "inbound down", "inbound refuse", "request lost", "request late", "reply lost", "status known", "status unknown",
    "status query lost", "key came twice", "answer twice", "answer once more, late", "answer for an unknown key", "captured",
    "rejected", "duplicate", "taken over from a dead holder", "taken over from a silent holder", "grant expired", "link suspect",
    "window ended", "canary alone",
)  # fmt: skip
"""What a run of many seeds must have seen."""

SOMETIMES_FROM: Final = 2_000
"""From so many seeds on, whatever never happened is a failure."""

TELL_EACH_S: Final = 5.0
"""Between two lines of progress."""

TRACE_LINES_MAX: Final = 120
"""Most lines of a trace that are printed: the last ones."""


@dataclass(slots=True)
class Tally:
    """What many seeds came to."""

    seeds: int = 0
    red: list[int] = field(default_factory=list)
    sometimes: Counter[str] = field(default_factory=Counter)
    digests: int = 0

    def add(self, other: "Tally") -> None:
        """Take another's in."""
        self.seeds += other.seeds
        self.red += other.red
        self.sometimes.update(other.sometimes)
        self.digests ^= other.digests

    def never(self) -> list[str]:
        """What should happen sometimes and never did."""
        return [what for what in SOMETIMES if not self.sometimes[what]] if self.seeds >= SOMETIMES_FROM else []


def played(first: int, count: int) -> Tally:
    """Play seeds one after another."""
    tally = Tally()
    for seed in range(first, first + count):
        tally.seeds += 1
        try:
            outcome = play(seed)
        except Exception:  # noqa: BLE001 - a worker that stops its process is red, and its traceback is shown when it is played again
            tally.red.append(seed)
            continue
        tally.sometimes.update(outcome.sometimes)
        tally.digests ^= int(outcome.digest, 16)
        if outcome.broken:
            tally.red.append(seed)
    return tally


def _chunk(bounds: tuple[int, int]) -> Tally:
    return played(*bounds)


def on_all_cores(first: int, count: int, *, workers: int, go_on: bool) -> Iterator[Tally]:
    """Play seeds, each chunk in a process of its own; ends behind the chunk that brought a red one, unless it is to go on."""
    chunks = [(start, min(CHUNK, first + count - start)) for start in range(first, first + count, CHUNK)]
    with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=1) as pool:
        for tally in pool.imap(_chunk, chunks):
            yield tally
            if tally.red and not go_on:
                pool.terminate()
                return


def main() -> None:
    """Play many seeds, or one."""
    options = _options()
    if options.seed is not None:
        sys.exit(_one(options))
    started = told = time.monotonic()
    tally = Tally()
    for part in on_all_cores(options.first, options.seeds, workers=options.workers, go_on=options.go_on):
        tally.add(part)
        if time.monotonic() - told >= TELL_EACH_S:
            told = time.monotonic()
            rate = tally.seeds / (told - started)
            left_s = (options.seeds - tally.seeds) / rate
            _say(f"{tally.seeds:,} of {options.seeds:,} seeds, {len(tally.red)} red, {rate:,.0f} a second, {left_s:,.0f} s left")
    took_s = time.monotonic() - started
    figures = _told(tally, took_s)
    if options.json is not None:
        broken = [f"seed {seed}" for seed in tally.red] + [f"never: {what}" for what in tally.never()]
        options.json.write_text(json.dumps(_report(options, figures, broken, took_s)) + "\n", encoding="utf-8")
    for seed in tally.red[:1]:
        _say(f"seed {seed} is red; again: python -m tests.simulation.play --seed {seed} --trace")
        print(_red(play(seed)))
    sys.exit(1 if tally.red or tally.never() else 0)


def _told(tally: Tally, took_s: float) -> dict[str, object]:
    how = "compiled" if native.runs() else "plain"
    rate = tally.seeds / took_s
    print(f"{tally.seeds:,} seeds ({how}), {len(tally.red)} red, {rate:,.1f} a second, digest {tally.digests:016x}")
    print("sometimes: " + ", ".join(f"{what} {count:,}" for what, count in sorted(tally.sometimes.items())))
    for what in tally.never():
        print(f"NEVER HAPPENED in {tally.seeds:,} seeds: {what}. The seeds no longer show what they are said to show.")
    return {
        "seeds": tally.seeds, "red": len(tally.red), "seeds_per_s": round(rate, 1), "compiled": native.runs(),
        "digest": f"{tally.digests:016x}", "sometimes": dict(sorted(tally.sometimes.items())),
    }  # fmt: skip


def _report(options: argparse.Namespace, figures: dict[str, object], broken: list[str], took_s: float) -> dict[str, object]:
    what = (
        "the product's own workers in virtual time, with faults drawn for each seed, then calm; each seed judged by the checker"
    )
    return {
        "suite": "simulation", "what": what, "size": options.size, "seed": options.first, "figures": figures, "broken": broken,
        "seconds": round(took_s, 1), "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip


def _one(options: argparse.Namespace) -> int:
    plan = draw(options.seed)
    for what in filter(None, options.cut.split(",")):
        plan = cut(plan, what)
    outcome = play(plan, trace=options.trace)
    print(f"{plan}\n" if options.trace else "", end="")
    print("\n".join(outcome.trace))
    print("\n".join(f"  {each}" for each in outcome.broken) or f"seed {plan.seed} is green; digest {outcome.digest}")
    return 1 if outcome.broken else 0


def _red(outcome: Outcome) -> str:
    """A red seed for a person: what is broken, the command that plays it again, and what is left of it when it is cut."""
    seed = outcome.plan.seed
    lines = [
        f"seed {seed} is red; again: python -m tests.simulation.play --seed {seed}",
        *(f"  {each}" for each in outcome.broken[:5]),
    ]
    small = shrink(outcome.plan)
    cuts = ",".join(small.plan.cuts)
    lines.append(f"cut as small as it stays red: python -m tests.simulation.play --seed {seed} --cut {cuts} --trace")
    lines += [f"  {each}" for each in small.broken[:3]]
    return "\n".join([*lines, *small.trace[-TRACE_LINES_MAX:]])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many (default: 1,000)")
    parser.add_argument("--first", type=int, default=0, help="the first one (default: 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at once (default: a core each)")
    parser.add_argument("--go-on", action="store_true", help="play all seeds although one is red")
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--cut", default="", metavar="WHAT,...", help="of that one leave out messages, outages or faults")
    parser.add_argument("--trace", action="store_true", help="tell that one line by line")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--size", default="sample", help="what the run is called in the report")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
