"""The HTTPS gateway against the gateway contract, and what is its own: statuses, limits, TLS and the moment of the start."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.answers import PAGE_KEPT_BYTES_MAX, parse_page
from gateway.authority_process import AuthorityProcess, running_authority
from gateway.https import RETRY_AFTER_DEFAULT_S, RETRY_AFTER_MAX_S, HttpsGateway, TlsSettings, boot_clock_s
from gateway.port import Gateway, GatewayUnavailable, Page, StatusReply, TransportReply
from tests.contract.gateway_contract import GatewayContract, cargo, fresh_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="module")
def authority() -> Iterator[AuthorityProcess]:
    """One authority for all tests of this module: starting one takes a second."""
    with running_authority() as process:
        yield process


class TestHttpsGateway(GatewayContract):
    """The contract, over real HTTP to a process of its own."""

    def new_gateway(self, authority: AuthorityProcess) -> Gateway:
        return HttpsGateway(authority.base_url)


@asynccontextmanager
async def scripted_peer(reply: bytes, *, then_close: bool = True) -> "AsyncIterator[tuple[str, list[bytes]]]":
    """A peer that answers each request with these bytes; yields its URL and the heads of the requests that came."""
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(reply)
            await writer.drain()
            if not then_close:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
    finally:
        server.close()


def asked(reply: bytes, ask: "Callable[[HttpsGateway], Awaitable[object]]", *, timeout_s: float = 2.0) -> object:
    """Ask a scripted peer one thing."""

    async def scenario() -> object:
        async with scripted_peer(reply) as (url, _requests):
            gateway = HttpsGateway(url, timeout_s=timeout_s)
            try:
                return await ask(gateway)
            finally:
                await gateway.close()

    return asyncio.run(scenario())


def sent(reply: bytes) -> TransportReply:
    """Send one cargo to a scripted peer."""
    result = asked(reply, lambda gateway: gateway.send(cargo(fresh_key("scripted"))))
    assert isinstance(result, TransportReply)
    return result


def polled(body: bytes, after: int = 0) -> Page:
    """Poll a scripted peer that answers 200 with this body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    result = asked(head + body, lambda gateway: gateway.poll(after, 0))
    assert isinstance(result, Page)
    return result


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (202, "transmitted"),
        (200, "unknown"),
        (301, "unknown"),
        (307, "unknown"),
        (400, "refused"),
        (401, "not_taken"),
        (403, "not_taken"),
        (404, "not_taken"),
        (407, "not_taken"),
        (408, "not_taken"),
        (409, "refused"),
        (413, "refused"),
        (415, "refused"),
        (421, "not_taken"),
        (422, "refused"),
        (425, "not_taken"),
        (429, "slow_down"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "not_taken"),
        (504, "unknown"),
    ],
)
def test_each_status_means_what_r50_says(status: int, expected: str) -> None:
    """R50: transport is not verdict, and what is not sure is unknown."""
    reply = sent(b"HTTP/1.1 %d Said\r\nContent-Length: 2\r\nLocation: http://127.0.0.1:9/\r\n\r\nno" % status)
    assert (expected, status) == (reply.result, reply.status)


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        (b"Retry-After: 7", 7.0),
        (b"Retry-After: 99999999999999999999", RETRY_AFTER_MAX_S),
        (b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (b"Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", RETRY_AFTER_MAX_S),
        (b"Retry-After: soon", RETRY_AFTER_DEFAULT_S),
        (b"Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT", RETRY_AFTER_DEFAULT_S),
        (b"Retry-After: Mon, 01 Jan 0001 00:00:00 +1400", 0.0),
        (b"Retry-After: -5", RETRY_AFTER_DEFAULT_S),
        (b"X-Nothing: 1", RETRY_AFTER_DEFAULT_S),
    ],
)
def test_a_retry_after_is_obeyed_within_a_limit(header: bytes, expected_s: float) -> None:
    """429 waits Retry-After (R33), and no peer can stop a link for days (I12)."""
    assert expected_s == sent(b"HTTP/1.1 429 Slow\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n").retry_after_s


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x00\xff\xfe garbage\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\ntruncated",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 999999\r\n\r\n" + b"x" * 999_999,
        b"HTTP/1.1 202 Accepted\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "garbage", "truncated", "bad chunks", "too long", "endless header"],
)
def test_a_broken_reply_is_unknown(reply: bytes) -> None:
    """The message went out, so it may have been taken (R50)."""
    found = sent(reply)
    assert (found.result, found.status, found.started_s is not None) == ("unknown", None, True)


