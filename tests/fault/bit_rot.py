"""Damages the files of a closed or killed SQLite log and counts who notices; must not know how SQLite lays its pages out.

    python -m tests.fault.bit_rot --size full

A bit is flipped, two blocks change places, or a file is cut short; then the log is opened, read and verified as an operator would
(`tidegate audit verify`). SQLite keeps no checksum of a database page, so what is found is found by its own look at a page's
shape, by our decoding, by the auditor's rules and by the SHA-256 of payloads in the facts. What nobody noticed is counted by what
it altered: these figures are a measure of what a check of the whole log does not cover.
"""

import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from audit.verify import verify
from eventlog import sqlite_file
from eventlog.port import LogError
from eventlog.sqlite import SqliteLog
from schemas.codec import Codec, CodecError
from schemas.streams import Record
from tests.checker.check import check
from tests.checker.history import History
from tests.fault.disk_day import day, told_by
from tests.fault.disk_suite import Suite, arguments, ended, scratch
from tests.fault.disk_writers import everything, patched
from tests.fault.power_disk import PowerDisk
from tests.fault.power_platter import Files, Platter

WHAT: Final = (
    "a bit was flipped, two blocks swapped or a file cut short in the database or the write-ahead file of a log with "
    "facts of most kinds; then it was opened, read and verified"
)

DISK: Final = "rotting"
"""The file system's name in SQLite."""

BLOCK_BYTES: Final = 4_096
"""What a drive or a file system misplaces as one."""

WAL_NAME: Final = f"{sqlite_file.FILE_NAME}-wal"

GROUPS: Final = 25
"""Groups of messages in the log: a database of some sixty pages, and a verification takes a moment."""

DAMAGES_COUNT: Final = {"full": 4_000, "sample": 60}

Damage: TypeAlias = Literal["flip", "swap", "cut"]
DAMAGES: Final[tuple[Damage, ...]] = ("flip", "flip", "flip", "swap", "cut")
"""Bits rot more often than blocks go astray."""

Streams: TypeAlias = dict[str, list[Record]]


class Whole(NamedTuple):
    """A log before it is damaged: its files when closed and when killed, its records, and what clients were told."""

    closed: Files
    killed: Files
    records: Streams
    history: History


@dataclass(frozen=True, slots=True)
class Case:
    """One damage. `state`: of the log when it happened."""

    number: int
    state: Literal["closed", "killed"]
    damage: Damage


def whole(groups: int) -> Whole:
    """Write a day to SQLite; a log that was killed has its last records in the write-ahead file."""
    steps = day(groups)
    clock = iter(step.at_ms for step in steps)
    with scratch() as place, PowerDisk(place / "log", name=DISK) as disk, patched(disk):
        log = SqliteLog.open(place / "log", lambda: next(clock), vfs=DISK)
        for step in steps:
            log.append(step.stream, step.batch)
        records = everything(log)
        killed = _now(disk)
        log.close()
        return Whole(_now(disk), killed, records, told_by(steps, acknowledged=len(steps)))


def _now(disk: PowerDisk) -> Files:
    platter = Platter()
    platter.apply(disk.trace)
    return platter.live()


def cases(seed: int, count: int) -> list[Case]:
    """So many damages."""
    chance = random.Random(f"damages {seed}")
    return [Case(number, chance.choice(("closed", "killed")), chance.choice(DAMAGES)) for number in range(count)]


