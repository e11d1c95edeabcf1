"""Every limit at its edge: a sample of `limits_run`, and what it would say of memory without a limit (I12)."""

from dataclasses import replace

import pytest

from tests.fault.limits_lift import Copy
from tests.fault.limits_memory import Case, Measured, cases, measure
from tests.fault.limits_run import SAMPLED, judged

SAMPLE = ("poll never_ends", "poll is_all_brackets", "send is_a_gibibyte", "message 100", "line 96", "notice 100")


def case_of(name: str) -> Case:
    """A case of the sample."""
    (found,) = (case for case in cases("sample") if case.name == name)
    return found


@pytest.mark.parametrize("name", SAMPLE)
def test_what_is_far_too_large_takes_a_few_times_its_limit_of_memory(name: str) -> None:
    """I12: a refusal that says so, and no more memory than the bar, however much is given."""
    case = case_of(name)
    assert "" == judged(case, measure(case))


def test_memory_beyond_the_bar_and_silence_are_both_seen() -> None:
    """A judge who can't find against anybody finds for nobody."""
    case = case_of("notice 100")
    bar = case.times * case.limit_bytes
    assert "" == judged(case, Measured(case.name, bar, bar, case.said))
    assert "is the bar" in judged(case, Measured(case.name, bar + 1, bar, case.said))
    assert "should have said" in judged(replace(case, said="nobody says this"), Measured(case.name, 0, bar, case.said))


def test_a_limit_that_is_lifted_turns_its_test_red(tmp_path_factory: pytest.TempPathFactory) -> None:
    """I12: what `limits_run` does to every limit, done to one: a test that stays green without its limit tests nothing."""
    copy = Copy(tmp_path_factory.mktemp("lifted"))
    (limit,) = SAMPLED
    assert "red" == copy.lifted(limit)[0]
