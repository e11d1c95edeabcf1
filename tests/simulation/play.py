"""One seed, one story: providers, outages, crashes, then calm, and what must hold (`python -m tests.simulation.play --help`)."""

import argparse
import hashlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from audit.verify import verify
from eventlog.port import READ_COUNT_MAX
from gateway.authority_order import HistoryRow, OrderViolation, order_violations
from lane.identity import wire_key
from lane.policy import Policy
from lane.state import NEVER, Finding, LaneState, Message
from lane.view import LaneView
from lane.why import why
from schemas.cloudevents import to_headers
from schemas.codec import encode, schema_entries
from schemas.facts import Fact, PolicyAdopted
from schemas.messages import Attributes, parse_attributes
from schemas.streams import BULLETINS, DESK, SCHEMAS, Entry, Record, inbound, lane
from tests.simulation.authority import SimulatedAuthority
from tests.simulation.clockwork import CODEC, EPOCH_MS, Clockwork, Process
from tests.simulation.locks import Locks

FAULTS_S = 300.0
"""Virtual seconds of faults."""

CALM_S = 3_600.0
"""Virtual seconds after which everything that can end has ended."""

SCHEMA_ENTRIES = schema_entries()
ENDED = ("captured", "rejected", "parked", "withdrawn", "replaced", "filed")


@dataclass(slots=True)
class Outcome:
    """What a seed came to: the broken promises, and what happened sometimes."""

    seed: int
    broken: list[str]
    sometimes: dict[str, int]
    digest: str
    counts: Counter[str] = field(default_factory=Counter)


def play(seed: int) -> Outcome:
    """Play one seed."""
    clockwork = Clockwork(seed)
    rng = clockwork.rng
    authority = SimulatedAuthority(clockwork)
    mode = rng.choice(("highway", "highway", "rail", "air", "marine"))
    clockwork.calm = True
    clockwork.log.append(SCHEMAS, SCHEMA_ENTRIES)
    policy = Policy(rate_max_per_s=rng.choice((None, 5)), missing_wait_ms=60_000, answer_due_ms=120_000, answer_again_ms=240_000)
    fact = PolicyAdopted(at_ms=EPOCH_MS, policy=policy.as_json(), person="sim", reason="short waits")
    clockwork.log.append(DESK, [Entry(encode(fact))])
    clockwork.calm = False
    messages = _messages(rng, mode)
    acked: list[Attributes] = []
    for attributes in messages:
        clockwork.at(rng.uniform(0, FAULTS_S * 0.8), lambda attributes=attributes: _publish(clockwork, attributes, acked))  # type: ignore[misc]
    _outages(clockwork, authority)
    locks = Locks() if rng.random() < 0.5 else None
    processes = [
        Process(clockwork, authority, name=f"p{number}", mode=mode, locks=locks) for number in range(rng.choice((1, 2, 2, 3)))
    ]
    clockwork.run(FAULTS_S)
    clockwork.calm = True
    clockwork.log.release_late()
    authority.inbound = "up"
    authority.slow_answers_s = 0.05
    for number in list(range(1, 20)):
        _resolve(clockwork, number)
    settled = False
    while not settled and clockwork.now_s < FAULTS_S + CALM_S:
        clockwork.run(clockwork.now_s + 10.0)
        settled = _settled(processes, acked)
    return _judged(seed, clockwork, authority, processes, acked, settled=settled)


def _settled(processes: list[Process], acked: list[Attributes]) -> bool:
    state = processes[0].lane.state
    keys = {(each.tenant, each.key) for each in acked}
    return len(state.taken_keys()) >= len(keys) and all(_has_ended(state, message) for message in state.messages.values())


def _has_ended(state: LaneState, message: Message) -> bool:
    if message.state in ENDED or message.needs_person:
        return True
    return message.state == "held" and message.blocker is not None and message.blocker.kind in ("aside", "wanted")


