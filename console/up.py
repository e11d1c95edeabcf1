"""`tidegate up` and `tidegate worker`: the process that holds and drains; must not decide what a worker decides.

Imports what it runs only when it runs, so that other verbs start quickly.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, TypeAlias

import typer

from console.options import AsJson, Bootstrap, DataDir, Person

if TYPE_CHECKING:
    from console.driver import Driver
    from console.health import Address
    from console.settings import Settings
    from console.wiring import Opened
    from gateway.port import Gateway
    from lane.policy import Policy

    Change: TypeAlias = Callable[[Policy], Policy]

WORKERS: Final = ("intake", "availability", "responses", "runner")
"""What `tidegate worker NAME` takes; `tidegate up` runs them all."""

NEEDS_GATEWAY: Final = frozenset({"responses", "runner"})
"""Workers that speak to CBSA."""

CONNECTIONS_MAX: Final = 256
"""Connections to CBSA of one process: four lanes at their default in-flight cap; more wait for a slot."""

COLLECT_AFTER: Final = (50_000, 20, 100)
"""When Python looks for cycles: after so many new objects, then older ones after so many such looks (its own: 700, 10, 10)."""

Authority: TypeAlias = Annotated[
    str | None, typer.Option("--authority", metavar="URL", help="Base URL of CBSA's web service (TIDEGATE_AUTHORITY).")
]
RateMax: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--rate-max", metavar="N|none|CHANNEL=N", help="Messages a second and channel; again for a channel of its own."),
]
Health: TypeAlias = Annotated[
    str | None,
    typer.Option("--health", metavar="HOST:PORT", help="Serve /healthz, /readyz and /metrics there (TIDEGATE_HEALTH; else off)."),
]
HealthOpen: TypeAlias = Annotated[
    bool, typer.Option("--health-open", help="Let other machines read them: any HOST (TIDEGATE_HEALTH_OPEN).")
]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, when a flag changes the policy.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("up")(up)
    app.command("worker")(worker)


def up(
    *,
    authority: Authority = None,
    data: DataDir = None,
    kafka: Bootstrap = None,
    drain: Annotated[str | None, typer.Option("--drain", help="automatic or operator: who starts the drain (R61).")] = None,
    rate_max: RateMax = None,
    in_flight_max: Annotated[int | None, typer.Option("--in-flight-max", min=1, help="Messages in flight per channel.")] = None,
    health: Health = None,
    health_open: HealthOpen = False,
    person: Person = None,
    reason: Reason = "flags of tidegate up",
    as_json: AsJson = False,
) -> None:
    """All workers in one process: take in, hold, send, listen. Prints `ready` when it takes work; SIGTERM ends it in order."""
    from console.session import person_of, said

    changes = policy_changes(drain=drain, rate_max=rate_max or (), in_flight_max=in_flight_max)
    run = Run(authority=authority, data=data, kafka=kafka, names=WORKERS, as_json=as_json, health=health, health_open=health_open)
    run.until_told(changes, person=person_of(person), reason=said(reason, "--reason"))


def worker(
    *,
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(WORKERS)}.")],
    authority: Authority = None,
    data: DataDir = None,
    kafka: Bootstrap = None,
    health: Health = None,
    health_open: HealthOpen = False,
    as_json: AsJson = False,
) -> None:
    """One worker alone, for every lane: for Kafka, one process each."""
    from console.session import person_of

    if name not in WORKERS:
        raise typer.BadParameter(f"there is no worker {name}; there are {', '.join(WORKERS)}")
    run = Run(authority=authority, data=data, kafka=kafka, names=(name,), as_json=as_json, health=health, health_open=health_open)
    run.until_told(lambda policy: policy, person=person_of(None), reason="")


def policy_changes(*, drain: str | None, rate_max: Sequence[str], in_flight_max: int | None) -> "Change":
    """What the flags make of the policy in force. Raises BadParameter with a sentence, and Stop."""
    from console.rates import rates_asked

    changes: dict[str, object] = {}
    if drain is not None:
        if drain not in ("automatic", "operator"):
            raise typer.BadParameter(f"--drain is automatic or operator, not {drain}")
        changes["drain"] = drain
    if in_flight_max is not None:
        changes["in_flight_max"] = in_flight_max
    rated = rates_asked(rate_max)
    return lambda policy: rated(replace(policy, **changes))  # type: ignore[arg-type]  # checked above


def adopt(opened_log: "Opened", change: "Change", *, person: str, reason: str) -> "Policy":
    """Write the policy that the flags ask for, unless it is in force already (I11: a policy is a fact). Raises Stop."""
    from console.clock import wall_ms
    from console.output import Exit, Stop
    from console.verbs_policy import forbidden
    from console.wiring import desk_view, read_into
    from schemas.codec import encode
    from schemas.facts import PolicyAdopted
    from schemas.streams import DESK, Entry

    desk = desk_view(opened_log)
    in_force = desk.state.policy
    wanted = change(in_force)
    if wanted != in_force:
        wrong = forbidden(wanted)
        if wrong:
            raise Stop(Exit.USAGE, wrong)
        basis = desk.state.policy_at
        fact = PolicyAdopted(at_ms=wall_ms(), policy=wanted.as_json(), person=person, reason=reason, basis=basis)
        opened_log.log.append(DESK, [Entry(encode(fact))])
        read_into(opened_log.log, DESK, desk)
        if desk.state.policy != wanted:
            raise Stop(Exit.REFUSED, "another policy was adopted at the same moment; see tidegate policy show, then start again")
    return wanted


def log_jsonlines(level: str = "info") -> None:
    """Logs are for operators: one JSON object a line, on standard error, from that level on."""
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A process that runs workers until it is told to stop."""

    authority: str | None
    data: Path | None
    kafka: str | None
    names: Sequence[str]
    as_json: bool
    health: str | None = None
    health_open: bool = False

    def until_told(self, change: "Change", *, person: str, reason: str) -> None:
        """Run. Raises Stop for what the flags or the environment have wrong, and LogError."""
        from console.cli import INTERRUPTED
        from console.loop import run
        from console.output import Exit, Output, Stop
        from console.session import settings_of
        from console.wiring import gateway_of, opened

        settings = settings_of(data=self.data, kafka=self.kafka)
        told = {"authority": self.authority, "health": self.health, "health_open": self.health_open or None}
        settings = settings.model_copy(update={name: value for name, value in told.items() if value is not None})
        health_address(settings)
        try:
            if NEEDS_GATEWAY & set(self.names):
                gateway_of(settings, connections_max=1)
        except ValueError as error:
            raise Stop(Exit.USAGE, str(error)) from error
        log_jsonlines()
        # Long folds of a start run without the collector (`wiring.read_into`). What followers fold, which is all of a lane where
        # no worker of responses reads it first, takes 13 us a fact with this and 16 without (busy machine); a freeze adds none.
        gc.set_threshold(*COLLECT_AFTER)
        with opened(settings) as opened_log:
            adopt(opened_log, change, person=person, reason=reason)
            try:
                cut_off = run(_serve(opened_log, settings, tuple(self.names)))
            except asyncio.CancelledError:  # by the second signal
                typer.echo("tidegate: stopped", err=True)
                _die(INTERRUPTED)
            if cut_off:
                Output(as_json=self.as_json).result({"ended": list(self.names)}, lambda: ())
                _die(Exit.DONE)
        Output(as_json=self.as_json).result({"ended": list(self.names)}, lambda: ())


