"""SIGKILL at every boundary of a golden run (RELIABILITY C1), and two or three times in one run (C3); must not know how it goes.

    python -m tests.fault.golden_run --size full       # every boundary that a first run counts, then pairs and triples
    python -m tests.fault.golden_run --point "worker: before send: highway #7"

A first run counts the boundaries. Then each gets a run of its own, in a fresh folder with a fresh CBSA: the process is killed
there and started again, and when all has come to its end the log, what the provider was told, and CBSA's own history are judged.
What is started is forked from this process, which has imported everything and has neither threads nor a loop.
"""

import argparse
import gc
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from schemas import native
from tests.fault.golden_boundaries import ANY, Strike
from tests.fault.golden_case import PATIENCE_S, Case, Outcome, play_into
from tests.fault.golden_child import warm
from tests.fault.golden_plants import PLANTS
from tests.fault.golden_script import ENDS

Size: TypeAlias = Literal["full", "sample"]

WHAT: Final = "SIGKILL at every boundary of a golden run with an outage, and two and three times in one run"

AT_ONCE: Final = 2
"""Runs side by side: each waits half of its time, for CBSA, for a grace, for an end."""

COUNTING: Final[dict[Size, int]] = {"full": 3, "sample": 1}
"""Runs that count the boundaries: no two are the same, and of three the middle is what the next one will most likely meet."""

POINTS_MIN: Final = 2_000
"""Boundaries at which a full run must have killed (the issue's own figure)."""

SAMPLE_POINTS: Final = 40
"""In a sample: one of each kind of boundary, and a few more; with the pairs and triples half a minute at most."""

PAIRS: Final[dict[Size, int]] = {"full": 300, "sample": 3}
TRIPLES: Final[dict[Size, int]] = {"full": 100, "sample": 1}

AGAIN_MAX: Final = 400
"""The second and third kill fall within so many boundaries of a restart: its reading of the log, and the most of what follows."""

ROLES_AGAIN: Final = ("worker", "worker", "worker", "worker", "provider", "provider", "auditor")
"""Who is killed in pairs and triples, by lot: most of what can go wrong is the workers'."""

LOOK_S: Final = 0.005
"""Between two looks for runs that have ended."""

PROGRESS_S: Final = 5.0
"""Between two lines of progress where nobody's terminal is."""

BROKEN_MAX: Final = 20
"""After so many broken runs there is no need for more."""

SHARED_MEMORY: Final = Path("/dev/shm")
"""Where the folders lie where there is one: a kill leaves the page cache as it is, so that the disk itself adds nothing but time
(power cuts are another suite's)."""

SHARED_MEMORY_MIN: Final = 1024**3
"""Room that it must have: runs need some megabytes, and a snapshot is kept only where it leaves half of this free."""


@dataclass(slots=True)
class Tally:
    """What all runs came to."""

    outcomes: list[tuple[Case, Outcome]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def take(self, case: Case, outcome: Outcome, *, asked: argparse.Namespace) -> None:
        """Take one run in; tell what it broke, and how to see it again."""
        self.outcomes.append((case, outcome))
        if outcome.broken:
            self.broken.append(f"{case if case.strikes else 'without a kill'}: {outcome.broken[0]}")
            plant = f" --plant {asked.plant}" if asked.plant else ""
            print(f"\nBROKEN at {case if case.strikes else 'no kill'}:", *outcome.broken, sep="\n  ", file=sys.stderr)
            which = f'--point "{case}"' if case.strikes else "--size sample"
            print(f"  again: python -m tests.fault.golden_run{plant} {which}\n", file=sys.stderr, flush=True)

    def of(self, kills: int) -> list[Outcome]:
        """The runs with so many strikes."""
        return [outcome for case, outcome in self.outcomes if len(case.strikes) == kills]


class Pool:
    """Runs cases side by side, each in a process of its own."""

    def __init__(self, root: Path, at_once: int) -> None:
        self._root = root
        self._at_once = at_once
        self._began = 0
        self._running: dict[int, tuple[Case, Path]] = {}

    def play(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Outcome]]:
        """The outcomes as they come."""
        waiting = list(reversed(cases))
        while waiting or self._running:
            while waiting and len(self._running) < self._at_once:
                self._begin(waiting.pop())
            ended = list(self._ended())
            if not ended:
                time.sleep(LOOK_S)
            yield from ended

    def close(self) -> None:
        """End what runs: each of these processes kills its own children first."""
        for process in self._running:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)
        self._running.clear()

    def _begin(self, case: Case) -> None:
        self._began += 1
        result = self._root / f"result-{self._began}.json"
        process = os.fork()
        if process == 0:
            code = 1
            try:
                play_into(case, self._root / f"run-{self._began}", result)
                code = 0
            except BaseException:  # noqa: BLE001 (the top of a process: what it says stands where its outcome would)
                result.write_text(json.dumps({"struck": [], "broken": [traceback.format_exc()]}))
            finally:
                os._exit(code)
        self._running[process] = (case, result)

    def _ended(self) -> Iterator[tuple[Case, Outcome]]:
        for process, (case, result) in list(self._running.items()):
            if os.waitpid(process, os.WNOHANG)[0]:
                del self._running[process]
                outcome = Outcome(**json.loads(result.read_text()))
                result.unlink()
                yield case, outcome


