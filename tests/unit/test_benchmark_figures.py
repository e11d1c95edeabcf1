"""What a benchmark may say: medians with their spread, promises that can fail, one line of JSON, the machine by name."""

import json
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import charts
from benchmarks.figures import Bar, Figure, Progress, Report, arguments, machine_line, positive, sizes

RATE = Figure(name="rate", unit="messages/s", meaning="what was done in a second")
RATIO = Figure(name="ratio", unit="x", meaning="ours over the peer's", digits=2)


def _report() -> Report:
    report = Report("sample", {"rounds": 3}, [RATE, RATIO], [Bar(name="ratio", least=0.5)])
    report.add({"messages": 10}, [{"rate": 100.4, "ratio": 0.701}, {"rate": 900.0, "ratio": 0.1}, {"rate": 200.0, "ratio": 0.55}])
    report.add({"messages": 20}, [{"rate": 50.0, "ratio": 0.25}])
    return report


def test_the_middle_round_speaks_and_the_spread_is_told() -> None:
    """One disturbed round moves no figure, and hides none of its noise."""
    first, second = json.loads(_report().as_json())["results"]
    assert {"messages": 10, "rounds": 3, "rate": 200, "ratio": 0.55, "spread": {"rate": [100, 900], "ratio": [0.1, 0.7]}} == first
    assert (20, 50, 0.25) == (second["messages"], second["rate"], second["ratio"])


def test_a_promise_that_is_not_kept_is_told_so() -> None:
    """A bar that can't fail would be no bar."""
    bars = json.loads(_report().as_json())["bars"]
    assert [(10, True), (20, False)] == [(bar["messages"], bar["met"]) for bar in bars]


@given(st.floats(0, 10), st.floats(0, 10))
def test_a_bar_has_two_sides(value: float, limit: float) -> None:
    """At least and at most, and the limit itself keeps the promise."""
    assert (value >= limit) == Bar(name="x", least=limit).is_met(value)
    assert (value <= limit) == Bar(name="x", most=limit).is_met(value)


def test_the_json_is_one_line_and_the_rest_goes_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads standard output; where the chart went is said to the person."""
    options = arguments("sample", "What it proves.", rounds=3).parse_args(
        ["--json", "--chart", str(tmp_path / "deep" / "chart.svg")]
    )
    _report().tell(options, lambda path: charts.bars(path, "t", {"a": {"ours": 2.0, "peer": 4.0}}, unit="/s", note="n"))
    captured = capsys.readouterr()
    assert 1 == captured.out.count("\n")
    assert "sample" == json.loads(captured.out)["benchmark"]
    assert "chart.svg" in captured.err
    assert (tmp_path / "deep" / "chart.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_the_table_names_the_machine_and_the_broken_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A figure without its machine is no figure."""
    options = arguments("sample", "What it proves.", rounds=3).parse_args(["--chart", str(tmp_path / "chart.svg")])
    _report().tell(options, lambda path: charts.lines(path, "t", {"a": [(0, 1), (1, 2)]}, x="s", y="/s", note="n"))
    printed = capsys.readouterr().out
    assert "NOT MET: ratio at least 0.5 (20: 0.25)" in printed
    assert "200 (100 to 900)" in printed
    assert "cores" in printed


def test_a_busy_machine_is_told_with_the_figures() -> None:
    """Others' work makes single figures noise; who reads them later must know."""
    quiet = _report().machine | {"busy_at_start": False}
    assert "BUSY" not in machine_line(quiet)
    assert "BUSY" in machine_line(quiet | {"busy_at_start": True})


def test_the_same_figures_draw_the_same_bytes(tmp_path: Path) -> None:
    """A chart that is kept in the repository changes only when its figures do."""
    for name in ("one.svg", "two.svg"):
        charts.bars(tmp_path / name, "t", {"a": {"ours": 2.0}}, unit="/s", note="n")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_progress_tells_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever waits for minutes sees how many are left."""
    times = iter([0.0, 1.0, 20.0])
    progress = Progress("publish", 1_000, lambda: next(times))
    progress.at(1)
    progress.at(500)
    assert "publish: 500 of 1,000 (25/s, 20 s left)\n" == capsys.readouterr().err


def test_sizes_are_read_as_people_write_them() -> None:
    """10000,100000 is a list; a nought or a word is a mistake."""
    assert [10_000, 100_000] == sizes("10000,100_000")
    with pytest.raises(ArgumentTypeError):
        positive("0")
