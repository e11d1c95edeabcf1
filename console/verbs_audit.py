"""`tidegate audit`: reading the log back; must not write anything."""

from typing import TYPE_CHECKING, Any

import typer

from console.options import AsJson, Bootstrap, DataDir
from console.output import Exit

if TYPE_CHECKING:
    from console.session import Session

audits = typer.Typer(
    help="Reading the log back: one message's story, a past moment, the proof that it holds.", rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(audits, name="audit", no_args_is_help=True)


@audits.command("verify")
def verify_(*, as_json: AsJson = False, data: DataDir = None, kafka: Bootstrap = None) -> int:
    """Check on the raw log what Tidegate promises, without using Tidegate's own rules; exit code 7 if it fails."""
    from audit.verify import verify
    from console.session import session
    from schemas.codec import Codec

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        report = verify(on.opened.log, Codec(), progress=_progress(on))
        on.out.result(report.as_json(), lambda: [*report.lines(), f"verify: {'ok' if report.ok else 'FAILED'}"])
    return int(Exit.DONE if report.ok else Exit.INTEGRITY)


def _progress(on: "Session") -> Any:
    from audit.reading import silent
    from console.output import is_terminal

    if not is_terminal():
        return silent
    return lambda stream, position, end: on.out.say(f"{stream}: {position:,} of {end:,}")