def test_a_time_out_is_unknown_and_ends_in_time() -> None:
    """A time-out is not a failure (R50); a send ends within tau of its start (R43)."""

    async def scenario() -> TransportReply:
        async with scripted_peer(b"", then_close=False) as (url, _requests):
            gateway = HttpsGateway(url, timeout_s=0.3)
            try:
                return await gateway.send(cargo(fresh_key("silent")))
            finally:
                await gateway.close()

    reply = asyncio.run(scenario())
    assert reply.result == "unknown"
    assert reply.started_s is not None
    assert reply.ended_s is not None
    assert 0.2 <= reply.ended_s - reply.started_s <= 2.0


def test_a_redirect_is_not_followed() -> None:
    """A message goes where it was addressed and nowhere else; one POST goes out, once."""

    async def scenario() -> tuple[str, int, int]:
        async with scripted_peer(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n") as (other, elsewhere):
            moved = b"HTTP/1.1 307 Moved\r\nLocation: %s/v1/messages\r\nContent-Length: 0\r\n\r\n" % other.encode()
            async with scripted_peer(moved) as (url, requests):
                gateway = HttpsGateway(url)
                reply = await gateway.send(cargo(fresh_key("moved")))
                await gateway.close()
                return reply.result, len(requests), len(elsewhere)

    assert asyncio.run(scenario()) == ("unknown", 1, 0)


def test_a_refused_connection_and_an_unknown_host_take_nothing() -> None:
    """Before the first byte nothing can have been taken, so the message is held again (R50, G3 "DNS gone")."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def result_of(url: str) -> tuple[str, float | None]:
            gateway = HttpsGateway(url, timeout_s=5.0)
            reply = await gateway.send(cargo(fresh_key("refused")))
            await gateway.close()
            return reply.result, reply.started_s

        assert asyncio.run(result_of(f"http://127.0.0.1:{port}")) == ("not_taken", None)
        assert asyncio.run(result_of("https://authority.invalid")) == ("not_taken", None)


def test_a_send_that_waits_for_a_slot_expires_there() -> None:
    """The clock is looked at after the wait for a connection, not before (R41)."""

    async def scenario() -> tuple[str, float, int]:
        async with scripted_peer(b"", then_close=False) as (url, requests):
            gateway = HttpsGateway(url, connections_max=1, timeout_s=1.0)
            first = asyncio.ensure_future(gateway.send(cargo(fresh_key("holds"))))
            await asyncio.sleep(0.1)
            began_s = boot_clock_s()
            second = await gateway.send(cargo(fresh_key("waits"), start_by_s=began_s + 0.2))
            waited_s = boot_clock_s() - began_s
            await first
            await gateway.close()
            return second.result, waited_s, len(requests)

    result, waited_s, requests = asyncio.run(scenario())
    assert (result, requests) == ("not_started", 1)
    assert waited_s <= 0.8  # it didn't wait for the first to end


def test_a_send_whose_connection_took_too_long_is_not_started() -> None:
    """The last look at the clock is with the connection in hand: connecting may outlast start_by (R41, I2b)."""
    readings = iter([0.0, 9.0])

    async def scenario() -> tuple[str, int]:
        async with scripted_peer(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n") as (url, requests):
            gateway = HttpsGateway(url, boot_clock_s=lambda: next(readings))
            reply = await gateway.send(cargo(fresh_key("connects"), start_by_s=5.0))
            await gateway.close()
            await asyncio.sleep(0.05)
            return reply.result, len(requests)

    assert asyncio.run(scenario()) == ("not_started", 0)


def item(seq: int, **changed: object) -> str:
    """Return one answer as JSON text."""
    answer = {"seq": seq, "idempotency_key": f"k{seq}", "receiver": "acme", "outcome": "captured", "code": "OK", "text": ""}
    return json.dumps({**answer, "payload_base64": "", "at": "2025-10-01T04:30:00-04:00", **changed})


def page_of(next_seq: int, *items: str) -> bytes:
    """Return a page as the authority writes it."""
    return f'{{"next": {next_seq}, "responses": [{",".join(items)}]}}'.encode()


def test_a_page_is_kept_as_it_came() -> None:
    """Evidence is the bytes themselves (DESIGN section 3)."""
    body = page_of(9, item(4), item(7))
    assert Page(raw=body, previous_seq=3, last_seq=9, count=2) == polled(body, after=3)


def test_a_page_too_long_is_cut_and_the_rest_polled_again() -> None:
    """One record holds at most 500 answers, and goes on at the last one kept (R3)."""
    page = polled(page_of(600, *(item(seq) for seq in range(1, 601))))
    assert (page.count, page.last_seq, len(parse_page(page.raw))) == (500, 500, 500)


def test_a_page_too_heavy_is_cut() -> None:
    """A record must fit the log, whatever the answers weigh (I12)."""
    page = polled(page_of(4, *(item(seq, payload_base64="A" * 3_000_000) for seq in range(1, 5))))
    assert (page.count, page.last_seq, len(page.raw) <= PAGE_KEPT_BYTES_MAX) == (2, 2, True)


def test_an_unreadable_answer_gets_a_page_of_its_own() -> None:
    """One bad answer spoils none of its neighbours, and is kept raw as evidence (R52)."""
    items = [item(1), item(2, outcome="perhaps"), item(3)]
    pages = [polled(page_of(3, *items[after:]), after) for after in range(3)]
    assert [(page.count, page.last_seq) for page in pages] == [(1, 1), (1, 2), (1, 3)]
    with pytest.raises(ValueError, match="perhaps"):
        parse_page(pages[1].raw)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T23:59:59Z"])
def test_an_answer_dated_in_no_year_of_ours_counts_as_unreadable(at: str) -> None:
    """What is read can be shown in every zone: no date of a stranger ends a verb that shows it (I12)."""
    page = polled(page_of(2, item(1, at=at), item(2)))
    assert 1 == page.count
    with pytest.raises(ValueError, match="in the year"):
        parse_page(page.raw)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"next": 1}',
        b'{"next": 5, "responses": {}}',
        b'{"next": true, "responses": []}',
        b'{"next": -1, "responses": []}',
        b'{"next": 99999999999999999999, "responses": []}',
        page_of(2, item(3)),
        page_of(3, item(2), item(1)),
        page_of(3, "7"),
        "{'next': 1}".encode("utf-16"),
        b"[" * 100_000,
    ],
)
def test_a_page_that_can_not_be_continued_is_unavailable(body: bytes) -> None:
    """No cursor is guessed: the poll is made again (R3), and no nesting or number brings the reader down (I12)."""
    with pytest.raises(GatewayUnavailable):
        polled(body)


def test_a_cursor_that_went_back_is_said() -> None:
    """An authority that lost its answers is not silently polled for ever."""
    with pytest.raises(GatewayUnavailable, match="behind ours"):
        polled(page_of(4, item(4)), after=1000)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"known": true, "outcome": "captured"}'),
        (302, b'{"known": true, "outcome": "captured"}'),
        (200, b'{"known": "yes", "outcome": "captured"}'),
        (200, b'{"known": false, "outcome": "captured"}'),
        (200, b'{"known": true, "outcome": "maybe"}'),
        (200, b"x" * 200_000),
    ],
)
def test_a_query_that_failed_teaches_nothing(status: int, body: bytes) -> None:
    """A failed query is a reply with `known` None: no capture, and no "not known" that would send again (R51, R52)."""
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    reply = asked(head + body, lambda gateway: gateway.query("highway/acme/1"))
    assert isinstance(reply, StatusReply)
    assert (reply.known, reply.outcome) == (None, None)


def test_the_name_comes_from_the_url() -> None:
    """[responses] is chained by gateway (R3), so one address has one name."""
    names = [HttpsGateway(url).name for url in ("https://cig.example/", "https://cig.example:8443/v", "http://127.0.0.1:80")]
    assert names == ["https:cig.example:443", "https:cig.example:8443/v", "http:127.0.0.1:80"]


@pytest.mark.parametrize("url", ["http://cig.example", "ftp://cig.example", "https://", "https://a:b@cig.example", "https://x?y"])
def test_an_address_that_would_leak_or_mislead_is_refused(url: str) -> None:
    """Customs messages go out encrypted unless somebody says otherwise by name."""
    with pytest.raises(ValueError, match="https://"):
        HttpsGateway(url)


def test_plain_http_is_allowed_by_name() -> None:
    """The explicit flag is the only way."""
    assert HttpsGateway("http://cig.example", plain_http_allowed=True).name == "http:cig.example:80"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, made for this run."""
    openssl = shutil.which("openssl")
    if openssl is None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail("CI=true and there is no openssl command to make a certificate with: install openssl")
        pytest.skip("TLS tests make their certificate with the openssl command, which is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=sim"]
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([openssl, *made, *extra], check=True, capture_output=True)
    return cert, key


def test_only_a_certificate_that_we_trust_is_spoken_to(certificate: tuple[Path, Path]) -> None:
    """Answers are authenticated (I4e) by TLS; with a bad certificate nothing of the message goes out (G3)."""
    cert, key = certificate

    async def result_of(url: str, tls: TlsSettings | None) -> str:
        gateway = HttpsGateway(url, tls=tls)
        reply = await gateway.send(cargo(fresh_key("tls")))
        await gateway.close()
        return reply.result

    with running_authority(tls_cert_file=cert, tls_key_file=key) as process:
        assert asyncio.run(result_of(process.base_url, None)) == "not_taken"
        assert asyncio.run(result_of(process.base_url, TlsSettings(ca_file=str(cert)))) == "transmitted"
