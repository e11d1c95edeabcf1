"""Each limit on what CBSA says and on the wire to it, driven over its edge (docs/limits.md, *Making facts*, *Letting go*)."""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from consumers.responses import PAGES_WAITING_MAX, POLL_FAILURES_TOLD, POLL_RETRY_MAX_S
from gateway.answers import (
    ANSWERS_COUNT_MAX,
    CODE_CHARS_MAX,
    PARTS_COUNT_MAX,
    TEXT_CHARS_MAX,
    WIRE_KEY_CHARS_MAX,
    cut_page,
    parse_page,
)
from gateway.connections import CONNECT_TIMEOUT_S
from gateway.https import (
    ASK_CONNECTIONS_MAX,
    KEYS_HEADER_BYTES_MAX,
    PAGE_BODY_BYTES_MAX,
    POLL_CONNECTIONS_MAX,
    REPLY_BODY_BYTES_MAX,
    TIMEOUT_DEFAULT_S,
    HttpsGateway,
)
from gateway.port import RESPONSES_PAGE_MAX, GatewayUnavailable, TransportReply
from schemas.effects import Done
from tests.contract.gateway_contract import cargo, fresh_key
from tests.contract.test_https_gateway import item, page_of, polled, scripted_peer, sent
from tests.unit.hurried import FEWER_TIMES, FEWEST_TIMES, hurried
from tests.unit.test_responses import Polling

# -- what CBSA says


def test_a_page_with_too_many_answers_is_not_read() -> None:
    """ANSWERS_COUNT_MAX: the poll failed, and is made again from where it was; as many as the limit are read."""
    assert 500 == polled(page_of(ANSWERS_COUNT_MAX, *(item(seq) for seq in range(1, ANSWERS_COUNT_MAX + 1)))).count
    with pytest.raises(GatewayUnavailable, match=f"at most {ANSWERS_COUNT_MAX} are read"):
        polled(page_of(ANSWERS_COUNT_MAX + 1, *(item(seq) for seq in range(1, ANSWERS_COUNT_MAX + 2))))


def test_a_page_of_nothing_but_brackets_is_not_parsed() -> None:
    """PARTS_COUNT_MAX: three bytes of it would take seventy of memory."""
    head, tail = '{"next":1,"responses":[{"seq":1,"x":[', "]}]}"
    room = PARTS_COUNT_MAX - head.count(",") - head.count("{") - head.count("[") + 1
    most = f"{head}{','.join(['0'] * room)}{tail}"
    assert 1 == cut_page(most.encode(), 0).count
    with pytest.raises(ValueError, match=f"at most {PARTS_COUNT_MAX} are read"):
        cut_page(most.replace("[0,", "[0,0,", 1).encode(), 0)


def test_a_page_that_is_too_long_is_left_where_it_is() -> None:
    """PAGE_BODY_BYTES_MAX: not a byte more of it is kept; a page as long as the limit is read."""
    body = page_of(1, item(1))
    fits = body[:-1] + b" " * (PAGE_BODY_BYTES_MAX - len(body)) + body[-1:]
    assert 1 == polled(fits).count
    with pytest.raises(GatewayUnavailable, match=f"longer than {PAGE_BODY_BYTES_MAX} bytes"):
        polled(fits + b" ")


def test_a_page_is_cut_at_so_many_answers_and_the_rest_polled_again() -> None:
    """RESPONSES_PAGE_MAX: one record of the log, and one fact of a lane, hold no more."""
    body = page_of(RESPONSES_PAGE_MAX + 1, *(item(seq) for seq in range(1, RESPONSES_PAGE_MAX + 2)))
    page = polled(body)
    assert (RESPONSES_PAGE_MAX, RESPONSES_PAGE_MAX) == (page.count, page.last_seq)
    assert 1 == polled(page_of(RESPONSES_PAGE_MAX + 1, item(RESPONSES_PAGE_MAX + 1)), after=page.last_seq).count


