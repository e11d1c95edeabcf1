"""Reads the Eastern times and windows that a notice prints; must not know channels or states.

Where a clock change makes two times of one, the longer outage is taken (I9c). All bulletin times are ET without an offset:
America/Toronto (DOMAIN section 3). Times come out in Unix milliseconds UTC.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from consumers.notice_layout import NoticeUnreadable

WINDOWS_COUNT_MAX: Final = 64
"""The fullest notice seen prints 9 windows."""
YEAR_DOUBT_MS: Final = 60 * 24 * 3_600_000
"""A time further than 60 days from the notice's arrival looks like a wrong year (DOMAIN section 5)."""
YEARS: Final = range(2000, 2100)
"""Outside of it four digits are no year of a notice."""

Doubt: TypeAlias = Literal["", "twice", "skipped", "zone"]

_CLOCK: Final = r"(\d{1,2}) ?: ?(\d{2}) ?([ap]m)? ?\(?(ET|EST|EDT)?\)?"
_STAMP: Final = re.compile(rf"(\d{{4}})-(\d{{2}})-(\d{{2}}) ?/? ?{_CLOCK}", re.ASCII | re.IGNORECASE)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY: Final = rf"(?:({'|'.join(_WEEKDAYS)}),? )?(?:({'|'.join(_MONTHS)}) (\d{{1,2}}),? (\d{{4}})|(\d{{4}})-(\d{{2}})-(\d{{2}}))"
_WINDOW: Final = re.compile(
    rf"(?:{_DAY},? (?:and )?)?\b(?:from|between) {_CLOCK} (?:to|and|until|-|–) {_CLOCK}", re.ASCII | re.IGNORECASE
)
_JOINT: Final = re.compile(r"[ ,;]{0,3}(?:and)? ?(?:on)? ?", re.ASCII | re.IGNORECASE)
_DAY_WORDS: Final = "|".join((*_WEEKDAYS, *(month for month in _MONTHS if month != "may")))
_TIME_LEFT: Final = re.compile(
    rf"\d ?: ?\d|\d ?[ap]\.?m\b|\b\d{{4}}-\d\d|\b\d{{1,2}}h\d{{2}}\b|\b(?:{_DAY_WORDS})s?\b"
    r"|\bmay \d|\bsame (?:hours?|times?)\b|\b(?:tomorrow|tonight|midnight|noon|weekends?|daily|every|each|nightly)\b|\b\d{4}\b",
    re.ASCII | re.IGNORECASE,
)
_OFFSETS_H: Final = {"EST": -5, "EDT": -4}


@dataclass(frozen=True, slots=True, kw_only=True)
class EasternTime:
    """A printed local time: the first and the last instant that it can mean, and why they differ."""

    printed: str
    earliest_ms: int
    latest_ms: int
    doubt: Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From a printed start to a printed end; the longer reading of both."""

    starts: EasternTime
    ends: EasternTime

    def __post_init__(self) -> None:
        if self.ends.latest_ms <= self.starts.earliest_ms:
            raise NoticeUnreadable(
                f"Its window from {self.starts.printed} to {self.ends.printed} ends before it starts: ask CBSA."
            )


def read_time(text: str) -> EasternTime | None:
    """One printed date with one time, such as `2025-10-01 / 10:00 (ET)`; None when the text is anything else."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, *clock = found.groups()
    on = _date(int(year), int(month), int(day))
    at = _time(*clock)
    return None if on is None or at is None else _eastern(datetime.combine(on, at), zone=clock[3], printed=text)


def find_windows(sentence: str) -> tuple[tuple[Window, ...], str]:
    """The windows that one sentence prints and its other words. A window without a date of its own has the date before it.

    Raises NoticeUnreadable where anything that looks like a time is left over or does not fit: nothing is guessed.
    """
    windows: list[Window] = []
    left: list[str] = []
    on: date | None = None
    end = 0
    for found in _WINDOW.finditer(sentence):
        if len(windows) == WINDOWS_COUNT_MAX:
            raise NoticeUnreadable(f"It prints more than {WINDOWS_COUNT_MAX} windows: read it and act by hand.")
        between = sentence[end : found.start()]
        if not windows:
            left.append(between)
        elif _JOINT.fullmatch(between) is None:
            raise _unclear(sentence)
        on = _day(found.groups()[:7], sentence) or on
        windows.append(_window(on, found.groups()[7:], sentence))
        end = found.end()
    words = " ".join((*left, sentence[end:]))
    if _TIME_LEFT.search(words):
        raise _unclear(sentence)
    return tuple(windows), words


