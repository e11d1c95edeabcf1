"""Bugs to plant in the product, each as a patch of a running process; must not be imported by anything but tests.

Each says in a sentence what is wrong with the program, and which invariants its seeds break. They are planted in the plain
sources: compiled code can't be patched.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from consumers import availability
from consumers import intake as intake_room
from consumers import responses as responses_room
from eventlog.port import AppendAmbiguous, Appended
from lane import acts, desk, fold, gate, grants, identity, moves, order, outcomes
from lane.desk import DeskState
from lane.grants import intend
from lane.message import Message
from lane.snapshot import load
from lane.state import Document, Finding, LaneState
from lane.view import LaneView
from replay import flight, lease
from replay.lease import Standing
from schemas.effects import Append, CatchUp, Read, Turn, Worker
from schemas.facts import (
    AnswerGiven,
    MessageReceived,
    MessageWithdrawn,
    OutageResolved,
    Outcome,
    SendIntended,
    Source,
)
from schemas.streams import BULLETINS, DESK, Entry, Record, inbound, lane
from tests.checker.history import NEVER_S
from tests.simulation import process
from tests.simulation.clockwork import Clockwork

Patch = pytest.MonkeyPatch

SEEDS_MAX: Final = 600
"""Seeds within which a planted bug has to show, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug: how it is planted, which invariants it may break, and within how many seeds it has to show."""

    plant: Callable[[Patch], None]
    breaks: frozenset[str]
    seeds_max: int = SEEDS_MAX

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plant.__name__

    @property
    def sentence(self) -> str:
        """What is wrong with the program."""
        return (self.plant.__doc__ or "").splitlines()[0]


def no_publish_dedup(patch: Patch) -> None:
    """The same key published again is a message of its own."""
    receive = identity.receive

    def forgetting(state: LaneState, position: int, fact: MessageReceived) -> tuple[Finding, ...]:
        known = state.by_publisher(fact.tenant, fact.key)
        if known is not None:
            state.free_key(known)
        return receive(state, position, fact)

    patch.setattr(identity, "receive", forgetting)


def source_chain_not_checked(patch: Patch) -> None:
    """Facts take effect whatever they continue, and intake remembers by itself how far it came."""
    _chain_off(patch)

    def entries(records: Sequence[Record], mode: str, previous: int, turn: Turn) -> tuple[Entry, ...]:
        return tuple(intake_room._entries(records, mode=mode, previous=previous, turn=turn))

    def forgetful(view: LaneView) -> Worker:
        mode = view.state.mode
        return _remembering(inbound(mode), lane(mode), view.state.marks, lambda *given: entries(given[0], mode, *given[1:]))

    patch.setattr(process, "intake", forgetful)


def notices_passed_over(patch: Patch) -> None:
    """The desk's facts take effect whatever they continue, and who reads notices remembers by itself how far it came."""
    _chain_off(patch)

    def entries(records: Sequence[Record], previous: int, turn: Turn) -> tuple[Entry, ...]:
        return tuple(availability._entries(records, previous=previous, at_ms=turn.at_ms))

    patch.setattr(process, "read_bulletins", lambda view: _remembering(BULLETINS, DESK, view.state.marks, entries))


def _chain_off(patch: Patch) -> None:
    def move_mark(state: LaneState | DeskState, source: Source | None) -> tuple[Finding, ...]:
        if source is not None:
            state.marks[source.stream] = max(source.position, state.marks.get(source.stream, -1))
        return ()

    patch.setattr(fold, "_off_chain", lambda state, source: next(iter(move_mark(state, source)), None))
    patch.setattr(desk, "_off_chain", move_mark)


def _remembering(source: str, stream: str, marks: dict[str, int], entries: Callable[..., tuple[Entry, ...]]) -> Worker:
    """A worker that reads a source and writes facts of it, and takes each append for done."""
    turn = yield [CatchUp("caught up", stream)]
    mark = marks.get(source, -1)
    while not turn.stopping:
        turn = yield [Read("read", source, mark + 1, intake_room.READ_COUNT, intake_room.READ_WAIT_S)]
        records = turn.done[0].result
        if isinstance(records, (list, tuple)) and records:
            written = entries(records, mark, turn)
            mark = records[-1].position
            turn = yield [Append("append", stream, written)]


def gate_off(patch: Patch) -> None:
    """A notice holds nobody."""
    _hold_only(patch, lambda _state, _outage, _scope: False)


def gate_from_a_cache(patch: Patch) -> None:
    """The gate is as it was four facts ago."""
    _hold_only(patch, lambda state, outage, _scope: state.position - outage.position > 4)


def windows_do_not_hold(patch: Patch) -> None:
    """An intent inside a scheduled window is granted."""
    _hold_only(patch, lambda _state, _outage, scope: not scope.scheduled)


