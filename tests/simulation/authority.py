"""A CBSA in virtual time: the product's own register judges; the network loses, delays and doubles; must not know the lane."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.answers import cut_page
from gateway.authority_documents import TakenMessage, own_key_of
from gateway.authority_history import History, HistoryEntry
from gateway.authority_register import Register
from schemas.messages import Attributes
from schemas.wire import Page, StatusReply, Transmission, TransportReply, TransportResult
from tests.checker.history import NEVER_S, Attempt
from tests.simulation.clockwork import EPOCH_MS, Clockwork

NETWORK_S: Final = (0.001, 0.05)
"""How long a request or a reply is on its way."""

LATE_S: Final = (1.0, 9.5)
"""How long one that is late."""

AGAIN_LATE_S: Final = (1.0, 60.0)
"""How much later an answer comes once more."""

ANSWERS: Final = "answers"
"""What pollers wait for, in place of a stream's name."""

PAGE_COUNT: Final = 500

STATUS_FAILS_S: Final = 1.0
"""After how long a status query that gets lost is given up."""


@dataclass(slots=True)
class OnWire:
    """A send under way, as the wire sees it; times in virtual seconds."""

    wire_key: str
    sha256: str
    sender: str
    started_s: float
    is_alive: Callable[[], bool]
    ended_s: float = NEVER_S

    def attempt(self) -> Attempt:
        """What is kept of it: by the log's own clock."""
        epoch_s = EPOCH_MS / 1000
        return Attempt(
            wire_key=self.wire_key, sha256=self.sha256, sender=self.sender, started_s=epoch_s + self.started_s,
            ended_s=epoch_s + self.ended_s,
        )  # fmt: skip


