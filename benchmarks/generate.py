"""A log of years in minutes: N facts of one lane and the records they came from, straight through the engine's own append.

`python -m benchmarks.generate DIR --facts 10000000` writes an embedded log; simulated days pass at a steady rate. Of a hundred
trips of three shipments and a conveyance, 60 are granted, concluded and answered message by message and the rest in groups; two
have a message that is rejected and corrected, one has an unknown that a status query ends. A notice closes EDI for two hours
every thirty days; once a day the lease changes hands and the horizon moves.
"""

import argparse
import hashlib
import json
import random
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from eventlog.port import BATCH_COUNT_MAX, EventLog
from eventlog.sqlite import SqliteLog
from lane.policy import Policy
from schemas.codec import encode, schema_entries
from schemas.facts import (
    MEMBERS_COUNT_MAX,
    AnswerGiven,
    AnswersReceived,
    BulletinRead,
    HorizonMoved,
    LaneFact,
    LaneTaken,
    MessageReceived,
    OutageDeclared,
    OutageResolved,
    Outcome,
    Scope,
    SendIntended,
    SendsConcluded,
    Source,
    StatusAnswered,
    StatusGiven,
)
from schemas.responses import page_entry
from schemas.streams import BULLETINS, DESK, RESPONSES, SCHEMAS, Entry, inbound, lane
from schemas.wire import Page

BEGINS_MS: Final = 1_600_000_000_000
"""When the log's simulated days begin."""

DAY_MS: Final = 86_400_000
HORIZON_MS: Final = Policy().horizon_ms
STAMP_MS: Final = DAY_MS // 4
"""Longest stretch of simulated time that goes into one append: the log's own clock stamps all of it with its end."""

OUTAGE_EACH_DAYS: Final = 30
OUTAGE_MS: Final = 2 * 3_600_000
GATEWAY: Final = "bench"


class Put(NamedTuple):
    """One record for a stream."""

    stream: str
    entry: Entry


