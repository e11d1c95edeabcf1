"""A message to publish, at the edge: what the words may be and what makes a message unreadable; must not know outages or order.

Source: INTERFACES section 2. A message crosses the edge once, here; behind it there are only frozen facts.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _json
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypeVar, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from schemas.streams import Mode

Kind: TypeAlias = Literal[
    "cargo",
    "conveyance",
    "house_bill",
    "close",
    "release",
    "conveyance_arrival",
    "cargo_arrival",
    "image",
    "export_declaration",
    "accounting",
    "other",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Function: TypeAlias = Literal["original", "change", "cancel"]
FUNCTIONS: Final[tuple[Function, ...]] = get_args(Function)

Channel: TypeAlias = Literal["edi", "cig", "swi", "cad_api", "emanifest_portal", "cers", "ccp"]
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
PORTAL_CHANNELS: Final[frozenset[str]] = frozenset({"emanifest_portal", "cers", "ccp"})
"""Nobody's program files into a portal: its messages are `delivery: person` (DESIGN section 2)."""

OWN_KEY: Final[Mapping[str, str]] = {
    "cargo": "ccn",
    "conveyance": "crn",
    "house_bill": "house_bill",
    "close": "previous_ccn",
    "release": "transaction",
    "conveyance_arrival": "crn",
    "cargo_arrival": "ccn",
    "image": "image",
    "export_declaration": "id",
    "accounting": "id",
    "other": "id",
}
"""The key by which CBSA knows a document, by kind (INTERFACES section 2)."""

KEY_ROLES: Final[frozenset[str]] = frozenset(
    {"ccn", "crn", "house_bill", "primary_ccn", "previous_ccn", "transaction", "image", "id"}
)

PAYLOAD_BYTES_MAX: Final = 5 * 1024 * 1024
"""Largest payload: below the log's limit for a record, above any customs message and most images (DIF)."""

KEYS_COUNT_MAX: Final = 2_000
"""Most document keys of one message: a trip lists its shipments, a close its house bills; beyond is a mistake."""

KEY_CHARS_MAX: Final = 128
"""Longest publisher's key or document key; CBSA's own are at most 25 characters (CCN) and 70 (D.13A document number)."""

SENTENCE_CHARS_MAX: Final = 1_000
"""Longest sentence of a refusal: it names some twenty fields at fault and then repeats itself."""

YEARS: Final = range(2000, 2200)
"""Years that a moment of a message may name; others are slips of the hand and would overflow clocks and pages."""

RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Controls, line ends and marks that turn or hide text: a key with one looks like another key to the person who reads it."""

_Model = TypeVar("_Model", bound=BaseModel)


def _one_line(value: str) -> str:
    if _UNSEEN.search(value):
        raise ValueError("must be one line of visible characters")
    return value


def _rfc_3339(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and RFC_3339.fullmatch(value)):
        return value
    raise ValueError("must be RFC 3339 with an offset, such as 2026-03-01T12:00:00-05:00")


def _in_utc(value: datetime) -> datetime:
    if value.year not in YEARS:
        raise ValueError(f"must lie in the years {YEARS.start} to {YEARS.stop - 1}")
    return value.astimezone(UTC)


Moment: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]
"""A moment in UTC: the same moment under another offset is the same attribute (R10)."""

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=KEY_CHARS_MAX), AfterValidator(_one_line)]


class MessageUnreadable(ValueError):
    """The message can't be taken as it stands; the text says what to mend. `code` is stable, for programs."""

    def __init__(self, code: str, sentence: str, *, tenant: str = "", key: str = "") -> None:
        super().__init__(_writable(sentence)[:SENTENCE_CHARS_MAX])
        self.code = code
        self.tenant = _writable(tenant)[:KEY_CHARS_MAX]
        self.key = _writable(key)[:KEY_CHARS_MAX]


