"""What the headers of a published message promise, to our own publisher and to strangers (INTERFACES section 2)."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.admission import KEY_AND_HEADERS_BYTES_MAX
from schemas.cloudevents import HEADERS_BYTES_MAX, attributes_of, to_headers
from schemas.messages import Attributes, MessageUnreadable, parse_attributes
from schemas.streams import Headers, Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FULL = parse_attributes(
    {
        "key": "acmé-000123",
        "tenant": "acme é/税关",
        "mode": "rail",
        "kind": "conveyance",
        "channel": "cig",
        "function": "change",
        "keys": {"crn": ["ABCD0000000000000000123"], "ccn": ["ABCD111", "ABCD112"]},
        "content_type": "application/EDI-X12",
        "inland": True,
        "corrects": "acme-000122",
        "eta": "2026-03-01T12:00:00.250-05:00",
        "not_before": "2026-03-01T00:00:00Z",
        "not_after": "2026-03-02T00:00:00Z",
        "occurred_at": "2026-02-28T23:59:59+09:30",
    }
)
LEAST = parse_attributes({"key": "k", "tenant": "acme", "mode": "air", "kind": "other"})


def _record(headers: Headers) -> Record:
    return Record(position=4, at_ms=0, value=b"ISA*00*", headers=headers)


def _with(headers: Headers, **changes: bytes | None) -> Record:
    """Headers as a stranger might send them: `ce_x` replaced, added, or left out with None."""
    kept = [(name, value) for name, value in headers if name not in changes]
    return _record((*kept, *((name, value) for name, value in changes.items() if value is not None)))


@pytest.mark.parametrize("attributes", [FULL, LEAST], ids=["full", "least"])
def test_attributes_survive_their_headers(attributes: Attributes) -> None:
    """What a provider says is what intake reads, whatever the letters."""
    assert attributes == attributes_of(_record(to_headers(attributes, NOON)), attributes.mode)


def test_the_headers_are_those_of_the_interface() -> None:
    """INTERFACES section 2 names every header; other programs lean on it."""
    expected = {
        "ce_specversion": b"1.0",
        "ce_id": "acmé-000123".encode(),
        "ce_source": b"/providers/acme%20%C3%A9%2F%E7%A8%8E%E5%85%B3",
        "ce_type": b"ca.tidegate.message.published.v1",
        "ce_time": b"2026-03-01T12:00:00Z",
        "ce_subject": b"ABCD0000000000000000123",
        "content-type": b"application/EDI-X12",
        "ce_tenant": "acme é/税关".encode(),
        "ce_kind": b"conveyance",
        "ce_channel": b"cig",
        "ce_function": b"change",
        "ce_keys": b'{"crn":["ABCD0000000000000000123"],"ccn":["ABCD111","ABCD112"]}',
        "ce_inland": b"true",
        "ce_corrects": b"acme-000122",
        "ce_eta": b"2026-03-01T17:00:00.250000Z",
        "ce_notbefore": b"2026-03-01T00:00:00Z",
        "ce_notafter": b"2026-03-02T00:00:00Z",
        "ce_occurredat": b"2026-02-28T14:29:59Z",
    }
    assert expected == dict(to_headers(FULL, NOON))


def test_the_publishing_time_is_no_part_of_identity() -> None:
    """R10: the same message published again an hour later is a duplicate, not a conflict."""
    first = attributes_of(_record(to_headers(FULL, NOON)), "rail")
    again = attributes_of(_record(to_headers(FULL, NOON + timedelta(hours=1))), "rail")
    assert first.canonical_sha256() == again.canonical_sha256()


def test_a_moment_under_another_offset_is_the_same_attribute() -> None:
    """R10: a client that writes its local offset publishes the same message."""
    eastern = NOON.astimezone(timezone(timedelta(hours=-5))).isoformat().encode()
    one = attributes_of(_with(to_headers(LEAST, NOON), ce_eta=eastern), "air")
    other = attributes_of(_with(to_headers(LEAST, NOON), ce_eta=b"2026-03-01T12:00:00Z"), "air")
    assert one.canonical_sha256() == other.canonical_sha256()


def test_a_client_that_sends_only_what_is_required_is_read() -> None:
    """Any Kafka client can publish: what may be left out may be left out."""
    said = {"ce_specversion": "1.0", "ce_id": "k", "ce_source": "/providers/acme", "ce_type": "ca.tidegate.message.published.v1"}
    headers = tuple((name, text.encode()) for name, text in {**said, "ce_tenant": "acme", "ce_kind": "other"}.items())
    assert LEAST == attributes_of(_record(headers), "air")


def test_a_source_may_name_the_tenant_plain_or_percent_encoded() -> None:
    """CloudEvents wants a URI reference, and most clients just write the name."""
    plain = _with(to_headers(FULL, NOON), ce_source="/providers/acme é/税关".encode())
    assert attributes_of(plain, "rail") == FULL


def test_extensions_of_other_people_are_passed_over() -> None:
    """CloudEvents asks a reader to live with extensions that it doesn't know."""
    headers = (*to_headers(LEAST, NOON), ("ce_traceparent", b"\xff"), ("x-request", b"1"), ("x-request", b"2"))
    assert attributes_of(_record(headers), "air") == LEAST


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_tenant", "ce_kind"])
def test_a_missing_header_is_named(name: str) -> None:
    """The sentence says which header to add."""
    with pytest.raises(MessageUnreadable, match=f"{name} are missing; publish in CloudEvents binary mode") as caught:
        attributes_of(_with(to_headers(LEAST, NOON), **{name: None}), "air")
    assert caught.value.code == "header_missing"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"ce_specversion": b"0.3"}, "specversion_unknown", "publish with CloudEvents 1.0"),
        ({"ce_type": b"com.example.order"}, "type_unknown", "the type of a message to publish is ca.tidegate"),
        ({"ce_source": b"/providers/other"}, "source_disagrees", "the source is /providers/TENANT"),
        ({"ce_source": b"acme"}, "source_disagrees", "the source is /providers/TENANT"),
        ({"ce_source": b"/providers/acme/more"}, "source_disagrees", "the source is /providers/TENANT"),
        ({"ce_source": b"/providers/%ff"}, "source_disagrees", "the source is /providers/TENANT"),
        ({"ce_subject": b"another"}, "subject_disagrees", "make them the same"),
        ({"ce_time": b"2026-03-01T12:00:00.1234567890Z"}, "time_unreadable", "RFC 3339 with an offset"),
        ({"ce_time": b"yesterday"}, "time_unreadable", "RFC 3339 with an offset"),
        ({"ce_time": b"2026-03-01T12:00:00"}, "time_unreadable", "RFC 3339 with an offset"),
        ({"ce_time": b"2026-02-30T12:00:00Z"}, "time_unreadable", "RFC 3339 with an offset"),
        ({"ce_id": b"\xff\xfe"}, "header_not_utf8", "ce_id is not UTF-8"),
        ({"ce_tenant": b"acm\xe9"}, "header_not_utf8", "ce_tenant is not UTF-8"),
        ({"ce_id": b""}, "unreadable", "key: String should have at least 1 character"),
        ({"ce_id": b"k" * 129}, "unreadable", "at most 128 characters"),
        ({"ce_id": b"a\nb"}, "unreadable", "one line of visible characters"),
        ({"ce_kind": b"parcel"}, "unreadable", "kind: Input should be"),
        ({"ce_kind": b"cargo"}, "unreadable", "needs its own document key in keys.ccn"),
        ({"ce_channel": b""}, "unreadable", "channel: Input should be"),
        ({"ce_inland": b"yes"}, "inland_unreadable", "write true or false"),
        ({"ce_keys": b"{"}, "keys_unreadable", "ce_keys is not a JSON object"),
        ({"ce_keys": b"[" * 30_000}, "keys_unreadable", "ce_keys is not a JSON object"),
        ({"ce_keys": b'{"ccn":["a"],"ccn":["b"]}'}, "keys_unreadable", "a name stands twice"),
        ({"ce_keys": b"[]"}, "unreadable", "keys: Input should be a valid dictionary"),
        ({"ce_keys": b'{"ccn":"a"}'}, "unreadable", "keys.ccn: Input should be a valid list"),
        ({"ce_keys": b'{"cnn":["a"]}'}, "unreadable", "unknown roles cnn"),
        ({"ce_keys": b'{"ccn":["\\ud800"]}'}, "unreadable", "keys.ccn.0"),
        ({"ce_keys": b'{"ccn":[1' + b"0" * 5_000 + b"]}"}, "keys_unreadable", "ce_keys is not a JSON object"),
        ({"ce_eta": b"1700000000"}, "unreadable", "eta: must be RFC 3339"),
        ({"ce_notbefore": b"2026-03-01"}, "unreadable", "not_before: must be RFC 3339"),
        ({"ce_not_before": b"2026-03-01T00:00:00Z"}, "header_misspelt", "'ce_not_before' is no CloudEvents attribute"),
        ({"CE_Replaces": b"x"}, "header_misspelt", "lower-case letters only"),
        ({"Content-Type": b"a"}, "header_twice", "content-type stands twice"),
        ({"ce_keys": b"x" * 70_000}, "headers_too_large", "the limit is 65,536"),
        ({f"x{n}": b"" for n in range(120)}, "headers_too_many", "the limit is 100"),
    ],
)
def test_a_hostile_or_mistaken_header_is_refused_with_what_to_mend(changes: dict[str, bytes], code: str, words: str) -> None:
    """Each header may come from a stranger; the sentence says what to mend and the code stays the same."""
    with pytest.raises(MessageUnreadable) as caught:
        attributes_of(_with(to_headers(LEAST, NOON), **changes), "air")
    assert words in str(caught.value)
    assert code == caught.value.code


