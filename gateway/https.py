"""The gateway that speaks the authority's web service (INTERFACES section 4); must not know lanes, facts or the log.

What R50 asks: 202 is transmitted; 400 and 409 are refused, and so are 413, 415 and 422, which also speak of this one message;
503 and whatever fails before the first byte of the message is not taken; 429 is slow down; everything else (time-outs, 3xx, other
5xx, 2xx that is not 202, broken replies) is unknown. R50 does not name the other 4xx (401, 403, 404 ...): they speak of us or of
the way, never of one message, so they are not taken: the link is suspect, all stays held, an expired credential parks nothing.
No redirect is followed, no POST is tried twice, and a send that would start past its `start_by_s` never touches the wire.
"""

import asyncio
import functools
import json
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from gateway.answers import cut_page, parse_status
from gateway.port import GatewayUnavailable, Page, StatusReply, Transmission, TransportReply, TransportResult

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

TIMEOUT_DEFAULT_S: Final = 10.0
"""*tau* of R60: a send has ended, one way or the other, so long after it began."""

CONNECTIONS_DEFAULT: Final = 64
"""In-flight sends of R60; a send beyond it waits for a slot, within its own `start_by_s`."""

ASK_CONNECTIONS_MAX: Final = 8
"""Polls and status queries at a time, apart from the sends so that a long poll takes no slot of theirs."""

CONNECT_TIMEOUT_S: Final = 3.0
"""A TCP and TLS handshake takes a few round trips; longer than that is a link that doesn't take messages now."""

