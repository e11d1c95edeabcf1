"""Messages, kept small: a lane holds a million of them through an outage; must not know facts or rules.

What most messages never need (their own times, what a person did, what became of them on the wire) lies in `more`, which is not
there until something is written to it; numbers and digests that are rarely looked at lie packed in `record`.
"""

from typing import Final, Literal, TypeAlias

from mypy_extensions import mypyc_attr, u8

from lane.blocker import Blocker
from lane.document import NEVER, Document, unseen
from lane.more import Grown, More
from lane.record import OWN_KEY, Form, digest_of, own_key_of, packed_name, packed_names, where_of

State: TypeAlias = Literal[
    "held", "granted", "transmitted", "captured", "rejected", "unknown", "parked", "withdrawn", "replaced", "filed"
]
STRANGER: Final = "another party's message"
"""What a tenant is told of a message that is not its own (I10)."""


NOWHERE: Final = 0
"""No ready messages' number."""

STATES: Final[tuple[State, ...]] = (
    "held", "granted", "transmitted", "captured", "rejected", "unknown", "parked", "withdrawn", "replaced", "filed",
)  # fmt: skip
_STATE_NUMBERS: Final[dict[State, int]] = {state: number for number, state in enumerate(STATES)}


@mypyc_attr(acyclic=True)
class Both:
    """The documents of a message that lists some and is related to others."""

    __slots__ = ("listed", "related")

    def __init__(self, listed: tuple[Document, ...], related: tuple[Document, ...]) -> None:
        self.listed = listed
        self.related = related


OWN_FIELDS: Final = (
    "blocker", "doc", "form", "heap", "position", "raw_named", "raw_state", "record", "since_ms", "unblocked", "watches",
)  # fmt: skip
MESSAGE_FIELDS: Final = (*OWN_FIELDS, "more")
"""Its fields by name, for a compiled class has no `__slots__`."""


@mypyc_attr(acyclic=True)
class Message(Grown):
    """One message of the lane. `position` names it; `place` is its turn in lane order, inherited by a replacement (R13).

    `unblocked`: its turn has come; `heap`, a hint: the number of the ready messages among which it stands here. `filing`: the
    grant (or the act) by which it came on file (R12). `open`: its grant lacks an outcome. `touched`: an outcome other than
    `expired` and *not taken* is known (R15); `doubted`: only because its grant's holder is gone (R44), so that the grant's own
    outcome may take it back. `watches`: a change of the document that blocks it makes the fold look again.
    `raw_named`: the documents that it names; None where their packed names in `record` are all that the lane knows of them.

    Compiled no collector looks at it, nor at its document: what leaves must not be held by what it holds, and a fold that is not
    wanted any more stays in memory until its process ends. It takes 96 bytes, and its record 112, 16 more for every 16 by which
    what is packed behind it is longer than 15.
    """

    __slots__ = OWN_FIELDS

    def __init__(self, *, position: int, key: str, form: Form, doc: Document, record: bytes) -> None:
        super().__init__()
        self.position = position
        self.form = form
        self.doc = doc
        self.record = record if key == doc.key else record + packed_name(OWN_KEY, key)
        self.raw_named: Document | tuple[Document, ...] | Both | None = ()
        self.since_ms = 0
        self.blocker: Blocker | None = None
        # Bytes last: each between two words would take a word of its own.
        self.raw_state: u8 = 0
        self.unblocked = False
        self.heap: u8 = NOWHERE
        self.watches = False

    def __str__(self) -> str:
        return f"{self.kind} {self.doc.key} ({self.tenant}/{self.key})"

    def told_to(self, asker: "Message") -> str:
        """What this message is called in a sentence for another message's tenant: by name only if it is that tenant's (I10)."""
        return str(self) if self.tenant == asker.tenant else STRANGER

    def __hash__(self) -> int:
        # Beside `__lt__`, mypyc makes a class that can't be hashed unless it says how.
        return self.position

    def __lt__(self, other: "Message") -> bool:
        return self.place < other.place

    @property
    def state(self) -> State:
        """Where it stands; `moves.move` alone writes it."""
        return STATES[self.raw_state]

    @state.setter
    def state(self, value: State) -> None:
        self.raw_state = _STATE_NUMBERS[value]

    @property
    def key(self) -> str:
        """Its publisher's key: packed in its record, unless it is its document's too."""
        own = own_key_of(self.record)
        return self.doc.key if own is None else own

    @property
    def listed(self) -> tuple[Document, ...]:
        """The documents that it lists as its group."""
        named = self.raw_named
        if isinstance(named, Both):
            return named.listed
        if named is None or not self.form.lists:
            return ()
        return named if isinstance(named, tuple) else (named,)

    @property
    def related(self) -> tuple[Document, ...]:
        """The documents that it is related to without listing them as its group; made for the asker where it alone names them."""
        if self.raw_named is None:
            return tuple(unseen(name, self.doc) for name in packed_names(self.record))
        return self.met

    @property
    def met(self) -> tuple[Document, ...]:
        """Those of them that the lane knows by more than this message's word; the others are unseen and have no other namer."""
        named = self.raw_named
        if named is None or self.form.lists:
            return ()
        if isinstance(named, Both):
            return named.related
        return named if isinstance(named, tuple) else (named,)

    def name(self, listed: tuple[Document, ...], related: tuple[Document, ...]) -> None:
        """Let it name these documents; one alone, and those of a kind that only lists or only relates, stand without a pair."""
        if listed if not self.form.lists else related:
            self.raw_named = Both(listed, related)
            return
        named = listed or related
        self.raw_named = named[0] if len(named) == 1 else named

    def name_alone(self, names: list[bytes]) -> None:
        """Let it be related to documents that nobody else has ever spoken of: their packed names are all that is kept of them."""
        self.record += b"".join(names)
        self.raw_named = None

    @property
    def watching(self) -> Document | None:
        """The document whose change makes the fold look again."""
        return self.blocker.topic if self.watches and self.blocker is not None else None

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

    @property
    def tenant(self) -> str:
        return self.form.tenant

    @property
    def kind(self) -> str:
        return self.form.kind

    @property
    def function(self) -> str:
        return self.form.function

    @property
    def channel(self) -> str:
        return self.form.channel

    @property
    def inland(self) -> bool:
        return self.form.inland

    @property
    def held_at(self) -> int:
        """Since which position it is held, or was last; at first its own."""
        since = self._held_again
        return self.position if since == NEVER else since

    @held_at.setter
    def held_at(self, position: int) -> None:
        self._held_again = position

    @property
    def place(self) -> int:
        """Its turn in lane order; at first its own position."""
        more = self.more
        return more.place if isinstance(more, More) and more.place != NEVER else self.position

    @place.setter
    def place(self, position: int) -> None:
        if self.place != position:
            self.grown().place = position


def blank_messages(count: int) -> list[Message]:
    """So many, empty, for a load that fills them."""
    form, doc = Form(("", "", "", "", False)), Document("other", "")
    return [Message(position=NEVER, key="", form=form, doc=doc, record=b"") for _ in range(count)]
