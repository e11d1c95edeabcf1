"""Responses: CBSA's answers are kept raw first and read second; must not decide what an answer does to a message.

`poll_answers` keeps what the gateway hands over (R3), `answers_to_lane` makes one fact of each page that speaks of the lane (R1).
The stream's own chain (gateway, seq, previous seq) says which pages count: of two pollers that raced, one page is off the chain.
"""

import marshal
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeAlias

from gateway.answers import parse_page
from lane.identity import parse_wire_key
from lane.snapshot import FORM
from lane.state import NEVER
from lane.view import DeskView, LaneView
from schemas.codec import encode
from schemas.effects import Append, CatchUp, Follow, Poll, Sleep, Worker
from schemas.facts import AnswerDoubted, AnswerGiven, AnswersReceived, PollFailed, PollRestored, Source
from schemas.responses import POLLED, link_of, page_entry
from schemas.streams import DESK, MODES, RESPONSES, Entry, Record, lane
from schemas.wire import Answer, Page

POLL_WAIT_S: Final = 10.0
"""Longest wait of one poll at CBSA's side: short enough that a dead connection is noticed."""

POLL_RETRY_S: Final = 1.0
"""First wait after a poll that failed; it doubles."""

POLL_RETRY_MAX_S: Final = 30.0
"""Longest wait after polls that failed."""

POLL_LEAST_S: Final = 0.5
"""Least time from one poll to the next while there is nothing to fetch: an authority that answers at once, though asked to wait,
is asked twice a second. What waits there is fetched page after page."""

POLL_FAILURES_TOLD: Final = 8
"""A person is asked after so many polls that failed in a row, a minute and a half at least: a restart of CBSA's server is over by
then. After as many again the desk is told anew, where it does not know of the silence."""

LOOK_WAIT_S: Final = 1.0
"""Longest wait for new pages before the loop looks around."""

READ_BACK_WAIT_S: Final = 5.0
"""Longest wait for our own facts to come back."""

REASON_CHARS_MAX: Final = 500
"""Longest reason kept for a page that is doubted: a sentence or two."""

ASTRAY_SHOWN_MAX: Final = 10
"""Most answers of a page that a reason names."""

PAGES_COUNT_MAX: Final = 20
"""Most pages that one append makes facts of: a fact names up to 500 messages."""


Answered: TypeAlias = tuple[int, str, tuple[AnswerGiven, ...]]
"""A page that a lane has not taken: where it stands, the gateway, and what it says of the lane's messages."""


@dataclass(slots=True)
class Waiting:
    """What a fold of [responses] amounts to: the next position, each gateway's chain, and what lanes and desk have not taken."""

    next_position: int = 0
    chain: dict[str, int] = field(default_factory=dict)
    doubts: deque[tuple[int, str]] = field(default_factory=deque)
    pages: dict[str, deque[Answered]] = field(default_factory=dict)


PAGES_WAITING_MAX: Final = 200
"""Pages of one lane, or doubted ones, that may wait for facts before CBSA is asked for more: 100,000 answers, some 60 MB."""


