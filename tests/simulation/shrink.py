"""Cuts a red plan smaller while it stays red by the same invariant, so that a person can read what is left; knows no rules."""

from typing import Final

from tests.simulation.plan import Plan, cut, smaller
from tests.simulation.story import Outcome, play

PLAYS_MAX: Final = 400
"""Most plans that are tried for one red seed: half a minute; what is left then is small enough to read or never will be."""


def shrink(plan: Plan, *, plays_max: int = PLAYS_MAX) -> Outcome:
    """The smallest plan found that still breaks what this one breaks first, played and told line by line."""
    wanted = play(plan).broken[0].rule
    plays = 0
    shrunk = True
    while shrunk:
        shrunk = False
        for what in smaller(plan):
            tried = cut(plan, what)
            plays += 1
            if plays > plays_max:
                break
            if any(each.rule == wanted for each in play(tried).broken):
                plan, shrunk = tried, True
                break  # what may be cut is another list now
        if plays > plays_max:
            break
    return play(plan, trace=True)
