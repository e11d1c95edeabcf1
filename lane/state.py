"""What a lane's facts amount to: messages, documents, channels, outages, leases; must not know how facts change them.

Only the fold's own modules write here. Everything is a plain function of the facts so far, but for the marked hints.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from lane.blocker import Blocker as Blocker
from lane.census import Census
from lane.document import NEVER as NEVER
from lane.document import Document as Document
from lane.document import name_of
from lane.drain import Drain as Drain
from lane.edges import Edge, edges_of
from lane.index import ByPosition
from lane.message import STATES as STATES
from lane.message import STRANGER as STRANGER
from lane.message import Message as Message
from lane.message import State as State
from lane.policy import Policy
from lane.ready import DRAINED, READY, Ready
from lane.record import Form, Row, without_names
from lane.shelves import Hearsay, Keys, Shelf
from schemas.facts import LeaseBasis, Scope

PENDING: Final[frozenset[State]] = frozenset({"held", "granted", "transmitted", "unknown"})
"""States of a message that still stands in its document's queue (R13)."""
FINISHED: Final[frozenset[State]] = frozenset({"captured", "filed", "withdrawn", "replaced"})
"""States of which nothing more is expected (R58); one that stands aside is finished when another message corrects it."""
ASIDE: Final[frozenset[State]] = frozenset({"parked", "rejected"})
"""States that wait for a person or a correction."""


class Finding(NamedTuple):
    """What the fold has to say of a fact beside its plain effect. `void`: the fact, or this member of it, had none."""

    rule: str
    sentence: str
    message: int | None = None
    void: bool = False


@dataclass(slots=True)
class Outage:
    """An incident's scopes in force; `ended` marks scheduled scopes whose window has ended and scopes opened by hand."""

    incident: str
    title: str
    position: int
    at_ms: int
    received_ms: int
    scopes: tuple[Scope, ...]
    ended: set[int] = field(default_factory=set)
    by_hand: bool = False

    def active(self) -> Iterator[tuple[int, Scope]]:
        """Scopes that have not ended, with their number."""
        return ((number, scope) for number, scope in enumerate(self.scopes) if number not in self.ended)


@dataclass(slots=True)
class Channel:
    """One channel of this lane: the link's health, canary, opening, and the counters that caps are held by (R31 to R33, R42).

    `arrivals` and `others` are the unblocked messages, arrivals and not; of the others a count by (tenant, in the drain).
    """

    name: str
    held: int = 0
    in_flight: int = 0
    unblocked: int = 0
    arrivals: dict[int, Message] = field(default_factory=dict)
    others: dict[tuple[str, bool], int] = field(default_factory=dict)
    closed: bool = False
    opened_ms: int = 0
    opened_position: int = NEVER
    suspect_since_ms: int | None = None
    suspect_position: int = NEVER
    suspect_why: str = ""
    unknown_streak: int = 0
    probe_after_ms: int = 0
    backoff_ms: int = 0
    quiet_until_ms: int = 0
    canary_needed: bool = False
    canary: Message | None = None
    tokens_milli: int | None = None
    tokens_at_ms: int = 0
    drain: Drain | None = None
    ready: Ready = field(default_factory=partial(Ready, READY))
    drained: Ready = field(default_factory=partial(Ready, DRAINED))


@dataclass(slots=True)
class Lease:
    """Who may grant in this lane (R43). `last` is the position of the epoch's last fact; `granted`, the epoch has granted.

    `owes`: the taker must wait out *delta + tau* before it grants, because some holder before it may still be sending: one that
    only fell silent, also when the holder that took over from it died or left before it had granted anything, so perhaps before
    its own wait was over.
    """

    epoch: int = 0
    holder: str = ""
    basis: LeaseBasis = "free"
    taken: int = NEVER
    taken_ms: int = 0
    last: int = NEVER
    last_ms: int = 0
    released: bool = True
    owes: bool = False
    granted: bool = False


GRANTS_FIELDS: Final = ("at_ms", "epoch", "issue", "members", "position")
"""Its fields by name, for a compiled class has no `__slots__`."""


class Grants:
    """One granted intent: its members that lack an outcome. No dataclass: compiled, it is made in a tenth of the time."""

    __slots__ = GRANTS_FIELDS

    def __init__(self, *, position: int, epoch: int, issue: int, at_ms: int, members: dict[int, Message]) -> None:
        self.position = position
        self.epoch = epoch
        self.issue = issue
        self.at_ms = at_ms
        self.members = members


class Verdict(NamedTuple):
    """What became of a record of [inbound]: accepted, duplicate, conflict, refused or parked, and why in a sentence."""

    verdict: str
    reason: str
    at_ms: int = 0


