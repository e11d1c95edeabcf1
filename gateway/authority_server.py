"""The HTTP/1.1 that the simulated authority speaks, over `httptools`; must not know its paths, its messages or its faults.

What can be answered at once is answered at once, without a task: by aiohttp's server a message took more than twice the CPU
(`python -m benchmarks.wire`), on a machine where the one who sends needs it. A handler that waits gets a task of its own, which
is cancelled when the sender hangs up: who hung up is no sender any more.
"""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest message taken: images reach megabytes, and the log takes 8 MiB."""

HEAD_BYTES_MAX: Final = 512 * 1024
"""Longest head: the document keys of a trip with thousands of CCNs are one header."""

WAITING_MAX: Final = 16
"""Most requests of one connection that wait for their turn: whoever sends more is not read meanwhile."""

KEEPALIVE_S: Final = 75.0
"""Idle connections are kept longer than the gateway keeps them (15 s), so that it is never us who cut one in use."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(slots=True)
class Request:
    """One request: names of headers in lower case, and the transport for who breaks replies on purpose."""

    transport: asyncio.Transport
    target: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One reply; a body that comes in pieces goes out in chunks. `is_last`: the connection is closed after it."""

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    is_last: bool = False

    def head(self) -> bytes:
        """Return the head as it goes out."""
        framing = f"Content-Length: {len(self.body)}" if isinstance(self.body, bytes) else "Transfer-Encoding: chunked"
        return _head(self.status, (*self.headers, *((("Content-Type", self.content_type),) if self.body else ())), framing)


@functools.lru_cache(maxsize=1024)  # nearly every reply is the same 202
def _head(status: int, headers: tuple[tuple[str, str], ...], framing: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), framing]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


Handler: TypeAlias = Callable[[Request], Response | Coroutine[Any, Any, Response]]


class ServerConnection(asyncio.Protocol):
    """One connection: its requests are answered one after the other, in the order they came."""

    def __init__(self, handler: Handler, open_ones: set["ServerConnection"]) -> None:
        self._handler, self._open_ones = handler, open_ones
        self._parser = HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._bytes_unread = 0
        self._is_used = True
        self.transport: asyncio.Transport

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)
        self._look_if_idle()

    def data_received(self, data: bytes) -> None:
        self._is_used = True
        self._bytes_unread += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._refuse(400, f"This is not HTTP/1.1: {exc}")
        else:
            if self._bytes_unread > HEAD_BYTES_MAX + BODY_BYTES_MAX:
                self._refuse(413, f"At most {BODY_BYTES_MAX} bytes are taken, and {HEAD_BYTES_MAX} before them.")
        self._answer_waiting()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open_ones.discard(self)
        self._idle_timer.cancel()
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._request = Request(self.transport)
        self._body: list[bytes] = []

    def on_url(self, target: bytes) -> None:
        self._request.target += target.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        request = self._request
        request.method, request.body = self._parser.get_method().decode("ascii"), b"".join(self._body)
        request.is_last = not self._parser.should_keep_alive()
        self._bytes_unread = 0
        self._waiting.append(request)
        if len(self._waiting) >= WAITING_MAX:
            self.transport.pause_reading()

    def _answer_waiting(self) -> None:
        while self._waiting and self._task is None and not self.transport.is_closing():
            request = self._waiting.popleft()
            answer = self._handler(request)
            if isinstance(answer, Response):
                self.transport.write(answer.head() + cast("bytes", answer.body))
                self._end(request, answer)
            else:
                self._task = asyncio.get_running_loop().create_task(self._answer(request, answer))
        if len(self._waiting) < WAITING_MAX and not self.transport.is_closing():
            self.transport.resume_reading()

    async def _answer(self, request: Request, coming: Coroutine[Any, Any, Response]) -> None:
        try:
            response = await coming
        except BaseException:
            self.transport.abort()  # who waits is told at once that no reply comes
            raise
        if isinstance(response.body, bytes):
            self.transport.write(response.head() + response.body)
        else:
            self.transport.write(response.head())
            async for piece in response.body:
                await self._writable.wait()
                self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.transport.write(b"0\r\n\r\n")
        self._task = None
        self._end(request, response)
        self._answer_waiting()

    def _end(self, request: Request, response: Response) -> None:
        if request.is_last or response.is_last:
            self._waiting.clear()
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        """Say it and close; what else the peer sends is not read."""
        self._waiting.clear()
        response = Response(status=status, body=sentence.encode(), is_last=True)
        self.transport.write(response.head() + cast("bytes", response.body))
        self.transport.close()

    def _look_if_idle(self) -> None:
        if not self._is_used and self._task is None:
            self.transport.close()
        self._is_used = False
        self._idle_timer = asyncio.get_running_loop().call_later(KEEPALIVE_S, self._look_if_idle)
