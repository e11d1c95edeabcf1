"""Takes a notice's text apart into number, title and labelled fields; must not know what its words or times mean.

The labelled layout of 2025: a title line with the number, then labels on lines of their own, each with its value after it.
The same labels as one table row (`|`) are taken when every cell holds one value. Older layouts raise `NoticeUnreadable`.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

NOTICE_CHARS_MAX: Final = 20_000
"""Eight times the longest notice seen; bounds every search below."""
LINES_COUNT_MAX: Final = 500
"""The longest notice seen has 45 lines."""
TITLE_CHARS_MAX: Final = 300
"""Titles seen have up to 150; a longer first line is prose, not a title."""
TITLE_LINES_MAX: Final = 5
"""Lines ahead of the first label in which the number is looked for."""

_NUMBER: Final = re.compile(r"(?<![a-z0-9])TCC ?(\d{2})-(\d{3,4})(?!\d)", re.ASCII | re.IGNORECASE)
_LABELS: Final = {
    "start date/time": "start",
    "end date/time": "end",
    "clients affected": "clients",
    "description": "description",
    "action required": "action",
    "client service/contact information": "contact",
    "topic(s)": "topics",
    "topics": "topics",
    "information source": "source",
    "disclaimer": "disclaimer",
}
_FRENCH: Final = re.compile(r"clients (?:affectés|touchés)|date\s?/?\s?heure de (?:début|fin)|mesures? requises?", re.IGNORECASE)
_HEADING: Final = re.compile(r"(?=.{0,90}\bmaintenance$)[a-z() /-]+", re.ASCII | re.IGNORECASE)
_DATE: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}\b", re.ASCII)
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))
_SPACES: Final = {0x2028: "\n", 0x2029: "\n", 0x00A0: " ", 0x202F: " ", 0x2007: " ", 0x2019: "'", 0x2018: "'"}


class NoticeUnreadable(Exception):
    """A notice whose number, state, components or windows can't be known: keep it and show it to a person. The message is a
    sentence that says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a notice: the heading above it ("" for none) and its lines by label; "" holds what stands before a label."""

    heading: str
    fields: dict[str, list[str]] = field(default_factory=dict)

    def value(self, label: str) -> str:
        """The lines of one label in one string, "" where it is missing or empty."""
        return " ".join(line for line in self.fields.get(label, []) if line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A notice taken apart. `slug`: the words of the address on its first line, "" for none."""

    number: str
    title: str
    slug: str
    sections: tuple[Section, ...]
    findings: tuple[str, ...]


def take_apart(text: str) -> Layout:
    """Number, title and fields of one notice. Raises NoticeUnreadable when it is too large, has no number or no known layout."""
    lines = _lines(text)
    slug, body = _address(lines)
    number, title, rest, findings = _title(body, slug)
    return Layout(number=number, title=title, slug=slug, sections=_sections(rest), findings=findings)


def paragraphs(lines: list[str]) -> list[str]:
    """The lines with hard wraps undone: a line that starts in lower case goes on from the one before it."""
    joined: list[list[str]] = []
    broken = True
    for line in lines:
        if not line:
            broken = True
        elif joined and not broken and line[0].islower() and joined[-1][-1][-1] not in ".;:!?":
            joined[-1].append(line)
        else:
            joined.append([line])
            broken = False
    return [" ".join(parts) for parts in joined]


