"""Judges a log that came through a failure by what its clients were told; must not know what failed, or how.

I1a: what was acknowledged, or shown to a reader, is there, at its positions, byte for byte. I1c: what was not is there whole and
once, or not at all. Positions are dense, the log opens by itself and takes appends again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from eventlog import sqlite_file
from eventlog.port import LogError
from eventlog.sqlite import SqliteLog
from schemas.streams import DESK, SCHEMAS, Entry, Record, inbound
from tests.fault.disk_plan import Batch, named_by, value_of
from tests.fault.disk_writers import Notes, everything

AFTERWARDS: Final = 10_000_000
"""Numbers of the batches that are appended when all is over: no plan has so many."""

LATER_MS: Final = 1_000_000
"""The log's clock then."""


@dataclass(slots=True)
class Promised:
    """What must be in a log, by stream and position, and which batches `may` be, by number. `ends`: how far a reader had seen."""

    batches: Mapping[int, Batch]
    must: dict[tuple[str, int], Record] = field(default_factory=dict)
    may: set[int] = field(default_factory=set)
    ends: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "Promised":
        """Another that goes its own way from here."""
        return Promised(dict(self.batches), dict(self.must), set(self.may), dict(self.ends))


@dataclass(slots=True)
class Verdict:
    """Sentences of what is broken, and how many batches were there though nobody had been told so."""

    broken: list[str] = field(default_factory=list)
    kept: int = 0
    unacknowledged: int = 0
    records: dict[str, list[Record]] = field(default_factory=dict)


def promised(notes: Notes, batches: Mapping[int, Batch], *, at: int) -> Promised:
    """What a log must and may hold when its disk stops after so many changes."""
    found = Promised(batches)
    for told in notes.told:
        if told.at <= at:
            stream = batches[told.number].stream
            found.must.update({(stream, record.position): record for record in told.records})
    found.may = {number for number, issued_at in notes.issued.items() if issued_at <= at}
    for seen_at, stream, end in notes.seen:
        if seen_at <= at:
            found.ends[stream] = max(end, found.ends.get(stream, 0))
    return found


def judge(folder: Path, promise: Promised, *, take: bool = True) -> Verdict:
    """Open the log of the folder with the real disk, read all of it, and append again unless told not to `take`."""
    verdict = Verdict()
    try:
        log = SqliteLog.open(folder, lambda: LATER_MS)
        try:
            verdict.records = everything(log)
            _compare(verdict, promise)
            if take:
                _append_again(log, verdict)
        finally:
            log.close()
    except Exception as error:  # noqa: BLE001 (an error that is not the port's is broken too)
        kind = "" if isinstance(error, LogError) else ", which is not an answer of the port's"
        verdict.broken.append(f"I1a: the log can't be opened or read: {type(error).__name__}{kind}: {error}")
    else:
        verdict.broken += _damages(folder)
    return verdict


def _compare(verdict: Verdict, promise: Promised) -> None:
    for (stream, position), record in promise.must.items():
        if stream == SCHEMAS:
            continue
        found = verdict.records[stream]
        if position >= len(found):
            verdict.broken.append(f"I1a: {stream} ends at {len(found)} and a client was told of position {position}")
        elif found[position] != record:
            verdict.broken.append(f"I1a: position {position} of {stream} is not what a client was told of it")
        verdict.kept += 1
    for stream, end in promise.ends.items():
        if stream != SCHEMAS and len(verdict.records[stream]) < end:
            verdict.broken.append(f"I1a: {stream} ends at {len(verdict.records[stream])} and a reader had seen its end at {end}")
    for stream, records in verdict.records.items():
        if stream == SCHEMAS:
            _compare_compacted(verdict, promise)
        else:
            _whole(verdict, stream, records, promise)


def _whole(verdict: Verdict, stream: str, records: list[Record], promise: Promised) -> None:
    """Dense positions, and each batch as it was handed over, at once, one after the other."""
    told = {record.value for (name, _), record in promise.must.items() if name == stream}
    seen: set[int] = set()
    at = 0
    while at < len(records):
        if records[at].position != at:
            verdict.broken.append(f"I1e: record {at} of {stream} has position {records[at].position}")
            return
        batch = _batch_of(records[at], stream, promise)
        if batch is None or batch.number in seen:
            what = "was written twice" if batch is not None else "is of no batch that was handed over"
            verdict.broken.append(f"I1c: the record at {at} of {stream} {what} ({records[at].value[:40]!r})")
            return
        here = records[at : at + len(batch.entries)]
        if [_entry(record) for record in here] != list(batch.entries):
            verdict.broken.append(f"I1c: at {at} of {stream} stands a part of batch {batch.number}, or other bytes")
            return
        seen.add(batch.number)
        verdict.unacknowledged += here[0].value not in told
        at += len(here)


def _batch_of(record: Record, stream: str, promise: Promised) -> Batch | None:
    try:
        number, _ = named_by(record.value)
    except ValueError:
        return None
    batch = promise.batches.get(number)
    return batch if batch is not None and batch.stream == stream and number in promise.may else None


def _compare_compacted(verdict: Verdict, promise: Promised) -> None:
    """The latest record of each key is the last that was acknowledged, or a later one."""
    found = {record.key: record for record in verdict.records[SCHEMAS]}
    for record in found.values():
        batch = _batch_of(record, SCHEMAS, promise)
        if batch is None or _entry(record) not in batch.entries:
            verdict.broken.append(f"I1c: {SCHEMAS} holds a record that nobody wrote ({record.value[:40]!r})")
    last = {record.key: record for (stream, _), record in sorted(promise.must.items()) if stream == SCHEMAS}
    for key, record in last.items():
        latest = found.get(key)
        if latest is None or latest.position < record.position or (latest.position == record.position and latest != record):
            verdict.broken.append(f"I1a: {SCHEMAS} lacks the record at {record.position}, of which a client was told")


def _entry(record: Record) -> Entry:
    return Entry(record.value, tuple((name, value or b"") for name, value in record.headers), record.key)


def _append_again(log: SqliteLog, verdict: Verdict) -> None:
    """It goes on where it stands."""
    for stream in (DESK, inbound("highway")):
        end = len(verdict.records[stream])
        entries = [Entry(value_of(AFTERWARDS, part, b"")) for part in range(2)]
        positions = tuple(log.append(stream, entries))
        if positions != (end, end + 1) or [_entry(each) for each in log.read(stream, end, 10, 0.0)] != entries:
            verdict.broken.append(f"the log goes on in {stream} at {positions}, and it ended at {end}")


def _damages(folder: Path) -> list[str]:
    """What SQLite's own look at every page and index finds."""
    connection = apsw.Connection(str(folder / sqlite_file.FILE_NAME))
    try:
        said = connection.execute("PRAGMA integrity_check").get
    finally:
        connection.close()
    return [] if said == "ok" else [f"I1a: the database is damaged: {said}"]
