"""What CBSA said is kept raw, read once, and laid before a person where nothing can be made of it."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from consumers.responses import PAGES_WAITING_MAX, ResponsesView, answers_to_lane, doubts_to_desk, poll_answers
from gateway.answers import PAGE_KEPT_BYTES_MAX, cut_page
from gateway.port import GatewayUnavailable
from lane.view import DeskView, LaneView
from schemas.codec import Codec, encode
from schemas.effects import Append, CatchUp, Done, Follow, Poll, Sleep, Turn
from schemas.facts import AnswerDoubted, PollFailed, PollRestored, Source
from schemas.responses import POLLED, page_entry
from schemas.streams import MODES, RESPONSES, Headers, Record
from schemas.wire import Page


def _record(position: int, raw: bytes) -> Record:
    entry = page_entry("sim", Page(raw=raw, previous_seq=position, last_seq=position + 1, count=1))
    return Record(position, 0, entry.value, entry.headers)


def _page(seq: int, **answer: Any) -> bytes:
    row = {"seq": seq, "outcome": "captured", "code": "OK", "text": "", "payload_base64": None, "at": "2025-11-24T15:00:00Z"}
    return json.dumps({"next": seq, "responses": [row | answer]}).encode()


def _views() -> tuple[ResponsesView, dict[str, LaneView], DeskView]:
    lanes: dict[str, LaneView] = {mode: LaneView(mode, Codec().decode) for mode in MODES}
    desk = DeskView(Codec().decode)
    return ResponsesView(lanes, desk), lanes, desk


def test_what_the_lane_and_the_desk_have_taken_is_not_kept_again() -> None:
    """I12: a start reads all history, and keeps in memory only what nobody has made a fact of."""
    view, lanes, desk = _views()
    lanes["highway"].state.marks[RESPONSES] = 1
    desk.state.marks[RESPONSES] = 2
    for position in range(3):
        view.absorb([_record(position, _page(position + 1, idempotency_key="highway/acme/k1", receiver="acme"))])
    view.absorb([_record(position, b"{}") for position in (3, 4)])
    assert [2] == [position for position, _, _ in view.pages["highway"]]
    assert [3, 4] == [position for position, _ in view.doubts]
    assert 5 == view.end_of("sim"), "the chain goes on all the same"
    view, _, desk = _views()
    desk.state.marks[RESPONSES] = 0
    view.absorb([_record(position, b"{}") for position in (0, 1)])
    assert [1] == [position for position, _ in view.doubts]


@pytest.mark.parametrize(
    "headers",
    [
        (("gateway", b"sim"), ("seq", b"one"), ("previous_seq", b"0")),
        (("gateway", b"sim"), ("seq", b"1"), ("previous_seq", b"\xff")),
        (("gateway", b"\xff"), ("seq", b"1"), ("previous_seq", b"0")),
        (("gateway", b"sim"), ("seq", b"1")),
        (("gateway", b"sim"),),
    ],
)
def test_a_page_whose_link_cannot_be_read_is_void(headers: Headers) -> None:
    """R3: who else may write to [responses] can put a page off the chain there, and stop nobody's reading."""
    view, _, _ = _views()
    raw = _page(1, idempotency_key="highway/acme/k1", receiver="acme")
    view.absorb([Record(0, 0, raw, (("ce_type", POLLED), *headers))])
    assert (1, 0, 0) == (view.next_position, view.end_of("sim"), len(view.pages["highway"]))
    entry = page_entry("sim", Page(raw=raw, previous_seq=0, last_seq=1, count=1))
    view.absorb([Record(1, 0, entry.value, entry.headers)])
    assert [1] == [position for position, _, _ in view.pages["highway"]]


def test_an_answer_is_believed_only_for_the_party_that_it_is_addressed_to() -> None:
    """I10, R52: an answer for acme's message that is addressed to zeta is nobody's verdict."""
    view, _, _ = _views()
    view.absorb([_record(0, _page(1, idempotency_key="highway/acme/k1", receiver="zeta"))])
    view.absorb([_record(1, _page(2, idempotency_key="highway/acme/k1", receiver="acme"))])
    assert [1] == [position for position, _, _ in view.pages["highway"]]
    assert [0] == [position for position, _ in view.doubts]


