"""`tidegate message`, `why`, `to-file`: where one message stands and what a person does about it; must not decide."""

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from console.options import AsJson, Bootstrap, DataDir, ModeFilter, Person, ReasonNeeded, TenantFilter
from console.output import ROWS_MAX, Exit, Stop, at_ms_of, command, counted, moment, table, utc

if TYPE_CHECKING:
    from console.session import Heard, Session
    from lane.state import LaneState, Message
    from lane.view import LaneView
    from schemas.facts import LaneFact

messages = typer.Typer(help="One message: where it stands, and what a person does about it.", rich_markup_mode=None)

Key = Annotated[str, typer.Argument(help="The publisher's key.")]
SETTLED: Final = ("held", "captured", "rejected", "withdrawn")


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(messages, name="message", no_args_is_help=True)
    app.command("why")(why)
    app.command("to-file")(to_file)


class Found(NamedTuple):
    """The one message that a key names, in the fold of its lane; `heard` listens to that fold."""

    message: "Message"
    view: "LaneView"
    heard: "Heard"


@messages.command("show")
def show(
    *,
    key: Key,
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Everything known of one message."""
    from console.session import session

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = find(on, key, mode=mode, tenant=tenant)
        value = described(found)
        on.out.result(value, lambda: _shown(value))
    return int(Exit.DONE)


def why(
    *,
    key: Key,
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Why a message stands where it stands: the chain of reasons in sentences, each with its rule."""
    from console.session import session

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = find(on, key, mode=mode, tenant=tenant)
        whole = described(found)
        value = {name: whole[name] for name in ("lane", "tenant", "key", "position", "state", "since", "to_file", "reasons")}
        on.out.result(value, lambda: _reasons(value))
    return int(Exit.DONE)


@messages.command("withdraw")
def withdraw(
    *,
    key: Key,
    reason: ReasonNeeded,
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Take a message back that is not at CBSA yet (R15)."""
    from console.clock import wall_ms
    from console.session import person_of, said, session
    from schemas.facts import MessageWithdrawn

    who, why_ = person_of(person), said(reason, "--reason")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = find(on, key, mode=mode, tenant=tenant)
        fact = MessageWithdrawn(at_ms=wall_ms(), message=found.message.position, basis=found.message.act, person=who, reason=why_)
        return _acted(on, found, fact)


@messages.command("filed")
def filed(
    *,
    key: Key,
    reference: Annotated[str, typer.Option("--reference", metavar="TEXT", help="What CBSA's page showed after filing.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it was filed by hand.")] = "filed in the portal",
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Say that a clerk filed it by hand: the document is on file (R34)."""
    from console.clock import wall_ms
    from console.session import person_of, said, session
    from schemas.facts import MessageFiled

    who, why_, shown = person_of(person), said(reason, "--reason"), said(reference, "--reference")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = find(on, key, mode=mode, tenant=tenant)
        fact = MessageFiled(
            at_ms=wall_ms(), message=found.message.position, basis=found.message.act, reference=shown, person=who, reason=why_
        )
        return _acted(on, found, fact)


@messages.command("settle")
def settle(
    *,
    key: Key,
    to: Annotated[str, typer.Option("--to", metavar="STATE", help="held, captured, rejected or withdrawn.")],
    evidence: Annotated[str, typer.Option("--evidence", metavar="TEXT", help="What proves it: a letter, a call, a page.")],
    reason: ReasonNeeded,
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Say what became of a parked, rejected or unknown message (R57)."""
    from console.clock import wall_ms
    from console.session import person_of, said, session
    from schemas.facts import MessageSettled, SettledTo

    states: dict[str, SettledTo] = {"held": "held", "captured": "captured", "rejected": "rejected", "withdrawn": "withdrawn"}
    if to not in states:
        raise Stop(Exit.USAGE, f"a message can't be settled to {to}; use one of {', '.join(SETTLED)}")
    who, why_, proof = person_of(person), said(reason, "--reason"), said(evidence, "--evidence")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = find(on, key, mode=mode, tenant=tenant)
        fact = MessageSettled(
            at_ms=wall_ms(), message=found.message.position, basis=found.message.act, to=states[to], person=who, reason=why_,
            evidence=proof,
        )  # fmt: skip
        return _acted(on, found, fact)


@messages.command("revoke")
def revoke(
    *,
    key: Key,
    notice: Annotated[str, typer.Option("--notice", metavar="TEXT", help="The bulletin or letter that says CBSA lost it.")],
    reason: ReasonNeeded,
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Say that CBSA lost a captured message: it is held again and goes once more (R56)."""
    from console.clock import wall_ms
    from console.session import person_of, said, session
    from schemas.facts import CaptureRevoked

    who, why_, told = person_of(person), said(reason, "--reason"), said(notice, "--notice")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = find(on, key, mode=mode, tenant=tenant)
        fact = CaptureRevoked(
            at_ms=wall_ms(), message=found.message.position, basis=found.message.act, notice=told, person=who, reason=why_
        )
        return _acted(on, found, fact)


def to_file(
    *,
    mode: ModeFilter = None,
    tenant: TenantFilter = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """The clerks' work list: portal messages that may be filed by hand now, in order (R34)."""
    from console.clock import wall_ms
    from console.session import session
    from lane.ready import NO_DEADLINE

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        waiting: list[tuple[tuple[int, int, int], dict[str, Any]]] = []
        at_ms = wall_ms()
        for name, view in on.lanes(mode).items():
            for message in _may_be_filed(view.state, at_ms=at_ms):
                if tenant is None or message.tenant == tenant:
                    deadline = NO_DEADLINE if message.deadline_ms is None else message.deadline_ms
                    order = (0 if message.kind == "release" else 1, deadline, message.received_ms)
                    waiting.append((order, _work_item(name, message)))
        work = [item for _, item in sorted(waiting, key=lambda pair: pair[0])]
        on.out.result(work, lambda: _work(work))
    return int(Exit.DONE)


def find(on: "Session", key: str, *, mode: str | None, tenant: str | None) -> Found:
    """The one message with that publisher's key. Raises Stop when there is none or the key names several."""
    from console.session import Heard, checked_mode
    from schemas.streams import MODES, lane

    found = []
    for name in (checked_mode(mode),) if mode else MODES:
        if on.opened.log.end(lane(name)):
            heard = Heard()
            view = on.lane(name, heard)
            found += [Found(message, view, heard) for message in view.state.find(tenant, key)]
    if not found:
        where = f"the {mode} lane" if mode else "any lane"
        whose = f" of tenant {tenant}" if tenant else ""
        raise Stop(
            Exit.NOTHING,
            f"there is no message {key}{whose} in {where}; if its receipt is fresh, intake has not come to it (does tidegate up "
            "run?), and what was refused takes no key",
        )
    if len(found) > 1:
        choices = [{"mode": each.view.state.mode, "tenant": each.message.tenant} for each in found]
        named = ", ".join(f"--mode {each['mode']} --tenant {quote(each['tenant'])}" for each in choices[:ROWS_MAX])
        raise Stop(Exit.USAGE, f"{key} names {len(found)} messages; say which: {named}", choices=choices)
    return found[0]


def described(found: Found) -> dict[str, Any]:
    """Everything known of a message, for programs; moments in RFC 3339 UTC."""
    from console.clock import wall_ms
    from lane.identity import wire_key
    from lane.state import NEVER
    from lane.why import is_to_file
    from lane.why import why as reasons_of

    state, message, at_ms = found.view.state, found.message, wall_ms()
    return {
        "lane": state.mode,
        "tenant": message.tenant,
        "key": message.key,
        "position": message.position,
        "kind": message.kind,
        "function": message.function,
        "channel": message.channel,
        "document": message.doc.key,
        "on_file": message.doc.on_file,
        "state": message.state,
        "since": utc(message.since_ms),
        "to_file": is_to_file(state, message, at_ms=at_ms),
        "received_at": utc(message.received_ms),
        "deadline": utc(message.deadline_ms),
        "inbound_position": message.inbound,
        "sha256": message.sha256,
        "size_bytes": message.size_bytes,
        "wire_key": wire_key(state.mode, message),
        "submission": message.submission,
        "attempts": message.attempts,
        "grant": None if message.grant == NEVER else message.grant,
        "transmitted_at": utc(message.transmitted_ms),
        "code": message.code or None,
        "remark": message.remark or None,
        "needs_a_person": message.needs_person or None,
        "corrected_by": message.corrected_by.key if message.corrected_by else None,
        "reasons": [{"rule": each.rule, "sentence": each.sentence} for each in reasons_of(state, message, at_ms=at_ms)],
    }


def _acted(on: "Session", found: Found, fact: "LaneFact") -> int:
    """Append the act, say where it stands in the log and what became of the message."""
    from console.session import act
    from schemas.streams import lane

    stream = lane(found.view.state.mode)
    done = act(on, fact, stream=stream, view=found.view, heard=found.heard).or_stop()
    value = {**described(found), "event": done.event}
    on.out.result(value, lambda: [f"{found.message} is {found.message.state} now ({stream} {done.position}).", *_next(value)])
    return int(Exit.DONE)


def _next(value: dict[str, Any]) -> list[str]:
    return [f"next: {command('why', value['key'], *_whose(value))}"]


def _whose(value: dict[str, Any]) -> tuple[str, ...]:
    return "--mode", value["lane"], "--tenant", value["tenant"]


def _shown(value: dict[str, Any]) -> Iterator[Any]:
    state = f"{value['state']} (a clerk may file it now)" if value["to_file"] else value["state"]
    rows = [
        ("message", f"{value['lane']} {value['tenant']}/{value['key']}"),
        ("what", f"{value['kind']} {value['function']} over {value['channel']}"),
        ("document", f"{value['document']} ({'on file' if value['on_file'] else 'not on file'})"),
        ("state", state),
        ("since", moment(at_ms_of(value["since"]))),
        ("received", moment(at_ms_of(value["received_at"]))),
        ("deadline", moment(at_ms_of(value["deadline"]))),
        ("in the log", f"lane.{value['lane']} {value['position']}, bytes at inbound.{value['lane']} {value['inbound_position']}"),
        ("sha256", value["sha256"]),
        ("wire key", f"{value['wire_key']} (submission {value['submission']}, attempts {value['attempts']})"),
        ("person needed", value["needs_a_person"] or "no"),
    ]
    yield table(("", ""), rows)
    yield from (f"{each['rule']}: {each['sentence']}" for each in value["reasons"])


def _reasons(value: dict[str, Any]) -> Iterator[Any]:
    yield f"{value['tenant']}/{value['key']} in {value['lane']} is {value['state']}:"
    for number, each in enumerate(value["reasons"]):
        yield f"  {'because' if number == 0 else '    and'} {each['sentence']} [{each['rule']}]"
    if value["to_file"]:
        filed_by = command("message", "filed", value["key"], *_whose(value), "--reference", "TEXT")
        yield f"next: file it in the portal, then {filed_by}"
    else:
        yield f"next: {command('audit', 'story', value['key'], *_whose(value))}"


def _may_be_filed(state: "LaneState", *, at_ms: int) -> Iterator["Message"]:
    from lane.why import is_to_file

    persons = {name for name, channel in state.policy.channels.items() if channel.delivery == "person"}
    if any(state.channel(name).held for name in persons):
        yield from (message for message in state.held() if message.channel in persons and is_to_file(state, message, at_ms=at_ms))


def _work_item(lane: str, message: "Message") -> dict[str, Any]:
    return {
        "lane": lane,
        "tenant": message.tenant,
        "key": message.key,
        "channel": message.channel,
        "kind": message.kind,
        "function": message.function,
        "document": message.doc.key,
        "received_at": utc(message.received_ms),
        "deadline": utc(message.deadline_ms),
        "inbound_position": message.inbound,
    }


def _work(work: list[dict[str, Any]]) -> Iterator[Any]:
    if not work:
        yield "Nothing to file by hand now."
        return
    yield f"{counted(len(work), 'message')} to file by hand, in this order:"
    columns = ("lane", "channel", "tenant", "key", "kind", "function", "document", "deadline")
    yield table(columns, ([each[name] for name in columns] for each in work[:ROWS_MAX]))
    if len(work) > ROWS_MAX:
        yield f"... and {len(work) - ROWS_MAX:,} more; --json lists them all."
    yield f"next: {command('message', 'filed', work[0]['key'], *_whose(work[0]), '--reference', 'TEXT')}"
