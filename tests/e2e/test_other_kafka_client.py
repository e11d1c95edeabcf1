"""A program that is not ours publishes with a Kafka client that is not ours (librdkafka), by the interface alone."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from confluent_kafka import KafkaException, Producer
from kafka import KafkaProducer

from consumers.intake import fact_of
from producers.publisher import Publisher
from schemas.cloudevents import attributes_of
from schemas.facts import MessageRefused, Source
from schemas.messages import MessageUnreadable, parse_attributes
from schemas.streams import Record
from tests.kafka_fixtures import opened

pytestmark = pytest.mark.kafka

DELIVERY_WAIT_S = 30.0
"""A delivery takes milliseconds; a shared, loaded machine gets much more."""

READ_WAIT_S = 20.0
"""A record that is there comes at once; only a reader that is stopped takes this long."""

Headers: TypeAlias = list[tuple[str, str | bytes | None]]

PAYLOAD = bytes(range(256)) * 8
SAID: dict[str, Any] = {
    "key": "acmé-000123",
    "tenant": "acme é/税关",
    "mode": "highway",
    "kind": "conveyance",
    "function": "change",
    "keys": {"crn": ["ABCD0000000000000000123"], "ccn": ["ABCD111", "ABCD112"]},
    "content_type": "application/EDI-X12",
    "inland": True,
    "replaces": "acme-000122",
    "eta": "2026-03-01T12:00:00-05:00",
    "not_before": "2026-03-01T00:00:00-05:00",
}


class NotUtf8(str):
    """A header's name that a client in another language wrote in Latin-1."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode(encoding, errors) + b"\xe9"


def _headers(**changes: str | None) -> Headers:
    """The headers of INTERFACES section 2, written by hand as another program would, its local offset and all."""
    texts: dict[str, str | None] = {
        "ce_specversion": "1.0",
        "ce_id": SAID["key"],
        "ce_source": f"/providers/{SAID['tenant']}",
        "ce_type": "ca.tidegate.message.published.v1",
        "ce_time": "2026-03-01T11:00:00.123-05:00",
        "ce_subject": SAID["keys"]["crn"][0],
        "content-type": SAID["content_type"],
        "ce_tenant": SAID["tenant"],
        "ce_kind": SAID["kind"],
        "ce_channel": "edi",
        "ce_function": SAID["function"],
        "ce_keys": json.dumps(SAID["keys"]),
        "ce_inland": "true",
        "ce_replaces": SAID["replaces"],
        "ce_eta": SAID["eta"],
        "ce_notbefore": SAID["not_before"],
        "ce_traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        **changes,
    }
    return [(name, text.encode()) for name, text in texts.items() if text is not None]


