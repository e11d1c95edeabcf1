"""Documents, kept small: a lane holds millions of them through an outage; must not know facts or rules."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr, u8

from lane.record import OWN_KEY, packed_name, read_name

if TYPE_CHECKING:
    from lane.message import Message

NEVER: Final = -1
"""A position before all positions."""

FEW_COUNT_MAX: Final = 8
"""Up to so many namers a tuple is searched as fast as a dict, and takes a fifth of its bytes."""


DOCUMENT_MORE_FIELDS: Final = ("aside", "gone", "raw_watchers", "settled")
"""Its fields by name, for a compiled class has no `__slots__`."""


@mypyc_attr(acyclic=True)
class DocumentMore:
    """What few documents need."""

    __slots__ = DOCUMENT_MORE_FIELDS

    def __init__(self) -> None:
        self.aside: tuple[Message, ...] = ()
        self.gone: tuple[Message, ...] = ()
        self.raw_watchers: Message | list[Message] | None = None
        self.settled = False


DOCUMENT_FIELDS: Final = (
    "filed_at", "house_bill", "key", "more", "on_file", "raw_filings", "raw_kind", "raw_namers", "raw_queue",
)  # fmt: skip
"""Its fields by name."""

FIRST_KIND: Final = OWN_KEY + 1
"""The number of the first kind in a packed name."""

DOCUMENT_KINDS: Final = (
    "shipment", "conveyance", "close", "release", "image", "conveyance_arrival", "cargo_arrival", "export_declaration",
    "accounting", "other",
)  # fmt: skip
"""The own-key namespaces (R12): a document keeps the number of its own in a byte."""

_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(DOCUMENT_KINDS)}


@mypyc_attr(acyclic=True)
class Document:
    """What CBSA knows by a key: a queue of messages (R13) and whether it is on file (R12).

    `filings`: its captured and filed messages, by grant; the latest says whether it is on file, since `filed_at` (a position).
    `aside`: what waits for a person or was corrected; `gone`: what was taken back or replaced.
    `namers`: documents that have named this one at some time; `names` says whether they still do.
    `watchers`: messages that are looked at again when it changes. A `raw_` field holds one alone as itself, several as a group.
    Compiled it takes 80 bytes.
    """

    __slots__ = DOCUMENT_FIELDS

    def __init__(self, kind: str, key: str) -> None:
        self.key = key
        self.raw_queue: Any = ()
        self.raw_filings: Any = ()
        self.raw_namers: Any = ()
        self.filed_at = NEVER
        self.more: DocumentMore | None = None
        # Bytes last: each between two words would take a word of its own.
        self.on_file = False
        self.house_bill = False
        self.raw_kind: u8 = _KIND_NUMBERS[kind]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def kind(self) -> str:
        """Its own-key namespace."""
        return DOCUMENT_KINDS[self.raw_kind]

    @property
    def queue(self) -> tuple["Message", ...]:
        """Its messages that wait or are on their way, in their turn."""
        raw = self.raw_queue
        return raw if type(raw) is tuple else (raw,)

    @queue.setter
    def queue(self, value: tuple["Message", ...]) -> None:
        self.raw_queue = value[0] if len(value) == 1 else value

    @property
    def filings(self) -> tuple["Message", ...]:
        """Its captured and filed messages, by grant."""
        raw = self.raw_filings
        return raw if type(raw) is tuple else (raw,)

    @filings.setter
    def filings(self, value: tuple["Message", ...]) -> None:
        self.raw_filings = value[0] if len(value) == 1 else value

    @property
    def namers(self) -> Collection["Document"]:
        """Documents that have named this one at some time."""
        raw = self.raw_namers
        return raw if type(raw) is tuple or type(raw) is dict else (raw,)

    @namers.setter
    def namers(self, value: Collection["Document"]) -> None:
        self.raw_namers = next(iter(value)) if len(value) == 1 and type(value) is tuple else value

    @property
    def aside(self) -> tuple["Message", ...]:
        """What waits for a person or was corrected."""
        return () if self.more is None else self.more.aside

    @aside.setter
    def aside(self, value: tuple["Message", ...]) -> None:
        if value != self.aside:
            self.grown().aside = value

    @property
    def gone(self) -> tuple["Message", ...]:
        """What was taken back or replaced."""
        return () if self.more is None else self.more.gone

    @gone.setter
    def gone(self, value: tuple["Message", ...]) -> None:
        if value != self.gone:
            self.grown().gone = value

    @property
    def settled(self) -> bool:
        """Whether something of it counts as on file while answers are late (R23)."""
        return self.more is not None and self.more.settled

    @settled.setter
    def settled(self, value: bool) -> None:
        if value != self.settled:
            self.grown().settled = value

    @property
    def watchers(self) -> "Sequence[Message]":
        """Messages that are looked at again when it changes."""
        raw = None if self.more is None else self.more.raw_watchers
        return () if raw is None else raw if isinstance(raw, list) else (raw,)

    @watchers.setter
    def watchers(self, value: "Sequence[Message]") -> None:
        if self.more is not None or value:
            self.grown().raw_watchers = list(value) if len(value) > 1 else value[0] if value else None

    def watched_by(self, message: "Message") -> None:
        """Note that a message is looked at again when it changes."""
        more = self.grown()
        raw = more.raw_watchers
        if raw is None:
            more.raw_watchers = message
        elif isinstance(raw, list):
            raw.append(message)
        else:
            more.raw_watchers = [raw, message]

    def grown(self) -> DocumentMore:
        """Make room for what few documents need."""
        more = self.more
        if more is None:
            self.more = more = DocumentMore()
        return more

    def is_new(self) -> bool:
        """Whether nothing has been said of it yet, neither by a message of its own nor by one that names it."""
        nothing = self.raw_queue == self.raw_filings == self.raw_namers == ()
        return nothing and self.more is None

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

    def listed(self) -> "tuple[Document, ...]":
        """The documents that this one lists as its group."""
        return tuple(doc for message in self.speakers() for doc in message.listed)

    def related(self) -> "tuple[Document, ...]":
        """The documents that this one is related to without listing them as its group, and of which others speak too."""
        return tuple(doc for message in self.speakers() for doc in message.met)

    def names(self, doc: "Document") -> bool:
        """Whether this document names that one, by what is on file or waits."""
        return any(doc in message.listed or doc in message.met for message in self.speakers())


def name_of(kind: str, key: str) -> bytes:
    """A document's name as it is packed behind the record of a message that names it."""
    return packed_name(_KIND_NUMBERS[kind] + FIRST_KIND, key)


def unseen(name: bytes, namer: Document) -> Document:
    """The document of a packed name: nothing is known of it but who names it."""
    number, key = read_name(name)
    doc = Document(DOCUMENT_KINDS[number - FIRST_KIND], key)
    doc.raw_namers = namer
    return doc


def blank_documents(count: int) -> list[Document]:
    """So many, empty, for a load that fills them."""
    return [Document("other", "") for _ in range(count)]
