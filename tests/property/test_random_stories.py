"""Months of a lane at random: every kind of message, outage, answer and horizon, and after each fact the state is recounted."""

import gc
from random import Random
from typing import Any, Final

import pytest

from lane.canonical import canonical
from lane.due import due_facts
from lane.snapshot import dump, load
from lane.state import Document, Message
from schemas import native
from tests.unit.lane_story import Story, assert_consistent

SEEDS: Final = 12
STEPS: Final = 200
LONG_S: Final = (100, 130 * 86_400)
"""A grace, and more than the horizon."""


def _publish(story: Story, draw: Random, number: int, keys: list[str]) -> None:
    """One message over few documents, so that they meet; now and then one that names itself, or corrects what was before."""

    def one(letter: str, count: int = 12) -> str:
        return f"{letter}{draw.randrange(count)}"

    function = draw.choice(["original"] * 5 + ["change", "cancel"])
    more: dict[str, Any] = {"key": f"m{number}", "tenant": draw.choice(["acme", "acme", "zeta"]), "function": function}
    if keys and draw.random() < 0.08:
        more[draw.choice(["corrects", "replaces"])] = draw.choice(keys)
    match draw.randrange(10):
        case 0:
            story.cargo(one("A"), crn=draw.choice([None, one("T", 4), f"X{number}"]), **more)
        case 1:
            story.trip(one("T", 4), *sorted({one("A") for _ in range(draw.randrange(4))}), **more)
        case 2 | 3:
            primary, previous = (
                draw.choice([one("A"), f"P{number}", one("H")]),
                draw.choice([None, one("A"), one("H"), f"P{number}"]),
            )
            story.house_bill(one("H"), primary=primary, previous=previous, **more)
        case 4:
            story.close(draw.choice([one("A"), one("H")]), *sorted({one("H") for _ in range(draw.randrange(3))}), **more)
        case 5:
            image = draw.choice([None, None, one("I", 3)])
            story.release(
                one("R", 5), *[draw.choice([one("A"), f"Z{number}"]) for _ in range(draw.randrange(3))], image=image, **more
            )
        case 6:
            story.arrival(one("T", 4), *sorted({one("A") for _ in range(draw.randrange(3))}), **more)
        case 7:
            story.cargo_arrival(draw.choice([one("A"), f"P{number - 3}"]), **more)
        case 8:
            story.image(one("I", 3), **more)
        case _:
            kind = draw.choice(["export_declaration", "accounting", "other"])
            document = one("O")
            story.publish(kind, document, {kind: (document,)}, **more)


def _send(story: Story, draw: Random, keys: list[str]) -> None:
    """Intend some, and let CBSA take, refuse and judge what was granted."""
    story.wait(draw.choice([1, 1, 1, 40])).intend(*keys)
    for key in keys:
        if story[key].grant == story.position and draw.random() < 0.95:
            story.concluded(key, draw.choice(["transmitted"] * 4 + ["unknown", "not_taken"]))
            story.answer(key, draw.choice(["captured"] * 3 + ["rejected"]), code=draw.choice(["E1", "T36"]))


def _let_time_pass(story: Story, wait_s: int) -> None:
    """Wait, and let the lane's clock say what is due then."""
    story.wait(wait_s)
    for _ in range(6):
        for fact in due_facts(story.state, at_ms=story.at_ms):
            story.say(fact)


@pytest.mark.skipif(
    native.runs(), reason="COMPILED, THE COLLECTOR DOES NOT KNOW THEM: the run of the plain sources looks for cycles"
)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_leaves_needs_no_garbage_collector(seed: int) -> None:
    """Compiled, messages and documents are none of the collector's: what leaves is in no cycle that only it could end."""
    draw = Random(seed)
    story = Story("highway", drain="automatic", rate_max_per_s=None, in_flight_max=9)
    story.take_lane()
    gc.collect()
    gc.disable()
    try:
        for number in range(STEPS):
            alive = [f"m{each}" for each in range(number) if story.state.by_publisher("acme", f"m{each}")]
            _publish(story, draw, number, alive)
            _send(story, draw, draw.sample(alive, min(len(alive), 6)))
            for act in (story.declare, story.resolve):
                if draw.random() < 0.04:
                    act()
            if alive and draw.random() < 0.1:
                story.withdraw(draw.choice(alive))
            if number % 20 == 19:
                _let_time_pass(story, draw.choice(LONG_S))
        _let_time_pass(story, LONG_S[1])
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = {str(each) for each in gc.garbage if isinstance(each, Message | Document)}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert len(story.state.messages) < STEPS, "some have left"
    assert set() == found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_that_may_go_is_forgotten_and_every_count_is_true(seed: int) -> None:
    """I3d, I5: `Story.say` recounts the state after each fact; a fold that goes on from a snapshot is the same to the byte."""
    draw = Random(seed)
    story = Story(draw.choice(["highway", "rail", "marine"]), drain="automatic", rate_max_per_s=None, in_flight_max=9)
    story.take_lane()
    keys: list[str] = []
    for number in range(STEPS):
        _publish(story, draw, number, keys)
        keys.append(f"m{number}")
        for act in (story.declare, story.resolve, story.override):
            if draw.random() < 0.04:
                act()
        alive = [key for key in keys if story.state.by_publisher("acme", key)]
        if alive:
            _send(story, draw, draw.sample(alive, min(len(alive), 6)))
            if draw.random() < 0.05:
                story.withdraw(draw.choice(alive))
        if draw.random() < 0.04:
            _let_time_pass(story, draw.choice(LONG_S))
        if number % 50 == 0:
            body = dump(story.state)
            again = load(body)
            assert_consistent(again)
            assert (canonical(story.state), body) == (canonical(again), dump(again))
            story.state = again
