"""What a disk may hold after its power was cut, by what was done to it before; must not know SQLite or the log.

A synced write is there. Of the others each may be there, or not, or in part, whatever became of those before and after it:
kernel and drive write in any order. A name is as durable as its folder was synced. What lies around a write is never harmed by it
(SQLite counts on that too: powersafe overwrite).
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

from tests.fault.power_disk import FOLDER, Op

SECTOR_BYTES: Final = 512
"""The smallest piece that a drive writes as one; now and then one is torn all the same."""

TORN_SECTOR: Final = 0.1
"""How often the sector at the tear is itself torn."""

GARBAGE: Final = 0.5
"""How often space that was never written holds something old rather than zeros."""

SHARES: Final = (0.1, 0.5, 0.9)
"""How much of what was not synced survives: drawn once for a cut, so that some cuts lose nearly all and some nearly nothing."""

Files: TypeAlias = dict[str, bytes]
Fate: TypeAlias = Literal["kept", "lost", "torn", "hollow"]


@dataclass(slots=True)
class _Loose:
    """A change of a file that may be lost. `order`: when, among all. `doubtful`: a sync of it failed and is not repeated."""

    op: Op
    order: int
    sure: bool = False
    doubtful: bool = False


@dataclass(slots=True)
class _File:
    base: bytearray = field(default_factory=bytearray)
    loose: list[_Loose] = field(default_factory=list)


class Platter:
    """A disk's durable part and what may come on top of it."""

    def __init__(self, files: Files | None = None, *, forgets: bool = False) -> None:
        """`files`: what lies there durably. `forgets`: a failed sync marks the data as written, as Linux does, and no later sync
        writes it."""
        self._forgets: Final = forgets
        self._files: dict[int, _File] = {}
        self._names: dict[str, int | None] = {}
        self._loose_names: dict[str, list[int | None]] = {}
        self._order = 0
        for number, (name, data) in enumerate((files or {}).items()):
            self._files[number] = _File(bytearray(data))
            self._names[name] = number
        if files is not None:
            self._names[FOLDER] = -1

    def copy(self) -> Self:
        """Another platter that goes its own way from here."""
        made = type(self)(forgets=self._forgets)
        made._files = {
            number: _File(bytearray(file.base), [_Loose(each.op, each.order, each.sure, each.doubtful) for each in file.loose])
            for number, file in self._files.items()
        }
        made._names = dict(self._names)
        made._loose_names = {name: list(states) for name, states in self._loose_names.items()}
        made._order = self._order
        return made

    def numbers(self) -> dict[str, int]:
        """The number of each file that a process would find by name now."""
        latest = {name: self._loose_names.get(name, [self._names.get(name)])[-1] for name in (*self._names, *self._loose_names)}
        return {name: number for name, number in latest.items() if number is not None and name != FOLDER}

    @property
    def has_folder(self) -> bool:
        """Whether a process would find the data folder now."""
        return FOLDER in self._names or FOLDER in self._loose_names

    def apply(self, ops: Iterable[Op]) -> None:
        """These things are done to it."""
        for op in ops:
            self._order += 1
            match op.kind:
                case "create":
                    self._files.setdefault(op.file, _File())
                    self._loose_names.setdefault(op.name, []).append(op.file)
                case "delete":
                    self._loose_names.setdefault(op.name, []).append(None)
                case "write" | "truncate":
                    self._files[op.file].loose.append(_Loose(op, self._order))
                case "sync":
                    self._sync(self._files[op.file])
                case "sync_failed":
                    for each in self._files[op.file].loose:
                        each.doubtful = each.doubtful or (self._forgets and not each.sure)
                case "sync_folder":
                    for name in [name for name in self._loose_names if (name == FOLDER) == (op.name == FOLDER)]:
                        self._names[name] = self._loose_names.pop(name)[-1]

    def live(self) -> Files:
        """What a process reads as long as the power is on."""
        return self._taken(self.numbers(), lambda _: "kept", random.Random(0))

    def after_cut(self, number: int, chance: random.Random) -> Files:
        """What is left: the first time only what was synced, the second everything, then a beginning, then by chance."""
        match number:
            case 0:
                return self._taken(self._found(lambda states: states[0]), lambda _: "lost", chance)
            case 1:
                return self._taken(self._found(lambda states: states[-1]), lambda _: "kept", chance)
            case 2:
                until = chance.choice([0, *(each.order for file in self._files.values() for each in file.loose)])
                return self._taken(self._found(chance.choice), lambda each: "kept" if each.order <= until else "lost", chance)
        share = chance.choice(SHARES)

        def fate(each: _Loose) -> Fate:
            if chance.random() < share:
                return "kept"
            return chance.choice(("lost", "torn", "hollow")) if each.op.kind == "write" else "lost"

        return self._taken(self._found(chance.choice), fate, chance)

    def _sync(self, file: _File) -> None:
        for each in file.loose:
            each.sure = each.sure or not each.doubtful
        done = next((at for at, each in enumerate(file.loose) if not each.sure), len(file.loose))
        for each in file.loose[:done]:
            _change(file.base, each.op, bytes)
        del file.loose[:done]

    def _found(self, choose: Callable[[list[int | None]], int | None]) -> dict[str, int]:
        """The file of each name; `choose` among the durable state and all that came after it. None when the folder is lost."""
        names = sorted({*self._names, *self._loose_names})
        found = {name: choose([self._names.get(name), *self._loose_names.get(name, [])]) for name in names}
        if found.pop(FOLDER, None) is None:
            return {}
        return {name: number for name, number in found.items() if number is not None}

    def _taken(self, names: dict[str, int], fate: Callable[[_Loose], Fate], chance: random.Random) -> Files:
        def filler(size: int) -> bytes:
            return chance.randbytes(size) if chance.random() < GARBAGE else bytes(size)

        taken: Files = {}
        for name, number in names.items():
            data = bytearray(self._files[number].base)
            for each in self._files[number].loose:
                match "kept" if each.sure else fate(each):
                    case "kept":
                        _change(data, each.op, filler)
                    case "torn":
                        _tear(data, each.op, filler, chance)
                    case "hollow":
                        _grow(data, each.op.offset + len(each.op.data), filler)
                    case "lost":
                        pass
            taken[name] = bytes(data)
        return taken


def _change(data: bytearray, op: Op, filler: Callable[[int], bytes]) -> None:
    if op.kind == "truncate":
        _grow(data, op.offset, filler)
        del data[op.offset :]
    else:
        _grow(data, op.offset, filler)
        data[op.offset : op.offset + len(op.data)] = op.data


def _grow(data: bytearray, size: int, filler: Callable[[int], bytes]) -> None:
    if size > len(data):
        data += filler(size - len(data))


def _tear(data: bytearray, op: Op, filler: Callable[[int], bytes], chance: random.Random) -> None:
    """Some of the write's sectors get there, one perhaps by half."""
    begin, end = op.offset, op.offset + len(op.data)
    while begin < end:
        stop = min(end, (begin // SECTOR_BYTES + 1) * SECTOR_BYTES)
        piece = op.data[begin - op.offset : stop - op.offset]
        if chance.random() < TORN_SECTOR:
            piece = piece[: chance.randrange(len(piece))]
        elif chance.random() < 0.5:
            piece = b""
        if piece:
            _change(data, Op("write", op.file, begin, piece), filler)
        begin = stop