KEEPALIVE_S: Final = 15.0
"""Idle connections are closed by us well before servers do (60 s and more): a send into a closing one would be unknown."""

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

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HEADER_SAFE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def boot_clock_s() -> float:
    """Return the seconds since boot, running through suspend; the monotonic clock where the system has no such clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files in PEM: the authorities that we trust (None: the system's), and our own certificate with its key."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class _TooLate(Exception):
    """The connection came when the send must not start any more."""


@dataclass(slots=True)
class _Attempt:
    """What is known of one send while it runs; `started_s` is set when its first byte may go out."""

    start_by_s: float
    clock_s: Callable[[], float]
    started_s: float | None = None


_ATTEMPT: ContextVar[_Attempt | None] = ContextVar("attempt", default=None)


class _GatedConnector(aiohttp.TCPConnector):
    """Looks at the clock when a connection is in hand: the last moment before the message's first byte."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the name is aiohttp's
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        attempt = _ATTEMPT.get()
        if attempt is not None:
            now_s = attempt.clock_s()
            if now_s > attempt.start_by_s:
                connection.release()
                raise _TooLate
            attempt.started_s = now_s
        return connection


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
        self._base = _checked_base(base_url, plain_http_allowed=plain_http_allowed)
        parts = urlsplit(self._base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = f"{parts.scheme}:{parts.hostname}:{port}{parts.path}"
        self._messages_url = URL(f"{self._base}/v1/messages", encoded=True)
        self._timeout_s = timeout_s
        self._clock_s = boot_clock_s
        self._tls = _tls_context(tls) if parts.scheme == "https" else None
        self._slots = asyncio.Semaphore(connections_max)
        self._ask_slots = asyncio.Semaphore(ASK_CONNECTIONS_MAX)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, transmission: Transmission) -> TransportReply:
        """Put one message on the wire, once (see the port). Retry-After is bounded by RETRY_AFTER_MAX_S."""
        try:
            headers = _headers(transmission)
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
            return await self._send_in_slot(transmission, headers)
        finally:
            self._slots.release()

    async def _send_in_slot(self, transmission: Transmission, headers: dict[str, str]) -> TransportReply:
        attempt = _Attempt(start_by_s=transmission.start_by_s, clock_s=self._clock_s)
        token = _ATTEMPT.set(attempt)
        try:
            async with (
                asyncio.timeout(min(self._timeout_s, transmission.within_s)),
                self._open().post(
                    self._messages_url, data=transmission.payload, headers=headers, allow_redirects=False
                ) as response,
            ):
                body = await _read_bounded(response, REPLY_BODY_BYTES_MAX)
                status, retry_after = response.status, response.headers.get("Retry-After")
        except _TooLate:
            return _not_started("The connection was ready only past start_by.")
        except (aiohttp.ClientError, OSError, ValueError) as exc:  # TimeoutError is an OSError
            return self._broken(attempt, exc)
        finally:
            _ATTEMPT.reset(token)
        result = _result_of(status)
        return TransportReply(
            result=result,
            status=status,
            detail=f"HTTP {status}: {_sentence(body)}" if body else f"HTTP {status}",
            retry_after_s=_retry_after_s(retry_after) if result == "slow_down" else None,
            started_s=attempt.started_s,
            ended_s=self._clock_s(),
        )

    def _broken(self, attempt: _Attempt, exc: Exception) -> TransportReply:
        if attempt.started_s is None:
            detail = f"No connection to {self.name}: {_named(exc)}; nothing of the message went out."
            return TransportReply(result="not_taken", status=None, detail=detail)
        detail = f"No whole reply from {self.name}: {_named(exc)}; the message may have been taken."
        return TransportReply(result="unknown", status=None, detail=detail, started_s=attempt.started_s, ended_s=self._clock_s())

    async def poll(self, after: int, wait_s: float) -> Page:
        """Fetch the answers after that cursor (see the port).

        An answer that can't be read gets a page of its own, so that it spoils none of its neighbours'.
        """
        wait_s = min(max(wait_s, 0.0), WAIT_MAX_S)
        url = URL(f"{self._base}/v1/responses?after={after}&wait={wait_s:g}", encoded=True)
        status, body = await self._ask(url, timeout_s=wait_s + self._timeout_s, bytes_max=PAGE_BODY_BYTES_MAX)
        if status != 200:
            raise GatewayUnavailable(f"{self.name} answered a poll with HTTP {status}: {_sentence(body)}")
        try:
            return cut_page(body, after)
        except ValueError as exc:
            raise GatewayUnavailable(f"{self.name} answered a poll with an unreadable page. {exc}") from exc

    async def query(self, wire_key: str) -> StatusReply:
        """Ask what became of a wire key (see the port)."""
        url = URL(f"{self._base}/v1/messages/{quote(wire_key, safe='')}", encoded=True)
        try:
            status, body = await self._ask(url, timeout_s=self._timeout_s, bytes_max=REPLY_BODY_BYTES_MAX)
        except GatewayUnavailable:
            return StatusReply(raw=b"", known=None, outcome=None)
        if status != 200:
            return StatusReply(raw=body, known=None, outcome=None)
        try:
            return parse_status(body)
        except ValueError:
            return StatusReply(raw=body, known=None, outcome=None)

    async def close(self) -> None:
        """Close connections; sends under way end as unknown, later ones as not taken."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _ask(self, url: URL, *, timeout_s: float, bytes_max: int) -> tuple[int, bytes]:
        """GET and return status and body. Raises GatewayUnavailable for whatever goes wrong."""
        try:
            async with (
                self._ask_slots,
                asyncio.timeout(timeout_s),
                self._open().get(url, allow_redirects=False) as response,
            ):
                return response.status, await _read_bounded(response, bytes_max)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise GatewayUnavailable(f"{self.name} gave no whole reply: {_named(exc)}.") from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise aiohttp.ClientConnectionError("the gateway is closed")
        if self._session is None:
            # limit=0: our own slots bound the connections, and the connector's queue would hide a wait from start_by_s.
            connector = _GatedConnector(limit=0, keepalive_timeout=KEEPALIVE_S, ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S),
                auto_decompress=False,  # a bomb stays small, and a body in an encoding that we didn't ask for is evidence as is
                skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
                trust_env=False,
            )
        return self._session


def _checked_base(base_url: str, *, plain_http_allowed: bool) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"The authority's URL must be https://HOST[:PORT][/PATH] and nothing more, not {base_url!r}.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS and not plain_http_allowed:
        raise ValueError(f"{base_url!r} would send customs messages unencrypted; use https://, or allow plain HTTP by name.")
    return base_url.rstrip("/")


def _tls_context(tls: TlsSettings | None) -> ssl.SSLContext:
    tls = tls or TlsSettings()
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _headers(transmission: Transmission) -> dict[str, str]:
    """Return headers in which nothing but printable ASCII stands. Raises ValueError for what no header can carry."""
    key = transmission.wire_key
    if not key or not key.isascii() or not key.isprintable() or key != key.strip():
        raise ValueError(f"The wire key {key!r:.80} holds what no header carries unchanged; percent-encode it (R11).")
    keys = json.dumps({name: list(values) for name, values in transmission.keys.items()}, separators=(",", ":"))
    if len(keys) > KEYS_HEADER_BYTES_MAX:
        raise ValueError(f"The document keys take {len(keys)} bytes; at most {KEYS_HEADER_BYTES_MAX} fit a header.")
    return {
        "Idempotency-Key": key,
        "Content-Type": _encoded(transmission.content_type, "%"),
        "Tidegate-Tenant": _encoded(transmission.tenant),
        "Tidegate-Mode": _encoded(transmission.mode),
        "Tidegate-Kind": _encoded(transmission.kind),
        "Tidegate-Channel": _encoded(transmission.channel),
        "Tidegate-Function": _encoded(transmission.function),
        "Tidegate-Keys": keys,
    }


@functools.lru_cache(maxsize=4096)  # a few tenants and words, over and over: quoting took a tenth of a send
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


async def _read_bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return the whole body. Raises ValueError when it is longer than `bytes_max`; leaving the response then drops the link."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > bytes_max:
            raise ValueError(f"the body is longer than {bytes_max} bytes")
        parts.append(part)
    return b"".join(parts)


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
