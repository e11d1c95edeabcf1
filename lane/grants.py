"""Who may send and what is granted: R40 to R44; must not know what became of it."""

from typing import Final, TypeAlias

from lane.gate import hold, holding
from lane.moves import in_drain, move, park, refresh, touch
from lane.order import ARRIVALS, blocker, missing
from lane.state import Blocker, Channel, Finding, Grants, LaneState, Lease, Message
from schemas.facts import (
    LaneReleased,
    LaneTaken,
    PersonNeeded,
    SendIntended,
    SendsConcluded,
    StatusAnswered,
    StillHere,
)

STALE: Final = "not_after"

EpochFact: TypeAlias = LaneTaken | LaneReleased | StillHere | SendIntended | SendsConcluded | StatusAnswered | PersonNeeded

TOKEN: Final = 1_000
"""One send in the rate's bucket, in thousandths: whole numbers keep the fold exact."""

CLOCK_BACK_MS: Final = 1_000
"""How far the holder's clock may run behind what it wrote before: facts under way together overtake each other by less. Beyond,
the clock was ahead and was set right, or the new holder's is another one: waiting for it to catch up would stop all sending."""


def take(state: LaneState, position: int, fact: LaneTaken) -> tuple[Finding, ...]:
    """R43: the next epoch begins if what the taking rests on still holds here; open grants of the old one are unknown (R44)."""
    lease = state.lease
    if fact.epoch != lease.epoch + 1:
        return (Finding("R43", f"epoch {lease.epoch} is in force, {fact.epoch} does not follow it", void=True),)
    if fact.basis in ("free", "released") and not lease.released:
        return (Finding("R43", f"{lease.holder} has not released the lane", void=True),)
    if fact.basis == "silent" and lease.last >= fact.seen:
        return (Finding("R43", f"{lease.holder} has written since: it is not silent", void=True),)
    state.lease = Lease(
        epoch=fact.epoch, holder=fact.holder, basis=fact.basis, taken=position, taken_ms=fact.at_ms, last=position,
        last_ms=fact.at_ms, released=False, owes=fact.basis == "silent" or (lease.owes and not lease.granted),
    )  # fmt: skip
    lost = [message for grants in state.grants.values() for message in grants.members.values()]
    state.grants.clear()
    for message in lost:
        state.channel(message.channel).in_flight -= 1
        if message.state == "granted":
            move(state, message, "unknown", at_ms=fact.at_ms, remark="the holder of its grant is gone", code="R44")
            message.doubted = not message.touched
            message.touched = True
        else:
            touch(state, message.doc)
            refresh(state, message)
    return tuple(Finding("R44", "its grant has no outcome and its holder is gone", message.position) for message in lost)


def release(state: LaneState, position: int, fact: LaneReleased) -> tuple[Finding, ...]:
    """The holder leaves. Only with nothing in flight: what it had not concluded would be forgotten."""
    if fact.epoch != state.lease.epoch:
        return (_old_epoch(state, fact.epoch),)
    if state.grants:
        return (Finding("R43", "grants of this epoch lack an outcome; the lane is not released", void=True),)
    heard(state, position, fact)
    state.lease.released = True
    return ()


def still_here(state: LaneState, position: int, fact: StillHere) -> tuple[Finding, ...]:
    """The holder lives (R43)."""
    if fact.epoch != state.lease.epoch:
        return (_old_epoch(state, fact.epoch),)
    heard(state, position, fact)
    return ()


def heard(state: LaneState, position: int, fact: EpochFact) -> bool:
    """Note a sign of life of the holder (R43); False when the fact is not of the epoch in force.

    Where the holder's clock has gone back, the rate and the back-off are counted from its new time on (R33, R42).
    """
    if fact.epoch != state.lease.epoch:
        return False
    state.lease.last = position
    state.lease.last_ms = fact.at_ms
    if fact.at_ms >= state.now_ms - CLOCK_BACK_MS:
        return True
    for channel in state.channels.values():
        if fact.at_ms < channel.tokens_at_ms - CLOCK_BACK_MS:
            channel.tokens_at_ms = fact.at_ms
        if fact.at_ms < channel.probe_after_ms - channel.backoff_ms - CLOCK_BACK_MS:
            channel.probe_after_ms = fact.at_ms + channel.backoff_ms
    return True


