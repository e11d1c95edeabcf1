"""HTTP/1.1 with one server over kept connections, one request at a time on each; must not know what is asked or replied.

Own code over `httptools` (llhttp, Node's parser, strict), because a POST of 1 KiB by aiohttp's client takes twice the CPU
(`python -m benchmarks.wire`), and the wire is what an ordered drain waits for. It holds to three rules:

- A request's first byte goes out within `Connection.begin`, which does not suspend: who looks at a clock just before may send.
- A connection is used again only after a reply that ended by its own framing, with all of the request written and not a byte
  beyond; bytes that come while nobody waits drop it. So no late reply ever answers the next request.
- A reply without Content-Length or chunks ends where the server closes (RFC 9112, 6.3); any other that stops short is broken.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast
from weakref import WeakSet

from aiohappyeyeballs import start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

CONNECT_TIMEOUT_S: Final = 3.0
"""A TCP and TLS handshake takes a few round trips; longer than that is a link that doesn't take messages now."""

NEXT_ADDRESS_S: Final = 0.25
"""Head start of an address before the next of the same name is tried beside it (RFC 8305)."""

KEEPALIVE_S: Final = 15.0
"""Idle connections are closed by us well before servers do (60 s and more): a request into a closing one would be unknown."""

UNACKNOWLEDGED_MAX_MS: Final = 10_000
"""*tau* of R60: after so long without the peer's acknowledgement the kernel gives a connection up, with what it still held."""

AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: what a closed connection has not sent yet is thrown away."""

READ_BYTES: Final = 16 * 1024
"""Read at once: a reply to a POST is 200 bytes. The 256 KiB that asyncio takes unless told cost 16 us a read, in fresh pages."""

HEAD_BYTES_MAX: Final = 64 * 1024
"""Longest head of a reply, all interim ones included: servers write some hundred bytes."""

FRAMING_BYTES_MAX: Final = 6
"""Most bytes on the wire for each byte of a body beyond the head: in chunks of one byte each takes six."""


class BrokenReply(ValueError):
    """What came is no whole HTTP/1.1 reply, or is longer than was asked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply. Header names as the server wrote them."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> str | None:
        """Return the first value of a header; `name` in lower case."""
        return next((value.decode("latin-1") for each, value in self.headers if each.lower() == name), None)


