"""Every fact that its type allows survives its bytes, and its bytes are plain Avro as fastavro reads and writes it."""

import dataclasses
import io
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.avro_files import avro_schema
from schemas.codec import HEADER_BYTES, Codec, CodecError, encode
from schemas.facts import FACTS, Fact, StillHere
from schemas.shapes import Flag, Made, Many, Maybe, Named, Shape, Text, Whole, parts_of

CODEC = Codec()
SCHEMAS = {made: parse_schema(avro_schema(made)) for made in FACTS}


def _values(shape: Shape) -> st.SearchStrategy[Any]:
    match shape:
        case Text(words):
            return st.sampled_from(words) if words else st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
        case Whole():
            return st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 20_000)
        case Flag():
            return st.booleans()
        case Maybe(item):
            return st.none() | _values(item)
        case Many(item):
            return st.lists(_values(item), max_size=4).map(tuple)
        case Named(item):
            return st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), _values(item), max_size=3)
        case Made(made):
            return st.builds(made, **{part.name: _values(part.shape) for part in parts_of(made)})


facts = st.sampled_from(FACTS).flatmap(lambda made: _values(Made(made)))


@given(facts)
def test_a_fact_survives_its_bytes(fact: Fact) -> None:
    """I5: a rebuild from the log is the state itself."""
    assert fact == CODEC.decode(encode(fact))


@given(facts)
def test_our_bytes_are_plain_avro(fact: Fact) -> None:
    """Whoever has only the log and any Avro library reads what we wrote, and we read what such a library writes."""
    schema, value = SCHEMAS[type(fact)], encode(fact)
    behind, into = io.BytesIO(value[HEADER_BYTES:]), io.BytesIO()
    said = schemaless_reader(behind, schema, None)
    schemaless_writer(into, schema, said)
    assert len(value) - HEADER_BYTES == behind.tell()
    assert _plain(dataclasses.asdict(fact)) == said
    assert fact == CODEC.decode(value[:HEADER_BYTES] + into.getvalue())


@given(facts, st.data())
@example(StillHere(at_ms=0, epoch=0), None)
def test_damaged_bytes_raise_our_own_errors_only(fact: Fact, data: st.DataObject | None) -> None:
    """HOUSE 8: no lower error is left unmapped; what still reads must be a fact."""
    value = bytearray(encode(fact))
    if data is not None:
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] = data.draw(st.integers(0, 255))
        value = value[: data.draw(st.integers(0, len(value)))]
    try:
        back: object = CODEC.decode(bytes(value))
    except CodecError:
        return
    assert isinstance(back, FACTS)


def _plain(value: Any) -> Any:
    """Lists for tuples, as Avro gives them back."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
