"""The verbs that others lean on are there, and what the documents type can be typed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from console.cli import EPILOG, app
from console.output import Exit

ROOT: Final = Path(__file__).parents[2]

VERBS: Final = {
    "demo": "",
    "up": "--authority --drain --rate-max --health",
    "worker": "--health",
    "publish": "--mode --kind --tenant --key --batch --wait",
    "bulletin add": "--received",
    "bulletin list": "",
    "bulletin handled": "--as --reason",
    "status": "--watch",
    "doctor": "",
    "message show": "--mode --tenant",
    "message withdraw": "--mode --tenant --as --reason",
    "message filed": "--mode --tenant --reference --as --reason",
    "message settle": "--mode --tenant --to --evidence --as --reason",
    "message revoke": "--mode --tenant --notice --as --reason",
    "why": "--mode --tenant",
    "to-file": "--mode --tenant",
    "responses": "--tenant --after",
    "replay plan": "--mode",
    "replay start": "--mode --rate --as --reason",
    "replay rate": "--mode --as --reason",
    "replay pause": "--mode --as --reason",
    "replay resume": "--mode --rate --as --reason",
    "replay abort": "--mode --as --reason",
    "replay watch": "--mode",
    "channel open": "--direction --as --reason",
    "channel hold": "--direction --as --reason",
    "channel rate": "--as --reason",
    "policy show": "",
    "policy set": "--as --reason",
    "audit story": "--mode --tenant",
    "audit as-of": "",
    "audit verify": "",
    "audit export": "",
    "authority": "--port --host --history",
}
"""Verbs and options that other programs lean on (INTERFACES section 1), beside --json, --data and --kafka."""

RUN_ON: Final = frozenset({"demo", "up", "worker"})
"""Verbs that are no question with an answer: they run until told, or bring their own log."""

HEAVY: Final = ("kafka", "httptools", "fastavro", "apsw", "pydantic_settings", "rich.table")
"""Modules that a help page has no use for; each costs a tenth of a second or more."""


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _options(command: Any) -> set[str]:
    return {option for each in command.params for option in each.opts if option.startswith("--")}


COMMANDS: Final = dict(_commands(typer.main.get_command(app)))


def test_no_verb_is_missing_and_none_is_undocumented() -> None:
    """INTERFACES 1: verbs change only with a version number."""
    assert sorted(VERBS) == sorted(COMMANDS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_its_options(verb: str) -> None:
    """INTERFACES 1: its own, and --json, --data and --kafka on every verb that answers."""
    wanted = set(VERBS[verb].split()) | (set() if verb in RUN_ON else {"--json", "--data", "--kafka"})
    assert set() == wanted - _options(COMMANDS[verb])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_says_what_it_is(verb: str) -> None:
    """UX 2: help is how a person learns the verbs."""
    command = COMMANDS[verb]
    assert command.help
    assert [] == [each.name for each in command.params if not each.help and each.name != "help"]


def test_the_help_names_each_exit_code() -> None:
    """INTERFACES 1: 0 to 7, each once."""
    assert [int(code) for code in Exit] == [int(number) for number in re.findall(r"\b(\d) [a-z]", EPILOG)]


def _typed() -> Iterator[tuple[str, str]]:
    """Every command line that a document shows, with the document's name."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text() if page.exists() else ""
        for line in re.findall(r"(?:^|[`(]|\.venv/bin/|\$ )tidegate ([a-z][^`\n]*)", text, re.MULTILINE):
            yield page.name, line


def _wrong(line: str) -> str:
    """What can't be typed in a command line that a document shows, or nothing."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    names = [name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS]
    if not names:
        groups = {name.split()[0] for name in COMMANDS if " " in name}
        return "" if words[0] in groups and (len(words) == 1 or not words[1].isalpha()) else f"no verb {words[:2]}"
    known = _options(COMMANDS[names[0]]) | {"--help"}
    used = [word.partition("=")[0].rstrip(",.;:)]") for word in words if word.startswith("--") and len(word) > 2]
    return ", ".join(option for option in used if option not in known)


def test_what_the_documents_type_can_be_typed() -> None:
    """HOUSE 23: a verb or option in README and docs exists in the program."""
    assert [] == [(page, line, wrong) for page, line in _typed() if (wrong := _wrong(line))]


@pytest.mark.parametrize("line", ["frobnicate x", "status --colour", "message eat KEY", "publish --batch=F --hurry"])
def test_a_document_that_types_nonsense_would_be_found(line: str) -> None:
    """HOUSE 23: the check above can fail."""
    assert _wrong(line)


def test_help_is_quick_for_it_imports_nothing_heavy() -> None:
    """UX 4: heavy parts are imported inside commands."""
    code = f"import sys, console.cli, console.verbs_publish\nprint([name for name in {HEAVY!r} if name in sys.modules])\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()
