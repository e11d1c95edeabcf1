"""The HTTP/1.1 client's own promises: when a connection is used again, and when a reply is whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.connections import HEAD_BYTES_MAX, BrokenReply, Connections, Reply

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE_BYTES = 5 * 1024 * 1024
"""More than the buffers of both ends hold on any machine of ours: some of it waits in the kernel."""

OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that answers by script: request after request, whatever the connection, one entry each; None ends the connection,
    a float waits so many seconds, and the script's last bytes of an entry stand as they are."""

    def __init__(self, script: Sequence[Sequence[bytes | float | None]]) -> None:
        self._script = list(script)
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                for step in self._script.pop(0):
                    if step is None:
                        return
                    if isinstance(step, float):
                        await asyncio.sleep(step)
                    else:
                        writer.write(step)
                        await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def peer(*script: Sequence[bytes | float | None]) -> AsyncIterator[tuple[Peer, Connections]]:
    """A scripted peer and the connections to it."""
    scripted = Peer(script)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    connections = Connections("127.0.0.1", server.sockets[0].getsockname()[1], tls=None)
    try:
        yield scripted, connections
    finally:
        await connections.close()
        server.close()


async def ask(connections: Connections, *, within_s: float = 5.0, body_bytes_max: int = 1000) -> Reply:
    """Ask once."""
    connection = await connections.ready(within_s)
    return await connection.ask(ASK, within_s=within_s, body_bytes_max=body_bytes_max)


async def statuses_and_connections(*script: Sequence[bytes | float | None], pause_s: float = 0.0) -> tuple[list[int], int]:
    """Ask once for each entry of the script; the statuses, and how many connections it took."""
    async with peer(*script) as (scripted, connections):
        statuses = []
        for _ in script:
            statuses.append((await ask(connections)).status)
            await asyncio.sleep(pause_s)
        return statuses, scripted.connections


def run(scenario: Callable[[], Awaitable[object]]) -> object:
    """Run it in a loop of its own."""

    async def awaited() -> object:
        return await scenario()

    return asyncio.run(awaited())


@pytest.mark.parametrize(
    "first",
    [
        OK,
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    ],
    ids=["length", "chunks", "no body", "after interim replies"],
)
def test_a_connection_is_kept_after_a_whole_reply(first: bytes) -> None:
    """A drain opens as many connections as it has sends in flight, not one for each message."""
    statuses, connections = asyncio.run(statuses_and_connections([first], [OK]))
    assert (statuses[0] in (202, 204), statuses[1], connections) == (True, 202, 1)