def _hold_only(patch: Patch, counts: Callable[[LaneState, Any, Any], bool]) -> None:
    """Let only those scopes hold for which that is so."""
    holding = gate.holding

    def fewer(state: LaneState, channel: str, *, at_ms: int) -> Iterator[tuple[Any, Any]]:
        return (pair for pair in holding(state, channel, at_ms=at_ms) if counts(state, *pair))

    for room in (gate, grants):
        patch.setattr(room, "holding", fewer)


def any_resolved_opens(patch: Patch) -> None:
    """Whatever is resolved, everything opens."""
    resolve = gate.resolve

    def opening(state: LaneState, position: int, fact: OutageResolved) -> tuple[Finding, ...]:
        for incident in [each for each in state.outages if each != fact.incident]:
            resolve(state, position, replace(fact, incident=incident))
        return resolve(state, position, fact)

    patch.setattr(gate, "resolve", opening)


def canary_skipped(patch: Patch) -> None:
    """After a window's end all go at once."""
    opened = gate.open_what_opened
    patch.setattr(gate, "open_what_opened", lambda *given, **named: opened(*given, **{**named, "canary": False}))


def suspect_link_flooded(patch: Patch) -> None:
    """A link that refuses connections is used as before."""
    patch.setattr(outcomes, "suspect", lambda *_given, **_named: None)


def order_off(patch: Patch) -> None:
    """Nothing waits for anything."""
    for room in (moves, grants):
        patch.setattr(room, "blocker", lambda *_given, **_named: None)


def group_not_awaited(patch: Patch) -> None:
    """A trip waits for the first shipment on its list alone."""
    named = order._named
    patch.setattr(order, "_named", lambda state, message, *, docs, edge: named(state, message, docs=tuple(docs)[:1], edge=edge))


def reject_counts_as_on_file(patch: Patch) -> None:
    """What CBSA rejected counts as on file: its dependants go."""
    reject = outcomes._reject

    def filing(state: LaneState, message: Message, **given: Any) -> list[Finding]:
        found = reject(state, message, **given)
        outcomes.put_on_file(state, message, grant=message.grant)
        return found

    patch.setattr(outcomes, "_reject", filing)


def cancel_ignored(patch: Patch) -> None:
    """A document stays on file when it is cancelled."""
    file = outcomes._file

    def keeping(state: LaneState, doc: Document, filings: tuple[Message, ...]) -> None:
        file(state, doc, filings)
        doc.on_file = bool(filings)

    patch.setattr(outcomes, "_file", keeping)


def new_key_per_attempt(patch: Patch) -> None:
    """Each attempt has a wire key of its own."""
    wire_key = identity.wire_key

    def numbered(mode: str, message: Message) -> str:
        base = wire_key(mode, message).partition("~")[0]
        return base if message.attempts <= 1 else f"{base}~{message.attempts}"

    patch.setattr(flight, "wire_key", numbered)


def incarnation_not_checked(patch: Patch) -> None:
    """Any epoch may grant: whoever once held the lane goes on."""

    def unfenced(state: LaneState, position: int, fact: SendIntended) -> tuple[Finding, ...]:
        return intend(state, position, replace(fact, epoch=state.lease.epoch))

    patch.setattr(grants, "intend", unfenced)
    patch.setattr(Standing, "holds", lambda self, state: self.epoch > 0 and not state.lease.released)


def old_holder_not_waited_out(patch: Patch) -> None:
    """Who takes the lane over sends at once, while the old holder may still be sending."""
    took = Standing.took

    def at_once(self: Standing, state: LaneState, *, epoch: int, boot_s: float) -> bool:
        taken = took(self, state, epoch=epoch, boot_s=boot_s)
        self.may_grant_from_s = boot_s
        return taken

    patch.setattr(Standing, "took", at_once)


def lane_taken_eagerly(patch: Patch) -> None:
    """Who stands by takes the lane at each look."""
    patch.setattr(lease, "_should_write", lambda *_given, **_named: True)
    patch.setattr(Standing, "_basis", lambda _, state, **_named: "silent" if state.lease.epoch else "free")


def started_late(patch: Patch) -> None:
    """A grant is started however old it is."""
    start = flight.Flight.start

    def patient(self: flight.Flight, state: LaneState, turn: Any, *, holds: bool) -> Iterator[Any]:
        return start(self, state, replace(turn, boot_s=float("-inf")), holds=holds)

    transmission = flight._transmission
    patch.setattr(flight.Flight, "start", patient)
    patch.setattr(flight, "_transmission", lambda *given, **named: replace(transmission(*given, **named), start_by_s=NEVER_S))


def blind_resend(patch: Patch) -> None:
    """What nobody answered goes again without a question."""
    conclude = outcomes._conclude

    def again(state: LaneState, message: Message, outcome: Outcome, *, at_ms: int) -> list[Finding]:
        found = conclude(state, message, outcome, at_ms=at_ms)
        if message.state == "unknown":
            outcomes._again(state, message, "no reply", at_ms=at_ms)
        return found

    patch.setattr(outcomes, "_conclude", again)


