"""Writes the module that reads and writes facts where it is compiled: a function a type, a line a field; knows no compiler."""

import ast
from pathlib import Path
from typing import Any

from schemas import facts
from schemas.facts import FACTS
from schemas.shapes import Flag, Made, Many, Maybe, Named, Shape, Text, Whole, parts_of

MODULE = "schemas/readers.py"
"""Where the module stands among the sources that are compiled; it is in no checkout."""

OFTEN_SAID = frozenset({"content_type", "gateway", "stream", "tenant"})
"""Fields whose texts come again and again, and the keys of each map: a text of theirs is made once."""

_HEAD = '''"""Reads and writes each fact by its fields, made by schemas.native_readers; must not be kept among the sources."""

from collections.abc import Callable
from typing import Any, Final

from schemas import facts
from schemas.cursor import Cursor, Pen
'''


def text() -> str:
    """The module's source, the same for the same facts."""
    writer = _Writer()
    for made in FACTS:
        writer.reader_of(made)
        writer.writer_of(made)
    ends = "\n\n".join(_END.format(name=made.__name__) for made in FACTS)
    tables = (
        f"READERS: dict[type, Callable[[bytes, int], facts.Fact]] = {{{_table('read')}}}\n",
        f"WRITERS: dict[type, Callable[[bytes, Any], bytes]] = {{{_table('write')}}}\n",
    )
    words = [line for name, said in writer.words.values() for line in _word_tables(name, said)]
    blank = [f"_BLANK_{name}: Final[Any] = {name}.__new__" for name in sorted(writer.made)]
    imported = f"from schemas.facts import {', '.join(sorted(writer.made))}\n"
    return "\n".join((_HEAD, imported, *blank, *words, *writer.functions, ends, *tables))


def _word_tables(name: str, words: tuple[str, ...]) -> tuple[str, str]:
    """A field's words by their bytes, and their bytes with the count before them by the words."""
    read = {word.encode(): word for word in words}
    written = {word: bytes((len(word.encode()) << 1,)) + word.encode() for word in words}
    return f"{name}: Final[dict[bytes, str]] = {read!r}", f"{name}_WRITTEN: Final[dict[str, bytes]] = {written!r}"


def _table(does: str) -> str:
    return ", ".join(f"facts.{made.__name__}: {does}_{made.__name__}" for made in FACTS)


