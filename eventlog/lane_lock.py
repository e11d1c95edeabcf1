"""Locks that the kernel frees when their process dies, so that a dead lane holder is proved dead (R43); knows no leases.

The lock is `flock` on a file of the data folder: it lasts as long as the open file, and the kernel closes that at death, whatever
killed the process. The file names the process that took it last, so that a free lock proves the death of that one and nobody
else. It proves nothing across machines, and nothing on a network file system that fakes locks. A process forked (not started by
exec) from the holder keeps the lock alive; the only one that Tidegate forks, which writes a snapshot, closes it first of all.
"""

import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Final, NamedTuple

NAME_BYTES_MAX: Final = 500
"""Longest holder's name that is kept in a lock file."""


class Taken(NamedTuple):
    """What an attempt gave: `taken`, the lock is ours; `before`, who held it last and is dead or gave it back, or None."""

    taken: bool
    before: str | None


class LaneLocks:
    """The lane locks of one process on one data folder. The lock belongs to who holds the lane's lease: a standby that can't take
    the lane gives it back, and a holder that got the lease without it (the old one was frozen with it) asks again."""

    def __init__(self, data_dir: Path) -> None:
        """Name the folder, which must exist; no file is touched before the first `acquire`."""
        self._data_dir: Final = data_dir
        self._held: Final[dict[str, int]] = {}
        self._guard: Final = threading.Lock()

    def acquire(self, lane: str, holder: str) -> Taken:
        """Take the lane's lock for the life of this process, at once or not at all, and write our name into it.

        `taken` is True also when we hold it already. Raises OSError if the folder can't be written; the lock is free again then.
        """
        with self._guard:
            if lane in self._held:
                return Taken(True, None)
            handle = try_lock(self._path(lane))
            if handle is None:
                return Taken(False, None)
            try:
                before = os.pread(handle, NAME_BYTES_MAX, 0).decode("utf-8", "replace")
                _write_name(handle, holder.encode()[:NAME_BYTES_MAX])
            except BaseException:
                os.close(handle)
                raise
            self._held[lane] = handle
            return Taken(True, before or None)

    def release(self, lane: str) -> None:
        """Give the lane's lock back, if we hold it, and take our name out of it: a free lock must prove no living process dead.

        Raises OSError when the name can't be taken out; then the lock stays ours.
        """
        with self._guard:
            handle = self._held.get(lane)
            if handle is not None:
                os.ftruncate(handle, 0)
                del self._held[lane]
                os.close(handle)

    def close(self) -> None:
        """Give every lock back, as death would."""
        with self._guard:
            for handle in self._held.values():
                os.close(handle)
            self._held.clear()

    def _path(self, lane: str) -> Path:
        if not lane.isidentifier():
            raise ValueError(f"{lane!r} names no lane: use the mode's name, such as 'highway'.")
        return self._data_dir / f"lane.{lane}.lock"


def _write_name(handle: int, name: bytes) -> None:
    """Replace what the file says. Raises OSError; then the file names nobody, so that a free lock proves no living one dead."""
    os.ftruncate(handle, 0)
    if os.pwrite(handle, name, 0) != len(name):
        os.ftruncate(handle, 0)
        raise OSError(errno.ENOSPC, "the holder's name could not be written whole; make room on the disk")


def try_lock(path: Path) -> int | None:
    """Lock the file, made if missing with mode 0600, and return its descriptor; None when another open file holds the lock.

    Closing the descriptor frees the lock. Raises OSError when the file can't be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle
