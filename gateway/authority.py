"""Runs the simulated authority of INTERFACES section 4 as a process of its own; must not know order rules or how faults work.

For tests, the demo and benchmarks; it has no access control and is meant for the loopback.
"""

import asyncio
import contextlib
import gc
import signal
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop
from aiohttp import web
from aiohttp.web_request import BaseRequest

from gateway.authority_faults import FaultPlan
from gateway.authority_history import History
from gateway.authority_http import AuthorityService
from gateway.authority_intake import Authority, Clockwork
from gateway.authority_register import Level, Register

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest message taken: images reach megabytes, and the log takes 8 MiB."""

HEADER_BYTES_MAX: Final = 512 * 1024
"""Longest header: the document keys of a trip with thousands of CCNs are one."""

BACKLOG_MAX: Final = 1024
"""Connections that wait to be accepted: a burst of senders after an outage."""

KEEPALIVE_S: Final = 75.0
"""Idle connections are kept longer than the gateway keeps them (15 s), so that it is never us who cut one in use."""

GC_THRESHOLDS: Final = (50_000, 20, 1_000)
"""What is remembered is never garbage: walking all of it as often as Python would took a fifth of a message's time at 200,000."""

SHUTDOWN_S: Final = 1.0
"""How long requests may take to end when the authority stops; held replies of planted faults would take for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySettings:
    """`levels` switches edges (`authority_register.EDGES` to off, known, strict); `history_file` is JSONL, appended;
    `answer_latency_ms` is the wait between a verdict and its answer; TLS when both files are given."""

    levels: Mapping[str, Level] = field(default_factory=dict)
    history_file: Path | None = None
    answer_latency_ms: int = 0
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None


class _Listener:
    """The listening socket, which can be taken away for a while."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._tls = host, tls
        self.port = port
        self._socket: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self.server: web.Server | None = None
        self.accepted: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Listen; port 0 becomes the port that was found. Raises OSError."""
        self._socket = await asyncio.get_running_loop().create_server(
            self._connected, self._host, self.port, ssl=self._tls, backlog=BACKLOG_MAX
        )
        self.port = self._socket.sockets[0].getsockname()[1]

    def close_for(self, for_s: float, request: BaseRequest) -> None:
        """Close the port at once and cut every connection but the one that asks; listen again after `for_s`."""
        self.close()
        assert self.server is not None
        for connection in self.server.connections:
            if connection.transport is not None and connection.transport is not request.transport:
                connection.transport.abort()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(for_s))

    def close(self) -> None:
        """Stop listening."""
        if self._reopening is not None:
            self._reopening.cancel()
        if self._socket is not None:
            self._socket.close()

    async def _reopen(self, for_s: float) -> None:
        await asyncio.sleep(for_s)
        await self.open()

    def _connected(self) -> asyncio.Protocol:
        assert self.server is not None
        self.accepted()
        return self.server()


async def serve(host: str, port: int, *, settings: AuthoritySettings, on_ready: Callable[[str], None]) -> None:
    """Serve until cancelled; `on_ready` gets the base URL once connections are taken. Raises OSError and ValueError."""
    loop = asyncio.get_running_loop()
    history = History(settings.history_file)
    authority = Authority(
        clock=Clockwork(now_s=loop.time, at=_wall_clock(), call_at=loop.call_at),
        register=Register(settings.levels),
        history=history,
        faults=FaultPlan(answer_latency_ms=settings.answer_latency_ms),
    )
    listener = _Listener(host, port, _tls_context(settings))
    service = AuthorityService(authority, close_listener=listener.close_for)

    def count_connection() -> None:
        service.connections_accepted += 1

    listener.accepted = count_connection
    listener.server = web.Server(
        service.handle,
        request_factory=_request_factory(loop),
        handler_cancellation=True,  # who hung up is no sender any more: overlaps are counted by it
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
    )
    try:
        await listener.open()
        scheme = "https" if settings.tls_cert_file else "http"
        on_ready(f"{scheme}://{host}:{listener.port}")
        await loop.create_future()
    finally:
        listener.close()
        await listener.server.shutdown(SHUTDOWN_S)
        history.close()


def run_authority(
    host: str, port: int, settings: AuthoritySettings, *, on_ready: Callable[[str], None] = lambda _url: None
) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port is taken."""

    async def until_told() -> None:
        serving = asyncio.ensure_future(serve(host, port, settings=settings, on_ready=on_ready))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    gc.set_threshold(*GC_THRESHOLDS)
    uvloop.run(until_told())


def _request_factory(loop: asyncio.AbstractEventLoop) -> Callable[..., BaseRequest]:
    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> BaseRequest:
        return BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX)

    return request


def _tls_context(settings: AuthoritySettings) -> ssl.SSLContext | None:
    if settings.tls_cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    return context


def _wall_clock() -> Callable[[], str]:
    """Return a clock that tells RFC 3339 to the millisecond; what is told is worked out once a millisecond and kept once."""
    last_ms, text = -1, ""

    def at() -> str:
        nonlocal last_ms, text
        now_ms = time.time_ns() // 1_000_000
        if now_ms != last_ms:
            last_ms, text = now_ms, datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return text

    return at
