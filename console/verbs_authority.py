"""`tidegate authority`: runs the simulated CBSA as a process of its own; must not know what it answers."""

from pathlib import Path
from typing import Annotated

import typer

from console.options import AsJson
from console.output import Exit, Output, Stop


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("authority")(authority)


def authority(
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8088,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; there is no access control.")] = "127.0.0.1",
    history: Annotated[Path | None, typer.Option("--history", metavar="FILE", help="What came in, JSON lines, appended.")] = None,
    answer_latency_ms: Annotated[int, typer.Option("--answer-latency-ms", min=0, help="Wait between verdict and answer.")] = 0,
    as_json: AsJson = False,
    data: Annotated[Path | None, typer.Option("--data", hidden=True, help="Without meaning here; every verb takes it.")] = None,
    kafka: Annotated[str | None, typer.Option("--kafka", hidden=True, help="Without meaning here; every verb takes it.")] = None,
) -> int:
    """The simulated CBSA: takes messages, enforces the order rules, answers. Prints `ready URL`; SIGTERM stops it."""
    from gateway.authority import AuthoritySettings, run_authority

    del data, kafka  # CBSA has no part in our log
    out = Output(as_json=as_json)

    def ready(url: str) -> None:
        if as_json:
            out.result({"url": url}, lambda: ())
        out.say(f"ready {url}")

    try:
        run_authority(host, port, AuthoritySettings(history_file=history, answer_latency_ms=answer_latency_ms), on_ready=ready)
    except OSError as exc:
        if exc.filename is not None:
            raise
        raise Stop(
            Exit.FAILED, f"the simulated authority can't run on {host} port {port} ({exc.strerror}); name another --port"
        ) from exc
    return int(Exit.DONE)
