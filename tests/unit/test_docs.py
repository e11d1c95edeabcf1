"""What README and docs say of the code is true: commands, rules, facts, streams, files, fields and figures that have a source."""

import ast
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from audit.verify import TITLES
from console.cli import EPILOG, app
from console.settings import Settings
from consumers.notices import read_notice
from eventlog.memory import MemoryLog
from lane.policy import Policy
from lane.summary import RANK
from producers.batches import read_batch
from producers.publisher import Message
from schemas.cloudevents import to_headers
from schemas.codec import encode, schema_entries
from schemas.facts import DESK_FACTS, FACTS, LANE_FACTS, StillHere
from schemas.messages import PublishLine, parse_attributes, to_ms
from schemas.native import PLAIN_SETTING
from schemas.streams import ALL_STREAMS, MODES, SCHEMAS, Entry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LATER: set[int] = set()
"""Rules of later issues: the docs say that they are not built yet."""

WRITERS = {
    "intake": ["consumers/intake.py"],
    "availability": ["consumers/availability.py", "lane/desk.py"],
    "responses": ["consumers/responses.py"],
    "runner": ["replay/*.py", "lane/due.py", "lane/horizon.py"],
    "console": ["console/*.py", "producers/*.py"],
    "nobody yet": [],
}
"""Where the code of each writer named in docs/log.md makes its facts."""

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _rows(text: str, header: str) -> list[list[str]]:
    """The cells of the tables whose header line begins so; the header and the rule under it left out."""
    rows: list[list[str]] = []
    for table in re.findall(rf"^\| {re.escape(header)}.*\n\|[- |]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        rows += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return rows


def _ticked(text: str) -> list[str]:
    """What stands between single backticks, outside blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def _command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words name, and the words after its name. Fails for a verb that there is not."""
    command: Any = get_command(app)
    rest = words[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no `{shlex.join(words)}`: {rest[0]} is no verb of {command.name}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def _lines(text: str) -> Iterator[list[str]]:
    for block in _blocks(text, "console"):
        for line in block.splitlines():
            yield shlex.split(line, comments=True)


@page
def test_each_command_in_a_block_parses(path: Path) -> None:
    """HOUSE 23: what a reader copies runs; verb, options, required ones and their types."""
    for words in _lines(_text(path)):
        assert "tidegate" == words[0]
        command, rest = _command(words)
        command.make_context(command.name, list(rest))


@page
def test_each_command_in_a_sentence_exists(path: Path) -> None:
    """HOUSE 23: a sentence may leave arguments out, but names verbs and options that there are."""
    for words in (span.split() for span in _ticked(_text(path)) if span.startswith("tidegate ")):
        command, rest = _command(words)
        options = {option for parameter in command.params for option in parameter.opts}
        assert set() == {word for word in rest if word.startswith("--")} - options


@page
def test_each_policy_setting_exists(path: Path) -> None:
    """I11: a policy is set by the names that it has."""
    known = {field.name for field in fields(Policy)}
    for words in _lines(_text(path)):
        if words[1:3] == ["policy", "set"]:
            named = {word.split("=")[0] for word in words[3 : words.index("--reason")]}
            assert set() == named - known


@page
def test_each_other_command_exists(path: Path) -> None:
    """HOUSE 25: one short script a verb: make targets and modules named in the docs are there."""
    text = _text(path)
    targets = re.findall(r"^(\w+):", _text(ROOT / "Makefile"), re.MULTILINE)
    assert set() == set(re.findall(r"(?:^    |`)make (\w+)", text, re.MULTILINE)) - set(targets)
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module) is not None, module


@page
def test_each_file_and_link_is_there(path: Path) -> None:
    """HOUSE 23: links lead somewhere, and files named by their path exist."""
    text = _text(path)
    links = [path.parent / link for link in re.findall(r"\]\(([^)#]+)\)", text)]
    named = [ROOT / span for span in _ticked(text) if re.fullmatch(r"[\w./-]+/[\w./-]*", span) and span.split("/")[0] in _tops()]
    named += [ROOT / name for name in re.findall(r"\bdocs/[\w./-]+\.\w+", text)]
    assert [] == [str(each) for each in (*links, *named) if not each.exists() and "*" not in each.name]


def _tops() -> set[str]:
    return {each.name for each in ROOT.iterdir() if each.is_dir()}


@page
def test_each_type_and_variable_named_is_in_the_code(path: Path) -> None:
    """DESIGN section 2: same words in code and docs."""
    sources = "\n".join(_text(each) for room in [*ROOMS, "tests"] for each in (ROOT / room).rglob("*.py"))
    text = _text(path)
    types = {span for span in _ticked(text) if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", span)}
    assert set() == {name for name in types if not re.search(rf"\bclass {name}\b", sources)}
    settings = {f"TIDEGATE_{name.upper()}" for name in Settings.model_fields} | {PLAIN_SETTING}
    assert set() == set(re.findall(r"\bTIDEGATE_\w+", text)) - settings


@page
def test_a_page_names_no_other_host_and_no_machine(path: Path) -> None:
    """Docs stay true elsewhere: no address but the loopback's, no folder of somebody's machine."""
    text = _text(path)
    assert [] == [url for url in re.findall(r"https?://[^\s)`]+", text) if not url.startswith("http://127.0.0.1")]
    assert [] == re.findall(r"(?<![\w.])/(?:work|root|home|Users|tmp)/", text)


def test_the_rules_page_and_the_code_name_the_same_rules() -> None:
    """HOUSE 23: R1 to R61, each kept somewhere, held by some test; what is not built is said."""
    text = _text(DOCS / "rules.md")
    said = {int(row[0][1:]) for row in _rows(text, "rule")}
    coded = {
        int(number)
        for room in ROOMS
        for each in (ROOT / room).rglob("*.py")
        for number in re.findall(r"\bR(\d{1,2})\b", _text(each))
    }
    assert sorted(coded - LATER) == sorted(said)
    assert LATER == {int(number) for number in re.findall(r"^R(\d+) .*not built", text, re.MULTILINE)}


def test_each_file_on_the_rules_page_names_its_rule() -> None:
    """A rule's number leads from the page to code and test, and back."""
    wrong = []
    for rule, _, kept, held in _rows(_text(DOCS / "rules.md"), "rule"):
        assert _ticked(kept), f"{rule} is kept nowhere"
        assert _ticked(held), f"{rule} is held by no test"
        wrong += [(rule, name) for name in _ticked(kept) + _ticked(held) if not re.search(rf"\b{rule}\b", _text(ROOT / name))]
    assert [] == wrong


def test_rules_named_elsewhere_are_on_the_rules_page() -> None:
    """A rule's number means something to who reads it in another page."""
    said = {row[0] for row in _rows(_text(DOCS / "rules.md"), "rule")} | {f"R{number}" for number in LATER}
    assert set() == {rule for path in PAGES for rule in re.findall(r"\bR\d{1,2}\b", _text(path))} - said


def test_the_log_page_lists_every_stream() -> None:
    """docs/log.md: whoever reads the log without us finds each stream explained."""
    said = [row[0].strip("`") for row in _rows(_text(DOCS / "log.md"), "stream")]
    every = [name.replace("MODE", mode) for name in said for mode in (MODES if "MODE" in name else [""])]
    assert sorted(ALL_STREAMS) == sorted(every)


def test_the_log_page_lists_every_fact_where_it_stands() -> None:
    """docs/log.md: whoever reads the log without us finds each fact explained."""
    said = {row[0].strip("`"): row[1] for row in _rows(_text(DOCS / "log.md"), "fact")}
    stands = {
        fact.__name__: ", ".join(name for name, kinds in (("desk", DESK_FACTS), ("lane", LANE_FACTS)) if fact in kinds)
        for fact in FACTS
    }
    assert stands == said


def test_the_log_page_says_who_writes_each_fact() -> None:
    """HOUSE 6: one write path; the writer that is named makes the fact, and nobody else does."""
    made = {
        name: {call for glob in globs for path in ROOT.glob(glob) for call in _calls(path)} for name, globs in WRITERS.items()
    }
    for name, _, _, writers in _rows(_text(DOCS / "log.md"), "fact"):
        fact = name.strip("`")
        writer = re.split(r"[;:]", writers)[0]
        found = {other for other, calls in made.items() if fact in calls}
        if (fact, "availability") in COPIES:
            found -= {"availability"}
        assert ({writer} - {"nobody yet"}) == found, fact


COPIES = {("ComponentOverridden", "availability"), ("PolicyAdopted", "availability"), ("RulesAdopted", "availability")}
"""Facts of the desk that availability copies into lanes as they are."""


def _calls(path: Path) -> set[str]:
    """Names of what a module calls, also by attribute."""
    nodes = [node.func for node in ast.walk(ast.parse(_text(path))) if isinstance(node, ast.Call)]
    return {node.id if isinstance(node, ast.Name) else node.attr for node in nodes if isinstance(node, ast.Name | ast.Attribute)}


def test_the_log_is_read_by_the_lines_on_its_page() -> None:
    """docs/log.md: with the log alone and an Avro library a stranger reads our facts."""
    log = MemoryLog(clock_ms=lambda: 0)
    log.append(SCHEMAS, schema_entries())
    log.append("lane.highway", [Entry(encode(StillHere(at_ms=5, epoch=7)))])
    scope: dict[str, Any] = {}
    for block in _blocks(_text(DOCS / "log.md"), "python"):
        exec(compile(block, "docs/log.md", "exec"), scope)
    found = list(scope["facts"](log.read(SCHEMAS, 0, 1_000, 0.0), log.read("lane.highway", 0, 10, 0.0)))
    assert [("ca.tidegate.v1.StillHere", {"at_ms": 5, "epoch": 7})] == found


def test_the_sample_messages_and_notices_are_what_the_readme_makes_of_them() -> None:
    """docs/examples: every line can be published, and the notices close and open EDI, with nothing to look at."""
    with (DOCS / "examples" / "day.jsonl").open("rb") as source:
        lines = [line.said for line in read_batch(source)]
    assert [] == [said for said in lines if not isinstance(said, Message)]
    received = dict(re.findall(r"bulletin add docs/examples/([\w-]+\.txt) --received (\S+)", _text(ROOT / "README.md")))
    read = {
        name: read_notice(_text(DOCS / "examples" / name), received_ms=to_ms(datetime.fromisoformat(at)))
        for name, at in received.items()
    }
    assert {"edi-down.txt": ("open", ()), "edi-resolved.txt": ("resolved", ())} == {
        name: (notice.state, notice.findings) for name, notice in read.items()
    }


def test_the_providers_page_lists_every_field_and_header() -> None:
    """INTERFACES section 2: what another program needs to publish is on its page, and nothing that there is not."""
    text = _text(DOCS / "providers.md")
    assert set(PublishLine.model_fields) == {field for row in _rows(text, "field") for field in _ticked(row[0])}
    moments = dict.fromkeys(("eta", "not_before", "not_after", "occurred_at"), "2026-03-01T12:00:00-05:00")
    named = {"key": "k", "tenant": "t", "mode": "air", "kind": "other", **moments}
    headers = {
        name
        for extra in ("replaces", "corrects")
        for name, _ in to_headers(parse_attributes({**named, extra: "j"}), datetime(2026, 3, 1, tzinfo=UTC))
    }
    assert headers == {name for name in _ticked(text) if re.fullmatch(r"ce_\w+|content-type", name)}


def test_the_auditors_page_lists_every_check() -> None:
    """docs/auditors.md: the words of the report are those of the page."""
    assert list(TITLES.items()) == [(row[0], row[1]) for row in _rows(_text(DOCS / "auditors.md"), "check")]


def test_the_operators_page_explains_every_state_of_a_component() -> None:
    """UX section 1: whoever reads `status` finds its words explained."""
    assert set() == set(RANK) - set(_ticked(_text(DOCS / "operators.md")))


def test_the_exit_codes_are_told_alike() -> None:
    """INTERFACES section 1: help and page say the same of exit codes."""
    told = " ".join(EPILOG.replace("\b", "").split()).removeprefix("Exit codes: ")
    assert told in " ".join(_text(DOCS / "operators.md").split())


def test_rooms_and_layers_are_those_that_the_tool_checks() -> None:
    """HOUSE 9: README and CONTRIBUTING draw the rooms as they are."""
    rooms = {name.rstrip("/") for row in _rows(_text(ROOT / "README.md"), "room") for name in _ticked(row[0])}
    assert {*ROOMS, "tests", "docs"} == rooms
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    assert ["\n".join(contracts[0]["layers"]) + "\n"] == _blocks(_text(ROOT / "CONTRIBUTING.md"), "")


def test_the_changelog_ends_at_the_version_that_is_built() -> None:
    """HOUSE 24: a change brings its line; the newest version is that of pyproject.toml."""
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", _text(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert PYPROJECT["project"]["version"] == versions[0]


def test_decisions_are_numbered_listed_and_whole() -> None:
    """HOUSE 24: one page each, with context, decision, cost, and what would change it."""
    paths = sorted((DOCS / "decisions").glob("0*.md"))
    assert [f"{number:04}" for number in range(1, len(paths) + 1)] == [path.name[:4] for path in paths]
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", _text(DOCS / "decisions" / "README.md"), re.MULTILINE)
    assert [(_text(path).splitlines()[0].removeprefix("# "), path.name) for path in paths] == listed
    headings = ["Context", "Decision", "What it costs", "What would make us change it"]
    assert [headings] * len(paths) == [re.findall(r"^## (.+)$", _text(path), re.MULTILINE) for path in paths]
