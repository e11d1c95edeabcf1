"""What we unpack of a fetched batch is what the library's own writer packed, and what we pack its reader reads; nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from eventlog.kafka_batch import body_of
from eventlog.kafka_producer import batch_of
from eventlog.kafka_records import FetchedRecords, records_of, unpacked
from schemas.streams import Entry

PLACE = TopicPartition("desk", 0)
LATER_MS = 86_400_000
RAW = DefaultRecordBatch.HEADER_STRUCT
NONE, GZIP = DefaultRecordBatch.CODEC_NONE, DefaultRecordBatch.CODEC_GZIP

contents = st.none() | st.binary(max_size=200)
headers = st.lists(st.tuples(st.text(max_size=90), contents), max_size=5)
packed = st.lists(st.tuples(st.integers(0, LATER_MS), contents, contents, headers), min_size=1, max_size=8)


def pack(records: list[Any], *, codec: int = NONE, base: int = 0) -> bytes:
    """Pack records as kafka-python's producer does; the broker then writes the batch's first offset."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 2**20)
    for offset, (at_ms, key, value, each) in enumerate(records):
        builder.append(offset, at_ms, key, value, each)
    batch = bytearray(builder.build())
    batch[:8] = base.to_bytes(8, "big")  # the checksum does not cover it
    return bytes(batch)


@given(packed, st.sampled_from([NONE, GZIP]), st.integers(0, 2**40), st.integers(0, 9))
def test_it_reads_what_the_library_reads_from_the_position_asked_for(
    records: list[Any], codec: int, base: int, later: int
) -> None:
    """A reader gets the bytes that were written, whatever is in them (I1e)."""
    answer = pack(records, codec=codec, base=base)
    theirs = Fetcher.PartitionRecords(base + later, PLACE, MemoryRecords(answer))
    ours = FetchedRecords(base + later, PLACE, MemoryRecords(answer))
    expected = [(each.offset, each.timestamp, each.value or b"", tuple(each.headers), each.key) for each in theirs.take(None)]
    found = [(each.position, each.at_ms, each.value, each.headers, each.key) for each in ours.take(None)]
    assert expected == found
    assert max(base + later, base + len(records)) == ours.next_fetch_offset


entry = st.builds(
    Entry,
    st.binary(max_size=200) | st.integers(8_100, 8_300).map(bytes),  # around where a length takes a third byte
    st.lists(st.tuples(st.text(max_size=90), st.binary(max_size=90)), max_size=4).map(tuple),
    st.none() | st.binary(max_size=90),
)
entries = st.lists(entry, min_size=1, max_size=8).map(lambda few: few * 10)  # beyond 64 an offset takes a second byte


@given(entries)
def test_the_library_reads_what_we_pack(written: list[Entry]) -> None:
    """Any client reads the log: our batches are Kafka's, byte for byte what the library's writer makes of the same entries."""
    batch = DefaultRecordBatch(batch_of(written, number=7, epoch=1, count=11, at_ms=77))
    assert batch.validate_crc()
    assert (2, 7, 1, 11, len(written)) == (
        batch.magic, batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.records_count,
    )  # fmt: skip
    found = [(each.offset, each.timestamp, each.value, tuple(each.headers), each.key) for each in batch]
    assert [(at, 77, each.value, each.headers, each.key) for at, each in enumerate(written)] == found
    theirs = pack([(77, each.key, each.value, each.headers) for each in written])
    assert theirs[RAW.size :] == body_of(written)


@given(packed, st.data())
def test_a_damaged_batch_says_so_or_reads(records: list[Any], data: st.DataObject) -> None:
    """Whatever a stranger's client packs and sums up, a reader meets no other error than that of a damaged record."""
    batch = bytearray(pack(records))
    batch[data.draw(st.integers(RAW.size, len(batch) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        unpacked(DefaultRecordBatch(batch), 0)
    except kafka_errors.CorruptRecordError:
        return


def test_a_wrong_checksum_stops_the_reader() -> None:
    """Altered bytes are never given out as a record (I1f)."""
    batch = bytearray(pack([(0, None, b"a customs message", [])]))
    batch[-5] ^= 1
    with pytest.raises(kafka_errors.CorruptRecordError, match="checksum"):
        FetchedRecords(0, PLACE, MemoryRecords(bytes(batch))).take(1)


def test_a_batch_of_an_older_format_stops_the_reader() -> None:
    """What we can't unpack is told as a damaged record, for a person to look at, and never as an error that nobody knows."""
    builder = LegacyRecordBatchBuilder(1, NONE, 2**20)
    builder.append(0, 5, None, b"a customs message")
    batch = bytes(builder.build())
    with pytest.raises(kafka_errors.CorruptRecordError, match="format 1"):
        FetchedRecords(0, PLACE, MemoryRecords(batch)).take(1)
    with pytest.raises(kafka_errors.CorruptRecordError, match="format 1"):
        records_of(batch, 0, topic=PLACE.topic)


def test_a_header_name_that_is_no_text_is_shown_as_its_bytes() -> None:
    """Brokers take any bytes for a name, and one such record must not stop a reader for ever."""
    batch = bytearray(pack([(0, None, b"", [("ab", b"1")])])).replace(b"ab", b"\xff\xfe")
    assert ((r"\xff\xfe", b"1"),) == unpacked(DefaultRecordBatch(batch), 0)[0].headers


def test_the_time_is_the_brokers_where_the_topic_says_so() -> None:
    """The log's clock is the broker's, whatever a client has written (LogAppendTime)."""
    fields = list(RAW.unpack_from(pack([(5, None, b"a", []), (6, None, b"b", [])])))
    fields[5], fields[8] = DefaultRecordBatch.TIMESTAMP_TYPE_MASK, 77
    batch = RAW.pack(*fields) + pack([(5, None, b"a", []), (6, None, b"b", [])])[RAW.size :]
    assert [77, 77] == [record.at_ms for record in unpacked(DefaultRecordBatch(batch), 0)]
