"""What a running process knows of itself, looked at once a second: folds, streams, lag, workers; must not decide anything."""

import asyncio
import os
import socket
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, Literal

from eventlog.port import LogError
from lane.census import census_of
from lane.state import Finding
from schemas.facts import AnswersReceived, Fact
from schemas.streams import ALL_STREAMS, MODES, Record, lane

if TYPE_CHECKING:
    from console.driver import Driver
    from console.follower import Folded
    from eventlog.port import EventLog
    from lane.view import LaneView, Listener

LOOK_S: Final = 1.0
"""Between two looks: whoever asks gets figures a second old at most, and no question costs the log anything."""

BEHIND_S: Final = 5
"""A fold that has not read what its stream held so many looks ago is behind: *lag_max*, as for a sender (R4)."""

LOG_SILENT_S: Final = 60.0
"""A log that has not answered for so long: this process is no use to anybody until somebody looks after it."""

LOOP_SILENT_S: Final = 10.0
"""An event loop that has not turned for so long hangs."""

WORKER_PREFIXES: Final = ("bulletins", "poll", "doubts", "intake.", "notices.", "answers.", "runner.")
"""Names of the driver's tasks that are workers (`console.wiring`)."""

Phase = Literal["starting", "working", "stopping"]


class Watching:
    """What there is to say of this process. The loop alone writes and reads it."""

    def __init__(self, log: "EventLog", names: tuple[str, ...]) -> None:
        self._log = log
        self.names = names
        self._phase: Phase = "starting"
        self.views: dict[str, Folded] = {}
        self.driver: Driver | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self.folded: Counter[str] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.ends: deque[dict[str, int]] = deque(maxlen=BEHIND_S + 1)
        self.looked_s = self.answered_s = time.monotonic()
        self.loop_lag_s = 0.0
        self.log_error = ""
        self._holder = f"{socket.gethostname()}-{os.getpid()}-"

    def listener(self, stream: str) -> "Listener":
        """Who counts the facts of a stream as they are folded."""
        mode = stream.removeprefix("lane.")

        def listen(_record: Record, fact: Fact, _findings: tuple[Finding, ...]) -> None:
            self.folded[stream] += 1
            if isinstance(fact, AnswersReceived):
                for given in fact.answers:
                    self.answers[mode, given.outcome] += 1

        return listen

    def begins(self, views: "dict[str, Folded]") -> None:
        """The folds of this process, before they have read anything."""
        self.views = views

    def works(self, driver: "Driver") -> None:
        """All has been read; the workers have begun."""
        self.driver = driver
        self._tasks = {task.get_name(): task for task in asyncio.all_tasks() if task.get_name().startswith(WORKER_PREFIXES)}
        self._phase = "working"
        for view in self.lanes().values():
            census_of(view.state)

    async def look(self) -> None:
        """Look, for ever. Only a task of its own awaits this."""
        while True:
            began_s = time.monotonic()
            await self.ask_ends()
            await asyncio.sleep(LOOK_S)
            self.loop_lag_s = max(0.0, time.monotonic() - began_s - LOOK_S)
            self.looked_s = time.monotonic()

    async def ask_ends(self) -> None:
        """Ask the log how far its streams go, once."""
        try:
            ends = await asyncio.to_thread(lambda: {stream: self._log.end(stream) for stream in sorted(ALL_STREAMS)})
        except LogError as error:
            self.log_error = str(error)
        else:
            self.log_error = ""
            self.answered_s = time.monotonic()
            self.ends.append(ends)

    def lanes(self) -> "dict[str, LaneView]":
        """The lanes' folds by mode; none while the process starts, for another thread reads into them then."""
        if self.phase == "starting":
            return {}
        found: dict[str, Any] = {mode: self.views[lane(mode)] for mode in MODES if lane(mode) in self.views}
        return found

    def lag(self, stream: str) -> int | None:
        """How many records of a stream this process has not read; None before the first look."""
        if not self.ends:
            return None
        return max(0, self.ends[-1][stream] - self.views[stream].next_position)

    def behind(self) -> list[str]:
        """The streams of which this process has not read what they held BEHIND_S ago, or at the first look."""
        return [stream for stream, view in self.views.items() if self.ends and view.next_position < self.ends[0][stream]]

    @property
    def phase(self) -> Phase:
        """What the process is at: between SIGTERM and its end it is stopping."""
        return "stopping" if self.driver is not None and self.driver.stopping else self._phase

    def dead(self) -> list[str]:
        """Workers that have ended; once the process stops they all do, and only one that failed is told."""
        ended = [task for task in self._tasks.values() if task.done()]
        if self.phase == "stopping":
            ended = [task for task in ended if not task.cancelled() and task.exception() is not None]
        return sorted(task.get_name() for task in ended)

    @property
    def workers(self) -> list[str]:
        """The workers that were begun, by name."""
        return sorted(self._tasks)

    def holds(self, holder: str) -> bool:
        """Whether a lease's holder is this process."""
        return holder.startswith(self._holder)

    def alive(self) -> list[str]:
        """Why this process is to be called dead, in sentences; none if it lives."""
        now_s = time.monotonic()
        said = [f"the worker {name} has ended" for name in self.dead()]
        if now_s - self.looked_s > LOOP_SILENT_S + LOOK_S:
            said.append(f"the event loop has not turned for {now_s - self.looked_s:.0f} s")
        if now_s - self.answered_s > LOG_SILENT_S:
            said.append(f"the log has not answered for {now_s - self.answered_s:.0f} s: {self.log_error}")
        return said

    def why_not_ready(self) -> list[str]:
        """Why this process takes no work now, in sentences; none if it does or stands by."""
        if self.phase == "starting":
            read = sum(view.next_position for view in self.views.values())
            there = sum(self.ends[-1][stream] for stream in self.views) if self.ends else None
            return [f"it is starting: {read:,} of {there:,} records are read" if there is not None else "it is starting"]
        said = ["it is stopping"] if self.phase == "stopping" else []
        said += self.alive()
        if self.log_error:
            said.append(f"the log does not answer: {self.log_error}")
        said += [f"{stream} is {self.lag(stream):,} records behind" for stream in self.behind()]
        return said
