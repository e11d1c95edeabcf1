"""A CBSA in virtual time: the product's own register judges; the network loses, delays and doubles; must not know the lane."""

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.answers import cut_page
from gateway.authority_documents import TakenMessage, own_key_of
from gateway.authority_history import History, HistoryEntry
from gateway.authority_register import Register
from schemas.wire import Page, StatusReply, Transmission, TransportReply, TransportResult

if TYPE_CHECKING:
    from tests.simulation.clockwork import Clockwork

TAU_S = 10.0
"""When a sender gives up waiting for a reply (R60)."""


class SimulatedAuthority:
    """The other end of the wire. `inbound` is what the channel does now: up, down (503) or refuse (no connection)."""

    def __init__(self, clockwork: "Clockwork") -> None:
        self.clockwork = clockwork
        rng = clockwork.rng
        self.register = Register()
        self.history = History(None)
        self.inbound = "up"
        self.can_query = rng.random() < 0.8
        self.lost_request = rng.choice((0, 0, 0.02, 0.1))
        self.lost_reply = rng.choice((0, 0, 0.02, 0.1))
        self.late_request = rng.choice((0, 0, 0.02))
        self.twice = rng.choice((0, 0, 0.05))
        self.slow_answers_s = rng.choice((0.05, 0.05, 2.0, 40.0))
        self.rows: list[dict[str, Any]] = []
        self.on_wire: dict[str, list[Callable[[], bool]]] = {}
        self.overlaps: list[str] = []
        self.arrivals: list[tuple[float, str]] = []

    def send(
        self, transmission: Transmission, reply_to: Callable[[TransportReply], None], *, is_alive: Callable[[], bool]
    ) -> None:
        """One POST: it may be refused, lost, late, or its reply be lost; then the sender times out. A sender that has died has
        closed its connection: what it sent may still be taken."""
        clockwork, rng = self.clockwork, self.clockwork.rng
        started_s = clockwork.now_s
        if started_s > transmission.start_by_s:
            return reply_to(_reply("not_started", None, started_s, clockwork.now_s))
        key = transmission.wire_key
        senders = self.on_wire.setdefault(key, [])
        if any(alive() for alive in senders):
            self.overlaps.append(key)
        senders.append(is_alive)
        answered = False

        def finish(result: TransportResult, status: int | None) -> None:
            nonlocal answered
            if not answered:
                answered = True
                senders.remove(is_alive)
                reply_to(_reply(result, status, started_s, clockwork.now_s))

        def arrive() -> None:
            result, status = self._take(transmission)
            if self._happens(self.lost_reply):
                clockwork.saw("reply lost")
            else:
                clockwork.at(rng.uniform(0.001, 0.05), lambda: finish(result, status))

        clockwork.at(TAU_S, lambda: finish("unknown", None))
        if self.inbound == "refuse":
            clockwork.at(0.001, lambda: finish("not_taken", None))
        elif self._happens(self.lost_request):
            clockwork.saw("request lost")
        elif self._happens(self.late_request):
            clockwork.saw("request late")
            clockwork.at(rng.uniform(1, 9.5), arrive)
        else:
            clockwork.at(rng.uniform(0.001, 0.05), arrive)
        return None

    def query(self, wire_key: str, reply_to: Callable[[StatusReply], None]) -> None:
        """A status query; it may fail."""
        if self._happens(self.lost_reply) or self.inbound == "refuse":
            return self.clockwork.at(1.0, lambda: reply_to(StatusReply(raw=b"", known=None, outcome=None)))

        def answer() -> None:
            entry = self.history.first(wire_key)
            outcome = entry.verdict.outcome if entry and entry.verdict else None
            raw = json.dumps({"known": entry is not None, "outcome": outcome}).encode()
            reply_to(StatusReply(raw=raw, known=entry is not None, outcome=outcome))

        self.clockwork.at(self.clockwork.rng.uniform(0.001, 0.05), answer)
        return None

    def page(self, after: int) -> Page | None:
        """A poll; None when it got lost."""
        if self._happens(self.lost_reply):
            return None
        rows = self.rows[after : after + 500]
        body = json.dumps({"next": rows[-1]["seq"] if rows else after, "responses": rows}).encode()
        return cut_page(body, after)

    def _take(self, transmission: Transmission) -> tuple[TransportResult, int]:
        self.arrivals.append((self.clockwork.now_s, transmission.wire_key))
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
        verdict = self.register.judge(entry.message)
        self.history.judged(entry, verdict)
        if verdict.outcome == "rejected":
            self.clockwork.saw("rejected")
        for _ in range(2 if self._happens(self.twice) else 1):
            self._answer(
                entry.message.wire_key, entry.message.tenant, outcome=verdict.outcome, code=verdict.code, text=verdict.text
            )

    def _answer(self, wire_key: str, tenant: str, *, outcome: str, code: str, text: str) -> None:
        def put() -> None:
            row = {
                "seq": len(self.rows) + 1, "idempotency_key": wire_key, "receiver": tenant, "outcome": outcome, "code": code,
                "text": text, "payload_base64": None, "at": "2025-11-24T15:00:00.000Z",
            }  # fmt: skip
            self.rows.append(row)
            self.clockwork.wake("answers")

        self.clockwork.at(self.clockwork.rng.uniform(0, self.slow_answers_s), put)

    def _happens(self, odds: float) -> bool:
        return not self.clockwork.calm and self.clockwork.rng.random() < odds


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
