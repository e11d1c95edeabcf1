"""The glossary says what the code says: the same words, none missing on either side."""

import re
from pathlib import Path
from typing import get_args

from console.output import Exit
from lane.policy import HOLDS, Policy
from lane.state import STATES
from schemas.facts import COMPONENTS, FACTS, Effect, SendResult
from schemas.messages import CHANNELS, FUNCTIONS, KINDS, OWN_KEY, PORTAL_CHANNELS
from schemas.streams import MODES

GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"


def _rows(section: str) -> list[list[str]]:
    """The cells of the one table under a heading, header and rule left out; a cell that is one `word` without its backticks."""
    body = GLOSSARY.read_text(encoding="utf-8").split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[_plain(cell.strip()) for cell in line.strip("|").split("|")] for line in lines[2:]]


def _plain(cell: str) -> str:
    return cell[1:-1] if re.fullmatch(r"`[^`]+`", cell) else cell


def _terms(section: str) -> list[str]:
    return [row[0] for row in _rows(section)]


def test_each_word_has_one_line_with_a_meaning() -> None:
    """HOUSE 2: a word means one thing."""
    words = _terms("Words")
    assert sorted(set(words)) == sorted(words)
    assert [] == [row[0] for row in _rows("Words") if len(row) != 2 or len(row[1]) < 20]


def test_modes_kinds_and_functions_are_those_that_a_message_may_name() -> None:
    """INTERFACES section 2: the words of a message, with each kind's own key."""
    assert list(MODES) == _terms("Modes")
    assert dict(OWN_KEY) == {row[0]: row[1] for row in _rows("Kinds")}
    assert list(KINDS) == _terms("Kinds")
    assert list(FUNCTIONS) == _terms("Functions")


def test_channels_are_those_of_a_message_and_say_who_delivers() -> None:
    """DESIGN section 2: nobody's program files into a portal."""
    delivery = {name: "person" if name in PORTAL_CHANNELS else "machine" for name in CHANNELS}
    assert delivery == {row[0]: row[2] for row in _rows("Channels")}
    assert delivery == {name: channel.delivery for name, channel in Policy().channels.items()}


def test_components_are_those_that_a_notice_may_close() -> None:
    """DESIGN section 2: a notice closes components, a channel needs them."""
    text = GLOSSARY.read_text(encoding="utf-8").split("\n## Components\n", 1)[1].split("\n## ", 1)[0]
    assert sorted(COMPONENTS) == sorted(re.findall(r"`(\w+)`", text))


def test_effects_states_and_results_are_those_of_the_code() -> None:
    """DESIGN section 2: same words in code and docs."""
    assert list(get_args(Effect)) == _terms("Effects")
    assert list(STATES) == _terms("States")
    assert sorted(get_args(SendResult)) == sorted(_terms("Results of a send"))


def test_verdicts_are_those_that_the_fold_gives() -> None:
    """INTERFACES section 1: what `publish --wait` may print; the fold's own source is the witness."""
    sources = [path.read_text(encoding="utf-8") for path in (GLOSSARY.parents[1] / "lane").glob("*.py")]
    given = {word for source in sources for word in re.findall(r'Verdict\("(\w+)"', source)}
    assert sorted(given) == sorted(_terms("Verdicts"))


def test_profiles_are_those_of_the_policy() -> None:
    """DESIGN section 7: two profiles, told where they are explained."""
    said = dict(_rows("Words"))["profile"]
    assert sorted(HOLDS) == sorted(re.findall(r"`([\w-]+)`", said))


def test_each_fact_belongs_to_a_word() -> None:
    """DESIGN section 2: a fact is named after a word of the trade, and the glossary says which."""
    about = {row[0]: row[1] for row in _rows("Facts and their words")}
    assert sorted(fact.__name__ for fact in FACTS) == sorted(about)
    assert set() == set(about.values()) - set(_terms("Words"))


def test_exit_codes_are_those_of_the_command_line() -> None:
    """INTERFACES section 1: exit codes stay put."""
    assert [(str(int(code)), code.name.lower()) for code in Exit] == [(row[0], row[1]) for row in _rows("Exit codes")]
