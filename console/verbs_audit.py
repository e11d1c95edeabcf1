"""`tidegate audit`: reading the log back, and proving that it holds; must not write to the log."""

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from console.options import AsJson, Bootstrap, DataDir, ModeFilter, TenantFilter
from console.output import ROWS_MAX, Exit, Stop, command, counted, is_terminal, moment, utc

if TYPE_CHECKING:
    from audit.as_of import Snapshot
    from audit.verify import Report
    from console.output import Output
    from console.session import Session

LOOK_COUNT: Final = 10
"""Lines in which an export is known by its chain: more than anybody garbles by accident."""

LOOK_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest line that is looked at, as `audit.exported` reads them."""

audits = typer.Typer(help="Reading the log back: a message's story, a past moment, the proof.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(audits, name="audit", no_args_is_help=True)


@audits.command("story")
def story(
    *,
    key: Annotated[str, typer.Argument(help="The publisher's key.")],
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Everything that happened to one message, in log order, with positions and both clocks."""
    from audit.story import story as story_of
    from console.session import checked_mode, session

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        where = (checked_mode(mode), tenant) if mode and tenant else _place(on, key, mode=mode, tenant=tenant)
        told = story_of(on.opened.log, on.opened.codec, mode=where[0], tenant=where[1], key=key)
        on.out.result(told.as_json(), told.lines)
    return int(Exit.DONE if told.found else Exit.NOTHING)


@audits.command("as-of")
def as_of(
    *,
    time: Annotated[str, typer.Argument(metavar="TIME", help="RFC 3339 with an offset: 2026-03-01T12:00:00-05:00.")],
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """What was known at a moment: the status as it would have been shown then."""
    from audit.as_of import as_of as fold_to
    from console.clock import wall_ms
    from console.session import session
    from console.verbs_status import shown

    at_ms = moment_ms(time)
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        value = _known(fold_to(on.opened.log, on.opened.codec, at_ms=at_ms))
        first_ms, last_ms = _span_ms(on)
        if first_ms is None or at_ms < first_ms:
            began = "the log holds nothing yet" if first_ms is None else f"the log begins at {moment(first_ms, in_full=True)}"
            on.out.result(value, lambda: [f"At {moment(at_ms, in_full=True)} nothing was known: {began}."])
            return int(Exit.DONE)
        if at_ms > wall_ms():
            on.out.say(f"that is still to come; the log's last record is of {moment(last_ms, in_full=True)}")
        heading = f"What was known at {moment(at_ms, in_full=True)}:"
        on.out.result(value, lambda: [heading, *shown(value, now_ms=min(at_ms, wall_ms()))])
    return int(Exit.DONE)


def _span_ms(on: "Session") -> tuple[int | None, int | None]:
    """When the first fact of the lanes and the desk was written down and when the last; None in an empty log."""
    from schemas.streams import DESK, MODES, lane

    log, times_ms = on.opened.log, []
    for stream in (*map(lane, MODES), DESK):
        end = log.end(stream)
        for position in {0, end - 1} if end else ():
            times_ms += [on.opened.codec.decode(record.value).at_ms for record in log.read(stream, position, 1, 1.0)]
    return min(times_ms, default=None), max(times_ms, default=None)


@audits.command("verify")
def verify(
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="An exported log, instead of the log itself.")
    ] = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Check on the raw log what Tidegate promises, without using Tidegate's own rules; exit code 7 if it fails."""
    from audit.verify import verify as check
    from console.output import Output
    from console.session import session
    from schemas.codec import Codec

    if file is not None:
        return _verify_file(file, Output(as_json=as_json))
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        return _verified(check(on.opened.log, Codec(), progress=_progress(on.out)), on.out)


