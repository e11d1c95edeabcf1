"""Cuts the power of the disk under the SQLite log at every sync and between, many times each; must not know how SQLite writes.

    python -m tests.fault.power_cut --size full

A golden run writes down everything that is done to the disk. For each cut the disk keeps what was synced and a seeded choice of
the rest; the log that is left is opened and judged. Some are opened on such a disk again and cut a second time: after a first
one, or after a kill, where what the first process had not synced is still in the kernel's memory. The same seed makes the same
cuts; only SQLite's own random salts differ.
"""

import random
import shutil
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from eventlog.port import LogError
from eventlog.sqlite import SqliteLog
from schemas.codec import Codec
from schemas.streams import DESK, Entry, inbound
from tests.checker.check import check
from tests.fault.disk_day import day, told_by
from tests.fault.disk_judge import Promised, judge, promised
from tests.fault.disk_plan import Batch, Burst, Plan, plan, value_of
from tests.fault.disk_suite import Suite, arguments, ended, scratch
from tests.fault.disk_writers import Notes, Writers, everything, patched
from tests.fault.power_disk import Meeting, Op, PowerDisk
from tests.fault.power_platter import Files, Platter

WHAT: Final = (
    "the power of the disk under the SQLite log was cut before and after every sync of a golden run and at moments between; each "
    "time seeded choices of the unsynced writes survived, whole or torn"
)

DISK: Final = "power"
"""The file system's name in SQLite."""

SHM_BYTES: Final = 32 * 1024
"""The size of SQLite's shared index; nobody syncs it, so after a cut it may hold anything."""

SECOND_CUT_SHARE: Final = 0.08
"""How many of the survivals are opened on such a disk and cut again: each costs some fifteen times as much."""

SECOND_CUTS: Final = 4
"""Moments of a recovery at which the power is cut again, besides those after its reads and after each of its appends."""

AGAIN: Final = 1_000_000
"""Numbers of the batches that are appended between two failures."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done. `between`: moments between syncs, as a share of the number of syncs; `days`: cuts of a day of facts."""

    bursts: int
    survivals: int
    between: float
    cuts_max: int | None = None
    groups: int = 4
    days: int = 4


SIZES: Final = {"full": Size(130, 20, 0.5, groups=25, days=600), "sample": Size(24, 4, 0.3, cuts_max=40)}


class Golden(NamedTuple):
    """What was done to the disk without any failure, and what the clients saw."""

    plan: Plan
    trace: list[Op]
    notes: Notes


class Cut(NamedTuple):
    """After so many changes of the disk, the so-manieth choice of what is left."""

    at: int
    survival: int


def golden(seed: int, *, bursts: int) -> Golden:
    """Carry the plan of the seed out on a disk that works and writes everything down."""
    written = plan(seed, bursts=bursts)
    streams = {number: batch.stream for number, batch in written.batches.items()}
    with scratch() as place, PowerDisk(place / "log", name=DISK) as disk:
        writers = Writers(place / "log", disk)

        def look_at_each_sync(meeting: Meeting) -> int:
            # A reader of another handle, at the moment when SQLite waits for the disk: what it is shown must be durable already.
            if meeting.call == "sync" and meeting.name.endswith("-wal") and writers.notes.issued:
                writers.look(sorted({streams[number] for number in list(writers.notes.issued)[-4:]}))
            return 0

        disk.refuse = look_at_each_sync
        notes = writers.run(written)
        return Golden(written, list(disk.trace), notes)


def cuts(run: Golden, size: Size, seed: int) -> list[int]:
    """Every sync, before it and after it; the moment of each answer; and some others."""
    chance = random.Random(f"cuts {seed}")
    syncs = [at for at, op in enumerate(run.trace) if op.kind in ("sync", "sync_folder")]
    found = {*syncs, *(at + 1 for at in syncs), *(told.at for told in run.notes.told), len(run.trace)}
    found.update(chance.randrange(len(run.trace)) for _ in range(round(len(syncs) * size.between)))
    if size.cuts_max is not None and len(found) > size.cuts_max:
        found = set(chance.sample(sorted(found), size.cuts_max))
    return sorted(found)


def run_cuts(suite: Suite, run: Golden, size: Size, *, only: Cut | None = None) -> None:
    """Cut, judge, and cut some a second time."""
    suite.figures["things done to the disk"] += len(run.trace)
    suite.figures["syncs"] += sum(op.kind == "sync" for op in run.trace)
    for sentence in run.notes.broken:
        suite.breaks(sentence, _again(suite, None))
    moments = cuts(run, size, suite.seed)
    platter, done = Platter(), 0
    for number, at in enumerate(moments, 1):
        platter.apply(run.trace[done:at])
        done = at
        suite.figures["moments of a cut"] += 1
        promise = promised(run.notes, run.plan.batches, at=at)
        for survival in range(size.survivals):
            cut = Cut(at, survival)
            if only in (None, cut):
                _one(suite, platter, promise, cut)
            if suite.broke_enough:
                return
        suite.progress(number, len(moments))


