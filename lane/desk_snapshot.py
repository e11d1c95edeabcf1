"""The desk's state as bytes and back, as `lane.snapshot` does for a lane; must not know files or when it is taken."""

import marshal
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from lane.desk import DeskState, Effective, Incident, Task
from lane.policy import Policy
from lane.snapshot import FORM
from schemas.codec import encode
from schemas.facts import ComponentOverridden, Fact, OutageDeclared, OutageResolved, PolicyAdopted, RulesAdopted

PLAIN: Final = ("position", "now_ms", "marks", "policy_at", "silent", "last_act", "refused_at_doors", "denied")
MADE: Final = ("incidents", "effective", "policy", "tasks")
"""Fields of the desk: those that stand for themselves, and those that are written each in its own way."""

_INCIDENT: Final = tuple(each.name for each in fields(Incident))


def dump_desk(state: DeskState) -> bytes:
    """The desk's state as bytes: the same wherever the same facts were folded, by the same program."""
    whole: dict[str, Any] = {name: getattr(state, name) for name in PLAIN}
    whole["incidents"] = [_incident_row(each) for each in state.incidents.values()]
    whole["effective"] = [(position, encode(fact)) for position, fact in state.effective]
    whole["policy"] = state.policy.as_json()
    whole["tasks"] = [(task.position, task.at_ms, task.what) for task in state.tasks.values()]
    return marshal.dumps(whole, FORM)


def load_desk(body: bytes, decode: Callable[[bytes], Fact]) -> DeskState:
    """The state that was dumped, as if its facts had been folded here. Raises ValueError and the like for other bytes."""
    whole = marshal.loads(body)  # noqa: S302 (no code is run by it; whoever kept the bytes has checked whose they are)
    state = DeskState()
    for name in PLAIN:
        setattr(state, name, whole[name])
    incidents = (_incident(row) for row in whole["incidents"])
    state.incidents = {incident.number: incident for incident in incidents}
    state.effective = [(position, _effective(decode(value))) for position, value in whole["effective"]]
    state.policy = Policy.from_json(whole["policy"])
    state.tasks = {row[0]: Task(*row) for row in whole["tasks"]}
    return state


def _incident_row(incident: Incident) -> tuple[Any, ...]:
    """Sets are sorted, so that Python's own salt leaves no trace."""
    row = {name: getattr(incident, name) for name in _INCIDENT}
    row |= {"components": sorted(incident.components), "seen": sorted(incident.seen)}
    return tuple(row.values())


def _incident(row: tuple[Any, ...]) -> Incident:
    said = dict(zip(_INCIDENT, row, strict=True))
    return Incident(**said | {"components": frozenset(said["components"]), "seen": set(said["seen"])})


def _effective(fact: Fact) -> Effective:
    if not isinstance(fact, OutageDeclared | OutageResolved | ComponentOverridden | PolicyAdopted | RulesAdopted):
        raise ValueError(f"{type(fact).__name__} is no effective fact of the desk")
    return fact
