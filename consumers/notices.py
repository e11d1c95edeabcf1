"""Reads a CBSA notice's text into what it says, or refuses it to a person; must not know what the gate does about it.

A pure function: `read_notice`. The layout read is the labelled one of 2025 (DOMAIN section 5): OPEN, UPDATE, CORRECTION, RESOLVED
and, where each window is certain, SCHEDULED. What can't be known raises `NoticeUnreadable`; what is odd is a finding, in a
sentence. Where two places disagree the longer and wider outage is taken (fail closed, I9c); nothing else is guessed.
"""

import re
from dataclasses import dataclass
from typing import Final

from consumers.notice_layout import Layout, NoticeUnreadable, Section, paragraphs, take_apart
from consumers.notice_times import EasternTime, Window, doubts, find_windows, read_time, year_doubt
from consumers.notice_words import (
    BOTH,
    PORTALS,
    directions_of,
    effect_of,
    named,
    names_plain_portal,
    other_findings,
    read_words,
    scopes_of,
    worst,
)
from schemas.facts import COMPONENTS, Component, Direction, Effect, NoticeState, Scope

__all__ = ["Notice", "NoticeUnreadable", "read_notice"]

SCOPES_COUNT_MAX: Final = 200
"""The fullest notice seen gives 17 scopes; what gives more is no notice."""

_STATUS: Final = re.compile(r"\b(RESOLVED|UPDATED?|CORRECTION|CORRECTED)\b", re.ASCII)
_STATUS_PLACED: Final = re.compile(
    r"(?:^|TCC\d\d-\d{3,4}\b)[\W_]{0,5}(resolved|updated?|correction|corrected)\b"
    r"|[-–—:(] ?(resolved|updated?|correction|corrected)\W{0,2}$",
    re.ASCII | re.IGNORECASE,
)
_NOT_RESOLVED: Final = re.compile(
    r"\b(?:not|partially|partly|partial|almost|nearly|yet|to be|being|un)[ -](?:yet |fully |been |be )*(?:resolved|resolution)\b"
    r"|\b(?:remains?|still) (?:\w+ )?(?:unavailable|down|unable)\b",
    re.ASCII | re.IGNORECASE,
)
_SAID_RESOLVED: Final = re.compile(r"\b(?:has|have|is|are) (?:now )?(?:been )?(?:fully )?resolved\b", re.ASCII | re.IGNORECASE)
_SCHEDULED: Final = re.compile(r"\b(?:scheduled|planned|maintenance)\b", re.ASCII | re.IGNORECASE)
_UNSCHEDULED: Final = re.compile(r"\b(?:un|non-?)(?:scheduled|planned)\b", re.ASCII | re.IGNORECASE)
_CALLED_OFF: Final = re.compile(r"\bcancel|\bpostpone|\brescheduled|\bdeferred\b|\bcalled off\b", re.ASCII | re.IGNORECASE)
_NO_END_YET: Final = re.compile(
    r"\binvestigat|\bunderway\b|\bunknown\b|\bTBD\b|\bto be (?:determined|confirmed)\b|\bongoing\b|^n/?a$|^-+$",
    re.ASCII | re.IGNORECASE,
)
_SHORT_BREAK: Final = re.compile(r"\b\d{1,3}(?: ?- ?\d{1,3})? min(?:ute)?s?\b", re.ASCII | re.IGNORECASE)
_SENTENCE: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one notice says. Times in Unix milliseconds UTC: `starts_ms` the earliest reading of its start, `resolved_ms` the
    latest of a RESOLVED notice's end; None where it gives none. `findings`: sentences for a person, nothing guessed.

    The scopes of an unscheduled notice carry its start and no end; those of a scheduled one carry their window.
    """

    number: str
    state: NoticeState
    title: str
    scopes: tuple[Scope, ...]
    starts_ms: int | None
    resolved_ms: int | None
    findings: tuple[str, ...]


def read_notice(text: str, *, received_ms: int) -> Notice:
    """What a notice says. `received_ms`: when it came in, only to doubt a year by.

    Raises NoticeUnreadable, a sentence for a person, when number, state, components or a scheduled window can't be known.
    """
    layout = take_apart(text)
    state, findings = _state(layout)
    if state == "scheduled":
        return _scheduled(layout, findings=findings, received_ms=received_ms)
    return _unscheduled(layout, state, findings=findings, received_ms=received_ms)


def _state(layout: Layout) -> tuple[NoticeState, tuple[str, ...]]:
    """The state by the title's status word. A word in the wrong place or a half-resolved title is no state."""
    title = layout.title
    if _NOT_RESOLVED.search(title):
        raise NoticeUnreadable(
            f"Its title does not say plainly whether it is resolved ('{title[:120]}'): read it and act by hand."
        )
    placed = {word.upper() for pair in _STATUS_PLACED.findall(title) for word in pair if word}
    status = {*placed, *_STATUS.findall(title)}
    if "RESOLVED" in status:
        return "resolved", layout.findings
    if re.search(r"\bresolved\b", title, re.IGNORECASE):
        raise NoticeUnreadable(f"'Resolved' is not this title's status word ('{title[:120]}'): read it and act by hand.")
    findings = layout.findings
    if re.search(r"\bresolved\b", layout.slug.replace("-", " "), re.IGNORECASE):
        findings += ("Its address says resolved, its title does not: it is not taken as resolved.",)
    if status & {"CORRECTION", "CORRECTED"}:
        findings += ("It is a CORRECTION: it replaces what the notice said before, compare the two.",)
    if _SCHEDULED.search(title) and not _UNSCHEDULED.search(title):
        if _CALLED_OFF.search(title):
            raise NoticeUnreadable("Its title says that scheduled work was called off or moved: read it and act by hand.")
        return "scheduled", findings
    return ("update" if status else "open"), findings


