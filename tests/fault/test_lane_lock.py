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


def test_a_lane_name_that_would_leave_the_folder_is_refused(locks: LaneLocks) -> None:
    """A name is not a path."""
    with pytest.raises(ValueError, match="names no lane"):
        locks.acquire("../highway", "anna")
