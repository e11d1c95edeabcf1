"""Messages and documents, kept small: a lane holds a million of them through an outage; must not know facts or rules.

What most messages never need (their own times, what a person did, what became of them on the wire) lies in `more`, which is one
shared object until something is written there; numbers and digests that are rarely looked at lie packed in `record`. A field that
holds one or several holds the one itself, not a tuple of it. Measured with 200,000 held
messages of trips and their cargo: 1,980 bytes a message before, 820 now.
"""

from collections.abc import Collection, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from lane.fields import Kept, Several, Shared
from lane.record import Form, digest_of, where_of

if TYPE_CHECKING:
    from lane.ready import Ready

State: TypeAlias = Literal[
    "held", "granted", "transmitted", "captured", "rejected", "unknown", "parked", "withdrawn", "replaced", "filed"
]
STRANGER: Final = "another party's message"
"""What a tenant is told of a message that is not its own (I10)."""

NEVER: Final = -1
"""A position before all positions."""

FEW_COUNT_MAX: Final = 8
"""Up to so many namers a tuple is searched as fast as a dict, and takes a fifth of its bytes."""


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


class _DocumentLess:
    """What most documents say of what few need."""

    __slots__ = ()
    aside: "tuple[Message, ...]" = ()
    gone: "tuple[Message, ...]" = ()
    settled = False
    watchers: "list[Message] | None" = None


class DocumentMore:
    """What few documents need."""

    __slots__ = ("aside", "gone", "settled", "watchers")

    def __init__(self) -> None:
        self.aside: tuple[Message, ...] = ()
        self.gone: tuple[Message, ...] = ()
        self.settled = False
        self.watchers: list[Message] | None = None


NO_DOCUMENT_MORE: Final = _DocumentLess()


class Document:
    """What CBSA knows by a key: a queue of messages (R13) and whether it is on file (R12).

    `filings`: its captured and filed messages, by grant; the latest says whether it is on file, since `filed_at` (a position).
    `aside`: what waits for a person or was corrected; `gone`: what was taken back or replaced.
    `namers`: documents that have named this one at some time; `names` says whether they still do.
    `watchers`: messages that are looked at again when it changes. A `raw_` field holds one alone as itself, several as a group.
    """

    __slots__ = ("filed_at", "house_bill", "key", "kind", "more", "on_file", "raw_filings", "raw_namers", "raw_queue")

    aside = Kept[tuple["Message", ...]]("aside", DocumentMore)
    gone = Kept[tuple["Message", ...]]("gone", DocumentMore)
    settled = Kept[bool]("settled", DocumentMore)
    watchers = Kept["list[Message] | None"]("watchers", DocumentMore)
    queue = Several[tuple["Message", ...]]("raw_queue")
    filings = Several[tuple["Message", ...]]("raw_filings")
    namers = Several[Collection["Document"]]("raw_namers")

    def __init__(self, kind: str, key: str) -> None:
        self.kind = kind
        self.key = key
        self.raw_queue: Any = ()
        self.raw_filings: Any = ()
        self.raw_namers: Any = ()
        self.on_file = False
        self.house_bill = False
        self.filed_at = NEVER
        self.more: _DocumentLess | DocumentMore = NO_DOCUMENT_MORE

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def grown(self) -> DocumentMore:
        """Make room for what few documents need."""
        self.more = more = DocumentMore()
        return more

    def is_new(self) -> bool:
        """Whether nothing has been said of it yet, neither by a message of its own nor by one that names it."""
        nothing = self.raw_queue == self.raw_filings == self.raw_namers == ()
        return nothing and self.more is NO_DOCUMENT_MORE

    def named_by(self, doc: "Document") -> None:
        """Note that a document names this one."""
        namers = self.namers
        if doc not in namers:
            if isinstance(namers, dict):
                namers[doc] = None
            else:
                more = (*namers, doc)
                self.namers = more if len(more) <= FEW_COUNT_MAX else dict.fromkeys(more)

    def named_no_more_by(self, doc: "Document") -> None:
        """Forget that a document named this one."""
        namers = self.namers
        if isinstance(namers, dict):
            namers.pop(doc, None)
        else:
            self.namers = tuple(each for each in namers if each is not doc)

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


class _Less:
    """What a message says of what it never needed: no times of its own, never granted, nobody acted on it."""

    __slots__ = ()
    act = NEVER
    answered_ms: int | None = None
    attempts = 0
    code = ""
    corrected_by: "Message | None" = None
    corrects: "Message | None" = None
    deadline_ms: int | None = None
    doubted = False
    epoch = 0
    filing = NEVER
    grace = NEVER
    needs_person = ""
    not_after_ms: int | None = None
    not_before_ms: int | None = None
    notes: tuple[str, ...] = ()
    occurred_ms: int | None = None
    open = False
    remark = ""
    resubmissions = 0
    settled = False
    strict = False
    submission = 1
    touched = False
    transmitted_ms: int | None = None


class Done(_Less):
    """What is kept of a message that was sent once and captured, a third of what is kept meanwhile."""

    __slots__ = ("answered_ms", "epoch", "filing", "transmitted_ms")
    attempts = 1
    touched = True


