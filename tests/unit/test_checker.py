"""The checker finds what it is there for in a run that was right until one thing was made wrong; it does not use the fold."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checker.check import RULES, Broken, check
from tests.checker.history import Answered, Attempt, History, Publish, Standing
from tests.simulation.plan import Odds, draw
from tests.simulation.process import CODEC
from tests.simulation.story import Story

IMPORTED = """
import sys
import tests.checker.check
judged = {"lane", "replay", "consumers", "producers", "console"}
print(sorted({name.split(".")[0] for name in sys.modules} & judged))
"""


@pytest.fixture(scope="module")
def run() -> Story:
    """A calm run with nothing wrong: one process, no faults, no outage, and each message published behind what it names."""
    drawn = draw(7)
    in_order = (
        replace(each, at_s=number * 2.0, again_s=None, withdrawn_s=None) for number, each in enumerate(drawn.publications[:5])
    )
    plan = replace(drawn, odds=Odds(), outages=(), processes=1, locks=False, publications=tuple(in_order))
    story = Story(plan, trace=False)
    story.faults()
    story.calm()
    assert [] == story.judged(frozenset()).broken
    assert len(story.history.attempts) > 3
    return story


def broken_by(run: Story, **changed: object) -> set[str]:
    """The rules that a changed history breaks."""
    history = History(
        publishes=list(run.history.publishes), attempts=list(run.history.attempts), taken=list(run.history.taken),
        answered=list(run.history.answered), standings=list(run.history.standings),
    )  # fmt: skip
    for name, value in changed.items():
        setattr(history, name, value)
    return {each.rule for each in check(run.clockwork.log, CODEC, history)}


def test_the_checker_imports_nothing_that_it_judges() -> None:
    """HOUSE 4 turned round: what would agree with itself is not asked (RELIABILITY section 3.4)."""
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, timeout=60, check=True)
    assert "[]" == done.stdout.strip()


def test_a_publish_that_was_acknowledged_and_is_not_in_the_log_is_found(run: Story) -> None:
    """I1a: under another key, or with other bytes."""
    first = run.history.publishes[0]
    for lost in (replace(first, key="gone"), replace(first, sha256="0" * 64), replace(first, mode="export")):
        assert {"I1a"} <= broken_by(run, publishes=[*run.history.publishes, lost])
    unsure = replace(first, key="gone", told="unsure")
    assert set() == broken_by(run, publishes=[*run.history.publishes, unsure])


def test_a_message_that_no_effective_fact_received_is_found(run: Story) -> None:
    """I1e: what clients are told of stands in the lane, for everybody who reads it by its chains."""
    told = replace(run.history.answered[0], key="gone")
    for phantom in (told, replace(told, mode="export")):
        assert {"I1e"} <= broken_by(run, answered=[*run.history.answered, phantom])


def test_a_send_long_after_its_intent_is_found(run: Story) -> None:
    """I2b: *delta* after the intent nothing starts any more."""
    first = run.history.attempts[0]
    late = replace(first, started_s=first.started_s + 2.5, ended_s=first.started_s + 3)
    assert {"I2b"} == broken_by(run, attempts=[late, *run.history.attempts[1:]])
    early = replace(first, started_s=first.started_s - 60, ended_s=first.started_s - 59)
    assert {"I2b"} == broken_by(run, attempts=[early, *run.history.attempts[1:]])


def test_other_bytes_and_a_key_of_its_own_are_found(run: Story) -> None:
    """I4a: a submission has one key and the bytes as published."""
    first = run.history.attempts[0]
    for wrong in (
        replace(first, sha256="0" * 64),
        replace(first, wire_key=f"{first.wire_key}~2"),
        replace(first, wire_key=f"{first.wire_key}-nobody"),
    ):
        assert {"I4a"} == broken_by(run, attempts=[wrong, *run.history.attempts[1:]])


def test_two_sends_of_one_message_at_once_are_found(run: Story) -> None:
    """I4b: also under the key of a later submission, and when the first never ended."""
    first = run.history.attempts[0]
    again = replace(first, sender="another", started_s=first.started_s + 0.001)
    assert {"I4b"} == broken_by(run, attempts=[first, again, *run.history.attempts[1:]])
    unended = Attempt(wire_key=first.wire_key, sha256=first.sha256, sender="x", started_s=first.started_s)
    assert {"I4b"} == broken_by(run, attempts=[unended, replace(again, started_s=first.started_s + 1), *run.history.attempts[1:]])


def test_a_message_that_was_captured_twice_is_found(run: Story) -> None:
    """I4c: by CBSA's own history."""
    row = next(row for row in run.history.taken if row["outcome"] == "captured")
    twice = {**row, "seq": 10_000, "judged": 10_000, "idempotency_key": f"{row['idempotency_key']}~2"}
    assert {"I4c"} == broken_by(run, taken=[*run.history.taken, twice])