def _produce(bootstrap: str, topic: str, messages: list[Headers], payload: bytes | None = PAYLOAD) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    errors: list[object] = []
    for headers in messages:
        producer.produce(topic, value=payload, headers=headers, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(DELIVERY_WAIT_S) == 0
    if any(errors):
        raise KafkaException(next(filter(None, errors)))


def _read(bootstrap: str, prefix: str, messages: list[Headers]) -> list[Record]:
    """Publish with the other client and read with our engine."""
    with opened(bootstrap, prefix) as open_log:
        log = open_log()
        _produce(bootstrap, f"{prefix}inbound.highway", messages)
        return list(log.fetch("inbound.highway", range(len(messages))))


def test_what_another_client_publishes_is_read_as_it_was_meant(kafka_one: str, topic_prefix: str) -> None:
    """INTERFACES section 2: any Kafka client can publish without our library, and our own says exactly the same."""
    (record,) = _read(kafka_one, topic_prefix, [_headers()])
    assert record.value == PAYLOAD
    assert attributes_of(record, "highway") == parse_attributes(SAID)


def test_another_client_and_our_library_publish_the_same_message(kafka_one: str, topic_prefix: str) -> None:
    """R10: whoever changes from one client to the other publishes duplicates and no conflicts."""
    with opened(kafka_one, topic_prefix) as open_log:
        log = open_log()
        Publisher(log, clock_ms=lambda: 0).publish(parse_attributes(SAID), PAYLOAD)
        _produce(kafka_one, f"{topic_prefix}inbound.highway", [_headers()])
        ours, theirs = log.fetch("inbound.highway", [0, 1])
    assert ours.value == theirs.value
    assert attributes_of(ours, "highway").canonical_sha256() == attributes_of(theirs, "highway").canonical_sha256()


def test_a_mistake_of_another_client_is_refused_with_a_sentence(kafka_one: str, topic_prefix: str) -> None:
    """R2: headers that came through a real broker are judged as they came, a null and a twin too."""
    messages: list[Headers] = [
        _headers(ce_tenant=None),
        [*_headers(), ("ce_id", b"another")],
        [*_headers(ce_kind=None), ("ce_kind", None)],
        [],
    ]
    codes = []
    for record in _read(kafka_one, topic_prefix, messages):
        with pytest.raises(MessageUnreadable) as caught:
            attributes_of(record, "highway")
        codes.append(caught.value.code)
    assert codes == ["header_missing", "header_twice", "header_null", "header_missing"]


def test_a_record_without_a_value_is_an_empty_one_and_stops_nobody(kafka_one: str, topic_prefix: str) -> None:
    """R2: a null value comes as no bytes, which intake refuses with a sentence; what stands behind it is read."""
    with opened(kafka_one, topic_prefix) as open_log:
        log = open_log()
        topic = f"{topic_prefix}inbound.highway"
        _produce(kafka_one, topic, [_headers()], payload=None)
        _produce(kafka_one, topic, [_headers()])
        read = [record for start in (0, 1) for record in log.read("inbound.highway", start, 1, READ_WAIT_S)]
        assert [b"", PAYLOAD] == [record.value for record in read]
        assert [b"", PAYLOAD] == [record.value for record in log.fetch("inbound.highway", [0, 1])]
    assert ["payload_empty", None] == [_code(record) for record in read]


def test_a_header_name_that_is_no_text_stops_nobody(kafka_one: str, topic_prefix: str) -> None:
    """R2: brokers don't look at names, so anybody may write such a one; it is judged, and what stands behind it is read."""
    ours = tuple((name, value if isinstance(value, bytes) else str(value).encode()) for name, value in _headers())
    with opened(kafka_one, topic_prefix) as open_log:
        log = open_log()
        producer = KafkaProducer(bootstrap_servers=kafka_one)
        for headers in ([*ours, (NotUtf8("x"), b"1")], [*ours, (NotUtf8("ce_x"), b"1")], [*ours]):
            producer.send(f"{topic_prefix}inbound.highway", PAYLOAD, headers=headers, partition=0)
        producer.flush(DELIVERY_WAIT_S)
        producer.close()
        read = [record for start in range(3) for record in log.read("inbound.highway", start, 1, READ_WAIT_S)]
        assert read == list(log.fetch("inbound.highway", range(3)))
    assert ["x\\xe9", "ce_x\\xe9", "ce_traceparent"] == [record.headers[-1][0] for record in read]
    assert [None, "header_misspelt", None] == [_code(record) for record in read]


def _code(record: Record) -> str | None:
    """Why the record is refused, or None when it is a message."""
    fact = fact_of(record, Source(stream="inbound.highway", position=record.position, previous=-1), mode="highway", at_ms=0)
    return fact.code if isinstance(fact, MessageRefused) else None


def test_the_interface_names_every_header_that_is_written_here() -> None:
    """The test says what the interface says: a header that our reader doesn't know would be passed over in silence."""
    known = {name for name, _ in _headers()} - {"ce_traceparent"}
    source = Path(__file__).parents[2] / "schemas" / "cloudevents.py"
    text = source.read_text(encoding="utf-8")
    assert {name for name in known if name.removeprefix("ce_") not in text} == set()
