"""A lane's state as bytes that are the same wherever the same facts were folded (I5); must not know how the state is kept.

Hints of one process (ready heaps) are left out; so are indexes, which follow from the rest and which the tests recount.
"""

import json
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from lane.record import digests_of
from lane.state import Channel, Document, LaneState, Message, Outage

Json: TypeAlias = dict[str, Any]

PLAIN: Final = (
    "position", "place", "inbound", "tenant", "key", "kind", "function", "channel", "inland", "size_bytes",
    "received_ms", "deadline_ms", "not_before_ms", "not_after_ms", "occurred_ms", "state", "since_ms", "held_at", "act",
    "submission", "attempts", "resubmissions", "strict", "grant", "epoch", "filing", "open", "touched", "doubted",
    "transmitted_ms", "answered_ms", "grace", "settled", "unblocked", "code", "remark", "needs_person", "notes",
)  # fmt: skip
"""Fields of a message that stand for themselves."""

LINK: Final = (
    "name", "held", "in_flight", "unblocked", "opened_ms", "opened_position", "suspect_since_ms", "suspect_position",
    "suspect_why", "unknown_streak", "probe_after_ms", "backoff_ms", "quiet_until_ms", "canary_needed", "tokens_milli",
    "tokens_at_ms",
)  # fmt: skip
"""Fields of a channel that stand for themselves."""


def canonical(state: LaneState) -> bytes:
    """Everything that the facts decide, as JSON with sorted names and no blanks, UTF-8."""
    whole = {
        "mode": state.mode,
        "position": state.position,
        "now_ms": state.now_ms,
        "rules_version": state.rules_version,
        "policy": json.loads(state.policy.as_json()),
        "marks": state.marks,
        "messages": [_message(message) for message in state.messages.values()],
        "keys": sorted([message.tenant, message.key, message.position] for message in state.messages.values()),
        "verdicts": {str(position): list(verdict) for position, verdict in state.verdicts.items()},
        "documents": [_document(doc) for doc in sorted(state.all_documents(), key=lambda doc: (doc.kind, doc.key))],
        "outages": [_outage(outage) for _, outage in sorted(state.outages.items())],
        "channels": [_channel(channel) for _, channel in sorted(state.channels.items())],
        "lease": asdict(state.lease),
        "grants": [
            [grants.position, grants.epoch, grants.issue, grants.at_ms, sorted(grants.members)]
            for grants in state.grants.values()
        ],
        "counts": state.counts,
        "refused": state.refused,
        "forgotten": state.forgotten,
    }
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _message(message: Message) -> Json:
    blocker = message.blocker
    return {name: getattr(message, name) for name in PLAIN} | {
        "document": str(message.doc),
        "digests": digests_of(message.record),
        "listed": [str(doc) for doc in message.listed],
        "related": [str(doc) for doc in message.related],
        "waits": None if blocker is None else [blocker.rule, blocker.kind, str(blocker.topic), _position(blocker.message)],
        "corrects": _position(message.corrects),
        "corrected_by": _position(message.corrected_by),
    }


def _document(doc: Document) -> Json:
    return {
        "name": str(doc),
        "on_file": doc.on_file,
        "filed_at": doc.filed_at,
        "settled": doc.settled,
        "house_bill": doc.house_bill,
        "queue": [message.position for message in doc.queue],
        "aside": [message.position for message in doc.aside],
        "filings": [message.position for message in doc.filings],
        "gone": [message.position for message in doc.gone],
        "namers": [str(namer) for namer in doc.namers],
    }


def _outage(outage: Outage) -> Json:
    return {**asdict(outage), "ended": sorted(outage.ended)}


def _channel(channel: Channel) -> Json:
    drain = channel.drain
    return {name: getattr(channel, name) for name in LINK} | {
        "arrivals": sorted(channel.arrivals),
        "others": sorted([*which, count] for which, count in channel.others.items()),
        "canary": _position(channel.canary),
        "drain": None if drain is None else asdict(drain),
    }


def _position(message: Message | None) -> int | None:
    return None if message is None else message.position
