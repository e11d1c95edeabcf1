"""Reading and writing Avro's binary form of our own types, compiled once per type; must not know fingerprints or versions.

Why not fastavro here: it walks the schema for each value (38,000 a second of `MessageReceived`, where the code made
here reads 115,000 on the same two cores), and it neither builds our types nor refuses a word that a `Literal` doesn't know. What
is made here is plain Avro: a property test reads and writes each fact with fastavro too and compares. Making source text and
running it is how `dataclasses` itself makes `__init__`; nothing from outside ever gets into the text but names of our own fields.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from schemas.shapes import Flag, Made, Many, Maybe, Named, Part, Shape, Text, Whole, parts_of

_SHIFTS: Final = range(7, 70, 7)
"""A 64-bit number takes at most ten bytes: bounds the work that a damaged record can cause."""

_NUMBER_END: Final = 1 << 64

_SIX_BYTES: Final = struct.Struct("6B").unpack_from

_TOGETHER_COUNT_MIN: Final = 3
"""From so many fields on, one comparison is cheaper than looking at each."""

_SIX_CONTINUED: Final = sum(128 << shift for shift in range(0, 35, 7))
"""What the marks "another byte follows" add to a number of six bytes."""


class UnknownWord(Exception):
    """A field holds a word that this program doesn't know."""


class _Words(dict[Any, Any]):
    """The words of one field; asking for another one says so."""

    def __init__(self, where: str, pairs: dict[Any, Any]) -> None:
        super().__init__(pairs)
        self._where = where

    def __missing__(self, word: object) -> NoReturn:
        shown = word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
        raise UnknownWord(f"{self._where} says {shown[:60]!r}, and this program knows only {', '.join(map(str, self.values()))}")


def compile_reader(made: type[Any]) -> Callable[[bytes, int], Any]:
    """Make the function that reads one value of this type from bytes that end with it, from an index on.

    It raises IndexError, ValueError or UnicodeDecodeError for bytes that are not such a value, UnknownWord for an unknown word.
    """
    source = _Source()
    source.line("def read(b, i):")
    with source:
        source.line("t = b.decode('latin-1')")
        target = _read_made(source, made)
        source.line("if i != len(b): raise ValueError('the value ends elsewhere than its record')")
        source.line(f"return {target}")
    return source.function("read", {"long": _long, "size": _size, "count": _count, "fail": _fail})


def compile_writer(made: type[Any], prefix: bytes) -> Callable[[Any], bytes]:
    """Make the function that writes one value of this type behind `prefix`.

    It raises TypeError, AttributeError, KeyError, OverflowError, UnicodeEncodeError or UnknownWord for what the type forbids.
    """
    source = _Source()
    source.line("def write(v):")
    with source:
        source.line("o = bytearray(prefix)")
        source.line("put = o.append")
        _write_made(source, made, "v")
        source.line("return bytes(o)")
    return source.function("write", {"prefix": prefix, "put_long": _put_long})


