"""A lane lock proves its holder dead when the holder was killed, and only then (R43)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.lane_lock import LaneLocks, Taken

HOLDER = """
import sys, time
from pathlib import Path
from eventlog.lane_lock import LaneLocks
print(LaneLocks(Path(sys.argv[1])).acquire("highway", "anna").taken, flush=True)
time.sleep(600)
"""


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[LaneLocks]:
    """Give the locks of this process."""
    locks = LaneLocks(tmp_path)
    yield locks
    locks.close()


def test_a_killed_holder_is_proved_dead_by_name_and_a_living_one_is_not(locks: LaneLocks, tmp_path: Path) -> None:
    """The kernel frees the lock at death, whatever killed the process; the file says whose death that proves (R43)."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert "True\n" == holder.stdout.readline()
    assert Taken(False, None) == locks.acquire("highway", "ben")
    assert Taken(True, None) == locks.acquire("rail", "ben")
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert Taken(True, "anna") == locks.acquire("highway", "ben")


def test_a_lock_of_our_own_is_kept(locks: LaneLocks, tmp_path: Path) -> None:
    """Asking twice is the same as asking once, and proves nobody dead."""
    assert Taken(True, None) == locks.acquire("air", "anna")
    assert Taken(True, None) == locks.acquire("air", "anna")
    assert Taken(False, None) == LaneLocks(tmp_path).acquire("air", "ben")


def test_a_lock_that_was_given_back_may_be_taken(locks: LaneLocks, tmp_path: Path) -> None:
    """A process that ends in order leaves nothing to wait for."""
    locks.acquire("marine", "anna")
    locks.close()
    others = LaneLocks(tmp_path)
    assert Taken(True, "anna") == others.acquire("marine", "ben")
    others.close()


def test_a_lock_given_back_by_the_living_names_nobody(locks: LaneLocks, tmp_path: Path) -> None:
    """R43: who lost the lane while it was frozen lives on; whoever gets its lock next must not think it dead."""
    locks.acquire("highway", "anna")
    locks.release("highway")
    others = LaneLocks(tmp_path)
    assert Taken(True, None) == others.acquire("highway", "ben")
    assert Taken(False, None) == locks.acquire("highway", "anna")
    others.close()
    locks.release("highway")
    locks.release("never taken")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from eventlog.lane_lock import LaneLocks
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
locks = LaneLocks(Path(sys.argv[1]))
for room in [int(word) for word in sys.argv[2:]]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        print(locks.acquire("highway", "anna").taken, flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""
"""The system lets the process write files of so many bytes only, which fails as a full disk does."""


@pytest.mark.parametrize("room", [0, 2])
def test_a_lock_that_could_not_be_written_is_free_again(room: int, tmp_path: Path) -> None:
    """A disk that was full for a moment costs that attempt, not the lane: the same process takes the lock later."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(room), "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ["OSError", "True"] == done.stdout.split()
    assert b"anna" == (tmp_path / "lane.highway.lock").read_bytes()


def test_a_lane_name_that_would_leave_the_folder_is_refused(locks: LaneLocks) -> None:
    """A name is not a path."""
    with pytest.raises(ValueError, match="names no lane"):
        locks.acquire("../highway", "anna")