def _one(suite: Suite, platter: Platter, promise: Promised, cut: Cut) -> None:
    chance = random.Random(f"{suite.seed}:{cut.at}:{cut.survival}")
    files = platter.after_cut(cut.survival, chance)
    with scratch() as place:
        laid_out(place / "log", files, chance)
        verdict = judge(place / "log", promise)
    suite.figures["survivals"] += 1
    suite.figures["acknowledged records looked for"] += verdict.kept
    suite.figures["batches there that nobody had been told of"] += verdict.unacknowledged
    for sentence in verdict.broken:
        suite.breaks(f"cut at {cut.at}, survival {cut.survival}: {sentence}", _again(suite, cut))
    if chance.random() < SECOND_CUT_SHARE:
        again = platter.copy() if cut.survival % 2 else Platter(files)
        for sentence in second_cuts(suite, again, promise, chance):
            what = "a kill" if cut.survival % 2 else "a cut"
            suite.breaks(f"a cut after {what} at {cut.at}, survival {cut.survival}: {sentence}", _again(suite, cut))


def second_cuts(suite: Suite, platter: Platter, promise: Promised, chance: random.Random) -> Iterator[str]:
    """Open what is left on such a disk, read, append, and cut again at moments of that. Yields what is broken."""
    promise = promise.copy()
    extra = {
        AGAIN + number: Batch(AGAIN + number, stream, (Entry(value_of(AGAIN + number, 0, b"again")),))
        for number, stream in enumerate((inbound("highway"), DESK))
    }
    notes = Notes()
    with scratch() as place:
        folder = place / "log"
        laid_out(folder, platter.live(), chance)
        if platter.has_folder:
            folder.mkdir(mode=0o700, exist_ok=True)
        with PowerDisk(folder, name=DISK, known=platter.numbers()) as disk, patched(disk):
            try:
                log = SqliteLog.open(folder, lambda: 2_000, vfs=DISK)
                read_at, read = len(disk.trace), everything(log)
            except LogError as error:
                yield f"I1a: the log can't be opened: {error}"
                return
            writers = Writers(folder, disk)
            notes = writers.write(tuple(map(Burst, extra.values())), log)
            log.close()
    moments = sorted({*chance.choices(range(len(disk.trace) + 1), k=SECOND_CUTS), read_at, *(told.at for told in notes.told)})
    at = 0
    for moment in moments:
        platter.apply(disk.trace[at:moment])
        at = moment
        here = promised(notes, extra, at=moment)
        here.batches = {**promise.batches, **extra}
        here.must.update(promise.must)
        here.may |= promise.may
        if moment >= read_at:  # what was read once must not be gone
            here.must.update({(stream, record.position): record for stream, records in read.items() for record in records})
        with scratch() as place:
            laid_out(place / "log", platter.after_cut(chance.randrange(5), chance), chance)
            verdict = judge(place / "log", here)
        suite.figures["second cuts"] += 1
        yield from verdict.broken


def run_day(suite: Suite, *, groups: int, cuts_count: int) -> None:
    """Cut a day of real facts too, and let the checker judge what is left: audit, and what the publishers were told."""
    steps = day(groups)
    clock = iter(step.at_ms for step in steps)
    marks = []
    with scratch() as place, PowerDisk(place / "log", name=DISK) as disk, patched(disk):
        log = SqliteLog.open(place / "log", lambda: next(clock), vfs=DISK)
        for step in steps:
            log.append(step.stream, step.batch)
            marks.append(len(disk.trace))
        log.close()
    chance = random.Random(f"day {suite.seed}")
    platter, done = Platter(), 0
    for at in sorted(chance.randrange(marks[0], len(disk.trace) + 1) for _ in range(cuts_count)):
        platter.apply(disk.trace[done:at])
        done = at
        with scratch() as place:
            laid_out(place / "log", platter.after_cut(chance.randrange(5), chance), chance)
            left = SqliteLog.open(place / "log", lambda: 0)
            found = check(left, Codec(), told_by(steps, acknowledged=bisect_right(marks, at)), at_rest=False)
            left.close()
        suite.figures["days cut and judged by the checker"] += 1
        for broken in found:
            suite.breaks(f"a day cut at {at}: {broken}", _again(suite, None))


def laid_out(folder: Path, files: Files, chance: random.Random) -> None:
    """Put the files that are left into a folder, and beside them what may have become of SQLite's shared index."""
    shutil.rmtree(folder, ignore_errors=True)
    if not files:
        return  # the folder's own name was lost
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if "tidegate.db" in files and chance.random() < 0.5:
        (folder / "tidegate.db-shm").write_bytes(chance.randbytes(SHM_BYTES))


def _again(suite: Suite, cut: Cut | None) -> str:
    just = "" if cut is None else f" --cut {cut.at} --survival {cut.survival}"
    return f"python -m tests.fault.power_cut --size {suite.size} --seed {suite.seed}{just}"


def main() -> None:
    """Run, tell, and end with 1 when a promise is broken."""
    parser = arguments("power_cut", __doc__)
    parser.add_argument("--cut", type=int, help="only this moment")
    parser.add_argument("--survival", type=int, default=0, help="only this choice of what is left there")
    asked = parser.parse_args()
    size = SIZES[asked.size]
    suite = Suite("power_cut", WHAT, asked.size, asked.seed)
    only = None if asked.cut is None else Cut(asked.cut, asked.survival)
    run_cuts(suite, golden(asked.seed, bursts=size.bursts), size, only=only)
    if only is None:
        run_day(suite, groups=size.groups, cuts_count=size.days)
    sys.exit(ended(suite, asked.json))


if __name__ == "__main__":
    main()
