"""What a worker may ask of the world, as data; must not know who carries it out.

Workers are generators: each turn yields a list of submissions and receives a `Turn` with the completions that have come in.
Production drives them with real engines (`console.driver`), tests with virtual time: the same code (DESIGN section 5).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from schemas.streams import Entry
from schemas.wire import Transmission


@dataclass(frozen=True, slots=True)
class Append:
    """Append a batch. Result: its positions; error: a `LogError`."""

    tag: object
    stream: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Read a stream's records, waiting up to `wait_s` for the first. Result: a sequence of records; error: a `LogError`."""

    tag: object
    stream: str
    start: int
    limit: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch records by position. Result: the records in that order; error: a `LogError`."""

    tag: object
    stream: str
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Follow:
    """Wait until this process's fold of the stream stands beyond position `beyond`, or `wait_s` has passed. Result: None."""

    tag: object
    stream: str
    beyond: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Read a stream to the end that it has when this is carried out, into this process's fold. Result: None; error: LogError."""

    tag: object
    stream: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Take the engine's lock on a lane for this process (R43). Result: a `LockResult`."""

    tag: object
    lane: str
    holder: str


@dataclass(frozen=True, slots=True)
class Unlock:
    """Give the engine's lock on a lane back, naming nobody: who gives it back is not dead (R43). Result: None."""

    tag: object
    lane: str


@dataclass(frozen=True, slots=True)
class LockResult:
    """`taken`: this process holds the lock now. `dead`: the holder that the lock names and that is proved dead, or nothing.
    An engine without locks answers `taken` True and proves nobody dead."""

    taken: bool
    dead: str | None


@dataclass(frozen=True, slots=True)
class Send:
    """Put a message on the wire, once. Result: a `TransportReply`; it has no error."""

    tag: object
    transmission: Transmission


@dataclass(frozen=True, slots=True)
class Query:
    """Ask what became of a wire key. Result: a `StatusReply`."""

    tag: object
    wire_key: str


@dataclass(frozen=True, slots=True)
class Poll:
    """Fetch CBSA's answers after a cursor. Result: a `Page`; error: `GatewayUnavailable`."""

    tag: object
    after: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait. Result: None."""

    tag: object
    wait_s: float


Submission: TypeAlias = Append | Read | Fetch | Follow | CatchUp | Lock | Unlock | Send | Query | Poll | Sleep


@dataclass(frozen=True, slots=True)
class Done:
    """A completion: the submission's tag, and its result or its error."""

    tag: object
    result: object = None
    error: Exception | None = None

    @property
    def positions(self) -> Sequence[int]:
        """What an `Append` that was done resulted in."""
        assert isinstance(self.result, (list, tuple, range))
        return self.result


@dataclass(frozen=True, slots=True)
class Turn:
    """What a worker wakes up to: the wall clock (Unix milliseconds), the boot clock (seconds, runs through suspend) and what
    has completed since its last yield, in order. A worker is woken when at least one completion is there."""

    at_ms: int
    boot_s: float
    done: tuple[Done, ...] = ()
    stopping: bool = False


Worker: TypeAlias = Generator[list[Submission], Turn, None]
