"""How a drain is told to a person: how far, how fast, how long yet, and why not; must not know how that is reckoned."""

from typing import Any, Final

from console.clock import wall_ms
from console.output import ago, counted, table
from lane.state import Channel, LaneState
from lane.summary import drains

LOOK_COUNT_MAX: Final = 20_000
"""Most messages of a drain that are looked at for its ETA: a tenth of a second, which nobody at a terminal minds."""


def going(state: LaneState, channel: Channel) -> dict[str, Any]:
    """How fast it goes and how long yet, as in `tidegate status`; nothing of it once nothing is left."""
    names = ("waits", "eta_s", "eta_at", "why")
    lines = drains([state], wall_ms(), look_count_max=LOOK_COUNT_MAX)
    line = next((each for each in lines if each["channel"] == channel.name), None)
    if line is None:
        return {"gone_per_s": None, **dict.fromkeys(names), "why": ""}
    return {"gone_per_s": line["rate_per_s"], **{name: line[name] for name in names}}


def bar_words(told: dict[str, Any]) -> str:
    """What stands behind a replay's bar: how long yet, or why it does not go."""
    return told["why"] or f"to go {to_go(told)}" if told["left"] else ""


def line_of(told: dict[str, Any]) -> str:
    """Where a replay stands, in a line."""
    said = f"{told['lane']} {told['channel']}: {told['left']:,} of {told['total']:,} left, {told['status']}"
    if not told["left"]:
        return said
    speed = f"{told['gone_per_s']} a second" if told["gone_per_s"] is not None else ""
    takes = f"to go {to_go(told)}" if to_go(told) else ""
    return ", ".join(filter(None, (said, speed, takes, drain_note(told))))


def drains_table(lines: list[dict[str, Any]], *, title: str | None = None) -> Any:
    """How far the drains are and how long it takes yet."""
    return table(
        ("lane", "channel", "replay", "status", "left", "of", "a second", "to go", "note"),
        (
            (
                each["lane"], each["channel"], each["replay"], each["status"], f"{each['left']:,}", f"{each['total']:,}",
                "" if each["rate_per_s"] is None else each["rate_per_s"], to_go(each), drain_note(each),
            )
            for each in lines
        ),
        title=title,
        gap_chars=2,
    )  # fmt: skip


def to_go(drain: dict[str, Any]) -> str:
    """How long a drain takes yet; in brackets while it does not run; nothing while that is not known."""
    if drain["eta_s"] is None:
        return "not known" if not drain["why"] else ""
    told = ago(0, now_ms=drain["eta_s"] * 1_000)
    return f"({told})" if drain["why"] else told


def drain_note(drain: dict[str, Any]) -> str:
    """Why a drain does not go, and how many of it wait for something beside it."""
    waits = f"{counted(drain['waits'], 'message')} of it wait for something else" if drain["waits"] else ""
    return "; ".join(filter(None, (drain["why"], waits)))
