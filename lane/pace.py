"""How a drain goes, noted as it goes: time, messages gone and answers, by the facts' own clocks; must not know what comes of it.

It decides nothing (`lane.forecast` reads it for people). It stands in the fold and not in a listener, so that every process tells
the same of a drain however it came by the state: from zero, or from a snapshot that was taken in the middle (I5).
"""

from typing import Final, NamedTuple

from lane.state import Channel, Drain, LaneState, State

WINDOW_MS: Final = 60_000
"""How far a forecast looks back: long enough for a steady figure, short enough to follow a change within a minute."""

MARK_MS: Final = 1_000
"""Between two marks: a window is a minute long within a second."""

MARKS_COUNT_MAX: Final = 64
"""Most marks kept: a window of them and a few over. Facts may be seconds apart, never closer than MARK_MS."""

CLOCK_BACK_MS: Final = 1_000
"""How far a fact's clock may run behind the last one's: facts under way together. Beyond, a clock was set right: begin anew."""


class Mark(NamedTuple):
    """A drain's counters at a moment; the difference of two says how it went between them.

    Only `slowest_ms` is no counter: the slowest verdict since the mark before.
    """

    at_ms: int
    run_ms: int
    busy_ms: int
    gone: int
    busy_gone: int
    answers: int
    answers_ms: int
    slowest_ms: int


def gone(state: LaneState, channel: Channel, drain: Drain) -> None:
    """One message of the drain is held no more."""
    drain.gone += 1
    if drain.busy:
        drain.busy_gone += 1
    note(state, channel, drain)


def heard_of(drain: Drain, after_ms: int, *, was: State, to: State) -> None:
    """So long after its grant a message was transmitted, or so long after that CBSA's verdict came; the sum is what whoever waits
    for the verdict waits."""
    if was in ("granted", "transmitted"):
        drain.answers_ms += max(0, after_ms)
        if to != "transmitted":
            drain.answers += 1
            drain.slowest_ms = max(drain.slowest_ms, after_ms)


def note(state: LaneState, channel: Channel, drain: Drain) -> None:
    """Let time pass up to the fact at hand, and see what the drain does from here on.

    It is called when something goes, when a first message has its turn, and when a person acts: in between nothing changes that
    a forecast would miss for longer than until the next message.
    """
    at_ms = state.at_ms
    if at_ms < drain.noted_ms - CLOCK_BACK_MS:
        drain.noted_ms = at_ms
        forget(drain)
    else:
        pass_to(drain, at_ms)
    drain.running = drain.status == "running" and not channel.canary_needed and channel.suspect_since_ms is None
    drain.busy = drain.running and channel.unblocked > 0
    marks = drain.marks
    if not marks or at_ms - marks[-1][0] >= MARK_MS:
        marks.append(_row(drain))
        drain.slowest_ms = 0
        while len(marks) > MARKS_COUNT_MAX or (len(marks) > 1 and at_ms - marks[1][0] >= WINDOW_MS):
            del marks[0]


def pass_to(drain: Drain, at_ms: int) -> None:
    """Let time pass for the drain's clocks."""
    passed_ms = at_ms - drain.noted_ms if drain.noted_ms else 0
    if passed_ms < 0:
        return
    drain.noted_ms = at_ms
    if drain.running:
        drain.run_ms += passed_ms
    if drain.busy:
        drain.busy_ms += passed_ms


def forget(drain: Drain) -> None:
    """What was seen so far says nothing about what comes: another rate is in force, or another clock."""
    drain.marks.clear()


def mark_of(drain: Drain) -> Mark:
    """The drain's counters as they stand."""
    return Mark(*_row(drain))


def _row(drain: Drain) -> tuple[int, int, int, int, int, int, int, int]:
    """The same as they are kept: in the order of `Mark`."""
    return (
        drain.noted_ms, drain.run_ms, drain.busy_ms, drain.gone, drain.busy_gone, drain.answers, drain.answers_ms,
        drain.slowest_ms,
    )  # fmt: skip
