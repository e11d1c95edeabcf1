"""The simulated authority's channels: what is up, what waits in them, what came in; must not know documents or HTTP."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast

from gateway.authority_faults import bounded
from gateway.authority_history import AnswerRow, HistoryEntry

State: TypeAlias = Literal["up", "down", "delayed"]

STATES: Final[frozenset[str]] = frozenset({"up", "down", "delayed"})

DELAY_MAX_S: Final = 86_400.0
"""Longest delay: CBSA's queues have been a day behind, and a mistyped one must not hold a message for ever."""

CHANNELS_MAX: Final = 64
"""Most channels: there are about ten, and a name comes from whoever sends."""

CHANNEL_NAME_CHARS_MAX: Final = 64
"""Longest channel name: names are short words."""

T = TypeVar("T")


@dataclass(slots=True)
class DelayLine(Generic[T]):
    """First in, first out, each not before its time; nothing comes out while it is shut. Times in seconds of one clock.

    Its length is bounded by the history, which bounds everything that is ever put in.
    """

    is_open: bool = True
    _items: deque[tuple[float, T]] = field(default_factory=deque)

    def put(self, item: T, due_s: float) -> None:
        """Put it at the end; it never comes out before what stands before it, even when it is due sooner."""
        self._items.append((due_s, item))

    def take_due(self, now_s: float) -> list[T]:
        """Take out what is due."""
        due: list[T] = []
        while self.is_open and self._items and self._items[0][0] <= now_s:
            due.append(self._items.popleft()[1])
        return due

    def next_due_s(self) -> float | None:
        """Return when the first item is due; None when it is empty or shut."""
        return self._items[0][0] if self.is_open and self._items else None

    def hasten(self, now_s: float) -> None:
        """Make everything due now: the queue has caught up."""
        self._items = deque((min(due_s, now_s), item) for due_s, item in self._items)

    def __len__(self) -> int:
        return len(self._items)


@dataclass(slots=True, kw_only=True)
class Channel:
    """One channel: its state, its two queues and what was counted. `*_while_down` came although
    inbound was down. `wake_at_s` is when a timer will look at it."""

    name: str
    inbound: State = "up"
    outbound: State = "up"
    delay_s: float = 0.0
    to_judge: DelayLine[HistoryEntry] = field(default_factory=DelayLine)
    to_answer: DelayLine[AnswerRow] = field(default_factory=DelayLine)
    wake_at_s: float | None = None
    posts: int = 0
    bytes: int = 0
    posts_while_down: int = 0
    bytes_while_down: int = 0

    def count(self, body_bytes: int) -> None:
        """Count one POST that came in, whatever becomes of it."""
        self.posts += 1
        self.bytes += body_bytes
        if self.inbound == "down":
            self.posts_while_down += 1
            self.bytes_while_down += body_bytes

    def set(self, wanted: Mapping[str, Any], now_s: float) -> None:
        """Take the body of `PUT /v1/channels/NAME`; what it leaves out stays. Raises ValueError with a sentence."""
        unknown = set(wanted) - {"inbound", "outbound", "delay_s"}
        if unknown:
            raise ValueError(f"A channel has inbound, outbound and delay_s, not {sorted(unknown)}.")
        inbound = _state(wanted.get("inbound", self.inbound))
        outbound = _state(wanted.get("outbound", self.outbound))
        delay_s = bounded(wanted, "delay_s", default=self.delay_s, most=DELAY_MAX_S)
        if inbound == "up" and self.inbound != "up":
            self.to_judge.hasten(now_s)
        if outbound == "up" and self.outbound != "up":
            self.to_answer.hasten(now_s)
        self.inbound, self.outbound, self.delay_s = inbound, outbound, delay_s
        # Inbound down refuses new messages; what was taken before is judged in its time. Outbound down keeps answers back.
        self.to_answer.is_open = outbound != "down"

    def as_json(self) -> dict[str, Any]:
        """Return the state, what waits and what was counted."""
        return {
            "inbound": self.inbound,
            "outbound": self.outbound,
            "delay_s": self.delay_s,
            "to_judge": len(self.to_judge),
            "to_answer": len(self.to_answer),
            "posts": self.posts,
            "bytes": self.bytes,
            "posts_while_down": self.posts_while_down,
            "bytes_while_down": self.bytes_while_down,
        }


def _state(value: object) -> State:
    if value not in STATES:
        raise ValueError(f"A direction is up, down or delayed, not {value!r:.40}.")
    return cast("State", value)
