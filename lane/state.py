"""What a lane's facts amount to: messages, documents, channels, outages, leases; must not know how facts change them.

Only the fold's own modules write here. Everything is a plain function of the facts so far, but for the marked hints.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from lane.census import Census
from lane.drain import Drain as Drain
from lane.edges import Edge, edges_of
from lane.policy import Policy
from schemas.facts import LeaseBasis, Scope

State: TypeAlias = Literal[
    "held", "granted", "transmitted", "captured", "rejected", "unknown", "parked", "withdrawn", "replaced", "filed"
]
PENDING: Final[frozenset[State]] = frozenset({"held", "granted", "transmitted", "unknown"})
"""States of a message that still stands in its document's queue (R13)."""
FINISHED: Final[frozenset[State]] = frozenset({"captured", "filed", "withdrawn", "replaced"})
"""States of which nothing more is expected (R58); one that stands aside is finished when another message corrects it."""
ASIDE: Final[frozenset[State]] = frozenset({"parked", "rejected"})
"""States that wait for a person or a correction."""

STRANGER: Final = "another party's message"
"""What a tenant is told of a message that is not its own (I10)."""

NEVER: Final = -1
"""A position before all positions."""


class Finding(NamedTuple):
    """What the fold has to say of a fact beside its plain effect. `void`: the fact, or this member of it, had none."""

    rule: str
    sentence: str
    message: int | None = None
    void: bool = False


class Blocker(NamedTuple):
    """Why a message may not go now: the rule or edge, and the document whose change may end it.

    `message`: the message that stands in the way, where there is one.
    """

    rule: str
    kind: Literal["queue", "pending", "missing", "wanted", "aside", "naming", "second", "time", "cycle", "flight"]
    topic: "Document"
    message: "Message | None" = None

    @property
    def sentence(self) -> str:
        """The reason in words, for the operator; made when somebody asks, for most blocked messages are never asked about."""
        return self._words(str(self.message), str(self.topic), self.message.remark if self.message else "")

    def told_to(self, asker: "Message") -> str:
        """The reason in words for a message's own tenant: another party's document is named only by a key that the asker's
        own message names, and another party's message not at all (I10)."""
        own = self.message is None or self.message.tenant == asker.tenant
        named = self.topic is asker.doc or self.topic in asker.listed or self.topic in asker.related
        who = self.message.told_to(asker) if self.message is not None else ""
        topic = str(self.topic) if named or (own and self.message is not None) else f"another party's {self.topic.kind}"
        return self._words(who, topic, self.message.remark if own and self.message else "")

    def _words(self, who: str, topic: str, remark: str) -> str:
        match self.kind:
            case "queue":
                return f"{who} goes first: one document, one queue"
            case "pending":
                return f"{topic} is not settled yet: {who} ({self.message and self.message.function}) goes first"
            case "missing":
                return f"{topic} was never seen here; it is waited for, then this message goes without it"
            case "wanted":
                return f"{topic} is not on file, and CBSA rejected this message for want of it"
            case "aside":
                said = f" ({remark})" if remark else ""
                return f"{topic} is not on file: {who} is {self.message and self.message.state}{said}"
            case "naming":
                return f"{who} came first and names, or lets go of, a document that this one names or files"
            case "second":
                return (
                    f"{topic} is on file already, or will be: publish a change, or let this one replace (`replaces`) what waits"
                )
            case "time":
                return "its own time has not come: not_before, or for an arrival occurred_at, lies ahead"
            case "cycle":
                return f"it waits for {topic}, which waits for it"
            case "flight":
                return "its last grant has no outcome yet: two attempts never overlap"


class Document:
    """What CBSA knows by a key: a queue of messages (R13) and whether it is on file (R12).

    `filings`: its captured and filed messages, by grant; the latest says whether it is on file, since `filed_at` (a position).
    `gone`: its messages that were taken back or replaced.
    `namers`: documents that have named this one at some time; `names` says whether they still do.
    """

    __slots__ = (
        "aside", "filed_at", "filings", "gone", "house_bill", "key", "kind", "namers", "on_file", "queue", "settled", "watchers",
    )  # fmt: skip

    def __init__(self, kind: str, key: str) -> None:
        self.kind = kind
        self.key = key
        self.queue: list[Message] = []
        self.aside: list[Message] = []
        self.gone: list[Message] = []
        self.on_file = False
        self.settled = False
        self.house_bill = False
        self.filed_at = NEVER
        self.filings: tuple[Message, ...] = ()
        self.namers: list[Document] = []
        self.watchers: list[Message] = []

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def speakers(self) -> Iterator["Message"]:
        """The messages that say what this document names: what is on file, what waits, and what waits for a person (R55)."""
        if self.on_file:
            yield self.filings[-1]
        yield from self.queue
        if not self.on_file:
            yield from (message for message in self.aside if message.corrected_by is None)

    def listed(self) -> Iterator["Document"]:
        """The documents that this one lists as its group."""
        for message in self.speakers():
            yield from message.listed

    def related(self) -> Iterator["Document"]:
        """The documents that this one is related to without listing them as its group."""
        for message in self.speakers():
            yield from message.related

    def names(self, doc: "Document") -> bool:
        """Whether this document names that one, by what is on file or waits."""
        return any(doc in message.listed or doc in message.related for message in self.speakers())


