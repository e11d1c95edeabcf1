"""How what CBSA said is kept in [responses]: raw body, and beside it what the chain needs (R3); must not know what it means."""

from typing import Final

from schemas.streams import Entry, Record
from schemas.wire import Page

POLLED: Final = b"ca.tidegate.responses.polled.v1"
"""A page of answers, one poll, chained by (gateway, seq, previous seq)."""

QUERIED: Final = b"ca.tidegate.status.answered.v1"
"""The answer to a status query; it lies outside the chain."""


def page_entry(gateway: str, page: Page) -> Entry:
    """A poll as it is kept: the raw body, and what the chain needs in headers."""
    return Entry(
        value=page.raw,
        headers=(
            ("ce_type", POLLED),
            ("gateway", gateway.encode()),
            ("seq", str(page.last_seq).encode()),
            ("previous_seq", str(page.previous_seq).encode()),
        ),
    )


def status_entry(gateway: str, wire_key: str, raw: bytes) -> Entry:
    """A status answer as it is kept."""
    return Entry(value=raw, headers=(("ce_type", QUERIED), ("gateway", gateway.encode()), ("wire_key", wire_key.encode())))


def link_of(record: Record) -> tuple[str, int, int]:
    """The gateway, the seq and the previous seq of a page. Raises ValueError when its headers are not ours."""
    return (
        (record.header("gateway") or b"").decode(),
        int(record.header("seq") or b""),
        int(record.header("previous_seq") or b""),
    )
