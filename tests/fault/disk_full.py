"""Fills and breaks the disk under the SQLite log at every single call, once or for a while; must not know how SQLite writes.

    python -m tests.fault.disk_full --size full

For each write, sync, truncation, read, opening and deletion of a golden run there is a run in which just that one is refused (no
room, or an input/output error), and one in which from then on all are, until space returns. Clients do what the port says: after
AppendNotDone and LogUnavailable they append again, after AppendAmbiguous they read first. Then the log is judged as it is, and as
a power cut at and after the failure leaves it; a disk may forget what a failed sync was to write, as Linux does.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import apsw

from tests.fault.disk_judge import judge, promised
from tests.fault.disk_plan import Plan, plan
from tests.fault.disk_suite import Suite, arguments, ended, scratch
from tests.fault.disk_writers import Notes, Writers
from tests.fault.power_cut import laid_out
from tests.fault.power_disk import Meeting, Op, PowerDisk
from tests.fault.power_platter import Platter

WHAT: Final = (
    "the disk under the SQLite log refused every single write, sync, truncation, read, opening and deletion of golden runs, once "
    "or from then on until space returned; the log was judged as it was, and after a power cut at and after the failure"
)

DISK: Final = "failing"
"""The file system's name in SQLite."""

REFUSALS_MAX: Final = 40
"""Longest failure, in refused calls: some ten appends in a row."""

CUTS: Final = 3
"""Moments of a power cut in each run: when the failure began, when it was over, and one by chance."""

SURVIVALS: Final = 2
"""Choices of what is left at each: only what was synced, and one by chance."""

GROWS: Final = ("write", "sync_folder")
"""What a full disk refuses."""

CODES: Final[dict[str, int]] = {
    "open": apsw.SQLITE_CANTOPEN, "read": apsw.SQLITE_IOERR_READ, "write": apsw.SQLITE_IOERR_WRITE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE, "sync": apsw.SQLITE_IOERR_FSYNC, "delete": apsw.SQLITE_IOERR_DELETE,
    "sync_folder": apsw.SQLITE_IOERR_DIR_FSYNC,
}  # fmt: skip
"""What SQLite's own file system says when the operating system refuses such a call."""


