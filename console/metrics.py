"""`/metrics`: what the folds hold, as Prometheus reads it; must not scan messages, nor ask the log: counts are kept.

Labels are lanes, channels, streams, results: a fixed few. Never a tenant, a key or anything else that a stranger wrote.
"""

import resource
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from console.clock import wall_ms
from console.watching import Watching
from consumers.responses import PAGES_WAITING_MAX, ResponsesView
from lane.census import census_of
from lane.forecast import forecast
from lane.state import LaneState, State
from lane.summary import channel_states
from schemas.streams import RESPONSES

PAGE_BYTES: Final = resource.getpagesize()
"""What the kernel counts a process's memory in."""

STANDS: Final[dict[str, tuple[State, ...]]] = {
    "held": ("held",), "in_flight": ("granted", "transmitted"), "captured": ("captured", "filed"), "rejected": ("rejected",),
    "parked": ("parked",), "unknown": ("unknown",),
}  # fmt: skip
"""A gauge for each, and the states that it counts: the words of `tidegate status`."""


def text_of(registry: CollectorRegistry) -> bytes:
    """The page as Prometheus reads it."""
    return generate_latest(registry)


class FoldCollector(Collector):
    """Reads the folds when it is asked."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are those of `collect`, and there are no folds yet when a registry asks."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of it, as of now."""
        states = [view.state for view in self._watching.lanes().values()]
        yield from _stands(states)
        yield from _ages(states)
        yield from _drains(states)
        yield from self._streams()
        yield from self._leases(states)
        yield from _bounds(states, self._watching.views.get(RESPONSES))
        yield _components(states)
        yield from self._process()

    def _streams(self) -> Iterator[Metric]:
        watching = self._watching
        position = GaugeMetricFamily("tidegate_stream_position", "The record that this process reads next.", labels=("stream",))
        lag = GaugeMetricFamily("tidegate_stream_lag_records", "Records of the stream not read here.", labels=("stream",))
        for stream, view in watching.views.items():
            position.add_metric((stream,), view.next_position)
            behind = watching.lag(stream)
            if behind is not None:
                lag.add_metric((stream,), behind)
        facts = CounterMetricFamily("tidegate_facts_folded", "Facts folded by this process.", labels=("stream",))
        for stream, count in watching.folded.items():
            facts.add_metric((stream,), count)
        answers = CounterMetricFamily(
            "tidegate_answers", "CBSA's answers in the facts that this process has folded.", labels=("lane", "outcome")
        )
        for where, count in watching.answers.items():
            answers.add_metric(where, count)
        yield from (position, lag, facts, answers)

    def _leases(self, states: list[LaneState]) -> Iterator[Metric]:
        epoch = GaugeMetricFamily("tidegate_lease_epoch", "The lane's epoch in force (R43).", labels=("lane",))
        ours = GaugeMetricFamily("tidegate_lease_held", "1 where this process holds the lane.", labels=("lane",))
        for state in states:
            epoch.add_metric((state.mode,), state.lease.epoch)
            ours.add_metric((state.mode,), float(not state.lease.released and self._watching.holds(state.lease.holder)))
        yield from (epoch, ours)

    def _process(self) -> Iterator[Metric]:
        watching = self._watching
        yield GaugeMetricFamily("tidegate_ready", "1 while this process takes work or stands by.", not watching.why_not_ready())
        yield GaugeMetricFamily("tidegate_log_reachable", "1 while the log answers.", not watching.log_error)
        yield GaugeMetricFamily("tidegate_loop_lag_seconds", "How late the event loop was at its last look.", watching.loop_lag_s)
        yield GaugeMetricFamily("tidegate_resident_memory_bytes", "Memory of this process.", _resident_bytes())


def _stands(states: list[LaneState]) -> Iterator[Metric]:
    for name, counted in STANDS.items():
        gauge = GaugeMetricFamily(f"tidegate_{name}_messages", f"Messages that are {name} now.", labels=("lane", "channel"))
        for state in states:
            counts = census_of(state).counts
            for channel in state.channels:
                number = sum(counts.get((channel, each), 0) for each in counted)
                if number or (channel, "held") in counts:
                    gauge.add_metric((state.mode, channel), number)
        yield gauge


def _ages(states: list[LaneState]) -> Iterator[Metric]:
    age = GaugeMetricFamily("tidegate_oldest_held_seconds", "Since the oldest held message was received.", labels=("lane",))
    person = GaugeMetricFamily("tidegate_needs_person_messages", "Messages that only a person brings on.", labels=("lane",))
    for state in states:
        oldest = census_of(state).oldest_held()
        age.add_metric((state.mode,), 0.0 if oldest is None else max(0, wall_ms() - oldest.received_ms) / 1_000)
        person.add_metric((state.mode,), len(state.troubled.keys() | state.asked.keys()))
    yield from (age, person)


def _drains(states: list[LaneState]) -> Iterator[Metric]:
    where = ("lane", "channel")
    left = GaugeMetricFamily("tidegate_drain_left_messages", "Messages of the drain that are still held.", labels=where)
    rate = GaugeMetricFamily("tidegate_drain_messages_per_second", "How fast it went in its last minute.", labels=where)
    eta = GaugeMetricFamily("tidegate_drain_eta_seconds", "Until all is gone that goes by itself.", labels=where)
    runs = GaugeMetricFamily("tidegate_drain_running", "1 while the drain goes.", labels=where)
    for state in states:
        for name, channel in state.channels.items():
            found = forecast(state, channel, at_ms=wall_ms())
            if found is None:
                continue
            labels = (state.mode, name)
            left.add_metric(labels, found.left)
            runs.add_metric(labels, found.runs)
            if found.rate_per_s is not None:
                rate.add_metric(labels, found.rate_per_s)
            if found.eta_s is not None and found.runs:
                eta.add_metric(labels, found.eta_s)
    yield from (left, rate, eta, runs)


def _bounds(states: list[LaneState], responses: object) -> Iterator[Metric]:
    """The bounds that the fold and the consumers hold, and how much of each is used (docs/limits.md)."""
    used = GaugeMetricFamily("tidegate_bound_used", "How much of a named bound is used.", labels=("bound", "lane", "channel"))
    limit = GaugeMetricFamily(
        "tidegate_bound_limit", "A named bound; absent where there is none.", labels=("bound", "lane", "channel")
    )
    for state in states:
        for name, channel in state.channels.items():
            if state.policy.channels[name].delivery == "machine":
                used.add_metric(("in_flight", state.mode, name), channel.in_flight)
                limit.add_metric(("in_flight", state.mode, name), state.policy.in_flight_max)
                rate = state.policy.rate_of(name)
                if rate is not None:
                    limit.add_metric(("rate_per_second", state.mode, name), rate)
    if isinstance(responses, ResponsesView):
        for mode, pages in responses.pages.items():
            used.add_metric(("answer_pages", mode, ""), len(pages))
            limit.add_metric(("answer_pages", mode, ""), PAGES_WAITING_MAX)
        used.add_metric(("answer_doubts", "", ""), len(responses.doubts))
    yield from (used, limit)


def _components(states: list[LaneState]) -> Metric:
    up = GaugeMetricFamily(
        "tidegate_component_up",
        "1 where a component of CBSA is not closed, partial or suspect.",
        labels=("component", "direction"),
    )
    for each in channel_states(states, wall_ms()) if states else ():
        up.add_metric((each["name"], each["direction"]), float(each["state"] not in ("down", "partial", "suspect")))
    return up


def _resident_bytes() -> int:
    """What the kernel says; where it has no such page, the most that it ever was."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
