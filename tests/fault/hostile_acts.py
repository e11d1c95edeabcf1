"""What a hostile authority does on the wire, by name: to a message, to a question about one, to a poll; must not know why."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Final, TypeAlias

from tests.fault.hostile_wire import Exchange

Act: TypeAlias = Callable[[Exchange], Awaitable[None]]
"""Answers one request, or does not."""

ELSEWHERE: Final = "/elsewhere"
"""Where redirects point, at the same server: whatever comes here was followed."""

GIBIBYTE: Final = 1024**3

PAUSE_S: Final = 3.0
"""How long a poll is kept waiting by an authority that then goes away: its own limit of 20 s is for `gives_nothing`."""

FAR_SEQ: Final = 10**12
"""A cursor that no run comes to."""

ANSWERS_COUNT: Final = 1_000_000
"""Answers of a page that nobody asked for so long."""

WIDE_CHARS: Final = 33_000_000
"""Letters of a text that a single one makes four times as wide in memory; the page is hardly shorter than what is read."""

NESTED_COUNT: Final = 8_000_000
"""Pairs of brackets of a page that holds nothing else: 24 MB of it, within what is read of a page."""

SOON_S: Final = 1
"""A Retry-After that a test can wait for."""


def status(code: int, *headers: str, body: bytes = b'{"error": "no"}') -> Act:
    """A whole reply with this status."""

    async def act(x: Exchange) -> None:
        await x.reply(code, body, *headers)

    return act


def raw(*pieces: bytes, then: str = "close") -> Act:
    """These bytes as they are, and then a close, a reset, silence, or the next request."""

    async def act(x: Exchange) -> None:
        for piece in pieces:
            await x.say(piece)
        if then == "silence":
            await x.silence()
        elif then == "reset":
            await asyncio.sleep(0.02)  # what was written goes out first
            x.reset()
        elif then == "close":
            x.hang_up()

    return act


def moved(code: int) -> Act:
    """A redirect to where everything is counted."""

    async def act(x: Exchange) -> None:
        host = x.request.headers["host"]
        await x.reply(code, b"", f"Location: http://{host}{ELSEWHERE}{x.request.path}")

    return act


def drips(head: bytes, *, for_s: float = 60.0) -> Act:
    """A byte a second."""

    async def act(x: Exchange) -> None:
        await x.drip(head, for_s=for_s)

    return act


def pours(head: bytes, *, chunked: bool) -> Act:
    """As fast as anybody reads, a GiB of it."""

    async def act(x: Exchange) -> None:
        await x.pour(head, chunked=chunked)

    return act


async def gives_nothing(x: Exchange) -> None:
    """Silence until who asked gives up."""
    await x.silence()


async def keeps_waiting(x: Exchange) -> None:
    """Silence for a while, and then a close."""
    await x.silence(PAUSE_S)
    x.hang_up()


async def resets(x: Exchange) -> None:
    """The connection is cut."""
    x.reset()


def page(body: Callable[[int], bytes]) -> Act:
    """A poll's reply with this body, which is told after which answer it was asked."""

    async def act(x: Exchange) -> None:
        after = int(x.request.path.partition("after=")[2].partition("&")[0])
        await x.reply(200, body(after))

    return act


def _answer(seq: int) -> str:
    return f'{{"seq":{seq}}}'


@cache
def _million(_after: int) -> bytes:
    rows = ",".join(_answer(FAR_SEQ + number) for number in range(1, ANSWERS_COUNT + 1))
    return f'{{"next":{FAR_SEQ + ANSWERS_COUNT},"responses":[{rows}]}}'.encode()


def _wide(after: int) -> bytes:
    text = "\N{WAVING WHITE FLAG}" + "x" * WIDE_CHARS
    return f'{{"next":{after + 1},"responses":[{{"seq":{after + 1},"text":"{text}"}}]}}'.encode()


_OK: Final = b"HTTP/1.1 200 OK\r\n"
_TAKEN: Final = b"HTTP/1.1 202 Accepted\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"

