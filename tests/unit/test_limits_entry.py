"""Each limit on what comes in, driven over its edge (docs/limits.md, *Coming in*): refused with a sentence, and nothing half."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from console.output import Stop
from console.session import REASON_CHARS_MAX, said
from consumers import availability, intake
from consumers.notice_layout import LINES_COUNT_MAX, NOTICE_CHARS_MAX
from consumers.notice_times import WINDOWS_COUNT_MAX
from consumers.notices import SCOPES_COUNT_MAX, NoticeUnreadable, read_notice
from eventlog.memory import MemoryLog
from eventlog.port import Appended
from lane.view import DeskView
from producers.bulletins import BULLETIN_BYTES_MAX, BulletinRefused, add_bulletin
from producers.publisher import BATCH_BYTES_MAX, Publisher
from schemas import codec, native
from schemas.avro_files import fingerprint_of
from schemas.cloudevents import HEADERS_BYTES_MAX, HEADERS_COUNT_MAX, to_headers
from schemas.codec import SCHEMA_BYTES_MAX, Codec, FactUnreadable, encode, schema_entries
from schemas.facts import BulletinUnread, MessageReceived, MessageRefused, Source
from schemas.messages import KEY_CHARS_MAX, KEYS_COUNT_MAX, Attributes, MessageUnreadable, parse_attributes
from schemas.streams import BULLETINS, Entry, HeadersRead, Record, inbound

NOON_MS = 1_795_608_000_000
SAID = {"key": "k1", "tenant": "acme", "mode": "highway", "kind": "other"}
MIB = 1024 * 1024


def of_record(headers: HeadersRead, payload: bytes = b"ISA*00*") -> MessageReceived | MessageRefused:
    """What intake makes of a raw record."""
    source = Source(stream=inbound("highway"), position=0, previous=-1)
    return intake.fact_of(Record(0, NOON_MS, payload, headers), source, mode="highway", at_ms=NOON_MS)


def usual() -> tuple[tuple[str, bytes], ...]:
    """The headers of a message that can be taken."""
    return to_headers(parse_attributes(SAID), datetime(2026, 11, 28, tzinfo=UTC))


def scheduled(windows: Iterator[str], what: str = "EDI") -> str:
    """A notice of scheduled work with these windows."""
    times = " and ".join(windows)
    return f"TCC25-9010 - {what} SCHEDULED Maintenance\nDescription\n{what} will be unavailable on {times}.\n"


def nights(count: int) -> Iterator[str]:
    """So many windows, each in a night of its own."""
    first = datetime(2025, 12, 1, tzinfo=UTC)
    return (f"{first + timedelta(days=number):%B %-d, %Y} from 04:30 to 06:00" for number in range(count))


def test_a_message_that_names_too_many_documents_is_refused() -> None:
    """KEYS_COUNT_MAX: as many as the limit are taken, one more is not; over all roles together."""
    keys = {"ccn": [f"C{number}" for number in range(KEYS_COUNT_MAX - 1)], "crn": ["T1"]}
    trip = SAID | {"kind": "conveyance"}
    assert KEYS_COUNT_MAX == sum(map(len, parse_attributes(trip | {"keys": keys}).keys.values()))
    with pytest.raises(MessageUnreadable, match=f"more than {KEYS_COUNT_MAX} documents; split the message"):
        parse_attributes(trip | {"keys": keys | {"house_bill": ["8H"]}})


@pytest.mark.parametrize("field", ["key", "tenant", "replaces", "document key"])
def test_a_name_that_is_too_long_is_refused(field: str) -> None:
    """KEY_CHARS_MAX: of whatever a stranger gives a name."""

    def taken(chars: int) -> Attributes:
        if field == "document key":
            return parse_attributes(SAID | {"kind": "cargo", "keys": {"ccn": ["c" * chars]}})
        return parse_attributes(SAID | {field: "c" * chars})

    assert taken(KEY_CHARS_MAX)
    with pytest.raises(MessageUnreadable, match=str(KEY_CHARS_MAX)):
        taken(KEY_CHARS_MAX + 1)


def test_a_record_with_too_large_headers_is_refused_as_a_fact() -> None:
    """HEADERS_BYTES_MAX: whoever writes to the topic without our library gets past the door; intake refuses it all the same."""
    room = HEADERS_BYTES_MAX - sum(len(name) + len(value) for name, value in usual()) - len("traceparent")
    assert isinstance(of_record((*usual(), ("traceparent", b"x" * room))), MessageReceived)
    refused = of_record((*usual(), ("traceparent", b"x" * (room + 1))))
    assert isinstance(refused, MessageRefused)
    assert ("headers_too_large", "acme", "k1") == (refused.code, refused.tenant, refused.key)


def test_a_record_with_too_many_headers_is_refused_as_a_fact() -> None:
    """HEADERS_COUNT_MAX: empty headers weigh nothing, and each is looked at."""
    more = tuple((f"x{number}", b"") for number in range(HEADERS_COUNT_MAX - len(usual())))
    assert isinstance(of_record((*usual(), *more)), MessageReceived)
    refused = of_record((*usual(), *more, ("one-more", b"")))
    assert isinstance(refused, MessageRefused)
    assert "headers_too_many" == refused.code
    assert f"the limit is {HEADERS_COUNT_MAX}" in refused.reason


def test_a_file_is_read_no_further_than_the_batch_that_is_being_written() -> None:
    """BATCH_BYTES_MAX: a batch is passed by at most one message, and is written before the next one is read."""
    read: list[int] = []
    behind: list[int] = []

    class Watched(MemoryLog):
        def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
            behind.append(len(read) - sum(behind))
            assert sum(len(entry.value) for entry in batch[:-1]) < BATCH_BYTES_MAX
            return super().append(stream, batch)

    def messages() -> Iterator[tuple[Attributes, bytes]]:
        for number in range(9):
            read.append(number)
            yield parse_attributes(SAID | {"key": f"k{number}"}), b"x" * (5 * MIB)

    receipts = Publisher(Watched(lambda: NOON_MS), clock_ms=lambda: NOON_MS).publish_many(messages())
    assert (9, [4, 4, 1]) == (len(receipts), behind)


def test_a_notice_that_is_too_large_is_refused_and_nothing_is_written() -> None:
    """BULLETIN_BYTES_MAX: told with the figures to who stands at the door."""
    log = MemoryLog(lambda: NOON_MS)
    assert 0 == add_bulletin(log, b"x" * BULLETIN_BYTES_MAX, received_ms=NOON_MS, name="-")
    with pytest.raises(BulletinRefused, match=f"{BULLETIN_BYTES_MAX + 1:,} bytes and the limit is {BULLETIN_BYTES_MAX:,}"):
        add_bulletin(log, b"x" * (BULLETIN_BYTES_MAX + 1), received_ms=NOON_MS, name="-")
    assert 1 == log.end(BULLETINS)


def test_a_notice_that_is_too_long_changes_nothing_and_asks_for_a_person() -> None:
    """NOTICE_CHARS_MAX: kept as it came, read by nobody's guess."""
    down = scheduled(nights(1)).replace("SCHEDULED Maintenance", "EDI Outage")
    long = (down + "x" * (NOTICE_CHARS_MAX + 1 - len(down))).encode()
    source = Source(stream=BULLETINS, position=0, previous=-1)
    fact = availability.fact_of(Record(0, NOON_MS, long), source, at_ms=NOON_MS)
    assert isinstance(fact, BulletinUnread)
    assert str(NOTICE_CHARS_MAX) in fact.reason.replace(",", "")
    desk = DeskView(Codec().decode)
    desk.absorb([Record(0, NOON_MS, encode(fact))])
    assert (1, []) == (len(desk.state.tasks), desk.state.copies_after(-1))