@pytest.mark.parametrize(
    ("field", "chars_max"),
    [("idempotency_key", WIRE_KEY_CHARS_MAX), ("receiver", CODE_CHARS_MAX), ("code", CODE_CHARS_MAX)],
    ids=["WIRE_KEY_CHARS_MAX", "CODE_CHARS_MAX of the receiver", "CODE_CHARS_MAX"],
)
def test_an_answer_with_a_word_that_is_too_long_is_kept_by_itself_for_a_person(field: str, chars_max: int) -> None:
    """WIRE_KEY_CHARS_MAX, CODE_CHARS_MAX: it spoils none of its neighbours."""
    assert 3 == cut_page(page_of(3, item(1), item(2, **{field: "x" * chars_max}), item(3)), 0).count
    items = (item(1), item(2, **{field: "x" * (chars_max + 1)}), item(3))
    pages = [cut_page(page_of(3, *items[after:]), after) for after in (0, 1)]
    assert [(1, 1), (1, 2)] == [(page.count, page.last_seq) for page in pages]
    with pytest.raises(ValueError, match=f"at most {chars_max} are read"):
        parse_page(pages[1].raw)


def test_a_long_text_is_cut_and_the_raw_body_keeps_all_of_it() -> None:
    """TEXT_CHARS_MAX: a lane's fact is no place for a book."""
    page = cut_page(page_of(1, item(1, text="x" * (TEXT_CHARS_MAX + 1))), 0)
    assert TEXT_CHARS_MAX == len(parse_page(page.raw)[0].text)
    assert b"x" * (TEXT_CHARS_MAX + 1) in page.raw


def test_a_reply_that_is_too_long_is_broken() -> None:
    """REPLY_BODY_BYTES_MAX: the fate of the message is unknown, whatever the status said; as long as the limit it counts."""

    def reply(count: int) -> TransportReply:
        return sent(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % count + b"x" * count)

    assert ("transmitted", "unknown") == (reply(REPLY_BODY_BYTES_MAX).result, reply(REPLY_BODY_BYTES_MAX + 1).result)


def test_polls_that_fail_are_made_ever_more_rarely_and_a_person_is_asked() -> None:
    """POLL_RETRY_MAX_S, POLL_FAILURES_TOLD: no silence of CBSA is waited out without a word, and none is stormed."""
    polling = Polling()
    polling.until_poll(Done("caught up"))
    for _ in range(POLL_FAILURES_TOLD - 1):
        polling.failed()
    assert [] == polling.told
    for _ in range(POLL_FAILURES_TOLD):
        polling.failed()
    assert (1, POLL_RETRY_MAX_S) == (len(polling.told), max(polling.slept_s))


def test_nothing_more_is_fetched_while_so_many_doubted_pages_wait_for_the_desk() -> None:
    """PAGES_WAITING_MAX: of what nobody can read, too; where the desk can't be written, they would pile up."""
    polling = Polling()
    doubts = polling.view.doubts
    doubts.extend((position, "unreadable") for position in range(PAGES_WAITING_MAX))
    polling.on_sleep = doubts.popleft
    polling.until_poll(Done("caught up"))
    assert (PAGES_WAITING_MAX - 1, 1) == (len(doubts), len(polling.slept_s))


# -- the wire


