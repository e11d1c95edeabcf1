"""A message's attributes as CloudEvents headers of a record, and back; must not know who publishes, nor what a mode allows.

CloudEvents 1.0, Kafka protocol binding, binary mode (INTERFACES section 2): the record's value is the payload as it is. Any
client can write these headers, so every one of them is looked at as if it came from a stranger.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from json.encoder import encode_basestring as _json
from typing import Any, Final
from urllib.parse import quote, unquote

from schemas.messages import RFC_3339, Attributes, MessageUnreadable, parse_attributes, strict_json
from schemas.streams import Headers, HeadersRead, Record, size_of

TYPE: Final = "ca.tidegate.message.published.v1"

HEADERS_BYTES_MAX: Final = 64 * 1024
"""Most bytes of all headers together, the log's own limit: a close that lists 2,000 house bills of 25 characters takes 56 KB."""

HEADERS_COUNT_MAX: Final = 100
"""Most headers of one record: ours are at most 19, tracing adds a few; beyond is a mistake or an attack."""

ALIKE_COUNT_MAX: Final = 1_024
"""Combinations of tenant, kind, channel and the like that are remembered: more than publish through one process at a time."""

_OPTIONAL_MOMENTS: Final = {"eta": "eta", "notbefore": "not_before", "notafter": "not_after", "occurredat": "occurred_at"}
_OPTIONAL_NAMES: Final = {"replaces": "replaces", "corrects": "corrects"}
_REQUIRED: Final = ("specversion", "id", "source", "type", "tenant", "kind")
_SPECVERSION: Final = ("ce_specversion", b"1.0")
_TYPE: Final = ("ce_type", TYPE.encode())
_NEEDED: Final = frozenset(_REQUIRED)
_KNOWN: Final = frozenset(
    {*_REQUIRED, "time", "subject", "channel", "function", "keys", "inland", *_OPTIONAL_NAMES, *_OPTIONAL_MOMENTS}
)
_FIELDS: Final = {
    "id": "key",
    "content-type": "content_type",
    **{name: name for name in ("tenant", "kind", "channel", "function")},
    **_OPTIONAL_NAMES,
    **_OPTIONAL_MOMENTS,
}
"""The field of `Attributes` that a header says as it stands; `ce_keys` and `ce_inland` are read first."""
_EXTENSION: Final = re.compile(r"ce_[a-z0-9]+")
_OURS: Final = {**{f"ce_{name}": name for name in _KNOWN}, "content-type": "content-type"}
"""Our headers as our own publisher names them."""


def to_headers(attributes: Attributes, published_at: datetime) -> Headers:
    """Say the attributes as headers. `published_at` has an offset; it is no part of the message's identity (R10).

    Raises MessageUnreadable when they take more room than the log gives them.
    """
    source, content_type, tenant, kind, channel, function, inland = _alike(
        attributes.tenant, attributes.content_type, attributes.kind, attributes.channel, attributes.function, attributes.inland
    )
    headers: Headers = (
        _SPECVERSION,
        ("ce_id", attributes.key.encode()),
        source,
        _TYPE,
        ("ce_time", _text_of(published_at).encode()),
        ("ce_subject", attributes.document.encode()),
        content_type,
        tenant,
        kind,
        channel,
        function,
        ("ce_keys", keys_text(attributes.keys).encode()),
        inland,
        *_optional(attributes),
    )
    if sum(map(len, chain.from_iterable(headers))) > HEADERS_BYTES_MAX:  # our own names are ASCII
        _refuse_too_large(headers, _refuser(attributes))
    return headers


def _optional(attributes: Attributes) -> Iterator[tuple[str, bytes]]:
    """The headers of what was said beyond the usual."""
    for header, field in _OPTIONAL_NAMES.items():
        name: str | None = getattr(attributes, field)
        if name is not None:
            yield f"ce_{header}", name.encode()
    for header, field in _OPTIONAL_MOMENTS.items():
        moment: datetime | None = getattr(attributes, field)
        if moment is not None:
            yield f"ce_{header}", _text_of(moment).encode()


@functools.lru_cache(ALIKE_COUNT_MAX)
def _alike(tenant: str, content_type: str, *said: str | bool) -> tuple[tuple[str, bytes], ...]:
    """The headers that a tenant's messages share, made once."""
    kind, channel, function, inland = said
    texts = {
        "ce_source": f"/providers/{quote(tenant, safe='')}",
        "content-type": content_type,
        "ce_tenant": tenant,
        "ce_kind": kind,
        "ce_channel": channel,
        "ce_function": function,
        "ce_inland": "true" if inland else "false",
    }
    return tuple((name, str(text).encode()) for name, text in texts.items())


def attributes_of(record: Record, mode: str) -> Attributes:
    """Read the attributes of a record of [inbound.MODE]; not the payload. Raises MessageUnreadable with what to mend.

    An extension that is not ours is passed over, as CloudEvents asks; a `ce_` name that no extension can have (`ce_not_before`)
    is refused, since it is one of ours misspelt and its meaning would be lost.
    """
    refuse = _refuser(record)
    said = _plain_texts(record.headers)
    if said is None:
        _refuse_too_large(record.headers, refuse)
        said = _texts(record, refuse)
    if not said.keys() >= _NEEDED:
        missing = [f"ce_{name}" for name in _REQUIRED if name not in said]
        raise refuse(
            "header_missing",
            f"the headers {', '.join(missing)} are missing; publish in CloudEvents binary mode, with all of them",
        )
    if said["specversion"] != "1.0":
        raise refuse("specversion_unknown", f"ce_specversion is {said['specversion'][:20]!r}; publish with CloudEvents 1.0")
    if said["type"] != TYPE:
        raise refuse("type_unknown", f"ce_type is {said['type'][:80]!r}; the type of a message to publish is {TYPE}")
    if said["source"] != f"/providers/{said['tenant']}" and not _names(said["source"], said["tenant"]):
        raise refuse(
            "source_disagrees",
            f"ce_source is {said['source'][:80]!r} and ce_tenant {said['tenant'][:80]!r}; the source is /providers/TENANT",
        )
    if "time" in said and not _is_moment(said["time"]):
        raise refuse("time_unreadable", f"ce_time is {said['time'][:40]!r}; write RFC 3339 with an offset, or leave it out")
    attributes = parse_attributes(_fields(said, mode, refuse))
    if said.get("subject", attributes.document) != attributes.document:
        raise refuse(
            "subject_disagrees",
            f"ce_subject is {said['subject'][:80]!r} and the document's own key {attributes.document!r}; make them the same",
        )
    return attributes


