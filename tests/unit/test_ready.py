"""The ready messages of a channel: each stands once where a planner looks."""

from lane.message import NOWHERE
from lane.ready import DRAINED, READY, Ready, taken
from tests.unit.lane_story import Story


def test_a_message_that_came_to_the_drain_is_marked_as_standing_there() -> None:
    """R24, R61: what leaves the line that it stood in before must not let it be put into its drain's line again."""
    story = Story()
    story.cargo("A1")
    message = story["A1"]
    ready, drained = Ready(READY), Ready(DRAINED)
    ready.push(message)
    drained.push(message)
    message.unblocked = False
    ready.drop()
    assert 0 == len(ready)
    assert DRAINED == message.heap


def test_a_message_that_stands_in_two_lines_is_taken_once() -> None:
    """R24: a process that only folds lets it stand where it stood before its drain; whoever plans names it once."""
    story = Story()
    story.cargo("A1")
    story.cargo("A2")
    ready, drained = Ready(READY), Ready(DRAINED)
    for key in ("A1", "A2"):
        ready.push(story[key])
        drained.push(story[key])
    assert ["A1", "A2"] == [message.key for message in taken([drained, ready], but=())]
    assert [NOWHERE, NOWHERE] == [story[key].heap for key in ("A1", "A2")]


def test_lines_that_come_together_have_each_message_once() -> None:
    """R61: at a second opening what is left of the first drain joins what was held since."""
    story = Story()
    story.cargo("A1")
    story.cargo("A2")
    ready, left = Ready(READY), Ready(DRAINED)
    left.push(story["A1"])
    left.push(story["A2"])
    ready.push(story["A2"])
    ready.absorb(left)
    assert ["A1", "A2"] == [message.key for message in taken([ready], but=())]