def _judged(
    seed: int,
    clockwork: Clockwork,
    authority: SimulatedAuthority,
    processes: list[Process],
    acked: list[Attributes],
    *,
    settled: bool,
) -> Outcome:
    broken = list(clockwork.broken)
    state = processes[0].lane.state
    if not settled:
        for message in state.messages.values():
            if not _has_ended(state, message):
                reasons = why(state, message, at_ms=EPOCH_MS + round(clockwork.now_s * 1000))
                broken.append(f"I7 {message} is {message.state} for ever: {reasons}")
        missing = {(each.tenant, each.key) for each in acked} - state.taken_keys()
        broken += [f"I1 {each} was acknowledged and is not in the lane" for each in sorted(missing)]
        broken = broken or ["I7 not settled"]
    rows = [entry.as_row() for entry in authority.history.after(0, 10**9)]
    taken = Counter(row["idempotency_key"] for row in rows if row["outcome"] == "captured")
    broken += [f"I4 {key} was captured {count} times" for key, count in taken.items() if count > 1]
    broken += [f"I4b {key} overlapped itself on the wire" for key in authority.overlaps]
    broken += [f"I3 {violation}" for violation in order_violations(rows) if not _came_late(state, rows, violation)]
    captured = {row["idempotency_key"] for row in rows if row["outcome"] == "captured"}
    for message in state.messages.values():
        if message.state == "captured" and wire_key(state.mode, message) not in captured:
            broken.append(f"I4e {message} is called captured and CBSA never captured it")
    effects = Counter((message.tenant, message.key) for message in state.messages.values())
    broken += [f"I1b {key} took effect {count} times" for key, count in effects.items() if count > 1]
    broken += _off_chain(clockwork, state.mode)
    report = verify(clockwork.log, CODEC)
    broken += [f"audit {check.name}: {finding}" for check in report.checks for finding in check.findings[:2]]
    digest = hashlib.sha256(repr([(row["idempotency_key"], row["outcome"]) for row in rows]).encode()).hexdigest()[:16]
    return Outcome(seed, broken, clockwork.sometimes, digest, Counter(message.state for message in state.messages.values()))


def _off_chain(clockwork: Clockwork, mode: str) -> list[str]:
    """R1: whatever took effect continues what took effect before it from the same source."""
    broken = []
    marks: dict[str, int] = {}

    def listen(record: Record, fact: Fact, findings: tuple[Finding, ...]) -> None:
        source = getattr(fact, "source", None)
        if source is None or any(finding.void and finding.rule == "R1" for finding in findings):
            return
        if source.previous != marks.get(source.stream, NEVER):
            broken.append(f"R1 the fact at {record.position} took effect and continues {source.previous} of {source.stream}")
        marks[source.stream] = source.position

    LaneView(mode, CODEC.decode, listen).absorb(clockwork.log.read(lane(mode), 0, READ_COUNT_MAX, 0))
    return broken[:3]


def _came_late(state: LaneState, rows: list[HistoryRow], violation: OrderViolation) -> bool:
    """Whether the predecessor, or the message that ties the two together, was received here only after the successor's grant:
    then nobody could wait for it (R22). In air and marine a cargo ties its conveyance to a close."""
    by_seq = {row["seq"]: row["idempotency_key"] for row in rows}
    by_wire = {f"{state.mode}/{message.tenant}/{message.key}": message for message in state.messages.values()}
    early, late = (by_wire[by_seq[violation[name]].partition("~")[0]] for name in ("before", "after"))
    ends = {late.doc, *early.listed, *early.related}
    ties = (each for each in state.messages.values() if each.position > early.grant and each is not late)
    return late.position > early.grant or any(
        each.doc in ends | {*late.listed, *late.related} and not ends.isdisjoint((*each.listed, *each.related)) for each in ties
    )


def _publish(clockwork: Clockwork, attributes: Attributes, acked: list[Attributes]) -> None:
    """A provider publishes, and publishes again when it is not told."""
    headers = to_headers(attributes, datetime.fromtimestamp(clockwork.now_s, UTC).replace(year=2025))
    try:
        clockwork.append(inbound(attributes.mode), [Entry(f"ISA*{attributes.key}".encode(), headers)])
    except Exception:  # noqa: BLE001 - whatever the log says, a provider tries again
        clockwork.saw("publish again")
        clockwork.at(clockwork.rng.uniform(0.1, 20), lambda: _publish(clockwork, attributes, acked))
    else:
        acked.append(attributes)


