"""`tidegate bulletin`: CBSA's notices in, and what was made of them; must not read a notice itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.options import AsJson, Bootstrap, DataDir, Person, ReasonNeeded
from console.output import Exit, Stop, at_ms_of, command, counted, moment, table, utc

if TYPE_CHECKING:
    from schemas.facts import BulletinRead, BulletinUnread, Scope

bulletins = typer.Typer(help="CBSA's notices: take one in, list them, say that one was dealt with.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(bulletins, name="bulletin", no_args_is_help=True)


@bulletins.command("add")
def add(
    *,
    file: Annotated[str, typer.Argument(help="The notice as CBSA sent it; - is standard input.")],
    received: Annotated[
        str | None, typer.Option("--received", metavar="TIME", help="When it came, RFC 3339 (default: now).")
    ] = None,
    person: Person = None,
    reason: ReasonNeeded = "a notice of CBSA",
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Take in a notice. It is kept raw in any case; what can't be read changes nothing and asks for a person."""
    from hashlib import sha256

    from console.clock import wall_ms
    from console.session import door, person_of, said
    from console.verbs_audit import moment_ms
    from console.verbs_publish import reading
    from consumers.notice_layout import NoticeUnreadable
    from consumers.notices import Notice, read_notice
    from producers.bulletins import BULLETIN_BYTES_MAX, BulletinRefused, add_bulletin

    who, why = person_of(person), said(reason, "--reason")
    received_ms = wall_ms() if received is None else moment_ms(received)
    with reading(file) as source:
        text = source.read(BULLETIN_BYTES_MAX + 1)
    notice: Notice | None = None
    unreadable = None
    try:
        notice = read_notice(text.decode("utf-8", "replace"), received_ms=received_ms)
    except NoticeUnreadable as exc:
        unreadable = str(exc)
    with door(as_json=as_json, data=data, kafka=kafka) as on:
        try:
            position = add_bulletin(on.opened.log, text, received_ms=received_ms, name=file, person=who, reason=why)
        except BulletinRefused as exc:
            raise Stop(Exit.USAGE, str(exc)) from exc
        value = {
            "position": position,
            "sha256": sha256(text).hexdigest(),
            "received_at": utc(received_ms),
            "number": notice.number if notice else None,
            "state": notice.state if notice else None,
            "title": notice.title if notice else None,
            "scopes": [_scope(scope) for scope in notice.scopes] if notice else [],
            "findings": list(notice.findings) if notice else [],
            "unreadable": unreadable,
            "resolved_at": utc(notice.resolved_ms) if notice else None,
        }
        on.out.result(value, lambda: _added(value))
        if unreadable is not None:
            on.out.say(
                f"kept, but it can't be read and changes nothing: {unreadable} A person must act (tidegate channel hold NAME "
                "--reason TEXT); tidegate bulletin list then shows how to say that it is handled"
            )
    return int(Exit.DONE if unreadable is None else Exit.PARTLY)


@bulletins.command("list")
def list_(*, as_json: AsJson = False, data: DataDir = None, kafka: Bootstrap = None) -> int:
    """The notices taken in, what each was read as, and whether it took effect."""
    from console.session import session
    from lane.state import NEVER, Finding
    from schemas.facts import BulletinRead, BulletinUnread, Fact
    from schemas.streams import BULLETINS, Record

    found: list[dict[str, Any]] = []

    def listen(record: Record, fact: Fact, findings: tuple[Finding, ...]) -> None:
        if isinstance(fact, BulletinRead | BulletinUnread):
            void = next((finding.sentence for finding in findings if finding.void), None)
            if void is None or not any(finding.rule == "R1" for finding in findings):
                found.append(_read_as(record.position, fact, void=void))

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        desk = on.desk_from_zero(listen).state
        for each in found:
            each["needs_a_person"] = each["desk_position"] in desk.tasks
        unread = max(0, on.opened.log.end(BULLETINS) - desk.marks.get(BULLETINS, NEVER) - 1)
        on.out.result(found, lambda: _listed(found))
        if unread:
            on.out.say(f"{counted(unread, 'notice')} not read yet: does tidegate up run?")
        if not found and not unread:
            on.out.say("no notice was taken in yet: tidegate bulletin add FILE")
    return int(Exit.DONE)


