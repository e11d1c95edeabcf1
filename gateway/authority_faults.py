"""The faults that a test plants into the simulated authority (RELIABILITY G1 to G3); must not know documents, history or HTTP.

A plan is JSON, put whole and replacing the plan before it:

    {"seed": 7, "latency_ms": 0, "answer_latency_ms": 0, "retry_after": "1", "late_s": 2, "hold_s": 30,
     "faults": [{"name": "accept_then_time_out", "next": 3, "match": "acme-7"}, {"name": "answer_twice", "probability": 0.1}]}

Faults are tried in the order listed; of those that concern the POST the first that strikes is used, of those that concern the
answer likewise. `next` strikes so many times and is then used up; `probability` strikes by a seeded draw; `match` limits a fault
to wire keys that hold this text. The draws depend only on the plan and on the order of the messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal, TypeAlias, get_args

PostFault: TypeAlias = Literal[
    "accept_then_time_out",
    "time_out",
    "error_500_taken",
    "error_500",
    "error_400",
    "unavailable_503",
    "drop_taken",
    "drop",
    "drip",
    "endless_body",
    "slow_down",
    "redirect",
    "garbage",
]
"""accept_then_time_out, error_500_taken, drop_taken, drip, endless_body, garbage: taken, and the reply is what breaks.
The others: not taken. drip: a byte of the reply head now and then. slow_down: 429 with `Retry-After: retry_after`."""

AnswerFault: TypeAlias = Literal[
    "answer_twice", "answer_late", "answer_lost", "answer_unknown_key", "answer_other_tenant", "answer_unreadable"
]
"""answer_late: after late_s more. answer_lost: never, though the status query knows. answer_unknown_key: one more answer, for a
key that nobody sent. answer_other_tenant: to another receiver. answer_unreadable: an outcome that INTERFACES doesn't list."""

POST_FAULTS: Final[frozenset[str]] = frozenset(get_args(PostFault))
ANSWER_FAULTS: Final[frozenset[str]] = frozenset(get_args(AnswerFault))
TAKEN_BEFORE_FAULT: Final[frozenset[str]] = frozenset(
    {"accept_then_time_out", "error_500_taken", "drop_taken", "drip", "endless_body", "garbage"}
)

FAULTS_MAX: Final = 1_000
"""Most faults in a plan: each message looks at all of them."""

LATENCY_MAX_MS: Final = 600_000
"""Longest latency, hold or lateness: ten minutes; a test that waits longer has forgotten it."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault; `next_count` None means that it strikes by `probability`. `struck` counts."""

    name: str
    next_count: int | None
    probability: float
    match: str
    struck: int = 0


@dataclass(slots=True, kw_only=True)
class FaultPlan:
    """The plan in force. Times in milliseconds or seconds by their names; an empty plan does nothing."""

    seed: int = 0
    latency_ms: int = 0
    answer_latency_ms: int = 0
    retry_after: str = "1"
    late_s: float = 2.0
    hold_s: float = 30.0
    faults: Sequence[Fault] = ()
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - reproducible on purpose, no secret

    def draw_post(self, wire_key: str) -> str | None:
        """Return the fault that strikes this POST."""
        return self._draw(wire_key, POST_FAULTS)

    def draw_answer(self, wire_key: str) -> str | None:
        """Return the fault that strikes this answer."""
        return self._draw(wire_key, ANSWER_FAULTS)

    def _draw(self, wire_key: str, names: frozenset[str]) -> str | None:
        for fault in self.faults:
            if fault.name not in names or fault.match not in wire_key or not self._strikes(fault):
                continue
            fault.struck += 1
            return fault.name
        return None

    def _strikes(self, fault: Fault) -> bool:
        if fault.next_count is not None:
            return fault.struck < fault.next_count
        return self.random.random() < fault.probability

    def as_json(self) -> dict[str, Any]:
        """Return the plan with how often each fault has struck."""
        return {
            "seed": self.seed,
            "latency_ms": self.latency_ms,
            "answer_latency_ms": self.answer_latency_ms,
            "retry_after": self.retry_after,
            "late_s": self.late_s,
            "hold_s": self.hold_s,
            "faults": [
                {
                    "name": fault.name,
                    "next": fault.next_count,
                    "probability": fault.probability,
                    "match": fault.match,
                    "struck": fault.struck,
                }
                for fault in self.faults
            ],
        }


def read_fault_plan(value: Mapping[str, Any]) -> FaultPlan:
    """Return the plan that a JSON object tells. Raises ValueError with a sentence; nothing unknown is passed over."""
    unknown = set(value) - {"seed", "latency_ms", "answer_latency_ms", "retry_after", "late_s", "hold_s", "faults"}
    if unknown:
        raise ValueError(f"A fault plan has no {sorted(unknown)}.")
    faults = value.get("faults", [])
    if not isinstance(faults, list) or len(faults) > FAULTS_MAX:
        raise ValueError(f"`faults` must be a list of at most {FAULTS_MAX}.")
    retry_after = str(value.get("retry_after", "1"))
    if not retry_after.isascii() or not retry_after.isprintable():
        raise ValueError("`retry_after` must be printable ASCII: it becomes a header.")
    seed = int(bounded(value, "seed", default=0, most=2**63))
    return FaultPlan(
        seed=seed,
        latency_ms=int(bounded(value, "latency_ms", default=0, most=LATENCY_MAX_MS)),
        answer_latency_ms=int(bounded(value, "answer_latency_ms", default=0, most=LATENCY_MAX_MS)),
        retry_after=retry_after,
        late_s=bounded(value, "late_s", default=2.0, most=LATENCY_MAX_MS / 1000),
        hold_s=bounded(value, "hold_s", default=30.0, most=LATENCY_MAX_MS / 1000),
        faults=[_read_fault(fault) for fault in faults],
        random=Random(seed),  # noqa: S311 - reproducible on purpose, no secret
    )


def bounded(value: Mapping[str, Any], name: str, *, default: float, most: float) -> float:
    """Return a number from 0 to `most`. Raises ValueError with a sentence."""
    number = value.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= most:
        raise ValueError(f"`{name}` must be a number from 0 to {most:g}, not {number!r:.40}.")
    return number


def _read_fault(value: object) -> Fault:
    if not isinstance(value, dict) or set(value) - {"name", "next", "probability", "match", "struck"}:
        raise ValueError(f"A fault is an object of name, next or probability, and match, not {value!r:.120}.")
    name = value.get("name")
    if name not in POST_FAULTS | ANSWER_FAULTS:
        raise ValueError(f"There is no fault {name!r:.40}; there are {', '.join(sorted(POST_FAULTS | ANSWER_FAULTS))}.")
    if (value.get("next") is None) == (value.get("probability") is None):
        raise ValueError(f"The fault {name} needs either `next` or `probability`.")
    counted = value.get("next") is not None
    return Fault(
        name=name,
        next_count=int(bounded(value, "next", default=0, most=1e9)) if counted else None,
        probability=0.0 if counted else bounded(value, "probability", default=0.0, most=1.0),
        match=str(value.get("match") or ""),
    )
