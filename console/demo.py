"""`tidegate demo`: the verb; the story itself is in `demo_story`, imported only when it is told: other verbs start quickly."""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

PLAIN_WIDTH: Final = 120
"""Columns where the story goes to a file or a pipe."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("demo")(demo)


def demo(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON value on standard output; the story on standard error.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the demo's log in this folder, to look at it afterwards.")
    ] = None,
) -> None:
    """One day at the border in six scenes, on the embedded engine: hold, resolve, drain in order, prove it. Under a minute."""
    from rich.console import Console

    from console.demo_story import tell

    started = time.monotonic()
    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    try:
        result = tell(console, folder)
        result["seconds"] = round(time.monotonic() - started, 1)
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
    except TimeoutError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        # INTERFACES section 5 names the keys, and programs lean on them.
        typer.echo(json.dumps({name: value for name, value in result.items() if name != "filed"}))
    else:
        for line in _last_words(result, keep):
            console.print(line)
    if result["order_violations"] or result["unaccounted"] or result["verify"] != "ok":
        raise typer.Exit(7)


def _last_words(result: dict[str, Any], keep: Path | None) -> list[str]:
    figures = (
        f"[bold]{result['published']} published, {result['captured']} captured, {result['filed']} filed by hand, "
        f"{result['rejected']} rejected, {result['unaccounted']} unaccounted for, {result['order_violations']} out of order; "
        f"{result['seconds']} s."
    )
    words = ["", figures]
    if keep is not None:
        words.append(f"Look around in the demo's log: tidegate status --data {keep}, tidegate audit verify --data {keep}")
    return words
