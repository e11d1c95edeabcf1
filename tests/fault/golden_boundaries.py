"""Counts the boundaries of a golden run by name, and kills its process with SIGKILL at the one that it is told; must not judge.

The ports are wrapped, not changed: an event log, a gateway, lane locks and a snapshot folder that say where they are. A name
comes again and again; a boundary is its name, *what: where*, and the how-many-th time. After a strike nothing of the process runs
any more.
"""

import asyncio
import hashlib
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

from eventlog.lane_lock import LaneLocks, Taken
from eventlog.port import Appended, EventLog
from eventlog.snapshots import Snapshot, SnapshotFolder
from gateway.https import boot_clock_s
from gateway.port import Gateway, Page, StatusReply, Transmission, TransportReply
from schemas.codec import HEADER_BYTES, SINGLE_OBJECT, Codec, schema_entries
from schemas.facts import Fact
from schemas.streams import BULLETINS, RESPONSES, SCHEMAS, Entry, Record

ANY: Final = "any boundary"
"""The name of a strike that counts every boundary of a process, whatever it is called."""

SNAPSHOT: Final = "before snapshot"
IN_CHILD: Final = ("snapshot not written", "snapshot written, nobody told")
"""Boundaries of the child that writes a snapshot, as often as its parent begins one."""

TOLD_HOPS: Final = 3
"""Turns of the event loop from an append's result until the worker has been woken with it (console/driver.py)."""

WORDS: Final = re.compile(r"(\w+): (.+) #(\d+)")


@dataclass(frozen=True, slots=True)
class Strike:
    """Where a process is killed: `role` of the process, the boundary's name, and the how-many-th time that it is passed."""

    role: str
    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.role}: {self.name} #{self.number}"

    @property
    def kind(self) -> str:
        """What kind of boundary it is, wherever it lies."""
        return f"{self.role}: {self.name.partition(':')[0]}"

    @staticmethod
    def read(text: str) -> "Strike":
        """Read what `str` wrote. Raises ValueError."""
        found = WORDS.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"a strike is ROLE: NAME #NUMBER, not {text!r}")
        return Strike(found[1], found[2], int(found[3]))


