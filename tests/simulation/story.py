"""Plays a plan: providers, outages, crashes, then calm; fills a history for the checker, and judges nothing itself."""

import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from lane.policy import Policy
from lane.snapshot import dump
from lane.state import Finding, LaneState, Message
from lane.view import LaneView
from lane.why import why
from schemas.cloudevents import to_headers
from schemas.codec import encode, schema_entries
from schemas.facts import Fact, LaneTaken, MessageWithdrawn, PolicyAdopted, SendIntended, SendsConcluded, WindowEnded
from schemas.messages import Attributes
from schemas.streams import BULLETINS, DESK, SCHEMAS, Entry, Record, inbound, lane
from tests.checker.check import Broken, check
from tests.checker.history import Answered, History, Publish, Standing
from tests.simulation.authority import SimulatedAuthority
from tests.simulation.clockwork import EPOCH_MS, Clockwork
from tests.simulation.locks import Locks
from tests.simulation.plan import Outage, Plan, Publication, draw
from tests.simulation.process import CODEC, Process

CALM_S: Final = 2_000.0
"""Virtual seconds after which everything that can end has ended."""

STEP_S: Final = 20.0
"""How often it is looked whether everything has ended."""

RETRIES_S: Final = (0.1, 20.0)
"""After how long a provider that was not told publishes again."""

FASTER: Final = 0.05
"""The answers' delay in the calm."""

CHAIN_COUNT_MAX: Final = 50
"""Longest chain of waiting messages that is followed: longer than any plan's."""

SCHEMA_ENTRIES: Final = schema_entries()
ENDED: Final = frozenset({"captured", "rejected", "parked", "withdrawn", "replaced", "filed"})


@dataclass(slots=True)
class Outcome:
    """What a plan came to: the broken promises, what happened sometimes, and one digest of everything that was to be seen."""

    plan: Plan
    broken: list[Broken]
    sometimes: dict[str, int]
    digest: str
    trace: list[str] = field(default_factory=list)


def play(plan: Plan | int, *, trace: bool = False, without: Container[str] = frozenset()) -> Outcome:
    """Play a plan, or that of a seed. `without`: rules of the checker that are left out."""
    if isinstance(plan, int):
        plan = draw(plan)
    story = Story(plan, trace=trace)
    story.faults()
    story.calm()
    return story.judged(without)