ANY: Final[dict[str, Act]] = {
    "gives_nothing": gives_nothing,
    "keeps_waiting": keeps_waiting,
    "closes_at_once": raw(),
    "resets": resets,
    "says_500": status(500),
    "says_502_page": status(502, "Content-Type: text/html; charset=utf-16", body="<h1>Bad Gateway</h1>".encode("utf-16")),
    "says_503": status(503),
    "says_403": status(403),
    "says_404": status(404),
    "asks_to_wait": status(429, f"Retry-After: {SOON_S}"),
    "moves_307": moved(307),
    "moves_301": moved(301),
    "moves_302": moved(302),
    "is_no_http": raw(b"\x00\xff\xfe garbage \r\n\r\n"),
    "is_http_0_9": raw(b"<html>accepted</html>\r\n"),
    "is_http_2": raw(b"HTTP/2 202\r\n\r\n"),
    "changes_protocol": raw(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x00\x01"),
    "ends_in_the_head": raw(b"HTTP/1.1 2"),
    "never_ends_its_head": pours(b"HTTP/1.1 200 OK\r\nX-Long: ", chunked=False),
    "drips": drips(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
    "drips_and_ends": drips(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", for_s=PAUSE_S),
}  # fmt: skip
"""What may befall any request."""

POSTS: Final[dict[str, Act]] = ANY | {
    "says_202": status(202),
    "says_200": status(200),
    "says_400": status(400),
    "says_409": status(409),
    "says_413": status(413),
    "says_202_and_resets": raw(_TAKEN + b"Content-Length: 2\r\n\r\nok", then="reset"),
    "says_202_twice": raw((_TAKEN + b"Content-Length: 2\r\n\r\nok") * 2, then="stay"),
    "says_202_in_an_odd_charset": status(
        202, "Content-Type: application/json; charset=utf-7", body='{"taken": "é"}'.encode("utf-16")
    ),
    "is_cut_short": raw(_TAKEN + b"Content-Length: 100\r\n\r\ntruncated"),
    "drips_its_body": drips(_TAKEN + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000),
    "never_ends": pours(_TAKEN + _CHUNKED, chunked=True),
    "is_a_gibibyte": pours(_TAKEN + b"Content-Length: %d\r\n\r\n" % GIBIBYTE, chunked=False),
}
"""What may befall a message; whether it was taken before is the script's to say."""

QUESTIONS: Final[dict[str, Act]] = ANY | {
    "is_garbage": status(200, body=b"\xff{]"),
    "contradicts_itself": status(200, body=b'{"known": false, "outcome": "captured"}'),
    "says_perhaps": status(200, body=b'{"known": true, "outcome": "perhaps"}'),
    "knows_nothing": status(200, body=b'{"known": false}'),
    "is_a_gibibyte": pours(_OK + b"Content-Length: %d\r\n\r\n" % GIBIBYTE, chunked=False),
}
"""What may befall a question about a message."""

POLLS: Final[dict[str, Act]] = ANY | {
    "is_garbage": page(lambda _: b"\xff{]"),
    "is_in_utf_16": page(lambda after: f'{{"next":{after},"responses":[]}}'.encode("utf-16")),
    "is_cut_short": raw(_OK + b'Content-Length: 1000\r\n\r\n{"next":'),
    "never_ends": pours(_OK + _CHUNKED, chunked=True),
    "is_a_gibibyte": pours(_OK + b"Content-Length: %d\r\n\r\n" % GIBIBYTE, chunked=False),
    "has_a_million_answers": page(_million),
    "is_all_brackets": page(lambda after: b'{"next":%d,"responses":[' % after + b"{}," * NESTED_COUNT + b"{}]}"),
    "is_as_wide_as_can_be": page(_wide),
    "is_nested_deeply": page(lambda _: b"[" * 1_000_000),
    "goes_back": page(lambda after: b'{"next":%d,"responses":[]}' % max(0, after - 1) if after else b"{}"),
    "goes_astray": page(lambda after: f'{{"next":{after + 2},"responses":[{_answer(after + 2)},{_answer(after + 1)}]}}'.encode()),
    "has_no_cursor": page(lambda _: b'{"responses":[]}'),
}
"""What may befall a poll. None of these hands over an answer: the next good poll begins where the last one ended."""
