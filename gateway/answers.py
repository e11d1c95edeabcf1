"""Reads what the authority says (INTERFACES section 4) into answers; must not know the wire, the log or what an answer leads to.

Everything here comes from outside and is not trusted: sizes, types and times are checked, and what can't be read is a
ValueError whose sentence says where it is wrong.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from gateway.port import RESPONSES_PAGE_MAX, Answer, AnswerOutcome, Page, StatusReply
from schemas.messages import YEARS

ANSWERS_COUNT_MAX: Final = 10_000
"""Most answers in one body: far over any page we keep (500), so that only a broken peer is refused."""

PARTS_COUNT_MAX: Final = 25 * ANSWERS_COUNT_MAX
"""Most commas and brackets of one body: an answer has a dozen and some in its text. Each may become an object: a page of nothing
but brackets, 24 MB of it, took 670 MB of memory and the loop's time."""

PAGE_KEPT_BYTES_MAX: Final = 7 * 1024 * 1024
"""Longest page handed on, cut like one with too many answers: it becomes one record, and the log takes 8 MiB."""

WIRE_KEY_CHARS_MAX: Final = 8_000
"""Longest wire key that is read: what a server takes as one header, so no key of ours that was ever sent is longer."""

CODE_CHARS_MAX: Final = 1_000
"""Longest receiver or code that is read: tenants and codes are short words; the raw body keeps longer ones."""

TEXT_CHARS_MAX: Final = 4_000
"""Longest text kept in an answer; it is cut here, and the raw body keeps the whole."""

SEQ_MAX: Final = 2**63 - 1
"""Largest cursor: what a signed 64-bit column and an Avro long can hold."""

CUT: Final = "tidegate_cut"
"""The field of what is kept of an answer too long to keep; no answer that has it is read."""

OUTCOMES: Final[frozenset[str]] = frozenset({"captured", "rejected", "duplicate", "notice"})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECOND: Final = timedelta(milliseconds=1)


def parse_page(raw: bytes) -> Sequence[Answer]:
    """Return the answers of a body of `GET /v1/responses`, in the order given. Raises ValueError with a sentence."""
    return [_answer(item) for item in _items(_object(raw))]


def parse_status(raw: bytes) -> StatusReply:
    """Return what a body of `GET /v1/messages/KEY` tells; `known` is True or False. Raises ValueError with a sentence."""
    status = _object(raw)
    known, outcome = status.get("known"), status.get("outcome")
    if not isinstance(known, bool):
        raise ValueError(f"The status reply has no true or false in `known`: {known!r:.80}.")
    if outcome is None:
        return StatusReply(raw=raw, known=known, outcome=None)
    if not known:
        raise ValueError("The status reply tells an outcome of a message that it doesn't know; ask the authority's operator.")
    return StatusReply(raw=raw, known=known, outcome=_outcome(outcome))


def cut_page(body: bytes, after: int) -> Page:
    """Return a body of `GET /v1/responses?after=AFTER` as the port's page, cut at RESPONSES_PAGE_MAX and PAGE_KEPT_BYTES_MAX.

    An answer that can't be read gets a page of its own, so that it spoils none of its neighbours', and so does one that is too
    long for any page, of which only the beginning is kept. Raises ValueError when the cursors make no sense: the page can't be
    continued then.
    """
    page = _object(body)
    last_seq, items = _seq(page.get("next")), _items(page)
    if last_seq < after:
        raise ValueError(f"Its cursor {last_seq} is behind ours, {after}: the authority lost answers, call a person.")
    seqs = [after, *(_seq(item.get("seq") if isinstance(item, dict) else None) for item in items)]
    if any(left >= right for left, right in itertools.pairwise(seqs)) or seqs[-1] > last_seq:
        raise ValueError("Its answers don't rise from our cursor to `next`.")
    count = _count_kept(items)
    if count == len(items) and len(body) <= PAGE_KEPT_BYTES_MAX:
        return Page(raw=body, previous_seq=after, last_seq=last_seq, count=count)
    raw = _written(seqs[count], items[:count])
    while len(raw) > PAGE_KEPT_BYTES_MAX and count > 1:
        count //= 2
        raw = _written(seqs[count], items[:count])
    if len(raw) > PAGE_KEPT_BYTES_MAX:
        raw = _written(seqs[count], [_cut(items[0])])
    return Page(raw=raw, previous_seq=after, last_seq=seqs[count], count=count)


def _count_kept(items: list[Any]) -> int:
    """Return how many answers go into this page by their number, and an unreadable one only by itself."""
    count = min(len(items), RESPONSES_PAGE_MAX)
    first_unreadable = next((index for index in range(count) if not _readable(items[index])), count)
    return max(first_unreadable, min(count, 1))


