"""Whether a channel may be used now: R30 to R33, notices, windows, overrides, suspicion; must not know order."""

from collections.abc import Iterator

from lane.policy import SLOWS
from lane.state import Channel, Drain, Finding, LaneState, Message, Outage
from schemas.facts import ComponentOverridden, OutageDeclared, OutageResolved, Scope, WindowEnded


def hold(state: LaneState, message: Message, *, at_ms: int) -> Finding | None:
    """Why no intent for this message is granted at that time because of a notice, or None (R30, R31)."""
    for outage, scope in holding(state, message.channel, at_ms=at_ms):
        if not scope.tenants or message.tenant in scope.tenants:
            rule = "R31" if scope.scheduled else "R30"
            return Finding(rule, f"{scope.component} {scope.direction} is {scope.effect} by {outage.incident}", message.position)
    return None


def holding(state: LaneState, channel: str, *, at_ms: int) -> Iterator[tuple[Outage, Scope]]:
    """The scopes that hold a channel at that time: an outage at once, a scheduled window from its published start."""
    needs = state.policy.channels[channel].inbound
    for outage in state.outages.values():
        for _, scope in outage.active():
            covers = scope.direction == "inbound" and scope.component in needs and state.policy.holds(scope.effect)
            if covers and (not scope.scheduled or scope.starts_ms is None or scope.starts_ms <= at_ms):
                yield outage, scope


def outbound_bad(state: LaneState, channel: str) -> bool:
    """Whether a notice says that answers for the channel are missing or late (R23, R32, R54)."""
    needs = state.policy.channels[channel].outbound
    return any(
        scope.direction == "outbound" and scope.component in needs and scope.effect in SLOWS
        for outage in state.outages.values()
        for _, scope in outage.active()
        if not scope.scheduled or (scope.starts_ms or 0) <= state.now_ms
    )


def declare(state: LaneState, position: int, fact: OutageDeclared) -> tuple[Finding, ...]:
    """A notice closes components; a newer one of the same incident replaces what it said."""
    before = _closed(state)
    state.outages[fact.incident] = Outage(
        incident=fact.incident, title=fact.title, position=position, at_ms=fact.at_ms, received_ms=fact.received_ms,
        scopes=fact.scopes,
    )  # fmt: skip
    if state.policy.profile == "cbsa-queues":
        for name, needs in state.policy.channels.items():
            if any(scope.effect == "partial" and scope.component in needs.inbound for scope in fact.scopes):
                suspect(state, state.channel(name), at_ms=fact.at_ms, why=f"partial by {fact.incident}")
    _open_what_opened(state, position, before=before, canary=False)
    return ()


def resolve(state: LaneState, position: int, fact: OutageResolved) -> tuple[Finding, ...]:
    """*Resolved* ends its own incident and no other (R30)."""
    before = _closed(state)
    if state.outages.pop(fact.incident, None) is None:
        return (Finding("R30", f"{fact.incident} is not an outage in force here: recorded, nothing opens"),)
    _open_what_opened(state, position, before=before, canary=False)
    return ()


def override(state: LaneState, position: int, fact: ComponentOverridden) -> tuple[Finding, ...]:
    """An operator opens a component against every outage that covers it now, or holds it; opening goes through a canary."""
    before = _closed(state)
    incident = f"override-{fact.component}-{fact.direction}"
    if fact.to == "hold":
        scope = Scope(component=fact.component, direction=fact.direction, effect="unavailable")
        title = f"held by {fact.person}: {fact.reason}"
        state.outages[incident] = Outage(
            incident=incident, title=title, position=position, at_ms=fact.at_ms, received_ms=fact.at_ms, scopes=(scope,),
            by_hand=True,
        )  # fmt: skip
        return ()
    state.outages.pop(incident, None)
    for outage in state.outages.values():
        for number, scope in list(outage.active()):
            if scope.component == fact.component and scope.direction == fact.direction and not scope.scheduled:
                outage.ended.add(number)
    _open_what_opened(state, position, before=before, canary=True)
    return ()


def end_window(state: LaneState, position: int, fact: WindowEnded) -> tuple[Finding, ...]:
    """A scheduled window's published end has passed; before it the fact is void (R6, R30)."""
    outage = state.outages.get(fact.incident)
    if fact.at_ms < fact.ends_ms:
        return (Finding("R6", f"the window of {fact.incident} has not ended yet", void=True),)
    ending = [number for number, scope in outage.active() if scope.scheduled and scope.ends_ms == fact.ends_ms] if outage else []
    if outage is None or not ending:
        return (Finding("R30", f"{fact.incident} has no such window in force", void=True),)
    before = _closed(state, at_ms=fact.ends_ms - 1)
    outage.ended.update(ending)
    _open_what_opened(state, position, before=before, canary=True)
    if not any(True for _ in outage.active()):
        del state.outages[fact.incident]
    return ()


def suspect(state: LaneState, channel: Channel, *, at_ms: int, why: str) -> None:
    """R33: from here on one probe at a time, with back-off; nothing is parked."""
    if channel.suspect_since_ms is None:
        channel.suspect_since_ms = at_ms
        channel.suspect_why = why
        channel.backoff_ms = state.policy.probe_ms
    else:
        channel.backoff_ms = min(channel.backoff_ms * 2, state.policy.probe_max_ms)
    channel.probe_after_ms = at_ms + channel.backoff_ms


def trust(channel: Channel) -> None:
    """The link has proved itself, or CBSA has opened it: suspicion ends."""
    channel.suspect_since_ms = None
    channel.suspect_why = ""
    channel.unknown_streak = 0
    channel.backoff_ms = 0
    channel.probe_after_ms = 0


def prove(state: LaneState, message: Message) -> None:
    """An application answer proves the link: the canary's wait is over (R32)."""
    channel = state.channel(message.channel)
    if message.grant > channel.opened_position:
        channel.canary_needed = False
        channel.canary = None


def _closed(state: LaneState, *, at_ms: int | None = None) -> set[str]:
    """Channels that are held for somebody."""
    now = state.now_ms if at_ms is None else at_ms
    return {name for name in state.policy.channels if any(True for _ in holding(state, name, at_ms=now))}


def _open_what_opened(state: LaneState, position: int, *, before: set[str], canary: bool) -> None:
    """What was closed and is closed no more opens: suspicion ends, the held set becomes a drain (R61)."""
    for name in sorted(before - _closed(state)):
        channel = state.channel(name)
        trust(channel)
        channel.quiet_until_ms = 0
        channel.opened_ms = state.now_ms
        channel.opened_position = position
        delivery = state.policy.channels[name].delivery
        channel.canary_needed = canary and delivery == "machine"
        channel.canary = None
        if delivery == "machine":
            _begin_drain(state, channel, position)


def _begin_drain(state: LaneState, channel: Channel, position: int) -> None:
    waiting = channel.ready
    if channel.drained:
        waiting = sorted([*channel.ready, *channel.drained])
    channel.ready, channel.drained = [], waiting
    channel.drain = Drain(
        position=position,
        component=channel.name,
        opened_ms=state.now_ms,
        status="running" if state.policy.drain == "automatic" else "waiting",
        act=position,
        total=channel.held,
        left=channel.held,
    )
