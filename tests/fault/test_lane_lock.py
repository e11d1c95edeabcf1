"""A lane lock proves its holder dead when the holder was killed, and only then (R43)."""

# ruff: noqa: SIM300
# Tests say `expected == actual` (HOUSE 20), which the rule calls a Yoda condition.

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.lane_lock import LaneLocks

HOLDER = """
import sys, time
from pathlib import Path
from eventlog.lane_lock import LaneLocks
print(LaneLocks(Path(sys.argv[1])).acquire("highway"), flush=True)
time.sleep(600)
"""


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[LaneLocks]:
    """Give the locks of this process."""
    locks = LaneLocks(tmp_path)
    yield locks
    locks.close()


def test_a_killed_holder_is_proved_dead_and_a_living_one_is_not(locks: LaneLocks, tmp_path: Path) -> None:
    """The kernel frees the lock at death, whatever killed the process."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert "True\n" == holder.stdout.readline()
    assert (False, False) == (locks.holder_is_dead("highway"), locks.acquire("highway"))
    assert (True, True) == (locks.holder_is_dead("rail"), locks.acquire("rail"))
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert locks.holder_is_dead("highway")
    assert locks.acquire("highway")


def test_a_lock_of_our_own_is_kept_and_its_holder_is_alive(locks: LaneLocks, tmp_path: Path) -> None:
    """Asking twice is the same as asking once; asking whether we are dead does not free the lock."""
    assert locks.acquire("air")
    assert locks.acquire("air")
    assert not locks.holder_is_dead("air")
    others = LaneLocks(tmp_path)
    assert not others.acquire("air")
    assert not others.holder_is_dead("air")


def test_a_lock_that_was_given_back_may_be_taken(locks: LaneLocks, tmp_path: Path) -> None:
    """A process that ends in order leaves nothing to wait for."""
    locks.acquire("marine")
    locks.close()
    others = LaneLocks(tmp_path)
    assert others.acquire("marine")
    others.close()


def test_a_lane_name_that_would_leave_the_folder_is_refused(locks: LaneLocks) -> None:
    """A name is not a path."""
    with pytest.raises(ValueError, match="names no lane"):
        locks.acquire("../highway")
