"""R42 as a property: however the sender asks, no second sees more than the rate and one bucket, which is one second's worth."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lane import fold
from lane.grants import CLOCK_BACK_MS
from schemas.facts import MessageReceived, SendIntended
from tests.unit.lane_story import Story

STEPS = st.lists(st.tuples(st.integers(0, 1_500), st.integers(1, 40)), min_size=1, max_size=25)
"""How long the sender waits, and how many messages it then asks for at once."""

QUICK = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 12)), min_size=10, max_size=25)
"""The same in a hurry: a dozen small intents within a second, which leave a part of the bucket."""


def _granted_ms(steps: list[tuple[int, int]], *, late_ms: Sequence[int] = (0,), **policy: Any) -> list[int]:
    """When each message was granted, by its intent's own stamp; `late_ms`, in turn: how old that is when it comes to the log."""
    story = Story(in_flight_max=10_000, **policy)
    for number in range(sum(count for _, count in steps)):
        story.position += 1
        fold.apply(story.state, story.position, _received(story, number))
    story.take_lane()
    waiting = list(story.state.messages)
    granted: list[int] = []
    for (wait_ms, count), late in zip(steps, cycle(late_ms), strict=False):
        story.at_ms += wait_ms
        story.position += 1
        fact = SendIntended(at_ms=story.at_ms - late, epoch=1, issue=1, messages=tuple(waiting[:count]))
        fold.apply(story.state, story.position, fact)
        left = [number for number in waiting if story.state.messages[number].state == "held"]
        granted += [story.at_ms - late] * (len(waiting) - len(left))
        waiting = left
    return granted


def _received(story: Story, number: int) -> Any:
    return MessageReceived(
        at_ms=story.at_ms, source=story.source("inbound.highway"), tenant="acme", key=f"k{number}", kind="cargo",
        function="original", channel="edi", document=f"A{number}", keys={"ccn": (f"A{number}",)}, content_type="text/plain",
        attributes_sha256="a", size_bytes=1, received_ms=story.at_ms, sha256="0" * 64,
    )  # fmt: skip


def _most_in_a_second(granted_ms: list[int]) -> int:
    return max((sum(first <= each < first + 1_000 for each in granted_ms) for first in granted_ms), default=0)


@given(steps=STEPS, rate=st.integers(1, 30), of_all=st.none() | st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_no_second_sees_more_than_the_rate_and_one_bucket(steps: list[tuple[int, int]], rate: int, of_all: int | None) -> None:
    """R42: a channel's own rate, slower or faster than the one for all."""
    found = _granted_ms(steps, rate_max_per_s=of_all, channel_rate_max_per_s={"edi": rate})
    assert _most_in_a_second(found) <= 2 * rate


@given(steps=QUICK, late_ms=st.lists(st.integers(0, CLOCK_BACK_MS), min_size=25, max_size=25))
@example(steps=[(0, 9)] * 24, late_ms=[CLOCK_BACK_MS, 0] * 12)
@settings(deadline=None, max_examples=100)
def test_facts_that_overtake_each_other_win_only_their_head_start(steps: list[tuple[int, int]], late_ms: list[int]) -> None:
    """R42: facts under way together stand up to a second out of order, so a second of stamps holds one more second's worth."""
    assert _most_in_a_second(_granted_ms(steps, late_ms=late_ms, rate_max_per_s=10)) <= 3 * 10


@given(steps=STEPS, rate=st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_over_any_stretch_the_rate_is_kept(steps: list[tuple[int, int]], rate: int) -> None:
    """R42: after the first bucket nothing is won by asking often: any stretch holds its seconds' worth and one bucket."""
    found = _granted_ms(steps, rate_max_per_s=rate)
    for start, first_ms in enumerate(found):
        for end in range(start, len(found)):
            assert end - start + 1 <= rate + rate * (found[end] - first_ms) / 1_000
