"""Judges a run against a hostile CBSA by the checker, CBSA's own list and what Tidegate tells; must not know how it ran."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from console.wiring import Opened
from gateway.https import PAGE_BODY_BYTES_MAX
from lane.identity import parse_wire_key
from tests.checker.check import check
from tests.checker.history import Answered, History
from tests.fault.hostile_authority import HostileAuthority
from tests.fault.hostile_scripts import TRIP, script_of

UNRELATED_S: Final = 5.0
"""Bar: a message of another lane is at CBSA so soon after its receipt, whatever befalls the rest; 0.1 s on a machine at rest."""

MEMORY_TIMES: Final = 8
"""Bar: whatever pours, memory grows by so many times PAGE_BODY_BYTES_MAX at most. `limits_run` measures one page at a time."""

UNRELATED: Final = "rail"
"""The lane of the messages that no script concerns."""


@dataclass(slots=True)
class Seen:
    """What a run saw, and what its judgement counted."""

    rest_bytes: int = 0
    peak_bytes: int = 0
    exit_code: int | None = None
    unrest: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    made_up: int = 0
    without_a_reason: int = 0
    unrelated: int = 0
    unrelated_worst_s: float = 0.0


def judge(log: Opened, history: History, authority: HostileAuthority, seen: Seen) -> list[str]:
    """Everything that is broken, in sentences."""
    told = {(each.mode, each.tenant, each.key): each for each in history.answered}
    seen.states = Counter(each.state for each in history.answered)
    return [
        *(f"the authority itself failed, the run says nothing: {fault}" for fault in authority.faults[:3]),
        *seen.unrest,
        *([] if seen.exit_code == 0 else [f"tidegate up ended with {seen.exit_code}"]),
        *_made_up(history, authority, seen),
        *_redirects(authority),
        *_ends(history, authority),
        *_lost_or_doubled(history, authority, told, seen),
        *_reasons(history, seen),
        *_unrelated(history, authority, seen),
        *_memory(seen),
        *_not_played(history, authority),
        *map(str, check(log.log, log.codec, history)),
    ]


def _made_up(history: History, authority: HostileAuthority, seen: Seen) -> Iterator[str]:
    """I4e: captured or rejected only by an answer for this key that is addressed to its own tenant."""
    for each in history.answered:
        said = {outcome for key in _wire_keys(authority, each) for outcome in authority.said.get(key, ())}
        if each.state in ("captured", "rejected") and each.state not in said:
            seen.made_up += 1
            heard = ", ".join(sorted(said)) or "nothing"
            yield f"{each.key} is said to be {each.state}, and what CBSA said of it to {each.tenant} is {heard}"


def _redirects(authority: HostileAuthority) -> Iterator[str]:
    if authority.followed:
        yield f"{len(authority.followed)} redirects were followed, the first to {authority.followed[0]}"


def _ends(history: History, authority: HostileAuthority) -> Iterator[str]:
    """Each message stands where its script must leave it; a trip behind a hostile shipment, where that one leaves it."""
    shipments = {
        each.key.rpartition("-")[2]: each for each in history.answered if each.mode != UNRELATED and TRIP not in each.key
    }
    for each in history.answered:
        script = script_of(each.key, authority.more)
        ends = script.ends
        if script.name == TRIP:  # a duplicate to the first attempt means that another party filed it: it is on file (R53)
            ahead = shipments[each.key.rpartition("-")[2]]
            on_file = ahead.state == "captured" or script_of(ahead.key, authority.more).truth == "duplicate"
            ends = ("captured",) if on_file else ("held",)
        if each.state not in ends or script.person not in (None, each.needs_person):
            asks = "and a person is asked" if each.needs_person else "and no person is asked"
            reasons = "; ".join(each.reasons)
            yield f"{each.key} is {each.state} {asks}, its script ends in {' or '.join(ends)}: {reasons}"


def _lost_or_doubled(
    history: History, authority: HostileAuthority, told: dict[tuple[str, str, str], Answered], seen: Seen
) -> Iterator[str]:
    """I1, I4d: each published message is on the authority's list once, or a person is asked about it."""
    taken = defaultdict(list)
    for row in history.taken:
        parsed = parse_wire_key(row["idempotency_key"])
        assert parsed is not None
        if row["outcome"] != "duplicate":
            taken[parsed[:3]].append(row)
    for each in history.publishes:
        who = (each.mode, each.tenant, each.key)
        answered = told.get(who)
        waits = answered is not None and (answered.needs_person or answered.state in ("parked", "held"))
        at_cbsa = taken.get(who) or script_of(each.key, authority.more).truth == "duplicate"
        if answered is None or not (at_cbsa or waits):
            seen.lost += 1
            yield f"{each.key} of {each.tenant} is neither at CBSA nor with a person: {answered}"
        if len(taken.get(who, ())) > 1:
            seen.doubled += 1
            yield f"{each.key} of {each.tenant} was filed {len(taken[who])} times"


def _reasons(history: History, seen: Seen) -> Iterator[str]:
    """I7b: `why` is total."""
    for each in history.answered:
        if not each.reasons or not all(each.reasons):
            seen.without_a_reason += 1
            yield f"{each.key} is {each.state} without a reason"


def _unrelated(history: History, authority: HostileAuthority, seen: Seen) -> Iterator[str]:
    """I7c: what no script concerns goes as it would with a good authority."""
    for each in history.publishes:
        if each.mode == UNRELATED:
            seen.unrelated += 1
            arrived_s = authority.arrived_s.get(f"{each.mode}/{each.tenant}/{each.key}", float("inf"))
            seen.unrelated_worst_s = max(seen.unrelated_worst_s, arrived_s - each.at_s)
    if seen.unrelated_worst_s > UNRELATED_S:
        yield f"an unrelated message was at CBSA {seen.unrelated_worst_s:.1f} s after its receipt; {UNRELATED_S:g} s is the bar"


def _memory(seen: Seen) -> Iterator[str]:
    """I12: whatever the authority pours, so much more memory than at rest and no more."""
    more = seen.peak_bytes - seen.rest_bytes
    if more > MEMORY_TIMES * PAGE_BODY_BYTES_MAX:
        bar = f"{MEMORY_TIMES} times the longest page of {PAGE_BODY_BYTES_MAX >> 20} MiB"
        yield f"memory grew by {more / 2**20:.0f} MiB; {bar} is the bar"


def _not_played(history: History, authority: HostileAuthority) -> Iterator[str]:
    """A script that never struck tests nothing."""
    for key, letter in authority.letters.items():
        if letter.script.times and not authority.befell[f"post {letter.script.post}"]:
            yield f"nothing befell {key}: the run says nothing of {letter.script.post}"
    asked = {
        letter.script.ask
        for letter in authority.letters.values()
        if letter.script.asks and letter.script.name.startswith("asked")
    }
    for ask in sorted(asked):
        if not authority.befell[f"ask {ask}"]:
            yield f"no question was answered with {ask}"


def _wire_keys(authority: HostileAuthority, each: Answered) -> Iterator[str]:
    """The wire keys of a message's submissions."""
    first = f"{each.mode}/{each.tenant}/{each.key}"
    return (key for key in (first, *(f"{first}~{number}" for number in range(2, 5))) if key in authority.letters)