def hints() -> str:
    """What to add to the module of the facts: mypyc forgets what a field's type has in brackets, and docstrings."""
    said = {
        node.name: (
            {ast.unparse(each.target): ast.unparse(each.annotation) for each in node.body if isinstance(each, ast.AnnAssign)},
            ast.get_docstring(node, False),
        )
        for node in ast.parse(Path(facts.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    table = "\n".join(f"    {name}: {both!r}," for name, both in said.items())
    return _HINTS.format(table=table)


_HINTS = """

_SAID: dict[type, tuple[dict[str, str], str]] = {{
{table}
}}
for _made, (_hints, _doc) in _SAID.items():
    _made.__annotations__ = _hints
    _made.__doc__ = _doc
"""

_END = """
def read_{name}(value: bytes, at: int) -> facts.Fact:
    cursor = Cursor(value, at)
    fact = _{name}(cursor)
    cursor.end()
    return fact


def write_{name}(prefix: bytes, fact: facts.{name}) -> bytes:
    pen = Pen(prefix)
    _put_{name}(pen, fact)
    return pen.done()
"""


class _Writer:
    """Functions and words in the making: each type's function once, behind those that it calls."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.words: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.made: set[str] = set()
        self._made: set[tuple[str, type[Any]]] = set()
        self._names = 0

    def reader_of(self, made: type[Any]) -> None:
        """Write the function that reads one type, and first those of the types in it.

        It fills the fields of an empty object, which only compiled code may do to a frozen one: a tenth of what `__init__` takes.
        What makes the empty object is looked up once and not for each fact.
        """
        if ("read", made) in self._made:
            return
        self._made.add(("read", made))
        kind = made.__name__
        self.made.add(kind)
        lines = [f"def _{kind}(c: Cursor) -> {kind}:", f"    made: {kind} = _BLANK_{kind}({kind})"]
        parts = parts_of(made)
        whole = next((at for at in range(len(parts), 0, -1) if not isinstance(parts[at - 1].shape, Maybe)), 0)
        for part in parts[:whole]:
            lines += self._field(part.name, part.shape, made.__name__, indent="    ")
        rest = parts[whole:]
        if rest:
            lines.append(f"    if c.skipped({len(rest)}):")
            lines += [f"        made.{part.name} = None  # type: ignore[misc]" for part in rest]
            lines.append("    else:")
            for part in rest:
                lines += self._field(part.name, part.shape, made.__name__, indent="        ")
        lines.append("    return made\n\n")
        self.functions.append("\n".join(lines))

    def writer_of(self, made: type[Any]) -> None:
        """Write the function that writes one type, and first those of the types in it."""
        if ("write", made) in self._made:
            return
        self._made.add(("write", made))
        lines = [f"def _put_{made.__name__}(p: Pen, v: {made.__name__}) -> None:"]
        for part in parts_of(made):
            lines += self._put(part.shape, f"v.{part.name}", where=f"{made.__name__}.{part.name}", indent="    ")
        self.functions.append("\n".join([*lines, "\n"]))

    def _put(self, shape: Shape, value: str, *, where: str, indent: str) -> list[str]:
        """Lines that write the value of an expression."""
        match shape:
            case Text(()):
                return [f"{indent}p.text({value})"]
            case Text(words):
                return [f"{indent}p.word({value}, {self._known(where, words)}_WRITTEN, {where!r})"]
            case Whole():
                return [f"{indent}p.whole({value})"]
            case Flag():
                return [f"{indent}p.flag({value})"]
            case Made(made):
                self.writer_of(made)
                return [f"{indent}_put_{made.__name__}(p, {value})"]
            case Maybe(item):
                own, deeper = self._name(), indent + "    "
                some = self._put(item, own, where=where, indent=deeper)
                lines = [f"{own} = {value}", f"if {own} is None:", "    p.nothing()", "else:", "    p.there()"]
                return [*(indent + line for line in lines), *some]
            case Many(item):
                own, one, deeper = self._name(), self._name(), indent + "        "
                each = self._put(item, one, where=where, indent=deeper)
                lines = [f"{own} = {value}", f"if {own}:", f"    p.whole(len({own}))", f"    for {one} in {own}:"]
                return [*(indent + line for line in lines), *each, f"{indent}p.nothing()"]
            case Named(item):
                own, key, one, deeper = self._name(), self._name(), self._name(), indent + "        "
                each = self._put(item, one, where=where, indent=deeper)
                lines = [f"{own} = {value}", f"if {own}:", f"    p.whole(len({own}))", f"    for {key}, {one} in {own}.items():"]
                return [*(indent + line for line in lines), f"{deeper}p.text({key})", *each, f"{indent}p.nothing()"]

    def _known(self, where: str, words: tuple[str, ...]) -> str:
        """The name of a field's words."""
        return self.words.setdefault(where, (f"_WORDS_{len(self.words)}", words))[0]

    def _field(self, name: str, shape: Shape, where: str, *, indent: str) -> list[str]:
        often = name in OFTEN_SAID and shape == Text(())
        lines, value = ([], "c.often()") if often else self._read(shape, f"{where}.{name}", indent)
        return [*lines, f"{indent}made.{name} = {value}  # type: ignore[misc, assignment]"]

    def _read(self, shape: Shape, where: str, indent: str) -> tuple[list[str], str]:
        """Lines to run first, and the expression that is then the value."""
        match shape:
            case Text(()):
                return [], "c.text()"
            case Text(words):
                return [], f"c.word({self._known(where, words)}, {where!r})"
            case Whole():
                return [], "c.whole()"
            case Flag():
                return [], "c.flag()"
            case Made(made):
                self.reader_of(made)
                return [], f"_{made.__name__}(c)"
            case Maybe(item):
                lines, value = self._read(item, where, indent)
                return lines, f"({value}) if c.is_there() else None"
            case Many(item):
                many = self._name()
                lines, value = self._read(item, where, indent + "        ")
                loop = self._loop(indent, [*lines, f"{indent}        {many}.append({value})"])
                return [f"{indent}{many}: list[{_hint(item)}] = []", *loop], f"tuple({many})"
            case Named(item):
                named, key = self._name(), self._name()
                lines, value = self._read(item, where, indent + "        ")
                body = [f"{indent}        {key} = c.often()", *lines, f"{indent}        {named}[{key}] = {value}"]
                return [f"{indent}{named}: dict[str, {_hint(item)}] = {{}}", *self._loop(indent, body)], named

    def _loop(self, indent: str, body: list[str]) -> list[str]:
        left = self._name()
        return [
            f"{indent}{left} = c.count()",
            f"{indent}while {left}:",
            f"{indent}    for _ in range({left}):",
            *body,
            f"{indent}    {left} = c.count()",
        ]

    def _name(self) -> str:
        self._names += 1
        return f"x{self._names}"


def _hint(shape: Shape) -> str:
    match shape:
        case Text():
            return "str"
        case Whole():
            return "int"
        case Flag():
            return "bool"
        case Made(made):
            return made.__name__
        case Maybe(item):
            return f"{_hint(item)} | None"
        case Many(item):
            return f"tuple[{_hint(item)}, ...]"
        case Named(item):
            return f"dict[str, {_hint(item)}]"