class Town:
    """Writes one lane's history, fact after fact; knows only the positions that it has used."""

    def __init__(self, mode: str, *, trips_a_day: int, seed: int = 1) -> None:
        self.mode = mode
        self.now_ms = BEGINS_MS
        self.facts = 0
        self.messages = 0
        self._dice = random.Random(seed)
        self._step_ms = DAY_MS // trips_a_day
        self._next: dict[str, int] = {}
        self._marks: dict[str, int] = {}
        self._finished: deque[tuple[int, int]] = deque()
        self._epoch = 0
        self._seq = 0
        self._day = -1
        self._text = {kind: hashlib.sha256(kind.encode()).hexdigest() for kind in ("bytes", "attributes")}

    def records(self, count: int) -> Iterator[Put]:
        """Records until the lane has so many facts; sources stand before the facts made from them."""
        trip = 0
        while self.facts < count:
            self.now_ms += self._step_ms
            day = (self.now_ms - BEGINS_MS) // DAY_MS
            if day != self._day:
                self._day = day
                yield from self._morning(day)
            trip += 1
            yield from self._trip(trip)

    def _morning(self, day: int) -> Iterator[Put]:
        self._epoch += 1
        end = self._next.get(lane(self.mode), 0)
        yield self._say(
            LaneTaken(at_ms=self.now_ms, epoch=self._epoch, holder=f"bench-{day}", basis="dead" if day else "free", seen=end)
        )
        yield from self._horizon()
        if day % OUTAGE_EACH_DAYS == OUTAGE_EACH_DAYS - 1:
            yield from self._outage(f"TCC{day:06}")

    def _horizon(self) -> Iterator[Put]:
        """What finished 120 days ago leaves the fold, with its keys."""
        before_ms = (self.now_ms - HORIZON_MS) // DAY_MS * DAY_MS
        while self._finished and self._finished[0][0] < before_ms:
            members: list[int] = []
            while self._finished and self._finished[0][0] < before_ms and len(members) < MEMBERS_COUNT_MAX:
                members.append(self._finished.popleft()[1])
            yield self._say(HorizonMoved(at_ms=self.now_ms, before_ms=before_ms, messages=tuple(members)))

    def _outage(self, number: str) -> Iterator[Put]:
        scope = Scope(component="edi", direction="inbound", effect="unavailable")
        common: dict[str, Any] = {"incident": number, "title": "EDI inbound outage", "received_ms": self.now_ms}
        source = yield from self._notice(number, "open", (scope,))
        yield self._say(OutageDeclared(at_ms=self.now_ms, source=source, scopes=(scope,), **common))
        self.now_ms += OUTAGE_MS
        source = yield from self._notice(number, "resolved", ())
        yield self._say(OutageResolved(at_ms=self.now_ms, source=source, **common))

    def _notice(self, number: str, state: Any, scopes: tuple[Scope, ...]) -> Any:
        text = f"{number} {state}".encode()
        source = self._source(BULLETINS)
        yield Put(BULLETINS, Entry(text))
        read = BulletinRead(
            at_ms=self.now_ms, source=source, number=number, state=state, title="EDI inbound outage", scopes=scopes, findings=(),
            sha256=hashlib.sha256(text).hexdigest(), received_ms=self.now_ms,
        )  # fmt: skip
        copied = self._source(DESK)
        yield Put(DESK, Entry(encode(read)))
        return copied

    def _trip(self, number: int) -> Iterator[Put]:
        """Three shipments and the conveyance that lists them."""
        ccns = tuple(f"BNCH{number:09}{letter}" for letter in "ABC")
        tenant = f"tenant-{number % 40:02}"
        luck = self._dice.random()
        cargo: list[int] = []
        for ccn in ccns:
            position = yield from self._receive(tenant, ccn, "cargo", {"ccn": (ccn,)})
            cargo.append(position)
        trip = yield from self._receive(tenant, f"T{number:09}", "conveyance", {"crn": (f"BNCH{number:09}T",), "ccn": ccns})
        names = [*ccns]
        if luck < 0.02:
            yield from self._send(tenant, cargo[:1], names[:1], outcome="rejected")
            fixed = yield from self._receive(tenant, f"{ccns[0]}-2", "cargo", {"ccn": ccns[:1]}, corrects=ccns[0])
            cargo, names = [fixed, *cargo[1:]], [f"{ccns[0]}-2", *names[1:]]
        elif luck < 0.03:
            yield from self._unknown(cargo[0])
            cargo, names = cargo[1:], names[1:]
        if luck < 0.40:
            yield from self._send(tenant, cargo, names)
        else:
            for position, name in zip(cargo, names, strict=True):
                yield from self._send(tenant, [position], [name])
        yield from self._send(tenant, [trip], [f"T{number:09}"])

    def _receive(self, tenant: str, key: str, kind: Any, keys: dict[str, tuple[str, ...]], corrects: str | None = None) -> Any:
        """Publish a message and take it in. Returns its position."""
        yield Put(inbound(self.mode), Entry(b"-"))
        self.messages += 1
        self.now_ms += 1
        fact = MessageReceived(
            at_ms=self.now_ms, source=self._source(inbound(self.mode)), tenant=tenant, key=key, kind=kind, function="original",
            channel="edi", document=next(iter(keys.values()))[0], keys=keys, content_type="application/edi-x12",
            sha256=self._text["bytes"], attributes_sha256=self._text["attributes"], size_bytes=1, received_ms=self.now_ms,
            corrects=corrects,
        )  # fmt: skip
        yield self._say(fact)
        return self._next[lane(self.mode)] - 1

    def _send(self, tenant: str, positions: list[int], keys: list[str], outcome: Any = "captured") -> Iterator[Put]:
        """An intent, its outcomes and CBSA's answers."""
        grant = yield from self._intend(positions)
        self.now_ms += 20
        outcomes = tuple(
            Outcome(message=position, grant=grant, result="transmitted", status=202, age_ms=4) for position in positions
        )
        yield self._say(SendsConcluded(at_ms=self.now_ms, epoch=self._epoch, outcomes=outcomes))
        self.now_ms += 200
        page, answers = self._page(tenant, keys, outcome)
        source = self._source(RESPONSES)
        yield Put(RESPONSES, page_entry(GATEWAY, page))
        yield self._say(AnswersReceived(at_ms=self.now_ms, source=source, gateway=GATEWAY, answers=answers))
        self._finished.extend((self.now_ms, position) for position in positions)

    def _page(self, tenant: str, keys: list[str], outcome: Any) -> tuple[Page, tuple[AnswerGiven, ...]]:
        """CBSA's answers as they are polled, and as a fact says them."""
        code, text = ("", "") if outcome == "captured" else ("T36", "weight missing")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now_ms // 1000))
        common = {"receiver": tenant, "outcome": outcome, "code": code, "text": text, "at": at}
        named = list(enumerate(keys, self._seq + 1))
        items = [{"seq": seq, "idempotency_key": f"{self.mode}/{tenant}/{key}", **common} for seq, key in named]
        previous_seq, self._seq = self._seq, named[-1][0]
        raw = json.dumps({"responses": items, "next": self._seq}).encode()
        answers = tuple(
            AnswerGiven(
                tenant=tenant, key=key, submission=1, outcome=outcome, code=code, text=text, seq=seq,
                answered_ms=self.now_ms // 1000 * 1000,
            )
            for seq, key in named
        )  # fmt: skip
        return Page(raw=raw, previous_seq=previous_seq, last_seq=self._seq, count=len(items)), answers

    def _unknown(self, position: int) -> Iterator[Put]:
        """A send that nobody answered, and the status query that says it was captured."""
        grant = yield from self._intend([position])
        self.now_ms += 10_000
        outcome = Outcome(message=position, grant=grant, result="unknown", detail="no reply within 10 s")
        yield self._say(SendsConcluded(at_ms=self.now_ms, epoch=self._epoch, outcomes=(outcome,)))
        given = StatusGiven(message=position, grant=grant, known=True, outcome="captured", evidence=0)
        yield self._say(StatusAnswered(at_ms=self.now_ms, epoch=self._epoch, answers=(given,)))
        self._finished.append((self.now_ms, position))

    def _intend(self, positions: list[int]) -> Any:
        """Returns the intent's position, which names the grants."""
        issue = self._next.get(lane(self.mode), 0)
        yield self._say(SendIntended(at_ms=self.now_ms, epoch=self._epoch, issue=issue, messages=tuple(positions)))
        return issue

    def _say(self, fact: LaneFact) -> Put:
        self.facts += 1
        stream = lane(self.mode)
        self._next[stream] = self._next.get(stream, 0) + 1
        return Put(stream, Entry(encode(fact)))

    def _source(self, stream: str) -> Source:
        previous = self._marks.get(stream, -1)
        self._marks[stream] = previous + 1
        return Source(stream=stream, position=previous + 1, previous=previous)


