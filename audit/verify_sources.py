"""The chains from source records to facts, and the bytes behind them; must not know what a fact leads to, nor the fold.

R1 restated: a fact continues the chain where it stands, or it has no effect. What the auditor adds: no record is passed over.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from audit.reading import Progress, records
from audit.verify_answers import Chain, Page
from audit.verify_report import Report
from eventlog.port import EventLog
from schemas.cloudevents import attributes_of
from schemas.facts import (
    AnswersReceived,
    BulletinRead,
    BulletinUnread,
    ComponentOverridden,
    Fact,
    MessageReceived,
    MessageRefused,
    OutageDeclared,
    OutageResolved,
    PolicyAdopted,
    RulesAdopted,
    Source,
    StatusGiven,
)
from schemas.messages import MessageUnreadable
from schemas.streams import BULLETINS, DESK, RESPONSES, Record, inbound

NEVER = -1


class Marks:
    """How far each source has been spoken of by effective facts (R1)."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}

    def continues(self, source: Source | None) -> bool:
        """Whether a fact from that source is effective here; if so the mark moves."""
        if source is None:
            return False
        mark = self.at.get(source.stream, NEVER)
        if source.previous != mark or source.position <= mark:
            return False
        self.at[source.stream] = source.position
        return True


def dense(log: EventLog, name: str, *, end: int, report: Report, progress: Progress) -> Iterator[Record]:
    """Read a stream up to `end` and see that no position is missing."""
    expected = 0
    for record in records(log, name, end=end, progress=progress):
        report.records += 1
        report.checked("V2")
        if record.position != expected:
            report.fault(
                "V2", name, record.position, f"position {expected} was expected here: records are missing before this one"
            )
        expected = record.position + 1
        yield record
    if expected < end:
        report.fault("V2", name, expected, f"the log says that it ends at {end} and gives no record from here on")
    beyond = log.read(name, end, 1, 0.0)
    if beyond and (beyond[0].position != end or log.end(name) <= end):  # it may have grown by now, and then it says so
        sentence = f"the log says that it ends at {end} and gives a record at {beyond[0].position}: one of the two is wrong"
        report.fault("V2", name, end, sentence)


class Raw:
    """A stream of raw records beside the facts made of them: each is spoken of once, in order, as it is."""

    def __init__(self, log: EventLog, stream: str, *, report: Report, progress: Progress) -> None:
        self.stream = stream
        self.taken = 0
        self._report = report
        self._records = dense(log, stream, end=log.end(stream), report=report, progress=progress)
        self._ahead = next(self._records, None)

    def take(self, position: int) -> Record | None:
        """The record at the position that the next effective fact names; what lies before it was passed over."""
        while self._ahead is not None and self._ahead.position < position:
            sentence = "no effective fact speaks of this record: the chain of its source has a hole"
            self._report.fault("V2", self.stream, self._ahead.position, sentence)
            self._ahead = next(self._records, None)
        found = self._ahead if self._ahead is not None and self._ahead.position == position else None
        if found is not None:
            self.taken += 1
            self._ahead = next(self._records, None)
        else:
            self._report.fault("V2", self.stream, position, "a fact speaks of this record and it is not there")
        return found

    def rest(self) -> int:
        """Read to the end and count what no fact speaks of yet."""
        count = 0
        while self._ahead is not None:
            count += 1
            self._ahead = next(self._records, None)
        return count


def check_inbound(raw: Raw, fact: MessageReceived | MessageRefused, *, mode: str, report: Report) -> None:
    """V1 for one record of [inbound]: the bytes, and for a message the attributes, are those that the fact names."""
    record = raw.take(fact.source.position)
    if record is None:
        return
    report.checked("V1")
    found = hashlib.sha256(record.value).hexdigest()
    if found != fact.sha256:
        sentence = (
            f"the payload of {fact.tenant}/{fact.key} has SHA-256 {found}, its fact says {fact.sha256}: the bytes were altered"
        )
        report.fault("V1", raw.stream, record.position, sentence)
    if isinstance(fact, MessageRefused):
        return
    try:
        attributes = attributes_of(record, mode)
    except MessageUnreadable as unreadable:
        report.fault("V1", raw.stream, record.position, f"the headers can't be read any more: {unreadable}")
        return
    said = {role: list(keys) for role, keys in fact.keys.items()}
    same = (attributes.tenant, attributes.key, attributes.kind, attributes.document, attributes.keys) == (
        fact.tenant, fact.key, fact.kind, fact.document, said,
    )  # fmt: skip
    if attributes.canonical_sha256() != fact.attributes_sha256 or not same:
        sentence = f"the headers of {fact.tenant}/{fact.key} are not those that its fact speaks of: they were altered"
        report.fault("V1", raw.stream, record.position, sentence)