def intend(state: LaneState, position: int, fact: SendIntended) -> tuple[Finding, ...]:
    """R40: grant the members that may go now, in list order; each other member is a finding and stays as it is.

    RULES voids the whole fact where the lane is held. Here each member of a held channel is void: that is the same where all are
    held, and where one is not, another channel's outage is no reason to refuse it.
    """
    if fact.epoch != state.lease.epoch or state.lease.released:
        return (_old_epoch(state, fact.epoch),)
    heard(state, position, fact)
    if len(fact.messages) > state.policy.batch_max:
        return (Finding("R40", f"it names {len(fact.messages)} messages, the batch is {state.policy.batch_max}", void=True),)
    findings = []
    granted: dict[int, Message] = {}
    channel: Channel | None = None
    wide = False
    for number in fact.messages:
        message = state.messages.get(number)
        if message is None:
            findings.append(Finding("R40", "there is no such message in this lane", number, void=True))
            continue
        name = message.form.channel
        if channel is None or channel.name != name:  # mostly one for all: it is asked once
            channel = state.channel(name)
            wide = _is_wide_open(state, channel, at_ms=fact.at_ms)
        if wide:
            refused = _refusal_by_caps_and_turn(state, channel, message, at_ms=fact.at_ms)
        else:
            refused = refusal(state, message, at_ms=fact.at_ms)
        if refused is None:
            _grant(state, channel, message, position=position, fact=fact)
            granted[number] = message
        else:
            findings.append(_set_right(state, message, refused))
    if granted:
        state.lease.granted = True
        state.grants[position] = Grants(position=position, epoch=fact.epoch, issue=fact.issue, at_ms=fact.at_ms, members=granted)
    return tuple(findings)


def refusal(state: LaneState, message: Message, *, at_ms: int) -> Finding | None:
    """Why an intent for this message at this time would not be granted, or None. It decides nothing: that takes a fact.

    So a planner offers what only order or staleness refuses: the fold then looks again, in every process alike.
    """
    if message.state != "held":
        return _no("R40", f"it is {message.state}, not held", message)
    return gate(state, state.channel(message.channel), message, at_ms=at_ms) or _refusal_by_turn(state, message, at_ms=at_ms)


def _refusal_by_caps_and_turn(state: LaneState, channel: Channel, message: Message, *, at_ms: int) -> Finding | None:
    """The same for a message of a channel that is wide open at that time: what is left is not judged for each member again."""
    if message.state != "held":
        return _no("R40", f"it is {message.state}, not held", message)
    return _caps(state, channel, message, at_ms=at_ms) or _refusal_by_turn(state, message, at_ms=at_ms)


def _refusal_by_turn(state: LaneState, message: Message, *, at_ms: int) -> Finding | None:
    found = blocker(state, message, at_ms=at_ms)
    if found is not None:
        return _no(found.rule, found.sentence, message)
    not_after_ms = message.not_after_ms
    if not_after_ms is not None and at_ms > not_after_ms:
        return _no(STALE, "stale: its not_after has passed; withdraw it or publish it anew", message)
    return None


def _is_wide_open(state: LaneState, channel: Channel, *, at_ms: int) -> bool:
    """Whether nothing but caps can keep any message of the channel back at that time. No grant changes that."""
    return (
        state.policy.channels[channel.name].delivery == "machine"
        and (channel.drain is None or channel.drain.status == "running")
        and at_ms >= channel.quiet_until_ms
        and channel.suspect_since_ms is None
        and not channel.canary_needed
        and not (state.outages and any(True for _ in holding(state, channel.name, at_ms=at_ms)))
    )


def _set_right(state: LaneState, message: Message, refused: Finding) -> Finding:
    """After a refusal: what is stale is parked, everything else held is judged anew and stands ready again if it may go."""
    if refused.rule == STALE:
        park(state, message, Blocker("times", "time", message.doc), remark=refused.sentence)
        return refused._replace(rule="times")
    refresh(state, message)
    return refused


def gate(state: LaneState, channel: Channel, message: Message, *, at_ms: int) -> Finding | None:
    """Everything but order that may keep a message back at this time: R30 to R34, R42, R61."""
    if state.policy.channels[channel.name].delivery == "person":
        return _no("R34", "a clerk files it in the portal; no program sends it", message)
    shut = hold(state, message, at_ms=at_ms)
    if shut is not None:
        return shut._replace(void=True)
    if not _may_drain(channel, message):
        assert channel.drain is not None
        return _no("R61", f"it belongs to replay {channel.drain.position}, which is {channel.drain.status}", message)
    if at_ms < channel.quiet_until_ms:
        return _no("R33", "CBSA asked to slow down (429)", message)
    if channel.suspect_since_ms is not None and (channel.in_flight or at_ms < channel.probe_after_ms):
        return _no("R33", f"the link is suspect ({channel.suspect_why}): one probe at a time", message)
    if channel.canary_needed:
        refused = _canary(state, channel, message, at_ms=at_ms)
        if refused is not None:
            return refused
    return _caps(state, channel, message, at_ms=at_ms)


