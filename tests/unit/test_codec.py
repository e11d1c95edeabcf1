"""What the codec promises: plain Avro with a named schema, every released log readable, and a stop at what it doesn't know."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from fastavro import parse_schema, schemaless_writer

from schemas import native
from schemas.avro_files import FOLDER, Schema, avro_schema, file_text, fingerprint_of, write_files
from schemas.codec import (
    HEADER_BYTES,
    SINGLE_OBJECT,
    Codec,
    CodecError,
    FactUnreadable,
    FactUnwritable,
    UnknownFact,
    encode,
    schema_entries,
)
from schemas.facts import FACTS, MessageRefused, MessageWithdrawn, Outcome, SendIntended, SendsConcluded, Source, StillHere
from schemas.shapes import Made
from schemas.streams import Record
from tests.data.record_facts import bare, from_json, full

RECORDED = ("facts-v1",)
DATA = Path(__file__).parent.parent / "data"
beat = StillHere(at_ms=1_763_841_907_000, epoch=7)


def _lines(name: str) -> Iterator[dict[str, Any]]:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _schema_records(schemas: list[Schema]) -> list[Record]:
    return [
        Record(position=at, at_ms=0, value=json.dumps(one).encode(), key=fingerprint_of(one).hex().encode())
        for at, one in enumerate(schemas)
    ]


def _written_by(schema: Schema, said: dict[str, Any]) -> bytes:
    into = io.BytesIO()
    schemaless_writer(into, parse_schema(schema), said)
    return SINGLE_OBJECT + fingerprint_of(schema) + into.getvalue()


def _changed(made: type[Any], **changes: Any) -> Schema:
    schema = avro_schema(made)
    return {**schema, **changes}


def test_the_fingerprint_is_the_one_of_the_avro_specification() -> None:
    """Single-object encoding: CRC-64-AVRO of the canonical form, little endian; the figure for "int" is the specification's."""
    assert bytes.fromhex("8f5c393f1ad57572") == fingerprint_of("int")  # type: ignore[arg-type]


@pytest.mark.parametrize("made", FACTS, ids=lambda made: str(made.__name__))
def test_the_committed_schema_is_the_one_of_the_type(made: type[Any]) -> None:
    """The files that others read are made from the types: run `python -m schemas.avro_files` after a change."""
    assert file_text(avro_schema(made)) == (FOLDER / f"{made.__name__}.avsc").read_text(encoding="utf-8")


def test_no_committed_schema_lacks_its_fact() -> None:
    """A fact is never taken away, and a file that names none is a mistake."""
    assert {made.__name__ for made in FACTS} == {path.stem for path in FOLDER.glob("*.avsc")}


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("learns", [False, True], ids=["shipped schemas", "the log's own schemas"])
def test_a_recorded_log_of_a_released_version_still_says_the_same(name: str, learns: bool) -> None:
    """V1: old logs are read for ever, by the schemas that ship and by those that the log itself holds."""
    codec = Codec(earlier=()) if learns else Codec()
    if learns:
        said = _lines(f"{name}.schemas.jsonl")
        codec.learn(
            Record(position=at, at_ms=0, value=one["value"].encode(), key=one["key"].encode()) for at, one in enumerate(said)
        )
    types = {made.__name__: made for made in FACTS}
    for line in _lines(f"{name}.jsonl"):
        assert from_json(Made(types[line["fact"]]), line["says"]) == codec.decode(base64.b64decode(line["value"]))


def test_the_first_recorded_log_holds_every_fact_of_its_version_twice() -> None:
    """A fact that the recording lacks would be untested when its type changes."""
    schemas = [json.loads(one["value"])["name"] for one in _lines("facts-v1.schemas.jsonl")]
    assert sorted(schemas * 2) == sorted(line["fact"] for line in _lines("facts-v1.jsonl"))


@pytest.mark.parametrize("made", FACTS, ids=lambda made: str(made.__name__))
def test_what_is_written_reads_back_equal(made: type[Any]) -> None:
    """I5: bytes and fact say the same, bare and full."""
    codec = Codec()
    for fact in (bare(made), full(made)):
        back = codec.decode(encode(fact))
        assert fact == back
        assert type(fact) is type(back)
        assert (
            hash(fact) == hash(back)
            if made is not MessageRefused and "keys" not in dir(fact) and "fields" not in dir(fact)
            else True
        )


def test_a_fact_that_was_read_is_as_frozen_as_one_that_was_made() -> None:
    """Facts never change after they are made, however they were made."""
    back = Codec().decode(encode(beat))
    with pytest.raises(AttributeError):
        back.at_ms = 1  # type: ignore[misc]


