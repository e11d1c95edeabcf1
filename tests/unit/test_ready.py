"""The ready messages of a channel: each stands once where a planner looks."""

from lane.ready import DRAINED, READY, Ready
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