def _cut(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an answer too long for any record: unreadable, so that a person fetches it, and no other waits for it.

    `bytes` and `sha256` are of its JSON as we write it: no spaces, ASCII only, fields in the order given.
    """
    whole = json.dumps(item, separators=(",", ":"))
    sha256 = hashlib.sha256(whole.encode()).hexdigest()
    return {"seq": item["seq"], CUT: {"bytes": len(whole), "sha256": sha256, "begins": whole[:TEXT_CHARS_MAX]}}


def _readable(item: object) -> bool:
    try:
        _checked(item)
    except ValueError:
        return False
    return True


def _written(last_seq: int, items: list[Any]) -> bytes:
    return json.dumps({"next": last_seq, "responses": items}, separators=(",", ":")).encode()


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > PARTS_COUNT_MAX:
        count = raw.count(b",") + raw.count(b"{") + raw.count(b"[")
        if count > PARTS_COUNT_MAX:
            raise ValueError(f"The body has {count} commas and brackets; at most {PARTS_COUNT_MAX} are read.")
    try:
        value = json.loads(raw.decode("utf-8"))
    except RecursionError as exc:
        raise ValueError("The body is nested too deeply to be read.") from exc
    except ValueError as exc:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ValueError(f"The body is not JSON in UTF-8: {exc}.") from exc
    if not isinstance(value, dict):
        raise ValueError(f"The body is a JSON {type(value).__name__}; an object was expected.")
    return value


def _items(page: Mapping[str, object]) -> list[Any]:
    items = page.get("responses")
    if not isinstance(items, list):
        raise ValueError("The page has no list in `responses`.")
    if len(items) > ANSWERS_COUNT_MAX:
        raise ValueError(f"The page holds {len(items)} answers; at most {ANSWERS_COUNT_MAX} are read.")
    return items


def _seq(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SEQ_MAX:
        raise ValueError(f"A cursor must be a whole number from 0 to {SEQ_MAX}, not {value!r:.80}.")
    return value


def _answer(item: object) -> Answer:
    fields, at_ms = _checked(item)
    return Answer(
        seq=fields["seq"],
        wire_key=fields.get("idempotency_key"),
        receiver=fields["receiver"],
        outcome=fields["outcome"],
        code=fields.get("code") or "",
        text=(fields.get("text") or "")[:TEXT_CHARS_MAX],
        at_ms=at_ms,
    )


def _checked(item: object) -> tuple[dict[str, Any], int]:
    """Return an answer's fields, each of which can be read, and its time. Raises ValueError with a sentence.

    A page is looked at when it is fetched and again when it is read from the log: what is not needed twice is in `_answer`.
    """
    if not isinstance(item, dict):
        raise ValueError(f"An answer must be a JSON object, not {item!r:.80}.")
    if CUT in item:
        raise ValueError(
            f"Answer {item.get('seq')!r:.80} was too long to keep; its beginning is kept, fetch the whole from CBSA."
        )
    _seq(item.get("seq"))
    if item.get("idempotency_key") is not None:
        _check_string(item, "idempotency_key", WIRE_KEY_CHARS_MAX)
    _check_string(item, "receiver", CODE_CHARS_MAX)
    _outcome(item.get("outcome"))
    if item.get("code") is not None:
        _check_string(item, "code", CODE_CHARS_MAX)
    if item.get("text") is not None:
        _check_string(item, "text", None)
    return item, _at_ms(item.get("at"))


def _outcome(value: object) -> AnswerOutcome:
    if not isinstance(value, str) or value not in OUTCOMES:
        raise ValueError(f"An outcome must be one of {', '.join(sorted(OUTCOMES))}, not {value!r:.80}.")
    return cast("AnswerOutcome", value)


def _check_string(item: Mapping[str, object], name: str, chars_max: int | None) -> None:
    value = item.get(name)
    if not isinstance(value, str):
        raise ValueError(f"An answer's `{name}` must be a string, not {value!r:.80}.")
    if chars_max is not None and len(value) > chars_max:
        raise ValueError(f"An answer's `{name}` is {len(value)} characters long; at most {chars_max} are read.")
    if not value.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise ValueError(f"An answer's `{name}` holds half a character (a lone surrogate), which no store can keep.")


def _at_ms(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f"An answer's `at` must be an RFC 3339 time, not {value!r:.80}.")
    try:
        at = datetime.fromisoformat(value)
    except ValueError as exc:
        raise ValueError(f"An answer's `at` is not an RFC 3339 time: {value!r:.80}.") from exc
    if at.tzinfo is None:
        raise ValueError(f"An answer's `at` has no offset from UTC: {value!r:.80}.")
    if at.year not in YEARS:
        raise ValueError(f"An answer's `at` is in the year {at.year}; {YEARS[0]} to {YEARS[-1]} are read: {value!r:.80}.")
    # Whatever is read can then be shown in every zone; and in whole milliseconds, which floats would lose.
    return (at - _EPOCH) // _MILLISECOND
