"""The README's "Try it by hand", word for word: what a newcomer types gives what the page says."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.town import Town

ROOT = Path(__file__).resolve().parents[2]


def _blocks() -> list[list[list[str]]]:
    """The command lines of the section, block by block, without the word `tidegate`."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Try it by hand\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [[shlex.split(line)[1:] for line in block.splitlines()] for block in blocks]


def _typed(there: "Town", lines: list[list[str]]) -> dict[str, str]:
    """Type each line; by verb, what it printed. Each must end with exit code 0."""
    printed = {}
    for words in lines:
        said = there.type(*words, as_json=False)
        assert (0, words) == (said.code, words), said.err
        printed[" ".join(words[:2]) if words[0] == "audit" else words[0]] = said.out
    return printed


def test_what_the_readme_has_a_newcomer_type_does_what_it_says(here: "Town", monkeypatch: pytest.MonkeyPatch) -> None:
    """HOUSE 23: the README is checked by a test; the first block's two processes are the town's own."""
    monkeypatch.chdir(ROOT)
    processes, outage, resolved = _blocks()
    assert ["authority", "up"] == [words[0] for words in processes]
    here.up()
    first = _typed(here, outage[:1])
    here.until(lambda: here.channel("edi") == "down", "EDI to be down")
    first |= _typed(here, outage[1:])
    assert "7 receipts: durable, do not resend." in first["publish"]
    assert re.search(r"edi +inbound +down", first["status"])
    assert "is held" in first["why"]
    assert "edi inbound is unavailable by TCC25-9201 [R30]" in first["why"]
    assert "goes first [E1]" in first["why"]
    assert [] == here.arrived()
    second = _typed(here, resolved[:1])
    here.until(lambda: here.counts()["captured"] == 6, "all but the portal's message to be captured")
    second |= _typed(here, resolved[1:])
    assert "Every channel is up." in second["status"]
    assert "trip-1 in highway: captured" in second["audit story"]
    assert "3 answers for acme" in second["responses"]
    assert second["audit verify"].rstrip().endswith("verify: ok")
    assert here.captured().index("cargo-2") < here.captured().index("trip-1")
    assert ["export-1"] == [each["key"] for each in here.tidegate("to-file")]
