"""Messages, kept small: a lane holds a million of them through an outage; must not know facts or rules.

What most messages never need (their own times, what a person did, what became of them on the wire) lies in `more`, which is not
there until something is written to it; numbers and digests that are rarely looked at lie packed in `record`.
"""

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from lane.blocker import Blocker
from lane.document import NEVER, Document
from lane.more import Done, More, done_of
from lane.record import Form, digest_of, where_of

if TYPE_CHECKING:
    from lane.ready import Ready

State: TypeAlias = Literal[
    "held", "granted", "transmitted", "captured", "rejected", "unknown", "parked", "withdrawn", "replaced", "filed"
]
STRANGER: Final = "another party's message"
"""What a tenant is told of a message that is not its own (I10)."""


MESSAGE_FIELDS: Final = (
        "blocker", "doc", "form", "grant", "heap", "held_at", "key", "listed", "more", "place", "position", "record", "related",
        "since_ms", "state", "unblocked", "watching",
    )  # fmt: skip
"""Its fields by name, for a compiled class has no `__slots__`."""


class Message:
    """One message of the lane. `position` names it; `place` is its turn in lane order, inherited by a replacement (R13).

    `unblocked`: its turn has come; `heap`, a hint: the ready messages among which it stands in this process. `filing`: the
    grant (or the act) by which it came on file (R12). `open`: its grant lacks an outcome. `touched`: an outcome other than
    `expired` and *not taken* is known (R15); `doubted`: only because its grant's holder is gone (R44), so that the grant's own
    outcome may take it back. `watching`: the document whose change makes the fold look again.
    """

    __slots__ = MESSAGE_FIELDS

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
        self.more: Done | More | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.doc.key} ({self.tenant}/{self.key})"

    def told_to(self, asker: "Message") -> str:
        """What this message is called in a sentence for another message's tenant: by name only if it is that tenant's (I10)."""
        return str(self) if self.tenant == asker.tenant else STRANGER

    def __hash__(self) -> int:
        return self.position

    def __lt__(self, other: "Message") -> bool:
        return self.place < other.place

    def grown(self) -> More:
        """What may be written of this message beyond its own fields."""
        more = self.more
        if not isinstance(more, More):
            self.more = more = More(more)
        return more

    def shrink(self) -> None:
        """Keep no more than a captured message needs, where nothing out of the way has happened to it."""
        more = self.more
        if isinstance(more, More) and more.is_plain():
            self.more = done_of(more)

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
    def answered_ms(self) -> int | None:
        more = self.more
        return None if more is None else more.answered_ms

    @answered_ms.setter
    def answered_ms(self, value: int | None) -> None:
        if isinstance(self.more, More) or self.answered_ms != value:
            self.grown().answered_ms = value

    @property
    def attempts(self) -> int:
        more = self.more
        return 0 if more is None else more.attempts if isinstance(more, More) else 1

    @attempts.setter
    def attempts(self, value: int) -> None:
        if isinstance(self.more, More) or self.attempts != value:
            self.grown().attempts = value

    @property
    def code(self) -> str:
        more = self.more
        return more.code if isinstance(more, More) else ""

    @code.setter
    def code(self, value: str) -> None:
        if isinstance(self.more, More) or self.code != value:
            self.grown().code = value

    @property
    def corrected_by(self) -> "Message | None":
        more = self.more
        return more.corrected_by if isinstance(more, More) else None

    @corrected_by.setter
    def corrected_by(self, value: "Message | None") -> None:
        if isinstance(self.more, More) or self.corrected_by != value:
            self.grown().corrected_by = value

    @property
    def corrects(self) -> "Message | None":
        more = self.more
        return more.corrects if isinstance(more, More) else None

    @corrects.setter
    def corrects(self, value: "Message | None") -> None:
        if isinstance(self.more, More) or self.corrects != value:
            self.grown().corrects = value

    @property
    def deadline_ms(self) -> int | None:
        more = self.more
        return more.deadline_ms if isinstance(more, More) else None

    @deadline_ms.setter
    def deadline_ms(self, value: int | None) -> None:
        if isinstance(self.more, More) or self.deadline_ms != value:
            self.grown().deadline_ms = value

    @property
    def doubted(self) -> bool:
        more = self.more
        return more.doubted if isinstance(more, More) else False

    @doubted.setter
    def doubted(self, value: bool) -> None:
        if isinstance(self.more, More) or self.doubted != value:
            self.grown().doubted = value

    @property
    def epoch(self) -> int:
        more = self.more
        return 0 if more is None else more.epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        if isinstance(self.more, More) or self.epoch != value:
            self.grown().epoch = value

    @property
    def filing(self) -> int:
        more = self.more
        return NEVER if more is None else more.filing

    @filing.setter
    def filing(self, value: int) -> None:
        if isinstance(self.more, More) or self.filing != value:
            self.grown().filing = value

    @property
    def grace(self) -> int:
        more = self.more
        return more.grace if isinstance(more, More) else NEVER

    @grace.setter
    def grace(self, value: int) -> None:
        if isinstance(self.more, More) or self.grace != value:
            self.grown().grace = value

    @property
    def needs_person(self) -> str:
        more = self.more
        return more.needs_person if isinstance(more, More) else ""

    @needs_person.setter
    def needs_person(self, value: str) -> None:
        if isinstance(self.more, More) or self.needs_person != value:
            self.grown().needs_person = value

    @property
    def not_after_ms(self) -> int | None:
        more = self.more
        return more.not_after_ms if isinstance(more, More) else None

    @not_after_ms.setter
    def not_after_ms(self, value: int | None) -> None:
        if isinstance(self.more, More) or self.not_after_ms != value:
            self.grown().not_after_ms = value

    @property
    def not_before_ms(self) -> int | None:
        more = self.more
        return more.not_before_ms if isinstance(more, More) else None

    @not_before_ms.setter
    def not_before_ms(self, value: int | None) -> None:
        if isinstance(self.more, More) or self.not_before_ms != value:
            self.grown().not_before_ms = value

    @property
    def notes(self) -> tuple[str, ...]:
        more = self.more
        return more.notes if isinstance(more, More) else ()

    @notes.setter
    def notes(self, value: tuple[str, ...]) -> None:
        if isinstance(self.more, More) or self.notes != value:
            self.grown().notes = value

    @property
    def occurred_ms(self) -> int | None:
        more = self.more
        return more.occurred_ms if isinstance(more, More) else None

    @occurred_ms.setter
    def occurred_ms(self, value: int | None) -> None:
        if isinstance(self.more, More) or self.occurred_ms != value:
            self.grown().occurred_ms = value

    @property
    def open(self) -> bool:
        more = self.more
        return more.open if isinstance(more, More) else False

    @open.setter
    def open(self, value: bool) -> None:
        if isinstance(self.more, More) or self.open != value:
            self.grown().open = value

    @property
    def remark(self) -> str:
        more = self.more
        return more.remark if isinstance(more, More) else ""

    @remark.setter
    def remark(self, value: str) -> None:
        if isinstance(self.more, More) or self.remark != value:
            self.grown().remark = value

    @property
    def resubmissions(self) -> int:
        more = self.more
        return more.resubmissions if isinstance(more, More) else 0

    @resubmissions.setter
    def resubmissions(self, value: int) -> None:
        if isinstance(self.more, More) or self.resubmissions != value:
            self.grown().resubmissions = value

    @property
    def settled(self) -> bool:
        more = self.more
        return more.settled if isinstance(more, More) else False

    @settled.setter
    def settled(self, value: bool) -> None:
        if isinstance(self.more, More) or self.settled != value:
            self.grown().settled = value

    @property
    def strict(self) -> bool:
        more = self.more
        return more.strict if isinstance(more, More) else False

    @strict.setter
    def strict(self, value: bool) -> None:
        if isinstance(self.more, More) or self.strict != value:
            self.grown().strict = value

    @property
    def submission(self) -> int:
        more = self.more
        return more.submission if isinstance(more, More) else 1

    @submission.setter
    def submission(self, value: int) -> None:
        if isinstance(self.more, More) or self.submission != value:
            self.grown().submission = value

    @property
    def touched(self) -> bool:
        more = self.more
        return False if more is None else more.touched if isinstance(more, More) else True

    @touched.setter
    def touched(self, value: bool) -> None:
        if isinstance(self.more, More) or self.touched != value:
            self.grown().touched = value

    @property
    def transmitted_ms(self) -> int | None:
        more = self.more
        return None if more is None else more.transmitted_ms

    @transmitted_ms.setter
    def transmitted_ms(self, value: int | None) -> None:
        if isinstance(self.more, More) or self.transmitted_ms != value:
            self.grown().transmitted_ms = value

    @property
    def _acted(self) -> int:
        more = self.more
        return more.act if isinstance(more, More) else NEVER

    @_acted.setter
    def _acted(self, value: int) -> None:
        if isinstance(self.more, More) or self._acted != value:
            self.grown().act = value


def blank_messages(count: int) -> list[Message]:
    """So many, empty, for a load that fills them."""
    form, doc = Form(("", "", "", "", False)), Document("", "")
    return [Message(position=NEVER, key="", form=form, doc=doc, record=b"") for _ in range(count)]