class Answers:
    """[responses] beside a lane's facts: what they say of answers stands there, and nothing that stands there was passed over."""

    def __init__(self, log: EventLog, mode: str, *, report: Report) -> None:
        self._log = log
        self._mode = mode
        self._report = report
        self._pages: Iterator[Page] | None = None
        self._ahead: Page | None = None

    def check(self, fact: AnswersReceived, *, stream: str, position: int) -> None:
        """V7 and V2 for one effective fact about answers."""
        if self._pages is None:
            self._pages = self._of_lane()
            self._ahead = next(self._pages, None)
        while self._ahead is not None and self._ahead.position < fact.source.position:
            sentence = f"this page speaks of {self._mode} and the lane passed it over at {position}"
            self._report.fault("V2", RESPONSES, self._ahead.position, sentence)
            self._ahead = next(self._pages, None)
        page = self._ahead if self._ahead is not None and self._ahead.position == fact.source.position else None
        if page is not None:
            self._ahead = next(self._pages, None)
        stored = page.answers[self._mode] if page is not None else ()
        self._report.checked("V7", len(fact.answers))
        for given in fact.answers:
            if given not in stored:
                sentence = (
                    f"{given.outcome} of {given.tenant}/{given.key} stands in no page of [responses] at {fact.source.position}"
                )
                self._report.fault("V7", stream, position, sentence)
        for missing in (given for given in stored if given not in fact.answers):
            sentence = f"{missing.outcome} of {missing.tenant}/{missing.key} was left out at {position} of {stream}"
            self._report.fault("V7", RESPONSES, fact.source.position, sentence)

    def _of_lane(self) -> Iterator[Page]:
        stream = records(self._log, RESPONSES, end=self._log.end(RESPONSES))
        return (page for page in Chain().pages(stream, None) if self._mode in page.answers)


class DeskCopies:
    """The desk beside the lanes: bulletins read once each, and what lanes copied is what the desk says (R4)."""

    def __init__(self) -> None:
        self.facts: dict[int, Fact] = {}
        self.must_copy: list[int] = []
        self.copied: dict[str, list[int]] = {}
        self._numbers: set[str] = set()
        self._policy_at = -1

    def take(self, position: int, fact: Fact, *, effective: bool) -> None:
        """Keep what may go to lanes; what is effective without question must go there."""
        if isinstance(fact, PolicyAdopted):
            if fact.basis != self._policy_at:  # made from another than the one in force: void (R5)
                return
            self._policy_at = position
        if isinstance(fact, (PolicyAdopted, RulesAdopted, ComponentOverridden)):
            self.facts[position] = fact
            if not isinstance(fact, ComponentOverridden):
                self.must_copy.append(position)
        elif isinstance(fact, BulletinRead) and effective and fact.state not in ("info", "unclear"):
            self.facts[position] = fact
            if fact.number not in self._numbers and fact.state != "resolved":
                self.must_copy.append(position)
            self._numbers.add(fact.number)

    def check(self, fact: Any, *, stream: str, position: int, report: Report) -> None:
        """V2: an effective copy in a lane is what the desk says at the position that it names."""
        source: Source = fact.source
        self.copied.setdefault(stream, []).append(source.position)
        report.checked("V2")
        said = self.facts.get(source.position)
        if said is None or not _same(fact, said):
            report.fault("V2", stream, position, f"it is no copy of what stands on the desk at {source.position}")

    def check_lanes(self, report: Report) -> None:
        """V2: no lane passed over what another one took, or what is effective without question."""
        for stream, copied in self.copied.items():
            mark, mine = copied[-1], set(copied)
            elsewhere = {position for other in self.copied.values() for position in other}
            for position in sorted((elsewhere | set(self.must_copy)) - mine):
                if position <= mark:
                    report.fault("V2", DESK, position, f"{stream} passed over this fact of the desk (it stands at {mark})")


def check_bulletin(raw: Raw, fact: BulletinRead | BulletinUnread, *, report: Report) -> None:
    """V1 for one notice: its bytes are those that were read."""
    record = raw.take(fact.source.position)
    if record is not None:
        report.checked("V1")
        if hashlib.sha256(record.value).hexdigest() != fact.sha256:
            report.fault("V1", BULLETINS, record.position, "the notice has other bytes than those that were read: it was altered")


def raw_inbound(log: EventLog, mode: str, *, report: Report, progress: Progress) -> Raw:
    """The raw messages of a mode."""
    return Raw(log, inbound(mode), report=report, progress=progress)


def evidence_of(log: EventLog, given: StatusGiven) -> Record | None:
    """The stored status answer that a fact names; None when it names none or it is not there."""
    if not 0 <= given.evidence < log.end(RESPONSES):
        return None
    return log.fetch(RESPONSES, [given.evidence])[0]


def _same(fact: Any, said: Fact) -> bool:
    if isinstance(said, BulletinRead):
        if isinstance(fact, OutageResolved):
            mine = (fact.incident, fact.received_ms, fact.resolved_ms)
            return said.state == "resolved" and mine == (said.number, said.received_ms, said.resolved_ms)
        if isinstance(fact, OutageDeclared):
            return said.state != "resolved" and (fact.incident, fact.scopes) == (said.number, said.scopes)
        return False
    return bool(replace(fact, source=None) == said)
