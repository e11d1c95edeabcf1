"""Records a log of every fact as this version writes it; must not be run again for a version that was released.

`python -m tests.data.record_facts NAME` writes `NAME.jsonl` (a line per value: the fact's name, its bytes in base64, what it
says) and `NAME.schemas.jsonl` (the log's `schemas` stream). Each fact stands there twice: bare, and with all that it can hold.
"""

import base64
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from schemas.codec import encode, schema_entries
from schemas.facts import FACTS, Fact
from schemas.shapes import REQUIRED, Flag, Made, Many, Maybe, Named, Shape, Text, Whole, parts_of

FOLDER = Path(__file__).parent

_MANY = 70
"""More than 63, so that the count takes two bytes."""


def bare(made: type[Any]) -> Any:
    """Make a value with its required fields only, the smallest that each can be."""
    parts = [part for part in parts_of(made) if part.default is REQUIRED]
    return made(**{part.name: _least(part.shape) for part in parts})


def full(made: type[Any]) -> Any:
    """Make a value whose every field holds something, each field something else."""
    return made(**{part.name: _most(part.shape, number) for number, part in enumerate(parts_of(made), start=1)})


def from_json(shape: Shape, said: Any) -> Any:
    """Make a value from what the recording says of it; a field that it doesn't name has its default."""
    match shape:
        case Made(made):
            shapes = {part.name: part.shape for part in parts_of(made)}
            return made(**{name: from_json(shapes[name], value) for name, value in said.items() if name in shapes})
        case Maybe(item):
            return None if said is None else from_json(item, said)
        case Many(item):
            return tuple(from_json(item, one) for one in said)
        case Named(item):
            return {name: from_json(item, one) for name, one in said.items()}
        case Text() | Whole() | Flag():
            return said


def _least(shape: Shape) -> Any:
    match shape:
        case Text(words):
            return words[0] if words else ""
        case Whole():
            return 0
        case Flag():
            return False
        case Maybe():
            return None
        case Many():
            return ()
        case Named():
            return {}
        case Made(made):
            return bare(made)


def _most(shape: Shape, number: int) -> Any:
    match shape:
        case Text(words):
            return words[-1] if words else f"Saint-Bernard-de-Lacolle é 税関 {number}"
        case Whole():
            return (-1) ** number * 37**number % 2**63
        case Flag():
            return True
        case Maybe(item):
            return _most(item, number)
        case Many(item):
            return tuple(_most(item, number + more) for more in range(_MANY if isinstance(item, Whole) else 3))
        case Named(item):
            return {f"name {more}": _most(item, number + more) for more in range(3)}
        case Made(made):
            return full(made)


def _line(fact: Fact) -> str:
    said = {"fact": type(fact).__name__, "value": base64.b64encode(encode(fact)).decode(), "says": dataclasses.asdict(fact)}
    return json.dumps(said, ensure_ascii=False) + "\n"


def _record(name: str) -> None:
    lines = [_line(make(made)) for made in FACTS for make in (bare, full)]
    (FOLDER / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    schemas = [{"key": (entry.key or b"").decode(), "value": entry.value.decode()} for entry in schema_entries()]
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in schemas)
    (FOLDER / f"{name}.schemas.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _record(sys.argv[1])