def test_keys_that_no_header_carries_are_refused_and_nothing_is_sent() -> None:
    """KEYS_HEADER_BYTES_MAX: the message is parked with the figures; servers cut such a header off."""

    async def scenario() -> tuple[TransportReply, int]:
        async with scripted_peer(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n") as (url, requests):
            gateway = HttpsGateway(url)
            fits, over = (json.dumps({"ccn": ["x" * (KEYS_HEADER_BYTES_MAX - 13 + more)]}) for more in (0, 1))
            assert KEYS_HEADER_BYTES_MAX == len(fits)
            refused = await gateway.send(cargo(fresh_key("wide"), keys=over))
            count = len(requests)
            await gateway.close()
            return refused, count

    refused, count = asyncio.run(scenario())
    assert ("refused", 0) == (refused.result, count)
    assert f"at most {KEYS_HEADER_BYTES_MAX} fit a header" in refused.detail


class Silent:
    """A peer that never answers, in a loop's hurry: who came to it, and what of that had come when something ended first."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.came_by_first: dict[str, Counter[str]] = {}
        self.ended_by_first: dict[str, Counter[str]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a request and say nothing."""
        request = await reader.readuntil(b"\r\n\r\n")
        self.came["poll" if b"/v1/responses" in request else "query" if b"GET" in request else "send"] += 1
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def ask(self, what: str, asking: Awaitable[Any]) -> Any:
        """Ask one thing; what it came to, an error too."""
        try:
            return await asking
        except GatewayUnavailable as unavailable:
            return unavailable
        finally:
            self.came_by_first.setdefault(what, self.came.copy())
            self.ended_by_first.setdefault(what, self.ended.copy())
            self.ended[what] += 1

    async def all_of(self, ask: Callable[[HttpsGateway], Sequence[tuple[str, Awaitable[Any]]]]) -> tuple[list[Any], float]:
        """Ask many things at once: what they came to, and how long all of it took by the loop's clock."""
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        gateway = HttpsGateway(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", boot_clock_s=loop.time)
        began_s = loop.time()
        results = await asyncio.gather(*(self.ask(what, asking) for what, asking in ask(gateway)))
        took_s = loop.time() - began_s
        await gateway.close()
        server.close()
        return results, took_s


def test_a_send_that_gets_no_reply_in_time_is_unknown_and_asked_for() -> None:
    """TIMEOUT_DEFAULT_S: *tau* of a gateway that was told no other; that what is unknown is asked for is the fold's (R51)."""

    def ask(gateway: HttpsGateway) -> list[tuple[str, Awaitable[Any]]]:
        return [("send", gateway.send(cargo(fresh_key("slow"), start_by_s=3_600.0, within_s=3_600.0)))]

    (reply,), took_s = hurried(Silent().all_of(ask), times=FEWER_TIMES)
    assert "unknown" == reply.result
    assert TIMEOUT_DEFAULT_S <= took_s < 3 * TIMEOUT_DEFAULT_S


def test_so_many_questions_are_on_the_wire_and_the_next_waits() -> None:
    """ASK_CONNECTIONS_MAX: the one too many is put when another one has ended."""
    count, peer = ASK_CONNECTIONS_MAX + 1, Silent()
    asking = peer.all_of(lambda gateway: [("query", gateway.query(f"k{number}")) for number in range(count)])
    replies, _ = hurried(asking, times=FEWER_TIMES)
    assert {None} == {reply.known for reply in replies}
    assert count == peer.came["query"]
    assert peer.came_by_first["query"]["query"] <= ASK_CONNECTIONS_MAX


def test_so_many_polls_are_on_the_wire_and_questions_that_hang_keep_none_waiting() -> None:
    """POLL_CONNECTIONS_MAX, I7c: answers about all others would wait for the fate of a few."""
    peer = Silent()

    def ask(gateway: HttpsGateway) -> list[tuple[str, Awaitable[Any]]]:
        questions = [("query", gateway.query(f"k{number}")) for number in range(4 * ASK_CONNECTIONS_MAX)]
        return [*questions, *(("poll", gateway.poll(0, 0)) for _ in range(POLL_CONNECTIONS_MAX + 1))]

    hurried(peer.all_of(ask))
    assert POLL_CONNECTIONS_MAX + 1 == peer.came["poll"]
    assert peer.came_by_first["poll"]["poll"] <= POLL_CONNECTIONS_MAX
    assert peer.ended_by_first["poll"]["query"] <= 2 * ASK_CONNECTIONS_MAX, "the polls waited for the questions"


def test_a_connection_that_does_not_come_about_takes_nothing() -> None:
    """CONNECT_TIMEOUT_S: long before *tau*; nothing of the message went out, so it is held and the link is suspect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first, socket.socket() as second:
        port = listener.getsockname()[1]
        for filling in (first, second):  # whoever comes after them is not let in
            filling.setblocking(False)
            filling.connect_ex(("127.0.0.1", port))
        time.sleep(0.05)

        async def scenario() -> tuple[str, float]:
            loop = asyncio.get_running_loop()
            gateway = HttpsGateway(f"http://127.0.0.1:{port}", boot_clock_s=loop.time)
            began_s = loop.time()
            reply = await gateway.send(cargo(fresh_key("connects"), start_by_s=began_s + 3_600.0))
            took_s = loop.time() - began_s
            await gateway.close()
            return reply.result, took_s

        result, took_s = hurried(scenario(), times=FEWEST_TIMES)
    assert "not_taken" == result
    assert CONNECT_TIMEOUT_S <= took_s < 2 * CONNECT_TIMEOUT_S
