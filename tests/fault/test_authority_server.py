"""The simulated authority's HTTP/1.1 as a raw peer sees it: framing, pipelining, limits, and hanging up."""

import socket
import time
from collections.abc import Iterator

import pytest

from gateway.authority_process import AuthorityProcess, running_authority
from gateway.authority_server import BODY_BYTES_MAX
from tests.contract.gateway_contract import fresh_key


@pytest.fixture(scope="module")
def authority() -> Iterator[AuthorityProcess]:
    """One authority for all tests of this module: starting one takes a second."""
    with running_authority() as process:
        yield process


def post(key: str, body: bytes = b"x", *, framing: bytes | None = None, more: bytes = b"") -> bytes:
    """Return a POST of a cargo as bytes."""
    names = {"Tenant": "acme", "Mode": "highway", "Kind": "cargo", "Channel": "edi", "Function": "original"}
    lines = [f"Tidegate-{name}: {value}" for name, value in names.items()]
    lines += [f"Idempotency-Key: {key}", "Content-Type: text/plain", f'Tidegate-Keys: {{"ccn":["{key}"]}}']
    head = "POST /v1/messages HTTP/1.1\r\nHost: x\r\n" + "".join(f"{line}\r\n" for line in lines)
    framing = b"Content-Length: %d" % len(body) if framing is None else framing
    return head.encode() + more + framing + b"\r\n\r\n" + body


def connected(authority: AuthorityProcess) -> socket.socket:
    """Return a socket to it."""
    port = int(authority.base_url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def said(authority: AuthorityProcess, sent: bytes, *, until: bytes) -> bytes:
    """Send bytes and return what came back, up to `until` or the end."""
    with connected(authority) as peer:
        peer.sendall(sent)
        received = b""
        while until not in received and (piece := peer.recv(65536)):
            received += piece
        return received


def test_requests_sent_at_once_are_answered_one_after_the_other(authority: AuthorityProcess) -> None:
    """HTTP/1.1 lets a sender go on without waiting: replies come in the order of the requests, also past a slow one."""
    keys = [fresh_key("pipelined") for _ in range(40)]
    last = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    slow = b"GET /v1/responses?after=99999999&wait=0.1 HTTP/1.1\r\nHost: x\r\n\r\n"
    received = said(authority, slow + b"".join(post(key) for key in keys) + last, until=b"here.")
    statuses = [reply[:3] for reply in received.split(b"HTTP/1.1 ")[1:]]
    assert [b"200", *[b"202"] * 40, b"404"] == statuses
    assert keys == [row["idempotency_key"] for row in authority.history() if row["idempotency_key"] in keys]


def test_a_body_in_chunks_is_taken_whole(authority: AuthorityProcess) -> None:
    """Other senders stream: the bytes are the message, however they are framed."""
    key = fresh_key("chunks")
    received = said(
        authority, post(key, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", framing=b"Transfer-Encoding: chunked"), until=b"\r\n\r\n"
    )
    again = said(authority, post(key, b"abcde"), until=b"\r\n\r\n")
    assert (received[:12], again[:12]) == (b"HTTP/1.1 202", b"HTTP/1.1 202")


def test_who_asks_before_a_long_body_is_told_to_go_on(authority: AuthorityProcess) -> None:
    """curl asks before a body of a megabyte (RFC 9110, 10.1.1)."""
    sent = post(fresh_key("expects"), b"", framing=b"Content-Length: 1", more=b"Expect: 100-continue\r\n")
    assert said(authority, sent, until=b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", b"400"),
        (post("two", b"abc", framing=b"Content-Length: 3\r\nContent-Length: 4"), b"400"),
        (post("long", b"x" * (BODY_BYTES_MAX + 1024 * 1024)), b"413"),
    ],
    ids=["nonsense", "zero byte", "two lengths", "too long"],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(authority: AuthorityProcess, sent: bytes, status: bytes) -> None:
    """400 or 413, and nothing more is read from who can't be understood."""
    try:
        received = said(authority, sent, until=b"never")
    except ConnectionError:  # it closed while the rest was still coming
        received = b"HTTP/1.1 413"
    assert b"HTTP/1.1 " + status == received[:12]


def test_who_hangs_up_is_no_sender_any_more(authority: AuthorityProcess) -> None:
    """I4b is counted by who still waits: a sender that was cut off and sends again doesn't overlap with itself."""
    key = fresh_key("hangs-up")
    authority.set_faults({"name": "time_out", "next": 1, "match": key})
    with connected(authority) as peer:
        peer.sendall(post(key))
        time.sleep(0.2)
    time.sleep(0.2)
    assert said(authority, post(key), until=b"\r\n\r\n").startswith(b"HTTP/1.1 202")
    assert key not in authority.stats()["overlapping_keys"]


def test_a_sender_of_an_older_http_is_answered_and_let_go(authority: AuthorityProcess) -> None:
    """HTTP/1.0 keeps no connection: the reply ends with it."""
    received = said(authority, b"GET /v1/channels HTTP/1.0\r\n\r\n", until=b"never")
    assert received.startswith(b"HTTP/1.1 200")
