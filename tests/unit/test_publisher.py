"""What a receipt promises, and what the publisher says when it can't give one."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import pytest

from eventlog.memory import Fault, MemoryLog
from eventlog.port import BATCH_COUNT_MAX, ENTRY_BYTES_MAX
from lane.state import Verdict
from producers import publisher as publishing
from producers.bulletins import BULLETIN_BYTES_MAX, BulletinRefused, add_bulletin
from producers.door import Refusal, refuse
from producers.publisher import Publisher, PublishNotDone, PublishRefused, PublishUnknown, Receipt, check_publishable
from producers.verdicts import wait_for_verdicts
from schemas.cloudevents import HEADERS_BYTES_MAX, attributes_of
from schemas.codec import Codec, encode
from schemas.facts import DoorRefused, StillHere
from schemas.messages import PAYLOAD_BYTES_MAX, Attributes, MessageUnreadable, parse_attributes
from schemas.streams import BULLETINS, DESK, Entry, Record, inbound, lane

NOON_MS = 1_772_366_400_000


def _attributes(key: str, mode: str = "highway", **more: object) -> Attributes:
    return parse_attributes({"key": key, "tenant": "acme", "mode": mode, "kind": "other", **more})


def _log(faults: Sequence[Fault | None] = ()) -> MemoryLog:
    """A log whose first appends meet these faults."""
    left = list(faults)
    return MemoryLog(lambda: NOON_MS, fault=lambda _stream, _batch: left.pop(0) if left else None)


def _publisher(log: MemoryLog) -> Publisher:
    return Publisher(log, clock_ms=lambda: NOON_MS - 5_000)


def test_a_receipt_says_where_the_message_is_and_when_the_log_took_it() -> None:
    """INTERFACES section 1: the time is the log's own, not the publisher's clock."""
    receipt = _publisher(_log()).publish(_attributes("k1"), b"ISA*00*")
    expected = {
        "tenant": "acme",
        "key": "k1",
        "position": 0,
        "sha256": hashlib.sha256(b"ISA*00*").hexdigest(),
        "received_at": "2026-03-01T12:00:00.000Z",
        "verdict": None,
    }
    assert expected == receipt.as_json()
    assert "highway" == receipt.mode


def test_what_is_published_stands_in_the_log_as_it_was_given() -> None:
    """I1a: the record's value is the payload, and its headers read back as the attributes."""
    log, payload = _log(), bytes(range(256))
    receipt = _publisher(log).publish(_attributes("é", eta="2026-03-01T12:00:00-05:00"), payload)
    (record,) = log.fetch(inbound("highway"), [receipt.position])
    assert payload == record.value
    assert _attributes("é", eta="2026-03-01T17:00:00Z") == attributes_of(record, "highway")
    assert b"2026-03-01T11:59:55Z" == record.header("ce_time")


def test_many_messages_of_many_modes_get_their_receipts_in_the_order_given() -> None:
    """Batches are made per mode; the caller sees only its own order."""
    log = _log()
    messages = [(_attributes(f"k{n}", ("highway", "rail", "air")[n % 3]), b"%d" % n) for n in range(10)]
    receipts = _publisher(log).publish_many(messages)
    assert [f"k{n}" for n in range(10)] == [receipt.key for receipt in receipts]
    for (attributes, payload), receipt in zip(messages, receipts, strict=True):
        (record,) = log.fetch(inbound(attributes.mode), [receipt.position])
        assert payload == record.value


def test_no_append_is_over_the_limits_of_count_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """I12: what is published at once is cut into batches that the log takes, in order."""
    sizes: list[int] = []
    log = MemoryLog(lambda: NOON_MS, fault=lambda _stream, batch: sizes.append(len(batch)))
    receipts = _publisher(log).publish_many((_attributes(f"k{n}"), b"x") for n in range(BATCH_COUNT_MAX + 1))
    assert [BATCH_COUNT_MAX, 1] == sizes
    assert list(range(BATCH_COUNT_MAX + 1)) == [receipt.position for receipt in receipts]
    sizes.clear()
    monkeypatch.setattr(publishing, "BATCH_BYTES_MAX", 10)
    _publisher(log).publish_many((_attributes(f"k{n}"), b"xxxx") for n in range(7))
    assert [3, 3, 1] == sizes