def timeout_taken_as_captured(patch: Patch) -> None:
    """What nobody answered is taken for captured."""
    conclude = outcomes._conclude

    def trusting(state: LaneState, message: Message, outcome: Outcome, *, at_ms: int) -> list[Finding]:
        found = conclude(state, message, outcome, at_ms=at_ms)
        if message.state == "unknown":
            outcomes._judge(state, message, "captured", code="", text="", at_ms=at_ms, first=True)
        return found

    patch.setattr(outcomes, "_conclude", trusting)


def duplicate_taken_as_captured(patch: Patch) -> None:
    """What CBSA calls a duplicate is taken for captured."""
    for state, outcome in list(outcomes.ANSWER_TABLE):
        if outcome == "duplicate" and state in ("held", "granted", "transmitted", "unknown"):
            patch.setitem(outcomes.ANSWER_TABLE, (state, outcome), "capture")


def answer_matched_by_document(patch: Patch) -> None:
    """An answer is taken for whichever message of its document came first."""
    answer = outcomes._answer

    def first(state: LaneState, message: Message, given: AnswerGiven, *, at_ms: int) -> list[Finding]:
        same = [each for each in state.messages.values() if each.doc is message.doc]
        return answer(state, same[0], given, at_ms=at_ms)

    patch.setattr(outcomes, "_answer", first)


def answer_made_up(patch: Patch) -> None:
    """A reject is read as a capture."""

    def better(**fields: Any) -> AnswerGiven:
        outcome = fields["outcome"]
        return AnswerGiven(**{**fields, "outcome": "captured" if outcome == "rejected" else outcome})

    patch.setattr(responses_room, "AnswerGiven", better)


def attributes_misread(patch: Patch) -> None:
    """Intake writes a wrong digest of the attributes down."""
    received = intake_room._received
    patch.setattr(
        intake_room, "_received", lambda *given, **named: replace(received(*given, **named), attributes_sha256="0" * 64)
    )


def acknowledged_too_early(patch: Patch) -> None:
    """An append that nobody knows of is taken for done."""
    append = Clockwork.append

    def hopeful(self: Clockwork, stream: str, entries: Sequence[Entry]) -> Sequence[int]:
        try:
            return append(self, stream, entries)
        except AppendAmbiguous:
            end = self.log.end(stream)
            return Appended(range(end, end + len(entries)), (0,) * len(entries))

    patch.setattr(Clockwork, "append", hopeful)


def snapshot_off_by_one(patch: Patch) -> None:
    """Who starts from a snapshot passes one fact over."""

    def ahead(body: bytes) -> LaneState:
        state = load(body)
        state.position += 1
        return state

    patch.setattr(process, "load", ahead)


def capture_wakes_nobody(patch: Patch) -> None:
    """What waits for a document is not looked at when it comes on file."""
    patch.setattr(outcomes, "touch", lambda *_given: None)


def withdrawn_goes_anyway(patch: Patch) -> None:
    """A message that a person took back goes all the same."""

    def unheard(_state: LaneState, _position: int, _fact: MessageWithdrawn) -> tuple[Finding, ...]:
        return ()

    patch.setattr(acts, "withdraw", unheard)


def _of(plant: Callable[[Patch], None], breaks: str, seeds_max: int = SEEDS_MAX) -> Mutant:
    return Mutant(plant, frozenset(breaks.split()), seeds_max)


MUTANTS: Final = (
    _of(no_publish_dedup, "I1b"),
    _of(source_chain_not_checked, "I1a I1e I4c"),
    _of(notices_passed_over, "I1e"),
    _of(gate_off, "I2a"),
    _of(gate_from_a_cache, "I2a"),
    _of(windows_do_not_hold, "I2a"),
    _of(any_resolved_opens, "I2a"),
    _of(canary_skipped, "I2e"),
    _of(suspect_link_flooded, "I2f"),
    _of(order_off, "I3"),
    _of(group_not_awaited, "I3"),
    _of(reject_counts_as_on_file, "I3"),
    _of(cancel_ignored, "I3"),
    _of(new_key_per_attempt, "I4a"),
    _of(incarnation_not_checked, "I4b I4c"),
    _of(old_holder_not_waited_out, "I4b"),
    _of(lane_taken_eagerly, "I4b I4c I7"),
    _of(started_late, "I2b"),
    _of(blind_resend, "I4c"),
    _of(timeout_taken_as_captured, "I4e"),
    _of(duplicate_taken_as_captured, "I4e"),
    _of(answer_matched_by_document, "I4e I7"),
    _of(answer_made_up, "I4e"),
    _of(attributes_misread, "I6"),
    _of(acknowledged_too_early, "I1a"),
    _of(snapshot_off_by_one, "I5"),
    _of(capture_wakes_nobody, "I7"),
    _of(withdrawn_goes_anyway, "I4c"),
)
"""All of them. `RELIABILITY.md` section 3.2 tells which of them a prototype had, and within how many seeds it found each."""
