"""Facts to bytes and back: Avro behind the single-object header; must not know streams, positions or what a fact means.

A value is C3 01, the fingerprint of the schema that wrote it (CRC-64-AVRO, little endian), and the fact in Avro's binary form
(Avro 1.11, "Single-object encoding"). Errors, each answering "retry, hold or refuse?"; none is mended by trying again:

    CodecError
    ├── UnknownFact      stop: a newer program wrote this log; install it (I13)
    ├── FactUnreadable   stop: these bytes are no fact; the log is damaged, or somebody else wrote to it
    └── FactUnwritable   refuse: the fact holds what its type forbids; nothing was written
"""

import io
import json
import threading
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException

from schemas import native
from schemas.avro_files import Schema, avro_schema, earlier_schemas, fingerprint_of
from schemas.compiled import UnknownWord, compile_reader, compile_writer
from schemas.facts import FACTS, Fact
from schemas.streams import Entry, Record

SINGLE_OBJECT: Final = b"\xc3\x01"
"""The mark of Avro's single-object encoding, version 1."""

HEADER_BYTES: Final = len(SINGLE_OBJECT) + 8

SCHEMA_BYTES_MAX: Final = 256 * 1024
"""Largest schema that is learnt from the log; ours have at most 4 KiB."""

LEARNT_COUNT_MAX: Final = 10_000
"""Most schemas learnt from a log: thirty facts changed monthly for twenty-five years; beyond is a fault."""

_INSTALL: Final = "stop: a newer program wrote this log; install it"


class CodecError(ValueError):
    """A fact and its bytes do not fit together."""


class UnknownFact(CodecError):
    """A fact, field or word that this program doesn't know: stop, a newer program wrote this log; install it."""


class FactUnreadable(CodecError):
    """The bytes are no fact: stop, verify the log (`tidegate audit verify`) and call a person."""


class FactUnwritable(CodecError):
    """The fact holds what its type forbids: nothing was written; mend the program that made it."""


def _compiled() -> Any:
    """The module that `schemas.native_readers` writes, which is there only where it was compiled."""
    return import_module("schemas.readers") if native.runs() else None


_COMPILED: Final = _compiled()


class _Writers(dict[type[Any], Callable[[Any], bytes]]):
    """Writers by type, each compiled when it is first asked for."""

    def __missing__(self, made: type[Any]) -> Callable[[Any], bytes]:
        if made not in FACTS:
            raise FactUnwritable(f"{made.__name__} is no fact; append one of schemas.facts.FACTS")
        prefix = SINGLE_OBJECT + fingerprint_of(avro_schema(made))
        if _COMPILED is None:
            return self.setdefault(made, compile_writer(made, prefix))
        return self.setdefault(made, partial(_COMPILED.WRITERS[made], prefix))


_WRITERS: Final = _Writers()


def _encode(fact: Any) -> bytes:
    """Write a fact. Raises FactUnwritable for what its type forbids (a number over 64 bits, a word outside its `Literal`)."""
    try:
        return _WRITERS[type(fact)](fact)
    except UnknownWord as exc:
        raise FactUnwritable(f"{exc}; nothing was written") from exc
    except (AttributeError, KeyError, OverflowError, TypeError, UnicodeEncodeError) as exc:
        raise FactUnwritable(f"{type(fact).__name__} holds what its type forbids ({exc}); nothing was written") from exc


encode: Final[Callable[[Fact], bytes]] = _encode
"""The same for who writes facts and nothing else. Compiled, a function that says so itself raises TypeError for a stranger."""


def schema_entries() -> list[Entry]:
    """Make the entries of the compacted `schemas` stream: key = fingerprint in hex as it stands in a value, value = the JSON.

    Whoever writes facts writes these first, so that the log alone is enough to read it.
    """
    return [
        Entry(value=json.dumps(schema, ensure_ascii=False).encode(), key=fingerprint_of(schema).hex().encode())
        for schema in map(avro_schema, FACTS)
    ]


def reader_of(made: type[Any]) -> Callable[[bytes, int], Fact]:
    """What reads today's form of a fact: its compiled function where there is one (`schemas.native`)."""
    if _COMPILED is None:
        return compile_reader(made)
    reader: Callable[[bytes, int], Fact] = _COMPILED.READERS[made]
    return reader