def test_what_check_publishable_lets_through_is_never_too_large_for_the_log() -> None:
    """The limits at the edge lie below the log's, so a provider is told at the door."""
    assert PAYLOAD_BYTES_MAX < ENTRY_BYTES_MAX
    receipt = _publisher(_log()).publish(_attributes("k"), b"x" * PAYLOAD_BYTES_MAX)
    assert 0 == receipt.position


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.NEVER_APPLIED, Fault.APPLIED_LATE])
def test_a_doubtful_append_says_that_publishing_again_is_safe(fault: Fault) -> None:
    """I1c: nobody is told "failed" when the message may be in the log."""
    log = _log([fault])
    with pytest.raises(
        PublishUnknown, match=r"acme/k1 was written to inbound.highway.*publishing again with the same key is safe"
    ):
        _publisher(log).publish(_attributes("k1"), b"x")
    again = _publisher(log).publish(_attributes("k1"), b"x")
    assert ({Fault.ANSWER_LOST: 1}.get(fault, 0)) == again.position


def test_a_refused_append_says_to_publish_again() -> None:
    """An error class answers retry, hold or refuse."""
    with pytest.raises(PublishNotDone, match=r"acme/k1 was not written.*publish again"):
        _publisher(_log([Fault.NOT_DONE])).publish(_attributes("k1"), b"x")


def test_a_log_that_is_away_says_to_publish_again() -> None:
    """A closed or unreachable log wrote nothing."""
    log = _log()
    log.close()
    with pytest.raises(PublishNotDone, match="publish again"):
        _publisher(log).publish(_attributes("k1"), b"x")


def test_an_error_in_a_later_batch_keeps_the_receipts_of_the_earlier_ones() -> None:
    """What is durable is acknowledged, whatever happens behind it."""
    messages = [(_attributes("k1", "rail"), b"x"), (_attributes("k2", "air"), b"y"), (_attributes("k3", "air"), b"z")]
    with pytest.raises(PublishUnknown, match="acme/k2 and 1 more") as caught:
        _publisher(_log([None, Fault.ANSWER_LOST])).publish_many(messages)
    assert ["k1"] == [receipt.key for receipt in caught.value.receipts]


def test_a_message_that_cannot_be_taken_stops_the_call_behind_what_was_good() -> None:
    """What came before it is durable and acknowledged; nothing behind it is written."""
    log = _log()
    messages = [(_attributes("k1"), b"x"), (_attributes("k2"), b""), (_attributes("k3"), b"z")]
    with pytest.raises(PublishRefused, match="message acme/k2 can't be published: the payload is empty") as caught:
        _publisher(log).publish_many(messages)
    assert ["k1"] == [receipt.key for receipt in caught.value.receipts]
    assert "payload_empty" == caught.value.refusal.code
    assert 1 == log.end(inbound("highway"))


