"""What is written to a log whose disk will fail, and in which steps; must not know how a disk fails, or what SQLite does.

The same seed gives the same plan to the byte, so that a case can be repeated by its numbers.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from schemas.streams import BULLETINS, DESK, SCHEMAS, Entry, Headers, inbound, lane

STREAMS: Final = (inbound("highway"), lane("highway"), lane("rail"), DESK, BULLETINS)
"""Where the writers write: raw messages, facts and what a desk has; a table each."""

SCHEMA_KEYS: Final = (b"a", b"b", b"c")
"""The compacted stream replaces a record again and again."""

LONG_BYTES: Final = (3_000, 20_000)
"""Some values fill pages of their own: these overflow a page of 4,096 bytes, once and several times."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One append. `retried`: its writer tries until it is told that it is in the log; else it gives up at the first error."""

    number: int
    stream: str
    entries: tuple[Entry, ...]
    retried: bool = True


@dataclass(frozen=True, slots=True)
class Burst:
    """One append, and others of other threads that wait behind it: they go into the next transaction together.

    `handle`: which of two open logs writes, as two processes would.
    """

    first: Batch
    behind: tuple[Batch, ...] = ()
    handle: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Another program asks SQLite to move the write-ahead file's pages into the database."""

    mode: Literal["PASSIVE", "FULL", "RESTART", "TRUNCATE"]


@dataclass(frozen=True, slots=True)
class HoldReader:
    """A reader begins and stays: no checkpoint gets past what it sees."""


@dataclass(frozen=True, slots=True)
class LetReaderGo:
    """That reader ends."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Every handle is closed, the last one empties the write-ahead file, and the log is opened again."""


Step: TypeAlias = Burst | Checkpoint | HoldReader | LetReaderGo | Reopen


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, with the batches in them by number."""

    steps: tuple[Step, ...]
    batches: dict[int, Batch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for batch in batches_of(self.steps):
            self.batches[batch.number] = batch


def batches_of(steps: tuple[Step, ...]) -> Iterator[Batch]:
    """Every batch, in the order in which it is handed to the log."""
    for step in steps:
        if isinstance(step, Burst):
            yield step.first
            yield from step.behind


def plan(seed: int, *, bursts: int) -> Plan:
    """So many bursts with what comes between them."""
    chance = random.Random(seed)
    steps: list[Step] = []
    count = 0
    held = False
    for _ in range(bursts):
        size = chance.choice((1, 1, 2, 3, 5))
        made = tuple(_batch(chance, count + number) for number in range(size))
        count += size
        steps.append(Burst(made[0], made[1:], chance.choice((0, 0, 1))))
        what = chance.random()
        if held and what < 0.3:
            steps.append(LetReaderGo())
            held = False
        elif not held and what < 0.05:
            steps.append(HoldReader())
            held = True
        elif what < 0.12:
            steps.append(Checkpoint(chance.choice(("PASSIVE", "FULL", "RESTART", "TRUNCATE"))))
        elif what < 0.16:
            steps.append(Reopen())
            held = False
    return Plan(tuple(steps))


def _batch(chance: random.Random, number: int) -> Batch:
    retried = chance.random() < 0.8
    if chance.random() < 0.08:
        key = chance.choice(SCHEMA_KEYS)
        return Batch(number, SCHEMAS, (Entry(value_of(number, 0, chance.randbytes(100)), (), key),), retried)
    size = chance.choice((1, 1, 1, 2, 3, 8, 20))
    entries = tuple(_entry(chance, number, part) for part in range(size))
    return Batch(number, chance.choice(STREAMS), entries, retried)


def _entry(chance: random.Random, number: int, part: int) -> Entry:
    size = chance.randrange(*LONG_BYTES) if chance.random() < 0.04 else chance.randrange(300)
    headers: Headers = (("ce_id", b"%d" % number), ("ce_type", chance.randbytes(20))) if chance.random() < 0.5 else ()
    return Entry(value_of(number, part, chance.randbytes(size)), headers, chance.randbytes(8) if chance.random() < 0.2 else None)


def value_of(number: int, part: int, rest: bytes) -> bytes:
    """A value that says which entry it is."""
    return b"%d:%d:" % (number, part) + rest


def named_by(value: bytes) -> tuple[int, int]:
    """Which entry a value is: the batch's number and the place in it. Raises ValueError."""
    number, part, _ = value.split(b":", 2)
    return int(number), int(part)
