"""The page on reliability says what the suites measured, and nothing else."""

import json
from importlib.util import find_spec

from tests.fault.faults import PAGE, SUITES, kept_figures, page, rendered


def test_the_page_is_made_of_the_figures_that_are_kept() -> None:
    """Issue 5: only figures that a run itself produced; `python -m tests.fault.faults --report` writes it anew."""
    kept = kept_figures()
    assert kept, "docs/faults/ holds no figures"
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, rendered(kept)) == text


def test_figures_of_another_run_make_another_page() -> None:
    """The comparison would see a figure that was written by hand."""
    kept = kept_figures()
    text = PAGE.read_text(encoding="utf-8")
    other = json.loads(json.dumps(kept))
    first = next(iter(other.values()))
    first["seconds"] += 1_000
    assert page(text, rendered(other)) != text


def test_every_suite_is_there() -> None:
    """A suite that was renamed would be left out of `make faults` with an error at the end of hours."""
    assert [] == [name for name, started in SUITES.items() if find_spec(started("full")[0]) is None]
