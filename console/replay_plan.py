"""What a replay would send and in which waves, for a person to look at before; must not send or decide: the fold does.

A wave is a lower bound: one more than that of the held message that is met first as a reason to wait. What goes is judged
again, one by one, at its turn.
"""

from collections import Counter
from typing import Any, Final

from lane.gate import hold
from lane.grants import rate_per_s
from lane.moves import in_drain
from lane.order import blocker
from lane.ready import NO_DEADLINE
from lane.state import Channel, LaneState, Message

FIRST_COUNT: Final = 20
"""Messages shown one by one: a screen (UX section 3)."""

EXCLUDED_COUNT: Final = 1_000
"""Most messages that stay behind listed with their reason; the count is of all."""

IN_FLIGHT: Final = frozenset({"granted", "transmitted", "unknown"})
"""States of a predecessor that is on its way: what waits for it goes once it is captured."""


def planned(state: LaneState, *, at_ms: int) -> list[dict[str, Any]]:
    """One plan for each of the lane's channels that holds messages for a machine; of a drain where there is one."""
    plans = []
    waves = Waves(state, at_ms=at_ms)
    for name, channel in state.channels.items():
        if state.policy.channels[name].delivery == "machine" and channel.held:
            plans.append(_plan(waves, channel))
    return plans


class Waves:
    """In which wave each held message goes, or why it stays behind."""

    def __init__(self, state: LaneState, *, at_ms: int) -> None:
        self.state = state
        self.at_ms = at_ms
        self._known: dict[int, int | tuple[str, str]] = {}

    def of(self, message: Message) -> int | tuple[str, str]:
        """The wave, from 1, or the rule and the sentence that keep it back."""
        chain: list[Message] = []
        here: Message | None = message
        while here is not None and here.position not in self._known:
            chain.append(here)
            self._known[here.position] = 1  # ends a walk that comes back to where it was
            here = self._waits_for(here)
        for each in reversed(chain):
            self._known[each.position] = self._judged(each)
        return self._known[message.position]

    def _waits_for(self, message: Message) -> Message | None:
        found = blocker(self.state, message, at_ms=self.at_ms)
        return found.message if found is not None and found.message is not None and found.message.state == "held" else None

    def _judged(self, message: Message) -> int | tuple[str, str]:
        channel = self.state.channel(message.channel)
        if self.state.policy.channels[message.channel].delivery == "person":
            return "R34", f"{message} waits for a clerk to file it"
        shut = hold(self.state, message, at_ms=self.at_ms)
        if shut is not None and channel.drain is not None:
            return shut.rule, shut.sentence
        found = blocker(self.state, message, at_ms=self.at_ms)
        if found is None:
            return 1
        if found.message is not None and found.message.state in IN_FLIGHT:
            return 1
        if found.message is None or found.message.state != "held":
            return found.rule, found.sentence
        before = self._known[found.message.position]
        return before + 1 if isinstance(before, int) else (found.rule, found.sentence)


def _plan(waves: Waves, channel: Channel) -> dict[str, Any]:
    state, drain = waves.state, channel.drain
    held = [
        message
        for message in state.held()
        if message.channel == channel.name and (drain is None or not drain.left or in_drain(channel, message))
    ]
    going: list[tuple[int, Message]] = []
    staying: list[tuple[Message, tuple[str, str]]] = []
    for message in held:
        wave = waves.of(message)
        if isinstance(wave, int):
            going.append((wave, message))
        else:
            staying.append((message, wave))
    going.sort(key=lambda pair: (pair[0], pair[1].kind != "release", pair[1].deadline_ms or NO_DEADLINE, pair[1].place))
    kinds: dict[int, Counter[str]] = {}
    for wave, message in going:
        kinds.setdefault(wave, Counter())[message.kind] += 1
    has_drain = drain is not None and drain.left > 0
    return {
        "lane": state.mode,
        "channel": channel.name,
        "replay": drain.position if drain is not None and has_drain else None,
        "status": drain.status if drain is not None and has_drain else "held",
        "total": drain.total if drain is not None and has_drain else len(held),
        "count": len(going),
        "rate_per_s": _would_go_per_s(state, channel),
        "waves": [{"wave": wave, "count": sum(count.values()), "kinds": dict(count)} for wave, count in sorted(kinds.items())],
        "first": [{"wave": wave, **_named(message)} for wave, message in going[:FIRST_COUNT]],
        "excluded": [
            {**_named(message), "rule": rule, "reason": sentence} for message, (rule, sentence) in staying[:EXCLUDED_COUNT]
        ],
        "excluded_count": len(staying),
    }


def _would_go_per_s(state: LaneState, channel: Channel) -> int | None:
    """The rate at which it goes or will: a drain that waits or is paused keeps the rate that a person gave it (R61)."""
    drain, most = channel.drain, rate_per_s(state, channel)
    if drain is None or not drain.left or drain.rate_per_s is None or drain.status == "aborted":
        return most
    return drain.rate_per_s if most is None else min(drain.rate_per_s, most)


def _named(message: Message) -> dict[str, Any]:
    return {
        "tenant": message.tenant, "key": message.key, "kind": message.kind, "function": message.function,
        "document": message.doc.key,
    }  # fmt: skip