def test_a_notice_with_too_many_lines_is_refused_by_its_reader() -> None:
    """LINES_COUNT_MAX: a page around a notice is no notice."""
    with pytest.raises(NoticeUnreadable, match=f"more than {LINES_COUNT_MAX}"):
        read_notice("\n" * (LINES_COUNT_MAX + 1) + scheduled(nights(1)), received_ms=NOON_MS)


def test_a_notice_with_too_many_windows_is_refused_by_its_reader() -> None:
    """WINDOWS_COUNT_MAX: as many as the limit are read, one more is a person's."""
    assert {"scheduled"} == {read_notice(scheduled(nights(WINDOWS_COUNT_MAX)), received_ms=NOON_MS).state}
    with pytest.raises(NoticeUnreadable, match=f"more than {WINDOWS_COUNT_MAX} windows"):
        read_notice(scheduled(nights(WINDOWS_COUNT_MAX + 1)), received_ms=NOON_MS)


def test_a_notice_with_too_many_closings_is_refused_by_its_reader() -> None:
    """SCOPES_COUNT_MAX: windows times components."""
    what = "EDI, the eManifest Portal, CERS and the CARM Client Portal"
    each = len(read_notice(scheduled(nights(1), what), received_ms=NOON_MS).scopes)
    most = SCOPES_COUNT_MAX // each
    assert most < WINDOWS_COUNT_MAX, "the other limit is met first: this tests nothing"
    assert each * most == len(read_notice(scheduled(nights(most), what), received_ms=NOON_MS).scopes)
    with pytest.raises(NoticeUnreadable, match=f"more than {SCOPES_COUNT_MAX} closings"):
        read_notice(scheduled(nights(most + 1), what), received_ms=NOON_MS)


def test_a_reason_that_is_too_long_is_refused() -> None:
    """REASON_CHARS_MAX: what a person says is written down for ever, and read by others."""
    assert REASON_CHARS_MAX == len(said("x" * REASON_CHARS_MAX, "--reason"))
    with pytest.raises(Stop, match=f"the limit is {REASON_CHARS_MAX:,}; say it shorter"):
        said("x" * (REASON_CHARS_MAX + 1), "--reason")


def test_a_schema_that_is_too_large_stops_the_reader() -> None:
    """SCHEMA_BYTES_MAX: who may write to the schemas stream can't fill a reader."""
    good = schema_entries()[0]
    Codec().learn([Record(0, 0, good.value, key=good.key)])
    padded = good.value + b" " * (SCHEMA_BYTES_MAX + 1 - len(good.value))
    with pytest.raises(FactUnreadable, match=f"over {SCHEMA_BYTES_MAX:,}; stop and verify the log"):
        Codec().learn([Record(0, 0, padded, key=good.key)])


@pytest.mark.skipif(native.runs(), reason="COMPILED CODE HAS ITS LIMITS INSIDE: the run of the plain sources sets a small one")
def test_more_schemas_than_there_can_be_stop_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """LEARNT_COUNT_MAX: each that is learnt costs memory for good."""
    monkeypatch.setattr(codec, "LEARNT_COUNT_MAX", 3)
    strangers = [{"type": "record", "name": f"Stranger{number}", "fields": []} for number in range(4)]
    records = [Record(0, 0, json.dumps(each).encode(), key=fingerprint_of(each).hex().encode()) for each in strangers]
    learning = Codec(earlier=())
    learning.learn(records[:3])
    with pytest.raises(FactUnreadable, match="holds more than 3 schemas; stop and verify the log"):
        learning.learn(records)