def lane_facts(mode: str, count: int, *, trips_a_day: int) -> Iterator[bytes]:
    """The lane's facts alone, encoded, for who folds them without an engine."""
    stream = lane(mode)
    return (put.entry.value for put in Town(mode, trips_a_day=trips_a_day).records(count) if put.stream == stream)


def write(log: EventLog, town: Town, count: int) -> None:
    """Append so many facts and their sources; sources first, so that no moment shows a fact without its record."""
    log.append(SCHEMAS, schema_entries())
    waiting: dict[str, list[Entry]] = {}
    target, flushed_ms = lane(town.mode), town.now_ms
    for put in town.records(count):
        waiting.setdefault(put.stream, []).append(put.entry)
        if len(waiting.get(target, ())) >= BATCH_COUNT_MAX - 50 or town.now_ms - flushed_ms >= STAMP_MS:
            _flush(log, waiting, target)
            flushed_ms = town.now_ms
    _flush(log, waiting, target)


def _flush(log: EventLog, waiting: dict[str, list[Entry]], target: str) -> None:
    for stream in sorted(waiting, key=lambda each: each == target):
        for start in range(0, len(waiting[stream]), BATCH_COUNT_MAX):
            log.append(stream, waiting[stream][start : start + BATCH_COUNT_MAX])
    waiting.clear()


def main() -> None:
    """Write a log and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--facts", type=int, default=1_000_000)
    parser.add_argument("--mode", default="highway")
    parser.add_argument("--trips-a-day", type=int, default=1_250, help="four messages each")
    arguments = parser.parse_args()
    town = Town(arguments.mode, trips_a_day=arguments.trips_a_day)
    log = SqliteLog.open(arguments.folder, lambda: town.now_ms)
    if log.end(lane(arguments.mode)):
        parser.error(f"{arguments.folder} holds a log with facts already; name a new folder")
    started = time.monotonic()
    write(log, town, arguments.facts)
    log.close()
    size = sum(each.stat().st_size for each in arguments.folder.iterdir())
    took_s = time.monotonic() - started
    days = (town.now_ms - BEGINS_MS) / DAY_MS
    print(
        f"{town.facts:,} facts of {town.messages:,} messages in {days:,.0f} simulated days, {size / 1e6:,.0f} MB, {took_s:.0f} s"
    )


if __name__ == "__main__":
    main()