def _caps(state: LaneState, channel: Channel, message: Message, *, at_ms: int) -> Finding | None:
    """What the cap and the rate leave (R42)."""
    if channel.in_flight >= state.policy.in_flight_max:
        return _no("R42", f"{channel.in_flight} are in flight, the cap is {state.policy.in_flight_max}", message)
    if tokens_milli(state, channel, at_ms=at_ms) < TOKEN:
        return _no("R42", f"the rate of {rate_per_s(state, channel)} a second is used up", message)
    return None


def rate_per_s(state: LaneState, channel: Channel) -> int | None:
    """The rate in force for a channel: the policy's for it, or a running replay's own where that is slower; None is no limit."""
    drain, policy = channel.drain, state.policy  # as `policy.rate_of`, which is plain: three calls a grant took 0.15 us a fact
    most = policy.channel_rate_max_per_s.get(channel.name, policy.rate_max_per_s)
    if drain is None or drain.status != "running" or drain.left == 0 or drain.rate_per_s is None:
        return most
    return drain.rate_per_s if most is None else min(drain.rate_per_s, most)


def tokens_milli(state: LaneState, channel: Channel, *, at_ms: int) -> int:
    """What the rate leaves at that time, in thousandths of a send; the bucket holds one second's worth (R42)."""
    rate = rate_per_s(state, channel)
    if rate is None:
        return TOKEN * state.policy.in_flight_max
    return _left_milli(channel, rate, at_ms=at_ms)


def _left_milli(channel: Channel, rate: int, *, at_ms: int) -> int:
    full = rate * TOKEN
    tokens = channel.tokens_milli
    if tokens is None:
        return full
    passed_ms = at_ms - channel.tokens_at_ms
    return min(full, tokens + passed_ms * rate) if passed_ms > 0 else min(full, tokens)


def _canary(state: LaneState, channel: Channel, message: Message, *, at_ms: int) -> Finding | None:
    """R32: one message must be answered before the rest go; never an arrival unless nothing else may go."""
    out = channel.canary
    if out is not None:
        waits = out.state in ("transmitted", "unknown") and at_ms < out.since_ms + state.policy.canary_wait_ms
        if out.state == "granted" or waits:
            return _no("R32", f"the canary, {out.told_to(message)}, is out and not answered yet", message)
    if channel.in_flight:
        return _no("R32", "a canary goes alone", message)
    if message.kind not in ARRIVALS:
        return None
    if _others_may_go(state, channel, at_ms=at_ms):
        return _no("R32", "an arrival is no canary while another message may go", message)
    fit = (each for each in channel.arrivals.values() if _may_drain(channel, each) and hold(state, each, at_ms=at_ms) is None)
    first = min(fit, key=lambda each: (each.occurred_ms or 0, each.place), default=message)
    if first is not message:
        return _no("R32", "the arrival that happened first is the canary", message)
    return None


def _others_may_go(state: LaneState, channel: Channel, *, at_ms: int) -> bool:
    """Whether a message other than an arrival has its turn, with no notice and no replay in its way."""
    held_for = {tenant for _, scope in holding(state, channel.name, at_ms=at_ms) for tenant in scope.tenants}
    runs = channel.drain is None or channel.drain.status == "running"
    return any(tenant not in held_for and (runs or not in_its_drain) for tenant, in_its_drain in channel.others)


def _may_drain(channel: Channel, message: Message) -> bool:
    return channel.drain is None or channel.drain.status == "running" or not in_drain(channel, message)


def _grant(state: LaneState, channel: Channel, message: Message, *, position: int, fact: SendIntended) -> None:
    rate = rate_per_s(state, channel)
    if rate is not None:
        channel.tokens_milli = _left_milli(channel, rate, at_ms=fact.at_ms) - TOKEN
        channel.tokens_at_ms = max(channel.tokens_at_ms, fact.at_ms)
    if channel.canary_needed:
        channel.canary = message
    channel.in_flight += 1
    move(state, message, "granted", at_ms=fact.at_ms)
    message.grant = position
    more = message.grown()
    more.epoch = fact.epoch
    more.attempts += 1
    more.open = True
    more.doubted = False
    if more.grace >= 0:
        told = (f"went without {doc}, which was never seen here (R22)" for doc in missing(message))
        more.notes = tuple(dict.fromkeys((*more.notes, *told)))


def _no(rule: str, sentence: str, message: Message) -> Finding:
    return Finding(rule, sentence, message.position, void=True)


def _old_epoch(state: LaneState, epoch: int) -> Finding:
    return Finding("R40", f"epoch {epoch} does not hold the lane (epoch {state.lease.epoch} does)", void=True)
