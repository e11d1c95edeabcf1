"""A small log made by hand, record by record, for the tests of the audit room; must not hide what is written."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from consumers.intake import fact_of as message_of
from eventlog.memory import MemoryLog
from gateway.answers import parse_page
from lane.identity import parse_wire_key, wire_key
from lane.state import NEVER, Message
from lane.view import LaneView
from schemas.cloudevents import to_headers
from schemas.codec import Codec, encode, schema_entries
from schemas.facts import (
    AnswerGiven,
    AnswerOutcome,
    AnswersReceived,
    BulletinRead,
    Fact,
    LaneTaken,
    NoticeState,
    OutageDeclared,
    OutageResolved,
    Outcome,
    PolicyAdopted,
    Scope,
    SendIntended,
    SendResult,
    SendsConcluded,
    Source,
    StatusAnswered,
    StatusGiven,
)
from schemas.messages import from_ms, parse_attributes
from schemas.responses import page_entry, status_entry
from schemas.streams import BULLETINS, DESK, RESPONSES, SCHEMAS, Entry, inbound, lane
from schemas.wire import Page

START_MS = 1_700_000_000_000
SECOND_MS = 1_000
GATEWAY = "test"


class World:
    """A log with one lane in use, and the fold beside it, for tests that need to know what was granted."""

    def __init__(self, mode: str = "highway") -> None:
        self.now_ms = START_MS
        self.log = MemoryLog(lambda: self.now_ms)
        self.codec = Codec()
        self.mode = mode
        self.view = LaneView(mode, self.codec.decode)
        self.epoch = 0
        self.issue = 0
        self.marks: dict[str, int] = {}
        self.seq = 0
        self.policy_at = NEVER
        self.log.append(SCHEMAS, schema_entries())

    def write(self, fact: Fact) -> int:
        """Append a fact to the lane; the fold reads it at once."""
        position = self.log.append(lane(self.mode), [Entry(encode(fact))])[0]
        self.view.absorb(self.log.read(lane(self.mode), position, 1, 0.0))
        return position

    def source(self, stream: str, position: int) -> Source:
        """Continue the lane's chain of a source."""
        source = Source(stream=stream, position=position, previous=self.marks.get(stream, NEVER))
        self.marks[stream] = position
        return source

    def pass_time(self, seconds: float = 1) -> None:
        """Let time go by."""
        self.now_ms += round(seconds * SECOND_MS)

    def publish(self, key: str, kind: str = "other", *, payload: bytes = b"ISA*00*", **fields: Any) -> int:
        """Publish a message and take it in; the lane position of its fact."""
        attributes = parse_attributes({"key": key, "tenant": "acme", "mode": self.mode, "kind": kind, **fields})
        headers = to_headers(attributes, datetime.fromtimestamp(self.now_ms / 1000, UTC))
        position = self.log.append(inbound(self.mode), [Entry(payload, headers)])[0]
        return self.take_in(position)

    def take_in(self, position: int) -> int:
        """Make the fact of an inbound record."""
        record = self.log.fetch(inbound(self.mode), [position])[0]
        return self.write(message_of(record, self.source(inbound(self.mode), position), mode=self.mode, at_ms=self.now_ms))

    def take(self) -> None:
        """Take the lane's lease."""
        self.epoch += 1
        seen = self.view.next_position
        basis = self.view.state.lease
        self.write(
            LaneTaken(at_ms=self.now_ms, epoch=self.epoch, holder="h", basis="free" if basis.released else "dead", seen=seen)
        )

    def intend(self, *messages: int) -> int:
        """Write an intent."""
        self.issue += 1
        return self.write(SendIntended(at_ms=self.now_ms, epoch=self.epoch, issue=self.issue, messages=messages))

    def conclude(self, message: int, grant: int, result: SendResult = "transmitted", **fields: Any) -> int:
        """Write an outcome."""
        outcome = Outcome(message=message, grant=grant, result=result, age_ms=5, **fields)
        return self.write(SendsConcluded(at_ms=self.now_ms, epoch=self.epoch, outcomes=(outcome,)))

    def send(self, *messages: int) -> int:
        """Intend and transmit."""
        grant = self.intend(*messages)
        for message in messages:
            self.conclude(message, grant)
        return grant

    def page(self, answers: list[dict[str, Any]]) -> int:
        """Keep a page of answers in [responses], chained."""
        items = [
            {"seq": self.seq + number, "receiver": "acme", "code": "", "text": "", "at": from_ms(self.now_ms), **answer}
            for number, answer in enumerate(answers, 1)
        ]
        previous, self.seq = self.seq, self.seq + len(items)
        raw = json.dumps({"next": self.seq, "responses": items}).encode()
        page = Page(raw=raw, previous_seq=previous, last_seq=self.seq, count=len(items))
        return self.log.append(RESPONSES, [page_entry(GATEWAY, page)])[0]

    def read_page(self, position: int) -> int:
        """Make the lane's fact of a page."""
        given = []
        for answer in parse_page(self.log.fetch(RESPONSES, [position])[0].value):
            named = parse_wire_key(answer.wire_key or "")
            if named is not None and named[0] == self.mode:
                given.append(
                    AnswerGiven(
                        tenant=named[1], key=named[2], submission=named[3], outcome=answer.outcome, code=answer.code,
                        text=answer.text, seq=answer.seq, answered_ms=answer.at_ms,
                    )
                )  # fmt: skip
        source = self.source(RESPONSES, position)
        return self.write(AnswersReceived(at_ms=self.now_ms, source=source, gateway=GATEWAY, answers=tuple(given)))

    def message(self, position: int) -> Message:
        """The fold's message at a position."""
        return self.view.state.messages[position]

    def answer(self, message: int, outcome: str = "captured", **fields: Any) -> int:
        """Let CBSA answer a message: a page, and the lane's fact of it."""
        key = wire_key(self.mode, self.message(message))
        named = {"idempotency_key": key, "receiver": self.message(message).tenant}
        return self.read_page(self.page([{**named, "outcome": outcome, **fields}]))

    def status(self, message: int, *, known: bool, outcome: AnswerOutcome | None = None) -> int:
        """Ask CBSA and write what it told."""
        raw = json.dumps({"known": known, "outcome": outcome}).encode()
        evidence = self.log.append(RESPONSES, [status_entry(GATEWAY, "k", raw)])[0]
        given = StatusGiven(
            message=message,
            grant=self.message(message).grant,
            known=known,
            outcome=outcome,
            evidence=evidence,
        )
        return self.write(StatusAnswered(at_ms=self.now_ms, epoch=self.epoch, answers=(given,)))

    def notice(self, number: str, state: NoticeState, *scopes: Scope) -> int:
        """A notice from its text over the desk into the lane; the lane position of the copy."""
        text = f"{number} {state} {self.now_ms}".encode()
        raw = self.log.append(BULLETINS, [Entry(text)])[0]
        read = BulletinRead(
            at_ms=self.now_ms, source=Source(stream=BULLETINS, position=raw, previous=raw - 1), number=number, state=state,
            title=number, scopes=scopes, findings=(), sha256=hashlib.sha256(text).hexdigest(), received_ms=self.now_ms,
        )  # fmt: skip
        position = self.log.append(DESK, [Entry(encode(read))])[0]
        source = self.source(DESK, position)
        if state == "resolved":
            return self.write(
                OutageResolved(at_ms=self.now_ms, source=source, incident=number, title=number, received_ms=self.now_ms)
            )
        return self.write(
            OutageDeclared(
                at_ms=self.now_ms, source=source, incident=number, title=number, scopes=scopes, received_ms=self.now_ms
            )
        )

    def adopt(self, policy: str) -> int:
        """Adopt a policy on the desk and copy it into the lane."""
        fact = PolicyAdopted(at_ms=self.now_ms, policy=policy, person="olga", reason="test", basis=self.policy_at)
        self.policy_at = self.log.append(DESK, [Entry(encode(fact))])[0]
        return self.write(replace(fact, source=self.source(DESK, self.policy_at)))


def closes(component: str = "edi", **fields: Any) -> Scope:
    """A scope that closes a component inbound."""
    return Scope(component=component, direction="inbound", effect="unavailable", **fields)  # type: ignore[arg-type]