class Progress:
    """One line on standard error, now and then."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done = 0
        self._began_s = time.monotonic()
        self._told_s = self._began_s

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        now_s = time.monotonic()
        terminal = sys.stderr.isatty()
        if self._done == self._total or now_s - self._told_s >= (0.2 if terminal else PROGRESS_S):
            self._told_s = now_s
            rate = self._done / (now_s - self._began_s)
            left_s = (self._total - self._done) / rate
            line = f"{self._what}: {self._done:,} of {self._total:,}, {rate:.2f} a second, {left_s:,.0f} s left"
            print(line, end="\r" if terminal and self._done < self._total else "\n", file=sys.stderr, flush=True)


def counted(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """How often each boundary is met, by role and name: the middle of the counting runs."""
    found: dict[str, dict[str, int]] = {}
    for role in sorted({role for outcome in outcomes for role in outcome.met}):
        names = sorted({name for outcome in outcomes for name in outcome.met.get(role, {})})
        middle = {name: int(statistics.median(outcome.met.get(role, {}).get(name, 0) for outcome in outcomes)) for name in names}
        found[role] = {name: count for name, count in middle.items() if count}
    return found


def every(met: dict[str, dict[str, int]]) -> list[Strike]:
    """Every boundary."""
    return [
        Strike(role, name, number + 1) for role, names in met.items() for name, count in names.items() for number in range(count)
    ]


def spread(strikes: Sequence[Strike], count: int, draw: random.Random) -> list[Strike]:
    """So many of them, from every kind one before from any two."""
    by_kind: dict[str, list[Strike]] = {}
    for strike in draw.sample(list(strikes), len(strikes)):
        by_kind.setdefault(strike.kind, []).append(strike)
    rounds = max(map(len, by_kind.values()), default=0)
    return [group[turn] for turn in range(rounds) for group in by_kind.values() if turn < len(group)][:count]


def again(met: dict[str, dict[str, int]], kills: int, draw: random.Random) -> Case:
    """A run with so many kills by lot: the first anywhere, the next soon after a restart, mostly of the same process."""
    role = draw.choice(ROLES_AGAIN)
    strikes = [Strike(role, ANY, draw.randint(1, sum(met[role].values())))]
    while len(strikes) < kills:
        role = draw.choice((role, role, role, "worker"))
        strikes.append(Strike(role, ANY, draw.randint(1, AGAIN_MAX if role == "worker" else AGAIN_MAX // 4)))
    return Case(strikes=tuple(strikes))


def cases_of(met: dict[str, dict[str, int]], *, size: Size, only: str, draw: random.Random) -> list[Case]:
    """What is to be run, in an order by lot, so that the time left is told well from the start."""
    strikes = [strike for strike in every(met) if only in str(strike)]
    if size == "sample":
        strikes = spread(strikes, SAMPLE_POINTS, draw)
    cases = [Case(strikes=(strike,)) for strike in strikes]
    if not only:
        cases += [again(met, 2, draw) for _ in range(PAIRS[size])]
        cases += [again(met, 3, draw) for _ in range(TRIPLES[size])]
    return draw.sample(cases, len(cases))


def figures(met: dict[str, dict[str, int]], tally: Tally) -> dict[str, Any]:
    """What the runs came to, in numbers."""
    points = tally.of(1)
    every_one = [outcome for _, outcome in tally.outcomes]
    return {
        "messages": len(ENDS),
        "boundaries": sum(sum(names.values()) for names in met.values()),
        "boundary_kinds": len({strike.kind for strike in every(met)}),
        "boundaries_by_process": {role: sum(names.values()) for role, names in met.items()},
        "points": len(points),
        "struck": sum(outcome.struck[0] is not None for outcome in points if outcome.struck),
        "not_reached": sum(outcome.struck[0] is None for outcome in points if outcome.struck),
        "by_kind": by_kind(tally.outcomes),
        "pairs": len(tally.of(2)),
        "struck_twice": sum(None not in outcome.struck for outcome in tally.of(2)),
        "triples": len(tally.of(3)),
        "struck_three_times": sum(None not in outcome.struck for outcome in tally.of(3)),
        "kills": sum(len(outcome.struck) - outcome.struck.count(None) for outcome in every_one),
        "process_starts": sum(outcome.starts for outcome in every_one),
        "sends": sum(outcome.sends for outcome in every_one),
        "lost": sum(outcome.lost for outcome in every_one),
        "doubled": sum(outcome.doubled for outcome in every_one),
        "out_of_order": sum(outcome.out_of_order for outcome in every_one),
        "broken_runs": len(tally.broken),
        "compiled": native.runs(),
        "seconds_a_run": round(statistics.mean(outcome.seconds for outcome in every_one), 3) if every_one else None,
    }


def by_kind(runs: Sequence[tuple[Case, Outcome]]) -> dict[str, dict[str, int]]:
    """Of each kind of boundary, at how many a process was killed and how many were not met again."""
    found: dict[str, dict[str, int]] = {}
    for case, outcome in runs:
        if len(case.strikes) == 1 and outcome.struck:
            kind = found.setdefault(case.strikes[0].kind, {"struck": 0, "not_reached": 0})
            kind["struck" if outcome.struck[0] is not None else "not_reached"] += 1
    return dict(sorted(found.items()))


def play_all(asked: argparse.Namespace, pool: Pool, tally: Tally) -> dict[str, dict[str, int]]:
    """Count, then kill at each; returns what was counted."""
    plain = Case(plant=asked.plant, patience_s=asked.patience)
    if asked.point:
        strikes = tuple(Strike.read(each) for each in asked.point.split(" + "))
        cases = [Case(strikes=strikes, plant=asked.plant, patience_s=asked.patience)] * asked.times
        met: dict[str, dict[str, int]] = {}
    else:
        runs = [outcome for _, outcome in pool.play([plain] * COUNTING[asked.size])]
        for run in runs:
            tally.take(plain, run, asked=asked)
        met = counted(runs)
        if tally.broken:
            return met
        draw = random.Random(asked.seed)
        chosen = cases_of(met, size=asked.size, only=asked.only, draw=draw)
        cases = [Case(strikes=case.strikes, plant=asked.plant, patience_s=asked.patience) for case in chosen]
    progress = Progress("golden runs", len(cases))
    for case, outcome in pool.play(cases):
        outcome.met.clear()  # thousands of them would make each fork slower
        tally.take(case, outcome, asked=asked)
        progress.step()
        if len(tally.broken) >= BROKEN_MAX:
            print(f"{BROKEN_MAX} runs are broken: no need for more", file=sys.stderr)
            break
    return met


def memory() -> Path | None:
    """Where the folders are to lie; nothing where the usual place for them must do."""
    fit = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > SHARED_MEMORY_MIN
    return SHARED_MEMORY if fit else None


def asked_for() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.golden_run", description=WHAT)
    parser.add_argument("--size", choices=("full", "sample"), default="sample")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one JSON object there")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn by lot (default: 1)")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"runs side by side (default: {AT_ONCE})")
    parser.add_argument("--only", default="", metavar="TEXT", help="only boundaries whose words hold this")
    parser.add_argument("--point", default="", metavar="STRIKES", help="one run: ROLE: NAME #NUMBER, joined by ' + '")
    parser.add_argument("--times", type=int, default=1, help="how often, with --point")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="plant this bug: the run must find it")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, help="longest time of one run, in seconds")
    return parser.parse_args()


def main() -> None:
    """Run, tell, and end with 1 when something is broken."""
    asked = asked_for()
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs is ended and the folders are removed
    warm()
    gc.collect()
    gc.freeze()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="tidegate-golden-", dir=memory()) as root:
        pool = Pool(Path(root), asked.at_once)
        try:
            met = play_all(asked, pool, tally)
        finally:
            pool.close()
    found = figures(met, tally)
    if asked.size == "full" and not (asked.point or asked.only or tally.broken) and found["struck"] < POINTS_MIN:
        tally.broken.append(f"only {found['struck']:,} boundaries were struck, {POINTS_MIN:,} are asked for")
    whole = {
        "suite": "golden_run", "what": WHAT, "size": asked.size, "seed": asked.seed, "figures": found, "broken": tally.broken,
        "seconds": round(time.monotonic() - began_s, 1),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }  # fmt: skip
    for name, value in found.items():
        print(f"{name.replace('_', ' ')}: {value}")
    print(*(tally.broken or ["nothing is broken"]), sep="\n")
    if asked.json:
        asked.json.write_text(json.dumps(whole) + "\n")
    sys.exit(1 if tally.broken else 0)


if __name__ == "__main__":
    main()