class LaneState:
    """Everything that a lane's facts amount to.

    `finished`: positions in the order in which messages finished; `kept`: those that the horizon passed, with the day at which
    something still leaned on them; `forgotten`: up to this position of [inbound] verdicts have left (R58). `hearsay`: messages
    whose word is all that the lane has of the documents that they name.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.position = NEVER
        self.now_ms = 0
        self.at_ms = 0  # the last fact's own clock, which another writer's may be ahead of
        self.rules_version = RULES_VERSION
        self.policy = Policy()
        self.edges: dict[str, Edge] = edges_of(mode)
        self.marks: dict[str, int] = {}
        self.messages: ByPosition[Message] = ByPosition()
        self.by_key: dict[str, Keys] = {}
        self.forms: dict[Row, Form] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.documents: dict[str, Shelf] = {}
        self.hearsay = Hearsay()
        self.outages: dict[str, Outage] = {}
        self.channels: dict[str, Channel] = {name: Channel(name) for name in self.policy.channels}
        self.lease = Lease()
        self.grants: dict[int, Grants] = {}
        self.counts: dict[State, int] = dict.fromkeys(STATES, 0)
        self.refused = 0
        self.awaiting: dict[int, Message] = {}
        self.unsure: dict[int, Message] = {}
        self.troubled: dict[int, Message] = {}
        self.missing: dict[int, Message] = {}
        self.settled: dict[int, Message] = {}
        self.asked: dict[int, Message] = {}
        self.late: frozenset[Scope] = frozenset()
        self.timed: list[tuple[int, Message]] = []
        self.census: Census | None = None  # a hint: made when somebody looks
        self.finished: deque[int] = deque()
        self.kept: deque[tuple[int, int]] = deque()
        self.forgotten = NEVER

    def document(self, kind: str, key: str) -> Document:
        """The document of that own-key namespace: cargo and house bills share `shipment` (R12)."""
        shelf = self.documents.get(kind)
        if shelf is None:
            shelf = self.documents[kind] = Shelf()
        found = shelf.get(key)
        if found is not None:
            return found
        namer = self.hearsay.get(name_of(kind, key)) if self.hearsay.count else None
        if namer is not None:
            self._meet(namer)
            found = shelf.get(key)
            assert found is not None, "what a message names alone stands among its names"
            return found
        found = Document(kind, key)
        shelf.add(found)
        return found

    def is_unheard(self, kind: str, key: str) -> bool:
        """Whether no message in the fold is about that document or names it."""
        return self.known_document(kind, key) is None and (not self.hearsay.count or self.hearsay.get(name_of(kind, key)) is None)

    def hear(self, message: Message, names: list[bytes]) -> None:
        """A message names documents of which nobody else has spoken."""
        message.name_alone(names)
        self.hearsay.add(message)

    def forget_hearsay(self, message: Message) -> None:
        """What a message names is its word alone no more: somebody else speaks of it, or the message leaves."""
        self.hearsay.remove(message)
        message.record = without_names(message.record)

    def _meet(self, message: Message) -> None:
        """Make the documents that a message alone names: somebody else speaks of one of them now."""
        made = message.related
        self.forget_hearsay(message)
        for doc in made:
            self.documents.setdefault(doc.kind, Shelf()).add(doc)
        message.name((), made)

    def known_document(self, kind: str, key: str) -> Document | None:
        """The document, unless no message in the fold is about it and at most one names it."""
        shelf = self.documents.get(kind)
        return None if shelf is None else shelf.get(key)

    def forget_document(self, doc: Document) -> None:
        """Nobody speaks of a document any more. Those that once watched it go with it: with it they would hold each other."""
        self.documents[doc.kind].remove(doc)
        doc.more = None

    def form(self, row: Row) -> Form:
        """What messages of that tenant, kind, function, channel and way share."""
        found = self.forms.get(row)
        if found is None:
            found = self.forms[row] = Form(row)
        return found

    def all_documents(self) -> Iterator[Document]:
        """Each document that a message in the fold is about or names, in the order in which they first do."""
        seen: set[Document] = set()
        for message in self.messages.values():
            for doc in (message.doc, *message.listed, *message.related):
                if doc not in seen:
                    seen.add(doc)
                    yield doc

    def met_documents(self) -> Iterator[Document]:
        """The same but for those that one message names and nobody else has spoken of: what is kept of them is their names."""
        seen: set[Document] = set()
        for message in self.messages.values():
            for doc in (message.doc, *message.listed, *message.met):
                if doc not in seen:
                    seen.add(doc)
                    yield doc

    def message(self, position: int) -> Message | None:
        """The message whose `MessageReceived` stands there, unless there is none or it has left (R58)."""
        return self.messages.get(position)

    def by_publisher(self, tenant: str, key: str) -> Message | None:
        """The message that took effect under a publisher's key (R10)."""
        keys = self.by_key.get(tenant)
        return None if keys is None else keys.get(key)

    def take_key(self, message: Message) -> None:
        """A new message's key is taken from here on."""
        keys = self.by_key.get(message.tenant)
        if keys is None:
            keys = self.by_key[message.tenant] = Keys()
        keys.add(message)

    def free_key(self, message: Message) -> None:
        """A message leaves, and its key may be used anew."""
        keys = self.by_key[message.tenant]
        keys.remove(message)
        if not keys.count:
            del self.by_key[message.tenant]

    def taken_keys(self) -> set[tuple[str, str]]:
        """Each tenant and key that is taken."""
        return {(message.tenant, message.key) for message in self.messages.values()}

    def channel(self, name: str) -> Channel:
        """The lane's view of a channel."""
        found = self.channels.get(name)
        if found is None:
            found = self.channels[name] = Channel(name)
        return found

    def in_flight(self, message: Message) -> bool:
        """Whether the message's last grant, of the lease in force, lacks its outcome: something may be on the wire now."""
        grants = self.grants.get(message.grant)
        return grants is not None and message.position in grants.members

    def held(self) -> Iterable[Message]:
        """Held messages in the order of their receipt."""
        return (message for message in self.messages.values() if message.state == "held")

    def find(self, tenant: str | None, key: str) -> list[Message]:
        """Messages with that publisher's key; of every tenant when none is named."""
        if tenant is not None:
            found = self.by_publisher(tenant, key)
            return [] if found is None else [found]
        return [message for keys in self.by_key.values() if (message := keys.get(key)) is not None]


RULES_VERSION: Final = 1
"""The newest rules that this program knows (R59)."""


def document_kind(kind: str) -> str:
    """The own-key namespace of a message kind (R12)."""
    return "shipment" if kind in ("cargo", "house_bill") else kind
