"""What benchmarks send is what they say: exactly so many messages, each once, and chains that add up."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.held import seed
from benchmarks.keys import chain_lengths, chains
from benchmarks.traffic import PAYLOAD_BYTES, trips
from consumers.intake import fact_of
from eventlog.memory import MemoryLog
from schemas.codec import Codec
from schemas.facts import MessageReceived, Source
from schemas.streams import NO_POSITION, inbound, lane


@given(st.integers(1, 30))
def test_trips_are_as_many_as_asked_and_list_only_what_comes(count: int) -> None:
    """A trip that lists a shipment which never comes would be held for ever, and the drain would not end."""
    messages = list(trips(count))
    published = {attributes.document for attributes, _ in messages if attributes.kind == "cargo"}
    listed = {ccn for attributes, _ in messages if attributes.kind == "conveyance" for ccn in attributes.keys["ccn"]}
    assert (count, count) == (len(messages), len({attributes.key for attributes, _ in messages}))
    assert listed <= published
    assert {PAYLOAD_BYTES} == {len(payload) for _, payload in messages}


@given(st.integers(1, 40), st.integers(0, 500), st.floats(0, 3))
def test_chains_add_up_and_every_document_has_one(documents: int, more: int, skew: float) -> None:
    """The longest chain is the whole claim of the benchmark: it must be the one that is sent."""
    lengths = chain_lengths(documents + more, documents, skew)
    assert (documents + more, documents) == (sum(lengths), len(lengths))
    assert min(lengths) >= 1
    assert sorted(lengths, reverse=True) == lengths
    sent = list(chains(lengths))
    assert lengths[0] == sum(attributes.document == "BNCHd0" for attributes, _ in sent)
    first = {attributes.document: attributes.function for attributes, _ in reversed(sent)}
    assert {"original"} == set(first.values())


def test_too_few_messages_for_the_documents_are_refused() -> None:
    """A chain of nothing is no chain."""
    with pytest.raises(ValueError, match="too few"):
        chain_lengths(3, 4, 1.0)


def test_a_seeded_log_holds_what_intake_would_have_written() -> None:
    """What is written directly must be what the worker makes, or the drain after it proves nothing."""
    log = MemoryLog(itertools.count(1_000).__next__)
    seed(log, trips(7), 7)
    records, stream = log.read(inbound("highway"), 0, 10, 0), inbound("highway")
    facts = [Codec().decode(record.value) for record in log.read(lane("highway"), 0, 10, 0)]
    previous = [NO_POSITION, *range(6)]
    sources = [Source(stream=stream, position=n, previous=before) for n, before in enumerate(previous)]
    expected = [
        fact_of(record, source, mode="highway", at_ms=record.at_ms) for record, source in zip(records, sources, strict=True)
    ]
    assert expected == facts
    assert all(isinstance(fact, MessageReceived) for fact in facts)