class _Source:
    """Source text in the making: lines at a depth, fresh names, and the objects that the text names."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._names = 0
        self._objects: dict[str, object] = {}

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    def name(self) -> str:
        self._names += 1
        return f"x{self._names}"

    def hold(self, thing: object) -> str:
        name = f"k{len(self._objects)}"
        self._objects[name] = thing
        return name

    def function(self, name: str, objects: dict[str, object]) -> Callable[..., Any]:
        scope: dict[str, Any] = {**self._objects, **objects}
        exec("\n".join(self._lines), scope)  # noqa: S102  the text is made above from our own types' field names only
        made: Callable[..., Any] = scope[name]
        return made


def _read_made(source: _Source, made: type[Any]) -> str:
    """Read the fields, then build the value without its `__init__`, which takes longer than all the reading.

    A frozen type can't be filled field by field; a twin with the same slots can, and then becomes it: half the time of
    `object.__setattr__` per field.
    """
    parts = parts_of(made)
    values = _read_parts(source, parts, made.__name__)
    target = source.name()
    twin = type(made.__name__, (), {"__slots__": tuple(part.name for part in parts)})
    source.line(f"{target} = {source.hold(twin)}()")
    for part, value in zip(parts, values, strict=True):
        source.line(f"{target}.{part.name} = {value}")
    source.line(f"{target}.__class__ = {source.hold(made)}")
    return target


def _read_parts(source: _Source, parts: Sequence[Part], name: str) -> list[str]:
    """Read fields in order and return the names that hold them.

    The fields at the end that may be None mostly all are: one comparison passes over them together.
    """
    whole = next((at for at in range(len(parts), 0, -1) if not isinstance(parts[at - 1].shape, Maybe)), 0)
    values = [_read(source, part.shape, f"{name}.{part.name}") for part in parts[:whole]]
    rest = parts[whole:]
    if len(rest) < _TOGETHER_COUNT_MIN:
        return values + [_read(source, part.shape, f"{name}.{part.name}") for part in rest]
    targets = [source.name() for _ in rest]
    source.line(f"if b[i:i + {len(rest)}] == {bytes(len(rest))!r}: {' = '.join(targets)} = None; i += {len(rest)}")
    source.line("else:")
    with source:
        for part, target in zip(rest, targets, strict=True):
            source.line(f"{target} = {_read(source, part.shape, f'{name}.{part.name}')}")
    return values + targets


def _read(source: _Source, shape: Shape, where: str) -> str:
    """Write lines that read one value at index `i`, and return the name that then holds it."""
    if isinstance(shape, Made):
        return _read_made(source, shape.type)
    target = source.name()
    match shape:
        case Text(words):
            source.line("n = b[i]; i += 1")
            source.line("if n & 129:")
            source.line("    if n & 1 or (m := b[i]) > 127: n, i = size(b, i - 1)")
            source.line("    else: n = (n >> 1) + (m << 6) - 64; i += 1")
            source.line("else: n >>= 1")
            source.line(f"{target} = t[i:(i := i + n)]")
            if words:
                known = source.hold(_Words(where, {word: word for word in words}))
                source.line(f"{target} = {known}[{target}]")
            else:
                source.line(f"if not {target}.isascii(): {target} = {target}.encode('latin-1').decode()")
        case Whole():
            source.line("n = b[i]")
            source.line("if n < 128: i += 1")
            source.line("elif (m := b[i + 1]) < 128: n += m * 128 - 128; i += 2")
            source.line("elif (p := b[i + 2]) < 128: n += m * 128 + p * 16384 - 16512; i += 3")
            source.line("else: n, i = long(b, i)")
            source.line(f"{target} = ~(n >> 1) if n & 1 else n >> 1")
        case Flag():
            source.line("n = b[i]; i += 1")
            source.line("if n > 1: fail('a flag is neither true nor false')")
            source.line(f"{target} = n == 1")
        case Maybe(item):
            source.line("n = b[i]; i += 1")
            source.line(f"if n == 0: {target} = None")
            source.line("elif n == 2:")
            with source:
                source.line(f"{target} = {_read(source, item, where)}")
            source.line("else: fail('a branch is neither nothing nor something')")
        case Many(item):
            source.line(f"{target} = []")
            for _ in _blocks(source):
                source.line(f"{target}.append({_read(source, item, where)})")
            source.line(f"{target} = tuple({target})")
        case Named(item):
            source.line(f"{target} = {{}}")
            for _ in _blocks(source):
                key = _read(source, Text(), where)
                source.line(f"{target}[{key}] = {_read(source, item, where)}")
    return target


def _blocks(source: _Source) -> Iterator[None]:
    """Write the loops over an array's or map's blocks; the caller writes what reads one item."""
    left = source.name()
    counting = ("n = b[i]", f"if n & 129: {left}, i = count(b, i)", f"else: {left} = n >> 1; i += 1")
    for text in counting:
        source.line(text)
    source.line(f"while {left}:")
    with source:
        source.line(f"for _ in range({left}):")
        with source:
            yield
        for text in counting:
            source.line(text)


def _write_made(source: _Source, made: type[Any], value: str) -> None:
    for part in parts_of(made):
        _write(source, part.shape, f"{value}.{part.name}", where=f"{made.__name__}.{part.name}")


def _write(source: _Source, shape: Shape, value: str, *, where: str) -> None:
    """Write lines that append the value of an expression to `o`."""
    match shape:
        case Made(made):
            own = source.name()
            source.line(f"{own} = {value}")
            _write_made(source, made, own)
        case Text(words):
            known = source.hold(_Words(where, {word: word for word in words})) if words else ""
            source.line(f"s = {known}[{value}].encode()" if words else f"s = {value}.encode()")
            source.line("n = len(s) << 1")
            source.line("if n < 128: put(n)")
            source.line("else: put_long(o, len(s))")
            source.line("o += s")
        case Whole():
            source.line(f"n = {value}")
            source.line("if 0 <= n < 64: put(n << 1)")
            source.line("else: put_long(o, n)")
        case Flag():
            source.line(f"put({source.hold({False: 0, True: 1})}[{value}])")
        case Maybe(item):
            own = source.name()
            source.line(f"{own} = {value}")
            source.line(f"if {own} is None: put(0)")
            source.line("else:")
            with source:
                source.line("put(2)")
                _write(source, item, own, where=where)
        case Many(item) | Named(item):
            own, one = source.name(), source.name()
            source.line(f"{own} = {value}")
            source.line(f"if {own}:")
            with source:
                source.line(f"put_long(o, len({own}))")
                if isinstance(shape, Named):
                    source.line(f"for {own}, {one} in {own}.items():")
                    with source:
                        _write(source, Text(), own, where=where)
                        _write(source, item, one, where=where)
                else:
                    source.line(f"for {one} in {own}:")
                    with source:
                        _write(source, item, one, where=where)
            source.line("put(0)")


def _long(b: bytes, i: int) -> tuple[int, int]:
    """Read a number of four bytes or more, its sign still in the lowest bit; returns it and the index behind it.

    Six bytes hold a moment from 1987 to 2039 in milliseconds, the longest number that facts are full of.
    """
    try:
        a, c, d, e, f, g = _SIX_BYTES(b, i)
    except struct.error:
        return _several(b, i)
    if g < 128 and c & d & e & f > 127:
        return a + c * 128 + d * 16384 + e * 2097152 + f * 268435456 + g * 34359738368 - _SIX_CONTINUED, i + 6
    return _several(b, i)


def _several(b: bytes, i: int) -> tuple[int, int]:
    """Read a number of any size, its sign still in the lowest bit; returns it and the index behind it."""
    n = b[i] & 127
    if b[i] < 128:
        return n, i + 1
    for shift in _SHIFTS:
        i += 1
        byte = b[i]
        n |= (byte & 127) << shift
        if byte < 128:
            if n < _NUMBER_END:
                return n, i + 1
            break
    raise ValueError("a number has more than 64 bits")


def _size(b: bytes, i: int) -> tuple[int, int]:
    """Read a length of 8,192 and more, or refuse a negative one."""
    n, i = _several(b, i)
    if n & 1:
        raise ValueError("a text has a negative length")
    return n >> 1, i


def _count(b: bytes, i: int) -> tuple[int, int]:
    """Read a block's count of 64 and more, or a negative one, behind which its size in bytes stands."""
    n, i = _several(b, i)
    if n & 1:
        _, i = _several(b, i)
    return (n + 1) >> 1, i


def _put_long(o: bytearray, n: int) -> None:
    """Append a number in as many bytes as it needs. Raises OverflowError beyond 64 bits."""
    n = n << 1 if n >= 0 else (-n << 1) - 1
    if n >= _NUMBER_END:
        raise OverflowError("a number has more than 64 bits")
    while n > 127:
        o.append(n & 127 | 128)
        n >>= 7
    o.append(n)


def _fail(sentence: str) -> NoReturn:
    raise ValueError(sentence)
