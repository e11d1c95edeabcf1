"""`tidegate status`: what is up, what is held, who is needed, at a glance; must not decide anything."""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from console.options import AsJson, Bootstrap, DataDir
from console.output import ROWS_MAX, Exit, Stop, ago, at_ms_of, command, counted, is_terminal, moment, table, utc

if TYPE_CHECKING:
    from console.session import Session
    from lane.desk import DeskState
    from lane.state import LaneState
    from lane.view import DeskView, LaneView

WATCH_S: Final = 2.0
"""Wait between two looks of `--watch`: quick enough for a person, idle enough for the log."""

QUIET_WATCH_S: Final = 10.0
"""The same where nobody sees the screen move."""

_HELP: Final = """What is up, what is held, and who is needed.

\b
tidegate status
tidegate status --watch
tidegate status --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("status", help=_HELP)(status)


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 s until Ctrl-C.")] = False,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Print the status once, or until told to stop."""
    from console.clock import wall_ms
    from console.session import session

    if watch and as_json:
        raise Stop(Exit.USAGE, "--watch has no end and --json is one value; give one of them")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        looking = Looking(on)
        if watch:
            _watch(looking)
        value = looking.look()
        on.out.result(value, lambda: shown(value, now_ms=wall_ms()))
        looking.talk()
    return int(Exit.DONE)


class Looking:
    """The folds that the status is made of, read on from where they stand at each look."""

    def __init__(self, on: "Session") -> None:
        from schemas.streams import MODES

        self._on = on
        self._lanes: dict[str, LaneView] = {mode: on.lane(mode) for mode in MODES}
        self._desk: DeskView = on.desk()

    def look(self) -> dict[str, Any]:
        """The status as of now (INTERFACES section 1)."""
        from console.clock import wall_ms
        from console.wiring import read_into
        from schemas.streams import DESK, lane

        read_into(self._on.opened.log, DESK, self._desk)
        for mode, view in self._lanes.items():
            read_into(self._on.opened.log, lane(mode), view)
        return status_of([view.state for view in self._lanes.values()], self._desk.state, at_ms=wall_ms())

    def talk(self) -> None:
        """Say what the status can't show yet, for no worker has come to it."""
        from lane.state import NEVER
        from schemas.streams import BULLETINS, DESK, MODES, inbound

        log = self._on.opened.log
        desk = self._desk.state
        notices = log.end(BULLETINS) - desk.marks.get(BULLETINS, NEVER) - 1
        copies = max(len(desk.copies_after(view.state.marks.get(DESK, NEVER))) for view in self._lanes.values())
        messages = sum(
            max(0, log.end(inbound(mode)) - self._lanes[mode].state.marks.get(inbound(mode), NEVER) - 1) for mode in MODES
        )
        waiting = [
            counted(number, thing)
            for number, thing in ((notices, "notice"), (copies, "desk fact"), (messages, "message"))
            if number > 0
        ]
        if waiting:
            self._on.out.say(f"not taken into the lanes yet: {', '.join(waiting)}; does tidegate up run?")


def status_of(states: "list[LaneState]", desk: "DeskState", *, at_ms: int) -> dict[str, Any]:
    """The status that these folds amount to at a moment (INTERFACES section 1); what the desk asks of a person comes first."""
    from console.drain_words import LOOK_COUNT_MAX
    from lane.summary import channel_states, drains, lane_summary, needs_a_person
    from schemas.streams import DESK

    tasks = [
        {
            "lane": DESK, "tenant": None, "key": None, "position": task.position, "state": "notice", "reason": task.what,
            "since": utc(task.at_ms),
        }
        for task in desk.tasks.values()
    ]  # fmt: skip
    return {
        "channels": channel_states(states, at_ms),
        "lanes": [lane_summary(state, at_ms) for state in states],
        "needs_a_person": [*tasks, *needs_a_person(states)],
        "drains": drains(states, at_ms, look_count_max=LOOK_COUNT_MAX),
    }


def shown(value: dict[str, Any], *, now_ms: int) -> Iterator[Any]:
    """The status for a person: what is not up first, then the lanes, then who is needed."""
    troubled = [each for each in value["channels"] if each["state"] != "up"]
    if troubled:
        yield table(
            ("channel", "direction", "state", "since", "notice", "reason"),
            (
                (
                    each["name"], each["direction"], each["state"], _when(each["since"], now_ms), each["incident"] or "",
                    each["reason"] or "",
                )
                for each in troubled
            ),
            gap_chars=2,
        )  # fmt: skip
        quiet = sorted({each["name"] for each in value["channels"]} - {each["name"] for each in troubled})
        yield f"Up both ways: {', '.join(quiet) or 'nothing'}."
    else:
        yield "Every channel is up."
    columns = ("lane", "received", "held", "in_flight", "captured", "rejected", "unknown", "parked", "to_file")
    yield table(
        (*(name.replace("_", "\n") for name in columns), "oldest"),
        ((*(each[name] for name in columns), _age(each["oldest_held_at"], now_ms)) for each in value["lanes"]),
        gap_chars=1,
    )
    if value["drains"]:
        from console.drain_words import drains_table

        yield drains_table(value["drains"], title="Drains")
    needed = value["needs_a_person"]
    if needed:
        yield table(
            ("where", "what", "state", "since", "why"),
            (
                (
                    each["lane"], f"{each['tenant']}/{each['key']}" if each["key"] else f"position {each['position']}",
                    each["state"], _when(each["since"], now_ms), each["reason"],
                )
                for each in needed[:ROWS_MAX]
            ),
            title=f"Needs a person: {len(needed):,}",
        )  # fmt: skip
        yield _next(needed[0])
    else:
        # What a clerk may file is held too, and no replay ever sends it.
        if any(each["held"] > each["to_file"] for each in value["lanes"]):
            yield "next: tidegate replay plan"
        if any(each["to_file"] for each in value["lanes"]):
            yield "next: tidegate to-file"


def _next(first: dict[str, Any]) -> str:
    if first["key"]:
        return f"next: {command('why', first['key'], '--mode', first['lane'], '--tenant', first['tenant'])}"
    return f"next: tidegate bulletin list, act, then tidegate bulletin handled {first['position']} --reason TEXT"


def _age(text: str | None, now_ms: int) -> str:
    return ago(at_ms_of(text), now_ms=now_ms) if text else ""


def _when(text: str | None, now_ms: int) -> str:
    return f"{moment(at_ms_of(text))}, {ago(at_ms_of(text), now_ms=now_ms)} ago" if text else ""


def _watch(looking: Looking) -> None:
    """Look again and again until Ctrl-C; in place on a terminal, line by line elsewhere."""
    from rich.console import Console, Group
    from rich.live import Live

    from console.clock import wall_ms

    try:
        if sys.stdout.isatty() and is_terminal():
            with Live(Group(), console=Console(markup=False, emoji=False, highlight=False), auto_refresh=False) as live:
                while True:
                    live.update(Group(*shown(looking.look(), now_ms=wall_ms())), refresh=True)
                    time.sleep(WATCH_S)
        while True:
            for each in looking.look()["lanes"]:
                if each["received"]:
                    counts = ", ".join(f"{name} {number}" for name, number in each.items() if isinstance(number, int) and number)
                    typer.echo(f"{each['lane']}: {counts}")
            time.sleep(QUIET_WATCH_S)
    except KeyboardInterrupt:
        return
