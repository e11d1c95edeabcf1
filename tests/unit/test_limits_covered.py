"""Each limit on its page is driven over its edge by a test that names it: a row without one is red (I12)."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.unit.limits_driven import LIMITS_DRIVEN

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(\w+)` \| [\d.,]+ \| [^|]+ \| [^|]+ \| `([\w/]+\.py)` \|$", re.MULTILINE)


def on_the_page() -> list[str]:
    """The limits of docs/limits.md, by module and name."""
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    return [f"{module} {name}" for name, module in ROW.findall(text)]


@cache
def sources_of(file: str) -> dict[str, str]:
    """The source of each test of a file, decorators and all, by its name."""
    source = (ROOT / file).read_text(encoding="utf-8")
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name] = "\n".join(source.splitlines()[first - 1 : node.end_lineno])
    return found


def test_each_limit_on_the_page_has_a_test_and_no_other_has() -> None:
    """I12: a new row without a test fails here, and so does a test for a row that is gone."""
    rows = on_the_page()
    assert len(rows) == len(set(rows)) > 60
    assert set(rows) == LIMITS_DRIVEN.keys()


@pytest.mark.parametrize("limit", LIMITS_DRIVEN)
def test_the_test_of_a_limit_is_there_and_names_it(limit: str) -> None:
    """What is registered is a test, and it is about that limit."""
    file, _, name = LIMITS_DRIVEN[limit].partition("::")
    tests = sources_of(file)
    assert name in tests, f"{file} has no {name}"
    assert re.search(rf"\b{limit.split()[1]}\b", tests[name]), f"{name} does not name {limit}"


def test_each_row_that_has_a_value_is_seen() -> None:
    """A row that is written otherwise than the others would be looked at by nobody."""
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\| `\w+` \|", text, re.MULTILINE)) == len(on_the_page())
