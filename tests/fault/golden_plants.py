"""Bugs that a golden run must find, planted around the ports of its own processes; must not touch the product."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from console.wiring import Opened, lane_view
from eventlog.port import Appended, EventLog
from gateway.https import boot_clock_s
from gateway.port import Gateway, Page, StatusReply, Transmission, TransportReply
from lane.identity import wire_key
from schemas.cloudevents import attributes_of, keys_text
from schemas.streams import MODES, Entry, Record, inbound

PLANTS: Final[Mapping[str, str]] = {
    "early-receipts": "the publisher's receipt is returned before its append: the next append writes it",
    "taken-as-captured": "what became of a send is dropped: whatever is asked about counts as captured",
    "resent-without-grant": "a sender sends after a restart whatever it finds granted, without a new grant",
}
"""Name of each bug, and what is wrong."""


class _EarlyReceipts:
    """A log whose appends return before they are made."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._owed: tuple[str, Sequence[Entry]] | None = None
        self.at_hand = log.at_hand
        self.read = log.read
        self.fetch = log.fetch

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """Promise this batch, and write the one that was promised before."""
        self._pay()
        end = self._log.end(stream)
        self._owed = (stream, batch)
        return Appended(range(end, end + len(batch)), (0,) * len(batch))

    def end(self, stream: str) -> int:
        """Who looks first gets what was promised."""
        self._pay()
        return self._log.end(stream)

    def close(self) -> None:
        """An orderly end writes what was promised."""
        self._pay()
        self._log.close()

    def _pay(self) -> None:
        if self._owed is not None:
            owed, self._owed = self._owed, None
            self._log.append(*owed)


def early_receipts(log: EventLog) -> EventLog:
    """The log as a publisher with the bug *early-receipts* uses it."""
    return _EarlyReceipts(log)


class _TakenAsCaptured:
    """A gateway that never asks what became of a message."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.name = gateway.name
        self.idempotent = gateway.idempotent
        self.can_query = gateway.can_query
        self.close = gateway.close

    async def send(self, transmission: Transmission) -> TransportReply:
        """Send as it is."""
        return await self._gateway.send(transmission)

    async def poll(self, after: int, wait_s: float) -> Page:
        """Poll as it is."""
        return await self._gateway.poll(after, wait_s)

    async def query(self, wire_key: str) -> StatusReply:  # noqa: ARG002 - the port's signature
        """Say that it was captured, in the very words of the authority."""
        return StatusReply(raw=b'{"known":true,"outcome":"captured"}', known=True, outcome="captured")


def take_as_captured(gateway: Gateway) -> Gateway:
    """The gateway with the bug *taken-as-captured*."""
    return _TakenAsCaptured(gateway)


def found_granted(opened: Opened) -> list[Transmission]:
    """What the bug *resent-without-grant* sends: whatever lacks its outcome when a process starts."""
    found = []
    for mode in MODES:
        for message in lane_view(opened, mode).state.messages.values():
            if message.state in ("granted", "unknown"):
                (record,) = opened.log.fetch(inbound(mode), [message.inbound])
                found.append(_transmission(mode, message, record))
    return found


async def resend(found: Sequence[Transmission], gateway: Gateway) -> None:
    """The bug *resent-without-grant* at work."""
    for transmission in found:
        await gateway.send(transmission)


def _transmission(mode: str, message: Any, record: Record) -> Transmission:
    attributes = attributes_of(record, mode)
    return Transmission(
        wire_key=wire_key(mode, message),
        payload=record.value,
        content_type=attributes.content_type,
        tenant=message.tenant,
        mode=mode,
        kind=message.kind,
        channel=message.channel,
        function=message.function,
        keys=keys_text(attributes.keys),
        start_by_s=boot_clock_s() + 10.0,
        within_s=10.0,
    )