def _unscheduled(layout: Layout, state: NoticeState, *, findings: tuple[str, ...], received_ms: int) -> Notice:
    section = _only_section(layout)
    description = "\n".join(paragraphs([*section.fields.get("", []), "", *section.fields["description"]]))
    said = list(findings)
    starts = _start(section, said)
    ends = _end(section, state, said, starts=starts)
    said += year_doubt(filter(None, (starts, ends)), received_ms=received_ms)
    starts_ms = starts.earliest_ms if starts is not None else None
    if state == "resolved" and _NOT_RESOLVED.search(description):
        raise NoticeUnreadable("Its title says RESOLVED, its description does not agree: ask CBSA what is still down.")
    if state != "resolved" and _SAID_RESOLVED.search(description):
        said.append("Its description says resolved, its title does not: it is not taken as resolved, ask CBSA.")
    words = read_words(
        layout.title, description, clients=section.value("clients"), unsaid="unavailable" if state == "resolved" else None
    )
    scopes = tuple(
        Scope(component=component, direction=direction, effect=effect, starts_ms=starts_ms)
        for (component, direction), effect in sorted(words.effects.items(), key=lambda item: _place(*item[0]))
    )
    return Notice(
        number=layout.number,
        state=state,
        title=layout.title,
        scopes=scopes,
        starts_ms=starts_ms,
        resolved_ms=ends.latest_ms if ends is not None else None,
        findings=(*said, *words.findings),
    )


def _only_section(layout: Layout) -> Section:
    if len(layout.sections) != 1:
        raise NoticeUnreadable("It has several parts or none, an older layout: read it and act by hand.")
    (section,) = layout.sections
    if "description" not in section.fields or not section.fields.keys() & {"start", "clients"}:
        raise NoticeUnreadable(
            "It does not have Start Date / Time, Clients Affected and Description on lines of their own: read it and act by hand."
        )
    return section


def _start(section: Section, findings: list[str]) -> EasternTime | None:
    """The printed start; what is doubtful goes to `findings`."""
    printed = section.value("start")
    starts = read_time(printed)
    if starts is not None:
        findings += doubts(starts, taken="start")
    else:
        findings.append(f"Its start '{printed[:60]}' can't be read as a time." if printed else "It gives no start.")
    return starts


def _end(section: Section, state: NoticeState, findings: list[str], *, starts: EasternTime | None) -> EasternTime | None:
    """The printed end of a RESOLVED notice; what is doubtful goes to `findings`."""
    printed = section.value("end")
    ends = read_time(printed)
    if ends is None:
        if printed and not _NO_END_YET.search(printed):
            findings.append(f"Its end '{printed[:60]}' can't be read as a time.")
        elif state == "resolved":
            findings.append("It says RESOLVED and gives no end: when it was resolved is not known.")
        return None
    if starts is not None and ends.latest_ms < starts.earliest_ms:
        findings.append(f"Its end {printed} is before its start: the end was left out, ask CBSA.")
        return None
    if state != "resolved":
        findings.append(f"It prints an end ({printed}) and is not marked RESOLVED: nothing opens before it is.")
        return None
    findings += doubts(ends, taken="end")
    return ends


