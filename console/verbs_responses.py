"""`tidegate responses`: a provider's mail from CBSA, raw and matched; must not choose what belongs to whom: `audit.mail` does."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from console.options import AsJson, Bootstrap, DataDir
from console.output import ROWS_MAX, Exit, command, counted, table


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
    from audit.mail import mail
    from console.session import session

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        found = list(mail(on.opened.log, tenant=tenant, after=after))
        last = max((item["position"] for item in found), default=after)
        value = {"tenant": tenant, "next": last, "responses": found}
        on.out.result(value, lambda: _shown(value))
    return int(Exit.DONE)


def _shown(value: dict[str, Any]) -> Iterator[Any]:
    found = value["responses"]
    if not found:
        yield f"No mail for {value['tenant']} after that position."
        return
    yield f"{counted(len(found), 'answer')} for {value['tenant']}:"
    yield table(
        ("position", "message", "outcome", "code", "text", "at"),
        (
            (each["position"], _message(each["matched"]), each["outcome"], each["code"], each["text"], each["at"])
            for each in found[-ROWS_MAX:]
        ),
    )
    if len(found) > ROWS_MAX:
        yield f"... and {len(found) - ROWS_MAX:,} before these; --json lists them all."
    yield f"next: {command('responses', '--tenant', value['tenant'], '--after', value['next'])}"


def _message(matched: dict[str, Any] | None) -> str:
    return f"{matched['mode']} {matched['key']}, submission {matched['submission']}" if matched else "none of yours"
