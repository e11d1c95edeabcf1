"""What is done quickly for the many is what is done slowly for all: headers read, attributes hashed."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import cloudevents
from schemas.cloudevents import attributes_of, to_headers
from schemas.messages import CHANNELS, FUNCTIONS, KEY_ROLES, KINDS, OWN_KEY, Attributes, MessageUnreadable
from schemas.streams import MODES, Headers, Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp")), min_size=1, max_size=20)
EARLIEST, LATEST = datetime(2001, 1, 1), datetime(2199, 1, 1)  # noqa: DTZ001 - hypothesis wants bounds without a zone
MOMENTS = st.none() | st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
TEXTS = (b"", b"true", b"2.0", b'{"ccn":["A"],"ccn":["B"]}', b"\xef\xbb\xbf{}", b"[" * 9)


@st.composite
def attributes(draw: st.DrawFn) -> Attributes:
    """Any message that is readable."""
    kind = draw(st.sampled_from(KINDS))
    keys = draw(st.dictionaries(st.sampled_from(sorted(KEY_ROLES)), st.lists(NAMES, max_size=3), max_size=3))
    if OWN_KEY[kind] != "id":
        keys[OWN_KEY[kind]] = [draw(NAMES)]
    other = draw(st.sampled_from(["replaces", "corrects", None]))
    fields: dict[str, Any] = {
        "key": "k",
        "tenant": draw(NAMES),
        "mode": draw(st.sampled_from(MODES)),
        "kind": kind,
        "channel": draw(st.sampled_from(CHANNELS)),
        "function": draw(st.sampled_from(FUNCTIONS)),
        "keys": keys,
        "content_type": draw(NAMES | st.just("")),
        "inland": draw(st.booleans()),
        **{name: draw(MOMENTS) for name in draw(st.sets(st.sampled_from(["eta", "not_before", "not_after", "occurred_at"])))},
    }
    if other is not None:
        fields[other] = "other-" + draw(NAMES)
    return Attributes.model_validate(fields)


@st.composite
def strangers_headers(draw: st.DrawFn) -> Headers:
    """Headers as our publisher makes them, then altered as a stranger might: lost, doubled, misspelt, null, no text, too many."""
    headers: list[Any] = list(to_headers(draw(attributes()), NOON))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(headers) - 1))
        name, value = headers[at]
        change = draw(st.sampled_from(["lose", "double", "rename", "null", "bytes", "text", "add", "upper", "long"]))
        match change:
            case "lose":
                headers[at : at + 1] = []
            case "double":
                headers.append((name, value))
            case "rename":
                headers[at] = (draw(st.sampled_from(["ce_not_before", "ce_traceparent", "x-other", "ce_", "é"])), value)
            case "null":
                headers[at] = (name, None)
            case "bytes":
                headers[at] = (name, draw(st.binary(max_size=8)))
            case "text":
                headers[at] = (
                    name,
                    draw(st.sampled_from(TEXTS)),
                )
            case "add":
                headers.append(("traceparent", b"00-1"))
            case "upper":
                headers[at] = (name.upper(), value)
            case "long":
                headers[at] = (name, b"x" * draw(st.sampled_from([1_000, 66_000])))
        if not headers:
            break
    return tuple(headers)


def _outcome(record: Record) -> object:
    try:
        return attributes_of(record, "highway")
    except MessageUnreadable as refused:
        return (refused.code, str(refused), refused.tenant, refused.key)


@settings(max_examples=300)
@given(strangers_headers())
def test_headers_read_quickly_are_the_headers_read_with_every_look(headers: Headers) -> None:
    """A message is taken, or refused with the same sentence, whichever way its headers are read."""
    record = Record(position=1, at_ms=0, value=b"x", headers=headers)
    quick = _outcome(record)
    with patch.object(cloudevents, "_plain_texts", lambda _headers: None):
        assert _outcome(record) == quick


@settings(max_examples=300)
@given(attributes())
def test_the_identity_of_a_message_never_changes(said: Attributes) -> None:
    """R10: the hash stands in logs; written out or dumped, it is of the same text."""
    assert json.dumps(said.model_dump(mode="json"), sort_keys=True, separators=(",", ":")) == said.canonical_json()


@settings(max_examples=100)
@given(attributes())
def test_what_is_published_is_read_quickly_and_is_the_same(said: Attributes) -> None:
    """Our own publisher's headers take the quick way, or there would be none."""
    headers = to_headers(said, NOON)
    assert cloudevents._plain_texts(headers) is not None
    assert said == attributes_of(Record(position=1, at_ms=0, value=b"x", headers=headers), said.mode)
