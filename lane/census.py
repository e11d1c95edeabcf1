"""How many messages of a lane stand where, by channel, and the oldest held: kept up for who looks often; must not know who looks.

It is a hint of one process: made by one scan when it is first asked for, kept true from then on, and left out of what is compared
or kept. Who never asks pays one comparison a move.
"""

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lane.state import LaneState, Message, State

SPARE_COUNT: Final = 1_000
"""Entries of the heap that may be out of date before it is made anew, beside as many as are held."""


class Census:
    """Counts by channel and state, and a heap of held positions: receipt is in their order."""

    def __init__(self, state: "LaneState") -> None:
        self._state = state
        self.counts: dict[tuple[str, State], int] = {}
        self._held: list[int] = []
        for message in state.messages.values():
            self._add(message.channel, message.state, 1)
            if message.state == "held":
                self._held.append(message.position)
        heapify(self._held)

    def entered(self, message: "Message") -> None:
        """A message is new in the lane."""
        self._add(message.channel, message.state, 1)
        self._hold(message)

    def moved(self, message: "Message", was: "State") -> None:
        """A message has come into another state."""
        self._add(message.channel, was, -1)
        self._add(message.channel, message.state, 1)
        if message.state == "held":
            self._hold(message)

    def left(self, message: "Message") -> None:
        """A message has left the lane (R58)."""
        self._add(message.channel, message.state, -1)

    def oldest_held(self) -> "Message | None":
        """The held message that was received first."""
        messages = self._state.messages
        while self._held:
            message = messages.get(self._held[0])
            if message is not None and message.state == "held":
                return message
            heappop(self._held)
        return None

    def _add(self, channel: str, state: "State", step: int) -> None:
        self.counts[channel, state] = self.counts.get((channel, state), 0) + step

    def _hold(self, message: "Message") -> None:
        if len(self._held) > 2 * self._state.counts["held"] + SPARE_COUNT:
            self._held = [each.position for each in self._state.held()]
            heapify(self._held)
        heappush(self._held, message.position)


def oldest_held(state: "LaneState") -> "Message | None":
    """The held message that was received first: from the census where one is kept, else by a look that ends at the first.

    Messages stand in the order of their receipt, so who asks once looks past those that came before it, and no further.
    """
    if not state.counts["held"]:
        return None
    return state.census.oldest_held() if state.census is not None else next(iter(state.held()), None)


def census_of(state: "LaneState") -> Census:
    """The lane's census, made if nobody has asked before."""
    if state.census is None:
        state.census = Census(state)
    return state.census
