"""Takes snapshots of this process's folds while it works and when it ends; must not stop the work, nor end it when it fails.

A forked child writes them: it has the folds as they stood at that moment, and the loop stands still for the fork alone.
The child touches nothing that another thread may have held then: it closes every file but its own, makes the bytes, writes them,
and ends without Python's own goodbyes. Where it fails the log says why, and the next one is tried later: a snapshot is a cache.
"""

import asyncio
import gc
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import structlog

from console.clock import wall_ms
from console.snapshots import dumper
from eventlog.snapshots import SnapshotFolder
from schemas.streams import Record

SNAPSHOT_FACTS: Final = 50_000
"""New facts after which a fold is kept again: what a start after a kill reads at most, some seconds of folding."""

STOP_FACTS: Final = 2_000
"""New facts for which an orderly end keeps a fold: a tail of fewer is folded in less time than a snapshot takes to write."""

LOOK_S: Final = 2.0
"""How often the folds are looked at: at 10,000 facts a second, so that no tail grows far beyond SNAPSHOT_FACTS."""

REST_TIMES: Final = 10
"""After a snapshot none is taken for so many times the time that it took: while a drain writes thousands of facts a second, at
most a tenth of one core goes into them."""

CHILD_POLL_S: Final = 0.02
"""How often a child is asked whether it has ended."""

CHILD_WAIT_MAX_S: Final = 300.0
"""Longest time for one snapshot: many times what a large lane takes; a child that hangs is ended."""

STOP_WAIT_MAX_S: Final = 10.0
"""Longest time that an orderly end spends on snapshots: with the workers' own 45 s it fits the container's 60 s of grace."""

OUR_FAULT: Final = 255
"""Exit code of a child that failed otherwise than by the disk."""

FILES_COUNT_MAX: Final = 65_536
"""Highest number of an open file that a child closes; no process of ours has as many connections."""


class Keeper:
    """The snapshots of one process: which folds have grown, and the one child that writes at a time."""

    def __init__(self, folder: SnapshotFolder, views: Mapping[str, Any]) -> None:
        """`views` by stream: folds with `begun_at`, where their snapshots ended, `next_position` and `last`."""
        self._folder = folder
        self._views = views
        self._kept = {stream: view.begun_at for stream, view in views.items()}
        self._logger = structlog.get_logger("tidegate")

    async def run(self) -> None:
        """Keep what has grown by SNAPSHOT_FACTS, one fold after another, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            await self._keep(SNAPSHOT_FACTS, wait_max_s=CHILD_WAIT_MAX_S)
            await asyncio.sleep(max(LOOK_S, REST_TIMES * (loop.time() - began_s)))

    async def finish(self) -> None:
        """Keep what has grown at the end of the process, as far as there is time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_MAX_S):
                await self._keep(STOP_FACTS, wait_max_s=STOP_WAIT_MAX_S)

    async def _keep(self, count: int, *, wait_max_s: float) -> None:
        for stream, view in self._views.items():
            if view.next_position - self._kept[stream] < count or view.last is None:
                continue
            # Another process on the same log may have been quicker, or is at it now.
            self._kept[stream] = max(self._kept[stream], self._folder.furthest(stream) + 1)
            if view.next_position - self._kept[stream] >= count:
                try:
                    with self._folder.turn() as ours:
                        if ours:
                            self._kept[stream] = view.next_position
                            await self._write(stream, view, wait_max_s=wait_max_s)
                except OSError as error:
                    self._kept[stream] = view.next_position
                    self._logger.warning("snapshot_not_kept", stream=stream, reason=str(error))

    async def _write(self, stream: str, view: Any, *, wait_max_s: float) -> None:
        """Let a child write the fold as it stands now, and say how it went."""
        loop = asyncio.get_running_loop()
        position, began_s = view.next_position - 1, loop.time()
        child = fork(self._folder, stream, view.last, dumper(view))
        forked_s = loop.time()
        code = await self._ended(child, wait_max_s=wait_max_s)
        told = {"stream": stream, "position": position, "seconds": round(loop.time() - began_s, 3)}
        if code == 0:
            self._logger.info("snapshot_kept", **told, fork_ms=round((forked_s - began_s) * 1_000, 1))
        else:
            reason = {None: "it took too long", OUR_FAULT: "a fault of tidegate's own"}.get(code) or os.strerror(code or 0)
            self._logger.warning("snapshot_not_kept", **told, reason=reason)

    async def _ended(self, child: int, *, wait_max_s: float) -> int | None:
        """The child's exit code; None when it was ended for taking too long. Cancelled, it leaves no child behind."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_max_s
        try:
            while loop.time() < until_s:
                ended, status = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 (it returns at once)
                if ended:
                    return os.waitstatus_to_exitcode(status) & 0xFF
                await asyncio.sleep(CHILD_POLL_S)
        except BaseException:
            _end(child)
            raise
        _end(child)
        return None


def fork(folder: SnapshotFolder, stream: str, last: Record, make: Callable[[], bytes]) -> int:
    """Start a child that writes the snapshot of a fold whose last record is `last`; returns its process id.

    Its exit code is 0, or the number of the error that the disk gave. Signals wait until it no longer shares our handlers.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        child = os.fork()
        if child == 0:
            _write_and_exit(folder, stream, last, make)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _write_and_exit(folder: SnapshotFolder, stream: str, last: Record, make: Callable[[], bytes]) -> None:
    """The child's life. Never returns: the parent's loop, threads and files are not its own."""
    code = OUR_FAULT
    try:
        gc.disable()  # nothing here may be finalized: it is the parent's too
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        os.closerange(3, FILES_COUNT_MAX)  # a lane's lock among them: it must end with the parent (R43)
        folder.keep(last, stream, make(), made_ms=wall_ms())
        code = 0
    except OSError as error:
        code = error.errno or OUR_FAULT
    except BaseException:  # noqa: BLE001 (nothing may leave a child; the message goes past Python's buffers and their locks)
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