class ResponsesView:
    """The fold of [responses]: the chain's end per gateway, and the pages that each lane has not made facts of.

    What the folds of the lanes and of the desk have taken already is not kept, so let them read their streams first: then a start
    keeps only what is new of a history of any length.
    """

    def __init__(self, lanes: Mapping[str, LaneView], desk: DeskView, kept: "Waiting | None" = None) -> None:
        """Begin from nothing, or from what was kept; the lanes and the desk stand no further back than they stood then."""
        kept = kept or Waiting()
        self.next_position = self.begun_at = kept.next_position
        self.last: Record | None = None
        self.lanes = lanes
        self.desk = desk
        self.chain = kept.chain
        self.doubts = kept.doubts
        self.pages: dict[str, deque[Answered]] = {mode: kept.pages.get(mode, deque()) for mode in lanes}

    def absorb(self, records: Sequence[Record]) -> None:
        """Take records in; pages off the chain, or with a link that can't be read, are void."""
        for record in records:
            self.next_position = record.position + 1
            self.last = record
            gateway = self._continued(record) if record.header("ce_type") == POLLED else None
            if gateway is not None:
                self._page(record, gateway)

    def is_full(self) -> bool:
        """Whether a lane, or the desk, has so many pages waiting that no more should be fetched."""
        return len(self.doubts) >= PAGES_WAITING_MAX or any(len(pages) >= PAGES_WAITING_MAX for pages in self.pages.values())

    def end_of(self, gateway: str) -> int:
        """The polling cursor: where that gateway's chain ends (R3)."""
        return self.chain.get(gateway, 0)

    def _continued(self, record: Record) -> str | None:
        """The gateway whose chain the page continues; None for a page that is void (R3)."""
        try:
            gateway, seq, previous = link_of(record)
        except ValueError:
            return None
        if previous != self.end_of(gateway) or seq <= previous:
            return None
        self.chain[gateway] = seq
        return gateway

    def _page(self, record: Record, gateway: str) -> None:
        try:
            answers = parse_page(record.value)
        except ValueError as unreadable:
            self._doubt(record.position, str(unreadable)[:REASON_CHARS_MAX])
            return
        by_mode: dict[str, list[AnswerGiven]] = {}
        astray = []
        for answer in answers:
            parsed = _given(answer)
            if parsed is None or parsed[0] not in MODES:
                continue
            if answer.receiver == parsed[1].tenant:
                by_mode.setdefault(parsed[0], []).append(parsed[1])
            else:
                astray.append(answer.seq)
        if astray:
            reason = f"answers {astray[:ASTRAY_SHOWN_MAX]} name one party's message and are addressed to another; ask CBSA"
            self._doubt(record.position, reason)
        for mode, given in by_mode.items():
            if mode in self.lanes and record.position > self.lanes[mode].state.marks.get(RESPONSES, NEVER):
                self.pages[mode].append((record.position, gateway, tuple(given)))

    def _doubt(self, position: int, reason: str) -> None:
        if position > self.desk.state.marks.get(RESPONSES, NEVER):
            self.doubts.append((position, reason))


def dump_responses(view: ResponsesView) -> bytes:
    """What the fold of [responses] amounts to, as bytes, without what the lanes and the desk have taken since (I5)."""
    waiting = [
        (mode, [(at, gateway, [_row(given) for given in answers]) for at, gateway, answers in pages if at > _mark(view, mode)])
        for mode, pages in view.pages.items()
    ]
    doubts = [doubt for doubt in view.doubts if doubt[0] > view.desk.state.marks.get(RESPONSES, NEVER)]
    return marshal.dumps((view.next_position, view.chain, doubts, waiting), FORM)


def load_responses(body: bytes) -> Waiting:
    """What was dumped. Raises ValueError and the like for other bytes."""
    next_position, chain, doubts, waiting = marshal.loads(body)  # noqa: S302 (no code is run; who kept the bytes checks whose)
    pages = {
        mode: deque((at, gateway, tuple(_given_of(row) for row in answers)) for at, gateway, answers in rows)
        for mode, rows in waiting
    }
    return Waiting(next_position, chain, deque(doubts), pages)


def _mark(view: ResponsesView, mode: str) -> int:
    return view.lanes[mode].state.marks.get(RESPONSES, NEVER)


def _row(given: AnswerGiven) -> tuple[Any, ...]:
    return tuple(getattr(given, name) for name in _GIVEN)


def _given_of(row: tuple[Any, ...]) -> AnswerGiven:
    return AnswerGiven(**dict(zip(_GIVEN, row, strict=True)))


_GIVEN: Final = tuple(each.name for each in fields(AnswerGiven))


def _given(answer: Answer) -> tuple[str, AnswerGiven] | None:
    """The lane and the message that an answer names by its wire key; None for what is nobody's here: it stays as mail."""
    parsed = parse_wire_key(answer.wire_key) if answer.wire_key is not None else None
    if parsed is None:
        return None
    mode, tenant, key, submission = parsed
    return mode, AnswerGiven(
        tenant=tenant,
        key=key,
        submission=submission,
        outcome=answer.outcome,
        code=answer.code,
        text=answer.text,
        seq=answer.seq,
        answered_ms=answer.at_ms,
    )