class Message:
    """One message of the lane. `position` names it; `place` is its turn in lane order, inherited by a replacement (R13)."""

    __slots__ = (
        "act", "answered_ms", "attempts", "blocker", "channel", "code", "corrected_by", "corrects", "deadline_ms", "doc",
        "doubted", "drain_queued", "epoch", "filing", "function", "grace", "grant", "held_at", "inbound", "inland", "key", "kind",
        "listed", "needs_person", "not_after_ms", "not_before_ms", "notes", "occurred_ms", "open", "place", "position", "queued",
        "received_ms", "related", "remark", "resubmissions", "settled", "sha256", "since_ms", "size_bytes", "state", "strict",
        "submission", "tenant", "touched", "transmitted_ms", "unblocked", "watching",
    )  # fmt: skip

    def __init__(self, *, position: int, inbound: int, tenant: str, key: str, kind: str, function: str, channel: str) -> None:
        self.position = position
        self.place = position
        self.inbound = inbound
        self.tenant = tenant
        self.key = key
        self.kind = kind
        self.function = function
        self.channel = channel
        self.doc: Document
        self.listed: tuple[Document, ...] = ()
        self.related: tuple[Document, ...] = ()
        self.inland = False
        self.sha256 = ""
        self.size_bytes = 0
        self.received_ms = 0
        self.deadline_ms: int | None = None
        self.not_before_ms: int | None = None
        self.not_after_ms: int | None = None
        self.occurred_ms: int | None = None
        self.state: State = "held"
        self.since_ms = 0
        self.held_at = position
        self.act = position
        self.submission = 1
        self.attempts = 0
        self.resubmissions = 0
        self.strict = False
        self.grant = NEVER
        self.epoch = 0
        self.filing = NEVER  # the grant (or the act) by which it came on file (R12)
        self.open = False  # its grant lacks an outcome
        self.touched = False  # an outcome other than `expired` and *not taken* is known (R15)
        self.doubted = False  # `touched` only for its grant's holder is gone (R44): the grant's own outcome may take it back
        self.transmitted_ms: int | None = None
        self.answered_ms: int | None = None
        self.grace = NEVER
        self.settled = False
        self.blocker: Blocker | None = None
        self.watching: Document | None = None  # whose change makes the fold look again
        self.unblocked = False
        self.queued = False  # a hint: stands in a ready heap of this process
        self.drain_queued = False  # a hint: that heap is the drain's
        self.code = ""
        self.remark = ""
        self.corrected_by: Message | None = None
        self.corrects: Message | None = None
        self.needs_person = ""
        self.notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.doc.key} ({self.tenant}/{self.key})"

    def told_to(self, asker: "Message") -> str:
        """What this message is called in a sentence for another message's tenant: by name only if it is that tenant's (I10)."""
        return str(self) if self.tenant == asker.tenant else STRANGER

    def __lt__(self, other: "Message") -> bool:
        return self.place < other.place


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
    ready: list[tuple[int, int, Message]] = field(default_factory=list)
    drained: list[tuple[int, int, Message]] = field(default_factory=list)


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


@dataclass(slots=True)
class Grants:
    """One granted intent: its members that lack an outcome."""

    position: int
    epoch: int
    issue: int
    at_ms: int
    members: dict[int, Message]


class Verdict(NamedTuple):
    """What became of a record of [inbound]: accepted, duplicate, conflict, refused or parked, and why in a sentence."""

    verdict: str
    reason: str
    at_ms: int = 0


class LaneState:
    """Everything that a lane's facts amount to.

    `finished`: positions in the order in which messages finished; `kept`: those that the horizon passed, with the day at which
    something still leaned on them; `forgotten`: up to this position of [inbound] verdicts have left (R58).
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
        self.messages: dict[int, Message] = {}
        self.by_key: dict[tuple[str, str], tuple[Message, str, str]] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.documents: dict[tuple[str, str], Document] = {}
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
        found = self.documents.get((kind, key))
        if found is None:
            found = self.documents[kind, key] = Document(kind, key)
        return found

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
            entry = self.by_key.get((tenant, key))
            return [entry[0]] if entry else []
        return [entry[0] for (_, found), entry in self.by_key.items() if found == key]


STATES: Final[tuple[State, ...]] = (
    "held", "granted", "transmitted", "captured", "rejected", "unknown", "parked", "withdrawn", "replaced", "filed",
)  # fmt: skip
RULES_VERSION: Final = 1
"""The newest rules that this program knows (R59)."""


def document_kind(kind: str) -> str:
    """The own-key namespace of a message kind (R12)."""
    return "shipment" if kind in ("cargo", "house_bill") else kind