class Fault(NamedTuple):
    """From the `number`-th call of a kind on, `refusals` calls are refused: of `full` disks the writes, else all."""

    seed: int
    call: str
    number: int
    full: bool
    refusals: int

    def __str__(self) -> str:
        return f"{self.seed}:{self.call}:{self.number}:{'full' if self.full else 'broken'}:{self.refusals}"

    @staticmethod
    def parse(text: str) -> "Fault":
        """Read what `str` gave."""
        seed, call, number, what, refusals = text.split(":")
        return Fault(int(seed), call, int(number), what == "full", int(refusals))


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done: so many golden runs, and of their faults all or so many."""

    bursts: int
    runs: int
    faults_max: int | None = None


SIZES: Final = {"full": Size(12, 3), "sample": Size(12, 1, 40)}


class Failing:
    """Refuses calls as a fault says; `moments`: how much had been done to the disk when it began and when it was over."""

    def __init__(self, fault: Fault, disk: PowerDisk) -> None:
        self.moments: list[int] = []
        self._fault = fault
        self._disk = disk
        self._left = fault.refusals

    def meet(self, meeting: Meeting) -> int:
        """The code that a call is answered with."""
        if not self._refuses(meeting.call, meeting.number):
            return apsw.SQLITE_OK
        return apsw.SQLITE_FULL if self._fault.full else CODES[meeting.call]

    def _refuses(self, call: str, number: int) -> bool:
        begins = not self.moments and (call, number) == (self._fault.call, self._fault.number)
        concerned = begins or not self._fault.full or call in GROWS
        if self._left == 0 or not concerned or not (begins or self.moments):
            return False
        if begins:
            self.moments.append(len(self._disk.trace))
        self._left -= 1
        if self._left == 0:
            self.moments.append(len(self._disk.trace))
        return True


class Ran(NamedTuple):
    """A run with a fault: what was done to the disk, what the clients saw, and when the fault began and ended."""

    trace: list[Op]
    notes: Notes
    moments: list[int]
    calls: Counter[str]


def run(written: Plan, fault: Fault) -> Ran:
    """Carry the plan out on a disk with that fault."""
    chance = random.Random(str(fault))
    with scratch() as place, PowerDisk(place / "log", name=DISK) as disk:
        failing = Failing(fault, disk)
        disk.refuse = failing.meet
        disk.partial = (lambda size: chance.randrange(size)) if fault.full else (lambda _: 0)
        notes = Writers(place / "log", disk).run(written)
        if disk.open_names:
            notes.broken.append(f"{', '.join(disk.open_names)} stayed open after the log was closed")
        return Ran(list(disk.trace), notes, failing.moments, disk.calls)


def faults(seed: int, size: Size) -> list[Fault]:
    """Every call of the golden runs, refused once and for a while, as far as the size goes."""
    found: list[Fault] = []
    for number in range(size.runs):
        calls = run(plan(seed + number, bursts=size.bursts), Fault(seed + number, "none", 0, True, 0)).calls
        found += _of_run(seed + number, calls)
    if size.faults_max is not None and len(found) > size.faults_max:
        found = random.Random(f"faults {seed}").sample(found, size.faults_max)
    return found


def _of_run(seed: int, calls: Counter[str]) -> Iterator[Fault]:
    chance = random.Random(f"refusals {seed}")
    for call, count in sorted(calls.items()):
        for number in range(count):
            for full in (True, False) if call in GROWS else (False,):
                for refusals in (1, chance.randint(2, REFUSALS_MAX)):
                    yield Fault(seed, call, number, full, refusals)


def run_faults(suite: Suite, size: Size, *, only: Fault | None = None) -> None:
    """Each fault: run, and judge."""
    wanted = faults(suite.seed, size) if only is None else [only]
    plans = {seed: plan(seed, bursts=size.bursts) for seed in {fault.seed for fault in wanted}}
    for number, fault in enumerate(wanted, 1):
        for sentence in _one(suite, plans[fault.seed], fault):
            again = f"python -m tests.fault.disk_full --size {suite.size} --seed {suite.seed} --fault {fault}"
            suite.breaks(f"{fault}: {sentence}", again)
        suite.progress(number, len(wanted))
        if suite.broke_enough:
            return


def _one(suite: Suite, written: Plan, fault: Fault) -> Iterator[str]:
    """What a fault breaks."""
    ran = run(written, fault)
    suite.figures["runs"] += 1
    suite.figures["runs that met their fault"] += bool(ran.moments)
    for name, count in ran.notes.errors.items():
        suite.details["errors"][name] += count
    for told in ran.notes.told:
        suite.details["appends"][told.answer] += 1
    yield from ran.notes.broken
    chance = random.Random(f"cuts {fault}")
    end = len(ran.trace)
    moments = [*ran.moments, *(chance.randint(min(ran.moments, default=0), end) for _ in range(CUTS - len(ran.moments)))]
    platters = [Platter(forgets=forgets) for forgets in (False, True)]
    at = 0
    for moment in sorted(moments):
        promise = promised(ran.notes, written.batches, at=moment)
        for platter in platters:
            platter.apply(ran.trace[at:moment])
        for survival in (0, chance.randrange(1, 9))[:SURVIVALS]:
            with scratch() as place:
                laid_out(place / "log", chance.choice(platters).after_cut(survival, chance), chance)
                verdict = judge(place / "log", promise)
            suite.figures["power cuts in them"] += 1
            suite.figures["acknowledged records looked for"] += verdict.kept
            yield from (f"a cut at {moment}: {sentence}" for sentence in verdict.broken)
        at = moment
    platters[0].apply(ran.trace[at:])
    with scratch() as place:
        laid_out(place / "log", platters[0].live(), chance)
        verdict = judge(place / "log", promised(ran.notes, written.batches, at=end))
    suite.figures["acknowledged records looked for"] += verdict.kept
    yield from (f"at the end: {sentence}" for sentence in verdict.broken)


def main() -> None:
    """Run, tell, and end with 1 when a promise is broken."""
    parser = arguments("disk_full", __doc__)
    parser.add_argument("--fault", type=Fault.parse, help="only this one, as it was printed")
    asked = parser.parse_args()
    suite = Suite("disk_full", WHAT, asked.size, asked.seed)
    run_faults(suite, SIZES[asked.size], only=asked.fault)
    sys.exit(ended(suite, asked.json))


if __name__ == "__main__":
    main()