def _fields(said: dict[str, str], mode: str, refuse: Callable[[str, str], MessageUnreadable]) -> dict[str, Any]:
    """Name the headers' texts as `Attributes` does; those that were left out keep their defaults."""
    fields: dict[str, Any] = {_FIELDS[header]: text for header, text in said.items() if header in _FIELDS}
    fields["mode"] = mode
    if "inland" in said:
        if said["inland"] not in ("true", "false"):
            raise refuse("inland_unreadable", f"ce_inland is {said['inland'][:20]!r}; write true or false")
        fields["inland"] = said["inland"] == "true"
    if "keys" in said:
        fields["keys"] = _keys(said["keys"], refuse)
    return fields


def _keys(text: str, refuse: Callable[[str, str], MessageUnreadable]) -> Any:
    try:
        return strict_json(text)
    except ValueError as exc:
        raise refuse("keys_unreadable", f'ce_keys is not a JSON object of lists, such as {{"ccn": ["ABCD111"]}}: {exc}') from exc


def _texts(record: Record, refuse: Callable[[str, str], MessageUnreadable]) -> dict[str, str]:
    """Read our headers as text, by name without `ce_`; other people's are passed over."""
    said: dict[str, str] = {}
    for name, value in record.headers:
        low = name.lower()
        ours = low.removeprefix("ce_") if low.startswith("ce_") else low
        if low != "content-type":
            if not low.startswith("ce_"):
                continue
            if not _EXTENSION.fullmatch(name):
                raise refuse(
                    "header_misspelt", f"{name[:60]!r} is no CloudEvents attribute; write ce_ and then lower-case letters only"
                )
            if ours not in _KNOWN:
                continue
        if ours in said:
            raise refuse("header_twice", f"the header {low} stands twice; send it once")
        if value is None:
            raise refuse("header_null", f"the header {low} has no value; give it one, or leave the header out")
        try:
            said[ours] = value.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise refuse("header_not_utf8", f"the header {low} is not UTF-8 ({exc.reason}); send it as UTF-8 text") from exc
    return said


def _plain_texts(headers: HeadersRead) -> dict[str, str] | None:
    """Read headers that look as our own publisher's do: what `_texts` returns, in a fifth of its time; None for all others."""
    said: dict[str, str] = {}
    size_bytes = 0
    try:
        for name, value in headers:
            if value is None:
                return None
            ours = _OURS[name]
            said[ours] = value.decode("utf-8")
            size_bytes += len(name) + len(value)
    except (KeyError, UnicodeDecodeError):  # another's header; one that is not text
        return None
    return said if len(said) == len(headers) and size_bytes <= HEADERS_BYTES_MAX else None


def _refuse_too_large(headers: HeadersRead, refuse: Callable[[str, str], MessageUnreadable]) -> None:
    if len(headers) > HEADERS_COUNT_MAX:
        raise refuse("headers_too_many", f"the record has {len(headers):,} headers and the limit is {HEADERS_COUNT_MAX}")
    size_bytes = size_of(headers)
    if size_bytes > HEADERS_BYTES_MAX:
        raise refuse(
            "headers_too_large",
            f"the headers have {size_bytes:,} bytes and the limit is {HEADERS_BYTES_MAX:,}; name fewer documents",
        )


def keys_text(keys: Mapping[str, Sequence[str]]) -> str:
    """The keys as JSON without blanks, letters as they are; `json.dumps` makes an encoder at each call, 3 us."""
    lists = [f"{_json(role)}:[{','.join(map(_json, listed))}]" for role, listed in keys.items()]
    return f"{{{','.join(lists)}}}"


def _names(source: str, tenant: str) -> bool:
    """Whether a source names the tenant, as it stands or with its percent-encoding undone: clients write either."""
    plain = source.removeprefix("/providers/")
    return plain != source and tenant in (plain, unquote(plain, errors="replace"))


def _is_moment(text: str) -> bool:
    if not RFC_3339.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _text_of(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a moment in a header needs an offset; give a datetime with a time zone")
    return moment.isoformat().replace("+00:00", "Z")


def _shown(record: Record, name: str) -> str:
    return (record.header(name) or b"").decode("utf-8", "replace")


def _refuser(of: Record | Attributes) -> Callable[[str, str], MessageUnreadable]:
    """Make what turns a code and a sentence into the refusal of this message; its name is looked for when it is refused."""

    def refuse(code: str, sentence: str) -> MessageUnreadable:
        if isinstance(of, Attributes):
            return MessageUnreadable(code, sentence, tenant=of.tenant, key=of.key)
        return MessageUnreadable(code, sentence, tenant=_shown(of, "ce_tenant"), key=_shown(of, "ce_id"))

    return refuse