@dataclass(slots=True)
class Boundaries:
    """The boundaries that one process has passed. `struck`: the file that names the one at which it was killed."""

    role: str
    strike: Strike | None
    struck: Path
    counts: Counter[str] = field(default_factory=Counter)
    passed: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, name: str) -> None:
        """Count a boundary, and die there if it is the one. Threads pass one at a time."""
        with self._guard:
            self.counts[name] += 1
            self.passed += 1
            if self.strike in (Strike(self.role, name, self.counts[name]), Strike(self.role, ANY, self.passed)):
                self._die(name, os.getpid())

    def passes_in_child(self, name: str, number: int) -> None:
        """The same in a forked child that writes a snapshot: its parent is killed, and it with it.

        `number` comes from the parent; the guard is left alone, for a thread that is not here may have held it.
        """
        if self.strike is not None and (self.strike.name, self.strike.number) == (name, number):
            self._die(name, os.getppid())

    def met(self) -> dict[str, int]:
        """How often each boundary was met, those of the children that wrote snapshots among them."""
        return {**self.counts, **dict.fromkeys(IN_CHILD, self.counts[SNAPSHOT])}

    def _die(self, name: str, process: int) -> NoReturn:
        self.struck.write_text(name)
        os.kill(process, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process went on after its SIGKILL")


@cache
def fact_names() -> dict[str, str]:
    """What fact a value is, by the fingerprint that it begins with."""
    return {(entry.key or b"").decode(): json.loads(entry.value)["name"] for entry in schema_entries()}


class BoundaryLog:
    """An `EventLog` with a boundary before an append, after it is durable and nobody has heard, and behind every page read.

    `told` is called with the name of an append whose caller is about to hear of it.
    """

    def __init__(self, log: EventLog, boundaries: Boundaries, told: Callable[[str], None] = lambda _: None) -> None:
        self._log = log
        self._boundaries = boundaries
        self._told = told
        self.at_hand = log.at_hand
        self.end = log.end
        self.close = log.close

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """Append, between two boundaries."""
        what = f"{stream} {self._named(stream, batch)}"
        self._boundaries.passes(f"before append: {what}")
        appended = self._log.append(stream, batch)
        self._boundaries.passes(f"durable, not told: {what}")
        self._told(what)
        return appended

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """Read; a page that holds something is a boundary before anybody has it."""
        records = self._log.read(stream, start, limit, wait_s)
        if records:
            self._boundaries.passes(f"read: {stream}")
        return records

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """Fetch, with a boundary behind it."""
        records = self._log.fetch(stream, positions)
        self._boundaries.passes(f"fetched: {stream}")
        return records

    def _named(self, stream: str, batch: Sequence[Entry]) -> str:
        """What a batch is of: its first fact's type, or what the stream holds."""
        if stream.startswith("inbound.") or not batch:
            return "message"
        match stream:
            case str() if stream == SCHEMAS:
                return "schema"
            case str() if stream == BULLETINS:
                return "notice"
            case str() if stream == RESPONSES:
                return dict(batch[0].headers)["ce_type"].decode().removeprefix("ca.tidegate.")
        return fact_names()[batch[0].value[len(SINGLE_OBJECT) : HEADER_BYTES].hex()]


class AuditedLog(BoundaryLog):
    """A log as the auditor reads it: a boundary before each question and behind each answer."""

    def __init__(self, log: EventLog, boundaries: Boundaries) -> None:
        super().__init__(log, boundaries)
        self.end = self._end

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """Read, with a boundary before it too."""
        self._boundaries.passes(f"before read: {stream}")
        return super().read(stream, start, limit, wait_s)

    def _end(self, stream: str) -> int:
        self._boundaries.passes(f"before end: {stream}")
        return self._log.end(stream)


class BoundaryCodec:
    """A codec with a boundary before each fact that is folded: it is durable and read, and no state has it."""

    def __init__(self, codec: Codec, boundaries: Boundaries) -> None:
        self._codec = codec
        self._boundaries = boundaries
        self.learn = codec.learn

    def decode(self, value: bytes) -> Fact:
        """Read one value, and then the boundary."""
        fact = self._codec.decode(value)
        self._boundaries.passes(f"not folded: {type(fact).__name__}")
        return fact


def telling(boundaries: Boundaries, loop: asyncio.AbstractEventLoop) -> Callable[[str], None]:
    """A boundary in the loop behind the worker that hears of its append; what the fold knows then is as the race fell out."""

    def hop(what: str, left: int) -> None:
        if left == 0:
            boundaries.passes(f"told: {what}")
        else:
            loop.call_soon(hop, what, left - 1)

    return lambda what: (loop.call_soon_threadsafe(hop, what, TOLD_HOPS), None)[1]


class Notebook:
    """Lines that outlive a SIGKILL: each is written whole before the next thing is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, *words: object) -> None:
        """Write one line."""
        os.write(self._file, json.dumps(words).encode() + b"\n")


def noted(path: Path) -> Iterator[list[Any]]:
    """The lines of a notebook, or none where nobody has begun one."""
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().splitlines())


@dataclass(slots=True)
class _Going:
    """One send under way: how often the gateway has looked at its clock since it began, and at its last look."""

    transmission: Transmission
    number: int
    looks: list[float] = field(default_factory=list)


_GOING: Final[ContextVar[_Going | None]] = ContextVar("going", default=None)

LEFT_LOOK: Final = 3
REPLIED_LOOK: Final = 4
"""The gateway looks at its clock when it is asked to send, with a connection at hand, when the request has left, and when its
reply is read (gateway/https.py). `BoundaryGateway.send` holds it to that."""


class BoundaryClock:
    """The gateway's own clock, which tells where a send is: the one thing that it asks of us on its way."""

    def __init__(self, boundaries: Boundaries, attempts: Notebook, sender: str) -> None:
        self._boundaries = boundaries
        self._attempts = attempts
        self._sender = sender

    def __call__(self) -> float:
        """The boot clock, with the boundaries of the send that asks."""
        now_s = boot_clock_s()
        going = _GOING.get()
        if going is not None:
            going.looks.append(now_s)
            mode = going.transmission.mode
            if len(going.looks) == LEFT_LOOK:
                sha256 = hashlib.sha256(going.transmission.payload).hexdigest()
                name = f"{self._sender}/{going.number}"
                self._attempts.note("began", name, going.transmission.wire_key, sha256, self._sender, time.time())
                self._boundaries.passes(f"request left, no reply read: {mode}")
            elif len(going.looks) == REPLIED_LOOK:
                self._attempts.note("ended", f"{self._sender}/{going.number}", time.time())
                self._boundaries.passes(f"reply read, nobody told: {mode}")
        return now_s


class BoundaryGateway:
    """A `Gateway` with boundaries before and behind each call."""

    def __init__(self, gateway: Gateway, boundaries: Boundaries) -> None:
        self._gateway = gateway
        self._boundaries = boundaries
        self._sent = 0
        self.name = gateway.name
        self.idempotent = gateway.idempotent
        self.can_query = gateway.can_query
        self.close = gateway.close

    async def send(self, transmission: Transmission) -> TransportReply:
        """Send, with the boundaries of its way (`BoundaryClock`)."""
        self._boundaries.passes(f"before send: {transmission.mode}")
        self._sent += 1
        going = _Going(transmission, self._sent)
        _GOING.set(going)  # of this task alone: the driver carries each send out in one of its own
        reply = await self._gateway.send(transmission)
        assert reply.started_s is None or reply.started_s == going.looks[LEFT_LOOK - 1], (
            "the gateway looks at its clock elsewhere"
        )
        self._boundaries.passes(f"reply told, no outcome written: {transmission.mode}")
        return reply

    async def poll(self, after: int, wait_s: float) -> Page:
        """Poll, between two boundaries."""
        self._boundaries.passes("before poll")
        page = await self._gateway.poll(after, wait_s)
        self._boundaries.passes("page of answers not kept" if page.count else "empty page")
        return page

    async def query(self, wire_key: str) -> StatusReply:
        """Query, between two boundaries."""
        self._boundaries.passes("before status query")
        reply = await self._gateway.query(wire_key)
        self._boundaries.passes("status answer not kept")
        return reply


class BoundaryLocks(LaneLocks):
    """Lane locks with a boundary before and behind each change."""

    def __init__(self, data_dir: Path, boundaries: Boundaries) -> None:
        super().__init__(data_dir)
        self._boundaries = boundaries

    def acquire(self, lane: str, holder: str) -> Taken:
        """Take, between two boundaries."""
        self._boundaries.passes("before lock")
        taken = super().acquire(lane, holder)
        self._boundaries.passes("locked")
        return taken

    def release(self, lane: str) -> None:
        """Give back, between two boundaries."""
        self._boundaries.passes("before unlock")
        super().release(lane)
        self._boundaries.passes("unlocked")


class BoundarySnapshots(SnapshotFolder):
    """Snapshots with boundaries around reading one, around keeping one, and within the child that writes it."""

    def __init__(self, folder: Path, *, program: str, boundaries: Boundaries) -> None:
        super().__init__(folder, program=program)
        self._boundaries = boundaries

    def newest(self, log: EventLog, stream: str, *, passed_over: Callable[[str], None]) -> Snapshot | None:
        """Look, with a boundary behind it when there is one."""
        found = super().newest(log, stream, passed_over=passed_over)
        if found is not None:
            self._boundaries.passes("snapshot read")
        return found

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """The turn, between two boundaries."""
        self._boundaries.passes(SNAPSHOT)
        with super().turn() as ours:
            yield ours
        self._boundaries.passes("snapshot kept")

    def keep(self, record: Record, stream: str, body: bytes, *, made_ms: int) -> Path:
        """Keep, between two boundaries of the child's."""
        number = self._boundaries.counts[SNAPSHOT]  # as it was when the child was forked: its own number
        self._boundaries.passes_in_child(IN_CHILD[0], number)
        path = super().keep(record, stream, body, made_ms=made_ms)
        self._boundaries.passes_in_child(IN_CHILD[1], number)
        return path