def test_an_older_schema_takes_the_defaults_of_today() -> None:
    """V1 old to new: a field added with a default is filled for values that were written before it."""
    older = avro_schema(SendsConcluded)
    outcome = older["fields"][2]["type"]["items"]
    outcome["fields"] = [field for field in outcome["fields"] if field["name"] not in ("age_ms", "detail")]
    said = {"message": 5, "grant": 6, "result": "expired", "status": None, "retry_after_ms": None}
    value = _written_by(older, {"at_ms": 1, "epoch": 2, "outcomes": [said]})
    expected = SendsConcluded(at_ms=1, epoch=2, outcomes=(Outcome(message=5, grant=6, result="expired"),))
    assert expected == Codec(earlier=[older]).decode(value)
    learning = Codec(earlier=())
    learning.learn(_schema_records([older]))
    assert expected == learning.decode(value)


def test_an_earlier_schema_that_ships_may_hold_a_field_that_was_dropped() -> None:
    """V1: what ships as earlier is known to be older, so its extra field was dropped on purpose."""
    older = _changed(StillHere, fields=[*avro_schema(StillHere)["fields"], {"name": "mood", "type": "string"}])
    assert beat == Codec(earlier=[older]).decode(_written_by(older, {"at_ms": beat.at_ms, "epoch": 7, "mood": "calm"}))


def test_a_fact_of_a_newer_program_stops_the_reader() -> None:
    """I13: an unknown fact type stops, and the sentence says to install the newer program."""
    newer = _changed(StillHere, name="TideTurned")
    value = _written_by(newer, {"at_ms": 1, "epoch": 1})
    codec = Codec()
    with pytest.raises(UnknownFact, match="stop: a newer program wrote this log; install it"):
        codec.decode(value)
    codec.learn(_schema_records([newer]))
    with pytest.raises(UnknownFact, match="the fact TideTurned, which this program doesn't know; stop"):
        codec.decode(value)


def test_a_learnt_schema_with_a_field_of_the_future_stops_the_reader() -> None:
    """V1 new to old: to drop what a newer program said would give another state, so the reader stops."""
    newer = avro_schema(MessageWithdrawn)
    newer["fields"].append({"name": "witness", "type": ["null", "string"], "default": None})
    codec = Codec()
    codec.learn(_schema_records([newer]))
    said = {"at_ms": 1, "message": 2, "basis": 3, "person": "ada", "reason": "twice", "witness": "grace"}
    with pytest.raises(UnknownFact, match=r"MessageWithdrawn says MessageWithdrawn\.witness"):
        codec.decode(_written_by(newer, said))


def test_a_word_of_the_future_stops_the_reader() -> None:
    """I13: words are strings in Avro, so a new one comes under a known schema; it stops the reader all the same."""
    value = _written_by(
        avro_schema(SendsConcluded),
        {"at_ms": 1, "epoch": 2, "outcomes": [{"message": 5, "grant": 6, "result": "teleported"}]},
    )
    with pytest.raises(UnknownFact, match=r"Outcome\.result says 'teleported'.*install it"):
        Codec().decode(value)


def test_a_learnt_schema_of_another_kind_of_field_stops_the_reader() -> None:
    """V1: a schema that Avro can't resolve into today's type is a stop, not a crash."""
    other = _changed(StillHere, fields=[{"name": "at_ms", "type": "string"}, {"name": "epoch", "type": "long"}])
    codec = Codec()
    codec.learn(_schema_records([other]))
    with pytest.raises(UnknownFact, match="doesn't fit today's type"):
        codec.decode(_written_by(other, {"at_ms": "noon", "epoch": 1}))


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"", b"00"),
        (b"{", b"00"),
        (b"[]", b"00"),
        (b'"int"', b"8f5c393f1ad57572"),
        (b'{"type": "record"}', b"00"),
        (b'{"type": "nonsense", "name": "x"}', b"00"),
        (json.dumps(avro_schema(StillHere)).encode(), b"0011223344556677"),
        (json.dumps(avro_schema(StillHere)).encode(), None),
        (b"[" * 100_000, b"00"),
        (b" " * 300_000, b"00"),
    ],
)
def test_a_record_that_is_no_schema_stops_the_learner(value: bytes, key: bytes | None) -> None:
    """The schemas stream is evidence too: damage in it is found, not passed over."""
    with pytest.raises(FactUnreadable, match="record 3 of the schemas stream"):
        Codec().learn([Record(position=3, at_ms=0, value=value, key=key)])


def test_learning_twice_does_no_harm() -> None:
    """A compacted stream may hold a schema again, and a reader may read it again."""
    codec = Codec()
    records = [
        Record(position=at, at_ms=0, value=one.value, key=one.key)
        for at, one in enumerate([*schema_entries(), *schema_entries()])
    ]
    codec.learn(records)
    codec.learn(records)
    assert beat == codec.decode(encode(beat))


