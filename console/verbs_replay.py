"""`tidegate replay`: an operator's hand on a drain (R61); must not decide what goes."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import typer

from console.options import AsJson, Bootstrap, DataDir, ModeFilter, Person, ReasonNeeded
from console.output import ROWS_MAX, Exit, Stop, counted, is_terminal, table, utc

if TYPE_CHECKING:
    from console.session import Heard, Session
    from lane.state import Channel, Drain
    from lane.view import LaneView

CONFIRM_COUNT: Final = 1_000
"""A replay of more messages than this asks a person at a terminal to type the count."""

LOOK_S: Final = 0.5
"""Wait between two looks of `watch`."""

SAY_S: Final = 10.0
"""Between two lines of progress where there is no terminal."""

WATCH_S_MAX: Final = 86_400.0
"""Longest watch: a day, as long as the longest outage of CBSA's plan; watch again after it."""

Act = Literal["start", "pause", "resume", "abort", "rate"]
FITS: Final[dict[Act, tuple[str, ...]]] = {
    "start": ("waiting", "aborted"), "resume": ("paused",), "pause": ("running",), "abort": ("waiting", "running", "paused"),
    "rate": ("waiting", "running", "paused"),
}  # fmt: skip
"""To which replays an act is offered when no mode is named; the fold judges it again."""

replays = typer.Typer(help="The drain of what an outage held: plan, start, slow, pause, abort, watch.", rich_markup_mode=None)