class More:
    """What a message needs when it has times of its own, was granted, or something out of the way has happened to it."""

    __slots__ = (
        "act", "answered_ms", "attempts", "code", "corrected_by", "corrects", "deadline_ms", "doubted", "epoch", "filing",
        "grace", "needs_person", "not_after_ms", "not_before_ms", "notes", "occurred_ms", "open", "remark", "resubmissions",
        "settled", "strict", "submission", "touched", "transmitted_ms",
    )  # fmt: skip

    def __init__(self, less: "_Less | More") -> None:
        self.act = NEVER
        self.answered_ms: int | None = None
        self.attempts = 0
        self.code = ""
        self.corrected_by: Message | None = None
        self.corrects: Message | None = None
        self.deadline_ms: int | None = None
        self.doubted = False
        self.epoch = 0
        self.filing = NEVER
        self.grace = NEVER
        self.needs_person = ""
        self.not_after_ms: int | None = None
        self.not_before_ms: int | None = None
        self.notes: tuple[str, ...] = ()
        self.occurred_ms: int | None = None
        self.open = False
        self.remark = ""
        self.resubmissions = 0
        self.settled = False
        self.strict = False
        self.submission = 1
        self.touched = False
        self.transmitted_ms: int | None = None
        if less is not NO_MORE:
            for name in More.__slots__:
                setattr(self, name, getattr(less, name))


_SETTLED: Final = tuple(name for name in More.__slots__ if name not in Done.__slots__)
_SETTLED_OF: Final = attrgetter(*_SETTLED)
_DONE: Final = _SETTLED_OF(Done())


NO_MORE: Final = _Less()


class Message:
    """One message of the lane. `position` names it; `place` is its turn in lane order, inherited by a replacement (R13).

    `unblocked`: its turn has come; `heap`, a hint: the ready messages among which it stands in this process. `filing`: the
    grant (or the act) by which it came on file (R12). `open`: its grant lacks an outcome. `touched`: an outcome other than
    `expired` and *not taken* is known (R15); `doubted`: only because its grant's holder is gone (R44), so that the grant's own
    outcome may take it back. `watching`: the document whose change makes the fold look again.
    """

    __slots__ = (
        "blocker", "doc", "form", "grant", "heap", "held_at", "key", "listed", "more", "place", "position", "record", "related",
        "since_ms", "state", "unblocked", "watching",
    )  # fmt: skip

    tenant = Shared[str]("tenant")
    kind = Shared[str]("kind")
    function = Shared[str]("function")
    channel = Shared[str]("channel")
    inland = Shared[bool]("inland")
    answered_ms = Kept[int | None]("answered_ms", More)
    attempts = Kept[int]("attempts", More)
    code = Kept[str]("code", More)
    corrected_by = Kept["Message | None"]("corrected_by", More)
    corrects = Kept["Message | None"]("corrects", More)
    deadline_ms = Kept[int | None]("deadline_ms", More)
    doubted = Kept[bool]("doubted", More)
    epoch = Kept[int]("epoch", More)
    filing = Kept[int]("filing", More)
    grace = Kept[int]("grace", More)
    needs_person = Kept[str]("needs_person", More)
    not_after_ms = Kept[int | None]("not_after_ms", More)
    not_before_ms = Kept[int | None]("not_before_ms", More)
    notes = Kept[tuple[str, ...]]("notes", More)
    occurred_ms = Kept[int | None]("occurred_ms", More)
    open = Kept[bool]("open", More)
    remark = Kept[str]("remark", More)
    resubmissions = Kept[int]("resubmissions", More)
    settled = Kept[bool]("settled", More)
    strict = Kept[bool]("strict", More)
    submission = Kept[int]("submission", More)
    touched = Kept[bool]("touched", More)
    transmitted_ms = Kept[int | None]("transmitted_ms", More)
    _acted = Kept[int]("act", More)

    def __init__(self, *, position: int, key: str, form: Form, doc: Document, record: bytes) -> None:
        self.position = position
        self.place = position
        self.key = key
        self.form = form
        self.doc = doc
        self.listed: tuple[Document, ...] = ()
        self.related: tuple[Document, ...] = ()
        self.record = record
        self.state: State = "held"
        self.since_ms = 0
        self.held_at = position
        self.grant = NEVER
        self.blocker: Blocker | None = None
        self.unblocked = False
        self.heap: Ready | None = None
        self.watching: Document | None = None
        self.more: _Less | More = NO_MORE

    def __str__(self) -> str:
        return f"{self.kind} {self.doc.key} ({self.tenant}/{self.key})"

    def told_to(self, asker: "Message") -> str:
        """What this message is called in a sentence for another message's tenant: by name only if it is that tenant's (I10)."""
        return str(self) if self.tenant == asker.tenant else STRANGER

    def __lt__(self, other: "Message") -> bool:
        return self.place < other.place

    def grown(self) -> More:
        """What may be written of this message beyond its own fields."""
        more = self.more
        if type(more) is not More:
            self.more = more = More(more)
        return more

    def shrink(self) -> None:
        """Keep no more than a captured message needs, where nothing out of the way has happened to it."""
        more = self.more
        if type(more) is More and _SETTLED_OF(more) == _DONE:
            self.more = done = Done()
            done.answered_ms, done.epoch = more.answered_ms, more.epoch
            done.filing, done.transmitted_ms = more.filing, more.transmitted_ms

    @property
    def act(self) -> int:
        """The last effective act on it, at first its receipt (R5)."""
        acted = self._acted
        return self.position if acted == NEVER else acted

    @act.setter
    def act(self, position: int) -> None:
        self._acted = position

    @property
    def inbound(self) -> int:
        """The position in [inbound] of its record."""
        return where_of(self.record)[0]

    @property
    def received_ms(self) -> int:
        """When it was published."""
        return where_of(self.record)[1]

    @property
    def size_bytes(self) -> int:
        """The size of its payload."""
        return where_of(self.record)[2]

    @property
    def sha256(self) -> str:
        """The digest of its payload, in hex."""
        return digest_of(self.record)
