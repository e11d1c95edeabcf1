"""Each planted bug is found within a few seeds, and each rule of the checker is the only one that finds some bug."""

import pytest

from schemas import native
from tests.checker.check import RULES
from tests.simulation.matrix import ERROR, planted
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.story import play

pytestmark = pytest.mark.skipif(
    native.runs(), reason="BUGS CAN'T BE PLANTED IN COMPILED CODE: the run of the plain sources plants them"
)

SEEDS = 6
"""Seeds within which each bug has to show here; `make mutants` begins with seed 0 and counts."""

FIRST: dict[str, int] = {
    "notices_passed_over": 35, "gate_from_a_cache": 4, "windows_do_not_hold": 5, "any_resolved_opens": 4, "canary_skipped": 9,
    "suspect_link_flooded": 8, "reject_counts_as_on_file": 6, "cancel_ignored": 4, "old_holder_not_waited_out": 22,
    "started_late": 7, "acknowledged_too_early": 60, "snapshot_off_by_one": 5, "withdrawn_goes_anyway": 3,
}  # fmt: skip
"""Where the seeds of the rarer ones begin."""

NEEDED: dict[str, tuple[str, int]] = {
    "I1a": ("acknowledged_too_early", 65), "I1b": ("no_publish_dedup", 5), "I1e": ("notices_passed_over", 38),
    "I2a": ("gate_off", 1), "I2b": ("started_late", 10), "I2e": ("canary_skipped", 12), "I2f": ("suspect_link_flooded", 11),
    "I3": ("group_not_awaited", 1), "I4a": ("new_key_per_attempt", 4), "I4b": ("old_holder_not_waited_out", 25),
    "I4c": ("blind_resend", 4), "I4e": ("answer_made_up", 0), "I5": ("snapshot_off_by_one", 20), "I6": ("attributes_misread", 0),
    "I7": ("capture_wakes_nobody", 0),
}  # fmt: skip
"""Of each rule a bug that it alone finds, and the seed in which it does."""

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    """A check that no bug can turn red checks nothing; and it is red by a promise that this bug breaks."""
    found = planted(mutant, first=FIRST.get(mutant.name, 0), count=SEEDS, stop=True)
    assert found.seeds is not None, f"{mutant.name} survived: {mutant.sentence}"
    assert mutant.breaks & {*found.rules} or {ERROR} == {*found.rules}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_what_no_other_rule_finds(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it that bug would pass: a rule that nothing needs is taken out."""
    name, seed = NEEDED[rule]
    BY_NAME[name].plant(monkeypatch)
    assert {rule} == {each.rule for each in play(seed).broken}
    assert [] == play(seed, without=frozenset({rule})).broken


def test_the_bugs_are_more_than_fifteen_and_each_says_what_is_wrong() -> None:
    """Issue 5: the table of the docs is made of these sentences."""
    assert len(MUTANTS) >= 15
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS})
    assert all(mutant.sentence.endswith(".") and mutant.breaks <= {*RULES} for mutant in MUTANTS)
