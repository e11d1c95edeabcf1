"""The options that many verbs share, as annotated types; must not know what a verb does with them."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON value on standard output; talk on standard error.")]
DataDir: TypeAlias = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder of the embedded engine (TIDEGATE_DATA; default .tidegate).")
]
Bootstrap: TypeAlias = Annotated[
    str | None, typer.Option("--kafka", metavar="BOOTSTRAP", help="Kafka engine, HOST:PORT with commas between (TIDEGATE_KAFKA).")
]
Person: TypeAlias = Annotated[str | None, typer.Option("--as", metavar="PERSON", help="Who acts (default: the login name).")]
PersonUnkept: TypeAlias = Annotated[
    str | None, typer.Option("--as", metavar="PERSON", help="Not kept: what is taken in names its own author.")
]
ReasonUnkept: TypeAlias = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Not kept: what is taken in speaks for itself.")
]
ReasonNeeded: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is written down with the act.")]
ModeFilter: TypeAlias = Annotated[
    str | None, typer.Option("--mode", metavar="MODE", help="highway, rail, air, marine, export or accounting.")
]
TenantFilter: TypeAlias = Annotated[str | None, typer.Option("--tenant", metavar="TENANT", help="Whose message it is.")]
