"""What the fields of a fact are made of, read from its type; must not know bytes, Avro or what a fact means.

A fact's field is text (free, or one of some words), a whole number, a flag, another frozen type, none or something, many of
something (a tuple), or something by name (a dict from text). `shape_of` refuses anything else, so that a new fact can't hold what
the codec can't write.
"""

import types
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

REQUIRED: Final = MISSING
"""Stands for the default of a field that has none."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string; one of `words` unless that is empty."""

    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number of 64 bits with a sign."""


@dataclass(frozen=True, slots=True)
class Flag:
    """True or False."""


@dataclass(frozen=True, slots=True)
class Made:
    """A frozen dataclass."""

    type: type[Any]


@dataclass(frozen=True, slots=True)
class Maybe:
    """None or `item`."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Many:
    """A tuple of any length."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Named:
    """A dict from text."""

    item: "Shape"


Shape: TypeAlias = Text | Whole | Flag | Made | Maybe | Many | Named

_PLAIN: Final[dict[Any, Shape]] = {str: Text(), int: Whole(), bool: Flag()}


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a type: its name, what it is made of, and its default as a value (`REQUIRED` when it has none)."""

    name: str
    shape: Shape
    default: object


def parts_of(made: type[Any]) -> tuple[Part, ...]:
    """Read the fields of a frozen dataclass, in the order of the type. Raises TypeError for a type that can't be a fact."""
    hints = get_type_hints(made)
    parts = []
    for one in fields(made):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        parts.append(Part(one.name, shape_of(hints[one.name]), default))
    return tuple(parts)


def shape_of(hint: Any) -> Shape:
    """Say what a type hint is made of. Raises TypeError with a sentence for a hint that has no place in a fact."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and is_dataclass(hint):
        return Made(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal and all(isinstance(word, str) for word in arguments):
        return Text(arguments)
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        (item,) = (one for one in arguments if one is not type(None))
        return Maybe(shape_of(item))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Many(shape_of(arguments[0]))
    if origin is dict and arguments[0] is str:
        return Named(shape_of(arguments[1]))
    raise TypeError(
        f"a fact can't hold {hint!r}: use str, int, bool, a Literal of strings, a frozen dataclass, X | None, tuple[X, ...]"
        " or dict[str, X]"
    )