@bulletins.command("handled")
def handled(
    *,
    position: Annotated[int, typer.Argument(min=0, help="Desk position, as bulletin list and status show it.")],
    reason: ReasonNeeded,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Say that a person has dealt with a notice that asked for one."""
    from console.clock import wall_ms
    from console.session import Heard, act, person_of, said, session
    from schemas.facts import NoticeHandled
    from schemas.streams import DESK

    who, why = person_of(person), said(reason, "--reason")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        heard = Heard()
        view = on.desk(heard)
        task = view.state.tasks.get(position)
        if task is None:
            raise Stop(Exit.NOTHING, f"nothing at desk {position} waits for a person; tidegate bulletin list shows what does")
        fact = NoticeHandled(at_ms=wall_ms(), position=position, person=who, reason=why)
        done = act(on, fact, stream=DESK, view=view, heard=heard).or_stop()
        value = {"position": position, "what": task.what, "person": who, "reason": why, "event": done.event}
        on.out.result(value, lambda: [f"{who} has dealt with it: {task.what} (desk {done.position})"])
    return int(Exit.DONE)


def _scope(scope: "Scope") -> dict[str, Any]:
    return {
        "component": scope.component,
        "direction": scope.direction,
        "effect": scope.effect,
        "tenants": list(scope.tenants),
        "starts_at": utc(scope.starts_ms),
        "ends_at": utc(scope.ends_ms),
        "scheduled": scope.scheduled,
    }


def _read_as(position: int, fact: "BulletinRead | BulletinUnread", *, void: str | None) -> dict[str, Any]:
    from schemas.facts import BulletinRead

    read = fact if isinstance(fact, BulletinRead) else None
    said = fact.findings if isinstance(fact, BulletinRead) else (fact.reason,)
    return {
        "position": fact.source.position,
        "desk_position": position,
        "received_at": utc(fact.received_ms),
        "number": read.number if read else None,
        "state": read.state if read else "unreadable",
        "title": read.title if read else None,
        "scopes": [_scope(scope) for scope in read.scopes] if read else [],
        "effective": read is not None and void is None,
        "findings": [*said, *([void] if void else [])],
    }


def _added(value: dict[str, Any]) -> Iterator[Any]:
    yield "Notice kept."
    if value["number"] is not None:
        yield f"{value['number']} is {value['state']}: {value['title']}"
        yield _resolved(value) if value["state"] == "resolved" else _scopes(value["scopes"])
    yield from (f"look: {finding}" for finding in value["findings"])
    yield "next: tidegate bulletin list" if value["findings"] or value["unreadable"] else "next: tidegate status"


def _resolved(value: dict[str, Any]) -> Any:
    """What a RESOLVED notice says is over: nothing of it is unavailable any more, so no effect is shown."""
    if not value["scopes"]:
        return "It names no component."
    return table(
        ("resolved", "direction", "from", "to"),
        ((each["component"], each["direction"], each["starts_at"], value["resolved_at"] or "?") for each in value["scopes"]),
    )


def _scopes(scopes: list[dict[str, Any]]) -> Any:
    if not scopes:
        return "It names no component."
    return table(
        ("component", "direction", "effect", "tenants", "from", "to"),
        (
            (
                each["component"],
                each["direction"],
                each["effect"],
                ", ".join(each["tenants"]) or "all",
                each["starts_at"],
                each["ends_at"],
            )
            for each in scopes
        ),
    )


def _listed(found: list[dict[str, Any]]) -> Iterator[Any]:
    rows, asked = [], []
    for each in found:
        asks, effect = "needed" if each["needs_a_person"] else "", "yes" if each["effective"] else "no"
        if each["needs_a_person"]:
            asked.append(
                f"{each['number'] or 'a notice'} needs a person; when done: "
                f"{command('bulletin', 'handled', each['desk_position'], '--reason', 'TEXT')}"
            )
        title = each["title"] or each["findings"][0]
        rows.append(
            (
                each["desk_position"],
                each["number"] or "?",
                each["state"],
                effect,
                asks,
                moment(at_ms_of(each["received_at"])),
                title,
            )
        )
    yield table(("desk", "number", "state", "took effect", "person", "received", "title"), rows)
    yield from asked
