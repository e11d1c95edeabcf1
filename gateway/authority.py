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
from typing import Final

import uvloop

from gateway.authority_faults import FaultPlan
from gateway.authority_history import History
from gateway.authority_http import AuthorityService
from gateway.authority_intake import Authority, Clockwork
from gateway.authority_register import Level, Register
from gateway.authority_server import Handler, Request, ServerConnection

BACKLOG_MAX: Final = 1024
"""Connections that wait to be accepted: a burst of senders after an outage."""

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
        self.connections: set[ServerConnection] = set()
        self.handler: Handler
        self.accepted: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Listen; port 0 becomes the port that was found. Raises OSError."""
        self._socket = await asyncio.get_running_loop().create_server(
            self._connected, self._host, self.port, ssl=self._tls, backlog=BACKLOG_MAX
        )
        self.port = self._socket.sockets[0].getsockname()[1]

    def close_for(self, for_s: float, request: Request) -> None:
        """Close the port at once and cut every connection but the one that asks; listen again after `for_s`."""
        self.close()
        self.cut(but=request.transport)
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(for_s))

    def close(self) -> None:
        """Stop listening."""
        if self._reopening is not None:
            self._reopening.cancel()
        if self._socket is not None:
            self._socket.close()

    def cut(self, *, but: asyncio.Transport | None = None) -> None:
        """Cut the open connections."""
        for connection in tuple(self.connections):
            if connection.transport is not but:
                connection.transport.abort()

    async def _reopen(self, for_s: float) -> None:
        await asyncio.sleep(for_s)
        await self.open()

    def _connected(self) -> asyncio.Protocol:
        self.accepted()
        return ServerConnection(self.handler, self.connections)


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
    listener.handler = service.handle
    try:
        await listener.open()
        scheme = "https" if settings.tls_cert_file else "http"
        on_ready(f"{scheme}://{host}:{listener.port}")
        await loop.create_future()
    finally:
        listener.close()
        listener.cut()
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
