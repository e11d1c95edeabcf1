"""Every limit at its edge: `python -m tests.fault.limits_run`; must not know how one is driven there.

    python -m tests.fault.limits_run --size full --json FILE
    python -m tests.fault.limits_run --only "gateway/answers.py PARTS_COUNT_MAX"
    python -m tests.fault.limits_run --only "line 1024"

First what is far too large is given to Tidegate and the most memory that it takes is compared with a multiple of the limit. Then,
in a copy of the sources, each limit of docs/limits.md is lifted in turn, and the test that drives it over its edge must fail.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.fault.limits_lift import Copy
from tests.fault.limits_memory import Case, Measured, cases, measure
from tests.unit.limits_driven import LIMITS_DRIVEN

SAMPLED: Final = ("consumers/responses.py PAGES_COUNT_MAX",)
"""Limits that a sample lifts: one shows that lifting works; the full size lifts all."""

MIB: Final = 1024 * 1024


def judged(case: Case, found: Measured) -> str:
    """What is wrong with a case, or nothing."""
    if case.said not in found.said:
        return f"{case.name}: given {case.given} it should have said `{case.said}`, and said: {found.said[-200:]}"
    if found.grew_bytes > found.most_bytes:
        grew, most = found.grew_bytes / MIB, found.most_bytes / MIB
        bar = f"{case.times} times {case.limit} with some room, {most:.0f} MiB"
        return f"{case.name}: given {case.given} it took {grew:.0f} MiB; {bar}, is the bar"
    return ""


def measured(wanted: Sequence[Case], say: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[str]]:
    """Run the cases; a row for each, and what is broken."""
    rows, broken = [], []
    for number, case in enumerate(wanted, 1):
        found = measure(case)
        wrong = judged(case, found)
        broken += [wrong] if wrong else []
        grew = round(found.grew_bytes / MIB, 1)
        rows.append({"given": case.given, "limit": case.limit, "times": case.times, "limit_mib": round(case.limit_bytes / MIB, 3),
                     "grew_mib": grew})  # fmt: skip
        say(f"{number} of {len(wanted)} cases: {case.given}: {grew} MiB")
    return rows, broken


def lifted(wanted: Sequence[str], say: Callable[[str], None]) -> tuple[int, list[str]]:
    """Lift each of these limits; how many tests were red, and what is broken."""
    red, broken, began_s = 0, list[str](), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidegate-lifted-") as folder:
        copy = Copy(Path(folder))
        found, words = copy.control()
        if found != "green":
            return 0, [f"with no limit lifted the tests are {found}: {words}"]
        for number, limit in enumerate(wanted, 1):
            found, words = copy.lifted(limit)
            red += found == "red"
            if found != "red":
                broken.append(f"{limit}: lifted, its test {LIMITS_DRIVEN[limit]} is {found}: {words}")
            left_s = (time.monotonic() - began_s) / number * (len(wanted) - number)
            say(f"{number} of {len(wanted)} limits lifted, {red} tests red, {left_s:.0f} s left: {limit} is {found}")
    return red, broken


def run(size: str, *, only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None) -> tuple[dict[str, Any], list[str]]:
    """Both parts; the figures, and what is broken."""
    wanted_cases = [case for case in cases(size) if not only or case.name in only]
    limits = [limit for limit in LIMITS_DRIVEN if (limit in only if only else size == "full" or limit in SAMPLED)]
    rows, broken = measured(wanted_cases, say)
    red, survived = lifted(limits, say) if limits else (0, [])
    times = [row["grew_mib"] / row["limit_mib"] for row in rows if row["limit_mib"] >= 1]
    figures = {
        "limits": len(LIMITS_DRIVEN), "lifted": len(limits), "red_when_lifted": red, "memory_cases": len(rows),
        "worst_times_limit": round(max(times, default=0), 1), "memory": rows,
    }  # fmt: skip
    return figures, broken + survived


def main() -> None:
    """Run, tell, and end with 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.limits_run", description=__doc__)
    parser.add_argument("--size", choices=("full", "sample"), default="sample", help="default: sample")
    parser.add_argument("--seed", type=int, default=1, help="there is no chance in it; taken for the common shape")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this case or limit alone; again for more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    began_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began_s:5.0f} s  {text}", file=sys.stderr, flush=True)

    figures, broken = run(asked.size, only=asked.only, say=say)
    for sentence in broken:
        print(sentence)
    print(json.dumps(figures))
    if asked.json:
        what = (
            "what is far too large given to Tidegate, its memory measured; then each limit of docs/limits.md lifted in turn, "
            "which must turn the test that drives it over its edge red"
        )
        told = {
            "suite": "limits_run", "what": what, "size": asked.size, "seed": asked.seed, "figures": figures, "broken": broken,
            "seconds": round(time.monotonic() - began_s, 1), "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        asked.json.write_text(json.dumps(told) + "\n", encoding="utf-8")
    if broken:
        name = broken[0].partition(":")[0]
        print(f'again: python -m tests.fault.limits_run --size {asked.size} --only "{name}"', file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
