"""Judges a run: `RULES` names each invariant with the function that looks for what breaks it; must not import the fold.

Each rule stands alone, and a test shows of each that without it a planted bug would pass: a rule that nothing needs is taken out.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from audit.verify import Report, verify
from eventlog.port import EventLog
from gateway.authority_documents import own_key_of
from gateway.authority_order import order_violations
from schemas.codec import Codec
from schemas.streams import BULLETINS
from tests.checker.history import Answered, History
from tests.checker.links import broken_links
from tests.checker.seen import DELTA_MS, Name, Seen, Told, name_of, notices_passed, split_wire_key, told

WITNESS_COUNT_MAX: Final = 6
"""Most lines of a witness: who reads it wants the few entries that contradict each other."""

EVIDENCE: Final = {
    "V0": "I1e", "V1": "I6", "V2": "I1e", "V3": "I1b", "V4": "I4c", "V5": "I2a", "V6": "I3", "V7": "I4e", "V8": "I1e",
}  # fmt: skip
"""Which invariant each check of `audit.verify` looks after."""

ENDED: Final = frozenset({"captured", "filed", "rejected", "parked", "withdrawn", "replaced"})
ASIDE: Final = frozenset({"rejected", "parked"})


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold: its name, what happened in a sentence, and the entries that show it."""

    rule: str
    sentence: str
    witness: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = "".join(f"\n      {line}" for line in self.witness[:WITNESS_COUNT_MAX])
        return f"{self.rule}: {self.sentence}{shown}"


@dataclass(frozen=True, slots=True)
class Case:
    """All that is judged by. `at_rest`: faults are over and everything had the time to end, so I7 is asked."""

    report: Report
    lanes: dict[str, Told]
    history: History
    at_rest: bool
    notices: int
    notices_passed: int

    def message(self, wire_key: str) -> Seen | None:
        """The message that a wire key names."""
        mode, tenant, key, _ = split_wire_key(wire_key)
        return self.lanes[mode].messages.get((tenant, key)) if mode in self.lanes else None

    def received(self, answered: Answered) -> Seen | None:
        """The message that a client was told of, if an effective fact of the lane received it."""
        lane = self.lanes.get(answered.mode)
        return None if lane is None else lane.messages.get((answered.tenant, answered.key))


Rule: TypeAlias = Callable[[Case], Iterator[Broken]]


def check(
    log: EventLog, codec: Codec, history: History, *, at_rest: bool = True, without: Container[str] = frozenset()
) -> list[Broken]:
    """Everything that is broken, by invariant. `without`: rules that are left out, for the test that shows what each is for.

    Raises what reading the log raises.
    """
    case = Case(verify(log, codec), told(log, codec), history, at_rest, log.end(BULLETINS), notices_passed(log, codec))
    return [broken for name, rules in RULES.items() if name not in without for rule in rules for broken in rule(case)]


def by_audit(invariant: str) -> Rule:
    """What the operator's own `tidegate audit verify` finds, of one invariant."""

    def rule(case: Case) -> Iterator[Broken]:
        for one in case.report.checks:
            if EVIDENCE[one.name] == invariant:
                yield from (Broken(invariant, str(finding)) for finding in one.findings)

    return rule


def durable(case: Case) -> Iterator[Broken]:
    """I1a: what was acknowledged is in the log, byte for byte; at rest the lane speaks of it."""
    for each in case.history.publishes:
        if each.told != "acknowledged":
            continue
        lane = case.lanes.get(each.mode)
        who = (each.tenant, each.key)
        name = f"{each.mode} {each.tenant}/{each.key}"
        if lane is None or each.sha256 not in lane.raw.get(who, ()):
            yield Broken("I1a", f"{name} was acknowledged at {each.at_s:.3f} s and its bytes are not in the log", (str(each),))
        elif case.at_rest and who not in lane.messages and who not in lane.refused:
            yield Broken("I1a", f"{name} was acknowledged and no fact of the lane speaks of it", (str(each),))


def no_phantom(case: Case) -> Iterator[Broken]:
    """I1e: nobody is told of a message that no effective fact received: facts chain by their sources, as everybody reads them."""
    for each in case.history.answered:
        if case.received(each) is None:
            sentence = (
                f"{each.tenant}/{each.key} is said to be {each.state}, and no effective fact of lane.{each.mode} received it"
            )
            yield Broken("I1e", sentence, (str(each),))


def all_read(case: Case) -> Iterator[Broken]:
    """I1e: at rest no notice lies there of which no effective fact speaks; of messages I1a says the same."""
    if case.at_rest and case.notices_passed < case.notices - 1:
        yield Broken("I1e", f"notices up to {case.notices - 1} lie in [bulletins] and the desk stands at {case.notices_passed}")


