"""What a run looked like from outside: what clients were told, what was on the wire, what CBSA took; must not judge it.

A run of any kind (virtual time, SQLite, Kafka) fills one of these; `save` and `load` keep it beside a log, so that a real failure
can be judged again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

Told: TypeAlias = Literal["acknowledged", "unsure", "refused"]
"""What a client was told of one publish: durable; nothing, or that it is not known; that it was not taken."""

NEVER_S: Final = float("inf")
"""When something ended that never did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """One publish by a client. `sha256`: of the payload, in hex."""

    mode: str
    tenant: str
    key: str
    sha256: str
    told: Told
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One send as the wire saw it: it is there from its first byte until it ended, by a reply or by the death of its sender.

    `sender`: the process and its incarnation. `started_s` and `ended_s`: one clock for all, in seconds.
    """

    wire_key: str
    sha256: str
    sender: str
    started_s: float
    ended_s: float = NEVER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a client was told at the end, when it asked where its message stands and why."""

    mode: str
    tenant: str
    key: str
    state: str
    reasons: tuple[str, ...] = ()
    needs_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The whole state of a stream's fold as one process held it, as a digest, with the position up to which it had read."""

    process: str
    stream: str
    position: int
    digest: str


@dataclass(slots=True)
class History:
    """Everything that was seen from outside. `taken`: the rows of `GET /v1/history` (INTERFACES section 4), by `seq`."""

    publishes: list[Publish] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    taken: list[Mapping[str, Any]] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it, a line an entry."""
        with path.open("w", encoding="utf-8") as out:
            for name in _KINDS:
                for each in getattr(self, name):
                    row = each if isinstance(each, Mapping) else asdict(each)
                    out.write(json.dumps({name: row}) + "\n")

    @staticmethod
    def load(path: Path) -> "History":
        """Read what `save` wrote."""
        found = History()
        for line in path.read_text(encoding="utf-8").splitlines():
            ((name, row),) = json.loads(line).items()
            kind = _KINDS[name]
            if "reasons" in row:
                row["reasons"] = tuple(row["reasons"])
            getattr(found, name).append(row if kind is None else kind(**row))
        return found


_KINDS: Final[dict[str, Any]] = {
    "publishes": Publish, "attempts": Attempt, "taken": None, "answered": Answered, "standings": Standing,
}  # fmt: skip