def test_a_capture_that_cbsa_knows_nothing_of_is_found(run: Story) -> None:
    """I4e: whatever stands in our own log."""
    rows = [row for row in run.history.taken if row["outcome"] == "captured"]
    assert {"I4e"} <= broken_by(run, taken=[row for row in run.history.taken if row is not rows[-1]])


def test_what_was_captured_in_the_wrong_order_is_found(run: Story) -> None:
    """I3: the last capture of all told as the first one."""
    rows = sorted(run.history.taken, key=lambda row: row["seq"])
    turned = [{**row, "judged": len(rows) - at, "seq": row["seq"]} for at, row in enumerate(rows)]
    assert {"I3"} <= broken_by(run, taken=turned)


def test_two_states_at_one_position_are_found(run: Story) -> None:
    """I5: whoever has read as far has the same state."""
    other = replace(run.history.standings[0], process="other", digest="0" * 64)
    assert {"I5"} == broken_by(run, standings=[*run.history.standings, other])
    behind = Standing(process="behind", stream=other.stream, position=1, digest="0" * 64)
    assert set() == broken_by(run, standings=[*run.history.standings, behind])


def test_a_message_that_nobody_knows_of_or_that_never_ends_is_found(run: Story) -> None:
    """I7: an answer for each, and an end or a reason that only a person can end."""
    first = run.history.answered[0]
    rest = run.history.answered[1:]
    assert {"I7"} == broken_by(run, answered=rest)
    for state in ("granted", "transmitted", "unknown", "held"):
        stuck = Answered(mode=first.mode, tenant=first.tenant, key=first.key, state=state, reasons=("it takes long",))
        assert {"I7"} == broken_by(run, answered=[stuck, *rest])
        assert set() == broken_by(run, answered=[replace(stuck, needs_person=True), *rest])


def test_a_history_that_was_kept_is_judged_again(run: Story, tmp_path: Path) -> None:
    """A real failure can be looked at another day."""
    run.history.save(tmp_path / "history.jsonl")
    kept = History.load(tmp_path / "history.jsonl")
    assert json.loads(json.dumps(run.history.taken)) == kept.taken
    assert replace(run.history, taken=[]) == replace(kept, taken=[])
    assert [] == check(run.clockwork.log, CODEC, kept)


def test_a_rule_that_is_left_out_says_nothing(run: Story) -> None:
    """The test of the rules themselves leaves them out one by one."""
    lost = Publish(mode="highway", tenant="acme", key="gone", sha256="0" * 64, told="acknowledged")
    history = History(publishes=[lost])
    assert ["I1a"] == [each.rule for each in check(run.clockwork.log, CODEC, history)]
    assert [] == check(run.clockwork.log, CODEC, history, without=frozenset({"I1a"}))


def test_what_is_broken_is_told_with_its_witness() -> None:
    """A person sees the rule, the sentence and the entries that contradict each other."""
    told = str(Broken("I4b", "it was sent twice", ("one", "two")))
    assert "I4b: it was sent twice\n      one\n      two" == told
    assert "I4b" in RULES
