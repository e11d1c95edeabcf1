"""The provider's mail: what CBSA answered to one tenant, raw and matched; must not show a tenant what is another's (I10)."""

import json
from collections.abc import Iterator
from typing import Any

from audit.reading import records
from eventlog.port import EventLog
from gateway.answers import parse_page
from lane.identity import parse_wire_key
from schemas.messages import from_ms
from schemas.responses import POLLED
from schemas.streams import MODES, RESPONSES, Record


def mail(log: EventLog, *, tenant: str, after: int = -1) -> Iterator[dict[str, Any]]:
    """Yield each answer whose receiver is that tenant, of pages on the chain (R3) at positions after `after`, in order.

    An item: `position` of the page (give the last one as `after` to go on), `gateway`, `seq`, `at`, `outcome`, `code`, `text`,
    `matched` (None, or `mode`, `key`, `submission`) and `raw`, the answer as CBSA wrote it. What is addressed to one tenant and
    names another's message goes to neither: it stays in [responses] for a person. Raises what the log raises.
    """
    ends: dict[str, int] = {}
    for record in records(log, RESPONSES, end=log.end(RESPONSES)):
        gateway = _continued(record, ends)
        if gateway is not None and record.position > after:
            yield from _of_page(record, gateway, tenant)


def _continued(record: Record, ends: dict[str, int]) -> str | None:
    """The gateway of a page that continues its chain; None for what is no page or off the chain."""
    if record.header("ce_type") != POLLED:
        return None
    gateway = (record.header("gateway") or b"").decode("utf-8", "replace")
    try:
        seq, previous = int(record.header("seq") or b""), int(record.header("previous_seq") or b"")
    except ValueError:
        return None
    if previous != ends.get(gateway, 0) or seq <= previous:
        return None
    ends[gateway] = seq
    return gateway


def _of_page(record: Record, gateway: str, tenant: str) -> Iterator[dict[str, Any]]:
    """The tenant's answers of one page; a page that can't be read names no receiver, so it is nobody's mail."""
    try:
        answers = parse_page(record.value)
    except ValueError:
        return
    for answer, raw in zip(answers, json.loads(record.value)["responses"], strict=True):
        named = parse_wire_key(answer.wire_key) if answer.wire_key is not None else None
        if answer.receiver != tenant or (named is not None and named[1] != tenant):
            continue
        ours = named is not None and named[0] in MODES
        yield {
            "position": record.position,
            "gateway": gateway,
            "seq": answer.seq,
            "at": from_ms(answer.at_ms),
            "outcome": answer.outcome,
            "code": answer.code,
            "text": answer.text,
            "matched": {"mode": named[0], "key": named[2], "submission": named[3]} if named is not None and ours else None,
            "raw": raw,
        }
