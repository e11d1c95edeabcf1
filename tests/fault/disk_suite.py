"""What the disk's suites share: their command line, their progress and their report; must not know what they do to a disk."""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

TOLD_EVERY_S: Final = 5.0
"""Between two lines of progress: a person sees that it goes on, and a file of it stays short."""

BROKEN_MAX: Final = 20
"""Most broken promises before a suite ends early: one bug breaks thousands of cases alike."""

MEMORY_FOLDER: Final = Path("/dev/shm")
"""Linux keeps this folder in memory: the disks here lose their power by our word, and a real sync of each would cost hours."""


@dataclass(slots=True)
class Suite:
    """One run of a suite: counts what was done and what broke."""

    name: str
    what: str
    size: str
    seed: int
    figures: Counter[str] = field(default_factory=Counter)
    details: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    broken: list[str] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    broken_max: int = BROKEN_MAX
    _told_s: float = 0.0

    @property
    def broke_enough(self) -> bool:
        """Whether there is no need to go on."""
        return len(self.broken) >= self.broken_max

    def breaks(self, sentence: str, repeat: str) -> None:
        """A promise is broken; `repeat`: the command that does just this again."""
        self.figures["broken"] += 1
        if not self.broke_enough:
            self.broken.append(f"{sentence} (again: {repeat})")
            print(self.broken[-1], file=sys.stderr, flush=True)

    def progress(self, done: int, of: int) -> None:
        """Say now and then how far it is."""
        now_s = time.monotonic()
        if now_s - self._told_s < TOLD_EVERY_S and done != of:
            return
        self._told_s = now_s
        passed_s = now_s - self.began_s
        rate = done / passed_s if passed_s else 0.0
        left_s = (of - done) / rate if rate else 0.0
        print(
            f"{self.name}: {done:,} of {of:,}, {rate:.0f}/s, {left_s:.0f} s left, {len(self.broken)} broken",
            file=sys.stderr,
            flush=True,
        )

    def as_json(self) -> dict[str, Any]:
        """What a report takes."""
        return {
            "suite": self.name, "what": self.what, "size": self.size, "seed": self.seed,
            "figures": {**self.figures, **self.details}, "broken": self.broken,
            "seconds": round(time.monotonic() - self.began_s, 1), "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip


def arguments(name: str, about: str | None) -> argparse.ArgumentParser:
    """The flags that every suite has."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.fault.{name}", description=about)
    parser.add_argument("--size", choices=("full", "sample"), default="sample", help="default: sample")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    return parser


def ended(suite: Suite, json_file: Path | None) -> int:
    """Tell the figures; the exit code."""
    whole = suite.as_json()
    for name, value in suite.figures.items():
        print(f"{value:>12,}  {name}")
    for kind, counts in suite.details.items():
        for name, value in sorted(counts.items()):
            print(f"{value:>12,}  {kind}: {name}")
    print(f"{whole['seconds']:>12}  seconds; {'BROKEN' if suite.broken else 'nothing broken'}")
    if json_file is not None:
        json_file.write_text(json.dumps(whole) + "\n", encoding="utf-8")
    return 1 if suite.broken else 0


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards, in memory where there is one."""
    place = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tidegate-disk-", dir=place) as folder:
        yield Path(folder)
