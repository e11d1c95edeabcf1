"""The way out to the authority: one port, whatever the transport; must not know lanes, facts or the log.

The values that pass through it are in `schemas.wire` and are handed on here under one name.
"""

from typing import Protocol

from schemas.facts import AnswerOutcome
from schemas.wire import RESPONSES_PAGE_MAX, Answer, Page, StatusReply, Transmission, TransportReply, TransportResult

__all__ = [
    "RESPONSES_PAGE_MAX",
    "Answer",
    "AnswerOutcome",
    "Gateway",
    "GatewayUnavailable",
    "Page",
    "StatusReply",
    "Transmission",
    "TransportReply",
    "TransportResult",
]


class GatewayUnavailable(Exception):
    """A poll could not be made now; nothing is lost, try again later."""


class Gateway(Protocol):
    """A way to the authority.

    `name` identifies it in the log. `idempotent`: the same wire key with the same bytes is taken at most once, so the same
    submission may be put again. `can_query`: it can tell what became of a wire key.
    """

    name: str
    idempotent: bool
    can_query: bool

    async def send(self, transmission: Transmission) -> TransportReply:
        """Put one message on the wire, once; never raises for what the network or the peer does, never follows a redirect."""

    async def poll(self, after: int, wait_s: float) -> Page:
        """Fetch the answers after that cursor, waiting up to `wait_s` for one. Raises GatewayUnavailable."""

    async def query(self, wire_key: str) -> StatusReply:
        """Ask what became of a wire key; a failed query is a reply with `known` None."""

    async def close(self) -> None:
        """Close connections; what is under way is cut off and counts as unknown."""
