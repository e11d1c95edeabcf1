"""Plants each bug in turn and tells within how many seeds the checker finds it, and by which invariant; plain sources only.

    TIDEGATE_PLAIN=1 python -m tests.simulation.matrix            # or: make mutants

A bug that survives all of its seeds is a check that is missing, and a failure.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from schemas import native
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.story import play

ERROR: Final = "stopped"
"""What is said where a seed ended by an error: the program refused to go on, and that is found as well."""


@dataclass(frozen=True, slots=True)
class Found:
    """What planting one bug came to. `seeds`: how many were played until the first red one, None when none was red."""

    name: str
    seeds: int | None
    played: int
    rules: dict[str, int]
    """How many seeds were red by each invariant; a seed may be red by several."""
    alone: frozenset[str]
    """Invariants by which alone some seed was red, or by which all red ones were."""


def planted(mutant: Mutant, *, first: int, count: int, stop: bool) -> Found:
    """Plant a bug and play so many seeds, or until the first red one; the process that calls it is as it was afterwards."""
    patch = pytest.MonkeyPatch()
    mutant.plant(patch)
    try:
        return _played(mutant, range(first, first + count), stop=stop)
    finally:
        patch.undo()


def _played(mutant: Mutant, seeds: range, *, stop: bool) -> Found:
    rules: Counter[str] = Counter()
    sets: list[frozenset[str]] = []
    until = None
    for number, seed in enumerate(seeds, 1):
        broken = _broken(seed)
        if broken:
            until = until or number
            rules.update(broken)
            sets.append(broken)
            if stop:
                return Found(mutant.name, until, number, dict(rules), _alone(sets))
    return Found(mutant.name, until, len(seeds), dict(rules), _alone(sets))


def _alone(sets: list[frozenset[str]]) -> frozenset[str]:
    return frozenset.union(*sets) if sets and len(frozenset.union(*sets)) == 1 else frozenset()


def _broken(seed: int) -> frozenset[str]:
    """The invariants that a seed breaks. A bug may also stop the program: an assertion or an error of its own is found too."""
    try:
        return frozenset(each.rule for each in play(seed).broken)
    except Exception:  # noqa: BLE001 - whatever a planted bug brings to a stop is found by that
        return frozenset({ERROR})


def _one(given: tuple[int, int, int, bool]) -> Found:
    which, first, count, stop = given
    return planted(MUTANTS[which], first=first, count=count or MUTANTS[which].seeds_max, stop=stop)


def main() -> None:
    """Plant all, each in a process of its own, and print the table."""
    if native.runs():
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.simulation.matrix", *sys.argv[1:]], os.environ | {"TIDEGATE_PLAIN": "1"}
        )
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=0, help="for each bug (default: as many as it is allowed)")
    parser.add_argument("--all", action="store_true", help="play all of them, also behind the first red one")
    parser.add_argument("--only", nargs="*", default=[], help="these bugs alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--size", default="sample", help="what the run is called in the report")
    options = parser.parse_args()
    work = [
        (number, options.first, options.seeds, not options.all)
        for number, mutant in enumerate(MUTANTS)
        if not options.only or mutant.name in options.only
    ]
    started = time.monotonic()
    found = []
    with multiprocessing.get_context("fork").Pool(options.workers, maxtasksperchild=1) as pool:
        for one in pool.imap(_one, work, chunksize=1):
            found.append(one)
            print(_line(one), flush=True)
    survived = [one.name for one in found if one.seeds is None]
    print(f"{len(found)} bugs planted, {len(survived)} survived {', '.join(survived)}".rstrip())
    if options.json is not None:
        options.json.write_text(json.dumps(_report(options, found, time.monotonic() - started)) + "\n", encoding="utf-8")
    sys.exit(1 if survived else 0)


def _line(one: Found) -> str:
    rules = ", ".join(f"{rule} {count}" for rule, count in sorted(one.rules.items(), key=lambda each: -each[1]))
    return f"{one.name:32} {one.seeds or 'SURVIVED':>8} of {one.played:5}  {rules}"


def _report(options: argparse.Namespace, found: list[Found], took_s: float) -> dict[str, object]:
    rows = [{"bug": one.name, "seeds": one.seeds, "invariants": sorted(one.rules)} for one in found]
    survived = [f"{one.name} survived {one.played} seeds" for one in found if one.seeds is None]
    figures = {"bugs": len(found), "survived": len(survived), "seeds_played": sum(one.played for one in found), "table": rows}
    return {
        "suite": "planted bugs", "what": "each bug planted in the plain sources, seeds played until the checker finds it",
        "size": options.size, "seed": options.first, "figures": figures, "broken": survived, "seconds": round(took_s, 1),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