class Story:
    """One plan on its way."""

    def __init__(self, plan: Plan, *, trace: bool) -> None:
        self.plan = plan
        self.trace: list[str] = []
        self.history = History()
        self.clockwork = Clockwork(plan.seed, plan.odds, self._tell if trace else None)
        self.zero = LaneView(plan.mode, CODEC.decode, self._hear)
        self.authority = SimulatedAuthority(self.clockwork, can_query=plan.can_query)
        self._policy()
        for publication in plan.publications:
            self.clockwork.at(publication.at_s, self._publish, publication.attributes)
            if publication.elsewhere_s is not None:
                self.clockwork.at(publication.elsewhere_s, self.authority.file_elsewhere, publication.attributes)
            if publication.again_s is not None:
                self.clockwork.at(publication.again_s, self._publish, publication.attributes)
            if publication.withdrawn_s is not None:
                self.clockwork.at(publication.withdrawn_s, self._withdraw, publication)
        for outage in plan.outages:
            self._outage(outage)
        locks = Locks() if plan.locks else None
        self.processes = [
            Process(self.clockwork, self.authority, name=f"p{number}", mode=plan.mode, locks=locks, patience=plan.patience)
            for number in range(plan.processes)
        ]

    def faults(self) -> None:
        """Let everything happen that may."""
        self.clockwork.run(self.plan.faults_s)

    def calm(self) -> None:
        """End the faults, say of each outage that it is resolved, and wait until everything has ended that can."""
        clockwork = self.clockwork
        clockwork.calm = True
        self._tell("calm")
        clockwork.release_late()
        self.authority.inbound = "up"
        self.authority.slow_answers_s = FASTER
        for outage in self.plan.outages:
            if outage.window_minute is None:
                self._resolve(outage.number)
        until_s = clockwork.now_s + CALM_S
        while clockwork.now_s < until_s and not self._has_settled():
            clockwork.run(clockwork.now_s + STEP_S)
        for process in self.processes:
            process.read_up()

    def judged(self, without: Container[str]) -> Outcome:
        """Ask every client's question, and let the checker judge."""
        self._ask()
        broken = [Broken("I7", sentence) for sentence in self.clockwork.broken if "I7" not in without]
        broken += check(self.clockwork.log, CODEC, self.history, without=without)
        return Outcome(self.plan, broken, self.clockwork.sometimes, self._digest(), self.trace)

    def _tell(self, what: str) -> None:
        self.trace.append(f"{self.clockwork.now_s:9.3f} s  {what}")

    def _policy(self) -> None:
        calm, self.clockwork.calm = self.clockwork.calm, True
        self.clockwork.append(SCHEMAS, SCHEMA_ENTRIES)
        policy = Policy(**self.plan.policy)
        fact = PolicyAdopted(at_ms=EPOCH_MS, policy=policy.as_json(), person="sim", reason="short waits")
        self.clockwork.append(DESK, [Entry(encode(fact))])
        self.clockwork.calm = calm

    def _has_settled(self) -> bool:
        state = self.processes[0].lane.state
        keys = {(each.tenant, each.key) for each in self.history.publishes if each.told == "acknowledged"}
        if self.processes[0].desk.state.marks.get(BULLETINS, -1) < self.clockwork.log.end(BULLETINS) - 1:
            return False
        known = len(keys) == len(self.plan.publications) == len(state.messages) + state.refused
        return known and all(_has_ended(message) for message in state.messages.values())

    def _ask(self) -> None:
        self.history.taken = [entry.as_row() for entry in self.authority.history.after(0, 10**9)]
        self.history.attempts = self.authority.attempts()
        stream = lane(self.plan.mode)
        self.zero.absorb(self.clockwork.log.read(stream, 0, 10_000, 0))
        for name, view in [("a fold from zero", self.zero), *((each.holder, each.lane) for each in self.processes)]:
            digest = hashlib.sha256(dump(view.state)).hexdigest()
            self.history.standings.append(Standing(process=name, stream=stream, position=view.next_position, digest=digest))
        state = self.processes[0].lane.state
        self.history.answered = [self._answered(state, message) for message in state.messages.values()]

    def _hear(self, _: Record, fact: Fact, findings: tuple[Finding, ...]) -> None:
        """Count what the log shows of what should happen sometimes."""
        if any(finding.void and finding.message is None for finding in findings):
            return
        match fact:
            case LaneTaken(basis=basis) if basis in ("dead", "silent"):
                self.clockwork.saw(f"taken over from a {basis} holder")
            case SendsConcluded(outcomes=outcomes):
                for outcome in outcomes:
                    if outcome.result in ("expired", "not_taken"):
                        self.clockwork.saw("grant expired" if outcome.result == "expired" else "link suspect")
            case WindowEnded():
                self.clockwork.saw("window ended")
            case SendIntended():
                if any(channel.canary is not None for channel in self.zero.state.channels.values()):
                    self.clockwork.saw("canary alone")
            case _:
                pass

    def _answered(self, state: LaneState, message: Message) -> Answered:
        at_ms = EPOCH_MS + round(self.clockwork.now_s * 1000)
        reasons = tuple(f"{each.rule}: {each.sentence}" for each in why(state, message, at_ms=at_ms))
        return Answered(
            mode=self.plan.mode, tenant=message.tenant, key=message.key, state=message.state, reasons=reasons,
            needs_person=bool(message.needs_person),
        )  # fmt: skip

    def _digest(self) -> str:
        said = hashlib.sha256()
        for stream in (lane(self.plan.mode), DESK, inbound(self.plan.mode)):
            for record in self.clockwork.log.read(stream, 0, 10_000, 0):
                said.update(f"{stream} {record.position} {record.at_ms} ".encode() + record.value)
        for attempt in self.history.attempts:
            said.update(repr(attempt).encode())
        return said.hexdigest()[:16]

    # -- people

    def _publish(self, attributes: Attributes) -> None:
        """A provider publishes, and publishes again when it is not told; the time of publishing is another one then."""
        clockwork = self.clockwork
        payload = f"ISA*{attributes.key}".encode()
        headers = to_headers(attributes, datetime.fromtimestamp(EPOCH_MS / 1000 + clockwork.now_s, UTC))
        told = Publish(
            mode=attributes.mode, tenant=attributes.tenant, key=attributes.key, sha256=hashlib.sha256(payload).hexdigest(),
            told="acknowledged", at_s=clockwork.now_s,
        )  # fmt: skip
        try:
            clockwork.append(inbound(attributes.mode), [Entry(payload, headers)])
        except Exception:  # noqa: BLE001 - whatever the log says, a provider tries again
            clockwork.saw("publish again")
            clockwork.at(clockwork.rng.uniform(*RETRIES_S), self._publish, attributes)
        else:
            self._tell_if(lambda: f"published: {attributes.kind} {attributes.function} {attributes.tenant}/{attributes.key}")
            self.history.publishes.append(told)

    def _withdraw(self, publication: Publication) -> None:
        """A person takes a message back, by what a process shows of it now."""
        state = self.processes[0].lane.state
        message = state.by_publisher(publication.attributes.tenant, publication.attributes.key)
        if message is None or message.state not in ("held", "parked") or self.clockwork.calm:
            return
        self.clockwork.saw("withdraw")
        at_ms = EPOCH_MS + round(self.clockwork.now_s * 1000)
        fact = MessageWithdrawn(at_ms=at_ms, message=message.position, basis=message.act, person="olga", reason="a mistake")
        self._bring(lane(self.plan.mode), encode(fact))

    def _bring(self, stream: str, value: bytes) -> None:
        """Whoever brings something brings it until it is taken."""
        try:
            self.clockwork.append(stream, [Entry(value)])
        except Exception:  # noqa: BLE001 - whatever the log says, it is brought again
            self.clockwork.at(1.0, self._bring, stream, value)

    # -- CBSA

    def _outage(self, outage: Outage) -> None:
        at = self.clockwork.at
        if outage.window_minute is not None:
            at(0.0, self._notice, _window(outage))
            return
        at(outage.starts_s, self._switch, outage.how)
        at(outage.ends_s, self._switch, "up")
        if outage.told_after_s is not None:
            at(outage.starts_s + outage.told_after_s, self._declare, outage.number)
            at(outage.ends_s + outage.told_after_s, self._resolve, outage.number)

    def _switch(self, how: str) -> None:
        if not self.clockwork.calm:
            self.authority.inbound = how
            self.clockwork.saw(f"inbound {how}")

    def _declare(self, number: int) -> None:
        if not self.clockwork.calm:
            self.clockwork.saw("declared")
            self._notice(_text(number, "", "The CBSA is currently unable to receive inbound EDI messages."))

    def _resolve(self, number: int) -> None:
        self.clockwork.saw("resolved")
        self._notice(_text(number, "RESOLVED", "The EDI inbound outage has now been resolved."))

    def _notice(self, text: str) -> None:
        self._tell_if(lambda: f"notice: {text.splitlines()[0]}")
        self._bring(BULLETINS, text.encode())

    def _tell_if(self, what: Callable[[], str]) -> None:
        if self.clockwork.tell is not None:
            self._tell(what())


