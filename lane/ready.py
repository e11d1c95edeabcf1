"""The messages whose turn has come, in the order in which they go (R24); a hint of one process, must not decide what goes.

Each tenant has a line of its own, so that an outage of some tenants costs the others nothing, however many of theirs stand ready.
Most messages are no releases, have no deadline and come in lane order: they stand in a plain line, which takes 8 bytes for each
and no comparing; the few others in a heap beside it.
"""

from collections import deque
from collections.abc import Container, Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, TypeAlias, final

from lane.message import NOWHERE, Message

NO_DEADLINE: Final = 2**62
"""Sorts after every real deadline."""

READY: Final = 1
"""The number of a channel's ready messages when it is new, by which a message knows where it stands."""

DRAINED: Final = 2
"""The number of those of its drain. An opening swaps the two."""

Turn: TypeAlias = tuple[int, int, int]
"""Releases first, then by deadline, then in lane order (R24)."""


@final
class Line:
    """One tenant's ready messages: those in lane order, and those that go before them or came back."""

    __slots__ = ("calm", "urgent")

    def __init__(self) -> None:
        self.calm: deque[Message] = deque()
        self.urgent: list[tuple[Turn, Message]] = []

    def trim(self, number: int) -> None:
        """Drop from the front what has gone; the number is that of the ready messages whose line it is."""
        while self.calm and not stands(self.calm[0], number):
            leave(self.calm.popleft(), number)
        while self.urgent and not stands(self.urgent[0][1], number):
            leave(heappop(self.urgent)[1], number)

    def first(self) -> Turn | None:
        """The turn of the first one, or None."""
        calm = (1, NO_DEADLINE, self.calm[0].place) if self.calm else None
        if not self.urgent:
            return calm
        urgent = self.urgent[0][0]
        return urgent if calm is None or urgent < calm else calm

    def pop(self) -> Message:
        """Take the first one."""
        return heappop(self.urgent)[1] if self._urgent_first() else self.calm.popleft()

    def _urgent_first(self) -> bool:
        return bool(self.urgent) and (not self.calm or self.urgent[0][0] < (1, NO_DEADLINE, self.calm[0].place))


class Ready:
    """What stands ready in a channel, or in its drain."""

    __slots__ = ("lines", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines: dict[str, Line] = {}

    def __iter__(self) -> Iterator[Message]:
        return self.of_others(())

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __len__(self) -> int:
        return sum(len(line.calm) + len(line.urgent) for line in self.lines.values())

    def of_others(self, tenants: Container[str]) -> Iterator[Message]:
        """The messages of all other tenants than these, in no order."""
        for tenant, line in self.lines.items():
            if tenant not in tenants:
                yield from line.calm
                for _, message in line.urgent:
                    yield message

    def push(self, message: Message) -> None:
        """Put a message in its turn. Whoever calls it sees to it that it does not stand there already.

        What has gone leaves the front then, for in a process that only folds nobody else takes it out: a fold of three million
        facts kept each message that had ever been ready, and each opening went through all of them.
        """
        message.heap = self.number
        form = message.form
        line = self.lines.get(form.tenant)
        if line is None:
            line = self.lines[form.tenant] = Line()
        else:
            line.trim(self.number)
        if message.deadline_ms is None and form.kind != "release":
            calm = line.calm
            if not calm or calm[-1].place < message.place:
                calm.append(message)
                return
            if message.place < calm[0].place:
                calm.appendleft(message)
                return
        heappush(line.urgent, (turn_of(message), message))

    def drop(self) -> None:
        """Drop from the front of each line what has gone: it goes in turn, so that what is gone stood in front."""
        for tenant, line in list(self.lines.items()):
            line.trim(self.number)
            if not (line.calm or line.urgent):
                del self.lines[tenant]

    def absorb(self, other: "Ready") -> None:
        """Take over what stands in another one, but for what has gone."""
        self.drop()
        for message in other:
            if stands(message, other.number):
                self.push(message)
            else:
                leave(message, other.number)
        other.lines.clear()


def leave(message: Message, number: int) -> None:
    """Note that a message stands no more among the ready ones of that number. It may have come to others since: not those."""
    if message.heap == number:
        message.heap = NOWHERE


def is_ready(message: Message) -> bool:
    """Whether a message that was put here may still go."""
    return message.state == "held" and message.unblocked


def stands(message: Message, number: int) -> bool:
    """Whether a message that was put among the ready ones of that number may still go, and has not come to others since."""
    return message.heap == number and is_ready(message)


def turn_of(message: Message) -> Turn:
    """When it goes among those that may go."""
    deadline = NO_DEADLINE if message.deadline_ms is None else message.deadline_ms
    return 0 if message.kind == "release" else 1, deadline, message.place


def taken(readies: Sequence[Ready], *, but: Container[str]) -> Iterator[Message]:
    """Take messages one by one in their turn, out of all of these, but for some tenants' ones."""
    heads: list[tuple[Turn, int, str]] = []
    for number, ready in enumerate(readies):
        for tenant, line in list(ready.lines.items()):
            first = line.first()
            if first is None:
                del ready.lines[tenant]
            elif tenant not in but:
                heads.append((first, number, tenant))
    heapify(heads)
    while heads:
        _, number, tenant = heads[0]
        line = readies[number].lines[tenant]
        message = line.pop()
        here = message.heap == readies[number].number
        leave(message, readies[number].number)
        first = line.first()
        if first is None:
            del readies[number].lines[tenant]
            heappop(heads)
        else:
            heapreplace(heads, (first, number, tenant))
        if here:
            yield message