class Codec:
    """Reads facts: of today's schemas, of the earlier ones that ship and of those that it learnt. Safe between threads."""

    def __init__(self, earlier: Iterable[Schema] | None = None) -> None:
        """Read the shipped earlier schemas, or take these instead of them."""
        self._types: dict[str, type[Any]] = {made.__name__: made for made in FACTS}
        self._readers: dict[bytes, Callable[[bytes, int], Fact]] = {}
        self._today: dict[bytes, type[Any]] = {}
        self._strangers: dict[bytes, str] = {}
        self._lock = threading.Lock()
        for made in FACTS:
            self._today[SINGLE_OBJECT + fingerprint_of(avro_schema(made))] = made
        for schema in earlier_schemas() if earlier is None else earlier:
            header = SINGLE_OBJECT + fingerprint_of(schema)
            if header not in self._today:
                self._readers[header] = self._resolving(schema)

    def decode(self, value: bytes) -> Fact:
        """Read one value. Raises UnknownFact (stop, install the newer program) or FactUnreadable (stop, verify the log)."""
        try:
            return (self._readers.get(value[:HEADER_BYTES]) or self._reader(value))(value, HEADER_BYTES)
        except UnknownWord as exc:
            raise UnknownFact(f"{exc}; {_INSTALL}") from exc
        except SchemaResolutionError as exc:
            raise UnknownFact(f"a value's schema doesn't fit today's type ({exc}); {_INSTALL}") from exc
        except CodecError:
            raise
        except (IndexError, ValueError, EOFError, OverflowError, TypeError, KeyError) as exc:
            raise FactUnreadable(f"a value of {len(value):,} bytes is no fact ({exc}); stop and verify the log") from exc

    def learn(self, records: Iterable[Record]) -> None:
        """Take schemas from records of the `schemas` stream; known ones are passed over, so that learning again does no harm.

        A schema of a fact or with a field that today's types lack was written by a newer program: its facts raise UnknownFact,
        because to drop what they say would give another state. Raises FactUnreadable for a record that is no schema.
        """
        for record in records:
            schema = _schema_in(record)
            header = SINGLE_OBJECT + fingerprint_of(schema)
            if header in self._today or header in self._readers or header in self._strangers:
                continue
            if len(self._strangers) + len(self._readers) >= LEARNT_COUNT_MAX:
                raise FactUnreadable(f"the schemas stream holds more than {LEARNT_COUNT_MAX:,} schemas; stop and verify the log")
            strange = self._strange(schema)
            if strange:
                self._strangers[header] = strange
            else:
                self._readers[header] = self._resolving(schema)

    def _reader(self, value: bytes) -> Callable[[bytes, int], Fact]:
        """Compile the reader for today's schema, or say why there is none."""
        header = value[:HEADER_BYTES]
        made = self._today.get(header)
        if made is not None:
            with self._lock:
                if header not in self._readers:
                    self._readers[header] = reader_of(made)
                return self._readers[header]
        if len(value) < HEADER_BYTES or not value.startswith(SINGLE_OBJECT):
            raise FactUnreadable(f"a value of {len(value):,} bytes has no Avro header; stop and verify the log")
        strange = self._strangers.get(header, f"no schema is known for the fingerprint {header[2:].hex()}")
        raise UnknownFact(f"{strange}; {_INSTALL}")

    def _strange(self, schema: Schema) -> str | None:
        """Say what of a learnt schema today's types lack, or None."""
        name = _name(schema)
        made = self._types.get(name)
        if made is None:
            return f"the log holds the fact {name}, which this program doesn't know"
        extra = sorted(_paths(schema) - _paths(avro_schema(made)))
        return f"the fact {name} says {', '.join(extra)}, which this program doesn't know" if extra else None

    def _resolving(self, schema: Schema) -> Callable[[bytes, int], Fact]:
        """Make a reader that turns an older schema's values into today's type by Avro's rules of resolution."""
        made = self._types.get(_name(schema))
        if made is None:
            raise FactUnreadable(f"the earlier schema {_name(schema)} has no fact any more; a fact is never taken away")
        writer, reader, read = parse_schema(schema), parse_schema(avro_schema(made)), reader_of(made)

        def resolve(value: bytes, start: int) -> Fact:
            behind, today = io.BytesIO(value), io.BytesIO()
            behind.seek(start)
            schemaless_writer(today, reader, schemaless_reader(behind, writer, reader))
            if behind.tell() != len(value):
                raise ValueError("the value ends elsewhere than its record")
            fact: Fact = read(today.getvalue(), 0)
            return fact

        return resolve


def _schema_in(record: Record) -> Schema:
    """Read a record of the `schemas` stream and compare it with its key. Raises FactUnreadable."""
    where = f"record {record.position} of the schemas stream"
    if len(record.value) > SCHEMA_BYTES_MAX:
        raise FactUnreadable(f"{where} has {len(record.value):,} bytes, over {SCHEMA_BYTES_MAX:,}; stop and verify the log")
    try:
        schema = json.loads(record.value)
        parse_schema(schema)
        mark = fingerprint_of(schema).hex().encode()
        fitting = schema["type"] == "record" and mark == record.key
    except (SchemaParseException, ValueError, TypeError, KeyError, RecursionError) as exc:
        raise FactUnreadable(f"{where} is no Avro schema ({exc}); stop and verify the log") from exc
    if not fitting:
        raise FactUnreadable(f"{where} is no record under its own fingerprint {mark.decode()}; stop and verify the log")
    parsed: Schema = schema
    return parsed


def _name(schema: Schema) -> str:
    return str(schema["name"]).rpartition(".")[2]


def _paths(schema: Schema) -> set[str]:
    """Name each field of a schema and of the records in it, as Record.field."""
    found: set[str] = set()
    rest: list[Any] = [schema]
    while rest:
        one = rest.pop()
        if isinstance(one, list):
            rest.extend(one)
        elif isinstance(one, dict):
            found.update(f"{_name(one)}.{field['name']}" for field in one.get("fields", ()))
            rest.extend(field["type"] for field in one.get("fields", ()))
            rest.extend(one[inner] for inner in ("type", "items", "values") if inner in one)
    return found