def test_a_header_that_stands_twice_is_refused_even_when_both_agree() -> None:
    """Two readers may take the first or the last: nobody shall have to guess."""
    headers = to_headers(LEAST, NOON)
    with pytest.raises(MessageUnreadable, match="ce_id stands twice"):
        attributes_of(_record((*headers, ("ce_id", b"k"))), "air")


def test_a_header_without_a_value_is_refused() -> None:
    """Kafka lets a stranger send a null where our types say bytes: it must not crash who reads it."""
    null: Any = None
    with pytest.raises(MessageUnreadable, match="ce_replaces has no value"):
        attributes_of(_record((*to_headers(LEAST, NOON), ("ce_replaces", null))), "air")


def test_a_refusal_names_tenant_and_key_as_far_as_they_can_be_read() -> None:
    """The desk shows whose message it was, even when its headers are damaged."""
    record = _with(to_headers(LEAST, NOON), ce_id=b"\xffkey" + b"x" * 500)
    with pytest.raises(MessageUnreadable) as caught:
        attributes_of(record, "air")
    assert caught.value.tenant == "acme"
    assert caught.value.key.startswith("\ufffdkeyxxx")


def test_attributes_that_take_too_much_room_are_refused_before_the_log_is_asked() -> None:
    """The log's limit for headers is said in a sentence to the provider; the two limits are one figure."""
    many = parse_attributes({**LEAST.model_dump(), "keys": {"ccn": [f"{n:0128}" for n in range(600)]}})
    with pytest.raises(MessageUnreadable, match="name fewer documents"):
        to_headers(many, NOON)
    assert HEADERS_BYTES_MAX == KEY_AND_HEADERS_BYTES_MAX


def test_a_publishing_time_without_offset_is_a_mistake_of_the_caller() -> None:
    """Time is RFC 3339 with an offset everywhere."""
    with pytest.raises(ValueError, match="needs an offset"):
        to_headers(LEAST, datetime(2026, 3, 1))  # noqa: DTZ001  the mistake itself


names = st.sampled_from([name for name, _ in to_headers(FULL, NOON)] + ["CE_ID", "ce_x", "ce_", "", "content-type", "é"])


@given(st.lists(st.tuples(names, st.binary(max_size=40) | st.sampled_from([v for _, v in to_headers(FULL, NOON)])), max_size=25))
def test_no_headers_crash_the_reader(headers: list[tuple[str, Any]]) -> None:
    """I7: poison is refused with a sentence, never a crash."""
    own = dict(to_headers(FULL, NOON))
    for mixed in (tuple(headers), tuple({**own, **dict(headers)}.items())):
        with contextlib.suppress(MessageUnreadable):
            assert attributes_of(_record(mixed), "rail").mode == "rail"
