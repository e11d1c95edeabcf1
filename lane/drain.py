"""A drain as it stands and as it goes: what was held at an opening (R61); must not know what changes it."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Drain:
    """What was held for a channel at an opening, on its way out (R61). `position` is the opening's, and the replay's name.

    From `noted_ms` on is how it goes, for a forecast (`lane.pace`): plain numbers, so that whoever keeps a state keeps them too.
    """

    position: int
    component: str
    opened_ms: int
    status: Literal["waiting", "running", "paused", "aborted"]
    act: int
    total: int = 0
    left: int = 0
    rate_per_s: int | None = None
    noted_ms: int = 0
    running: bool = False
    busy: bool = False
    run_ms: int = 0
    busy_ms: int = 0
    gone: int = 0
    busy_gone: int = 0
    answers: int = 0
    answers_ms: int = 0
    slowest_ms: int = 0
    marks: list[tuple[int, ...]] = field(default_factory=list)