class SimulatedAuthority:
    """The other end of the wire. `inbound` is what the channel does now: up, down (503) or refuse (no connection)."""

    def __init__(self, clockwork: Clockwork, *, can_query: bool = True) -> None:
        self.clockwork = clockwork
        self.register = Register()
        self.history = History(None)
        self.inbound = "up"
        self.can_query = can_query
        self.slow_answers_s = clockwork.odds.slow_answers_s
        self.rows: list[dict[str, Any]] = []
        self.sends: list[OnWire] = []

    def send(
        self, transmission: Transmission, *, sender: str, is_alive: Callable[[], bool], reply_to: Callable[[TransportReply], None]
    ) -> None:
        """One POST: it may be refused, lost, late, or its reply be lost; then the sender times out. A sender that has died has
        closed its connection: what it sent may still be taken."""
        clockwork, odds = self.clockwork, self.clockwork.odds
        started_s = clockwork.now_s
        if started_s > transmission.start_by_s:
            return reply_to(_reply("not_started", None, started_s, clockwork.now_s))
        self._note_deaths()
        digest = hashlib.sha256(transmission.payload).hexdigest()
        wire = OnWire(transmission.wire_key, digest, sender, started_s, is_alive)
        self.sends.append(wire)

        def finish(result: TransportResult, status: int | None) -> None:
            if wire.ended_s == NEVER_S:
                wire.ended_s = clockwork.now_s
                if clockwork.tell is not None:
                    clockwork.tell(f"wire: {wire.wire_key} by {sender}: {result} {status or ''}")
                reply_to(_reply(result, status, started_s, clockwork.now_s))

        def arrive() -> None:
            result, status = self._take(transmission)
            if clockwork.happens(odds.lost_reply):
                clockwork.saw("reply lost")
            else:
                clockwork.at(clockwork.rng.uniform(*NETWORK_S), finish, result, status)

        clockwork.at(transmission.within_s, finish, "unknown", None)
        if self.inbound == "refuse":
            clockwork.at(NETWORK_S[0], finish, "not_taken", None)
        elif clockwork.happens(odds.lost_request):
            clockwork.saw("request lost")
        elif clockwork.happens(odds.late_request):
            clockwork.saw("request late")
            clockwork.at(clockwork.rng.uniform(*LATE_S), arrive)
        else:
            clockwork.at(clockwork.rng.uniform(*NETWORK_S), arrive)
        return None

    def attempts(self) -> list[Attempt]:
        """Every send, as the wire saw it."""
        self._note_deaths()
        return [wire.attempt() for wire in self.sends]

    def query(self, wire_key: str, reply_to: Callable[[StatusReply], None]) -> None:
        """A status query; it may fail."""
        clockwork = self.clockwork
        if clockwork.happens(clockwork.odds.lost_reply) or self.inbound == "refuse":
            clockwork.saw("status query lost")
            return clockwork.at(STATUS_FAILS_S, reply_to, StatusReply(raw=b"", known=None, outcome=None))

        def answer() -> None:
            entry = self.history.first(wire_key)
            outcome = entry.verdict.outcome if entry and entry.verdict else None
            clockwork.saw("status known" if entry else "status unknown")
            raw = json.dumps({"known": entry is not None, "outcome": outcome}).encode()
            reply_to(StatusReply(raw=raw, known=entry is not None, outcome=outcome))

        clockwork.at(clockwork.rng.uniform(*NETWORK_S), answer)
        return None

    def file_elsewhere(self, attributes: Attributes) -> None:
        """Another party files the document by another way: CBSA has it, and whoever files it here later hears *duplicate*."""
        self.clockwork.saw("filed elsewhere")
        keys = {role: tuple(listed) for role, listed in attributes.keys.items()}
        wire_key = f"{attributes.mode}/elsewhere/{attributes.key}"
        message = TakenMessage(
            wire_key=wire_key, tenant="elsewhere", mode=attributes.mode, kind=attributes.kind, channel="edi",
            function=attributes.function, keys=keys, sha256="", own=own_key_of(attributes.kind, keys, wire_key),
        )  # fmt: skip
        self.history.judged(self.history.take(message, ""), self.register.judge(message))

    def page(self, after: int) -> Page | None:
        """A poll; None when it got lost."""
        if self.clockwork.happens(self.clockwork.odds.lost_reply):
            return None
        rows = self.rows[after : after + PAGE_COUNT]
        if not rows:
            return Page(raw=b"", previous_seq=after, last_seq=after, count=0)
        body = json.dumps({"next": rows[-1]["seq"], "responses": rows}).encode()
        return cut_page(body, after)

    def _note_deaths(self) -> None:
        """The connection of a process that died ended with it, at some moment before this one."""
        for wire in self.sends:
            if wire.ended_s == NEVER_S and not wire.is_alive():
                wire.ended_s = self.clockwork.now_s

    def _take(self, transmission: Transmission) -> tuple[TransportResult, int]:
        if self.inbound != "up":
            return "not_taken", 503
        message = _taken(transmission)
        first = self.history.first(message.wire_key)
        entry = self.history.take(message, "")
        if first is not None:
            self.clockwork.saw("key came twice")
            self._answer(message.wire_key, message.tenant, outcome="duplicate", code="DUP", text="this key was taken before")
        else:
            self._judge(entry)
        return "transmitted", 202

    def _judge(self, entry: HistoryEntry) -> None:
        clockwork, odds = self.clockwork, self.clockwork.odds
        verdict = self.register.judge(entry.message)
        self.history.judged(entry, verdict)
        clockwork.saw(verdict.outcome)
        said = {"outcome": verdict.outcome, "code": verdict.code, "text": verdict.text}
        wire_key, tenant = entry.message.wire_key, entry.message.tenant
        self._answer(wire_key, tenant, **said)
        if clockwork.happens(odds.twice):
            clockwork.saw("answer twice")
            self._answer(wire_key, tenant, **said)
        if clockwork.happens(odds.again_late):
            clockwork.saw("answer once more, late")
            clockwork.at(clockwork.rng.uniform(*AGAIN_LATE_S), lambda: self._answer(wire_key, tenant, **said))
        if clockwork.happens(odds.stranger):
            clockwork.saw("answer for an unknown key")
            self._answer(f"{wire_key}-nobody", tenant, **said)

    def _answer(self, wire_key: str, tenant: str, *, outcome: str, code: str, text: str) -> None:
        self.clockwork.at(self.clockwork.rng.random() * self.slow_answers_s, self._put, wire_key, tenant, (outcome, code, text))

    def _put(self, wire_key: str, tenant: str, said: tuple[str, str, str]) -> None:
        outcome, code, text = said
        self.rows.append({
            "seq": len(self.rows) + 1, "idempotency_key": wire_key, "receiver": tenant, "outcome": outcome, "code": code,
            "text": text, "payload_base64": None, "at": "2025-11-24T15:00:00.000Z",
        })  # fmt: skip
        self.clockwork.wake(ANSWERS)


def _taken(transmission: Transmission) -> TakenMessage:
    keys = json.loads(transmission.keys)
    return TakenMessage(
        wire_key=transmission.wire_key,
        tenant=transmission.tenant,
        mode=transmission.mode,
        kind=transmission.kind,
        channel=transmission.channel,
        function=transmission.function,
        keys={role: tuple(listed) for role, listed in keys.items()},
        sha256=hashlib.sha256(transmission.payload).hexdigest(),
        own=own_key_of(transmission.kind, keys, transmission.wire_key),
    )


def _reply(result: TransportResult, status: int | None, started_s: float, ended_s: float) -> TransportReply:
    return TransportReply(result=result, status=status, detail=result, started_s=started_s, ended_s=ended_s)
