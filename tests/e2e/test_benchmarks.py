"""Every benchmark runs at a tiny size and says plausible figures; nobody's machine is judged by its speed here."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if 'if __name__ == "__main__"' in path.read_text())
NO_BENCHMARK = {"generate"}
"""What runs by itself and measures nothing."""
COUNTED = ("order_violations", "unaccounted", "differences")
"""Promises that hold at any speed: the others are for whoever reads the figures."""


def _run(name: str, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark as a person would. Returns its one line of JSON."""
    chart = tmp_path / f"{name}.svg"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", "--rounds", "1", "--chart", str(chart), *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env=environment)
    assert 0 == done.returncode, done.stderr
    assert 1 == done.stdout.count("\n")
    assert chart.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    said: dict[str, Any] = json.loads(done.stdout)
    assert name == said["benchmark"]
    assert said["machine"]["cores"] >= 1
    return said


def _plausible(result: dict[str, Any], *positive: str) -> None:
    """These figures are there and more than nothing; every figure is a finite number within its own spread."""
    for name in positive:
        assert result[name] > 0, name
    for name, (least, most) in result["spread"].items():
        assert math.isfinite(result[name]), name
        assert least <= result[name] <= most, name


def _none_out_of_order_or_lost(said: dict[str, Any], result: dict[str, Any]) -> None:
    assert (0, 0) == (result["order_violations"], result["unaccounted"])
    assert {True} == {bar["met"] for bar in said["bars"] if bar["bar"].startswith(COUNTED)}


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
def test_the_drain_tells_its_rate_beside_the_raw_loops(engine: str, tmp_path: Path) -> None:
    """Order, gate and log are measured against the wire alone, in one run, and the authority itself checks the order."""
    said = _run("drain", tmp_path, "--engine", engine, "--messages", "40,80", "--in-flight", "16")
    assert [40, 80] == [result["messages"] for result in said["results"]]
    for result in said["results"]:
        _plausible(
            result, "drain_per_s", "raw_per_s", "ratio_to_raw", "first_send_s", "publish_per_s", "own_cpu_us", "rss_held_mib"
        )
        _none_out_of_order_or_lost(said, result)


def test_a_seeded_log_drains_like_a_published_one_and_says_so(tmp_path: Path) -> None:
    """What was written directly is told, and no rate of publishing is made up."""
    said = _run("drain", tmp_path, "--engine", "memory", "--messages", "40", "--seed-log")
    _none_out_of_order_or_lost(said, said["results"][0])
    assert "publish_per_s" not in said["results"][0]
    assert "--seed-log" in said["notes"][0]


def test_publishing_tells_its_rate_beside_the_bare_clients(tmp_path: Path) -> None:
    """Receipts are measured against plain inserts of the same rows."""
    said = _run("intake", tmp_path, "--messages", "200", "--singles", "10")
    _plausible(said["results"][0], "many_per_s", "bare_many_per_s", "many_ratio", "single_per_s", "single_ratio")


def test_holding_tells_memory_latency_and_the_first_send(tmp_path: Path) -> None:
    """What an outage costs while it lasts."""
    said = _run("hold", tmp_path, "--messages", "200")
    wanted = ("traced_bytes_1", "traced_bytes_3", "dict_bytes_1", "first_send_s", "status_p99_ms", "why_p50_ms", "why_command_s")
    _plausible(said["results"][0], *wanted)


def test_order_by_key_tells_what_is_beyond_the_longest_chain(tmp_path: Path) -> None:
    """The longest document's chain is named, so that everybody can redo the sum."""
    said = _run("keys", tmp_path, "--messages", "60", "--documents", "12")
    result = said["results"][0]
    _plausible(result, "total_s", "alone_ms", "chain_needs_s", "raw_s")
    _none_out_of_order_or_lost(said, result)
    assert math.isclose(result["total_s"] - result["chain_needs_s"], result["beyond_s"], abs_tol=0.002)


def test_rebuilding_tells_its_rate_beside_decoding_alone(tmp_path: Path) -> None:
    """The fold is measured against reading its facts, and its snapshot must give the same state."""
    said = _run("rebuild", tmp_path, "--facts", "2000", "--trips-a-day", "5")
    _plausible(
        said["results"][0], "fold_per_s", "decode_per_s", "ratio_to_decode", "fold_us_last", "snapshot_load_s", "messages_kept"
    )
    assert [True] == [bar["met"] for bar in said["bars"] if bar["bar"].startswith(COUNTED)]


def test_starting_tells_its_time_beside_a_fold_from_zero(tmp_path: Path) -> None:
    """A start from a snapshot is held against the same log without one, and must come to the same state; the log is kept."""
    small = ("--facts", "2000", "--tail", "300", "--trips-a-day", "5", "--folder", str(tmp_path / "log"))
    said = _run("start", tmp_path, *small)
    _plausible(said["results"][0], "command_s", "start_s", "load_s", "from_zero_s", "ratio", "snapshot_mib", "messages_kept")
    assert 300 == said["results"][0]["tail"]
    assert [True] == [bar["met"] for bar in said["bars"] if bar["bar"].startswith(COUNTED)]
    assert said["results"][0]["facts"] == _run("start", tmp_path, *small)["results"][0]["facts"]


@pytest.mark.kafka
def test_kafka_is_measured_too(kafka_one: str, tmp_path: Path) -> None:
    """The distributed engine goes the same ways, and its topics are taken away again."""
    engine = ("--engine", "kafka", "--kafka", kafka_one)
    said = _run("drain", tmp_path, *engine, "--messages", "40")
    _plausible(said["results"][0], "drain_per_s", "ratio_to_raw")
    _none_out_of_order_or_lost(said, said["results"][0])
    said = _run("intake", tmp_path, *engine, "--messages", "200", "--singles", "5")
    _plausible(said["results"][0], "many_per_s", "bare_many_per_s", "single_ratio")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_BENCHMARK])
def test_a_benchmark_says_what_it_proves(name: str) -> None:
    """Its help is its docstring, and docs/performance.md tells how to run it."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert "--json" in done.stdout
    assert f"benchmarks.{name}" in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
