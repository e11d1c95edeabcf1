"""The simulated authority's web service (INTERFACES section 4, and /v1/sim/ for tests); must not know order rules or the lane.

POST /v1/messages                    202, 400, 409, 429, 503 as INTERFACES says; header values are percent-decoded
GET  /v1/responses?after=N&wait=S    at most 500 answers
GET  /v1/messages/KEY                KEY percent-encoded
GET  /v1/history?after=N[&limit=M]
PUT  /v1/channels/NAME               what the body leaves out stays; GET /v1/channels lists all
PUT  /v1/sim/faults                  a plan of `authority_faults`; GET tells how often each struck
GET  /v1/sim/stats                   POSTs, bytes, connections, and the most POSTs of one key at a time
GET  /v1/sim/order-violations        what was captured in the wrong order (`authority_order`)
POST /v1/sim/answers                 {"idempotency_key", "receiver", "outcome", "code", "text", "channel"}: an answer of the
                                     test's making; a notice has no key
PUT  /v1/sim/listener                {"listening": false, "for_s": N}: the port is closed for N seconds, so connections are
                                     refused; every open connection is cut, and the state is kept
"""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, unquote

from gateway.authority_documents import TakenMessage, own_key_of
from gateway.authority_faults import TAKEN_BEFORE_FAULT, bounded, read_fault_plan
from gateway.authority_history import HISTORY_COUNT_MAX, AnswerRow, HistoryEntry, HistoryFull
from gateway.authority_intake import Authority
from gateway.authority_order import HistoryRow, order_violations
from gateway.authority_overlaps import Overlaps
from gateway.authority_server import Request, Response
from schemas.messages import FUNCTIONS, OWN_KEY
from schemas.streams import MODES

WAIT_MAX_S: Final = 60.0
"""Longest long poll: proxies cut silent connections not much later."""

GATHER_S: Final = 0.005
"""How long a poll that waited gathers answers after its first: pages of some dozens at full speed, not of one or two."""

ROWS_AT_ONCE: Final = 10_000
"""History rows written in one piece: some megabytes, whatever the history holds."""

CLOSED_MAX_S: Final = 300.0
"""Longest time without a listener: nobody could ask for it back sooner."""

CUT_S: Final = 0.05
"""Between cutting the connections and saying so: sockets close in the loop's next round, and who asked must not be faster."""

DRIP_INTERVAL_S: Final = 0.2
"""Between two bytes of a dripping reply: often enough that no idle time-out cuts it."""

ENDLESS_BYTES_MAX: Final = 1024**3
"""Where an endless body ends after all: 1 GiB (RELIABILITY G3), so that a forgotten test doesn't fill a disk or a memory."""

TAKEN: Final = Response(status=202)

CHUNK: Final = b"x" * 16_384

DRIPPING: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nX-Slow: " + b"-" * 10_000