def _has_ended(message: Message) -> bool:
    """Whether nothing more happens to it by itself: it may wait behind one that waits for a person or for what never came."""
    for _ in range(CHAIN_COUNT_MAX):
        if message.state in ENDED or message.needs_person:
            return True
        blocker = message.blocker
        if message.state != "held" or blocker is None:
            return False
        if blocker.kind in ("aside", "wanted"):
            return True
        before = message.doc.queue[0] if blocker.kind == "queue" else blocker.message
        if before is None or before is message:
            return False
        message = before
    return False


def _text(number: int, state: str, what: str) -> str:
    return (
        f"TCC25-9{number:03} {state} - EDI Inbound Outage\n\nStart Date / Time\n\n2025-11-24 09:40 (ET)\n\nEnd Date / Time\n\n"
        f"{'2025-11-24 12:00 (ET)' if state else 'Initial investigation underway'}\n\nClients Affected\n\nAll.\n\n"
        f"Description\n\n{what}\n\nAction Required\n\nNone.\n"
    )


def _window(outage: Outage) -> str:
    """A window that begins and ends at whole minutes after 11:00, when the story begins."""
    minute = outage.window_minute or 0
    return (
        f"TCC25-9{outage.number:03} - EDI SCHEDULED Maintenance\nDescription\nMonday, November 24, 2025 from 11:{minute:02} to "
        f"11:{minute + 1:02} (ET): all EDI applications unavailable, in and out.\nAction Required\nFollow the plan.\n"
    )
