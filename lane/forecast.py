"""When a drain will have let everything go, for people and metrics; must not decide anything: no fact and no grant rests on it.

The figures are those of `lane.pace`: how fast messages went while some could go, and how long CBSA's verdicts took. With them the
drain's messages are sent once more, in thought, in the order of the ready heap, each dependent a verdict after what it waits for:
so the forecast is right for a drain that is bound by its rate, by CBSA, or by its longest chain of answers. Where there are too
many messages for that, the last minute's speed stands for all that is to come.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from typing import Final, NamedTuple

from lane.gate import holding
from lane.grants import rate_per_s
from lane.moves import in_drain
from lane.pace import Mark, mark_of
from lane.ready import NO_DEADLINE
from lane.state import Channel, Document, Drain, LaneState, Message

LOOK_COUNT_MAX: Final = 1_000
"""Most messages that are sent in thought, and looked at in search of them, unless more is asked for: a few milliseconds."""

MEASURE_MS: Final = 1_000
"""Least time of a drain at work from which its speed is told; before, the rate that it may go at stands for it."""

GOLDEN: Final = 0.618034
"""The golden ratio: its multiples fall evenly between 0 and 1, whichever run of numbers is taken."""

ANSWERS_COUNT_MIN: Final = 30
"""Fewer verdicts than this within the window say less than all since the opening: the average of ten is off by a fifth."""

STALL_MS: Final = 10_000
"""So long at work with nothing going is a stall, and no forecast is made of it."""


class Forecast(NamedTuple):
    """What is to be said of a drain at a moment.

    `rate_per_s`: messages that went a second, in the last minute of its running; None before anything was seen. `eta_s`: seconds
    until all of it that goes by itself is gone, while it runs; if it does not run, as long as it would take. None: not known.
    `waits`: of those left, the ones that wait for something beside the drain, None if they were not counted.
    `why`: why it does not run, or what keeps a forecast from being made; empty while it runs.
    """

    total: int
    left: int
    rate_per_s: float | None
    eta_s: float | None
    waits: int | None
    why: str

    @property
    def runs(self) -> bool:
        """Whether the ETA counts from now."""
        return not self.why


class Speed(NamedTuple):
    """How a drain went within the window: overall and while something could go, both a second; how long a verdict took on average
    and at most, in ms, None if none came since the opening."""

    overall: float | None
    busy: float | None
    answer_ms: float | None
    slowest_ms: float
    stalled: bool

    def verdict_ms(self, number: int, *, waited_ms: float = 0.0) -> float:
        """How long it is still to the verdict on a message that has waited so long: spread evenly about the average, up to the
        slowest; which one is chance, and `number` is the die, so that a crowd's last is slow and a long chain is average."""
        mean_ms = self.answer_ms or 0.0
        reach_ms = min(mean_ms, max(0.0, self.slowest_ms - mean_ms))
        soonest_ms, latest_ms = max(0.0, mean_ms - reach_ms - waited_ms), max(0.0, mean_ms + reach_ms - waited_ms)
        return soonest_ms + (latest_ms - soonest_ms) * (number * GOLDEN % 1)


def forecast(state: LaneState, channel: Channel, *, at_ms: int, look_count_max: int = LOOK_COUNT_MAX) -> Forecast | None:
    """The forecast for a channel's drain, at the asker's clock; None where nothing of a drain is held."""
    drain = channel.drain
    if drain is None or not drain.left:
        return None
    speed = _speed(state, channel, drain, at_ms=max(at_ms, drain.noted_ms))
    why = _why_not(state, channel, drain, at_ms=at_ms)
    found = _Drained.of(state, channel, look_count_max=look_count_max)
    if found is None:
        eta_s, waits = _by_speed(channel, drain, speed), None
    else:
        eta_s, waits = found.eta_s(speed, at_ms=at_ms), drain.left - len(found.going)
        if not found.going:
            why = why or "all that is left waits for something beside this drain: tidegate why KEY tells what"
    if speed.stalled and not why:
        eta_s, why = None, "nothing goes, though something may: see tidegate status"
    return Forecast(drain.total, drain.left, speed.overall, eta_s, waits, why)


def _why_not(state: LaneState, channel: Channel, drain: Drain, *, at_ms: int) -> str:
    """Why the drain does not run now, in a sentence."""
    if drain.status != "running":
        said = {"waiting": "it waits for tidegate replay start", "paused": "paused", "aborted": "aborted: a new start goes on"}
        return said[drain.status]
    if any(not scope.tenants for _, scope in holding(state, channel.name, at_ms=at_ms)):
        return "the channel is closed again; it goes on when it opens"
    if channel.suspect_since_ms is not None:
        return f"the link is suspect ({channel.suspect_why}): one probe at a time"
    if channel.canary_needed:
        return "one message goes ahead, the rest when it is answered"
    return "CBSA asked to slow down (429)" if at_ms < channel.quiet_until_ms else ""


