"""The window over a Kafka stream takes in what this process wrote exactly where nothing can be missed by it."""

import threading

from eventlog.kafka_tail import _Window
from eventlog.port import Appended
from schemas.streams import Entry, Record

NEVER_S = float("-inf")


def window(count: int) -> _Window:
    """A window that holds so many records from position 0 on."""
    changed = threading.Condition()
    changed.acquire()  # as every caller of a window does
    made = _Window(changed)
    made.move(0, None)
    made.take_fetched([Record(position, 1_000 + position, b"%d" % position) for position in range(count)])
    return made


def test_what_was_written_right_behind_the_end_is_shown_and_not_fetched() -> None:
    """An acknowledged record at the next position is the next record."""
    at = window(2)
    at.take_written([Entry(b"2", (("ce_id", b"x"),))], Appended((2,), (77,)))
    assert (Record(2, 77, b"2", (("ce_id", b"x"),)),) == at.page(2, 10)
    assert at.own_until_s > NEVER_S
    assert at.take_fetched([Record(2, 77, b"2"), Record(3, 78, b"3")])
    assert [b"2", b"3"] == [record.value for record in at.page(2, 10)]


def test_a_strangers_record_between_is_never_passed_over() -> None:
    """Behind a gap nothing is shown, and the stream is fetched without pauses."""
    at = window(2)
    at.take_written([Entry(b"4")], Appended((4,), (77,)))
    assert ((), NEVER_S) == (at.page(2, 10), at.own_until_s)
    assert at.take_fetched([Record(2, 75, b"2"), Record(3, 76, b"3"), Record(4, 77, b"4")])
    at.take_written([Entry(b"5")], Appended((5,), (78,)))
    assert (6, NEVER_S) == (at.next, at.own_until_s)


def test_a_write_below_what_was_read_leaves_the_stream_to_be_fetched() -> None:
    """Only fetching finds out that a topic was made anew or cut (I1f)."""
    at = window(9)
    at.take_written([Entry(b"anew")], Appended((3,), (77,)))
    assert (9, NEVER_S) == (at.next, at.own_until_s)


def test_a_hole_in_what_was_fetched_is_told() -> None:
    """A record that is missing stops the reader."""
    assert window(2).take_fetched([Record(3, 77, b"3")]) is False
