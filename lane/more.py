"""What lies beside a message, for most of them need none of it; must not know facts or rules."""

from typing import TYPE_CHECKING, Final

from lane.document import NEVER

if TYPE_CHECKING:
    from lane.message import Message


DONE_FIELDS: Final = ("answered_ms", "epoch", "filing", "transmitted_ms")
"""Its fields by name, for a compiled class has no `__slots__`."""


class Done:
    """What is kept of a message that was sent once and captured, a third of what is kept meanwhile."""

    __slots__ = DONE_FIELDS

    def __init__(self) -> None:
        self.answered_ms: int | None = None
        self.epoch = 0
        self.filing = NEVER
        self.transmitted_ms: int | None = None


MORE_FIELDS: Final = (
        "act", "answered_ms", "attempts", "code", "corrected_by", "corrects", "deadline_ms", "doubted", "epoch", "filing",
        "grace", "needs_person", "not_after_ms", "not_before_ms", "notes", "occurred_ms", "open", "remark", "resubmissions",
        "settled", "strict", "submission", "touched", "transmitted_ms",
    )  # fmt: skip
"""Its fields by name."""


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
        if done is not None:
            self.attempts, self.touched = 1, True
            self.answered_ms, self.epoch = done.answered_ms, done.epoch
            self.filing, self.transmitted_ms = done.filing, done.transmitted_ms

    def is_plain(self) -> bool:
        """Whether `Done` says all of it: sent once and captured, and nothing out of the way happened."""
        return (
            self.attempts == 1
            and self.touched
            and self.submission == 1
            and self.act == self.grace == NEVER
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
    done.filing, done.transmitted_ms = more.filing, more.transmitted_ms
    return done
