"""The promises of `gateway.port.Gateway`, as tests that each gateway's file instantiates; must not know a transport.

A subclass gives `new_gateway` (called inside the running loop, the gateway is closed for it) and `authority`, the peer that the
gateway reaches: a simulated authority which tells what came in. Tests share a peer, so each makes keys of its own.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, TypeVar

import pytest

from gateway.answers import parse_page
from gateway.authority_process import AuthorityProcess
from gateway.https import boot_clock_s
from gateway.port import RESPONSES_PAGE_MAX, Answer, Gateway, GatewayUnavailable, Page, Transmission

ANSWER_WAIT_S: Final = 10.0
"""How long a test waits for an answer that must come: a busy machine, not a slow authority."""

_numbers = count(1)

T = TypeVar("T")


def fresh_key(name: str) -> str:
    """Return a wire key that no other test used."""
    return f"highway/acme/{name}-{next(_numbers)}"


def cargo(wire_key: str, **changed: Any) -> Transmission:
    """Return a cargo report that may start within five seconds; its CCN is the wire key unless told."""
    values: dict[str, Any] = {
        "wire_key": wire_key,
        "payload": b"ISA*00*" + wire_key.encode(),
        "content_type": "application/EDI-X12",
        "tenant": "acme",
        "mode": "highway",
        "kind": "cargo",
        "channel": "edi",
        "function": "original",
        "keys": json.dumps({"ccn": [wire_key]}),
        "start_by_s": boot_clock_s() + 5.0,
        "within_s": 10.0,
    }
    return Transmission(**{**values, **changed})


async def answers_for(gateway: Gateway, wire_key: str, *, at_least: int = 1) -> Sequence[Answer]:
    """Poll from the start until so many answers for this key have come."""
    after, found = 0, list[Answer]()
    async with asyncio.timeout(ANSWER_WAIT_S):
        while len(found) < at_least:
            page = await gateway.poll(after, 1.0)
            found += [answer for answer in parse_page(page.raw) if answer.wire_key == wire_key]
            after = page.last_seq
    return found


class GatewayContract:
    """What every gateway promises."""

    def new_gateway(self, authority: AuthorityProcess) -> Gateway:
        """Return a gateway to that peer."""
        raise NotImplementedError

    def run(self, authority: AuthorityProcess, scenario: Callable[[Gateway], Awaitable[T]]) -> T:
        """Run a scenario with a gateway, in a loop of its own, and close the gateway."""

        async def closed_after() -> T:
            gateway = self.new_gateway(authority)
            try:
                return await scenario(gateway)
            finally:
                await gateway.close()

        return asyncio.run(closed_after())

    def rows_of(self, authority: AuthorityProcess, wire_key: str) -> list[dict[str, Any]]:
        """Return what came in under this key."""
        return [row for row in authority.history() if row["idempotency_key"] == wire_key]

    def test_a_line_end_beside_the_keys_makes_no_header_of_its_own(self, authority: AuthorityProcess) -> None:
        """What a record says is never a part of the request's frame: blanks go, and what is no JSON is refused unsent."""
        key, torn = fresh_key("blank"), fresh_key("torn")

        async def scenario(gateway: Gateway) -> None:
            assert "transmitted" == (await gateway.send(cargo(key, keys='{"ccn":\r\n\t["B1"]}'))).result
            assert "refused" == (await gateway.send(cargo(torn, keys='{"ccn": ["B2"]}\r\nX-Other: 1'))).result

        self.run(authority, scenario)
        assert [{"ccn": ["B1"]}] == [row["keys"] for row in self.rows_of(authority, key)]
        assert [] == self.rows_of(authority, torn)

    def test_a_message_arrives_as_it_was_given_and_its_answer_names_its_key(self, authority: AuthorityProcess) -> None:
        """Bytes are never altered, and a capture comes only from an answer that names the key (I4a, I4e)."""
        key = fresh_key("whole")

        async def scenario(gateway: Gateway) -> None:
            payload = bytes(range(256)) * 8
            reply = await gateway.send(
                cargo(key, payload=payload, keys=json.dumps({"ccn": ["ÉTÉ-1", "x\r\ny"]}, ensure_ascii=False))
            )
            assert (reply.result, reply.started_s is not None) == ("transmitted", True)
            answer = (await answers_for(gateway, key))[0]
            assert (answer.outcome, answer.receiver) == ("captured", "acme")

        self.run(authority, scenario)
        row = self.rows_of(authority, key)[0]
        assert row["keys"] == {"ccn": ["ÉTÉ-1", "x\r\ny"]}
        assert hashlib.sha256(bytes(range(256)) * 8).hexdigest() == row["sha256"]

    @pytest.mark.parametrize(
        "tenant",
        ["acme%0d%0aEvil: 1", "a\r\nIdempotency-Key: stolen\r\n\r\nPOST / HTTP/1.1", "é" * 40, "a\x00b", " spaced ", "100%"],
    )
    def test_no_value_breaks_out_of_its_place(self, authority: AuthorityProcess, tenant: str) -> None:
        """What a provider wrote can not add a header, end a request or become another value (RELIABILITY P1)."""
        key = fresh_key("hostile")

        async def scenario(gateway: Gateway) -> str:
            return (await gateway.send(cargo(key, tenant=tenant, content_type=f"text/plain; x={tenant}"))).result

        assert self.run(authority, scenario) == "transmitted"
        assert [tenant] == [row["tenant"] for row in self.rows_of(authority, key)]

    @pytest.mark.parametrize("key", ["", "highway/acme/a\r\nX: y", "highway/acme/é", " highway/acme/a", "highway/acme/a\t"])
    def test_a_key_that_could_not_arrive_unchanged_is_refused(self, authority: AuthorityProcess, key: str) -> None:
        """All attempts carry the same wire key, to the letter (I4a); one that no header carries goes to a person."""

        async def scenario(gateway: Gateway) -> tuple[str, int | None]:
            reply = await gateway.send(cargo(key, payload=b"x"))
            return reply.result, reply.status

        before = len(authority.history())
        assert self.run(authority, scenario) == ("refused", None)
        assert before == len(authority.history())

    def test_the_same_key_and_bytes_are_taken_once(self, authority: AuthorityProcess) -> None:
        """The gateway accepts each wire key at most once; the second answer is `duplicate` (I4d)."""
        key = fresh_key("twice")

        async def scenario(gateway: Gateway) -> list[str]:
            message = cargo(key)
            assert gateway.idempotent
            replies = [await gateway.send(message), await gateway.send(message)]
            assert [reply.result for reply in replies] == ["transmitted", "transmitted"]
            return [answer.outcome for answer in await answers_for(gateway, key, at_least=2)]

        assert self.run(authority, scenario) == ["captured", "duplicate"]
        assert [row["outcome"] for row in self.rows_of(authority, key)] == ["captured", "duplicate"]

    def test_the_same_key_with_other_bytes_is_refused(self, authority: AuthorityProcess) -> None:
        """409 goes to a person (R50)."""
        key = fresh_key("conflict")

        async def scenario(gateway: Gateway) -> tuple[str, int | None]:
            await gateway.send(cargo(key))
            reply = await gateway.send(cargo(key, payload=b"something else"))
            return reply.result, reply.status

        assert self.run(authority, scenario) == ("refused", 409)
        assert len(self.rows_of(authority, key)) == 1

    def test_a_send_past_its_start_never_touches_the_wire(self, authority: AuthorityProcess) -> None:
        """A grant is started within delta or not at all (R41)."""
        key = fresh_key("late")

        async def scenario(gateway: Gateway) -> tuple[str, float | None]:
            reply = await gateway.send(cargo(key, start_by_s=boot_clock_s() - 0.001))
            return reply.result, reply.started_s

        posts_before = authority.stats()["channels"].get("edi", {}).get("posts", 0)
        assert self.run(authority, scenario) == ("not_started", None)
        assert posts_before == authority.stats()["channels"].get("edi", {}).get("posts", 0)

    def test_a_closed_channel_takes_nothing(self, authority: AuthorityProcess) -> None:
        """503 is not taken: the message is held again (R50)."""
        key = fresh_key("down")

        async def scenario(gateway: Gateway) -> tuple[str, int | None]:
            reply = await gateway.send(cargo(key, channel="cers"))
            return reply.result, reply.status

        authority.set_channel("cers", inbound="down")
        assert self.run(authority, scenario) == ("not_taken", 503)
        authority.set_channel("cers", inbound="up")
        assert self.rows_of(authority, key) == []
        assert authority.stats()["channels"]["cers"]["posts_while_down"] >= 1

    def test_a_status_query_tells_what_became_of_a_key(self, authority: AuthorityProcess) -> None:
        """Unknown is resolved by asking, never by sending blindly (R51); a key is asked for to the letter."""
        key = fresh_key("a%2Fb c?d#e")

        async def scenario(gateway: Gateway) -> list[tuple[bool | None, str | None]]:
            assert gateway.can_query
            before = await gateway.query(key)
            await gateway.send(cargo(key))
            after = await gateway.query(key)
            return [(before.known, before.outcome), (after.known, after.outcome)]

        assert self.run(authority, scenario) == [(False, None), (True, "captured")]

    def test_pages_chain_without_a_hole_and_stay_within_their_limit(self, authority: AuthorityProcess) -> None:
        """[responses] holds one record per poll, chained by cursor (R3); a record holds at most 500 answers."""
        keys = [fresh_key("many") for _ in range(RESPONSES_PAGE_MAX + 20)]

        async def scenario(gateway: Gateway) -> list[str | None]:
            start = (await last_page(gateway)).last_seq
            for batch in (keys[:260], keys[260:]):
                await asyncio.gather(*(gateway.send(cargo(key)) for key in batch))
            seen, after = list[str | None](), start
            while len(seen) < len(keys):
                page = await gateway.poll(after, 5.0)
                answers = parse_page(page.raw)
                assert (after, len(answers), True) == (page.previous_seq, page.count, page.count <= RESPONSES_PAGE_MAX)
                assert answers[-1].seq == page.last_seq
                seen += [answer.wire_key for answer in answers]
                after = page.last_seq
            return seen

        assert sorted(keys) == sorted(str(key) for key in self.run(authority, scenario))

    def test_a_poll_without_news_ends_where_it_began(self, authority: AuthorityProcess) -> None:
        """An empty page moves no cursor and takes about the time asked for."""

        async def scenario(gateway: Gateway) -> None:
            start = (await last_page(gateway)).last_seq
            began_s = boot_clock_s()
            page = await gateway.poll(start, 0.3)
            assert (start, start, 0) == (page.previous_seq, page.last_seq, page.count)
            assert 0.25 <= boot_clock_s() - began_s <= 5.0

        self.run(authority, scenario)

    def test_a_closed_gateway_sends_nothing(self, authority: AuthorityProcess) -> None:
        """After close nothing goes out: a send is not taken, a poll is unavailable, a query learns nothing."""
        key = fresh_key("closed")

        async def scenario(gateway: Gateway) -> Mapping[str, object]:
            await gateway.close()
            with pytest.raises(GatewayUnavailable):
                await gateway.poll(0, 0)
            return {"send": (await gateway.send(cargo(key))).result, "query": (await gateway.query(key)).known}

        assert self.run(authority, scenario) == {"send": "not_taken", "query": None}


async def last_page(gateway: Gateway) -> Page:
    """Poll to the end and return the last, empty page."""
    page = await gateway.poll(0, 0)
    while page.count:
        page = await gateway.poll(page.last_seq, 0)
    return page