def spare_the_collector() -> None:
    """Let Python's cycle collector pass over what lives as long as the process: a lane's messages, by the hundred thousand.

    Counting references frees all but cycles, and of those the young ones are still looked for. It took 14 % of a drain.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _die(code: int) -> NoReturn:
    """End as a kill would (R44): threads that wait for a log that is gone, and clients that close politely, take minutes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def health_address(settings: "Settings") -> "Address | None":
    """Where the process's own pages are to be, if anywhere. Raises Stop."""
    if settings.health is None:
        return None
    from console.health import read_address

    return read_address(settings.health, anywhere=settings.health_open)


async def _serve(opened_log: "Opened", settings: "Settings", names: tuple[str, ...]) -> tuple[str, ...]:
    """Run until SIGTERM or SIGINT; return the workers that had to be cut off. Raises CancelledError at a second signal."""
    from console.wiring import gateway_of, run_workers

    gateway = gateway_of(settings, connections_max=CONNECTIONS_MAX) if NEEDS_GATEWAY & set(names) else None
    task = asyncio.current_task()
    assert task is not None

    address = health_address(settings)
    drivers: list[Driver] = []

    def ready(driver: "Driver") -> None:
        drivers.append(driver)
        told = False

        def stop() -> None:
            nonlocal told
            if told:
                task.cancel()
            told = True
            driver.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        spare_the_collector()
        typer.echo("ready", err=True)

    if address is None:
        await run_workers(opened_log, gateway, names=names, ready=ready)
    else:
        await _watched(opened_log, gateway, names, ready=ready, address=address)
    return drivers[0].cut_off


async def _watched(
    opened_log: "Opened",
    gateway: "Gateway | None",
    names: tuple[str, ...],
    *,
    ready: "Callable[[Driver], None]",
    address: "Address",
) -> None:
    """Run the workers with the process's own pages beside them, and a clock on the log and the gateway."""
    from prometheus_client import disable_created_metrics
    from prometheus_client.registry import CollectorRegistry

    from console.health import pages
    from console.metered import MeteredGateway, MeteredLog, Meters
    from console.watching import Watching
    from console.wiring import run_workers

    disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge for each counter's birth: half the page, and nobody asks
    registry = CollectorRegistry(auto_describe=False)
    meters = Meters(registry)
    metered = opened_log._replace(log=MeteredLog(opened_log.log, meters))
    watching = Watching(opened_log.log, names)

    def works(driver: "Driver") -> None:
        watching.works(driver)
        ready(driver)

    async with pages(watching, registry, address) as port:
        typer.echo(f"health on http://{address.shown(port)}", err=True)
        metered_gateway = None if gateway is None else MeteredGateway(gateway, meters)
        await run_workers(metered, metered_gateway, names=names, ready=works, watching=watching)