def doubts(at: EasternTime, *, taken: Literal["start", "end"]) -> tuple[str, ...]:
    """The sentence that a person should see about a time taken as a start (its earliest) or an end (its latest), if any."""
    reading = "earlier" if taken == "start" else "later"
    if at.doubt == "twice":
        return (f"The {taken} {at.printed} comes twice that night (clocks go back): the {reading} one was taken.",)
    if at.doubt == "skipped":
        return (f"The {taken} {at.printed} does not exist that night (clocks go forward): the {reading} reading was taken.",)
    if at.doubt == "zone":
        return (f"The {taken} {at.printed} names a zone that is not in force that day: the {reading} reading was taken.",)
    return ()


def year_doubt(times: Iterable[EasternTime], *, received_ms: int) -> tuple[str, ...]:
    """One sentence when any of a notice's times is far from its arrival, such as for a wrong year."""
    far = next((at for at in times if abs(at.earliest_ms - received_ms) > YEAR_DOUBT_MS), None)
    return () if far is None else (f"Its time {far.printed} is more than 60 days from when the notice came in: check the year.",)


def _unclear(sentence: str) -> NoticeUnreadable:
    return NoticeUnreadable(f"The times in '{sentence[:120]}' can't be read with certainty: read it and act by hand.")


def _window(on: date | None, clocks: tuple[str | None, ...], sentence: str) -> Window:
    first, last = _time(*clocks[:4]), _time(*clocks[4:])
    if on is None or first is None or last is None:
        raise _unclear(sentence)
    starts, ends = datetime.combine(on, first), datetime.combine(on, last)
    zone = clocks[3] or clocks[7]
    return Window(
        starts=_eastern(starts, zone=zone, printed=f"{starts:%Y-%m-%d %H:%M}"),
        ends=_eastern(ends, zone=clocks[7], printed=f"{ends:%Y-%m-%d %H:%M}"),
    )


def _day(groups: tuple[str | None, ...], sentence: str) -> date | None:
    """The date of one window, None when it prints none."""
    weekday, word, day, word_year, year, month, iso_day = groups
    if word is not None:
        on = _date(int(word_year or 0), _MONTHS.index(word.lower()) + 1, int(day or 0))
    elif year is not None:
        on = _date(int(year), int(month or 0), int(iso_day or 0))
    else:
        return None
    if on is None or (weekday is not None and _WEEKDAYS[on.weekday()] != weekday.lower()):
        raise _unclear(sentence)
    return on


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day) if year in YEARS else None
    except ValueError:
        return None


def _time(hour: str | None, minute: str | None, half: str | None = None, _zone: str | None = None) -> time | None:
    hours, minutes = int(hour or 99), int(minute or 99)
    if half is not None:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    return time(hours, minutes) if hours < 24 and minutes < 60 else None


@cache
def _toronto() -> ZoneInfo:
    return ZoneInfo("America/Toronto")


def _eastern(local: datetime, *, zone: str | None, printed: str) -> EasternTime:
    """Every instant that a local time can mean: two where clocks go back, two readings where clocks go forward over it."""
    first, second = (_millis(local.replace(tzinfo=_toronto(), fold=fold)) for fold in (0, 1))
    instants = {first, second}
    doubt: Doubt = "" if first == second else "twice" if first < second else "skipped"
    if zone is not None and zone.upper() in _OFFSETS_H:
        named = _millis(local.replace(tzinfo=timezone(timedelta(hours=_OFFSETS_H[zone.upper()]))))
        if doubt == "twice":
            instants, doubt = {named}, ""
        elif named not in instants:
            instants, doubt = {*instants, named}, "zone"
    return EasternTime(printed=printed, earliest_ms=min(instants), latest_ms=max(instants), doubt=doubt)


def _millis(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
