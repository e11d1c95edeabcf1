"""How results and errors reach a person or a program; must not know what any verb does.

Data go to standard output, talk to standard error. With `--json` standard output holds one JSON value and nothing else. For
people: tables of at most 100 columns, no colour or animation when it is no terminal or `NO_COLOR` is set.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

import typer

WIDTH_MAX: Final = 100
"""Widest line for people: two terminals stand beside each other on one screen."""

GAP_CHARS: Final = 3
"""Between two columns of a table; less where many columns have to fit a terminal of 80."""

ROWS_MAX: Final = 20
"""Rows of a list shown to people; `--json` gives all."""

EASTERN: Final = "America/Toronto"
"""CBSA writes its notices in Eastern time; people compare them with ours."""


class Exit(IntEnum):
    """Exit codes (INTERFACES section 1)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOTHING = 3
    REFUSED = 4
    HELD = 5
    PARTLY = 6
    INTEGRITY = 7


class Stop(Exception):
    """A verb ends here: the code, one sentence that says what to do, and for programs what there is to say beside it."""

    def __init__(self, code: Exit, sentence: str, **fields: Any) -> None:
        super().__init__(sentence)
        self.code = code
        self.fields = fields


class Output:
    """What a verb says, to a person or to a program."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, value: Any, show: Callable[[], Iterable[Any]]) -> None:
        """Print the verb's result: `value` as JSON, or what `show` gives (sentences and tables)."""
        if self.as_json:
            typer.echo(json.dumps(value, separators=(", ", ": ")))
            return
        console = _console()
        for part in show():
            console.print(plain(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))

    def say(self, sentence: str) -> None:
        """Talk: progress, findings, what to do next; on standard error."""
        typer.echo(plain(sentence), err=True)


def complain(sentence: str, code: Exit, *, as_json: bool, fields: dict[str, Any]) -> None:
    """Say why a verb did not do what was asked: the sentence on standard error, and one JSON object for programs."""
    typer.echo(f"tidegate: {plain(sentence)}", err=True)
    if as_json:
        typer.echo(json.dumps({"error": sentence, "exit": int(code), **fields}))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None, gap_chars: int = GAP_CHARS
) -> Any:
    """A table for people; nothing in it is read as markup, and control characters become `?`. `gap_chars`: at least 1."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    padding = (0, gap_chars - 1, 0, 0)  # the box itself draws one space between two columns
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False, padding=padding)
    made.show_header = any(columns)
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        made.add_row(*(Text("" if cell is None else plain(str(cell))) for cell in row))
    return made


def plain(text: str) -> str:
    """The text with nothing in it that a terminal obeys: strangers wrote parts of what we show."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def utc(at_ms: int | None) -> str | None:
    """RFC 3339 in UTC to the millisecond, for programs; None stays None."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at_ms: int | None, *, in_full: bool = False) -> str:
    """A moment for people, Eastern first as CBSA writes it: `2026-03-01 07:00:00 EST (12:00:00 UTC)`; `in_full`: both dates."""
    if at_ms is None:
        return "-"
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    local = at.astimezone(ZoneInfo(EASTERN))
    other = "%H:%M:%S" if local.date() == at.date() and not in_full else "%Y-%m-%d %H:%M:%S"
    return f"{local:%Y-%m-%d %H:%M:%S %Z} ({at.strftime(other)} UTC)"


def at_ms_of(text: str | None) -> int | None:
    """Unix milliseconds of a moment that `utc` wrote; None stays None."""
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)


def ago(at_ms: int | None, *, now_ms: int) -> str:
    """How long ago, for a glance: `42 s`, `17 min`, `3 h 05`, `2 d 4 h`."""
    if at_ms is None:
        return "-"
    seconds = max(0, now_ms - at_ms) // 1000
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60:02d}" if hours < 48 else f"{days} d {hours % 24} h"


def counted(number: int, thing: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def command(*words: object) -> str:
    """A command line of ours to type next, quoted as a shell needs it: keys may hold spaces."""
    return shlex.join(["tidegate", *map(str, words)])


def is_terminal() -> bool:
    """Whether standard error is watched by a person who may see things move."""
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def _console() -> Any:
    from rich.console import Console

    # rich takes the colours away under NO_COLOR and leaves bold and the like: no colour system, no escapes at all.
    system: Any = None if "NO_COLOR" in os.environ else "auto"
    made = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, color_system=system)
    made.width = min(made.width, WIDTH_MAX) if sys.stdout.isatty() else WIDTH_MAX
    return made
