"""`tidegate responses`: a provider's mail from CBSA, raw and matched; must not show one tenant what belongs to another (I10)."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.options import AsJson, Bootstrap, DataDir
from console.output import ROWS_MAX, Exit, counted, table, utc

if TYPE_CHECKING:
    from schemas.streams import Record


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("responses")(responses)


def responses(
    *,
    tenant: Annotated[str, typer.Option("--tenant", help="Whose mail.")],
    after: Annotated[int, typer.Option("--after", min=-1, metavar="N", help="Only what came after this position (`next`).")] = -1,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """The provider's mail from CBSA: each answer raw, with the message it belongs to where it names one. Ask on with `next`."""
    from console.session import session
    from console.wiring import read_all
    from consumers.responses import ResponsesView
    from schemas.streams import RESPONSES

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        pages = ResponsesView()
        mail: list[dict[str, Any]] = []
        last, unreadable = after, 0
        for record in read_all(on.opened.log, RESPONSES):
            gateway = (record.header("gateway") or b"").decode("utf-8", "replace")
            chain_end = pages.end_of(gateway)
            pages.absorb([record])
            last = max(last, record.position)
            if record.position <= after or pages.end_of(gateway) == chain_end:
                continue
            found = _mail_of(record, tenant, gateway=gateway)
            if found is None:
                unreadable += 1
            else:
                mail += found
        value = {"tenant": tenant, "next": last, "responses": mail}
        on.out.result(value, lambda: _shown(value))
        if unreadable:
            on.out.say(f"{counted(unreadable, 'page')} of CBSA's can't be read and may hold mail: ask the operator")
    return int(Exit.DONE)


def _mail_of(record: "Record", tenant: str, *, gateway: str) -> list[dict[str, Any]] | None:
    """What a page holds for a tenant, each item as it came; None when the page can't be read."""
    from gateway.answers import parse_page
    from lane.identity import parse_wire_key

    try:
        answers = parse_page(record.value)
        items = json.loads(record.value)["responses"]
    except (ValueError, KeyError, TypeError):
        return None
    found = []
    for answer, item in zip(answers, items, strict=True):
        named = parse_wire_key(answer.wire_key) if answer.wire_key is not None else None
        if (named[1] if named else answer.receiver) == tenant:
            found.append(
                {
                    "position": record.position,
                    "gateway": gateway,
                    "seq": answer.seq,
                    "lane": named[0] if named else None,
                    "key": named[2] if named else None,
                    "submission": named[3] if named else None,
                    "outcome": answer.outcome,
                    "code": answer.code,
                    "text": answer.text,
                    "at": utc(answer.at_ms),
                    "raw": item,
                }
            )
    return found


def _shown(value: dict[str, Any]) -> Iterator[Any]:
    mail = value["responses"]
    if not mail:
        yield f"No mail for {value['tenant']} after that position."
        return
    yield f"{counted(len(mail), 'answer')} for {value['tenant']}:"
    columns = ("position", "lane", "key", "submission", "outcome", "code", "text", "at")
    yield table(columns, ([each[name] for name in columns] for each in mail[-ROWS_MAX:]))
    if len(mail) > ROWS_MAX:
        yield f"... and {len(mail) - ROWS_MAX:,} before these; --json lists them all."
    yield f"next: tidegate responses --tenant {value['tenant']} --after {value['next']}"
