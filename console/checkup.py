"""What `tidegate doctor` finds out: sizes, growth, lag, what the next start costs; must not write to the log or decide anything.

Sizes are sampled and moments are found by bisecting through the log's own port, so that every engine is asked alike and a log of
years in a moment.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from console.output import counted, utc
from console.session import Session
from console.settings import DATA_DIR_DEFAULT, Settings
from console.wiring import read_into
from eventlog.port import EventLog
from eventlog.sqlite_file import FILE_NAME
from lane.horizon import is_finished
from lane.state import NEVER, LaneState
from lane.view import LaneView
from schemas.streams import ALL_STREAMS, BULLETINS, DESK, MODES, RESPONSES, inbound
from schemas.streams import lane as lane_stream

DAY_MS: Final = 86_400_000

GROWTH_DAYS: Final = 7
"""Days before the newest record over which growth is measured: a week has its quiet days in it."""

SAMPLE_COUNT: Final = 200
"""Records of a stream whose size is looked at: the mean is then right within some tenths."""

SPEED_COUNT_MIN: Final = 2_000
"""Fewest facts folded for a speed to mean something."""

SPEED_PER_S: Final = 20_000
"""Facts folded a second where this run folded too few to tell: two slow cores of 2026."""

START_S_MAX: Final = 30.0
"""A start that takes longer is worth a sentence."""

FULL_DAYS_MIN: Final = 60
"""A disk that is full sooner is worth a sentence: time to buy another."""

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Measured(NamedTuple):
    """A lane's fold, and what it took to make it: seconds for the snapshot, facts behind it, seconds for those, memory."""

    view: LaneView
    load_s: float
    tail: int
    fold_s: float
    memory_bytes: int


def checkup(on: Session, settings: Settings, *, now_ms: int) -> dict[str, Any]:
    """Everything that the verb tells, as one JSON value."""
    began_s = time.monotonic()
    on.opened.log.end(DESK)
    reach_ms = round((time.monotonic() - began_s) * 1_000, 1)
    streams = [each for name in ALL_STREAMS if (each := _stream(on.opened.log, name)) is not None]
    lanes = [measured(on, mode) for mode in MODES if on.opened.log.end(lane_stream(mode))]
    value = {
        "engine": {**_where(settings), "reach_ms": reach_ms},
        "streams": streams,
        "disk": _disk(settings, streams),
        "lanes": [_lane(on, each, now_ms=now_ms) for each in lanes],
        "lag": list(_lag(on, {each.view.state.mode: each.view.state for each in lanes})),
    }
    return {**value, "findings": list(_findings(value))}


def measured(on: Session, mode: str) -> Measured:
    """Start a lane's fold as every process does, and look at the clock."""
    before, began_s = memory_bytes(), time.monotonic()
    view = on.opened.folds.lane(mode)
    loaded_s = time.monotonic()
    read_into(on.opened.log, lane_stream(mode), view)
    tail = view.next_position - view.begun_at
    return Measured(view, loaded_s - began_s, tail, time.monotonic() - loaded_s, max(0, memory_bytes() - before))


def memory_bytes() -> int:
    """Resident memory of this process, 0 where the system does not tell it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def position_at(log: EventLog, stream: str, at_ms: int) -> int:
    """The first position whose record was written at that moment or later, by bisecting; the end when there is none."""
    low, high = 0, log.end(stream)
    while low < high:
        middle = (low + high) // 2
        if log.fetch(stream, [middle])[0].at_ms < at_ms:
            low = middle + 1
        else:
            high = middle
    return low


def size(count: float) -> str:
    """A size for people: `12.3 MB`."""
    unit = 0
    while abs(count) >= 1_000 and unit + 1 < len(_UNITS):
        count, unit = count / 1_000, unit + 1
    return f"{count:,.0f} {_UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:,.1f} {_UNITS[unit]}"


def _where(settings: Settings) -> dict[str, Any]:
    if settings.kafka is not None:
        return {"name": "kafka", "where": f"{settings.kafka} ({settings.topic_prefix}*)"}
    return {"name": "sqlite", "where": str((settings.data or DATA_DIR_DEFAULT) / FILE_NAME)}


def _stream(log: EventLog, name: str) -> dict[str, Any] | None:
    """Records, bytes, growth and age of a stream, or None for an empty one. The compacted stream has holes and little in it."""
    end = log.end(name)
    if end == 0 or name == "schemas":
        return None
    places = sorted({round(each * (end - 1) / (SAMPLE_COUNT - 1)) for each in range(SAMPLE_COUNT)})
    sample = log.fetch(name, places)
    mean = sum(each.size_bytes() for each in sample) / len(sample)
    oldest, newest = sample[0].at_ms, sample[-1].at_ms
    since = position_at(log, name, newest - GROWTH_DAYS * DAY_MS)
    days = max(min(GROWTH_DAYS, (newest - oldest) / DAY_MS), 1.0)
    return {
        "name": name, "records": end, "bytes": round(end * mean), "oldest_at": utc(oldest), "newest_at": utc(newest),
        "records_a_day": round((end - since) / days), "bytes_a_day": round((end - since) * mean / days),
    }  # fmt: skip


def _disk(settings: Settings, streams: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Room on the disk of an embedded log, and how long it lasts at the growth of the last days."""
    if settings.kafka is not None:
        return None
    folder = settings.data or DATA_DIR_DEFAULT
    disk = os.statvfs(folder)
    taken = sum(each.stat().st_size for each in folder.glob(f"{FILE_NAME}*"))
    free = disk.f_bavail * disk.f_frsize
    # Keys, times and pages that are not full: what the file has beyond the bytes of its records it will have of new ones too.
    share = taken / max(1, sum(each["bytes"] for each in streams))
    a_day = round(sum(each["bytes_a_day"] for each in streams) * max(1.0, share))
    days = None if a_day == 0 else round(free / a_day)
    return {"log_bytes": taken, "free_bytes": free, "bytes_a_day": a_day, "full_in_days": days}


