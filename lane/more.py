"""What lies beside a message, for most of them need none of it; must not know facts or rules."""

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from lane.document import NEVER

if TYPE_CHECKING:
    from lane.message import Message


DONE_FIELDS: Final = ("answered_ms", "epoch", "filing", "grant", "transmitted_ms")
"""Its fields by name, for a compiled class has no `__slots__`."""


@mypyc_attr(acyclic=True)
class Done:
    """What is kept of a message that was sent once and captured, a third of what is kept meanwhile."""

    __slots__ = DONE_FIELDS

    def __init__(self) -> None:
        self.answered_ms: int | None = None
        self.epoch = 0
        self.filing = NEVER
        self.grant = NEVER
        self.transmitted_ms: int | None = None


MORE_FIELDS: Final = (
    "act", "answered_ms", "attempts", "code", "corrected_by", "corrects", "deadline_ms", "doubted", "epoch", "filing", "grace",
    "grant", "held_at", "needs_person", "not_after_ms", "not_before_ms", "notes", "occurred_ms", "open", "place", "remark",
    "resubmissions", "settled", "strict", "submission", "touched", "transmitted_ms",
)  # fmt: skip
"""Its fields by name."""


@mypyc_attr(acyclic=True)
class More:
    """What a message needs when it has times of its own, was granted, or something out of the way has happened to it."""

    __slots__ = MORE_FIELDS

    def __init__(self, done: "Done | None") -> None:
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
        self.grant = NEVER
        self.held_at = NEVER
        self.needs_person = ""
        self.not_after_ms: int | None = None
        self.not_before_ms: int | None = None
        self.notes: tuple[str, ...] = ()
        self.occurred_ms: int | None = None
        self.open = False
        self.place = NEVER
        self.remark = ""
        self.resubmissions = 0
        self.settled = False
        self.strict = False
        self.submission = 1
        self.touched = False
        self.transmitted_ms: int | None = None
        if done is not None:
            self.attempts, self.touched = 1, True
            self.answered_ms, self.epoch = done.answered_ms, done.epoch
            self.filing, self.grant, self.transmitted_ms = done.filing, done.grant, done.transmitted_ms

    def is_plain(self) -> bool:
        """Whether `Done` says all of it: sent once and captured, and nothing out of the way happened."""
        return (
            self.attempts == 1
            and self.touched
            and self.submission == 1
            and self.act == self.grace == self.held_at == self.place == NEVER
            and self.resubmissions == 0
            and not (self.doubted or self.open or self.settled or self.strict)
            and not (self.code or self.needs_person or self.remark or self.notes)
            and self.corrected_by is None
            and self.corrects is None
            and self.deadline_ms is None
            and self.not_after_ms is None
            and self.not_before_ms is None
            and self.occurred_ms is None
        )


def blank_done(count: int) -> list[Done]:
    """So many, empty, for a load that fills them."""
    return [Done() for _ in range(count)]


def blank_more(count: int) -> list[More]:
    """So many, empty, for a load that fills them."""
    return [More(None) for _ in range(count)]


def done_of(more: More) -> Done:
    """What is kept of it once it is captured."""
    done = Done()
    done.answered_ms, done.epoch = more.answered_ms, more.epoch
    done.filing, done.grant, done.transmitted_ms = more.filing, more.grant, more.transmitted_ms
    return done


@mypyc_attr(acyclic=True)
class Grown:
    """A message as far as it reads and writes what lies beside it: nothing is there until something is written.

    Each property is written out, for mypyc compiles no descriptors.
    """

    __slots__ = ("more",)

    def __init__(self) -> None:
        self.more: Done | More | None = None

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
    def grant(self) -> int:
        more = self.more
        return NEVER if more is None else more.grant

    @grant.setter
    def grant(self, value: int) -> None:
        if isinstance(self.more, More) or self.grant != value:
            self.grown().grant = value

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

    @property
    def _held_again(self) -> int:
        more = self.more
        return more.held_at if isinstance(more, More) else NEVER

    @_held_again.setter
    def _held_again(self, value: int) -> None:
        if isinstance(self.more, More) or self._held_again != value:
            self.grown().held_at = value
