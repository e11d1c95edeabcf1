"""Stops a process in its tracks and waits until it stands still; must not know what it runs, nor whose child it is."""

import os
import signal
import time
from pathlib import Path
from typing import Final

STOPPED_WAIT_S: Final = 10.0
"""A signal is delivered when each thread is next scheduled; a busy machine takes its time."""

LOOK_S: Final = 0.01
"""Between two looks."""


def stop(pid: int) -> None:
    """SIGSTOP; returns when every thread has stopped, for until then one may still take a lock. Raises TimeoutError."""
    os.kill(pid, signal.SIGSTOP)
    deadline_s = time.monotonic() + STOPPED_WAIT_S
    while not _stands_still(pid):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"Process {pid} did not stop within {STOPPED_WAIT_S:.0f} s.")
        time.sleep(LOOK_S)


def _stands_still(pid: int) -> bool:
    try:
        return all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in Path(f"/proc/{pid}/task").glob("*/stat"))
    except (FileNotFoundError, ProcessLookupError):  # a thread has just ended
        return False
