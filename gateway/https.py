"""The gateway that speaks the authority's web service (INTERFACES section 4); must not know lanes, facts or the log.

What R50 asks: 202 is transmitted; 400 and 409 are refused, and so are 413, 415 and 422, which also speak of this one message;
503 and whatever fails before the first byte of the message is not taken; 429 is slow down; everything else (time-outs, 3xx, other
5xx, 2xx that is not 202, broken replies) is unknown. R50 does not name the other 4xx (401, 403, 404 ...): they speak of us or of
the way, never of one message, so they are not taken: the link is suspect, all stays held, an expired credential parks nothing.
No redirect is followed, no POST is tried twice, and a send that would start past its `start_by_s` never touches the wire. Frozen
between its last look at the clock and the write, a process sends when it wakes (I2c): it looks again, and cuts the connection.
"""

import asyncio
import functools
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlsplit

from gateway.answers import cut_page, parse_status
from gateway.connections import Connections, Reply
from gateway.port import GatewayUnavailable, Page, StatusReply, Transmission, TransportReply, TransportResult

TIMEOUT_DEFAULT_S: Final = 10.0
"""*tau* of R60: a send has ended, one way or the other, so long after it began."""

CONNECTIONS_DEFAULT: Final = 64
"""In-flight sends of R60; a send beyond it waits for a slot, within its own `start_by_s`."""

ASK_CONNECTIONS_MAX: Final = 8
"""Status queries at a time, apart from the sends so that they take no slot of theirs."""

POLL_CONNECTIONS_MAX: Final = 2
"""Polls at a time: one process makes one. Apart from the queries: as many of them as there are messages may hang for *tau* each,
and answers about all others would wait for that."""

REPLY_BODY_BYTES_MAX: Final = 64 * 1024
"""Longest body read after a POST or a status query: a sentence is expected; more than this is a broken reply."""

PAGE_BODY_BYTES_MAX: Final = 32 * 1024 * 1024
"""Longest page read: bounds memory when the peer never stops."""

RETRY_AFTER_MAX_S: Final = 300.0
"""Longest `Retry-After` obeyed: the longest step of the probe back-off (R33), so that a wrong one can't stop a link for days."""

RETRY_AFTER_DEFAULT_S: Final = 5.0
"""Taken for a 429 that names no readable time: the first step of the probe back-off (R33)."""

KEYS_HEADER_BYTES_MAX: Final = 256 * 1024
"""Longest `Tidegate-Keys`: some 10,000 CCNs on one trip; longer is refused, since servers cut headers off."""

DETAIL_CHARS_MAX: Final = 300
"""How much of a reply's body is kept as the reason: a sentence."""

WAIT_MAX_S: Final = 60.0
"""Longest poll asked for: proxies cut silent connections not much later."""

REFUSING: Final = frozenset({400, 409, 413, 415, 422})
"""Statuses that speak of the message itself, which stays as it is: a person must look (R50)."""

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HEADER_SAFE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

_PATH_SAFE: Final = "/%:@!$&'()*+,;=~"