def poll_answers(view: ResponsesView, *, gateway: str) -> Worker:
    """Fetch CBSA's answers and keep them raw, for ever; a silence that lasts is told on the desk, and its end."""
    turn = yield [CatchUp("caught up", RESPONSES)]
    turn = yield [CatchUp("desk", DESK)]
    retry_s, failures, since_ms = POLL_RETRY_S, 0, 0
    while not turn.stopping:
        if view.is_full():
            turn = yield [Sleep("full", POLL_LEAST_S)]
            continue
        asked_s, asked_ms = turn.boot_s, turn.at_ms
        turn = yield [Poll("poll", view.end_of(gateway), POLL_WAIT_S)]
        if turn.stopping and turn.done[0].error is not None:
            return
        done = turn.done[0]
        if done.error is not None:
            since_ms = since_ms if failures else asked_ms
            failures += 1
            if failures % POLL_FAILURES_TOLD == 0 and gateway not in view.desk.state.silent:
                reason = str(done.error)[:REASON_CHARS_MAX]
                yield [_told(PollFailed(at_ms=turn.at_ms, gateway=gateway, since_ms=since_ms, reason=reason))]
                yield [CatchUp("desk", DESK)]
            turn = yield [Sleep("retry", retry_s)]
            retry_s = min(retry_s * 2, POLL_RETRY_MAX_S)
            continue
        retry_s, failures = POLL_RETRY_S, 0
        if gateway in view.desk.state.silent:
            yield [_told(PollRestored(at_ms=turn.at_ms, gateway=gateway))]
            yield [CatchUp("desk", DESK)]
        page = done.result
        assert isinstance(page, Page)
        if page.count:
            turn = yield [Append("append", RESPONSES, (page_entry(gateway, page),))]
            if turn.done[0].error is not None:
                turn = yield [Sleep("retry", POLL_RETRY_S)]
                turn = yield [CatchUp("caught up", RESPONSES)]
                continue
            positions = turn.done[0].positions
            turn = yield [Follow("read back", RESPONSES, positions[-1], READ_BACK_WAIT_S)]
        elif turn.boot_s - asked_s < POLL_LEAST_S:
            turn = yield [Sleep("nothing there", POLL_LEAST_S - (turn.boot_s - asked_s))]


def _told(fact: PollFailed | PollRestored) -> Append:
    """The word to the desk; where the append fails, a later poll finds the desk unchanged and says it again."""
    return Append("told", DESK, (Entry(encode(fact)),))


def answers_to_lane(responses: ResponsesView, view: LaneView) -> Worker:
    """Make facts of the lane from the pages that speak of it, for ever."""
    stream = lane(view.state.mode)
    pages = responses.pages[view.state.mode]
    turn = yield [CatchUp("lane", stream)]
    turn = yield [CatchUp("responses", RESPONSES)]
    while not turn.stopping:
        mark = view.state.marks.get(RESPONSES, NEVER)
        while pages and pages[0][0] <= mark:
            pages.popleft()
        facts = _facts(responses, view, at_ms=turn.at_ms)
        if not facts:
            turn = yield [Follow("responses", RESPONSES, responses.next_position, LOOK_WAIT_S)]
            continue
        turn = yield [Append("append", stream, tuple(Entry(encode(fact)) for fact in facts))]
        if turn.done[0].error is not None:
            turn = yield [Sleep("retry", LOOK_WAIT_S)]
            turn = yield [CatchUp("lane", stream)]
            continue
        positions = turn.done[0].positions
        turn = yield [Follow("read back", stream, positions[-1], READ_BACK_WAIT_S)]


def doubts_to_desk(responses: ResponsesView, desk: DeskView) -> Worker:
    """Lay the pages that nothing can be made of before a person, for ever, each once by the chain of positions (R1)."""
    turn = yield [CatchUp("desk", DESK)]
    turn = yield [CatchUp("responses", RESPONSES)]
    while not turn.stopping:
        mark = desk.state.marks.get(RESPONSES, NEVER)
        while responses.doubts and responses.doubts[0][0] <= mark:
            responses.doubts.popleft()
        if not responses.doubts:
            turn = yield [Follow("responses", RESPONSES, responses.next_position, LOOK_WAIT_S)]
            continue
        position, reason = responses.doubts[0]
        source = Source(stream=RESPONSES, position=position, previous=mark)
        fact = AnswerDoubted(at_ms=turn.at_ms, source=source, reason=reason)
        turn = yield [Append("append", DESK, (Entry(encode(fact)),))]
        if turn.done[0].error is not None:
            turn = yield [Sleep("retry", LOOK_WAIT_S)]
        turn = yield [CatchUp("desk", DESK)]


def _facts(responses: ResponsesView, view: LaneView, *, at_ms: int) -> list[AnswersReceived]:
    """The next facts of the lane, chained on its mark."""
    previous = view.state.marks.get(RESPONSES, NEVER)
    facts = []
    for position, gateway, answers in list(responses.pages[view.state.mode])[:PAGES_COUNT_MAX]:
        source = Source(stream=RESPONSES, position=position, previous=previous)
        facts.append(AnswersReceived(at_ms=at_ms, source=source, gateway=gateway, answers=answers))
        previous = position
    return facts