def _messages(rng: random.Random, mode: str) -> list[Attributes]:
    out = []
    for group in range(rng.randint(1, 4)):
        ccns = [f"C{group}{letter}" for letter in "AB"[: rng.randint(1, 2)]]
        crn = f"T{group}"
        by_crn = {"crn": [crn]} if mode in ("air", "marine") else {}
        out += [_made(mode, f"cargo-{ccn}", "cargo", keys={"ccn": [ccn], **by_crn}) for ccn in ccns]
        lists = {} if by_crn else {"ccn": ccns}
        out.append(_made(mode, f"trip-{group}", "conveyance", keys={"crn": [crn], **lists}))
        if rng.random() < 0.6:
            bills = [f"H{group}{number}" for number in range(rng.randint(1, 2))]
            out += [
                _made(
                    mode,
                    f"bill-{bill}",
                    "house_bill",
                    keys={"house_bill": [bill], "previous_ccn": ccns[:1], "primary_ccn": ccns[:1]},
                )
                for bill in bills
            ]
            out.append(_made(mode, f"close-{group}", "close", keys={"previous_ccn": ccns[:1], "house_bill": bills}))
        if rng.random() < 0.5:
            out.append(
                _made(mode, f"release-{group}", "release", keys={"transaction": [f"1234500000{group:04}"], "ccn": ccns[:1]})
            )
        if mode != "highway" and rng.random() < 0.6:
            out.append(_made(mode, f"arrival-{group}", "conveyance_arrival", keys={"crn": [crn], "ccn": ccns}))
        if rng.random() < 0.3:
            out.append(_made(mode, f"change-{group}", "cargo", keys={"ccn": ccns[:1], **by_crn}, function="change"))
    return out


def _made(mode: str, key: str, kind: str, **fields: object) -> Attributes:
    arrival = {"occurred_at": "2025-11-20T06:00:00Z"} if kind == "conveyance_arrival" else {}
    return parse_attributes({"key": key, "tenant": "acme", "mode": mode, "kind": kind, **arrival, **fields})


def _outages(clockwork: Clockwork, authority: SimulatedAuthority) -> None:
    """Outages that flap and overlap; the notice comes late, or CBSA goes down without one."""
    rng = clockwork.rng
    for number in range(1, rng.randint(1, 6)):
        start_s = rng.uniform(0, FAULTS_S * 0.7)
        end_s = start_s + rng.choice((0.5, 5, 60, 120))
        how = rng.choice(("down", "refuse"))
        clockwork.at(start_s, lambda how=how: _switch(clockwork, authority, how))  # type: ignore[misc]
        clockwork.at(end_s, lambda: _switch(clockwork, authority, "up"))
        if rng.random() < 0.8:
            lag_s = rng.uniform(0, 10)
            clockwork.at(start_s + lag_s, lambda number=number: _declare(clockwork, number))  # type: ignore[misc]
            clockwork.at(end_s + lag_s, lambda number=number: _resolve(clockwork, number))  # type: ignore[misc]


def _switch(clockwork: Clockwork, authority: SimulatedAuthority, how: str) -> None:
    if not clockwork.calm:
        authority.inbound = how
        clockwork.saw(f"inbound {how}")


def _declare(clockwork: Clockwork, number: int) -> None:
    if not clockwork.calm:
        clockwork.saw("declared")
        _bulletin(clockwork, _notice(number, "", "The CBSA is currently unable to receive inbound EDI messages."))


def _resolve(clockwork: Clockwork, number: int) -> None:
    _bulletin(clockwork, _notice(number, "RESOLVED", "The EDI inbound outage has now been resolved."))


def _notice(number: int, state: str, what: str) -> str:
    return (
        f"TCC25-9{number:03} {state} - EDI Inbound Outage\n\nStart Date / Time\n\n2025-11-24 09:40 (ET)\n\nEnd Date / Time\n\n"
        f"{'2025-11-24 12:00 (ET)' if state else 'Initial investigation underway'}\n\nClients Affected\n\nAll.\n\n"
        f"Description\n\n{what}\n\nAction Required\n\nNone.\n"
    )


def _bulletin(clockwork: Clockwork, text: str) -> None:
    """Whoever brings the notice brings it until it is taken."""
    try:
        clockwork.append(BULLETINS, [Entry(text.encode())])
    except Exception:  # noqa: BLE001 - whatever the log says, the notice is brought again
        clockwork.at(1.0, lambda: _bulletin(clockwork, text))


def main() -> None:
    """Play many seeds, stop at the first red one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--go-on", action="store_true", help="show all red seeds")
    arguments = parser.parse_args()
    started = time.monotonic()
    sometimes: Counter[str] = Counter()
    red = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        outcome = play(seed)
        sometimes.update(outcome.sometimes)
        if outcome.broken:
            red += 1
            print(f"seed {seed} is red; again: python -m tests.simulation.play --first {seed} --seeds 1")
            print("\n".join(f"  {line}" for line in outcome.broken[:8]), outcome.counts)
            if not arguments.go_on:
                break
    took_s = time.monotonic() - started
    print(f"{arguments.seeds} seeds, {red} red, {arguments.seeds / took_s:.1f} seeds/s; sometimes: {dict(sometimes)}")


if __name__ == "__main__":
    main()