def sent_in_time(case: Case) -> Iterator[Broken]:
    """I2b: nothing starts later than *delta* after its intent: by the sender's own word, and by the wire beside the log."""
    for lane in case.lanes.values():
        most_ms = max([DELTA_MS, *lane.delta_ms])
        for seen in lane.messages.values():
            for grant, age_ms in seen.ages_ms:
                if age_ms > most_ms:
                    yield Broken("I2b", f"{seen} was sent {age_ms} ms after its intent at {grant}; {most_ms} is the most")
    for attempt in case.history.attempts:
        seen_by = case.message(attempt.wire_key)
        if seen_by is None:
            continue
        started_ms = attempt.started_s * 1000
        before = [at_ms for _, at_ms in seen_by.intended if at_ms <= started_ms + 1]
        most_ms = max([DELTA_MS, *case.lanes[seen_by.mode].delta_ms])
        if not before or started_ms - before[-1] > most_ms + 1:
            since = f"{started_ms - before[-1]:.0f} ms after its last intent" if before else "without an intent"
            yield Broken("I2b", f"{attempt.wire_key} went on the wire {since}; {most_ms} is the most", (str(attempt),))


def one_at_a_time(invariant: str) -> Rule:
    """I2e, I2f: over a link that a window's end or a hand opened, or that is suspect, one goes at a time."""

    def rule(case: Case) -> Iterator[Broken]:
        for mode, lane in case.lanes.items():
            channels = {position: seen.channel for position, seen in lane.by_position.items()}
            for name, position, sentence in broken_links(lane.facts, channels):
                if name == invariant:
                    yield Broken(invariant, f"lane.{mode} at {position}: {sentence}")

    return rule


def in_order(case: Case) -> Iterator[Broken]:
    """I3: CBSA captured nothing before what must go first, by its own history, but for what came here too late (R22)."""
    rows = {row["seq"]: row for row in case.history.taken}
    for violation in order_violations(case.history.taken):  # type: ignore[arg-type]  # they are the rows of the same history
        first, second = (rows[violation[name]]["idempotency_key"] for name in ("before", "after"))
        went, due = case.message(first), case.message(second)
        if went is None or due is None:
            continue  # another party's: nobody here could have waited for it, or made it wait
        if not _came_late(case.lanes[went.mode], went, due):
            told_by = tuple(f"{rows[violation[name]]}" for name in ("before", "after"))
            yield Broken("I3", f"{first} was captured before {second} ({violation['edge']})", told_by)


def _came_late(lane: Told, went: Seen, due: Seen) -> bool:
    """Whether the predecessor, or what ties the two together, was received only after the successor's last intent."""
    granted = went.intended[-1][0] if went.intended else -1
    if due.position > granted:
        return True
    ends = {due.doc, *went.names}
    all_names = ends | due.names
    return any(
        each.position > granted and each is not due and each.doc in all_names and not ends.isdisjoint(each.names)
        for each in lane.messages.values()
    )


def same_bytes(case: Case) -> Iterator[Broken]:
    """I4a: one submission, one key, the bytes as published; the next key only when CBSA or a person has ended the last one."""
    for attempt in case.history.attempts:
        seen = case.message(attempt.wire_key)
        submission = split_wire_key(attempt.wire_key)[3]
        if seen is None:
            yield Broken("I4a", f"{attempt.wire_key} was sent and names no message of the log", (str(attempt),))
        elif attempt.sha256 != seen.sha256:
            yield Broken("I4a", f"{attempt.wire_key} was sent with other bytes than were published", (str(attempt),))
        elif submission > 1 + len(seen.rejected) + seen.put_back:
            ended = f"{len(seen.rejected)} rejects and {seen.put_back} other ends of a submission are told"
            yield Broken("I4a", f"{attempt.wire_key} is submission {submission} and only {ended}", (str(attempt),))


def no_overlap(case: Case) -> Iterator[Broken]:
    """I4b: sends of one message never overlap in time, whoever sends."""
    by_message = defaultdict(list)
    for attempt in case.history.attempts:
        by_message[split_wire_key(attempt.wire_key)[:3]].append(attempt)
    for attempts in by_message.values():
        attempts.sort(key=lambda each: each.started_s)
        for earlier, later in itertools.pairwise(attempts):
            if later.started_s < earlier.ended_s:
                sentence = f"{later.wire_key} was sent at {later.started_s:.3f} s while it was under way"
                yield Broken("I4b", sentence, (str(earlier), str(later)))


