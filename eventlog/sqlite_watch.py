"""Wakes readers of the SQLite log when somebody commits, in this process or another; must not know tables, records or files."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import apsw

from eventlog.port import LogError
from schemas.streams import ALL_STREAMS

POLL_S: Final = 0.015
"""Pause between two looks for other processes' commits: below a person's notice, and 66 looks of 10 us a second are nothing."""

Mark: TypeAlias = tuple[int, int]
"""What was known of a stream's growth: own commits on it, and commits seen from elsewhere."""


class CommitWatch:
    """Counts commits and lets readers wait for the next; one thread looks for other processes' commits while somebody waits."""

    def __init__(self, look: Callable[[], object]) -> None:
        """`look` gives something that is equal until another process commits; it is called by the watching thread alone."""
        self._look: Final = look
        lock = threading.Lock()
        self._lock: Final = lock
        # A condition for each stream: with one for all, a commit woke every follower of a quiet stream too, sixteen of them.
        self._grown: Final = {stream: threading.Condition(lock) for stream in ALL_STREAMS}
        self._wanted: Final = threading.Condition(lock)
        self._closing: Final = threading.Event()
        self._own: Final = dict.fromkeys(ALL_STREAMS, 0)
        self._elsewhere = 0
        self._waiting_count = 0
        self._seen: object = None
        self._thread: Final = threading.Thread(target=self._watch, name="tidegate-commit-watch", daemon=True)
        self._thread.start()

    def mark(self, stream: str) -> Mark:
        """Return the mark to wait beyond; take it before the read that finds nothing."""
        with self._lock:
            return self._own[stream], self._elsewhere

    def announce(self, stream: str) -> None:
        """Tell that this process committed to the stream."""
        with self._lock:
            self._own[stream] += 1
            self._grown[stream].notify_all()

    def wait_beyond(self, stream: str, mark: Mark, *, deadline: float) -> None:
        """Return when something may have been committed since `mark`, at `deadline` (monotonic, seconds), or on close."""
        with self._lock:
            self._waiting_count += 1
            self._wanted.notify()
            self._grown[stream].wait_for(
                lambda: self._closing.is_set() or (self._own[stream], self._elsewhere) != mark,
                max(0.0, deadline - time.monotonic()),
            )
            self._waiting_count -= 1

    def close(self) -> None:
        """Wake everybody and end the thread."""
        with self._lock:
            self._closing.set()
            self._wake_all()
            self._wanted.notify_all()
        self._thread.join()

    def _watch(self) -> None:
        # A commit while nobody waited shows at the next look: what is seen is compared with the last look, not with time.
        while self._somebody_waits():
            if self._changed():
                with self._lock:
                    self._elsewhere += 1
                    self._wake_all()
            self._closing.wait(POLL_S)

    def _wake_all(self) -> None:
        for grown in self._grown.values():
            grown.notify_all()

    def _somebody_waits(self) -> bool:
        with self._wanted:
            self._wanted.wait_for(lambda: self._closing.is_set() or self._waiting_count > 0)
            return not self._closing.is_set()

    def _changed(self) -> bool:
        try:
            seen = self._look()
        except (apsw.Error, LogError):
            # A look that fails counts as a change: each reader then looks for itself and raises what it meets.
            return True
        changed = seen != self._seen
        self._seen = seen
        return changed
