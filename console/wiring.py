"""Wiring: from settings to a log, folds, workers and a running process, in plain functions; must not decide anything else.

What only a running process needs is imported when it runs, so that the other verbs start quickly.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from console.clock import wall_ms
from console.settings import DATA_DIR_DEFAULT, Settings
from console.snapshots import Folds, folder_of, logged, no_collection
from eventlog.lane_lock import LaneLocks
from eventlog.port import READ_COUNT_MAX, EventLog
from eventlog.snapshots import SnapshotFolder
from eventlog.sqlite import SqliteLog
from lane.view import DeskView, LaneView
from schemas.codec import Codec, schema_entries
from schemas.streams import DESK, MODES, RESPONSES, SCHEMAS, Record, lane

if TYPE_CHECKING:
    from console.driver import Driver
    from console.follower import Folded
    from console.watching import Watching
    from consumers.responses import ResponsesView
    from gateway.port import Gateway
    from lane.view import Listener
    from schemas.effects import Worker

FOLD_COUNT: Final = 1_000
"""Records that a start reads at a time: with 10,000, each of 100,000 held messages left 12 to 23 bytes more resident."""

LONG_COUNT: Final = 50_000
"""More new records than this are read at a start only, so that what is frozen behind them is frozen once."""


class Opened(NamedTuple):
    """An open log: the engine, its lane locks where it has them, a codec that knows what the log was written with, and the
    folder where its snapshots are kept."""

    log: EventLog
    locks: LaneLocks | None
    codec: Codec
    snapshots: SnapshotFolder | None = None

    @property
    def folds(self) -> Folds:
        """Where this log's folds begin."""
        return Folds(self.log, self.codec, self.snapshots)


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """Open the log that the settings name, made if missing and ready to be written to; close it at the end. Raises LogError."""
    with _open(settings, create=True) as (log, locks):
        yield Opened(log, locks, known_codec(log), folder_of(cache_folder(settings)))


@contextmanager
def found(settings: Settings) -> Iterator[Opened]:
    """Open the log that the settings name as it is, for a verb that looks: nothing is made and nothing written. Raises LogError.

    Who then writes after all calls `write_schemas` first.
    """
    with _open(settings, create=False) as (log, locks):
        codec = Codec()
        codec.learn(read_all(log, SCHEMAS))
        yield Opened(log, locks, codec, folder_of(cache_folder(settings)))


@contextmanager
def _open(settings: Settings, *, create: bool) -> Iterator[tuple[EventLog, LaneLocks | None]]:
    locks = None
    log: EventLog
    if settings.kafka is not None:
        from eventlog.kafka import KafkaLog

        log = KafkaLog.open(settings.kafka, topic_prefix=settings.topic_prefix, create=create)
    else:
        data_dir = settings.data or DATA_DIR_DEFAULT
        log = SqliteLog.open(data_dir, wall_ms)
        locks = LaneLocks(data_dir)
    try:
        yield log, locks
    finally:
        if locks is not None:
            locks.close()
        log.close()


def cache_folder(settings: Settings) -> Path:
    """Where the log's snapshots are kept: where the settings say, beside an embedded log, or in the user's cache for Kafka."""
    data_dir = settings.data or DATA_DIR_DEFAULT
    if settings.cache is None and settings.kafka is None:
        return data_dir / "snapshots"
    name = f"{settings.kafka} {settings.topic_prefix}" if settings.kafka is not None else str(data_dir.absolute())
    base = settings.cache or Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "tidegate"
    return base / f"log-{sha256(name.encode()).hexdigest()[:16]}"


def known_codec(log: EventLog) -> Codec:
    """A codec that has learnt the log's schemas; ours are written to the log first where they are missing."""
    codec = Codec()
    codec.learn(write_schemas(log))
    return codec


def write_schemas(log: EventLog) -> list[Record]:
    """Write our schemas to the log where they are missing. Returns those that it held before."""
    records = list(read_all(log, SCHEMAS))
    known = {record.key for record in records}
    missing = [entry for entry in schema_entries() if entry.key not in known]
    if missing:
        log.append(SCHEMAS, missing)
    return records


def read_all(log: EventLog, stream: str, start: int = 0) -> Iterator[Record]:
    """Every record that a stream holds from `start` on, page by page."""
    end = log.end(stream)
    while start < end:
        records = log.read(stream, start, READ_COUNT_MAX, 1.0)
        if not records:
            return
        yield from records
        start = records[-1].position + 1


def read_into(log: EventLog, stream: str, view: "Folded") -> None:
    """Fold a stream up to the end that it has now; a long way without the collector, which took an eighth of a fold from zero."""
    end = log.end(stream)
    with no_collection() if end - view.next_position > LONG_COUNT else nullcontext():
        while view.next_position < end:
            records = log.read(stream, view.next_position, FOLD_COUNT, 1.0)
            if not records:
                return
            view.absorb(records)