@audits.command("export")
def export(
    *,
    file: Annotated[str, typer.Argument(help="A file that is not there yet; - is standard output.")] = "-",
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Write the whole log as JSON lines, each chained to the one before; check it anywhere with audit verify --file."""
    from audit.export import export as write
    from console.session import session

    if file == "-" and as_json:
        raise Stop(Exit.USAGE, "--json is one value and the export has many; name a FILE for it")
    if file == "-" and sys.stdout.isatty():
        raise Stop(Exit.USAGE, "the whole log is not for a terminal: tidegate audit export FILE, or send the output to a file")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        if file == "-":
            summary = write(on.opened.log, on.opened.codec, sys.stdout.buffer, progress=_progress(on.out))
        else:
            try:
                target = Path(file).open("xb")  # noqa: SIM115 - closed below; only opening it is a user's mistake
            except OSError as exc:
                raise Stop(Exit.USAGE, f"{file} can't be made ({exc.strerror}); name a file that is not there yet") from exc
            with target:
                summary = write(on.opened.log, on.opened.codec, target, progress=_progress(on.out))
        total = sum(summary.counts.values())
        if file != "-":
            value = {
                "file": file,
                "records": total,
                "counts": summary.counts,
                "size_bytes": summary.size_bytes,
                "chain": summary.chain,
            }
            on.out.result(value, lambda: [f"{counted(total, 'record')} in {file}, {summary.size_bytes:,} bytes."])
        kept = file if file != "-" else "FILE"
        check = command("audit", "verify", "--file", kept)
        on.out.say(f"chain {summary.chain}: note it down where the file is not; then {check}")
    return int(Exit.DONE)


def moment_ms(text: str) -> int:
    """Unix milliseconds of what a person typed as RFC 3339. Raises Stop."""
    from schemas.messages import RFC_3339, YEARS, to_ms

    if RFC_3339.fullmatch(text):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = None
        if at is not None and at.year in YEARS:
            return to_ms(at)
    raise Stop(Exit.USAGE, f"{text} is no time; write RFC 3339 with an offset, such as 2026-03-01T12:00:00-05:00")


def _place(on: "Session", key: str, *, mode: str | None, tenant: str | None) -> tuple[str, str]:
    """The one lane and tenant under which the key was published. Raises Stop when there is none or there are several."""
    from audit.story import NOT_IN_THE_LOG, places
    from console.session import checked_mode
    from schemas.streams import MODES

    modes = (checked_mode(mode),) if mode else MODES
    found = [place for place in places(on.opened.log, on.opened.codec, key=key, modes=modes) if tenant in (None, place[1])]
    if not found:
        sentence = f"no lane has taken in {key}; with --mode and --tenant the story says whether it is {NOT_IN_THE_LOG}"
        raise Stop(Exit.NOTHING, sentence)
    if len(found) > 1:
        named = ", ".join(f"--mode {name} --tenant {quote(whose)}" for name, whose in found[:ROWS_MAX])
        choices = [{"mode": name, "tenant": whose} for name, whose in found]
        raise Stop(Exit.USAGE, f"{key} names {len(found)} messages; say which: {named}", choices=choices)
    return found[0]


def _known(snapshot: "Snapshot") -> dict[str, Any]:
    from console.verbs_status import status_of

    value = status_of(list(snapshot.lanes.values()), snapshot.desk, at_ms=snapshot.at_ms)
    return {"at": utc(snapshot.at_ms), "positions": snapshot.positions, **value}


def _verify_file(file: Path, out: "Output") -> int:
    from audit.exported import ExportBroken, ExportedLog
    from audit.verify import verify as check
    from schemas.codec import Codec

    try:
        if not _is_export(file):
            raise Stop(Exit.USAGE, f"{file} is no export; name a file that tidegate audit export wrote")
        log = ExportedLog(file)
    except ExportBroken as exc:
        raise Stop(Exit.INTEGRITY, f"{file}: {exc}", verify="failed") from exc
    except OSError as exc:
        raise Stop(Exit.USAGE, f"{file} can't be read ({exc.strerror}); name a file that audit export wrote") from exc
    try:
        out.say(f"chain {log.chain}: compare it with the one that was noted down")
        return _verified(check(log, Codec(), progress=_progress(out)), out)
    finally:
        log.close()


def _is_export(file: Path) -> bool:
    """Whether the file's head looks like one that `audit export` wrote, altered or not: what never was one is a slip of the hand.

    Any one line with a chain will do, so that an export whose first line was altered is still told as altered.
    """
    with file.open("rb") as source:
        return any(b'"chain"' in source.readline(LOOK_BYTES_MAX) for _ in range(LOOK_COUNT))


def _verified(report: "Report", out: "Output") -> int:
    out.result(report.as_json(), lambda: _report(report))
    return int(Exit.DONE if report.ok else Exit.INTEGRITY)


def _report(report: "Report") -> Iterator[str]:
    yield from report.lines()
    yield "verify: ok" if report.ok else "verify: FAILED; keep the log as it is and call a person"


def _progress(out: "Output") -> Callable[[str, int, int], None]:
    from audit.reading import silent

    if not is_terminal():
        return silent
    return lambda stream, position, end: out.say(f"{stream}: {position:,} of {end:,}")
