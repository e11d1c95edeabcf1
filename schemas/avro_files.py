"""The Avro schemas of the facts, made from their types, and the files that ship them; must not know how bytes are read.

`python -m schemas.avro_files` writes `avro/*.avsc`, one per fact. A schema that a changed type replaces moves to `avro/earlier/`
and ships for ever, so that a log of any released version can be read without its own `schemas` stream. A word of a `Literal`
is an Avro string, so that a new word is no new schema; the codec refuses a word that it doesn't know.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.facts import FACTS
from schemas.shapes import REQUIRED, Flag, Made, Many, Maybe, Named, Shape, Text, Whole, parts_of

NAMESPACE: Final = "ca.tidegate.v1"
FOLDER: Final = Path(__file__).parent / "avro"
EARLIER: Final = FOLDER / "earlier"

Schema: TypeAlias = dict[str, Any]


def avro_schema(made: type[Any]) -> Schema:
    """Make the Avro schema of a frozen type: docs, defaults and named records kept. Raises TypeError for a type that has none."""
    return _record(made, set())


def fingerprint_of(schema: Schema) -> bytes:
    """Fingerprint a schema by CRC-64-AVRO of its canonical form: eight bytes, as they stand in a single-object header."""
    return _fingerprint(to_parsing_canonical_form(schema))


@cache
def _fingerprint(canonical: str) -> bytes:
    """Computed once for each form: fastavro's is plain Python, and every opening of a log asks for each fact's."""
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def file_text(schema: Schema) -> str:
    """Write a schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def earlier_schemas() -> Iterator[Schema]:
    """Read the shipped schemas that today's types have replaced."""
    for path in sorted(EARLIER.glob("*.avsc")):
        yield json.loads(path.read_text(encoding="utf-8"))


def write_files(folder: Path) -> list[Path]:
    """Write today's schemas into a folder, keep in `earlier/` what they replace, and return the files that changed."""
    changed = []
    for made in FACTS:
        path, schema = folder / f"{made.__name__}.avsc", avro_schema(made)
        text = file_text(schema)
        before = path.read_text(encoding="utf-8") if path.exists() else None
        if before == text:
            continue
        if before is not None:
            _keep(folder, json.loads(before), by=schema)
        path.write_text(text, encoding="utf-8")
        changed.append(path)
    return changed


def _keep(folder: Path, replaced: Schema, *, by: Schema) -> None:
    mark = fingerprint_of(replaced)
    if mark == fingerprint_of(by):
        return
    earlier = folder / "earlier"
    earlier.mkdir(exist_ok=True)
    (earlier / f"{replaced['name']}.{mark.hex()}.avsc").write_text(file_text(replaced), encoding="utf-8")


def _record(made: type[Any], named: set[str]) -> Schema:
    """Make a record; a type that this schema already holds is named and not repeated, as Avro wants it."""
    named.add(made.__name__)
    return {
        "type": "record",
        "name": made.__name__,
        "namespace": NAMESPACE,
        "doc": " ".join((inspect.getdoc(made) or "").split()),
        "fields": [_field(part.name, part.shape, default=part.default, named=named) for part in parts_of(made)],
    }


def _field(name: str, shape: Shape, *, default: object, named: set[str]) -> Schema:
    schema: Schema = {"name": name, "type": _type(shape, named)}
    if isinstance(shape, Maybe):
        if default not in (None, REQUIRED):
            raise TypeError(f"{name}: the default of a field that may be None is None, not {default!r}")
        schema["default"] = None
    elif default is not REQUIRED:
        schema["default"] = list(default) if isinstance(default, tuple) else default
    if isinstance(shape, Text) and shape.words:
        schema["doc"] = "One of: " + ", ".join(shape.words)
    return schema


def _type(shape: Shape, named: set[str]) -> Any:
    match shape:
        case Text():
            return "string"
        case Whole():
            return "long"
        case Flag():
            return "boolean"
        case Maybe(item):
            return ["null", _type(item, named)]
        case Many(item):
            return {"type": "array", "items": _type(item, named)}
        case Named(item):
            return {"type": "map", "values": _type(item, named)}
        case Made(made):
            return f"{NAMESPACE}.{made.__name__}" if made.__name__ in named else _record(made, named)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for written in write_files(FOLDER):
        sys.stderr.write(f"wrote {written.name}\n")
