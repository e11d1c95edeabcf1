"""What `status` shows of lanes and channels, as plain data (INTERFACES section 1); must not decide anything."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

from lane.census import oldest_held
from lane.forecast import LOOK_COUNT_MAX, forecast
from lane.policy import SLOWS
from lane.state import Channel, LaneState, Outage
from lane.why import is_to_file
from schemas.facts import Scope

Json: TypeAlias = dict[str, Any]

SHOWN: Final = ("edi", "emanifest_portal", "cers", "ccp", "cad_api", "swi", "cig")
"""The components that `status` names, in this order."""

RANK: Final = ("up", "backlog", "delayed", "opening", "suspect", "partial", "down")
"""States of a component and direction, worst last: where lanes or notices differ, the worst is shown."""


class Line(NamedTuple):
    """What is to be said of a component and direction: its state, since when, the notice and the reason."""

    state: str
    since_ms: int | None = None
    incident: str | None = None
    reason: str = ""


def lane_summary(state: LaneState, at_ms: int) -> Json:
    """Counts of one lane. `received` are effective messages; `to_file` are held ones that a clerk may file now (R34).

    The held ones are gone through only where portal messages are among them.
    """
    counts = state.counts
    person = {name for name, needs in state.policy.channels.items() if needs.delivery == "person" and state.channel(name).held}
    portal = (message for message in state.held() if message.channel in person) if person else ()
    oldest = oldest_held(state)
    return {
        "lane": state.mode,
        "received": len(state.messages),
        "held": counts["held"],
        "in_flight": counts["granted"] + counts["transmitted"],
        "captured": counts["captured"] + counts["filed"],
        "rejected": counts["rejected"],
        "unknown": counts["unknown"],
        "parked": counts["parked"],
        "to_file": sum(is_to_file(state, message, at_ms=at_ms) for message in portal),
        "oldest_held_at": moment(oldest.received_ms if oldest is not None else None),
    }


def channel_states(states: Iterable[LaneState], at_ms: int) -> list[Json]:
    """One line for each component and direction; notices are alike in all lanes, suspicion and canaries each lane's own."""
    lanes = list(states)
    lines = []
    for name in SHOWN:
        for direction in ("inbound", "outbound"):
            worst = max(_lines(lanes, name, direction=direction, at_ms=at_ms), key=lambda line: RANK.index(line.state))
            lines.append(
                {
                    "name": name, "direction": direction, "state": worst.state, "since": moment(worst.since_ms),
                    "incident": worst.incident, "reason": worst.reason,
                }
            )  # fmt: skip
    return lines


def drains(states: Iterable[LaneState], at_ms: int, *, look_count_max: int = LOOK_COUNT_MAX) -> list[Json]:
    """One line for each drain that has something left: how far, how fast, how long yet, or why it does not go."""
    lines = []
    for state in states:
        for channel in state.channels.values():
            found = forecast(state, channel, at_ms=at_ms, look_count_max=look_count_max)
            if found is not None and channel.drain is not None:
                eta_s = None if found.eta_s is None else round(found.eta_s)
                lines.append(
                    {
                        "lane": state.mode, "channel": channel.name, "replay": channel.drain.position,
                        "status": channel.drain.status, "total": found.total, "left": found.left, "waits": found.waits,
                        "rate_per_s": None if found.rate_per_s is None else round(found.rate_per_s, 1), "eta_s": eta_s,
                        "eta_at": moment(at_ms + eta_s * 1_000) if eta_s is not None and found.runs else None, "why": found.why,
                    }
                )  # fmt: skip
    return lines


def needs_a_person(states: Iterable[LaneState]) -> list[Json]:
    """Messages that only a person can bring on, oldest first: parked, rejected and not corrected, and what asks by name."""
    return [
        {
            "lane": state.mode, "tenant": message.tenant, "key": message.key, "state": message.state,
            "reason": message.needs_person or message.remark or message.state, "since": moment(message.since_ms),
        }
        for state in states
        for message in sorted((state.troubled | state.asked).values(), key=lambda each: (each.since_ms, each.position))
    ]  # fmt: skip


def moment(at_ms: int | None) -> str | None:
    """Unix milliseconds as RFC 3339 in UTC; None stays None."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lines(lanes: Sequence[LaneState], name: str, *, direction: str, at_ms: int) -> Iterator[Line]:
    yield Line("up")
    for state in lanes:
        for outage in state.outages.values():
            yield from _by_notice(state, outage, name=name, direction=direction, at_ms=at_ms)
        if direction == "inbound" and name in state.channels:
            yield from _by_link(state, state.channels[name])


def _by_notice(state: LaneState, outage: Outage, *, name: str, direction: str, at_ms: int) -> Iterator[Line]:
    for _, scope in outage.active():
        begun = not scope.scheduled or scope.starts_ms is None or scope.starts_ms <= at_ms
        if (scope.component, scope.direction) == (name, direction) and begun:
            since_ms = scope.starts_ms if scope.scheduled else outage.received_ms
            yield Line(_effect(state, scope), since_ms, outage.incident, outage.title)


def _effect(state: LaneState, scope: Scope) -> str:
    """An effect in the words of `status`: what holds is down, or partial where it is for some tenants only."""
    if scope.effect == "relogon":
        return "up"
    if scope.effect == "delayed":
        return "delayed"
    if scope.effect == "partial" or scope.tenants:
        return "partial"
    holds = state.policy.holds(scope.effect) if scope.direction == "inbound" else scope.effect in SLOWS
    return "down" if holds else "delayed"


def _by_link(state: LaneState, channel: Channel) -> Iterator[Line]:
    """What this lane knows of the link: suspicion (R33), a canary out or due (R32), a drain that is not finished (R61).

    A lane that has nothing to send says nothing: a canary that nobody waits for would read as an opening that never ends.
    """
    if channel.suspect_since_ms is not None:
        yield Line("suspect", channel.suspect_since_ms, None, f"{state.mode}: {channel.suspect_why}")
    if channel.canary_needed and (channel.canary is not None or channel.held):
        yield Line("opening", channel.opened_ms, None, f"{state.mode}: one message goes ahead and waits for its answer")
    if channel.drain is not None and channel.drain.left:
        drain = channel.drain
        yield Line(
            "backlog", drain.opened_ms, None, f"{state.mode}: {drain.left} of {drain.total} still held, replay {drain.status}"
        )