def lane_view(opened_log: Opened, mode: str) -> LaneView:
    """A lane's fold as of now."""
    view = opened_log.folds.lane(mode)
    read_into(opened_log.log, lane(mode), view)
    return view


def desk_view(opened_log: Opened) -> DeskView:
    """The desk's fold as of now."""
    view = opened_log.folds.desk()
    read_into(opened_log.log, DESK, view)
    return view


def gateway_of(settings: Settings, *, connections_max: int) -> "Gateway":
    """The gateway to the authority that the settings name. Raises ValueError with a sentence, OSError for a TLS file."""
    from gateway.https import HttpsGateway, TlsSettings

    if settings.authority is None:
        raise ValueError("say how CBSA is reached: --authority URL, for example http://127.0.0.1:8088")
    files = {"ca_file": settings.tls_ca_file, "cert_file": settings.tls_cert_file, "key_file": settings.tls_key_file}
    tls = TlsSettings(**{name: None if path is None else str(path) for name, path in files.items()})
    return HttpsGateway(
        settings.authority, connections_max=connections_max, tls=tls, plain_http_allowed=settings.authority_insecure
    )


def holder_name() -> str:
    """A name for this process's incarnation: no two are the same, so that a restart is another holder (R43)."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


async def run_workers(
    opened_log: Opened,
    gateway: "Gateway | None",
    *,
    names: tuple[str, ...],
    ready: "Callable[[Driver], None]",
    watching: "Watching | None" = None,
) -> None:
    """Run the named workers for every lane until they are told to stop. `ready` gets the driver when work is taken.

    `watching` hears every fact as it is folded, and knows the folds from the start on.
    """
    from console.driver import Driver
    from console.keeping import Keeper
    from consumers.responses import ResponsesView

    def listener(stream: str) -> "Listener | None":
        return None if watching is None else watching.listener(stream)

    folds = opened_log.folds._replace(passed_over=logged)
    lanes: dict[str, LaneView] = {mode: folds.lane(mode, listener(lane(mode))) for mode in MODES}
    desk = folds.desk(listener(DESK))
    views: dict[str, Folded] = {lane(mode): view for mode, view in lanes.items()}
    views[DESK] = desk
    if watching is not None:
        watching.begins(views)
    if "responses" in names:
        # The lanes' marks say which answers are done: read first, they keep all the others from piling up in memory.
        for stream in tuple(views):
            await asyncio.to_thread(read_into, opened_log.log, stream, views[stream])
        responses = folds.responses(lanes, desk)
        views[RESPONSES] = responses
    else:
        responses = ResponsesView(lanes, desk)
    driver = Driver(opened_log.log, gateway, views, opened_log.locks)
    workers = dict(_workers(names, gateway, lanes=lanes, desk=desk, responses=responses))
    keeper = Keeper(opened_log.snapshots, views) if opened_log.snapshots is not None else None
    keeping: list[asyncio.Task[None]] = []

    def at_work() -> None:
        if keeper is not None:  # not sooner: a fold from zero would be kept again and again on its way
            keeping.append(asyncio.create_task(keeper.run(), name="snapshots"))
        ready(driver)

    try:
        await driver.run(workers, ready=at_work)
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
    if keeper is not None:
        await keeper.finish()


def _workers(
    names: tuple[str, ...], gateway: "Gateway | None", *, lanes: dict[str, LaneView], desk: DeskView, responses: "ResponsesView"
) -> "Iterator[tuple[str, Worker]]":
    from consumers.availability import copy_to_lane, read_bulletins
    from consumers.intake import intake
    from consumers.responses import answers_to_lane, doubts_to_desk, poll_answers
    from replay.runner import Runner

    holder = holder_name()
    if "availability" in names:
        yield "bulletins", read_bulletins(desk)
    if "responses" in names:
        assert gateway is not None
        yield "poll", poll_answers(responses, gateway=gateway.name)
        yield "doubts", doubts_to_desk(responses, desk)
    for mode, view in lanes.items():
        if "intake" in names:
            yield f"intake.{mode}", intake(view)
        if "availability" in names:
            yield f"notices.{mode}", copy_to_lane(desk, view)
        if "responses" in names:
            yield f"answers.{mode}", answers_to_lane(responses, view)
        if "runner" in names:
            assert gateway is not None
            runner = Runner(
                view=view,
                desk=desk,
                holder=holder,
                gateway=gateway.name,
                idempotent=gateway.idempotent,
                can_query=gateway.can_query,
            )
            yield f"runner.{mode}", runner.run()
