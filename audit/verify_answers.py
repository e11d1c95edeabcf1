"""What stands in [responses], read anew: the chain of pages, and what each says of a lane; must not know what an answer does.

A second statement of R3 and R11, on purpose.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from audit.verify_report import Report
from gateway.answers import parse_page
from schemas.facts import AnswerGiven
from schemas.responses import POLLED
from schemas.streams import RESPONSES, Record

SUBMISSION_DIGITS_MAX: Final = 18
"""Most digits of a submission in a wire key; we number them from 2."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page on the chain: its position, its gateway, and for each lane what it says of messages there."""

    position: int
    gateway: str
    answers: dict[str, tuple[AnswerGiven, ...]]


class Chain:
    """The chain (gateway, seq, previous seq) as it grows; a page that lost a race is void, a hole is a fault."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.unreadable: list[int] = []

    def pages(self, stream: Iterable[Record], report: Report | None) -> Iterator[Page]:
        """Yield the pages on the chain; faults go to the report when there is one (one pass of several tells them)."""
        for record in stream:
            if record.header("ce_type") != POLLED:
                continue
            gateway = (record.header("gateway") or b"").decode("utf-8", "replace")
            try:
                seq, previous = int(record.header("seq") or b""), int(record.header("previous_seq") or b"")
            except ValueError:
                _fault(report, record, "a page without the cursors of its chain (seq, previous_seq)")
                continue
            end = self.ends.get(gateway, 0)
            if previous > end:
                _fault(report, record, f"the answers of {gateway} from {end} to {previous} are missing before this page")
            if previous == end and seq > previous:
                self.ends[gateway] = seq
                yield self._page(record, gateway)

    def _page(self, record: Record, gateway: str) -> Page:
        by_lane: dict[str, list[AnswerGiven]] = {}
        try:
            answers = parse_page(record.value)
        except ValueError:
            self.unreadable.append(record.position)
            answers = ()
        for answer in answers:
            named = named_by(answer.wire_key)
            if named is not None:
                mode, tenant, key, submission = named
                if answer.receiver != tenant:  # believed for nobody: it answers one party with another's message
                    continue
                given = AnswerGiven(
                    tenant=tenant, key=key, submission=submission, outcome=answer.outcome, code=answer.code, text=answer.text,
                    seq=answer.seq, answered_ms=answer.at_ms,
                )  # fmt: skip
                by_lane.setdefault(mode, []).append(given)
        return Page(record.position, gateway, {mode: tuple(given) for mode, given in by_lane.items()})


def named_by(wire_key: str | None) -> tuple[str, str, str, int] | None:
    """The mode, tenant, key and submission that a wire key names (R11), or None when it is none of ours."""
    mode, _, rest = (wire_key or "").partition("/")
    tenant, slash, last = rest.partition("/")
    key, mark, number = last.partition("~")
    counted = (
        len(number) < SUBMISSION_DIGITS_MAX and number.isascii() and number.isdigit() and number[0] != "0" and int(number) > 1
    )
    if not slash or "/" in last or (mark and not counted):
        return None
    names = unquote(tenant), unquote(key)
    if (_escaped(names[0]), _escaped(names[1])) != (tenant, key):
        return None
    return mode, *names, int(number or 1)


def _escaped(name: str) -> str:
    """R11: `/`, `~`, `%` and whatever is not ASCII, percent-encoded; blanks at the ends too, for no header carries them."""
    first, last = len(name) - len(name.lstrip(" ")), len(name.rstrip(" "))
    return "".join(
        char
        if char.isascii() and char not in "/~%" and (char != " " or first <= at < last)
        else "".join(f"%{byte:02X}" for byte in char.encode())
        for at, char in enumerate(name)
    )


def _fault(report: Report | None, record: Record, sentence: str) -> None:
    if report is not None:
        report.fault("V2", RESPONSES, record.position, sentence)
