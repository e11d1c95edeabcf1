"""Intake: raw records of [inbound.LANE] become facts of the lane; must not decide what the fold decides (identity, order).

Exact by the chain of source positions (R1): any number of these may run, a lost race or a lost answer costs a read, never a
message. What can't be read becomes `MessageRefused` and moves the mark as well (R2).
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from lane.state import NEVER
from lane.view import LaneView
from schemas.cloudevents import attributes_of
from schemas.codec import encode
from schemas.effects import Append, CatchUp, Follow, Read, Sleep, Turn, Worker
from schemas.facts import MessageReceived, MessageRefused, Source
from schemas.messages import Attributes, MessageUnreadable, check_payload, refusal, to_ms
from schemas.streams import Entry, Record, inbound, lane

READ_COUNT: Final = 500
"""Records of one batch: one durable write for many, small enough that a rival's race wastes little."""

READ_WAIT_S: Final = 1.0
"""Longest wait for a record before the loop looks around."""

READ_BACK_WAIT_S: Final = 5.0
"""Longest wait for our own facts to come back; then the mark is looked at again."""

RIVAL_WAIT_S: Final = 0.5
"""After a lost race another intake is at work: let it go on for so long before looking again."""

RETRY_WAIT_S: Final = 1.0
"""Wait after an error of the log."""


def intake(view: LaneView) -> Worker:
    """Turn the lane's inbound records into facts, for ever."""
    mode = view.state.mode
    source = inbound(mode)
    turn = yield [CatchUp("caught up", lane(mode))]
    while True:
        mark = view.state.marks.get(source, NEVER)
        turn = yield [Read("read", source, mark + 1, READ_COUNT, READ_WAIT_S)]
        if turn.stopping:
            return
        done = turn.done[0]
        if done.error is not None:
            turn = yield [Sleep("retry", RETRY_WAIT_S)]
            turn = yield [CatchUp("caught up", lane(mode))]
            continue
        records = done.result
        assert isinstance(records, (list, tuple))
        if not records:
            continue
        entries = tuple(_entries(records, mode=mode, previous=mark, turn=turn))
        turn = yield [Append("append", lane(mode), entries)]
        if turn.done[0].error is not None:
            turn = yield [Sleep("retry", RETRY_WAIT_S)]
            turn = yield [CatchUp("caught up", lane(mode))]
            continue
        positions = turn.done[0].positions
        raced = view.state.marks.get(source, NEVER) != mark and view.next_position <= positions[0]
        turn = yield [Follow("read back", lane(mode), positions[-1], READ_BACK_WAIT_S)]
        if raced:
            turn = yield [Sleep("rival", RIVAL_WAIT_S)]


def _entries(records: Sequence[Record], *, mode: str, previous: int, turn: Turn) -> Iterator[Entry]:
    """One fact a record, chained."""
    for record in records:
        source = Source(stream=inbound(mode), position=record.position, previous=previous)
        yield Entry(encode(fact_of(record, source, mode=mode, at_ms=turn.at_ms)))
        previous = record.position


def fact_of(record: Record, source: Source, *, mode: str, at_ms: int) -> MessageReceived | MessageRefused:
    """What a raw record says: a message, or why it can't be taken."""
    sha256 = hashlib.sha256(record.value).hexdigest()
    try:
        attributes = attributes_of(record, mode)
        check_payload(record.value, attributes)
    except MessageUnreadable as refused:
        return MessageRefused(
            at_ms=at_ms,
            source=source,
            tenant=refused.tenant,
            key=refused.key,
            sha256=sha256,
            code=refused.code,
            reason=str(refused),
        )
    no = refusal(attributes, received_ms=record.at_ms)
    if no is not None:
        return MessageRefused(
            at_ms=at_ms, source=source, tenant=attributes.tenant, key=attributes.key, sha256=sha256, code=no[0], reason=no[1]
        )
    return _received(attributes, record, source=source, at_ms=at_ms, sha256=sha256)


def _received(attributes: Attributes, record: Record, *, source: Source, at_ms: int, sha256: str) -> MessageReceived:
    return MessageReceived(
        at_ms=at_ms,
        source=source,
        tenant=attributes.tenant,
        key=attributes.key,
        kind=attributes.kind,
        function=attributes.function,
        channel=attributes.channel,
        document=attributes.document,
        keys={role: tuple(keys) for role, keys in attributes.keys.items()},
        content_type=attributes.content_type,
        sha256=sha256,
        attributes_sha256=attributes.canonical_sha256(),
        size_bytes=len(record.value),
        received_ms=record.at_ms,
        inland=attributes.inland,
        replaces=attributes.replaces,
        corrects=attributes.corrects,
        eta_ms=to_ms(attributes.eta) if attributes.eta else None,
        not_before_ms=to_ms(attributes.not_before) if attributes.not_before else None,
        not_after_ms=to_ms(attributes.not_after) if attributes.not_after else None,
        occurred_ms=to_ms(attributes.occurred_at) if attributes.occurred_at else None,
    )