def captured_once(case: Case) -> Iterator[Broken]:
    """I4c: CBSA captured each message of a client once, by its own history."""
    captured = defaultdict(list)
    for row in case.history.taken:
        if row["outcome"] == "captured":
            captured[split_wire_key(row["idempotency_key"])[:3]].append(row)
    for who, rows in captured.items():
        if len(rows) > 1 and not _was_put_back(case, rows[0]["idempotency_key"]):
            sentence = f"{'/'.join(who)} was captured {len(rows)} times"
            yield Broken("I4c", sentence, tuple(map(str, rows)))


def _was_put_back(case: Case, wire_key: str) -> bool:
    seen = case.message(wire_key)
    return seen is not None and seen.put_back > 0


def nothing_made_up(case: Case) -> Iterator[Broken]:
    """I4e: what a client is told that CBSA captured, CBSA captured."""
    captured = {split_wire_key(row["idempotency_key"])[:3] for row in case.history.taken if row["outcome"] == "captured"}
    for each in case.history.answered:
        if each.state == "captured" and (each.mode, each.tenant, each.key) not in captured:
            yield Broken("I4e", f"{each.tenant}/{each.key} is said to be captured and CBSA never did", (str(each),))


def one_state(case: Case) -> Iterator[Broken]:
    """I5: whoever has read as far has the same state, to the byte."""
    digests: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for each in case.history.standings:
        digests[each.stream, each.position].setdefault(each.digest, each.process)
    for (stream, position), found in digests.items():
        if len(found) > 1:
            yield Broken("I5", f"{' and '.join(found.values())} hold different states of {stream} at {position}", tuple(found))


def all_ended(case: Case) -> Iterator[Broken]:
    """I7: at rest each acknowledged message has ended, waits for a person, or is held behind one that does; and says why."""
    if not case.at_rest or not case.history.answered:
        return
    answered = {(each.mode, each.tenant, each.key): each for each in case.history.answered if case.received(each) is not None}
    for mode, lane in case.lanes.items():
        for tenant, key in lane.messages.keys() - {each[1:] for each in answered if each[0] == mode}:
            yield Broken("I7", f"{tenant}/{key} is in the lane and nobody can say where it stands")
        stuck = {
            lane.messages[each.tenant, each.key].doc for each in answered.values() if each.mode == mode and _waits(case, each)
        }
        for each in answered.values():
            if each.mode != mode or each.state in ENDED or each.needs_person:
                continue
            related = _related(lane, lane.messages[each.tenant, each.key])
            if each.state != "held" or not each.reasons or stuck.isdisjoint(related):
                reasons = "; ".join(each.reasons) or "without a reason"
                yield Broken("I7", f"{each.tenant}/{each.key} is {each.state} for ever: {reasons}", (str(each),))


def _waits(case: Case, each: Answered) -> bool:
    """Whether only a person, or a message that never came, can bring it on: what depends on it is held behind it (R55)."""
    seen = case.lanes[each.mode].messages[each.tenant, each.key]
    lacks = each.state == "held" and bool(seen.rejected) and not seen.names <= _on_file(case, each.mode)
    return each.state in ASIDE or each.needs_person or lacks


def _on_file(case: Case, mode: str) -> set[Name]:
    """The documents of a mode that CBSA has on file, by its own history."""
    found: set[Name] = set()
    for row in sorted(case.history.taken, key=lambda row: row["seq"] if row["judged"] is None else row["judged"]):
        if row["mode"] == mode and row["outcome"] == "captured":
            doc = name_of(row["kind"], own_key_of(row["kind"], row["keys"], row["idempotency_key"]))
            (found.discard if row["function"] == "cancel" else found.add)(doc)
    return found


def _related(lane: Told, seen: Seen) -> set[Name]:
    """All documents that lead to a message's over what any message names."""
    reached = {seen.doc, *seen.names}
    while True:
        more = {name for each in lane.messages.values() for name in (each.doc, *each.names)
                if not reached.isdisjoint((each.doc, *each.names))}  # fmt: skip
        if more <= reached:
            return reached
        reached |= more


RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "I1a": (durable,),
    "I1b": (by_audit("I1b"),),
    "I1e": (by_audit("I1e"), no_phantom, all_read),
    "I2a": (by_audit("I2a"),),
    "I2b": (sent_in_time,),
    "I2e": (one_at_a_time("I2e"),),
    "I2f": (one_at_a_time("I2f"),),
    "I3": (by_audit("I3"), in_order),
    "I4a": (same_bytes,),
    "I4b": (no_overlap,),
    "I4c": (by_audit("I4c"), captured_once),
    "I4e": (by_audit("I4e"), nothing_made_up),
    "I5": (one_state,),
    "I6": (by_audit("I6"),),
    "I7": (all_ended,),
}
"""Each invariant of RELIABILITY section 1 that a run can break, with what looks for it: the log's side, and the other one's."""
