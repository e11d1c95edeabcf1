"""Everything about one message, in log order and in sentences; must not decide anything: the fold says what was effective.

The story is total (I1c): a key that no lane has taken in yet gives a sentence that says whether publishing again is needed.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from audit.reading import learn_schemas, records
from audit.story_words import about, steps_of_channel
from eventlog.port import EventLog
from lane.state import NEVER, PENDING, Finding, Message
from lane.view import LaneView
from lane.why import why
from schemas.codec import Codec
from schemas.facts import AnswersReceived, Fact, MessageReceived, MessageRefused
from schemas.messages import from_ms
from schemas.streams import Record, inbound, lane

NOT_IN_THE_LOG: Final = "not yet in the log: publishing again is safe"
"""The words of I1c."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One fact of the story. `at_ms`: the writer's clock; `recorded_ms`: the log's own (I9e). `void`: it had no effect."""

    position: int
    at_ms: int
    recorded_ms: int
    fact: str
    void: bool
    state: str
    sentences: tuple[str, ...]
    evidence: str = ""


@dataclass(slots=True, kw_only=True)
class Story:
    """One message's story. `verdict`: what became of it, in a sentence; `why`: its reasons now; `steps` in log order."""

    mode: str
    tenant: str
    key: str
    found: bool = False
    verdict: str = ""
    state: str = ""
    document: str = ""
    position: int = NEVER
    inbound_position: int = NEVER
    sha256: str = ""
    responses_positions: list[int] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The story as one JSON value; times are RFC 3339 in UTC."""
        return {
            "mode": self.mode, "tenant": self.tenant, "key": self.key, "found": self.found, "verdict": self.verdict,
            "state": self.state, "document": self.document, "position": self.position if self.found else None,
            "inbound_position": None if self.inbound_position == NEVER else self.inbound_position, "sha256": self.sha256,
            "responses_positions": self.responses_positions, "why": self.why,
            "steps": [
                {
                    "position": step.position, "at": from_ms(step.at_ms), "recorded": from_ms(step.recorded_ms),
                    "fact": step.fact, "void": step.void, "state": step.state, "sentences": list(step.sentences),
                    "evidence": step.evidence,
                }
                for step in self.steps
            ],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The story for a person, one line a sentence."""
        out = [f"{self.tenant}/{self.key} in {self.mode}: {self.verdict}"]
        if self.inbound_position != NEVER:
            out.append(f"as published: {inbound(self.mode)} at {self.inbound_position}, SHA-256 {self.sha256}")
        for step in self.steps:
            head, *rest = step.sentences
            mark = " (no effect)" if step.void else ""
            out.append(f"{from_ms(step.at_ms)}  {step.position:>8}  {head}{mark}")
            out += [f"{'':24}  {'':>8}  {sentence}" for sentence in rest]
            out += [f"{'':24}  {'':>8}  evidence: {step.evidence}"] if step.evidence else []
        return [*out, *(f"why: {sentence}" for sentence in self.why)]


def story(log: EventLog, codec: Codec, *, mode: str, tenant: str, key: str) -> Story:
    """Tell one message's story. Raises CodecError, RulesTooOld, FactMisplaced, LogError; never for an unknown key."""
    learn_schemas(log, codec)
    told = Story(mode=mode, tenant=tenant, key=key)
    teller = _Teller(told)
    teller.view = LaneView(mode, codec.decode, teller.hear)
    for record in records(log, lane(mode), end=log.end(lane(mode))):
        teller.view.absorb([record])
    if teller.message is not None:
        teller.conclude(teller.message)
    elif not told.verdict:
        _not_taken(log, told, mark=teller.view.state.marks.get(inbound(mode), NEVER))
    return told


def places(log: EventLog, codec: Codec, *, key: str, modes: tuple[str, ...]) -> list[tuple[str, str]]:
    """The (mode, tenant) pairs under which a key was published to these lanes, in log order; for a key given alone."""
    learn_schemas(log, codec)
    found: dict[tuple[str, str], None] = {}
    for mode in modes:
        for record in records(log, lane(mode), end=log.end(lane(mode))):
            fact = codec.decode(record.value)
            if isinstance(fact, (MessageReceived, MessageRefused)) and fact.key == key:
                found[mode, fact.tenant] = None
    return list(found)


