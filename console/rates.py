"""Rates as people type them: messages a second, `none`, `default`, or a channel's own; must not know what a rate does."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from console.output import Exit, Stop

if TYPE_CHECKING:
    from lane.policy import Policy, Rate

RATE_MAX_PER_S: Final = 2**31 - 1
"""Largest rate that a fact holds; whoever wants more wants `none`."""


def read_rate(text: str) -> "int | None":
    """A number of messages a second, or None for `none`. Raises Stop."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= RATE_MAX_PER_S):
        raise Stop(Exit.USAGE, f"a rate is a number of messages a second, or none; not {text}")
    return int(text)


def read_channel_rate(text: str) -> "Rate":
    """The same for one channel, where `default` is the rate of all. Raises Stop."""
    return "default" if text == "default" else read_rate(text)


def rates_asked(texts: Sequence[str]) -> "Callable[[Policy], Policy]":
    """What `--rate-max N|none|CHANNEL=N ...` makes of a policy; channels that are not named keep theirs. Raises Stop."""
    rates: dict[str, Rate] = {}
    of_all: list[int | None] = []
    for text in texts:
        name, equals, rate = text.partition("=")
        if not equals:
            of_all.append(read_rate(text))
        elif name in rates:
            raise Stop(Exit.USAGE, f"--rate-max {name}= is given twice; give it once")
        else:
            rates[name] = read_channel_rate(rate)
    if len(of_all) > 1:
        raise Stop(Exit.USAGE, "--rate-max is given twice for all channels; give it once, and CHANNEL=N for one channel")

    def changed(policy: "Policy") -> "Policy":
        policy = replace(policy, rate_max_per_s=of_all[0]) if of_all else policy
        return policy.with_rates(rates)

    return changed