def _lane(on: Session, each: Measured, *, now_ms: int) -> dict[str, Any]:
    state = each.view.state
    speed = each.tail / each.fold_s if each.tail >= SPEED_COUNT_MIN and each.fold_s else None
    finished = sum(is_finished(message) for message in state.messages.values())
    return {
        "lane": state.mode, "facts": each.view.next_position, "messages": len(state.messages), "finished": finished,
        "unfinished": len(state.messages) - finished, "memory_bytes": each.memory_bytes,
        "snapshot": _snapshot(on, state.mode, now_ms=now_ms), "tail": each.tail, "load_s": round(each.load_s, 3),
        "facts_per_s": None if speed is None else round(speed),
        "next_start_s": round(each.load_s + each.tail / (speed or SPEED_PER_S), 1),
        "horizon_days": round(state.policy.horizon_ms / DAY_MS, 1), "overdue": _overdue(state, now_ms=now_ms),
    }  # fmt: skip


def _snapshot(on: Session, mode: str, *, now_ms: int) -> dict[str, Any] | None:
    """The furthest snapshot of a lane, whether it fits or not; None when there is none."""
    folder = on.opened.snapshots
    kept = folder.kept(lane_stream(mode)) if folder is not None else []
    if folder is None or not kept or kept[0].header is None:
        return None
    header = kept[0].header
    return {
        "position": header.position, "bytes": kept[0].size_bytes, "made_at": utc(header.made_ms),
        "age_s": max(0, now_ms - header.made_ms) // 1_000, "misfit": folder.misfit(on.opened.log, kept[0]),
    }  # fmt: skip


def _overdue(state: LaneState, *, now_ms: int) -> int:
    """Finished messages that the horizon has passed by more than a day: a runner lets them go once a day."""
    before_ms = now_ms - state.policy.horizon_ms - 2 * DAY_MS
    return sum(is_finished(message) and message.since_ms < before_ms for message in state.messages.values())


def _lag(on: Session, lanes: dict[str, LaneState]) -> Iterator[dict[str, Any]]:
    """What stands in a source beyond what was made facts of. Of [responses], beyond the last page that any lane took."""
    log, desk = on.opened.log, on.desk().state
    for mode in MODES:
        mark = lanes[mode].marks.get(inbound(mode), NEVER) if mode in lanes else NEVER
        yield {"source": inbound(mode), "behind": log.end(inbound(mode)) - mark - 1}
    yield {"source": BULLETINS, "behind": log.end(BULLETINS) - desk.marks.get(BULLETINS, NEVER) - 1}
    taken = [desk.marks.get(RESPONSES, NEVER), *(state.marks.get(RESPONSES, NEVER) for state in lanes.values())]
    yield {"source": RESPONSES, "behind": log.end(RESPONSES) - max(taken) - 1}


def _findings(value: dict[str, Any]) -> Iterator[str]:
    """What a person should know or do, in sentences."""
    for each in value["lag"]:
        if each["behind"] > 0:
            yield f"{counted(each['behind'], 'record')} of {each['source']} not taken in yet: does tidegate up run?"
    for each in value["lanes"]:
        yield from _lane_findings(each)
    disk = value["disk"]
    if disk is not None and disk["full_in_days"] is not None and disk["full_in_days"] < FULL_DAYS_MIN:
        yield (
            f"the disk has {size(disk['free_bytes'])} left and is full in {counted(disk['full_in_days'], 'day')} at this growth: "
            "make room, or move the folder to a larger one while nothing runs"
        )


def _lane_findings(lane: dict[str, Any]) -> Iterator[str]:
    snapshot, name = lane["snapshot"], lane["lane"]
    if lane["next_start_s"] > START_S_MAX:
        why = "it has no snapshot" if snapshot is None else snapshot["misfit"] or "much came since its snapshot"
        yield (
            f"{name}: the next start folds {lane['tail']:,} facts, some {lane['next_start_s']:.0f} s, for {why}: "
            "tidegate up keeps a new one soon after its start; start a new version beside the old one"
        )
    if lane["overdue"]:
        yield (
            f"{name}: {counted(lane['overdue'], 'finished message')} should have left behind the horizon of "
            f"{lane['horizon_days']:g} days: does a runner hold the lane?"
        )