class Attributes(BaseModel):
    """What a provider says of a message beside its bytes; the meaning of the Kafka headers (INTERFACES section 2)."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)

    key: Name
    tenant: Name
    mode: Mode
    kind: Kind
    channel: Channel = "edi"
    function: Function = "original"
    keys: dict[str, list[Name]] = Field(default_factory=dict)
    content_type: Annotated[str, Field(max_length=100), AfterValidator(_one_line)] = "application/octet-stream"
    inland: StrictBool = False
    replaces: Name | None = None
    corrects: Name | None = None
    eta: Moment | None = None
    not_before: Moment | None = None
    not_after: Moment | None = None
    occurred_at: Moment | None = None

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Self:
        if not self.keys.keys() <= KEY_ROLES:
            unknown = sorted(set(self.keys) - KEY_ROLES)
            shown = ", ".join(role[:KEY_CHARS_MAX] for role in unknown[:3])
            raise ValueError(f"keys name unknown roles {_writable(shown)}; known are {', '.join(sorted(KEY_ROLES))}")
        if sum(map(len, self.keys.values())) > KEYS_COUNT_MAX:
            raise ValueError(f"keys list more than {KEYS_COUNT_MAX} documents; split the message")
        role = OWN_KEY[self.kind]
        own_count = len(self.keys.get(role, ()))
        if role != "id" and own_count == 0:
            raise ValueError(f"a {self.kind} needs its own document key in keys.{role}")
        if role != "id" and own_count > 1:
            raise ValueError(f"a {self.kind} has one own document key, keys.{role} lists {own_count}")
        if self.replaces and self.corrects:
            raise ValueError("a message either replaces or corrects another, not both")
        if self.key in (self.replaces, self.corrects):
            raise ValueError("a message can't replace or correct itself")
        return self

    @property
    def document(self) -> str:
        """The document's own key; the publisher's key where the kind has none (export declaration, accounting, other)."""
        own = self.keys.get(OWN_KEY[self.kind])
        return own[0] if own else self.key

    def canonical_sha256(self) -> str:
        """Hash of all attributes but the publishing time: same key and another hash is a conflict (R10)."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    def canonical_json(self) -> str:
        """All attributes as JSON: names sorted, ASCII, no blanks. It never changes for what is in a log already (R10)."""
        if self.eta or self.not_before or self.not_after or self.occurred_at:
            return _sorted_json(self.model_dump(mode="json"))
        # Written out for the many messages without times: 3 us in place of 11, at intake of each message.
        listed = ",".join([f"{_json(role)}:[{','.join(map(_json, self.keys[role]))}]" for role in sorted(self.keys)])
        return (
            f'{{"channel":"{self.channel}","content_type":{_json(self.content_type)},"corrects":{_json_or_null(self.corrects)},'
            f'"eta":null,"function":"{self.function}","inland":{"true" if self.inland else "false"},"key":{_json(self.key)},'
            f'"keys":{{{listed}}},"kind":"{self.kind}","mode":"{self.mode}","not_after":null,"not_before":null,'
            f'"occurred_at":null,"replaces":{_json_or_null(self.replaces)},"tenant":{_json(self.tenant)}}}'
        )


class PublishLine(Attributes):
    """A line of `--batch` or a body of the HTTP intake: attributes and exactly one of `payload` (ASCII) and `payload_base64`."""

    payload: str | None = None
    payload_base64: str | None = None

    @model_validator(mode="after")
    def _exactly_one_payload(self) -> Self:
        if (self.payload is None) == (self.payload_base64 is None):
            raise ValueError("give exactly one of payload and payload_base64")
        if self.payload is not None and not self.payload.isascii():
            raise ValueError("payload is ASCII only; send other bytes as payload_base64")
        return self

    def split(self) -> tuple[Attributes, bytes]:
        """Return the attributes and the raw bytes. Raises MessageUnreadable when the base64 can't be decoded."""
        if self.payload is not None:
            raw = self.payload.encode("ascii")
        else:
            assert self.payload_base64 is not None
            try:
                raw = base64.b64decode(self.payload_base64, validate=True)
            except ValueError as exc:  # binascii.Error, or its parent when there are non-ASCII characters
                raise MessageUnreadable(
                    "payload_unreadable", f"payload_base64 is not base64: {exc}", tenant=self.tenant, key=self.key
                ) from exc
        fields = self.model_dump(exclude={"payload", "payload_base64"})
        return Attributes.model_validate(fields), raw