@pytest.mark.parametrize(
    "first",
    [
        [OK + OK],
        [OK, 0.05, OK],
        [OK + b"HTTP/1.1 2"],
        [b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok and more", None],
        [b"HTTP/1.0 202 Accepted\r\nContent-Length: 2\r\n\r\nok"],
        [b"HTTP/1.1 202 Accepted\r\n\r\nuntil the end", None],
        [OK, None],
        [b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x00\x01"],
    ],
    ids=["two replies", "one more later", "half of one more", "more than told", "HTTP/1.0", "until closed", "closed", "upgrade"],
)
def test_a_reply_never_answers_the_next_request(first: list[bytes | float | None]) -> None:
    """I4e: what came beyond a reply belongs to nobody; the next request gets a connection of its own, and its own reply."""
    other = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
    statuses, connections = asyncio.run(statuses_and_connections(first, [other], pause_s=0.2))
    assert (statuses[0] in (101, 202), statuses[1], connections) == (True, 409, 2)


def test_a_reply_that_comes_after_the_time_out_is_nobodys() -> None:
    """R50: a time-out is unknown; its late 202 must not speak of the message that was sent next."""

    async def scenario() -> tuple[int, int]:
        async with peer([0.3, OK], [b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n"]) as (scripted, connections):
            with pytest.raises(TimeoutError):
                await ask(connections, within_s=0.1)
            return (await ask(connections)).status, scripted.connections

    assert run(scenario) == (503, 2)


def test_an_ask_that_was_cancelled_leaves_no_connection_behind() -> None:
    """Who was cut off may have sent: the connection is cut with it."""

    async def scenario() -> tuple[int, int]:
        async with peer([0.3, OK], [b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n"]) as (scripted, connections):
            asking = asyncio.ensure_future(ask(connections))
            await asyncio.sleep(0.1)
            asking.cancel()
            await asyncio.wait([asking])
            return (await ask(connections)).status, scripted.connections

    assert run(scenario) == (503, 2)


def test_connections_taken_in_turn_by_many_serve_each_its_own_reply() -> None:
    """Who gets a connection the moment its reply came isn't cut off by who had it before."""

    async def scenario() -> tuple[set[int], int]:
        async with peer(*([OK] for _ in range(600))) as (scripted, connections):

            async def one_after_the_other() -> set[int]:
                return {(await ask(connections)).status for _ in range(120)}

            statuses = await asyncio.gather(*(one_after_the_other() for _ in range(5)))
            return set().union(*statuses), scripted.connections

    assert run(scenario) == ({202}, 5)


@pytest.mark.parametrize(
    "reply",
    [
        [b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nok", None],
        [b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nok", None],
        [b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok", None],
        [b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None],
        [b"HTTP/1.1 202 Accepted\r\nX: y", None],
        [b"HTTP/1.1 100 Continue\r\n\r\n", None],
        [b"HTTP/2 202\r\n\r\n", None],
        [b"HTTP/1.1 202 Accepted\r\n\r\n" + b"x" * 1001, None],
        [b"HTTP/1.1 202 Accepted\r\nX: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 4000],
        [b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * HEAD_BYTES_MAX],
        [b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"x" * HEAD_BYTES_MAX],
    ],
    ids=[
        "too short",
        "two lengths",
        "length and chunks",
        "no last chunk",
        "half a head",
        "interim alone",
        "HTTP/2",
        "too long until closed",
        "endless header",
        "endless interim",
        "endless trailer",
        "endless chunk extension",
    ],
)
def test_what_is_no_whole_reply_is_broken(reply: list[bytes | float | None]) -> None:
    """R50: broken replies are unknown, and no peer fills our memory (I12)."""

    async def scenario() -> None:
        async with peer(reply) as (_scripted, connections):
            with pytest.raises((BrokenReply, ConnectionError)):
                await ask(connections)

    run(scenario)


def test_a_body_in_chunks_of_one_byte_is_read() -> None:
    """The limit on what is around a body is no limit on how it is cut."""
    chunks = b"1\r\nx\r\n" * 100_000

    async def scenario() -> int:
        async with peer([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"]) as (_, connections):
            return len((await ask(connections, body_bytes_max=100_000)).body)

    assert run(scenario) == 100_000


def test_connections_that_are_closed_end_who_waits_and_who_comes() -> None:
    """A stop cuts what is under way; later asks open nothing."""

    async def scenario() -> int:
        async with peer([OK], [5.0], [OK]) as (scripted, connections):
            await ask(connections)
            asking = asyncio.ensure_future(ask(connections))
            await asyncio.sleep(0.1)
            await connections.close()
            with pytest.raises(ConnectionAbortedError):
                await asking
            with pytest.raises(ConnectionAbortedError):
                await ask(connections)
            return scripted.connections

    assert run(scenario) == 1


def test_what_a_cut_connection_has_not_sent_is_never_delivered() -> None:
    """R43: a send that was given up is over; the kernel's buffers must not hand it over while the next holder sends."""

    async def cut() -> int:
        taken: list[bytes] = []
        let_go, read_up = asyncio.Event(), asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await let_go.wait()
            try:
                while part := await reader.read(1 << 16):
                    taken.append(part)
            except ConnectionResetError:
                pass
            finally:
                writer.close()
                read_up.set()

        server = await asyncio.start_server(slow, "127.0.0.1", 0, limit=1 << 12)
        connections = Connections("127.0.0.1", server.sockets[0].getsockname()[1], tls=None)
        connection = await connections.ready(5.0)
        with pytest.raises(TimeoutError):
            await connection.ask(b"x" * LARGE_BYTES, within_s=0.3, body_bytes_max=1000)
        await asyncio.sleep(0.1)
        let_go.set()
        await read_up.wait()
        await connections.close()
        server.close()
        return sum(map(len, taken))

    assert asyncio.run(cut()) < LARGE_BYTES // 2
