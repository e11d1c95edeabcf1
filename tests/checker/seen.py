"""What the raw log says of each message, told anew in the fewest words; must not know rules, nor import the fold.

Only what needs no rule to be read: who published what, which intents named it, when the log took them, what came back.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias
from urllib.parse import unquote

from audit.verify_ledger import KINDS
from audit.verify_sources import NEVER, Marks
from eventlog.port import READ_COUNT_MAX, EventLog
from schemas.codec import Codec
from schemas.facts import (
    LANE_FACTS,
    AnswersReceived,
    BulletinRead,
    BulletinUnread,
    CaptureRevoked,
    LaneFact,
    MessageReceived,
    MessageRefused,
    MessageSettled,
    PolicyAdopted,
    SendIntended,
    SendsConcluded,
    StatusAnswered,
)
from schemas.streams import BULLETINS, DESK, MODES, Record, inbound, lane

DELTA_MS: Final = 2_000
"""*delta* unless a policy says otherwise (R60)."""

Name: TypeAlias = tuple[str, str]
"""A document: its namespace of own keys, and its key (R12)."""


@dataclass(slots=True)
class Seen:
    """One message: the first record of its tenant and key. Positions are the lane's; times are the log's own clock, Unix ms."""

    mode: str
    tenant: str
    key: str
    position: int
    sha256: str
    channel: str
    doc: Name
    names: frozenset[Name]
    intended: list[tuple[int, int]] = field(default_factory=list)
    """Each intent that names it: position, and when the log took it."""
    ages_ms: list[tuple[int, int]] = field(default_factory=list)
    """Of each grant that touched the wire: its position, and from the moment before its intent to its first byte."""
    rejected: set[int] = field(default_factory=set)
    """Submissions that CBSA is said to have rejected."""
    put_back: int = 0
    """How often a person or a notice put it back to be submitted again (R56, R57)."""

    def __str__(self) -> str:
        return f"{self.mode} {self.tenant}/{self.key}"


@dataclass(slots=True)
class Told:
    """What a lane's log tells: messages by tenant and key, and the raw records."""

    mode: str
    raw: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Payload digests that stand in [inbound] under each tenant and key."""
    messages: dict[tuple[str, str], Seen] = field(default_factory=dict)
    refused: set[tuple[str, str]] = field(default_factory=set)
    by_position: dict[int, Seen] = field(default_factory=dict)
    delta_ms: list[int] = field(default_factory=list)
    """Each *delta* that a policy set."""
    facts: list[tuple[int, LaneFact]] = field(default_factory=list)

    def of(self, positions: Iterable[int]) -> list[Seen]:
        """The messages that were received there."""
        return [self.by_position[position] for position in positions if position in self.by_position]


def told(log: EventLog, codec: Codec) -> dict[str, Told]:
    """Read every lane that holds something."""
    return {mode: _told_of(log, codec, mode) for mode in MODES if log.end(inbound(mode)) or log.end(lane(mode))}


def notices_passed(log: EventLog, codec: Codec) -> int:
    """Up to which position of [bulletins] effective facts of the desk speak of them."""
    marks = Marks()
    for record in records(log, DESK):
        fact = codec.decode(record.value)
        if isinstance(fact, (BulletinRead, BulletinUnread)):
            marks.continues(fact.source)
    return marks.at.get(BULLETINS, NEVER)


def records(log: EventLog, stream: str) -> Iterator[Record]:
    """A stream from its beginning to the end that it has now."""
    at, end = 0, log.end(stream)
    while at < end:
        page = log.read(stream, at, READ_COUNT_MAX, 0.0)
        if not page:
            return
        yield from page
        at = page[-1].position + 1


def split_wire_key(text: str) -> tuple[str, str, str, int]:
    """Mode, tenant, key and submission, as RULES R11 writes them."""
    mode, tenant, last = text.split("/")
    base, _, number = last.partition("~")
    return mode, unquote(tenant), unquote(base), int(number or 1)


def _told_of(log: EventLog, codec: Codec, mode: str) -> Told:
    found, marks = Told(mode), Marks()
    raw = {record.position: record for record in records(log, inbound(mode))}
    for record in records(log, lane(mode)):
        fact = codec.decode(record.value)
        if not isinstance(fact, LANE_FACTS):
            continue  # V0 says so
        found.facts.append((record.position, fact))
        if isinstance(fact, (MessageReceived, MessageRefused)):
            if marks.continues(fact.source):
                _receive(found, record, fact, raw=raw.get(fact.source.position))
        else:
            _note(found, record, fact)
    for record in raw.values():
        who = _publisher(record)
        if who is not None:
            found.raw.setdefault(who, set()).add(_digest(record))
    return found


def _receive(found: Told, record: Record, fact: MessageReceived | MessageRefused, *, raw: Record | None) -> None:
    who = (fact.tenant, fact.key)
    if isinstance(fact, MessageRefused):
        found.refused.add(who)
        return
    if who in found.messages:
        found.by_position[record.position] = found.messages[who]
        return
    seen = Seen(
        found.mode, fact.tenant, fact.key, record.position, _digest(raw) if raw is not None else "", fact.channel,
        name_of(fact.kind, fact.document),
        frozenset(name_of(KINDS.get(role, "cargo"), key) for role, keys in fact.keys.items() if role != "id" for key in keys),
    )  # fmt: skip
    found.messages[who] = found.by_position[record.position] = seen


def _note(found: Told, record: Record, fact: LaneFact) -> None:
    """What later facts say of messages that are known."""
    match fact:
        case SendIntended():
            for seen in found.of(fact.messages):
                seen.intended.append((record.position, record.at_ms))
        case SendsConcluded():
            for outcome in fact.outcomes:
                for seen in found.of((outcome.message,)):
                    if outcome.result != "expired" and outcome.age_ms is not None:
                        seen.ages_ms.append((outcome.grant, outcome.age_ms))
        case AnswersReceived():
            for given in fact.answers:
                if given.outcome == "rejected" and (given.tenant, given.key) in found.messages:
                    found.messages[given.tenant, given.key].rejected.add(given.submission)
        case StatusAnswered():
            _put_back(found, [each.message for each in fact.answers if each.outcome == "rejected"])
        case CaptureRevoked() | MessageSettled():
            _put_back(found, [fact.message])
        case PolicyAdopted():
            found.delta_ms.append(_delta_of(fact))
        case _:
            pass


def _put_back(found: Told, positions: list[int]) -> None:
    for seen in found.of(positions):
        seen.put_back += 1


def _delta_of(fact: PolicyAdopted) -> int:
    return int(json.loads(fact.policy).get("delta_ms", DELTA_MS))


def name_of(kind: str, key: str) -> Name:
    """The document of a kind and own key: cargo and house bills share one namespace (R12)."""
    return ("shipment" if kind in ("cargo", "house_bill") else kind, key)


def _digest(record: Record) -> str:
    return sha256(record.value).hexdigest()


def _publisher(record: Record) -> tuple[str, str] | None:
    """Who published a raw record under which key, as its headers say."""
    tenant, key = record.header("ce_tenant"), record.header("ce_id")
    if tenant is None or key is None:
        return None
    return tenant.decode("utf-8", "replace"), key.decode("utf-8", "replace")
