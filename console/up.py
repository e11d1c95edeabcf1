"""`tidegate up` and `tidegate worker`: the process that holds and drains; must not decide what a worker decides.

Imports what it runs only when it runs, so that other verbs start quickly.
"""

import asyncio
import getpass
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from console.driver import Driver
    from console.settings import Settings
    from console.wiring import Opened
    from lane.policy import Policy

WORKERS: Final = ("intake", "availability", "responses", "runner")
"""What `tidegate worker NAME` takes; `tidegate up` runs them all."""

CONNECTIONS_MAX: Final = 256
"""Connections to CBSA of one process: four lanes at their default in-flight cap; more wait for a slot."""

DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of the embedded engine (default .tidegate).")]
KafkaOption = Annotated[str | None, typer.Option("--kafka", help="Bootstrap servers of Apache Kafka, HOST:PORT.")]
AuthorityOption = Annotated[str | None, typer.Option("--authority", help="Base URL of CBSA's web service.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("up")(up)
    app.command("worker")(worker)


def up(
    authority: AuthorityOption = None,
    data: DataOption = None,
    kafka: KafkaOption = None,
    drain: Annotated[str | None, typer.Option("--drain", help="automatic or operator: who starts the drain (R61).")] = None,
    rate_max: Annotated[str | None, typer.Option("--rate-max", help="Messages a second and channel, or none.")] = None,
    in_flight_max: Annotated[int | None, typer.Option("--in-flight-max", min=1, help="Messages in flight per channel.")] = None,
    person: Annotated[str | None, typer.Option("--as", help="Who starts it (default: the login name).")] = None,
) -> None:
    """All workers in one process: take in, hold, send, listen. Prints `ready` when it takes work; SIGTERM ends it in order."""
    changes = policy_changes(drain=drain, rate_max=rate_max, in_flight_max=in_flight_max)
    _run(data=data, kafka=kafka, authority=authority, names=WORKERS, changes=changes, person=person or getpass.getuser())


def worker(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(WORKERS)}.")],
    authority: AuthorityOption = None,
    data: DataOption = None,
    kafka: KafkaOption = None,
) -> None:
    """One worker alone, for every lane: for Kafka, one process each."""
    if name not in WORKERS:
        raise typer.BadParameter(f"there is no worker {name}; there are {', '.join(WORKERS)}")
    _run(data=data, kafka=kafka, authority=authority, names=(name,), changes={}, person=getpass.getuser())


def policy_changes(*, drain: str | None, rate_max: str | None, in_flight_max: int | None) -> dict[str, object]:
    """What the flags ask of the policy in force. Raises BadParameter with a sentence."""
    changes: dict[str, object] = {}
    if drain is not None:
        if drain not in ("automatic", "operator"):
            raise typer.BadParameter(f"--drain is automatic or operator, not {drain}")
        changes["drain"] = drain
    if rate_max is not None:
        if rate_max != "none" and not (rate_max.isdigit() and int(rate_max) > 0):
            raise typer.BadParameter(f"--rate-max is a number of messages a second, or none; not {rate_max}")
        changes["rate_max_per_s"] = None if rate_max == "none" else int(rate_max)
    if in_flight_max is not None:
        changes["in_flight_max"] = in_flight_max
    return changes


def adopt(opened_log: "Opened", changes: dict[str, object], *, person: str) -> "Policy":
    """Write the policy that the flags ask for, unless it is in force already (I11: a policy is a fact)."""
    from console.driver import wall_ms
    from console.wiring import desk_view
    from schemas.codec import encode
    from schemas.facts import PolicyAdopted
    from schemas.streams import DESK, Entry

    in_force = desk_view(opened_log).state.policy
    wanted = replace(in_force, **changes) if changes else in_force  # type: ignore[arg-type]  # checked by policy_changes
    if wanted != in_force:
        fact = PolicyAdopted(at_ms=wall_ms(), policy=wanted.as_json(), person=person, reason="flags of tidegate up")
        opened_log.log.append(DESK, [Entry(encode(fact))])
    return wanted


def quiet_logging() -> None:
    """Logs are for operators: one JSON object a line, on standard error."""
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _run(
    *, data: Path | None, kafka: str | None, authority: str | None, names: Sequence[str], changes: dict[str, object], person: str
) -> None:
    from console.settings import Settings
    from console.wiring import opened
    from eventlog.port import LogError

    quiet_logging()
    flags = {"data": data, "kafka": kafka, "authority": authority}
    try:
        settings = Settings.model_validate({**Settings().model_dump(), **{name: value for name, value in flags.items() if value}})
        with opened(settings) as opened_log:
            adopt(opened_log, changes, person=person)
            asyncio.run(_serve(opened_log, settings, tuple(names)))
    except (LogError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2 if isinstance(error, ValueError) else 1) from error


async def _serve(opened_log: "Opened", settings: "Settings", names: tuple[str, ...]) -> None:
    """Run until SIGTERM or SIGINT; the second one ends at once."""
    from console.wiring import gateway_of, run_workers

    needs_gateway = {"responses", "runner"} & set(names)
    gateway = gateway_of(settings, connections_max=CONNECTIONS_MAX) if needs_gateway else None
    task = asyncio.current_task()
    assert task is not None

    def ready(driver: "Driver") -> None:
        told = False

        def stop() -> None:
            nonlocal told
            if told:
                task.cancel()
            told = True
            driver.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        typer.echo("ready", err=True)

    await run_workers(opened_log, gateway, names=names, ready=ready)
