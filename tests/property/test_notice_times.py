"""Eastern times around both clock changes, and texts that nobody meant for a reader."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.notice_layout import NoticeUnreadable
from consumers.notice_times import doubts, find_windows, read_time
from consumers.notices import read_notice

ET = ZoneInfo("America/Toronto")
CHANGES = [datetime(2025, 3, 9, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)]
FORMATS = [
    "%Y-%m-%d %H:%M (ET)",
    "%Y-%m-%d / %H:%M (ET)",
    "%Y-%m-%d / %H :%M ET",
    "%Y-%m-%d %H:%MET",
    "%Y-%m-%d/ %H:%M",
    "%Y-%m-%d %I:%M%p",
]
PIECES = [
    *("TCC25-9001 - EDI Inbound Outage", "RESOLVED", "SCHEDULED", "https://x.example/tcc25-9001-edi", "Start Date / Time", "|"),
    *("End Date / Time", "Clients Affected", "Description", "Action Required", "2025-11-02 01:30 (ET)", "2025-02-30 25:61 ET"),
    *("Sunday, November 2, 2025 from 01:30 and 01:10 (ET): EDI unavailable", "and from 00:00 to 00:00", "EDI Maintenance", "# x"),
    *("Some clients cannot send to CBSA.", "All CBSA systems are down", "CARM", "\u202e", "\x00", "\ud800", "9999-12-31 23:59"),
]
UNTIL_MAX_H = 36
"""A change night and half a day on either side."""


def instants_by_local_minute(around: datetime) -> dict[datetime, list[int]]:
    """Which instants show each local minute: found by going through the instants, not by asking for a local time's offset."""
    shown: dict[datetime, list[int]] = defaultdict(list)
    for minute in range(-12 * 60, UNTIL_MAX_H * 60):
        instant = around + timedelta(minutes=minute)
        shown[instant.astimezone(ET).replace(tzinfo=None)].append(int(instant.timestamp()) * 1000)
    return shown


SHOWN = {change: instants_by_local_minute(change) for change in CHANGES}


@given(change=st.sampled_from(CHANGES), minute=st.integers(0, 24 * 60 - 1), form=st.sampled_from(FORMATS))
def test_a_printed_time_is_every_instant_that_shows_it(change: datetime, minute: int, form: str) -> None:
    """I9c: a time shown twice is both instants; one shown never is read both ways, an hour apart around the change."""
    local = change.replace(tzinfo=None) + timedelta(minutes=minute)
    got = read_time(local.strftime(form))
    assert got is not None
    shown = SHOWN[change].get(local, [])
    if shown:
        assert (min(shown), max(shown)) == (got.earliest_ms, got.latest_ms)
        assert ("twice" if len(shown) > 1 else "") == got.doubt
    else:
        change_ms = SHOWN[change][change.replace(tzinfo=None) + timedelta(hours=3)][0]
        assert ("skipped", 3_600_000) == (got.doubt, got.latest_ms - got.earliest_ms)
        assert got.earliest_ms < change_ms <= got.latest_ms
    assert bool(got.doubt) == bool(doubts(got, taken="start"))


@given(change=st.sampled_from(CHANGES), start=st.integers(0, 300), length=st.integers(1, 300))
def test_a_window_is_never_shorter_than_any_reading_of_it(change: datetime, start: int, length: int) -> None:
    """I9c: earliest start, latest end."""
    first = change.replace(tzinfo=None) + timedelta(minutes=start)
    last = first + timedelta(minutes=length)
    ((window,), words) = find_windows(
        f"{first:%A, %B} {first.day}, {first.year} from {first:%H:%M} to {last:%H:%M} (ET): EDI down"
    )
    assert ": EDI down" == words.strip()
    shown = SHOWN[change]
    assert window.starts.earliest_ms <= min(shown.get(first, [window.starts.earliest_ms]))
    assert window.ends.latest_ms >= max(shown.get(last, [window.ends.latest_ms]))


@pytest.mark.parametrize(
    "text",
    [
        *("", "2025-13-01 10:00", "2025-02-30 10:00", "2025-10-02 24:00", "2025-10-02 13:30 pm", "2025-10-02"),
        *("2025-10-02 10:00 PT", "0001-01-01 00:00", "2025-10-02 10:00 (ET) or 11:00 (ET)", "٢٠٢٥-10-02 10:00"),
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    """Nothing is guessed."""
    assert read_time(text) is None


@given(text=st.text(max_size=400) | st.lists(st.sampled_from(PIECES) | st.text(max_size=30), max_size=25).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """read_notice raises NoticeUnreadable and nothing else; what it reads closes something and can be written."""
    try:
        got = read_notice(text, received_ms=1_764_000_000_000)
    except NoticeUnreadable as refusal:
        str(refusal).encode()
        return
    assert got.scopes
    "".join((got.number, got.title, *got.findings)).encode()
    assert all(scope.scheduled == (got.state == "scheduled") for scope in got.scopes)