def _speed(state: LaneState, channel: Channel, drain: Drain, *, at_ms: int) -> Speed:
    """The window's speeds, none above the rate in force: the bucket lets a drain begin faster than it can go on."""
    first = Mark(*drain.marks[0]) if drain.marks else mark_of(drain)
    passed_ms = at_ms - drain.noted_ms
    run_ms = drain.run_ms - first.run_ms + (passed_ms if drain.running else 0)
    busy_ms = drain.busy_ms - first.busy_ms + (passed_ms if drain.busy else 0)
    gone, busy_gone = drain.gone - first.gone, drain.busy_gone - first.busy_gone
    most = rate_per_s(state, channel)
    if drain.status != "running" and drain.rate_per_s is not None:
        most = drain.rate_per_s if most is None else min(most, drain.rate_per_s)
    return Speed(
        overall=_at_most(most, gone * 1_000 / run_ms) if run_ms >= MEASURE_MS else None,
        busy=_at_most(most, busy_gone * 1_000 / busy_ms) if busy_ms >= MEASURE_MS else most,
        answer_ms=_answer_ms(drain, first),
        slowest_ms=max((drain.slowest_ms, *(each[-1] for each in drain.marks[1:]))),
        stalled=busy_ms >= STALL_MS and not gone,
    )


def _answer_ms(drain: Drain, first: Mark) -> float | None:
    """How long a verdict takes on average: of late if that is enough to go by, else since the opening."""
    answers, answers_ms = drain.answers - first.answers, drain.answers_ms - first.answers_ms
    if answers >= ANSWERS_COUNT_MIN:
        return answers_ms / answers
    return drain.answers_ms / drain.answers if drain.answers else None


def _at_most(most: int | None, speed: float) -> float:
    return speed if most is None else min(speed, float(most))


def _by_speed(channel: Channel, drain: Drain, speed: Speed) -> float | None:
    """Without looking at the messages: what is left at the last minute's speed, and a quarter of a slow verdict where some wait
    for one: none of it if what waits comes last anyway, half of it if each stands right behind what it waits for."""
    rate = speed.overall or speed.busy
    if not rate:
        return None
    tail_ms = speed.slowest_ms / 4 if channel.unblocked < drain.left else 0.0
    return drain.left / rate + tail_ms / 1_000


class _Drained(NamedTuple):
    """The messages of a drain that will go by themselves: those whose turn has come, and those that wait for one of them or for
    what is in flight, each by what it is known to wait for."""

    ready: list[Message]
    after: dict[int, list[Message]]
    flying: list[Message]
    going: set[int]

    @classmethod
    def of(cls, state: LaneState, channel: Channel, *, look_count_max: int) -> "_Drained | None":
        """Look for them; None if that takes more looks than are allowed.

        What waits is found by who watches the documents of what goes before it, for the lane has no list of what it holds.
        """
        if max(len(channel.drained), len(state.grants), len(state.awaiting)) > look_count_max:
            return None
        held = {each.position: each for each in channel.drained if each.state == "held" and each.unblocked}
        ready = [each for each in held.values() if in_drain(channel, each)]
        flying = list(_flying(state))
        seen = {each.position for each in chain(ready, flying)}
        after: dict[int, list[Message]] = {}
        docs = [each.doc for each in chain(ready, flying)]
        looked: set[Document] = set()
        while docs:
            doc = docs.pop()
            if doc in looked:
                continue
            looked.add(doc)
            ahead_of = {behind.position: each for each, behind in pairwise(doc.queue)}
            for each in _waiting_for(doc):
                before = ahead_of.get(each.position) or (each.blocker.message if each.blocker is not None else None)
                if before is not None and in_drain(channel, each) and each.channel == channel.name:
                    after.setdefault(before.position, []).append(each)
                    docs.append(each.doc)
            if len(looked) > look_count_max:
                return None
        going = {each.position for each in ready}
        ahead = list(seen)
        while ahead:
            for each in after.get(ahead.pop(), ()):
                if each.position not in going and each.state == "held":
                    going.add(each.position)
                    ahead.append(each.position)
        return cls(ready, after, flying, going)

    def eta_s(self, speed: Speed, *, at_ms: int) -> float | None:
        """Send them in thought: one after the other at the busy speed, dependents a verdict after what they wait for."""
        if self.after and speed.answer_ms is None:
            return None
        step_ms = 1_000 / speed.busy if speed.busy else 0.0
        queue = [(*_turn(each), each) for each in self.ready]
        heapify(queue)
        later: list[tuple[float, int, Message]] = []
        for each in self.flying:
            for next_one in self.after.get(each.position, ()):
                heappush(later, (speed.verdict_ms(each.position, waited_ms=at_ms - each.since_ms), next_one.position, next_one))
        now_ms = 0.0
        while queue or later:
            if not queue:
                now_ms = max(now_ms, later[0][0])
            while later and later[0][0] <= now_ms:
                each = heappop(later)[2]
                heappush(queue, (*_turn(each), each))
            now_ms += step_ms
            sent = heappop(queue)[-1]
            for next_one in self.after.get(sent.position, ()):
                heappush(later, (now_ms + speed.verdict_ms(sent.position), next_one.position, next_one))
        return now_ms / 1_000


def _waiting_for(doc: Document) -> Iterator[Message]:
    """What watches the document, and what waits in its queue."""
    yield from (each for each in doc.watchers if each.watching is doc)
    yield from (each for each in doc.queue if each.blocker is not None and each.blocker.kind == "queue")


def _flying(state: LaneState) -> Iterator[Message]:
    """What has been granted and has no verdict yet."""
    for grants in state.grants.values():
        yield from (each for each in grants.members.values() if each.state == "granted")
    yield from state.awaiting.values()
    yield from state.unsure.values()


def _turn(message: Message) -> tuple[int, int, int]:
    """The order of the ready heap (R24)."""
    return (
        0 if message.kind == "release" else 1,
        NO_DEADLINE if message.deadline_ms is None else message.deadline_ms,
        message.place,
    )
