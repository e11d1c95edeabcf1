"""`tidegate channel`: an operator's hand on one of CBSA's components; must not decide what that opens or holds."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from console.options import AsJson, Bootstrap, DataDir, Person, ReasonNeeded
from console.output import Exit, Stop

channels = typer.Typer(help="Open or hold one of CBSA's components by hand (R30); a channel's own rate.", rich_markup_mode=None)

Component = Annotated[str, typer.Argument(help="edi, emanifest_portal, cers, ccp, cad_api, swi, cig or rns.")]
Towards = Annotated[str, typer.Option("--direction", help="inbound (to CBSA) or outbound (CBSA's answers).")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(channels, name="channel", no_args_is_help=True)


@channels.command("open")
def open_(
    *,
    component: Component,
    reason: ReasonNeeded,
    direction: Towards = "inbound",
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Open a component against every outage that covers it now; one canary goes first (R32)."""
    return _override(component, direction, to="open", reason=reason, person=person, as_json=as_json, data=data, kafka=kafka)


@channels.command("hold")
def hold(
    *,
    component: Component,
    reason: ReasonNeeded,
    direction: Towards = "inbound",
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Hold a component until it is opened by hand."""
    return _override(component, direction, to="hold", reason=reason, person=person, as_json=as_json, data=data, kafka=kafka)


@channels.command("rate")
def rate_(
    *,
    channel: Annotated[str, typer.Argument(help="A message's channel: edi, cig, swi or cad_api.")],
    number: Annotated[str, typer.Argument(metavar="N|none|default", help="Messages a second and lane; default is that of all.")],
    reason: ReasonNeeded,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Give a channel a rate of its own, beside the policy's `rate_max_per_s` for all (R42)."""
    from console.rates import read_channel_rate
    from console.verbs_policy import Where, change

    rate = read_channel_rate(number)
    return change(
        lambda policy: policy.with_rates({channel: rate}),
        act_name="channel rate",
        on=f"{channel} {number}",
        changed=["channel_rate_max_per_s"],
        person=person,
        reason=reason,
        where=Where(as_json=as_json, data=data, kafka=kafka),
    )


def _override(
    component: str,
    direction: str,
    *,
    to: Literal["open", "hold"],
    reason: str,
    person: str | None,
    as_json: bool,
    data: Path | None,
    kafka: str | None,
) -> int:
    from console.clock import wall_ms
    from console.session import Heard, act, person_of, said, session
    from lane.state import NEVER
    from schemas import facts
    from schemas.streams import DESK

    if component not in facts.COMPONENTS:
        raise Stop(Exit.USAGE, f"there is no component {component}; use one of {', '.join(facts.COMPONENTS)}")
    if direction not in ("inbound", "outbound"):
        raise Stop(Exit.USAGE, f"a direction is inbound or outbound, not {direction}")
    who, why = person_of(person), said(reason, "--reason")
    with session(as_json=as_json, data=data, kafka=kafka) as on:
        heard = Heard()
        view = on.desk(heard)
        fact = facts.ComponentOverridden(
            at_ms=wall_ms(),
            component=component,
            direction=cast("facts.Direction", direction),
            to=to,
            person=who,
            reason=why,
            basis=view.state.last_act.get((component, direction), NEVER),
        )
        done = act(on, fact, stream=DESK, view=view, heard=heard).or_stop()
        value: dict[str, Any] = {
            "component": component, "direction": direction, "to": to, "person": who, "reason": why, "event": done.event,
        }  # fmt: skip
        word = "opened" if to == "open" else "held"
        on.out.result(
            value,
            lambda: [
                f"{component} {direction} is {word} by {who} (desk {done.position}); the lanes follow when a worker copies it.",
                "next: tidegate status",
            ],
        )
    return int(Exit.DONE)