Rate = Annotated[int | None, typer.Option("--rate", min=1, metavar="N", help="Messages a second and channel.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask: a terminal has you type the count of a replay over 1,000 messages.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(replays, name="replay", no_args_is_help=True)


class Tide(NamedTuple):
    """One replay: the lane's fold, who listens to it, and the channels that drain."""

    view: "LaneView"
    heard: "Heard"
    channels: "list[Channel]"

    @property
    def drain(self) -> "Drain":
        """The drain that all its channels share; they differ in counts only."""
        drain = self.channels[0].drain
        assert drain is not None
        return drain


@replays.command("plan")
def plan(*, mode: ModeFilter = None, as_json: AsJson = False, data: DataDir = None, kafka: Bootstrap = None) -> int:
    """What would go: counts, waves, the first messages, and what stays behind and why. Sends nothing."""
    from console.clock import wall_ms
    from console.replay_plan import planned
    from console.session import session

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        at_ms = wall_ms()
        plans = [each for view in on.lanes(mode).values() for each in planned(view.state, at_ms=at_ms)]
        on.out.result(plans, lambda: _plans(plans))
        if not plans:
            on.out.say("nothing is held for a machine's channel; tidegate status shows what is")
            return int(Exit.NOTHING)
    return int(Exit.DONE)


@replays.command("start")
def start(
    *,
    reason: ReasonNeeded,
    rate: Rate = None,
    yes: Yes = False,
    mode: ModeFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Let a replay go, wave by wave."""
    return _act("start", rate=rate, mode=mode, person=person, reason=reason, as_json=as_json, data=data, kafka=kafka, ask=not yes)


@replays.command("resume")
def resume(
    *,
    reason: ReasonNeeded,
    rate: Rate = None,
    mode: ModeFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Let a paused replay go on."""
    return _act("resume", rate=rate, mode=mode, person=person, reason=reason, as_json=as_json, data=data, kafka=kafka)


@replays.command("pause")
def pause(
    *,
    reason: ReasonNeeded,
    mode: ModeFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Stop a replay after what is in flight."""
    return _act("pause", rate=None, mode=mode, person=person, reason=reason, as_json=as_json, data=data, kafka=kafka)


@replays.command("abort")
def abort(
    *,
    reason: ReasonNeeded,
    mode: ModeFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """End a replay: what was sent stays sent, the rest stays held."""
    return _act("abort", rate=None, mode=mode, person=person, reason=reason, as_json=as_json, data=data, kafka=kafka)


@replays.command("rate")
def rate_(
    *,
    number: Annotated[str, typer.Argument(metavar="N|none", help="Messages a second and channel; none is the policy's rate.")],
    reason: ReasonNeeded,
    mode: ModeFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Change how fast a replay goes."""
    from console.rates import read_rate

    return _act("rate", rate=read_rate(number), mode=mode, person=person, reason=reason, as_json=as_json, data=data, kafka=kafka)


@replays.command("watch")
def watch(
    *,
    mode: ModeFilter = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="S", min=0, max=WATCH_S_MAX, help="Watch no longer.")
    ] = WATCH_S_MAX,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Watch replays until nothing of them is held any more; exit code 6 when the watch ends before."""
    from console.clock import wall_ms
    from console.session import session
    from lane.why import channel_is_shut

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        tides = _tides(on, mode)
        if not tides:
            raise Stop(Exit.NOTHING, "there is no replay; one begins when a channel opens again")
        _follow(on, tides, timeout_s=timeout_s)
        value = [_told(tide, channel) for tide in tides for channel in tide.channels]
        on.out.result(value, lambda: [_progress_table(value)])
        left = [
            (tide, channel) for tide in tides for channel in tide.channels if channel.drain is not None and channel.drain.left
        ]
        shut = [channel.name for tide, channel in left if channel_is_shut(tide.view.state, channel.name, at_ms=wall_ms())]
        if shut:
            on.out.say(f"held: {', '.join(sorted(set(shut)))} is closed by a notice; the rest goes when it opens")
            return int(Exit.HELD)
    return int(Exit.PARTLY if left else Exit.DONE)


def _act(
    name: Act,
    *,
    rate: int | None,
    mode: str | None,
    person: str | None,
    reason: str,
    as_json: bool,
    data: Path | None,
    kafka: str | None,
    ask: bool = False,
) -> int:
    """Append the act to every lane it is meant for, and say for each whether it took effect."""
    from console.session import deny, person_of, said, session

    who, why = person_of(person), said(reason, "--reason")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        tides = _tides(on, mode)
        if not tides:
            where = f"in {mode}" if mode else "in any lane"
            raise Stop(Exit.NOTHING, f"there is no replay {where}; one begins when a channel opens again (tidegate status)")
        meant = tides if mode else [tide for tide in tides if tide.drain.status in FITS[name]]
        if not meant:
            stand = f"{name} does not apply: " + ", ".join(
                f"the replay of {tide.view.state.mode} is {tide.drain.status}" for tide in tides
            )
            raise deny(on.opened, person=who, act=f"replay {name}", on="every lane", rule="R61", sentence=stand, reason=why)
        if ask:
            _ask(meant)
        done = [_change(on, tide, name=name, rate=rate, person=who, reason=why) for tide in meant]
        on.out.result(done, lambda: _done(done, name))
    return _code(on, done)


def _tides(on: "Session", mode: str | None) -> list[Tide]:
    """The replays that still have something to send, or may be started again."""
    from console.session import Heard, checked_mode
    from schemas.streams import MODES, lane

    tides = []
    for name in (checked_mode(mode),) if mode else MODES:
        if not on.opened.log.end(lane(name)):
            continue
        heard = Heard()
        view = on.lane(name, heard)
        by_opening: dict[int, list[Channel]] = {}
        for channel in view.state.channels.values():
            if channel.drain is not None and channel.drain.left:
                by_opening.setdefault(channel.drain.position, []).append(channel)
        tides += [Tide(view, heard, channels) for channels in by_opening.values()]
    return tides


def _ask(tides: list[Tide]) -> None:
    """Have a person at a terminal type the count of a large replay. Raises Stop."""
    count = sum(channel.drain.left for tide in tides for channel in tide.channels if channel.drain is not None)
    if count > CONFIRM_COUNT and sys.stdin.isatty() and sys.stderr.isatty():
        typed = typer.prompt(f"{count} messages will go to CBSA; type the number to go on", err=True)
        if str(typed).strip() != str(count):
            raise Stop(Exit.USAGE, "that is not the number; nothing was started")


def _change(on: "Session", tide: Tide, *, name: Act, rate: int | None, person: str, reason: str) -> dict[str, Any]:
    from console.clock import wall_ms
    from console.session import act
    from lane.why import channel_is_shut
    from schemas.facts import ReplayChanged
    from schemas.streams import lane

    state, drain, at_ms = tide.view.state, tide.drain, wall_ms()
    fact = ReplayChanged(
        at_ms=at_ms, replay=drain.position, basis=drain.act, act=name, rate_per_s=rate, person=person, reason=reason
    )
    tide.heard.findings.clear()
    done = act(on, fact, stream=lane(state.mode), view=tide.view, heard=tide.heard)
    effective = any(channel.drain is not None and channel.drain.act == done.position for channel in tide.channels)
    shut = [channel.name for channel in tide.channels if channel_is_shut(state, channel.name, at_ms=at_ms)]
    return {
        "lane": state.mode,
        "replay": fact.replay,
        "act": name,
        "effective": effective,
        "rule": done.void.rule if done.void else None,
        "reason": done.void.sentence if done.void else None,
        "channels": [_told(tide, channel) for channel in tide.channels],
        "held_by_notice": shut,
        "event": done.event,
    }


def _code(on: "Session", done: list[dict[str, Any]]) -> int:
    """The exit code, with a sentence for each act that had no effect."""
    void = [each for each in done if not each["effective"]]
    for each in void:
        on.out.say(f"tidegate: refused in {each['lane']} ({each['rule']}): {each['reason']}")
    if void:
        return int(Exit.REFUSED if len(void) == len(done) else Exit.PARTLY)
    shut = sorted({name for each in done if each["act"] in ("start", "resume") for name in each["held_by_notice"]})
    if shut:
        on.out.say(f"held: {', '.join(shut)} is closed by a notice again; the replay goes when it opens")
        return int(Exit.HELD)
    return int(Exit.DONE)


def _told(tide: Tide, channel: "Channel") -> dict[str, Any]:
    from console.drain_words import going

    drain = channel.drain
    assert drain is not None
    return {
        "lane": tide.view.state.mode, "channel": channel.name, "replay": drain.position, "status": drain.status,
        "opened_at": utc(drain.opened_ms), "total": drain.total, "left": drain.left, "rate_per_s": drain.rate_per_s,
        "in_flight": channel.in_flight, **going(tide.view.state, channel),
    }  # fmt: skip


def _follow(on: "Session", tides: list[Tide], *, timeout_s: float) -> None:
    """Fold on until nothing is left, a person has aborted, or the time is over; progress on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from console.drain_words import bar_words, line_of
    from console.wiring import read_into
    from schemas.streams import lane

    deadline_s, said_s = time.monotonic() + timeout_s, float("-inf")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[to_go]}"))
    with Progress(*columns, console=Console(stderr=True, markup=False), disable=not is_terminal()) as bar:
        bars = {
            (tide.view.state.mode, channel.name): bar.add_task(f"{tide.view.state.mode} {channel.name}", to_go="")
            for tide in tides
            for channel in tide.channels
        }
        while True:
            told = [_told(tide, channel) for tide in tides for channel in tide.channels]
            for each in told:
                done = each["total"] - each["left"]
                bar.update(bars[each["lane"], each["channel"]], total=each["total"], completed=done, to_go=bar_words(each))
            if not is_terminal() and time.monotonic() - said_s >= SAY_S:
                said_s = time.monotonic()
                for each in told:
                    on.out.say(line_of(each))
            ended = all(each["left"] == 0 or each["status"] == "aborted" for each in told)
            if ended or time.monotonic() >= deadline_s:
                return
            time.sleep(LOOK_S)
            for view in {id(tide.view): tide.view for tide in tides}.values():
                read_into(on.opened.log, lane(view.state.mode), view)


def _plans(plans: list[dict[str, Any]]) -> Iterator[Any]:
    for each in plans:
        name = f"replay {each['replay']}, {each['status']}" if each["replay"] is not None else "still closed"
        rate = f"{each['rate_per_s']} a second" if each["rate_per_s"] else "without a limit"
        yield f"{each['lane']} {each['channel']} ({name}): {counted(each['count'], 'message')} would go, {rate}"
        yield table(
            ("wave", "messages", "kinds"),
            (
                (wave["wave"], wave["count"], ", ".join(f"{n} {kind}" for kind, n in wave["kinds"].items()))
                for wave in each["waves"]
            ),
        )
        columns = ("wave", "tenant", "key", "kind", "function", "document")
        if each["first"]:
            yield table(columns, ([item[name] for name in columns] for item in each["first"]), title="First to go")
            if each["count"] > len(each["first"]):
                yield f"... and {each['count'] - len(each['first']):,} more."
        yield from _staying(each)
    if any(each["status"] == "waiting" for each in plans):
        yield "next: tidegate replay start --reason TEXT"


def _staying(plan: dict[str, Any]) -> Iterator[Any]:
    """What stays behind, each reason once: a closed channel is the same reason for all that it holds."""
    reasons = Counter((item["rule"], item["reason"]) for item in plan["excluded"])
    if not reasons:
        return
    examples = {(item["rule"], item["reason"]): f"{item['tenant']}/{item['key']}" for item in reversed(plan["excluded"])}
    yield table(
        ("messages", "rule", "stays because", "the first"),
        ((count, rule, reason, examples[rule, reason]) for (rule, reason), count in reasons.most_common(ROWS_MAX)),
        title=f"Stay behind: {plan['excluded_count']:,}",
    )
    shown = sum(count for _, count in reasons.most_common(ROWS_MAX))
    if plan["excluded_count"] > shown:
        yield f"... and {plan['excluded_count'] - shown:,} more for other reasons; --json lists them."


def _done(done: list[dict[str, Any]], name: Act) -> Iterator[Any]:
    for each in done:
        if each["effective"]:
            yield f"{each['lane']}: {name} took effect at lane.{each['lane']} {each['event']['position']}"
    yield _progress_table([channel for each in done for channel in each["channels"]])
    if name == "abort":
        yield "What was sent can't be called back; the rest stays held until a new start."
    yield "next: tidegate replay watch"


def _progress_table(told: list[dict[str, Any]]) -> Any:
    from console.drain_words import drain_note, to_go

    columns = ("lane", "channel", "replay", "status", "total", "left", "in_flight")
    shown = ([*(each[name] for name in columns), to_go(each) if each["left"] else "", drain_note(each)] for each in told)
    return table([*(name.replace("_", " ") for name in columns), "to go", "note"], shown, gap_chars=2)
