"""One request on one raw connection, and the ways of answering it badly; must not know messages, keys or what was taken."""

import asyncio
import contextlib
import struct
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from typing import Final

HEAD_BYTES_MAX: Final = 1024 * 1024
"""Longest head of a request that is read: ours has some 300 bytes."""

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest body of a request that is read: more than three of the largest messages."""

PIECE: Final = b"x" * (256 * 1024)
"""What is poured of a body without an end."""

POUR_BYTES_MAX: Final = 1024**3
"""Where a body without an end ends all the same: a GiB, many times whatever anybody reads."""

HOLD_S: Final = 60.0
"""Longest silence, in case nobody hangs up: six times *tau*."""

DRIP_S: Final = 1.0
"""Between two bytes of what drips."""

RST: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: a close is a reset."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. Header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Gone(Exception):
    """Who asked has hung up."""


class Exchange:
    """One request that is being answered; what it raises ends the connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, request: Request) -> None:
        self._reader = reader
        self._writer = writer
        self.request = request
        self.is_over = False
        """Whether the connection has served its last request."""

    async def say(self, raw: bytes) -> None:
        """Write bytes as they are. Raises Gone."""
        try:
            self._writer.write(raw)
            await self._writer.drain()
        except OSError as gone:
            raise Gone from gone

    async def reply(self, status: int, body: bytes = b"{}", *headers: str) -> None:
        """Answer as a good server does."""
        lines = "".join(f"{line}\r\n" for line in headers)
        head = f"HTTP/1.1 {status} Said\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        await self.say(head.encode() + body)

    async def silence(self, for_s: float = HOLD_S) -> None:
        """Say nothing until who asked hangs up. Raises Gone then, and returns when the time is over."""
        try:
            async with asyncio.timeout(for_s):
                while await self._reader.read(1 << 16):
                    pass
        except TimeoutError:
            return
        except OSError as gone:
            raise Gone from gone
        raise Gone

    async def drip(self, raw: bytes, *, for_s: float = HOLD_S) -> None:
        """A byte now and then. Raises Gone as soon as who asked has hung up."""
        left_s = for_s
        for byte in raw:
            await self.say(bytes([byte]))
            await self.silence(DRIP_S)
            left_s -= DRIP_S
            if left_s <= 0:
                break
        self.is_over = True

    async def pour(self, head: bytes, *, chunked: bool) -> None:
        """A body that goes on as fast as it is read. Raises Gone."""
        await self.say(head)
        piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
        for _ in range(POUR_BYTES_MAX // len(PIECE)):
            await self.say(piece)
        self.is_over = True

    def hang_up(self) -> None:
        """Close in order, whatever is missing."""
        self.is_over = True

    def reset(self) -> None:
        """Cut the connection: what was written and not read yet may be lost."""
        self.is_over = True
        with contextlib.suppress(OSError):  # who asked was faster
            self._writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, RST)
        self._writer.transport.abort()


async def read_request(reader: StreamReader) -> Request | None:
    """The next request of a connection, or None at its end. Raises Gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(min(int(headers.get("content-length", "0")), BODY_BYTES_MAX))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    except OSError as gone:
        raise Gone from gone
    return Request(method, path, headers, body)