def test_the_key_of_a_schema_is_what_stands_in_the_value() -> None:
    """Somebody with only the log finds the schema by bytes 2 to 10 of a value, in hex."""
    assert encode(beat)[2:HEADER_BYTES].hex().encode() in {entry.key for entry in schema_entries()}


@pytest.mark.parametrize("cut", range(len(encode(beat))))
def test_a_truncated_value_is_unreadable(cut: int) -> None:
    """A torn record is found, and never read as something shorter."""
    with pytest.raises(CodecError, match="stop"):
        Codec().decode(encode(beat)[:cut])


@pytest.mark.parametrize(
    "body",
    [
        b"\x02\x04\x06",
        b"\x80" * 11,
        b"\xff" * 9 + b"\x7f\x02",
        b"\x02" + b"\x80" * 3,
    ],
    ids=["bytes behind the end", "number without end", "number over 64 bits", "cut number"],
)
def test_bytes_that_are_no_fact_are_unreadable(body: bytes) -> None:
    """Damage is named, whatever shape it has."""
    with pytest.raises(FactUnreadable, match="verify the log"):
        Codec().decode(encode(beat)[:HEADER_BYTES] + body)


def test_a_list_that_claims_more_than_the_record_holds_is_unreadable() -> None:
    """I12: a damaged count costs no more than the record's own length."""
    head = encode(SendIntended(at_ms=1, epoch=1, issue=1, messages=()))[:-1]
    with pytest.raises(FactUnreadable):
        Codec().decode(head + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"\x02" * 40)


def test_arrays_in_several_blocks_and_with_sizes_are_read() -> None:
    """Avro lets another writer cut an array into blocks, with a negative count and the size in bytes."""
    head = encode(SendIntended(at_ms=1, epoch=1, issue=1, messages=()))[:-1]
    expected = SendIntended(at_ms=1, epoch=1, issue=1, messages=(1, 2, 3))
    assert expected == Codec().decode(head + b"\x03\x04\x02\x04" + b"\x02\x06" + b"\x00")


@pytest.mark.parametrize(
    "make",
    [
        lambda: StillHere(at_ms=2**63, epoch=1),
        lambda: StillHere(at_ms=-(2**63) - 1, epoch=1),
        lambda: StillHere(at_ms=1.5, epoch=1),  # type: ignore[arg-type]
        lambda: StillHere(at_ms=None, epoch=1),  # type: ignore[arg-type]
        lambda: MessageWithdrawn(at_ms=1, message=1, basis=1, person="\ud800", reason=""),
        lambda: MessageWithdrawn(at_ms=1, message=1, basis=1, person=b"ada", reason=""),  # type: ignore[arg-type]
        lambda: SendsConcluded(at_ms=1, epoch=1, outcomes=(Outcome(message=1, grant=1, result="teleported"),)),  # type: ignore[arg-type]
        lambda: MessageRefused(at_ms=1, source=None, tenant="", key="", sha256="", code="", reason=""),  # type: ignore[arg-type]
        lambda: make_dataclass("Stranger", ["at_ms"])(1),
    ],
)
def test_a_fact_that_its_type_forbids_is_not_written(make: Callable[[], Any]) -> None:
    """What can't be read back would stop a lane for ever, so it is refused where it is written; compiled, where it is made."""
    try:
        fact = make()
    except TypeError:
        assert native.runs()
        return
    with pytest.raises(FactUnwritable):
        encode(fact)


def test_the_widest_numbers_survive() -> None:
    """64 bits with a sign, both ends."""
    fact = Source(stream="desk", position=2**63 - 1, previous=-(2**63))
    refused = MessageRefused(at_ms=0, source=fact, tenant="a", key="b", sha256="", code="c", reason="d")
    assert refused == Codec().decode(encode(refused))


def test_a_schema_that_changes_leaves_its_earlier_one_behind(tmp_path: Path) -> None:
    """V1: writing the files never loses a schema that a log may hold."""
    write_files(tmp_path)
    older = _changed(StillHere, fields=avro_schema(StillHere)["fields"][:1])
    (tmp_path / "StillHere.avsc").write_text(file_text(older), encoding="utf-8")
    assert [tmp_path / "StillHere.avsc"] == write_files(tmp_path)
    kept = tmp_path / "earlier" / f"StillHere.{fingerprint_of(older).hex()}.avsc"
    assert file_text(older) == kept.read_text(encoding="utf-8")


def test_a_type_that_avro_has_no_shape_for_is_refused_with_a_sentence() -> None:
    """A new fact can't hold what the codec can't write, and its author learns it at once."""
    odd = make_dataclass("Odd", [("weight", float)])
    with pytest.raises(TypeError, match="a fact can't hold <class 'float'>"):
        avro_schema(odd)
    worded = make_dataclass("Worded", [("size", Literal[1, 2])])
    with pytest.raises(TypeError, match="a fact can't hold"):
        avro_schema(worded)
