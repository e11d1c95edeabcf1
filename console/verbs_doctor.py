"""`tidegate doctor`: sizes, growth, lag and what to expect of the next start; must not decide anything."""

from collections.abc import Iterator
from typing import Any, Final

import typer

from console.options import AsJson, Bootstrap, DataDir
from console.output import Exit, ago, at_ms_of, table

_HELP: Final = """Sizes, growth, lag, and what to expect of the next start.

\b
tidegate doctor
tidegate doctor --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("doctor", help=_HELP)(doctor)


def doctor(*, as_json: AsJson = False, data: DataDir = None, kafka: Bootstrap = None) -> int:
    """Look at the log and start every fold once, as a process would, with an eye on the clock."""
    from console.checkup import checkup
    from console.clock import wall_ms
    from console.session import session, settings_of

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        now_ms = wall_ms()
        value = checkup(on, settings_of(data=data, kafka=kafka), now_ms=now_ms)
        on.out.result(value, lambda: shown(value, now_ms=now_ms))
    return int(Exit.DONE)


def shown(value: dict[str, Any], *, now_ms: int) -> Iterator[Any]:
    """The check-up for a person: where, how much, what the lanes hold, and what to do."""
    from console.checkup import size

    engine = value["engine"]
    yield f"The log is {engine['where']} ({engine['name']}), reached in {engine['reach_ms']:g} ms."
    yield table(
        ("stream", "records", "bytes", "records\na day", "bytes\na day", "oldest", "newest"),
        (
            (
                each["name"], f"{each['records']:,}", size(each["bytes"]), f"{each['records_a_day']:,}",
                size(each["bytes_a_day"]), _ago(each["oldest_at"], now_ms), _ago(each["newest_at"], now_ms),
            )
            for each in value["streams"]
        ),
        gap_chars=2,
    )  # fmt: skip
    if value["disk"] is not None:
        disk = value["disk"]
        days = disk["full_in_days"]
        lasts = "it does not grow" if days is None else f"full in {days:,} days at {size(disk['bytes_a_day'])} a day"
        yield f"The files take {size(disk['log_bytes'])}; {size(disk['free_bytes'])} are free: {lasts}."
    yield table(
        ("lane", "facts", "messages", "not\nfinished", "memory", "snapshot", "to\nread", "next\nstart"),
        (
            (
                each["lane"], f"{each['facts']:,}", f"{each['messages']:,}", f"{each['unfinished']:,}",
                size(each["memory_bytes"]), _snapshot(each["snapshot"]), f"{each['tail']:,}", f"{each['next_start_s']:g} s",
            )
            for each in value["lanes"]
        ),
        gap_chars=2,
    )  # fmt: skip
    yield from value["findings"] or ["Nothing needs a hand."]


def _snapshot(kept: dict[str, Any] | None) -> str:
    from console.checkup import size

    if kept is None:
        return "none"
    age = ago(0, now_ms=kept["age_s"] * 1_000)
    fit = f"; {kept['misfit']}" if kept["misfit"] else ""
    return f"at {kept['position']:,}, {size(kept['bytes'])}, {age} old{fit}"


def _ago(text: str, now_ms: int) -> str:
    return ago(at_ms_of(text), now_ms=now_ms)
