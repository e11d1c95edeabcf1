"""The first thing that anybody runs: `tidegate demo` tells its story, and its figures are those that INTERFACES promises."""

import json
import subprocess

import pytest

from tests.e2e.town import command

KEYS = {
    "published", "captured", "held_peak", "order_violations", "rejected", "fifo_rejected_confirmed", "fifo_rejected_assumed",
    "unaccounted", "verify", "seconds",
}  # fmt: skip
"""INTERFACES section 5."""

FIFO_REJECTS_MIN = 24
"""A plain queue gets at least one confirmed reject for each trip of the day that stands before its cargo."""


@pytest.mark.slow
def test_the_demo_ends_well_and_says_so_to_a_program() -> None:
    """INTERFACES 5: one JSON value on standard output, exit 0, nothing out of order, nothing unaccounted for, verified."""
    done = subprocess.run(command(["demo", "--json"]), capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told.keys() >= KEYS
    assert (0, 0, "ok") == (told["order_violations"], told["unaccounted"], told["verify"])
    assert told["fifo_rejected_confirmed"] >= FIFO_REJECTS_MIN
    assert told["fifo_rejected_assumed"] > 0
    assert 0 < told["held_peak"] <= told["published"]
    assert told["published"] >= told["captured"] > told["held_peak"] // 2
    assert "Traceback" not in done.stderr