def sentence_of(error: ValidationError) -> str:
    """Say in one sentence what is wrong with a message, field by field."""
    parts = []
    for item in error.errors(include_url=False, include_context=False):
        where = ".".join(str(piece) for piece in item["loc"])
        what = item["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {what}" if where else what)
    return "; ".join(parts)


def parse_attributes(fields: Mapping[str, Any]) -> Attributes:
    """Read attributes. Raises MessageUnreadable with a sentence that names each field at fault."""
    return _parsed(Attributes, fields)


def parse_line(fields: Mapping[str, Any]) -> tuple[Attributes, bytes]:
    """Read a message to publish: its attributes and its bytes. Raises MessageUnreadable."""
    attributes, payload = _parsed(PublishLine, fields).split()
    check_payload(payload, attributes)
    return attributes, payload


def check_payload(payload: bytes, attributes: Attributes) -> None:
    """Refuse bytes that can't be a message. Raises MessageUnreadable."""
    if not payload:
        raise MessageUnreadable(
            "payload_empty",
            "the payload is empty; publish the message's bytes",
            tenant=attributes.tenant,
            key=attributes.key,
        )
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise MessageUnreadable(
            "payload_too_large",
            f"the payload has {len(payload):,} bytes and the limit is {PAYLOAD_BYTES_MAX:,}; split it or send it another way",
            tenant=attributes.tenant,
            key=attributes.key,
        )


def refusal(attributes: Attributes, *, received_ms: int) -> tuple[str, str] | None:
    """Say why a readable message is not taken, as (code, sentence), or None (INTERFACES section 2).

    `received_ms`: when the log took it, Unix milliseconds; an arrival of the future is contravention C274.
    """
    if attributes.mode == "highway" and attributes.kind == "conveyance_arrival":
        return (
            "highway_arrival",
            "highway has no conveyance arrival by EDI (plan 3.1); the arrival is made at the border",
        )
    if attributes.mode == "rail" and attributes.channel in PORTAL_CHANNELS:
        return "rail_portal", "rail carriers may use EDI only, not a portal; publish it with channel edi"
    if attributes.kind in ("conveyance_arrival", "cargo_arrival"):
        if attributes.occurred_at is None:
            return (
                "arrival_without_time",
                "an arrival needs occurred_at: when the goods were there (contravention C274)",
            )
        if to_ms(attributes.occurred_at) > received_ms:
            return (
                "arrival_in_future",
                "occurred_at lies in the future; send an arrival when the goods are there (C274)",
            )
    return None


def strict_json(text: str) -> Any:
    """Read JSON that a stranger wrote. Raises ValueError, also for a name that stands twice in one object and for depth."""
    try:
        if text.startswith("\ufeff"):
            json.loads(text)  # refuses it, in its own words
        return _strict_decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def to_ms(moment: datetime) -> int:
    """Unix milliseconds of a moment with an offset."""
    return round(moment.timestamp() * 1000)


def from_ms(at_ms: int) -> str:
    """RFC 3339 in UTC, milliseconds kept."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(model: type[_Model], fields: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(dict(fields))
    except ValidationError as exc:
        raise MessageUnreadable(
            "unreadable",
            sentence_of(exc),
            tenant=str(fields.get("tenant") or ""),
            key=str(fields.get("key") or ""),
        ) from exc


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, and refuse a name that stands twice: which of the two is meant can't be known."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


_strict_decode: Final = json.JSONDecoder(object_pairs_hook=_once_each).decode
_sorted_json: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Made once: `json.loads` and `json.dumps` with settings make a decoder or encoder at each call, some 3 us."""


def _json_or_null(text: str | None) -> str:
    return "null" if text is None else _json(text)


def _writable(text: str) -> str:
    """Replace what UTF-8 can't hold, so that a refusal can always be written down."""
    return text.encode("utf-8", "replace").decode()