def _scheduled(layout: Layout, *, findings: tuple[str, ...], received_ms: int) -> Notice:
    said = list(findings)
    times: list[EasternTime] = []
    effects: dict[tuple[Component, Direction, int, int], Effect] = {}
    headed = any(section.heading for section in layout.sections)
    for section in layout.sections:
        if _CALLED_OFF.search(f"{section.value('')} {section.value('description')}"):
            raise NoticeUnreadable("Its description says that scheduled work was called off or moved: read it and act by hand.")
        if headed and not section.heading:
            _refuse_statements(section)
            continue
        for window, closed in _statements(section, layout.title, said):
            said += (*doubts(window.starts, taken="start"), *doubts(window.ends, taken="end"))
            times += (window.starts, window.ends)
            for (component, direction), effect in closed.items():
                key = (component, direction, window.starts.earliest_ms, window.ends.latest_ms)
                effects[key] = worst(effects.get(key, effect), effect)
        if len(effects) > SCOPES_COUNT_MAX:
            raise NoticeUnreadable(f"It gives more than {SCOPES_COUNT_MAX} closings: read it and act by hand.")
    said += year_doubt(times, received_ms=received_ms)
    closed_all = frozenset(key[0] for key in effects)
    _refuse_missing(layout.title, closed_all)
    clients = " ".join(section.value("clients") for section in layout.sections)
    said += other_findings(layout.title, clients=clients, closed=closed_all)
    ordered = sorted(effects.items(), key=lambda item: (item[0][2], item[0][3], _place(item[0][0], item[0][1])))
    scopes = tuple(
        Scope(component=component, direction=direction, effect=effect, starts_ms=starts_ms, ends_ms=ends_ms, scheduled=True)
        for (component, direction, starts_ms, ends_ms), effect in ordered
    )
    return Notice(
        number=layout.number,
        state="scheduled",
        title=layout.title,
        scopes=scopes,
        starts_ms=ordered[0][0][2],
        resolved_ms=None,
        findings=tuple(dict.fromkeys(said)),
    )


def _statements(
    section: Section, title: str, findings: list[str]
) -> list[tuple[Window, dict[tuple[Component, Direction], Effect]]]:
    """Each window of one part with what it closes; raises where either is unclear."""
    labelled = _labelled_window(section)
    stated: list[tuple[Window, dict[tuple[Component, Direction], Effect]]] = []
    for sentence in _sentences(section):
        windows, words = find_windows(sentence)
        effect, _ = effect_of(words)
        if effect is None:
            if windows:
                raise NoticeUnreadable(
                    f"It prints a window and not what happens in it ('{sentence[:120]}'): read it and act by hand."
                )
            continue
        if labelled is not None and any(_span(window) != _span(labelled) for window in windows):
            raise NoticeUnreadable("The window in its description is not the one beside its labels: ask CBSA which is right.")
        if not windows and labelled is None:
            raise NoticeUnreadable(f"It says what fails and not when ('{sentence[:120]}'): read it and act by hand.")
        closed = _closed(words, effect, section=section, title=title)
        stated += [(window, closed) for window in ((labelled,) if labelled else windows)]
        if brief := _SHORT_BREAK.search(words):
            findings.append(f"The break is said to be about {brief.group()} within its window: the whole window is closed.")
    if not stated:
        raise NoticeUnreadable(f"No window could be read under '{(section.heading or title)[:120]}': read it and act by hand.")
    return stated


def _closed(words: str, effect: Effect, *, section: Section, title: str) -> dict[tuple[Component, Direction], Effect]:
    above = named(section.heading or title)
    spoken = named(words)
    if names_plain_portal(words):
        spoken -= PORTALS
    components = spoken or above
    if not components or (section.heading and spoken - above):
        raise NoticeUnreadable(f"Which systems a window closes is unclear ('{words.strip()[:120]}'): read it and act by hand.")
    closed: dict[tuple[Component, Direction], Effect] = {}
    for component in components:
        closed |= scopes_of(component, directions_of(words) or BOTH, effect)
    return closed


def _labelled_window(section: Section) -> Window | None:
    if not section.fields.keys() & {"start", "end"}:
        return None
    starts, ends = (read_time(section.value(label)) for label in ("start", "end"))
    if starts is None or ends is None:
        raise NoticeUnreadable("The start or end of its scheduled window can't be read as one time: read it and act by hand.")
    return Window(starts=starts, ends=ends)


def _span(window: Window) -> tuple[int, int]:
    return window.starts.earliest_ms, window.ends.latest_ms


def _sentences(section: Section) -> list[str]:
    lines = [*section.fields.get("", []), "", *section.fields.get("description", [])]
    return [sentence for paragraph in paragraphs(lines) for sentence in _SENTENCE.split(paragraph)]


def _refuse_statements(section: Section) -> None:
    """Words ahead of the first heading may greet, not close: their windows would belong to no part."""
    for sentence in _sentences(section):
        if find_windows(sentence)[0] or effect_of(sentence)[0] is not None:
            raise NoticeUnreadable(
                f"It closes something ahead of its first heading ('{sentence[:120]}'): read it and act by hand."
            )


def _refuse_missing(title: str, closed: frozenset[Component]) -> None:
    """A title that names what no part closes: a part is missing or was not understood."""
    meant = named(title)
    if names_plain_portal(title) and closed & PORTALS:
        meant -= PORTALS
    if meant - closed:
        raise NoticeUnreadable(
            f"Its title names {', '.join(sorted(meant - closed))} and no window for it could be read: find the whole notice."
        )


def _place(component: Component, direction: Direction) -> tuple[int, str]:
    return COMPONENTS.index(component), direction