class Polling:
    """`poll_answers` driven by hand: each poll gets what it is given, the desk reads what it is told, time passes as asked."""

    def __init__(self) -> None:
        self.view, _, self.desk = _views()
        self.told: list[object] = []
        self.slept_s: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None
        self.now_s = 100.0
        self.worker = poll_answers(self.view, gateway="sim")
        self.asked = next(self.worker)

    def until_poll(self, done: Done) -> None:
        """Complete what is asked and whatever follows, up to the next poll."""
        turn = Turn(round(self.now_s * 1000), self.now_s, (done,))
        while True:
            (asked,) = self.worker.send(turn)
            match asked:
                case Poll():
                    return
                case Append(stream="desk"):
                    (entry,) = asked.entries
                    self.told.append(Codec().decode(entry.value))
                    self.desk.absorb([Record(self.desk.next_position, 0, entry.value)])
                case Sleep():
                    self.slept_s.append(asked.wait_s)
                    self.now_s += asked.wait_s
                    self.on_sleep()
                case CatchUp() | Append() | Follow():
                    pass
                case _:
                    raise AssertionError(f"not asked for: {asked}")
            turn = Turn(round(self.now_s * 1000), self.now_s, (Done(asked.tag, (0,)),))

    def polled(self, count: int, *, took_s: float = 0.0) -> None:
        """A poll that brought so many answers after so long."""
        self.now_s += took_s
        after = self.view.end_of("sim")
        self.until_poll(Done("poll", Page(raw=b"{}", previous_seq=after, last_seq=after + count, count=count)))

    def failed(self) -> None:
        """A poll that failed at once."""
        self.until_poll(Done("poll", error=GatewayUnavailable("HTTP 500")))


def test_an_authority_that_answers_at_once_with_nothing_is_not_asked_at_once_again() -> None:
    """I12: polling does not spin, costs a long poll no time, and fetches what waits without a pause."""
    polling = Polling()
    polling.until_poll(Done("caught up"))
    polling.polled(0)
    polling.polled(0, took_s=0.2)
    polling.polled(0, took_s=10.0)
    polling.polled(500)
    assert [0.5, 0.3] == [round(wait_s, 3) for wait_s in polling.slept_s]


def test_a_silence_of_the_authority_is_told_once_and_its_end_too() -> None:
    """R3: a poll that fails is tried again; one that goes on failing is laid before a person until answers come again."""
    polling = Polling()
    polling.until_poll(Done("caught up"))
    for _ in range(7):
        polling.failed()
    assert [] == polling.told
    polling.polled(0)
    for _ in range(30):
        polling.failed()
    (silence,) = polling.told
    assert isinstance(silence, PollFailed)
    assert ("sim", "HTTP 500", 91_000) == (silence.gateway, silence.reason, silence.at_ms - silence.since_ms)
    assert 1 == len(polling.desk.state.tasks)
    polling.polled(1)
    polling.polled(1)
    assert [PollFailed, PollRestored] == [type(fact) for fact in polling.told]
    assert {} == polling.desk.state.tasks


def test_a_poll_cut_off_by_the_end_of_the_process_is_no_failure() -> None:
    """R3: stopping ends the worker."""
    polling = Polling()
    polling.until_poll(Done("caught up"))
    with pytest.raises(StopIteration):
        polling.worker.send(Turn(0, 0.0, (Done("poll", error=GatewayUnavailable("stopping")),), stopping=True))


def _kept(view: ResponsesView, body: bytes) -> Page:
    """What is kept of a body that the authority sent, as the view reads it."""
    page = cut_page(body, view.end_of("sim"))
    entry = page_entry("sim", page)
    assert len(entry.value) <= PAGE_KEPT_BYTES_MAX
    view.absorb([Record(view.next_position, 0, entry.value, entry.headers)])
    return page