def boot_clock_s() -> float:
    """Return the seconds since boot, running through suspend; the monotonic clock where the system has no such clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files in PEM: the authorities that we trust (None: the system's), and our own certificate with its key."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class HttpsGateway:
    """A `gateway.port.Gateway` over HTTPS; plain HTTP to the loopback, or elsewhere only when allowed by name."""

    idempotent: bool = True
    can_query: bool = True

    def __init__(
        self,
        base_url: str,
        *,
        connections_max: int = CONNECTIONS_DEFAULT,
        timeout_s: float = TIMEOUT_DEFAULT_S,
        tls: TlsSettings | None = None,
        plain_http_allowed: bool = False,
        boot_clock_s: Callable[[], float] = boot_clock_s,
    ) -> None:
        """Read the URL and the TLS files; nothing is opened yet. Raises ValueError (URL) and OSError (files)."""
        if connections_max < 1 or timeout_s <= 0:
            raise ValueError("connections_max must be at least 1 and timeout_s more than 0.")
        scheme, host, port, path = _checked_base(base_url, plain_http_allowed=plain_http_allowed)
        self.name = f"{scheme}:{host}:{port}{path}"
        tls_context = _tls_context(tls) if scheme == "https" else None
        self._connections = Connections(host, port, tls=tls_context)
        self._path = quote(path, safe=_PATH_SAFE)
        self._host = _host_header(host, None if port == DEFAULT_PORTS[scheme] else port)
        self._timeout_s = timeout_s
        self._clock_s = boot_clock_s
        self._slots = asyncio.Semaphore(connections_max)
        self._ask_slots = asyncio.Semaphore(ASK_CONNECTIONS_MAX)
        self._poll_slots = asyncio.Semaphore(POLL_CONNECTIONS_MAX)

    async def send(self, transmission: Transmission) -> TransportReply:
        """Put one message on the wire, once (see the port). Retry-After is bounded by RETRY_AFTER_MAX_S."""
        try:
            request = self._request(transmission)
        except ValueError as exc:
            return TransportReply(result="refused", status=None, detail=str(exc))
        remaining_s = transmission.start_by_s - self._clock_s()
        if remaining_s < 0:
            return _not_started("The send came past its start_by.")
        if self._slots.locked():
            try:
                async with asyncio.timeout(remaining_s):
                    await self._slots.acquire()
            except TimeoutError:
                return _not_started("No connection slot came free before start_by.")
        else:
            await self._slots.acquire()
        try:
            return await self._send_in_slot(transmission, request)
        finally:
            self._slots.release()

    async def _send_in_slot(self, transmission: Transmission, request: bytes) -> TransportReply:
        within_s, began_s = min(self._timeout_s, transmission.within_s), time.monotonic()
        try:
            connection = await self._connections.ready(within_s)
        except (OSError, ValueError) as exc:  # TimeoutError is an OSError, a host that is no name a ValueError
            detail = f"No connection to {self.name}: {_named(exc)}; nothing of the message went out."
            return TransportReply(result="not_taken", status=None, detail=detail)
        if self._clock_s() > transmission.start_by_s:
            connection.give_back()
            return _not_started("The connection was ready only past start_by.")
        connection.begin(request, within_s=within_s - (time.monotonic() - began_s), body_bytes_max=REPLY_BODY_BYTES_MAX)
        started_s = self._clock_s()
        if started_s > transmission.start_by_s:  # it stood still between the look and the write, which nobody can prevent (I2c)
            connection.drop()
        try:
            reply = await connection.reply()
        except (OSError, ValueError) as exc:
            detail = f"No whole reply from {self.name}: {_named(exc)}; the message may have been taken."
            return TransportReply(result="unknown", status=None, detail=detail, started_s=started_s, ended_s=self._clock_s())
        result = _result_of(reply.status)
        return TransportReply(
            result=result,
            status=reply.status,
            detail=f"HTTP {reply.status}: {_sentence(reply.body)}" if reply.body else f"HTTP {reply.status}",
            retry_after_s=_retry_after_s(reply.header(b"retry-after")) if result == "slow_down" else None,
            started_s=started_s,
            ended_s=self._clock_s(),
        )

    async def poll(self, after: int, wait_s: float) -> Page:
        """Fetch the answers after that cursor (see the port).

        An answer that can't be read gets a page of its own, so that it spoils none of its neighbours'.
        """
        wait_s = min(max(wait_s, 0.0), WAIT_MAX_S)
        path = f"/v1/responses?after={after}&wait={wait_s:g}"
        timeout_s = wait_s + self._timeout_s
        reply = await self._ask(path, self._poll_slots, timeout_s=timeout_s, bytes_max=PAGE_BODY_BYTES_MAX)
        if reply.status != 200:
            raise GatewayUnavailable(f"{self.name} answered a poll with HTTP {reply.status}: {_sentence(reply.body)}")
        try:
            return cut_page(reply.body, after)
        except ValueError as exc:
            raise GatewayUnavailable(f"{self.name} answered a poll with an unreadable page. {exc}") from exc

    async def query(self, wire_key: str) -> StatusReply:
        """Ask what became of a wire key (see the port)."""
        path = f"/v1/messages/{quote(wire_key, safe='')}"
        try:
            reply = await self._ask(path, self._ask_slots, timeout_s=self._timeout_s, bytes_max=REPLY_BODY_BYTES_MAX)
        except GatewayUnavailable:
            return StatusReply(raw=b"", known=None, outcome=None)
        if reply.status != 200:
            return StatusReply(raw=reply.body, known=None, outcome=None)
        try:
            return parse_status(reply.body)
        except ValueError:
            return StatusReply(raw=reply.body, known=None, outcome=None)

    async def close(self) -> None:
        """Close connections; sends under way end as unknown, later ones as not taken."""
        await self._connections.close()

    async def _ask(self, path: str, slots: asyncio.Semaphore, *, timeout_s: float, bytes_max: int) -> Reply:
        """GET and return the reply. Raises GatewayUnavailable for whatever goes wrong."""
        request = f"GET {self._path}{path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode("ascii")
        try:
            async with slots, asyncio.timeout(timeout_s):
                connection = await self._connections.ready(timeout_s)
                return await connection.ask(request, within_s=timeout_s, body_bytes_max=bytes_max)
        except (OSError, ValueError) as exc:
            raise GatewayUnavailable(f"{self.name} gave no whole reply: {_named(exc)}.") from exc

    def _request(self, transmission: Transmission) -> bytes:
        """Return the POST, nothing but printable ASCII in its head. Raises ValueError for what no header carries."""
        key = transmission.wire_key
        if not key or not key.isascii() or not key.isprintable() or key != key.strip():
            raise ValueError(f"The wire key {key!r:.80} holds what no header carries unchanged; percent-encode it (R11).")
        keys = _header_json(transmission.keys)
        if len(keys) > KEYS_HEADER_BYTES_MAX:
            raise ValueError(f"The document keys take {len(keys)} bytes; at most {KEYS_HEADER_BYTES_MAX} fit a header.")
        head = (
            f"POST {self._path}/v1/messages HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Idempotency-Key: {key}\r\n{_kind_headers(transmission)}Tidegate-Keys: {keys}\r\n"
            f"Content-Length: {len(transmission.payload)}\r\n\r\n"
        )
        return head.encode("ascii") + transmission.payload


def _checked_base(base_url: str, *, plain_http_allowed: bool) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path of the authority's URL. Raises ValueError with a sentence."""
    parts = urlsplit(base_url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"The authority's URL must be https://HOST[:PORT][/PATH] and nothing more, not {base_url!r}.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS and not plain_http_allowed:
        raise ValueError(f"{base_url!r} would send customs messages unencrypted; use https://, or allow plain HTTP by name.")
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/")


def _host_header(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    return name if port is None else f"{name}:{port}"


def _tls_context(tls: TlsSettings | None) -> ssl.SSLContext:
    tls = tls or TlsSettings()
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _header_json(text: str) -> str:
    """Return JSON as a header carries it: as it stands where it may, else with its letters escaped. Raises ValueError.

    Most keys are plain: parsing and writing them again took 7 us of a send."""
    return text if text.isascii() and text.isprintable() else json.dumps(json.loads(text), separators=(",", ":"))


def _kind_headers(transmission: Transmission) -> str:
    t = transmission
    return _kind_lines(t.content_type, t.tenant, t.mode, t.kind, t.channel, t.function)


@functools.lru_cache(maxsize=4096)  # a few tenants and words, over and over: quoting took a tenth of a send
def _kind_lines(content_type: str, *words: str) -> str:
    names = ("Tenant", "Mode", "Kind", "Channel", "Function")
    lines = "".join(f"Tidegate-{name}: {_encoded(word)}\r\n" for name, word in zip(names, words, strict=True))
    return f"Content-Type: {_encoded(content_type, '%')}\r\n{lines}"


def _encoded(value: str, also_safe: str = "") -> str:
    safe = _HEADER_SAFE if value == value.strip(" ") else _HEADER_SAFE.replace(" ", "")  # spaces at the ends would be cut off
    return quote(value, safe=safe + also_safe)


def _result_of(status: int) -> TransportResult:
    match status:
        case 202:
            return "transmitted"
        case 503:
            return "not_taken"
        case 429:
            return "slow_down"
        case _ if status in REFUSING:
            return "refused"
        case _ if 400 <= status <= 499:
            return "not_taken"
        case _:
            return "unknown"


def _not_started(detail: str) -> TransportReply:
    return TransportReply(result="not_started", status=None, detail=detail)


def _retry_after_s(value: str | None) -> float:
    """Return the wait that a `Retry-After` asks for (RFC 9110 section 10.2.3: seconds or an HTTP date), 0 to the maximum."""
    if value is None:
        return RETRY_AFTER_DEFAULT_S
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value.strip()[:9]), RETRY_AFTER_MAX_S)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a year, a day or an offset that no calendar has
        return RETRY_AFTER_DEFAULT_S
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), RETRY_AFTER_MAX_S)


def _sentence(body: bytes) -> str:
    text = body[: 4 * DETAIL_CHARS_MAX].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in text)[:DETAIL_CHARS_MAX]


def _named(exc: Exception) -> str:
    return f"{type(exc).__name__} {exc}".strip()[:DETAIL_CHARS_MAX]
