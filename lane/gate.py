"""Whether a channel may be used now: R30 to R33, notices, windows, overrides, suspicion; must not decide order."""

from collections.abc import Iterator

from lane import pace
from lane.order import late_scopes
from lane.ready import Ready
from lane.state import NEVER, Channel, Drain, Finding, LaneState, Message, Outage
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


def held_tenants(state: LaneState, channel: str, *, at_ms: int) -> frozenset[str] | None:
    """The tenants for whom a channel is held at that time; None when it is held for all."""
    tenants: set[str] = set()
    for _, scope in holding(state, channel, at_ms=at_ms):
        if not scope.tenants:
            return None
        tenants.update(scope.tenants)
    return frozenset(tenants)


def outbound_bad(state: LaneState, channel: str) -> bool:
    """Whether a notice says that answers for the channel are missing or late (R23, R32, R54)."""
    needs = state.policy.channels[channel].outbound
    return any(scope.component in needs for scope in late_scopes(state))


def declare(state: LaneState, position: int, fact: OutageDeclared) -> tuple[Finding, ...]:
    """A notice closes components; a newer one of the same incident replaces what it said, but it opens nothing.

    R30 knows three ways to open and an update is none of them: what held and is not said again to hold stays on hold until
    the incident is resolved, the window ends or an operator opens it. A window that has not begun is simply corrected.
    """
    before = state.outages.get(fact.incident)
    held = [scope for _, scope in before.active() if _holds_now(state, scope)] if before else []
    kept = tuple(scope for scope in held if not any(_covers(state, new, scope) for new in fact.scopes))
    state.outages[fact.incident] = Outage(
        incident=fact.incident, title=fact.title, position=position, at_ms=fact.at_ms, received_ms=fact.received_ms,
        scopes=(*fact.scopes, *kept),
    )  # fmt: skip
    if state.policy.profile == "cbsa-queues":
        partial = {scope.component for scope in fact.scopes if (scope.effect, scope.direction) == ("partial", "inbound")}
        for name, needs in state.policy.channels.items():
            if partial.intersection(needs.inbound):
                suspect(state, state.channel(name), at_ms=fact.at_ms, why=f"partial by {fact.incident}")
    return tuple(
        Finding("R30", f"{fact.incident} says no more that {each.component} {each.direction} is {each.effect}: it stays on hold")
        for each in kept
    )


def _holds_now(state: LaneState, scope: Scope) -> bool:
    begun = not scope.scheduled or scope.starts_ms is None or scope.starts_ms <= state.now_ms
    return scope.direction == "inbound" and state.policy.holds(scope.effect) and begun


def _covers(state: LaneState, new: Scope, old: Scope) -> bool:
    """Whether a newer scope holds all that the older one holds, and ends no sooner by itself."""
    same = (new.component, new.direction) == (old.component, old.direction)
    tenants = not new.tenants or (bool(old.tenants) and set(old.tenants) <= set(new.tenants))
    return same and tenants and _holds_now(state, new) and _lasts(new, old)


def _lasts(new: Scope, old: Scope) -> bool:
    """Whether a newer scope ends no sooner by itself than the older one: an unscheduled one never does."""
    if not new.scheduled or new.ends_ms is None:
        return True
    return old.scheduled and old.ends_ms is not None and old.ends_ms <= new.ends_ms


def resolve(state: LaneState, position: int, fact: OutageResolved) -> tuple[Finding, ...]:
    """*Resolved* ends its own incident and no other (R30)."""
    before = closed_channels(state)
    if state.outages.pop(fact.incident, None) is None:
        return (Finding("R30", f"{fact.incident} is not an outage in force here: recorded, nothing opens"),)
    open_what_opened(state, position, before=before, canary=False)
    return ()


def override(state: LaneState, position: int, fact: ComponentOverridden) -> tuple[Finding, ...]:
    """An operator opens a component against every outage that covers it now, or holds it; opening goes through a canary.

    Windows that have begun are opened too, later ones still close. A newer notice that closes it again does close it.
    """
    before = closed_channels(state)
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
            begun = not scope.scheduled or scope.starts_ms is None or scope.starts_ms <= state.now_ms
            if (scope.component, scope.direction) == (fact.component, fact.direction) and begun:
                outage.ended.add(number)
    open_what_opened(state, position, before=before, canary=True)
    return ()


def end_window(state: LaneState, position: int, fact: WindowEnded) -> tuple[Finding, ...]:
    """A scheduled window's published end has passed; before it the fact is void (R6, R30)."""
    outage = state.outages.get(fact.incident)
    if fact.at_ms < fact.ends_ms:
        return (Finding("R6", f"the window of {fact.incident} has not ended yet", void=True),)
    ending = [number for number, scope in outage.active() if scope.scheduled and scope.ends_ms == fact.ends_ms] if outage else []
    if outage is None or not ending:
        return (Finding("R30", f"{fact.incident} has no such window in force", void=True),)
    before = closed_channels(state)
    outage.ended.update(ending)
    open_what_opened(state, position, before=before, canary=True)
    if not any(True for _ in outage.active()):
        del state.outages[fact.incident]
    return ()


def suspect(state: LaneState, channel: Channel, *, at_ms: int, why: str, grant: int = NEVER) -> None:
    """R33: from here on one probe at a time, with back-off; nothing is parked.

    `grant`: the grant that failed. Only a probe doubles the back-off, not what was on its way when suspicion began.
    """
    if channel.suspect_since_ms is None:
        channel.suspect_since_ms = at_ms
        channel.suspect_why = why
        channel.backoff_ms = state.policy.probe_ms
    elif grant > channel.suspect_position:
        channel.backoff_ms = min(channel.backoff_ms * 2, state.policy.probe_max_ms)
    else:
        return
    channel.suspect_position = state.position
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
    channel = state.channel(message.form.channel)
    if message.grant > channel.opened_position:
        channel.canary_needed = False
        channel.canary = None


def closed_channels(state: LaneState) -> set[str]:
    """Channels that are held for somebody now."""
    return {name for name in state.policy.channels if any(True for _ in holding(state, name, at_ms=state.now_ms))}


def open_what_opened(state: LaneState, position: int, *, before: set[str], canary: bool) -> None:
    """What was closed and is closed no more opens: suspicion ends, the held set becomes a drain (R61)."""
    for name in sorted(before - closed_channels(state)):
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
    left, channel.drained = channel.drained, channel.ready
    channel.ready = Ready(left.number)
    channel.drained.absorb(left)
    channel.drain = Drain(
        position=position,
        component=channel.name,
        opened_ms=state.now_ms,
        status="running" if state.policy.drain == "automatic" else "waiting",
        act=position,
        total=channel.held,
        left=channel.held,
    )
    pace.note(state, channel, channel.drain)
    others: dict[tuple[str, bool], int] = {}
    for (tenant, _), count in channel.others.items():
        others[tenant, True] = others.get((tenant, True), 0) + count
    channel.others = others