def test_attributes_that_take_too_much_room_are_refused_with_a_sentence() -> None:
    """The door can ask before it publishes."""
    wide = _attributes("k", keys={"ccn": [f"{n:0128}" for n in range(HEADERS_BYTES_MAX // 128)]})
    with pytest.raises(MessageUnreadable, match="name fewer documents"):
        check_publishable(wide, b"x")
    with pytest.raises(PublishRefused, match="name fewer documents"):
        _publisher(_log()).publish(wide, b"x")


def test_publishing_nothing_writes_nothing() -> None:
    """An empty file is no error and no record."""
    log = _log()
    assert [] == _publisher(log).publish_many([])
    assert 0 == log.end(inbound("highway"))


def test_the_async_twins_do_the_same() -> None:
    """An HTTP door publishes without stopping its loop."""

    async def both() -> list[Receipt]:
        publisher = _publisher(_log())
        one = await publisher.publish_async(_attributes("k1"), b"x")
        return [one, *await publisher.publish_many_async([(_attributes("k2"), b"y"), (_attributes("k3"), b"z")])]

    assert [("k1", 0), ("k2", 1), ("k3", 2)] == [(receipt.key, receipt.position) for receipt in asyncio.run(both())]


def test_what_a_door_turned_away_stands_on_the_desk() -> None:
    """R2: a refusal before the log is a fact of the desk, with the sentence that its sender got."""
    log = _log()
    why = MessageUnreadable("unreadable", "mode: must be \ud800", tenant="acme\ud800", key="k" * 500)
    assert [0, 1] == refuse(log, [Refusal(why, "ab" * 32)] * 2, door="http", at_ms=NOON_MS)
    expected = DoorRefused(
        at_ms=NOON_MS, door="http", tenant="acme?", key="k" * 128, sha256="ab" * 32, code="unreadable", reason="mode: must be ?"
    )
    assert [expected] * 2 == [Codec().decode(record.value) for record in log.fetch(DESK, [0, 1])]


def test_more_refusals_than_one_append_takes_are_cut() -> None:
    """I12: a file of nonsense lines is written down whole."""
    log = _log()
    refusals = [Refusal(MessageUnreadable("line_not_json", "no"), "")] * (BATCH_COUNT_MAX + 1)
    assert list(range(BATCH_COUNT_MAX + 1)) == refuse(log, refusals, door="batch", at_ms=0)


def test_a_notice_is_kept_as_it_came() -> None:
    """Evidence: the bytes, when they reached us, and the file's name alone."""
    log = _log()
    text = "Objet : panne é\r\n".encode()
    assert 0 == add_bulletin(log, text, received_ms=NOON_MS, name="C:\\mail\\TCC25-0132\n.txt")
    (record,) = log.fetch(BULLETINS, [0])
    headers = {
        "received": b"2026-03-01T12:00:00.000Z",
        "filename": b"TCC25-0132?.txt",
        "content-type": b"text/plain; charset=utf-8",
    }
    assert (text, headers) == (record.value, dict(record.headers))


def test_a_notice_that_is_not_utf8_is_taken_and_says_so() -> None:
    """A notice is never lost for its encoding; what reads it is told not to trust it."""
    log = _log()
    add_bulletin(log, b"panne \xe9", received_ms=NOON_MS, name="")
    (record,) = log.fetch(BULLETINS, [0])
    assert (b"text/plain; charset=unknown-8bit", b"-") == (record.header("content-type"), record.header("filename"))


@pytest.mark.parametrize("text", [b"", b" \r\n\t", b"x" * (BULLETIN_BYTES_MAX + 1)], ids=["empty", "blank", "too large"])
def test_a_notice_that_is_none_is_refused(text: bytes) -> None:
    """Nothing is written for an empty or endless notice."""
    log = _log()
    with pytest.raises(BulletinRefused, match="give the"):
        add_bulletin(log, text, received_ms=0, name="-")
    assert 0 == log.end(BULLETINS)


class _Follower:
    """A view whose lane gives a verdict for one record of [inbound] with each of its own."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.next_position = 0
        self._then = then

    def absorb(self, records: Sequence[Record]) -> None:
        self.next_position += len(records)
        self._then()

    def verdict_of(self, inbound_position: int) -> Verdict | None:
        return Verdict("accepted", "taken") if inbound_position < self.next_position else None


def test_waiting_ends_with_the_last_verdict() -> None:
    """Verdicts are read from the lane until all are known."""
    log, beat = _log(), Entry(value=encode(StillHere(at_ms=0, epoch=1)))
    log.append(lane("rail"), [beat])
    more = _Follower(lambda: log.append(lane("rail"), [beat]))
    verdicts = wait_for_verdicts(log, more, mode="rail", positions=[0, 3, 3], wait_s=60)
    assert {0: Verdict("accepted", "taken"), 3: Verdict("accepted", "taken")} == verdicts


def test_waiting_gives_up_at_its_time_and_tells_what_it_knows() -> None:
    """INTERFACES section 1: a verdict is null when it did not come in time; what is there already is read in any case."""
    log = _log()
    log.append(lane("rail"), [Entry(value=encode(StillHere(at_ms=0, epoch=1)))] * 2)
    ticks = iter(range(1_000))
    verdicts = wait_for_verdicts(log, _Follower(), mode="rail", positions=[1, 2], wait_s=0, clock_s=lambda: float(next(ticks)))
    assert {1: Verdict("accepted", "taken")} == verdicts