class Connection(asyncio.BufferedProtocol):
    """One connection. `ask` is for whoever got it from `Connections.ready`; who got it and will not ask gives it back."""

    def __init__(self, give_back: Callable[["Connection"], None]) -> None:
        self._give_back = give_back
        self._view = memoryview(bytearray(READ_BYTES))
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[Reply] | None = None
        self._asked: asyncio.Future[Reply]
        self._timer: asyncio.TimerHandle
        self._body_bytes_max = 0
        self._wire_bytes = 0
        self.gone = asyncio.Event()

    async def ask(self, request: bytes, *, within_s: float, body_bytes_max: int) -> Reply:
        """Write the request and return the whole reply. Raises OSError (TimeoutError is one) and BrokenReply."""
        self.begin(request, within_s=within_s, body_bytes_max=body_bytes_max)
        return await self.reply()

    def begin(self, request: bytes, *, within_s: float, body_bytes_max: int) -> None:
        """Write the request; `reply` is for who did."""
        assert self._waiting is None
        loop = asyncio.get_running_loop()
        self._body_bytes_max, self._wire_bytes, self._body_bytes = body_bytes_max, 0, 0
        self._whole: Reply | None = None
        self._expect_head()
        self._asked = self._waiting = loop.create_future()
        self._timer = loop.call_later(within_s, self._fail, TimeoutError("no whole reply in time"))
        self._transport.write(request)

    async def reply(self) -> Reply:
        """Return the whole reply to what was begun. Raises OSError (TimeoutError is one) and BrokenReply."""
        asked = self._asked
        try:
            return await asked
        finally:
            self._timer.cancel()
            if self._waiting is asked:  # cancelled: its reply may still come, and is nobody's
                self.drop()

    def give_back(self) -> None:
        """Hand the connection back unused."""
        self._give_back(self)

    def drop(self) -> None:
        """Cut the connection; whoever waits gets an error."""
        self._fail(ConnectionAbortedError("the connection was closed by us"))

    @property
    def is_usable(self) -> bool:
        """Whether it may be written to, as far as anybody knows."""
        return not self._transport.is_closing()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by what it does, not by its class

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self._waiting is None:
            self.drop()
            return
        self._wire_bytes += nbytes
        try:
            self._parser.feed_data(self._view[:nbytes])
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._is_kept = False
            if self._whole is None:
                self._fail(BrokenReply(f"this is not HTTP/1.1: {exc}"))
                return
        if self._body_bytes > self._body_bytes_max:
            self._fail(BrokenReply(f"the body is longer than {self._body_bytes_max} bytes"))
        elif self._wire_bytes > HEAD_BYTES_MAX + self._body_bytes * FRAMING_BYTES_MAX:
            self._fail(BrokenReply(f"what is around the body is longer than {HEAD_BYTES_MAX} bytes"))
        elif self._whole is not None:
            self._finish(self._whole)

    def eof_received(self) -> None:
        if self._waiting is not None and self._status and not self._is_framed():
            self._is_kept = False
            self._finish(self._reply())
        else:
            self._fail(BrokenReply("the server closed the connection before its reply was whole"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or BrokenReply("the connection was closed before the reply was whole"))
        self.gone.set()

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._whole is not None:
            self._is_kept = False  # there is more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        if self._whole is not None:
            return
        if self._status < 200 and self._status != 101:  # interim: the reply itself is still to come
            self._expect_head()
            return
        self._is_kept = self._parser.should_keep_alive() and self._status != 101
        self._whole = self._reply()

    def _expect_head(self) -> None:
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._is_kept = True

    def _is_framed(self) -> bool:
        return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def _reply(self) -> Reply:
        return Reply(self._status, self._headers, b"".join(self._body))

    def _let_go(self) -> None:
        """Keep nothing of what was read: a connection and its parser hold each other until the collector comes to them."""
        self._headers, self._body, self._whole = [], [], None

    def _finish(self, reply: Reply) -> None:
        waiting, self._waiting = self._waiting, None
        self._let_go()
        if self._is_kept and not self._transport.get_write_buffer_size():
            self._give_back(self)
        else:
            self._transport.abort()
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, None
        self._let_go()
        self._transport.abort()
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


class Connections:
    """The connections to one server, used in turn; how many there are at a time is the caller's to bound."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None) -> None:
        """Nothing is opened yet; without `tls` the connections are plain."""
        self._host, self._port, self._tls = host, port, tls
        self._open: WeakSet[Connection] = WeakSet()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._closed = False

    async def ready(self, within_s: float) -> Connection:
        """Return an idle connection, at once and the last one used, or a new one. Raises OSError and ValueError (names)."""
        idle_since_s = time.monotonic() - KEEPALIVE_S
        while self._idle and self._idle[0][0] < idle_since_s:
            self._idle.popleft()[1].drop()
        while self._idle:
            connection = self._idle.pop()[1]
            if connection.is_usable:
                return connection
        return await self._new(within_s)

    async def close(self) -> None:
        """Cut all connections; whoever waits on one gets an error, and so does who asks for one later."""
        self._closed = True
        for connection in tuple(self._open):
            connection.drop()
            await connection.gone.wait()

    async def _new(self, within_s: float) -> Connection:
        self._check_open()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(min(within_s, CONNECT_TIMEOUT_S)):
            addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S)
            _end_at_once(connected)
            _, connection = await loop.create_connection(
                lambda: Connection(self._give_back),
                sock=connected,
                ssl=self._tls,
                server_hostname=self._host if self._tls is not None else None,
            )
        self._open.add(connection)
        if self._closed:
            connection.drop()
        self._check_open()
        return connection

    def _give_back(self, connection: Connection) -> None:
        self._idle.append((time.monotonic(), connection))

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionAbortedError("the gateway is closed")


def _end_at_once(connected: socket.socket) -> None:
    """Let the kernel deliver nothing after the connection was cut, be it by us or by our death: a takeover counts on it (R43)."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX_MS)
