"""The command line: which verbs there are and what an error is told as; must not do what a verb does.

Errors that a person can cause are one sentence on standard error that says what to do, and an exit code of INTERFACES section 1.
"""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from console import (
    demo,
    up,
    verbs_audit,
    verbs_authority,
    verbs_bulletin,
    verbs_channel,
    verbs_doctor,
    verbs_message,
    verbs_policy,
    verbs_publish,
    verbs_replay,
    verbs_responses,
    verbs_status,
)
from console.output import Exit, Stop, complain

EPILOG: Final = """\b
Exit codes: 0 done, 1 failed, 2 usage, 3 nothing matched, 4 refused by policy or
role, 5 held because the authority is unavailable, 6 partly done (see list),
7 integrity check failed."""

INTERRUPTED: Final = 130
"""What shells expect of a program that Ctrl-C ended: 128 and the signal's number."""

UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a disk or terminal that takes no more; those of the log's own files come as a LogError."""

app = typer.Typer(
    name="tidegate",
    help="A store-and-forward queue for customs EDI: holds while CBSA is down, drains in CBSA's order, and proves it.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: quick to print, the same everywhere, and a test can read it
    pretty_exceptions_enable=False,
)
for verbs in (
    up,
    demo,
    verbs_publish,
    verbs_bulletin,
    verbs_status,
    verbs_doctor,
    verbs_message,
    verbs_replay,
    verbs_responses,
    verbs_channel,
    verbs_policy,
    verbs_audit,
    verbs_authority,
):
    verbs.register(app)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tidegate {version('tidegate')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """What stands before any verb."""
    del version  # the callback has answered


def main() -> None:
    """The entry point `tidegate`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code (INTERFACES section 1). Raises nothing that a user can cause."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), prog_name="tidegate", standalone_mode=False)
        sys.stdout.flush()
    except Stop as stop:
        complain(str(stop), stop.code, as_json=as_json, fields=stop.fields)
        return int(stop.code)
    except typer.Abort:
        typer.echo("tidegate: stopped", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.DONE)
    except Exception as error:  # noqa: BLE001 - the one place where an error becomes a sentence; what is no user's doing goes on
        return _told(error, as_json=as_json)
    if code == INTERRUPTED:
        typer.echo("tidegate: stopped; what was receipted or acknowledged stays", err=True)
    return int(code or Exit.DONE)


def _told(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong and return the exit code; raises again what only a programmer can have caused."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error), err=True)
        return int(Exit.USAGE)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        where = f"; see {context.command_path} --help" if context is not None else ""
        complain(f"{error.format_message().rstrip('.')}{where}", Exit.USAGE, as_json=as_json, fields={})
        return int(Exit.USAGE)
    from eventlog.port import LogError, LogRegressed
    from lane.fold import RulesTooOld
    from lane.view import FactMisplaced
    from schemas.codec import CodecError

    match error:
        case LogRegressed() | FactMisplaced() | CodecError():
            code = Exit.INTEGRITY
        case LogError() | RulesTooOld():
            code = Exit.FAILED
        case OSError() if error.errno in UNWRITABLE and error.filename is None:
            # Nothing more may go to standard output: Python would try to write the rest of it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sentence = f"the output can't be written ({error.strerror}): make room, or send it somewhere else"
            complain(sentence, Exit.FAILED, as_json=False, fields={})
            return int(Exit.FAILED)
        case OSError() if error.filename is not None:
            complain(f"{error.filename}: {error.strerror}", Exit.FAILED, as_json=as_json, fields={})
            return int(Exit.FAILED)
        case _:
            raise error
    complain(str(error), code, as_json=as_json, fields={})
    return int(code)
