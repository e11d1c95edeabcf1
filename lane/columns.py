"""Columns of plain values as few bytes that are quick to read back; must not know what they mean.

A column is constant, one of a few values, whole numbers, or anything else that marshal writes: a constant takes no room, one of a
few values one byte, a number among many eight.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, Final, TypeAlias

Packed: TypeAlias = tuple[str, Any] | tuple[str, Any, Any]

FEW_COUNT_MAX: Final = 256
"""Most values of a column whose places fit into one byte each."""

PART_COUNT: Final = 8_192
"""Rows that are written and read at a time: a load takes little beside what it makes, and leaves little behind. Read in one go,
100,000 messages of three keys left 309 bytes each resident beside what Python counted; in parts, and kept smaller, 51."""

LENGTH_BYTES: Final = 8
"""Before each part stands how long it is."""

NO_NUMBER: Final = -(2**63)
"""Stands for None among whole numbers: nothing that a lane counts or dates comes near it."""

_ATOMS: Final = frozenset({str, int, type(None)})


def pack(column: Sequence[Any]) -> Packed:
    """The column as plain values that marshal writes; equal columns give equal ones."""
    kinds = set(map(type, column))
    if kinds <= _ATOMS or kinds == {bool} or kinds == {tuple}:
        values = _few(column)
        if len(values) == 1:
            return "same", column[0]
        if values:
            places = {value: place for place, value in enumerate(values)}
            return "few", values, bytes(map(places.__getitem__, column))
    if kinds and kinds <= {int, type(None)}:
        return "whole", array("q", [NO_NUMBER if each is None else each for each in column]).tobytes(), type(None) in kinds
    return "any", list(column)


def unpack(packed: Packed, count: int) -> Iterable[Any]:
    """The column again. Raises ValueError where it is none of so many values."""
    form, what, *more = packed
    if form == "same":
        return repeat(what, count)
    values: Sequence[Any] = what
    if form == "few":
        values = [what[place] for place in more[0]]
    elif form == "whole":
        whole = array("q")
        whole.frombytes(what)
        values = [None if each == NO_NUMBER else each for each in whole] if more[0] else whole
    elif form != "any":
        raise ValueError(f"no form of a column: {form!r}")
    if len(values) != count:
        raise ValueError(f"a column has {len(values)} values, not {count}")
    return values


def unpack_turned(packed: Packed, count: int, turn: Callable[[Any], Any]) -> Iterable[Any]:
    """The column again, each value turned into another; one of a few is turned once."""
    form, what, *more = packed
    if form == "same":
        return repeat(turn(what), count)
    if form == "few":
        return unpack((form, list(map(turn, what)), more[0]), count)
    return map(turn, unpack(packed, count))


def pack_groups(column: Sequence[Sequence[int]]) -> Packed:
    """A column of groups of numbers: how many each has, and all of them in a row."""
    return "groups", pack(list(map(len, column))), array("q", [one for each in column for one in each]).tobytes()


def unpack_groups(packed: Packed, count: int) -> tuple[Iterable[int], Sequence[int]]:
    """How many each group has, and the numbers of all in a row."""
    _, sizes, numbers = packed  # type: ignore[misc]  # a column of groups is told apart by its place
    whole = array("q")
    whole.frombytes(numbers)
    return unpack(sizes, count), whole


def pieces(count: int) -> Iterator[tuple[int, int]]:
    """Where each part of so many rows begins and ends."""
    return ((start, min(start + PART_COUNT, count)) for start in range(0, count, PART_COUNT))


def joined(parts: Iterable[bytes]) -> bytes:
    """Parts one after another, each behind its length."""
    return b"".join(each for part in parts for each in (len(part).to_bytes(LENGTH_BYTES, "big"), part))


def parted(body: bytes) -> Iterator[memoryview]:
    """The parts again, where they lie. Raises EOFError where the bytes end too soon."""
    view, at = memoryview(body), 0
    while True:
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(view[start - LENGTH_BYTES : start], "big")
        if not start < at <= len(view):
            raise EOFError("a part is missing")
        yield view[start:at]


def _few(column: Sequence[Any]) -> list[Any]:
    """The values of a column in the order in which they first come, or nothing when there are too many."""
    values: dict[Any, None] = {}
    for start in range(0, len(column), FEW_COUNT_MAX):
        values.update(dict.fromkeys(column[start : start + FEW_COUNT_MAX]))
        if len(values) > FEW_COUNT_MAX:
            return []
    return list(values)
