"""Availability: notices become facts of the desk, and the desk's effective facts go to every lane; must not decide what closes.

`read_bulletins` makes one fact of each record of [bulletins] (R4), `copy_to_lane` copies each effective fact into its lane (R1).
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from consumers.notices import NoticeUnreadable, read_notice
from lane.state import NEVER
from lane.view import DeskView, LaneView
from schemas.codec import encode
from schemas.effects import Append, CatchUp, Follow, Read, Sleep, Worker
from schemas.facts import BulletinRead, BulletinUnread, Source
from schemas.messages import YEARS, to_ms
from schemas.streams import BULLETINS, DESK, Entry, Record, lane

READ_COUNT: Final = 100
"""Notices of one batch; CBSA issues a handful a day."""

READ_WAIT_S: Final = 1.0
"""Longest wait for a notice before the loop looks around."""

READ_BACK_WAIT_S: Final = 5.0
"""Longest wait for our own facts to come back; then the mark is looked at again."""

RETRY_WAIT_S: Final = 1.0
"""Wait after an error of the log."""


def read_bulletins(desk: DeskView) -> Worker:
    """Turn raw notices into facts of the desk, for ever; what can't be read is kept and shown to a person."""
    turn = yield [CatchUp("caught up", DESK)]
    while True:
        mark = desk.state.marks.get(BULLETINS, NEVER)
        turn = yield [Read("read", BULLETINS, mark + 1, READ_COUNT, READ_WAIT_S)]
        if turn.stopping:
            return
        done = turn.done[0]
        if done.error is None:
            records = done.result
            assert isinstance(records, (list, tuple))
            if not records:
                continue
            entries = tuple(_entries(records, previous=mark, at_ms=turn.at_ms))
            turn = yield [Append("append", DESK, entries)]
            done = turn.done[0]
        if done.error is not None:
            turn = yield [Sleep("retry", RETRY_WAIT_S)]
            turn = yield [CatchUp("caught up", DESK)]
            continue
        positions = done.positions
        turn = yield [Follow("read back", DESK, positions[-1], READ_BACK_WAIT_S)]


def copy_to_lane(desk: DeskView, view: LaneView) -> Worker:
    """Copy what is effective on the desk into a lane, for ever."""
    stream = lane(view.state.mode)
    turn = yield [CatchUp("desk", DESK)]
    turn = yield [CatchUp("lane", stream)]
    while True:
        copies = desk.state.copies_after(view.state.marks.get(DESK, NEVER))
        if copies:
            turn = yield [Append("append", stream, tuple(Entry(encode(fact)) for fact in copies))]
            if turn.done[0].error is not None:
                turn = yield [Sleep("retry", RETRY_WAIT_S)]
            turn = yield [CatchUp("lane", stream)]
        else:
            turn = yield [Follow("desk", DESK, desk.next_position, READ_WAIT_S)]
        if turn.stopping:
            return


def _entries(records: Sequence[Record], *, previous: int, at_ms: int) -> Iterator[Entry]:
    for record in records:
        source = Source(stream=BULLETINS, position=record.position, previous=previous)
        yield Entry(encode(fact_of(record, source, at_ms=at_ms)))
        previous = record.position


def fact_of(record: Record, source: Source, *, at_ms: int) -> BulletinRead | BulletinUnread:
    """What a raw notice says, or why it can't be read."""
    sha256 = hashlib.sha256(record.value).hexdigest()
    received_ms = _received_ms(record)
    try:
        notice = read_notice(record.value.decode("utf-8", "replace"), received_ms=received_ms)
    except NoticeUnreadable as unreadable:
        return BulletinUnread(at_ms=at_ms, source=source, sha256=sha256, received_ms=received_ms, reason=str(unreadable))
    return BulletinRead(
        at_ms=at_ms,
        source=source,
        number=notice.number,
        state=notice.state,
        title=notice.title,
        scopes=notice.scopes,
        findings=notice.findings,
        sha256=sha256,
        received_ms=received_ms,
        resolved_ms=notice.resolved_ms,
    )


def _received_ms(record: Record) -> int:
    """When the notice came in: as its header says with an offset and a year that we know, else as the log took it."""
    raw = record.header("received")
    if raw is None:
        return record.at_ms
    try:
        received = datetime.fromisoformat(raw.decode("ascii"))
    except ValueError:
        return record.at_ms
    if received.tzinfo is None or received.year not in YEARS:
        return record.at_ms
    return to_ms(received)
