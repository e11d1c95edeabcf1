"""`tidegate policy`: the policy in force and its change, as a fact (I11); must not know what a setting does."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from console.options import AsJson, Bootstrap, DataDir, Person, ReasonNeeded
from console.output import Exit, Stop, table

if TYPE_CHECKING:
    from lane.policy import Policy

policies = typer.Typer(help="The policy that decisions are made by: show it, change it.", rich_markup_mode=None)

AT_LEAST_ONE: Final = (
    "in_flight_max", "batch_max", "probe_ms", "probe_max_ms", "unknown_streak_max", "delta_ms", "ttl_ms",
    "lag_max_ms", "rate_max_per_s",
)  # fmt: skip
"""Settings with which nothing would ever go, or a lane would never have a holder, at zero."""


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(policies, name="policy", no_args_is_help=True)


@policies.command("show")
def show(*, as_json: AsJson = False, data: DataDir = None, kafka: Bootstrap = None) -> int:
    """The policy in force."""
    from console.session import session

    with session(as_json=as_json, data=data, kafka=kafka) as on:
        policy = on.desk().state.policy
        on.out.result(json.loads(policy.as_json()), lambda: _shown(policy))
    return int(Exit.DONE)


@policies.command("set")
def set_(
    *,
    settings: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Such as drain=operator rate_max_per_s=20.")],
    reason: ReasonNeeded,
    person: Person = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Adopt a policy with these settings changed; it is in force from its position on. VALUE is JSON or a word; none is null."""
    changes = _changes(settings)
    return change(
        lambda policy: _changed(policy, changes),
        act_name="policy set",
        on=" ".join(settings),
        changed=sorted(changes),
        person=person,
        reason=reason,
        where=Where(as_json=as_json, data=data, kafka=kafka),
    )


class Where(NamedTuple):
    """Which log a verb is for, and whether it speaks JSON."""

    as_json: bool
    data: Path | None
    kafka: str | None


def change(
    wanted_of: "Callable[[Policy], Policy]",
    *,
    act_name: str,
    on: str,
    changed: list[str],
    person: str | None,
    reason: str,
    where: Where,
) -> int:
    """Adopt what `wanted_of` makes of the policy in force; what is not to be adopted is denied and written down (I8)."""
    from console.clock import wall_ms
    from console.session import Heard, act, deny, person_of, said, session
    from schemas.facts import PolicyAdopted
    from schemas.streams import DESK

    who, why = person_of(person), said(reason, "--reason")
    with session(as_json=where.as_json, data=where.data, kafka=where.kafka) as log:
        heard = Heard()
        view = log.desk(heard)
        wanted = wanted_of(view.state.policy)
        wrong = forbidden(wanted)
        if wrong:
            raise deny(log.opened, person=who, act=act_name, on=on, rule="R60", sentence=wrong, reason=why)
        if wanted == view.state.policy:
            raise Stop(Exit.NOTHING, "the policy in force says so already; nothing was written")
        basis = view.state.policy_at
        fact = PolicyAdopted(at_ms=wall_ms(), policy=wanted.as_json(), person=who, reason=why, basis=basis)
        done = act(log, fact, stream=DESK, view=view, heard=heard).or_stop()
        value = {"policy": json.loads(wanted.as_json()), "changed": changed, "person": who, "event": done.event}
        log.out.result(value, lambda: [f"Adopted at desk {done.position} by {who}: {on}.", "next: tidegate policy show"])
    return int(Exit.DONE)


def _changes(settings: list[str]) -> dict[str, Any]:
    """What is asked for, by name. Raises Stop."""
    from lane.policy import Policy

    known = [field.name for field in fields(Policy)]
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise Stop(Exit.USAGE, f"{setting} is no NAME=VALUE; such as drain=operator")
        if name not in known:
            raise Stop(Exit.USAGE, f"there is no setting {name}; there are {', '.join(known)}")
        if name in changes:
            raise Stop(Exit.USAGE, f"{name} is given twice; give it once")
        try:
            changes[name] = None if text == "none" else json.loads(text)
        except (ValueError, RecursionError):
            changes[name] = text
    return changes


def _changed(policy: "Policy", changes: dict[str, Any]) -> "Policy":
    """The policy with the changes, each of its type. Raises Stop with what does not fit."""
    from pydantic import TypeAdapter, ValidationError

    from lane.policy import Policy
    from schemas.messages import sentence_of

    try:
        made: Policy = TypeAdapter(Policy).validate_python({**asdict(policy), **changes})
    except ValidationError as exc:
        raise Stop(Exit.USAGE, f"the setting does not fit: {sentence_of(exc)}") from exc
    return made


def forbidden(policy: "Policy") -> str:
    """Why such a policy is not to be adopted, in a sentence, or nothing."""
    from lane.policy import CHANNELS
    from schemas.facts import COMPONENTS, MEMBERS_COUNT_MAX

    for name in AT_LEAST_ONE:
        number = getattr(policy, name)
        if number is not None and number < 1:
            return f"{name} must be at least 1, with {number} nothing would go"
    for field in fields(policy):
        number = getattr(policy, field.name)
        if isinstance(number, int) and number < 0:
            return f"{field.name} can't be below 0"
    if policy.batch_max > MEMBERS_COUNT_MAX:
        return f"batch_max can be {MEMBERS_COUNT_MAX} at most: one fact names no more messages"
    gone = sorted(set(CHANNELS) - set(policy.channels))
    if gone:
        return f"channels must keep {', '.join(gone)}: messages may name them"
    for name, rate in policy.channel_rate_max_per_s.items():
        if name not in policy.channels:
            return f"there is no channel {name} to give a rate to; there are {', '.join(sorted(policy.channels))}"
        if policy.channels[name].delivery == "person":
            return f"{name} has no rate: a clerk files its messages, no program sends them"
        if rate is not None and rate < 1:
            return f"the rate of {name} must be at least 1, with {rate} nothing would go; hold the channel instead"
    strange = {name for each in policy.channels.values() for name in (*each.inbound, *each.outbound)} - set(COMPONENTS)
    return f"channels need components that there are not: {', '.join(sorted(strange))}" if strange else ""


def _shown(policy: "Policy") -> Iterator[Any]:
    values = json.loads(policy.as_json())
    plain = {name: value for name, value in values.items() if name not in ("channels", "channel_rate_max_per_s")}
    yield table(
        ("setting", "value"),
        (
            (name, ", ".join(value) if isinstance(value, list) else "none" if value is None else value)
            for name, value in plain.items()
        ),
    )
    yield table(
        ("channel", "needs inbound", "answers by", "delivery", "a second"),
        (
            (name, ", ".join(each["inbound"]), ", ".join(each["outbound"]), each["delivery"], _rate(policy, name))
            for name, each in values["channels"].items()
        ),
    )
    yield "next: tidegate policy set NAME=VALUE --reason TEXT"


def _rate(policy: "Policy", channel: str) -> str:
    """A channel's rate for a person; its own is marked, so that a change of the one for all surprises nobody."""
    if policy.channels[channel].delivery == "person":
        return ""
    rate = policy.rate_of(channel)
    told = "none" if rate is None else str(rate)
    return f"{told} (its own)" if channel in policy.channel_rate_max_per_s else told
