"""What goes to the authority and what comes back, as plain values; must not know how it travels.

Transport is not verdict (R50): a reply says what became of the bytes on the wire, never what CBSA thinks of them.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from schemas.facts import AnswerOutcome

TransportResult: TypeAlias = Literal["transmitted", "refused", "not_taken", "slow_down", "unknown", "not_started"]
"""transmitted: taken (202). refused: a person must look (400, 409, 413, 415, 422: they speak of the message). not_taken: surely
not taken (503, refused connection, other 4xx). slow_down: 429. unknown: may have been taken (time-out, other 5xx, broken reply).
not_started: past its `start_by`."""

RESPONSES_PAGE_MAX: Final = 500
"""Most answers kept in one record of [responses]; a longer page is cut there and the rest polled again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmission:
    """One attempt to put a message to the authority: the wire key, the bytes as published and what the headers say."""

    wire_key: str
    payload: bytes
    content_type: str
    tenant: str
    mode: str
    kind: str
    channel: str
    function: str
    keys: str
    """The document keys as the record says them: an object of lists of strings, as JSON. Nobody on the way looks inside."""
    start_by_s: float
    """Reading of the sender's boot clock (CLOCK_BOOTTIME, seconds) after which the send must not start any more (R41)."""
    within_s: float
    """*tau*: how long after its start the send has ended, one way or the other; a takeover waits that long (R43)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportReply:
    """What became of the bytes. `started_s` and `ended_s` are readings of the boot clock; None when nothing was started."""

    result: TransportResult
    status: int | None
    detail: str
    retry_after_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response of the authority, as read. `wire_key` is None when unsolicited; `at_ms` is the authority's own clock."""

    seq: int
    wire_key: str | None
    receiver: str
    outcome: AnswerOutcome
    code: str
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One poll: the raw body to keep as evidence, the cursor it continues and the cursor it ends at.

    `raw` is the bytes as they came where the page fits RESPONSES_PAGE_MAX; a longer page is cut and written anew as JSON.
    """

    raw: bytes
    previous_seq: int
    last_seq: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReply:
    """What a status query told. `known` None means that the query itself failed (time-out, 5xx): nothing was learnt."""

    raw: bytes
    known: bool | None
    outcome: AnswerOutcome | None