class _Teller:
    """Listens to the fold and keeps what concerns the message."""

    def __init__(self, told: Story) -> None:
        self.told = told
        self.message: Message | None = None
        self.covering: set[str] = set()
        self.view: LaneView

    def hear(self, record: Record, fact: Fact, findings: tuple[Finding, ...]) -> None:
        """Keep a fact that names the message, or what happens to its channel while it is under way."""
        told = self.told
        if isinstance(fact, (MessageReceived, MessageRefused)) and (fact.tenant, fact.key) == (told.tenant, told.key):
            self._received(record, fact, findings)
        elif self.message is not None:
            sentences, evidence = about(fact, self.message)
            if not sentences and self.message.state in PENDING:
                sentences = steps_of_channel(fact, self.message, self.view.state, covering=self.covering)
            if sentences:
                self._step(record, fact, findings, sentences=sentences, evidence=evidence)

    def _received(self, record: Record, fact: MessageReceived | MessageRefused, findings: tuple[Finding, ...]) -> None:
        told = self.told
        evidence = f"{inbound(told.mode)} at {fact.source.position}, SHA-256 {fact.sha256}"
        if isinstance(fact, MessageRefused):
            void = any(finding.void for finding in findings)
            if self.message is None and not void:
                told.verdict = f"refused: {fact.reason}"
                told.inbound_position, told.sha256 = fact.source.position, fact.sha256
            self._step(record, fact, findings, sentences=[f"refused ({fact.code}): {fact.reason}"], evidence=evidence)
            return
        first = self.view.state.messages.get(record.position)
        if first is None:
            self._step(record, fact, findings, sentences=["the same key was published again"], evidence=evidence)
            return
        self.message = first
        told.found = True
        told.position, told.inbound_position, told.sha256 = record.position, fact.source.position, fact.sha256
        told.document = str(first.doc)
        sentence = f"received: {fact.kind} ({fact.function}) for {first.doc} over {fact.channel}, {fact.size_bytes:,} bytes"
        notices = [
            f"{outage.incident} was in force for its channel: {outage.title}"
            for outage in self.view.state.outages.values()
            if steps_of_channel(outage, first, self.view.state, covering=self.covering)
        ]
        self._step(record, fact, findings, sentences=[sentence, *notices], evidence=evidence)

    def _step(
        self, record: Record, fact: Fact, findings: tuple[Finding, ...], *, sentences: list[str], evidence: str = ""
    ) -> None:
        mine = [
            each for each in findings if each.message is None or self.message is None or each.message == self.message.position
        ]
        if isinstance(fact, AnswersReceived):
            self.told.responses_positions.append(fact.source.position)
        said = [f"{each.sentence} ({each.rule})" for each in mine if each.sentence]
        self.told.steps.append(
            Step(
                position=record.position, at_ms=fact.at_ms, recorded_ms=record.at_ms, fact=type(fact).__name__,
                void=any(each.void for each in mine), state=self.message.state if self.message else "",
                sentences=(*sentences, *said), evidence=evidence,
            )
        )  # fmt: skip

    def conclude(self, message: Message) -> None:
        """Say where it stands at the log's end."""
        state = self.view.state
        reasons = why(state, message, at_ms=state.now_ms)
        self.told.state = message.state
        self.told.why = [f"{reason.sentence} ({reason.rule})" for reason in reasons]
        self.told.verdict = f"{message.state}: {reasons[0].sentence}" if reasons else message.state


def _not_taken(log: EventLog, told: Story, *, mark: int) -> None:
    """A key that the lane has not: it may stand in [inbound] and not be taken in yet, or it is not in the log at all."""
    stream = inbound(told.mode)
    for record in records(log, stream, start=mark + 1, end=log.end(stream)):
        said = (record.header("ce_tenant") or b"", record.header("ce_id") or b"")
        if said == (told.tenant.encode(), told.key.encode()):
            told.inbound_position = record.position
            told.verdict = "in the log, and not taken into its lane yet: it is safe, wait for it"
            return
    told.verdict = NOT_IN_THE_LOG