Route: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class AuthorityService:
    """Answers requests; one instance per authority. `close_listener(for_s)` comes from who owns the listening socket."""

    def __init__(self, authority: Authority, *, close_listener: Callable[[float, Request], None]) -> None:
        self._authority = authority
        self._close_listener = close_listener
        self._overlaps = Overlaps()
        self._answered = asyncio.Event()
        authority.on_answer = self._answered.set
        self.connections_accepted = 0
        self._routes: Mapping[tuple[str, str], Route] = {
            ("GET", "/v1/responses"): self._responses,
            ("GET", "/v1/history"): self._history,
            ("GET", "/v1/channels"): self._channels,
            ("PUT", "/v1/sim/faults"): self._put_faults,
            ("GET", "/v1/sim/faults"): self._get_faults,
            ("GET", "/v1/sim/stats"): self._stats,
            ("GET", "/v1/sim/order-violations"): self._order_violations,
            ("POST", "/v1/sim/answers"): self._put_answer,
            ("PUT", "/v1/sim/listener"): self._listener,
        }

    def handle(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """Answer one request, a message at once where no fault makes it wait; what the sender got wrong is a 400."""
        if request.method == "POST" and request.target.partition("?")[0] == "/v1/messages":
            try:
                return self._post_message(request)
            except ValueError as exc:
                return _said(400, str(exc))
            except HistoryFull as exc:
                return _said(503, str(exc))
        return self._routed(request)

    async def _routed(self, request: Request) -> Response:
        path = request.target.partition("?")[0]
        try:
            if request.method == "GET" and path.startswith("/v1/messages/"):
                return self._status(unquote(path.removeprefix("/v1/messages/")))
            if request.method == "PUT" and path.startswith("/v1/channels/"):
                return self._put_channel(request, unquote(path.removeprefix("/v1/channels/")))
            handler = self._routes.get((request.method, path))
            if handler is not None:
                return await handler(request)
        except ValueError as exc:
            return _said(400, str(exc))
        except HistoryFull as exc:
            return _said(503, str(exc))
        return _said(404, f"There is no {request.method} {path:.200} here.")

    def _post_message(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """Take a message; the reply comes later where a fault or a latency is planned."""
        wire_key, faults = request.headers.get("idempotency-key", ""), self._authority.faults
        self._overlaps.enter(wire_key)
        try:
            channel = self._authority.channel(_header(request, "Tidegate-Channel"))
            channel.count(len(request.body))
            if channel.inbound == "down":
                return _said(503, f"The channel {channel.name} does not take messages now.")
            message = _read_message(request)
            fault = faults.draw_post(wire_key) if faults.faults else None
            if fault is not None and fault not in TAKEN_BEFORE_FAULT:
                return self._reply_later(request, fault, latency_s=0.0)
            if self._authority.take(message) == "conflict":
                return _said(409, f"The key {wire_key} came with other bytes before.")
            if fault is not None or faults.latency_ms:
                return self._reply_later(request, fault, latency_s=faults.latency_ms / 1000)
            return TAKEN
        finally:
            self._overlaps.leave(wire_key)

    async def _reply_later(self, request: Request, fault: str | None, *, latency_s: float) -> Response:
        """Reply after the latency, as the fault says; the POST lasts as long."""
        wire_key = request.headers.get("idempotency-key", "")
        self._overlaps.enter(wire_key)  # here, not where it is planned: who hangs up before it begins has left already
        try:
            await asyncio.sleep(latency_s)
            response = TAKEN if fault is None else await self._broken_reply(fault, request)
        except asyncio.CancelledError:
            self._overlaps.hang_up(wire_key)
            raise
        except BaseException:
            self._overlaps.leave(wire_key)
            raise
        self._overlaps.leave(wire_key)
        return response

    async def _broken_reply(self, fault: str, request: Request) -> Response:
        """Reply as the fault says. The handler is cancelled when the sender hangs up, which ends every wait here."""
        plan, transport = self._authority.faults, request.transport
        match fault:
            case "error_500" | "error_500_taken":
                return _said(500, "An error as planned by the test.")
            case "error_400":
                return _said(400, "Unreadable, as planned by the test.")
            case "unavailable_503":
                return _said(503, "Not now, as planned by the test.")
            case "slow_down":
                return Response(status=429, headers=(("Retry-After", plan.retry_after),))
            case "redirect":
                return Response(status=307, headers=(("Location", "/v1/messages"),))
            case "endless_body":
                return Response(status=202, body=_endless())
        if fault in ("accept_then_time_out", "time_out"):
            await asyncio.sleep(plan.hold_s)
        elif fault == "drip":
            for index in range(len(DRIPPING)):
                transport.write(DRIPPING[index : index + 1])
                await asyncio.sleep(DRIP_INTERVAL_S)
        elif fault == "garbage":
            transport.write(b"\x00\xff this is no HTTP\r\n\r\n")
            transport.close()
        transport.abort()  # drop, drop_taken, and the end of every wait
        return Response(status=500, is_last=True)

    async def _responses(self, request: Request) -> Response:
        query = _query(request)
        after, wait_s = _whole(query, "after"), min(_number(query, "wait"), WAIT_MAX_S)
        if wait_s > 0 and after >= self._authority.answers.last_seq:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    while after >= self._authority.answers.last_seq:
                        self._answered.clear()
                        await self._answered.wait()
                    await asyncio.sleep(GATHER_S)
        return _json(self._authority.answers.page(after))

    def _status(self, wire_key: str) -> Response:
        first = self._authority.history.first(wire_key)
        return _json({"known": first is not None, "outcome": first.verdict.outcome if first and first.verdict else None})

    async def _history(self, request: Request) -> Response:
        query = _query(request)
        limit = _whole(query, "limit") if "limit" in query else HISTORY_COUNT_MAX
        entries = self._authority.history.after(_whole(query, "after"), limit)
        return Response(status=200, body=_history_pieces(entries), content_type="application/json")

    async def _order_violations(self, _request: Request) -> Response:
        entries = self._authority.history.after(0, HISTORY_COUNT_MAX)
        found = await asyncio.to_thread(lambda: order_violations(_rows(entries)))
        return _json({"order_violations": found})

    async def _channels(self, _request: Request) -> Response:
        return _json({"channels": {name: channel.as_json() for name, channel in self._authority.channels.items()}})

    def _put_channel(self, request: Request, name: str) -> Response:
        wanted = _json_body(request)
        channel = self._authority.channel(name)
        channel.set(wanted, self._authority.clock.now_s())
        self._authority.pump(channel)
        return _json(channel.as_json())

    async def _put_faults(self, request: Request) -> Response:
        self._authority.faults = read_fault_plan(_json_body(request))
        return _json(self._authority.faults.as_json())

    async def _get_faults(self, _request: Request) -> Response:
        return _json(self._authority.faults.as_json())

    async def _stats(self, _request: Request) -> Response:
        return _json(
            {
                "channels": {name: channel.as_json() for name, channel in self._authority.channels.items()},
                "connections_accepted": self.connections_accepted,
                "posts_of_one_key_at_once_max": self._overlaps.most_of_one_key,
                "posts_at_once_max": self._overlaps.most_at_once,
                "overlapping_keys": self._overlaps.keys,
                "answers": self._authority.answers.last_seq,
            }
        )

    async def _put_answer(self, request: Request) -> Response:
        body = _json_body(request)
        outcome, key = body.get("outcome", "notice"), body.get("idempotency_key")
        if outcome not in ("captured", "rejected", "duplicate", "notice") or not isinstance(key, str | None):
            raise ValueError("An answer has an outcome (captured, rejected, duplicate, notice) and a key or null.")
        receiver, code, text = (str(body.get(name, "")) for name in ("receiver", "code", "text"))
        answer = AnswerRow(key, receiver, outcome, code, text)
        self._authority.answer_unasked(self._authority.channel(str(body.get("channel", "edi"))), answer)
        return _json({"last_seq": self._authority.answers.last_seq})

    async def _listener(self, request: Request) -> Response:
        body = _json_body(request)
        if body.get("listening") is not False:
            raise ValueError('The listener takes {"listening": false, "for_s": N}; it comes back by itself.')
        self._close_listener(bounded(body, "for_s", default=1.0, most=CLOSED_MAX_S), request)
        await asyncio.sleep(CUT_S)
        return Response(status=200, body=_encoded({"listening": False}), content_type="application/json", is_last=True)


def _read_message(request: Request) -> TakenMessage:
    """Read the headers of a POST. Raises ValueError with a sentence."""
    wire_key = request.headers.get("idempotency-key", "")
    if not wire_key or "content-type" not in request.headers:
        raise ValueError("A message needs the headers Idempotency-Key and Content-Type.")
    mode, kind = _header(request, "Tidegate-Mode"), _header(request, "Tidegate-Kind")
    function, tenant = _header(request, "Tidegate-Function"), _header(request, "Tidegate-Tenant")
    if mode not in MODES or kind not in OWN_KEY or function not in FUNCTIONS:
        raise ValueError(f"Tidegate-Mode {mode!r:.40}, -Kind {kind!r:.40} or -Function {function!r:.40} is not one we know.")
    if mode == "highway" and kind == "conveyance_arrival":
        raise ValueError("The highway has no conveyance arrival by EDI (plan 3.1).")
    keys = {}
    for name, values in _object(request.headers.get("tidegate-keys", ""), "Tidegate-Keys").items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"Tidegate-Keys must list strings under {name!r:.40}.")
        keys[sys.intern(name)] = tuple(values)
    return TakenMessage(
        wire_key=wire_key,
        tenant=tenant,
        mode=mode,
        kind=kind,
        channel=_header(request, "Tidegate-Channel"),
        function=function,
        keys=keys,
        sha256=hashlib.sha256(request.body).hexdigest(),
        own=own_key_of(kind, keys, wire_key),
    )


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name.lower())
    if not value:
        raise ValueError(f"A message needs the header {name}.")
    return sys.intern(unquote(value) if "%" in value else value)  # the same few words a million times: kept once


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{what} must be a JSON object, not {text!r:.80}.") from exc
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, not {text!r:.80}.")
    return value


