"""What is kept of a captured message is all that was ever said of it."""

import pytest

from lane.more import DONE_FIELDS, MORE_FIELDS, More, done_of
from lane.state import NEVER
from tests.unit.lane_story import Story

OTHER_THAN_PLAIN = {
    "attempts": 2, "code": "E10", "deadline_ms": 7, "needs_person": "a person must look", "not_after_ms": 7, "not_before_ms": 7,
    "notes": ("by hand",), "occurred_ms": 7, "remark": "refused", "resubmissions": 1, "submission": 2, "touched": False,
}  # fmt: skip
POSITIONS = ("act", "grace", "held_at", "place")
SWITCHES = ("doubted", "open", "settled", "strict")
MESSAGES = ("corrected_by", "corrects")


def _plain() -> More:
    more = More(None)
    more.attempts, more.touched = 1, True
    return more


def test_this_test_knows_every_field() -> None:
    """A field added to what lies beside a message is added here, or the next test would not look at it."""
    assert {*OTHER_THAN_PLAIN, *POSITIONS, *SWITCHES, *MESSAGES, *DONE_FIELDS} == set(MORE_FIELDS)


@pytest.mark.parametrize("name", sorted(set(MORE_FIELDS) - set(DONE_FIELDS)))
def test_what_is_not_kept_of_a_captured_message_keeps_it_from_being_shrunk(name: str) -> None:
    """R58: a captured message says for months what it said at its capture, though a third of the bytes are kept."""
    story = Story()
    story.cargo("other")
    more = _plain()
    assert more.is_plain()
    other = story["other"] if name in MESSAGES else 7 if name in POSITIONS else OTHER_THAN_PLAIN.get(name, True)
    assert other != getattr(more, name)
    setattr(more, name, other)
    assert not more.is_plain()


@pytest.mark.parametrize("name", DONE_FIELDS)
def test_what_is_kept_of_a_captured_message_comes_back(name: str) -> None:
    """R58: what is kept is what was said, also once something more is said of the message."""
    more = _plain()
    assert NEVER == more.filing
    setattr(more, name, 7)
    assert more.is_plain()
    kept = done_of(more)
    assert 7 == getattr(kept, name)
    assert [getattr(more, each) for each in MORE_FIELDS] == [getattr(More(kept), each) for each in MORE_FIELDS]
