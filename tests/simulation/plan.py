"""What one seed tells: who publishes what when, outages and windows, how much goes wrong; must not know how it is played.

A plan is data, drawn from its seed alone, so that it can be cut smaller while it stays red (`shrink`).
"""

import random
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from schemas.messages import Attributes, parse_attributes

FAULTS_S: Final = 70.0
"""Virtual seconds of faults, at most."""

WINDOW_MINUTES: Final = (0, 1)
"""At which minutes a scheduled window may begin: notices know no seconds."""

TENANTS: Final = ("acme", "acme", "bolt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How likely each fault is, drawn anew for each seed: some seeds are calm and deep, others violent. Zero is among them all.

    `crash`, `pause`, `stop`, `jump`: at each turn of a worker. `append`, `unavailable`: at each call to the log. `lost_request`
    and the rest: at each message to or from CBSA. `slow_answers_s`: until an answer can be fetched, at most.
    """

    crash: float = 0.0
    pause: float = 0.0
    stop: float = 0.0
    jump: float = 0.0
    append: float = 0.0
    unavailable: float = 0.0
    skew_ms: int = 0
    lost_request: float = 0.0
    lost_reply: float = 0.0
    late_request: float = 0.0
    twice: float = 0.0
    again_late: float = 0.0
    stranger: float = 0.0
    slow_answers_s: float = 0.05

    @classmethod
    def draw(cls, rng: random.Random) -> "Odds":
        """Pick each from a few values."""
        return cls(
            crash=rng.choice((0, 0, 0.002, 0.01)),
            pause=rng.choice((0, 0, 0.002, 0.01, 0.03)),
            stop=rng.choice((0, 0, 0.003)),
            jump=rng.choice((0, 0, 0.004)),
            append=rng.choice((0, 0, 0.02, 0.08)),
            unavailable=rng.choice((0, 0, 0.02, 0.08)),
            skew_ms=rng.choice((0, 0, 500, 5_000)),
            lost_request=rng.choice((0, 0, 0.03, 0.15)),
            lost_reply=rng.choice((0, 0, 0.03, 0.15)),
            late_request=rng.choice((0, 0, 0.03)),
            twice=rng.choice((0, 0, 0.1)),
            again_late=rng.choice((0, 0, 0.1)),
            stranger=rng.choice((0, 0, 0.05)),
            slow_answers_s=rng.choice((0.05, 0.05, 2.0, 20.0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One message and when its provider first publishes it.

    `elsewhere_s`: when another party files its document at CBSA; `again_s`: when the provider publishes it once more although it
    was acknowledged; `withdrawn_s`: when a person takes it back. None where nobody does.
    """

    at_s: float
    attributes: Attributes
    elsewhere_s: float | None = None
    again_s: float | None = None
    withdrawn_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """CBSA's channel is down or refuses connections, with a notice that comes late or none; a window is only told beforehand."""

    number: int
    starts_s: float
    ends_s: float
    how: str
    told_after_s: float | None
    window_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A seed's whole story. `patience`: by how much an idle worker's waits are stretched; a change wakes who waits for it."""

    seed: int
    mode: str
    policy: dict[str, Any]
    odds: Odds
    publications: tuple[Publication, ...]
    outages: tuple[Outage, ...]
    processes: int
    locks: bool
    can_query: bool
    faults_s: float = FAULTS_S
    patience: float = 1.0
    cuts: tuple[str, ...] = field(default=())


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    mode = rng.choice(("highway", "highway", "rail", "air", "marine"))
    return Plan(
        seed=seed,
        mode=mode,
        policy={
            "rate_max_per_s": rng.choice((None, None, 5)), "missing_wait_ms": 20_000, "answer_due_ms": 40_000,
            "answer_again_ms": 60_000, "canary_wait_ms": 15_000, "probe_ms": 2_000, "probe_max_ms": 20_000,
        },
        odds=Odds.draw(rng),
        publications=tuple(_publications(rng, mode)),
        outages=tuple(_outages(rng)),
        processes=rng.choice((1, 2, 2, 3)),
        locks=rng.random() < 0.5,
        can_query=rng.random() < 0.8,
        patience=rng.choice((4.0, 20.0, 20.0, 40.0)),
    )  # fmt: skip


def cut(plan: Plan, what: str) -> Plan:
    """A smaller plan: without a message (`m3`) or an outage (`o0`), without a fault (`crash`), with fewer processes (`p1`),
    without locks (`locks`), with faults for less time (`t20`). Raises ValueError for what is none of these."""
    cuts = (*plan.cuts, what)
    if what in _FAULTS:
        return replace(plan, odds=replace(plan.odds, **{what: _FAULTS[what]}), cuts=cuts)
    if what == "locks":
        return replace(plan, locks=False, cuts=cuts)
    kind, number = what[:1], what[1:]
    if not number.isdigit():
        raise ValueError(f"{what!r} cuts nothing: m3, o0, p1, t20, locks or a fault ({', '.join(_FAULTS)})")
    if kind == "m":
        kept = tuple(each for each in plan.publications if each.attributes.key != _name(plan, int(number)))
        return replace(plan, publications=kept, cuts=cuts)
    if kind == "o":
        return replace(plan, outages=tuple(each for each in plan.outages if each.number != int(number)), cuts=cuts)
    if kind == "p":
        return replace(plan, processes=int(number), cuts=cuts)
    if kind == "t":
        return replace(plan, faults_s=float(number), cuts=cuts)
    raise ValueError(f"{what!r} cuts nothing")


def smaller(plan: Plan) -> list[str]:
    """Every cut that makes the plan smaller now, the largest first."""
    found = [f"p{count}" for count in range(1, plan.processes)]
    found += [name for name, none in _FAULTS.items() if getattr(plan.odds, name) != none]
    found += [f"t{int(plan.faults_s * part)}" for part in (0.25, 0.5, 0.75) if plan.faults_s * part >= 1]
    found += ["locks"] if plan.locks else []
    found += [f"o{each.number}" for each in plan.outages]
    names = [each.attributes.key for each in draw(plan.seed).publications]
    found += [f"m{names.index(each.attributes.key)}" for each in plan.publications]
    return found


def _name(plan: Plan, number: int) -> str:
    return draw(plan.seed).publications[number].attributes.key


_FAULTS: Final[dict[str, Any]] = {each.name: each.default for each in fields(Odds)}


def _publications(rng: random.Random, mode: str) -> list[Publication]:
    found = []
    for attributes in _messages(rng, mode):
        at_s = rng.uniform(0, FAULTS_S * 0.7)
        again_s = at_s + rng.uniform(0, 30) if rng.random() < 0.1 else None
        withdrawn_s = at_s + rng.uniform(0, 30) if rng.random() < 0.05 else None
        is_cargo = (attributes.kind, attributes.function) == ("cargo", "original")
        elsewhere_s = rng.uniform(0, FAULTS_S) if is_cargo and rng.random() < 0.1 else None
        found.append(
            Publication(at_s=at_s, attributes=attributes, elsewhere_s=elsewhere_s, again_s=again_s, withdrawn_s=withdrawn_s)
        )
    return found


def _messages(rng: random.Random, mode: str) -> list[Attributes]:
    out: list[Attributes] = []
    for group in range(rng.randint(1, 3)):
        out += _group(rng, mode, group)
    return out


def _group(rng: random.Random, mode: str, group: int) -> list[Attributes]:
    """Messages that are bound to each other: a trip and what it carries, house bills and their close, a release, changes."""
    tenant = rng.choice(TENANTS)
    ccns = [f"C{group}{letter}" for letter in "ABC"[: rng.randint(1, 3)]]
    crn = f"T{group}"
    by_crn = {"crn": [crn]} if mode in ("air", "marine") else {}
    lists = {} if by_crn else {"ccn": ccns}

    def made(name: str, kind: str, keys: dict[str, list[str]], function: str = "original", **more: str) -> Attributes:
        arrival = {"occurred_at": "2025-11-20T06:00:00Z"} if kind == "conveyance_arrival" else {}
        return parse_attributes({
            "key": f"{name}-{group}", "tenant": tenant, "mode": mode, "kind": kind, "keys": keys, "function": function,
            **arrival, **more,
        })  # fmt: skip

    out = [made(f"cargo-{ccn}", "cargo", {"ccn": [ccn], **by_crn}) for ccn in ccns]
    out.append(made("trip", "conveyance", {"crn": [crn], **lists}))
    if rng.random() < 0.6:
        bills = [f"H{group}{number}" for number in range(rng.randint(1, 2))]
        above = {"previous_ccn": ccns[:1], "primary_ccn": ccns[:1]}
        out += [made(f"bill-{bill}", "house_bill", {"house_bill": [bill], **above}) for bill in bills]
        out.append(made("close", "close", {"previous_ccn": ccns[:1], "house_bill": bills}))
    if rng.random() < 0.5:
        out.append(made("release", "release", {"transaction": [f"1234500000{group:04}"], "ccn": ccns[:1]}))
    if mode != "highway" and rng.random() < 0.6:
        out.append(made("arrival", "conveyance_arrival", {"crn": [crn], "ccn": ccns}))
    if rng.random() < 0.4:
        out.append(made("change", "cargo", {"ccn": ccns[:1], **by_crn}, "change"))
    if rng.random() < 0.3:
        out.append(made("cancel", "cargo", {"ccn": ccns[-1:], **by_crn}, "cancel"))
        if rng.random() < 0.7:
            out.append(made("once-more", "cargo", {"ccn": ccns[-1:], **by_crn}))
    if rng.random() < 0.3:
        out.append(made("second-trip", "conveyance", {"crn": [f"{crn}2"], **lists}))
    if rng.random() < 0.15:
        out.append(made("stranger", "conveyance", {"crn": [f"{crn}9"], "ccn": [f"NOWHERE{group}"]}))
    return out


def _outages(rng: random.Random) -> list[Outage]:
    """Outages that flap and overlap; the notice comes late, or CBSA goes down without one; windows that were told before."""
    found = []
    for number in range(rng.randint(0, 4)):
        starts_s = rng.uniform(0, FAULTS_S * 0.7)
        ends_s = starts_s + rng.choice((0.5, 5.0, 30.0, 60.0))
        if rng.random() < 0.25:
            minute = rng.choice(WINDOW_MINUTES)
            starts_s, ends_s = minute * 60.0, minute * 60.0 + 60.0
            found.append(
                Outage(number=number, starts_s=starts_s, ends_s=ends_s, how="up", told_after_s=0.0, window_minute=minute)
            )
        else:
            told = rng.uniform(0, 10) if rng.random() < 0.8 else None
            how = rng.choice(("down", "refuse"))
            found.append(Outage(number=number, starts_s=starts_s, ends_s=ends_s, how=how, told_after_s=told))
    return found
