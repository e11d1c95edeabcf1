"""The log and the gateway as they are, with a clock beside each call; must not change what they do."""

import time
from collections.abc import Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.registry import CollectorRegistry

from eventlog.port import Appended, EventLog
from gateway.port import Gateway, GatewayUnavailable, Page, StatusReply, Transmission, TransportReply
from schemas.streams import Entry

LOG_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Bounds of an append's time: a write to a good disk takes a millisecond, an append that fails gives up after 30 s."""

GATEWAY_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Bounds of a send's or a query's time: *tau*, 10 s, ends every one."""


class Meters:
    """What the calls of this process are counted in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.append_s = Histogram(
            "tidegate_log_append_seconds", "Time of one append to the log, by what it ended in.", ("outcome",),
            buckets=LOG_SECONDS, registry=registry,
        )  # fmt: skip
        self.gateway_s = Histogram(
            "tidegate_gateway_seconds", "Time of one call to CBSA: send or query.", ("call",),
            buckets=GATEWAY_SECONDS, registry=registry,
        )  # fmt: skip
        self.sends = Counter(
            "tidegate_sends",
            "Sends of this process by what the transport said.",
            ("lane", "channel", "result"),
            registry=registry,
        )
        self.polls = Counter("tidegate_polls", "Polls for answers by what they ended in.", ("outcome",), registry=registry)


class MeteredLog:
    """An `EventLog` that times its appends."""

    def __init__(self, log: EventLog, meters: Meters) -> None:
        self._log = log
        self._meters = meters
        self.at_hand = log.at_hand
        self.read = log.read
        self.end = log.end
        self.fetch = log.fetch
        self.close = log.close

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """Append, timed."""
        began_s = time.perf_counter()
        outcome = "error"
        try:
            positions = self._log.append(stream, batch)
            outcome = "done"
        finally:
            self._meters.append_s.labels(outcome).observe(time.perf_counter() - began_s)
        return positions


class MeteredGateway:
    """A `Gateway` that times its calls and counts what they ended in."""

    def __init__(self, gateway: Gateway, meters: Meters) -> None:
        self._gateway = gateway
        self._meters = meters
        self.name = gateway.name
        self.idempotent = gateway.idempotent
        self.can_query = gateway.can_query

    async def send(self, transmission: Transmission) -> TransportReply:
        """Send, timed and counted."""
        began_s = time.perf_counter()
        reply = await self._gateway.send(transmission)
        self._meters.gateway_s.labels("send").observe(time.perf_counter() - began_s)
        self._meters.sends.labels(transmission.mode, transmission.channel, reply.result).inc()
        return reply

    async def poll(self, after: int, wait_s: float) -> Page:
        """Poll, counted: most of its time is asked for."""
        try:
            page = await self._gateway.poll(after, wait_s)
        except GatewayUnavailable:
            self._meters.polls.labels("failed").inc()
            raise
        self._meters.polls.labels("answers" if page.count else "empty").inc()
        return page

    async def query(self, wire_key: str) -> StatusReply:
        """Query, timed."""
        began_s = time.perf_counter()
        reply = await self._gateway.query(wire_key)
        self._meters.gateway_s.labels("query").observe(time.perf_counter() - began_s)
        return reply

    async def close(self) -> None:
        """Close the gateway."""
        await self._gateway.close()
