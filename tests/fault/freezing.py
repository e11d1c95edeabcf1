"""Stops a process in its tracks (SIGSTOP) and nobody else with it; knows nothing of lanes and leases."""

import signal
import subprocess
import time
from pathlib import Path

import apsw

from tests.stopping import stop


def freeze(process: "subprocess.Popen[str]", data: Path | None) -> None:
    """SIGSTOP, at a moment when the process holds no lock on the SQLite file: a frozen writer there holds up everybody."""
    while True:
        stop(process.pid)
        if data is None or can_write(data):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)


def can_write(data: Path) -> bool:
    """Whether somebody could write to the log now.

    Asked through the same SQLite as the log's own: a second copy of the library in one process (Python's sqlite3) would let go of
    the first one's locks when it closes the file, and the next process then truncates the index that we have mapped.
    """
    (file,) = data.glob("*.db")
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(200)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except apsw.BusyError:
        return False
    finally:
        connection.close()
    return True