def _lines(text: str) -> list[str]:
    if len(text) > NOTICE_CHARS_MAX:
        raise NoticeUnreadable(
            f"The notice has {len(text)} characters, more than {NOTICE_CHARS_MAX}: add it alone, without the page around it."
        )
    shown = text.translate(_INVISIBLE).translate(_SPACES)
    shown = unicodedata.normalize("NFC", shown.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    for char in shown:
        if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs"):
            raise NoticeUnreadable(
                f"The notice holds the hidden character U+{ord(char):04X}: a person may see other words than a program reads. "
                "Add it again as plain text."
            )
    lines = [re.sub(r" +", " ", line).strip() for line in shown.split("\n")]
    if not any(lines):
        raise NoticeUnreadable("The notice is empty: add its text.")
    if len(lines) > LINES_COUNT_MAX:
        raise NoticeUnreadable(
            f"The notice has {len(lines)} lines, more than {LINES_COUNT_MAX}: add the notice alone, without the page around it."
        )
    return lines


def _address(lines: list[str]) -> tuple[str, list[str]]:
    """The words of the address on line 1, and the lines that are the notice: no address, no `#` comment, no skip link."""
    slug = ""
    for start, line in enumerate(lines):
        if line.lower().startswith(("http://", "https://")) and not slug:
            slug = _slug(line)
        elif line.strip("| ") and not line.startswith("#") and line.lower() != "skip to main content":
            return slug, lines[start:]
    return slug, []


def _slug(address: str) -> str:
    try:
        path = urlsplit(address).path
    except ValueError:
        return ""
    return unquote(path.rstrip("/").rpartition("/")[2])[:TITLE_CHARS_MAX]


def _title(body: list[str], slug: str) -> tuple[str, str, list[str], tuple[str, ...]]:
    """Number, title, the lines below the title, findings."""
    ahead: list[str] = []
    for line in body:
        if _label(line) or _is_heading(line) or "|" in line.strip("| ") or len(ahead) == TITLE_LINES_MAX:
            break
        ahead.append(line.strip("| "))
    for at, line in enumerate(ahead):
        if _NUMBER.search(line):
            if len(line) > TITLE_CHARS_MAX:
                raise NoticeUnreadable(
                    f"The line with the number has more than {TITLE_CHARS_MAX} characters: it is no title line."
                )
            number = _number(line)
            if _NUMBER.search(slug) and _number(slug) != number:
                raise NoticeUnreadable(f"The title says {number} and the address {_number(slug)}: find out which notice this is.")
            return number, line, body[at + 1 :], ()
    if not _NUMBER.search(slug):
        raise NoticeUnreadable(
            "No bulletin number (such as TCC25-0132) stands in the title or the address: add the notice with its title."
        )
    number = _number(slug)
    words = _NUMBER.sub(number, slug.replace("_", "-"), count=1).replace("-", " ").replace(number.replace("-", " "), number, 1)
    return number, words, body, (f"The text has no title line: the number {number} and the title were taken from its address.",)


def _number(text: str) -> str:
    found = sorted({f"TCC{year}-{serial}" for year, serial in _NUMBER.findall(text)})
    if len(found) > 1:
        raise NoticeUnreadable(f"The title names several bulletins ({', '.join(found[:4])}): read which one it is about.")
    return found[0]


def _label(line: str) -> str | None:
    return _LABELS.get(re.sub(r" ?/ ?", "/", line.strip("|: ").lower())) if len(line) < 60 else None


def _is_heading(line: str) -> bool:
    return _HEADING.fullmatch(line.strip("| ")) is not None


def _sections(lines: list[str]) -> tuple[Section, ...]:
    sections = [Section(heading="")]
    label = ""
    row: list[str] | None = None
    french = False
    for line in lines:
        shown = line.strip("| ")
        cells = [cell.strip() for cell in line.split("|") if cell.strip()]
        french = french or _FRENCH.search(shown) is not None
        fields = sections[-1].fields
        if row is not None and shown:
            _fill_row(fields, row, cells)
            row, label = None, "after the table"
        elif len(cells) > 1:
            row = [_label(cell) or "" for cell in cells]
            if "" in row:
                raise NoticeUnreadable("It holds a table of an older layout: read it and act by hand.")
        elif _is_heading(shown):
            sections.append(Section(heading=shown))
            label = ""
        elif known := _label(line):
            if known in fields:
                raise NoticeUnreadable(f"Its label '{shown[:60]}' stands there twice: read it and act by hand.")
            label = known
            fields[label] = []
        else:
            fields.setdefault(label, []).append(shown)
    if french:
        raise NoticeUnreadable("Its labels are French or bilingual: add the English text of the notice.")
    for section in sections:
        _refuse_older(section)
    return tuple(section for section in sections if section.heading or any(map(any, section.fields.values())))


def _fill_row(fields: dict[str, list[str]], row: list[str], cells: list[str]) -> None:
    if len(cells) != len(row) or any(label in fields for label in row) or len(set(row)) < len(row):
        raise NoticeUnreadable("Its table has rows that do not fit its labels: read it and act by hand.")
    fields.update({label: [cell] for label, cell in zip(row, cells, strict=True)})


def _refuse_older(section: Section) -> None:
    if section.value("after the table"):
        raise NoticeUnreadable("Its table has more than one row under its labels: read it and act by hand.")
    stacked = _DATE.search(section.value("clients"))
    if stacked and any(label in section.fields and not section.value(label) for label in ("start", "end")):
        raise NoticeUnreadable("Its starts and ends stand in stacked columns, an older layout: read it and act by hand.")