def test_an_answer_too_long_to_keep_waits_for_a_person_and_keeps_no_other_back() -> None:
    """I12: its beginning and its hash are kept in a page of its own, and polling goes on behind it."""
    view, _, _ = _views()
    row = {
        "seq": 1,
        "idempotency_key": "highway/acme/k1",
        "receiver": "acme",
        "outcome": "captured",
        "at": "2025-11-24T15:00:00Z",
    }
    huge = row | {"seq": 2, "payload_base64": "A" * PAGE_KEPT_BYTES_MAX}
    body = json.dumps({"next": 3, "responses": [row, huge, row | {"seq": 3}]}).encode()
    assert [(0, 1), (1, 2)] == [(page.previous_seq, page.last_seq) for page in (_kept(view, body), _kept(view, _after(body, 1)))]
    (cut,) = json.loads(_kept(_views()[0], json.dumps({"next": 2, "responses": [huge]}).encode()).raw)["responses"]
    whole = json.dumps(huge, separators=(",", ":")).encode()
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (cut["tidegate_cut"]["bytes"], cut["tidegate_cut"]["sha256"])
    assert 3 == _kept(view, _after(body, 2)).last_seq
    assert [0, 2] == [position for position, _, _ in view.pages["highway"]]
    assert [(1, "Answer 2 was too long to keep; its beginning is kept, fetch the whole from CBSA.")] == list(view.doubts)


def _after(body: bytes, seq: int) -> bytes:
    """The body that the authority sends to who has read up to there."""
    said = json.loads(body)
    return json.dumps(said | {"responses": [answer for answer in said["responses"] if answer["seq"] > seq]}).encode()


@pytest.mark.parametrize(("count", "spaces"), [(1, PAGE_KEPT_BYTES_MAX), (600, 0)])
def test_what_is_kept_fits_a_record_however_its_json_is_written(count: int, spaces: int) -> None:
    """I12: neither spaces around answers nor letters that grow when they are written anew make a page that no log takes."""
    row = {"idempotency_key": None, "receiver": "acme", "outcome": "notice", "at": "2025-11-24T15:00:00Z", "more": "é" * 4_000}
    said = {"next": count, "responses": [row | {"seq": seq} for seq in range(1, count + 1)]}
    view, _, _ = _views()
    page = _kept(view, json.dumps(said, ensure_ascii=False).encode() + b" " * spaces)
    assert page.count == page.last_seq == view.end_of("sim") >= min(count, 100)
    assert [] == list(view.doubts)


def test_a_lane_of_which_nobody_speaks_writes_nothing() -> None:
    """R3: a fact of answers names at least one, however long [responses] grows."""
    view, lanes, _ = _views()
    view.absorb([_record(position, b"{}") for position in range(1_100)])
    worker = answers_to_lane(view, lanes["air"])
    next(worker)
    worker.send(Turn(0, 0.0, (Done("lane"),)))
    (asked,) = worker.send(Turn(0, 0.0, (Done("responses"),)))
    assert Follow("responses", RESPONSES, 1_100, 1.0) == asked


def test_what_is_doubted_is_laid_before_a_person_once() -> None:
    """R52, I12: a page that can't be read waits on the desk for a person, and no longer in memory."""
    view, _, desk = _views()
    view.absorb([_record(0, b'{"next": 1, "responses": [{"seq": 1, "outcome": "maybe"}]}')])
    worker = doubts_to_desk(view, desk)
    next(worker)
    worker.send(Turn(0, 0.0, (Done("desk"),)))
    (append,) = worker.send(Turn(7, 0.0, (Done("responses"),)))
    assert isinstance(append, Append)
    fact = Codec().decode(append.entries[0].value)
    assert isinstance(fact, AnswerDoubted)
    assert Source(stream=RESPONSES, position=0, previous=-1) == fact.source
    worker.send(Turn(8, 0.0, (Done("append", [0]),)))
    desk.absorb([Record(0, 0, encode(fact)), Record(1, 0, encode(fact))])
    worker.send(Turn(9, 0.0, (Done("desk"),)))
    assert [0] == list(desk.state.tasks), "the second one, of another worker, is off the chain"
    assert [] == list(view.doubts)


def test_no_more_answers_are_fetched_while_a_lane_has_many_pages_waiting() -> None:
    """I12: answers that nobody makes facts of wait at CBSA, not in our memory."""
    polling = Polling()
    polling.until_poll(Done("caught up"))
    waiting = polling.view.pages["highway"]
    waiting.extend((position, "sim", ()) for position in range(PAGES_WAITING_MAX))
    polling.on_sleep = waiting.popleft
    polling.polled(0, took_s=10.0)
    assert (PAGES_WAITING_MAX - 1, [0.5]) == (len(waiting), polling.slept_s)
