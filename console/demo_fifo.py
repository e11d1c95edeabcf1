"""The plain queue that Tidegate is held against: the same messages in the order of their arrival, no rules, no waiting."""

import asyncio
from typing import Final

from gateway.authority_process import running_authority
from gateway.https import HttpsGateway, boot_clock_s
from gateway.port import Transmission
from producers.publisher import Message
from schemas.cloudevents import keys_text
from schemas.messages import Attributes

IN_FLIGHT: Final = 1
"""A first-in-first-out queue sends one after another; with more at once it would only do worse."""

START_WITHIN_S: Final = 60.0
"""A plain queue knows no deadline for a send's start."""


END_WITHIN_S: Final = 10.0
"""Longest wait for the transport's reply, as Tidegate's own."""


def blast(messages: list[Message]) -> tuple[int, int]:
    """Send the messages first-in-first-out to an authority of their own; return its confirmed and its assumed rejects."""
    with running_authority() as authority:
        asyncio.run(_send_all(authority.base_url, messages))
        labels = [row["label"] for row in authority.history() if row["outcome"] == "rejected"]
    return labels.count("confirmed"), labels.count("assumed")


async def _send_all(base_url: str, messages: list[Message]) -> None:
    gateway = HttpsGateway(base_url, connections_max=IN_FLIGHT)
    try:
        for attributes, payload in messages:
            await gateway.send(plain_transmission(attributes, payload))
    finally:
        await gateway.close()


def plain_transmission(attributes: Attributes, payload: bytes) -> Transmission:
    """A message as a plain queue sends it: the same words and bytes, under a key of its own, whenever its turn comes."""
    return Transmission(
        wire_key=f"fifo/{attributes.mode}/{attributes.tenant}/{attributes.key}",
        payload=payload,
        content_type=attributes.content_type,
        tenant=attributes.tenant,
        mode=attributes.mode,
        kind=attributes.kind,
        channel=attributes.channel,
        function=attributes.function,
        keys=keys_text(attributes.keys),
        start_by_s=boot_clock_s() + START_WITHIN_S,
        within_s=END_WITHIN_S,
    )