def _json_body(request: Request) -> dict[str, Any]:
    return _object(request.body, "The body")


def _query(request: Request) -> dict[str, list[str]]:
    return parse_qs(request.target.partition("?")[2])


def _number(query: Mapping[str, list[str]], name: str) -> float:
    number = float(query.get(name, ["0"])[0])
    if not 0 <= number < float("inf"):
        raise ValueError(f"`{name}` must be a number from 0 on.")
    return number


def _whole(query: Mapping[str, list[str]], name: str) -> int:
    number = int(query.get(name, ["0"])[0])
    if number < 0:
        raise ValueError(f"`{name}` must be a whole number from 0 on.")
    return number


def _rows(entries: Iterable[HistoryEntry]) -> list[HistoryRow]:
    return [entry.as_row() for entry in entries]


def _encoded_rows(entries: Iterable[HistoryEntry]) -> bytes:
    return _encoded(_rows(entries))


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _json(value: object) -> Response:
    return Response(status=200, body=_encoded(value), content_type="application/json")


def _said(status: int, sentence: str) -> Response:
    return Response(status=status, body=sentence.encode("utf-8", "backslashreplace"))


async def _history_pieces(entries: Sequence[HistoryEntry]) -> AsyncIterator[bytes]:
    yield b'{"history":['
    for start in range(0, len(entries), ROWS_AT_ONCE):
        # In a thread: big ones would hold up the senders.
        text = await asyncio.to_thread(_encoded_rows, entries[start : start + ROWS_AT_ONCE])
        yield (b"," if start else b"") + text[1:-1]
    yield b"]}"


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(ENDLESS_BYTES_MAX // len(CHUNK)):
        yield CHUNK
        await asyncio.sleep(0)