def damaged(files: Files, case: Case, chance: random.Random) -> Files:
    """The files with that damage; a log that was killed is damaged in either of its two."""
    name = chance.choice(sorted(files))
    data = bytearray(files[name])
    match case.damage:
        case "flip":
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case "swap":
            here, there = (each * BLOCK_BYTES for each in chance.sample(range(len(data) // BLOCK_BYTES), 2))
            first, second = data[here : here + BLOCK_BYTES], data[there : there + BLOCK_BYTES]
            data[here : here + BLOCK_BYTES], data[there : there + BLOCK_BYTES] = second, first
        case "cut":
            del data[chance.randrange(len(data)) :]
    return {**files, name: bytes(data)}


def run_damages(suite: Suite, before: Whole, wanted: list[Case]) -> None:
    """Damage, open, read, verify, and count."""
    for done, case in enumerate(wanted, 1):
        chance = random.Random(f"{suite.seed}:{case.number}")
        files = before.closed if case.state == "closed" else before.killed
        with scratch() as place:
            (place / "log").mkdir(mode=0o700)
            for name, data in damaged(files, case, chance).items():
                (place / "log" / name).write_bytes(data)
            found, broken = _noticed(place / "log", before)
        suite.figures["damages"] += 1
        suite.figures[found.split(":")[0].split(" when ")[0].split(" by ")[0]] += 1
        suite.details[case.damage][found] += 1
        if broken:
            again = f"python -m tests.fault.bit_rot --seed {suite.seed} --case {case.number} --size {suite.size}"
            suite.breaks(f"{case.damage} in a {case.state} log: {broken}", again)
        suite.progress(done, len(wanted))


def _noticed(folder: Path, before: Whole) -> tuple[str, str]:
    """Who noticed, and what is broken: an error that is not the port's, or a payload that is not what its fact says."""
    try:
        log = SqliteLog.open(folder, lambda: 0)
    except LogError:
        return "found when it was opened", ""
    except Exception as error:  # noqa: BLE001 (any error that is not the port's is looked for)
        return "a foreign error", f"opening raised {error!r}"
    try:
        return _read(log, before)
    finally:
        log.close()


def _read(log: SqliteLog, before: Whole) -> tuple[str, str]:
    try:
        records = everything(log)
    except LogError:
        return "found when it was read", ""
    except Exception as error:  # noqa: BLE001 (as above)
        return "a foreign error", f"reading raised {error!r}"
    try:
        report = verify(log, Codec())
    except (LogError, CodecError):
        return "found by audit verify", ""
    except Exception as error:  # noqa: BLE001 (as above)
        return "a foreign error", f"audit verify raised {error!r}"
    if records == before.records:
        return "harmless: every record is as it was", "" if report.ok else "audit verify finds fault with a log that is whole"
    if not report.ok:
        return "found by audit verify", ""
    what = _altered(records, before.records)
    broken = "a payload is not what its fact says, and nobody noticed" if "payloads" in what else ""
    return f"unnoticed: {what}{', but a client has the receipt' if _lacks_a_receipt(log, before) else ''}", broken


def _lacks_a_receipt(log: SqliteLog, before: Whole) -> bool:
    """Whether who knows what the publishers were told would notice."""
    try:
        return bool(check(log, Codec(), before.history, at_rest=False))
    except (LogError, CodecError):
        return True


def _altered(records: Streams, before: Streams) -> str:
    """What of a log is other than it was."""
    changed: Counter[str] = Counter()
    for stream, expected in before.items():
        found = records[stream]
        if len(found) != len(expected):
            return "the log ends earlier than it did" if found == expected[: len(found)] else "records are missing or too many"
        for new, old in zip(found, expected, strict=True):
            if new.value != old.value:
                changed["payloads" if stream.startswith("inbound.") else f"values in {stream.split('.')[0]}"] += 1
            changed["headers"] += new.headers != old.headers
            changed["the log's own time of a record"] += new.at_ms != old.at_ms
            changed["keys"] += new.key != old.key
            changed["positions"] += new.position != old.position
    return " and ".join(sorted(+changed))


def main() -> None:
    """Run, tell, and end with 1 when a promise is broken."""
    parser = arguments("bit_rot", __doc__)
    parser.add_argument("--case", type=int, help="only this one")
    asked = parser.parse_args()
    suite = Suite("bit_rot", WHAT, asked.size, asked.seed)
    wanted = cases(asked.seed, DAMAGES_COUNT[asked.size])
    run_damages(suite, whole(GROUPS), wanted if asked.case is None else [wanted[asked.case]])
    sys.exit(ended(suite, asked.json))


if __name__ == "__main__":
    main()
