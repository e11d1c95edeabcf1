"""What the simulated authority does wrong on demand (RELIABILITY G1 to G3), and what the HTTPS gateway makes of it."""

import asyncio
import json
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.answers import parse_page
from gateway.authority_faults import read_fault_plan
from gateway.authority_process import AuthorityProcess, running_authority
from gateway.https import HttpsGateway
from gateway.port import Transmission, TransportReply
from tests.contract.gateway_contract import cargo, fresh_key

TIMEOUT_S = 0.5
"""tau of these tests: long for the loopback, short for whoever waits."""


@pytest.fixture(scope="module")
def shared_authority() -> Iterator[AuthorityProcess]:
    """One authority for all tests of this module: starting one takes a second."""
    with running_authority() as process:
        yield process


@pytest.fixture
def authority(shared_authority: AuthorityProcess) -> AuthorityProcess:
    """The shared authority without faults, its channel up."""
    shared_authority.set_faults()
    shared_authority.set_channel("edi", inbound="up", outbound="up", delay_s=0)
    return shared_authority


def send(authority: AuthorityProcess, *messages: Transmission, timeout_s: float = TIMEOUT_S) -> list[TransportReply]:
    """Send messages one after the other."""

    async def scenario() -> list[TransportReply]:
        gateway = HttpsGateway(authority.base_url, timeout_s=timeout_s)
        try:
            return [await gateway.send(message) for message in messages]
        finally:
            await gateway.close()

    return asyncio.run(scenario())


def answers(authority: AuthorityProcess, key: str) -> list[dict[str, Any]]:
    """Return all answers so far whose key begins with this one."""
    found, after = list[dict[str, Any]](), 0
    while (page := authority.responses(after))["responses"]:
        found += [each for each in page["responses"] if (each["idempotency_key"] or "").startswith(key)]
        after = page["next"]
    return found


def answers_in_time(authority: AuthorityProcess, key: str, *, at_least: int = 1) -> list[dict[str, Any]]:
    """Wait up to five seconds for so many answers."""
    deadline_s = time.monotonic() + 5.0
    while len(found := answers(authority, key)) < at_least and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ("fault", "expected", "status", "taken"),
    [
        ("accept_then_time_out", "unknown", None, True),
        ("time_out", "unknown", None, False),
        ("error_500_taken", "unknown", 500, True),
        ("error_500", "unknown", 500, False),
        ("error_400", "refused", 400, False),
        ("unavailable_503", "not_taken", 503, False),
        ("drop_taken", "unknown", None, True),
        ("drop", "unknown", None, False),
        ("drip", "unknown", None, True),
        ("endless_body", "unknown", None, True),
        ("slow_down", "slow_down", 429, False),
        ("redirect", "unknown", 307, False),
        ("garbage", "unknown", None, True),
    ],
)
def test_what_a_broken_reply_means_and_whether_it_was_taken(
    authority: AuthorityProcess, fault: str, expected: str, status: int | None, taken: bool
) -> None:
    """R50, and what `unknown` hides: only a status query tells whether the message was taken."""
    key = fresh_key(fault)
    authority.set_faults({"name": fault, "next": 1, "match": key}, retry_after="3")
    began_s = time.monotonic()
    reply = send(authority, cargo(key))[0]
    assert (reply.result, reply.status, authority.status(key)["known"]) == (expected, status, taken)
    assert time.monotonic() - began_s < TIMEOUT_S + 2.0
    assert reply.retry_after_s == (3.0 if fault == "slow_down" else None)


def test_the_same_submission_again_after_an_unknown_is_taken_once(authority: AuthorityProcess) -> None:
    """I4b, I4d: accepted, timed out, sent again: one capture, one `duplicate`, and no two at a time."""
    key = fresh_key("again")
    authority.set_faults({"name": "accept_then_time_out", "next": 1, "match": key})
    message = cargo(key)
    assert [reply.result for reply in send(authority, message, message)] == ["unknown", "transmitted"]
    assert [each["outcome"] for each in answers_in_time(authority, key, at_least=2)] == ["captured", "duplicate"]
    assert [row["outcome"] for row in authority.history() if row["idempotency_key"] == key] == ["captured", "duplicate"]
    assert key not in authority.stats()["overlapping_keys"]


def test_a_rejected_submission_put_again_is_a_duplicate_and_not_judged_anew(authority: AuthorityProcess) -> None:
    """INTERFACES section 4: the first outcome stands, the status query tells it; judging anew takes the next wire key (R55)."""
    key, shipment = fresh_key("rejected"), fresh_key("shipment")
    trip = cargo(key, kind="conveyance", keys=json.dumps({"crn": [key], "ccn": [shipment]}))
    send(authority, trip, cargo(shipment), trip)
    assert [each["outcome"] for each in answers_in_time(authority, key, at_least=2)] == ["rejected", "duplicate"]
    assert authority.status(key)["outcome"] == "rejected"


def test_two_posts_of_one_key_at_a_time_are_seen(authority: AuthorityProcess) -> None:
    """I4b is checked at the peer: a gateway that deduplicates would hide split brain."""
    key = fresh_key("overlap")
    authority.set_faults(latency_ms=300)

    async def scenario() -> None:
        gateway = HttpsGateway(authority.base_url)
        await asyncio.gather(gateway.send(cargo(key)), gateway.send(cargo(key)))
        await gateway.close()

    asyncio.run(scenario())
    assert key in authority.stats()["overlapping_keys"]
    assert authority.stats()["posts_of_one_key_at_once_max"] >= 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("answer_twice", [("", "acme", "captured"), ("", "acme", "captured")]),
        ("answer_unknown_key", [("-nobody-sent-this", "acme", "captured"), ("", "acme", "captured")]),
        ("answer_other_tenant", [("", "not-acme", "captured")]),
        ("answer_unreadable", [("", "acme", "perhaps")]),
    ],
)
def test_answers_come_wrong_on_demand(authority: AuthorityProcess, fault: str, expected: list[tuple[str, str, str]]) -> None:
    """G1: twice, for a key that nobody sent, for another tenant, unreadable."""
    key = fresh_key(fault)
    authority.set_faults({"name": fault, "next": 1, "match": key})
    send(authority, cargo(key))
    found = answers(authority, key)
    assert [(each["idempotency_key"].removeprefix(key), each["receiver"], each["outcome"]) for each in found] == expected


def test_a_lost_answer_leaves_the_status_query(authority: AuthorityProcess) -> None:
    """G1: an answer may never come; what became of the message can still be asked (R54)."""
    lost, next_one = fresh_key("lost"), fresh_key("next")
    authority.set_faults({"name": "answer_lost", "next": 1, "match": lost})
    send(authority, cargo(lost), cargo(next_one))
    assert len(answers(authority, next_one)) == 1
    assert answers(authority, lost) == []
    assert authority.status(lost) == {"known": True, "outcome": "captured"}


def test_a_late_answer_is_overtaken_by_later_ones(authority: AuthorityProcess) -> None:
    """G1: answers come out of order."""
    late, prompt = fresh_key("late"), fresh_key("prompt")
    authority.set_faults({"name": "answer_late", "next": 1, "match": late}, late_s=0.3)
    send(authority, cargo(late), cargo(prompt))
    assert answers(authority, late) == []
    assert answers(authority, prompt)[0]["seq"] < answers_in_time(authority, late)[0]["seq"]


def test_a_contradicting_answer_or_a_notice_can_be_put_by_hand(authority: AuthorityProcess) -> None:
    """G2: captured, then rejected; and a notice that answers nothing."""
    key = fresh_key("contradicted")
    send(authority, cargo(key))
    authority.send_answer(idempotency_key=key, receiver="acme", outcome="rejected", code="T36", text="CCN used before")
    authority.send_answer(idempotency_key=None, receiver="acme", outcome="notice", code="", text="not matched")
    assert [each["outcome"] for each in answers(authority, key)] == ["captured", "rejected"]
    last = parse_page(json.dumps(authority.responses(authority.stats()["answers"] - 1)).encode())[-1]
    assert (last.wire_key, last.outcome, last.text) == (None, "notice", "not matched")


def test_with_outbound_down_answers_are_kept_until_it_is_up(authority: AuthorityProcess) -> None:
    """INTERFACES section 4: an outbound-only outage takes messages and answers nothing."""
    key = fresh_key("outbound")
    authority.set_channel("edi", outbound="down")
    assert send(authority, cargo(key))[0].result == "transmitted"
    assert (authority.status(key)["outcome"], answers(authority, key)) == ("captured", [])
    authority.set_channel("edi", outbound="up")
    assert [each["outcome"] for each in answers(authority, key)] == ["captured"]


def test_with_outbound_delayed_answers_come_later(authority: AuthorityProcess) -> None:
    """The common case is not a clean stop but slow outbound (DOMAIN section 6)."""
    key = fresh_key("slow-outbound")
    authority.set_channel("edi", outbound="delayed", delay_s=0.3)
    send(authority, cargo(key))
    assert answers(authority, key) == []
    assert [each["outcome"] for each in answers_in_time(authority, key)] == ["captured"]


def test_with_inbound_delayed_a_message_is_taken_and_judged_later_in_its_order(authority: AuthorityProcess) -> None:
    """Taken says nothing of captured; and what comes after the delay doesn't overtake what came in it."""
    shipment, trip = fresh_key("delayed"), fresh_key("delayed-trip")
    authority.set_channel("edi", inbound="delayed", delay_s=0.4)
    later = cargo(trip, kind="conveyance", keys=json.dumps({"crn": [trip], "ccn": [shipment]}))
    assert [reply.result for reply in send(authority, cargo(shipment), later)] == ["transmitted", "transmitted"]
    assert authority.status(shipment) == {"known": True, "outcome": None}
    assert [each["outcome"] for each in answers_in_time(authority, trip)] == ["captured"]
    assert authority.status(shipment)["outcome"] == "captured"


def test_not_one_byte_is_taken_where_inbound_is_down(authority: AuthorityProcess) -> None:
    """What reaches a closed channel is counted, so that a test can tell that nothing did (I2)."""
    authority.set_channel("cig", inbound="down")
    assert authority.stats()["channels"]["cig"]["bytes_while_down"] == 0
    send(authority, cargo(fresh_key("cig"), channel="cig", payload=b"x" * 1000))
    counted = authority.stats()["channels"]["cig"]
    assert (counted["posts_while_down"], counted["bytes_while_down"]) == (1, 1000)


def test_without_a_listener_connections_are_refused_and_the_state_is_kept() -> None:
    """An outage shows first as refused connections (DESIGN section 2, suspect); the authority forgets nothing."""
    before, during, after = fresh_key("before"), fresh_key("during"), fresh_key("after")

    async def scenario(process: AuthorityProcess) -> list[str]:
        gateway = HttpsGateway(process.base_url)
        results = [(await gateway.send(cargo(before))).result]
        await asyncio.to_thread(process.close_listener, 0.5)
        results.append((await gateway.send(cargo(during))).result)
        for _ in range(200):  # ten seconds: the listener comes back after half of one
            reply = await gateway.send(cargo(after))
            if reply.result != "not_taken":
                break
            await asyncio.sleep(0.05)
        await gateway.close()
        return [*results, reply.result]

    with running_authority() as process:
        assert asyncio.run(scenario(process)) == ["transmitted", "not_taken", "transmitted"]
        assert [row["idempotency_key"] for row in process.history()] == [before, after]


def test_the_history_file_outlives_a_crash(tmp_path: Path) -> None:
    """What was taken before a SIGKILL can be read afterwards."""
    file, key = tmp_path / "history.jsonl", fresh_key("crash")
    with running_authority(history_file=file) as process:
        send(process, cargo(key))
        process.kill()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["seq"], row["idempotency_key"], row["outcome"]) for row in rows] == [(1, key, None), (1, key, "captured")]


def test_wrong_order_is_captured_where_an_edge_is_off_and_reported_after() -> None:
    """I3b: the order check doesn't lean on the register."""
    trip, shipment = fresh_key("wrong-trip"), fresh_key("wrong")
    with running_authority(levels={"E1": "off"}) as process:
        send(process, cargo(trip, kind="conveyance", keys=json.dumps({"crn": ["T"], "ccn": [shipment]})), cargo(shipment))
        assert process.order_violations() == [{"edge": "E1", "before": 1, "after": 2}]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mode": "highway", "kind": "conveyance_arrival", "keys": '{"crn": ["T"]}'}, "no conveyance arrival by EDI"),
        ({"keys": '{"crn": ["T"]}'}, "own key"),
        ({"mode": "sea"}, "sea"),
        ({"kind": "letter"}, "letter"),
        ({"function": "undo"}, "undo"),
        ({"tenant": ""}, "Tidegate-Tenant"),
        ({"channel": "c" * 100}, "channel"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_sentence(
    authority: AuthorityProcess, changed: dict[str, Any], sentence: str
) -> None:
    """INTERFACES sections 2 and 4: 400, and it says what is wrong; nothing is taken."""
    key = fresh_key("unreadable")
    reply = send(authority, cargo(key, **changed))[0]
    assert (reply.result, reply.status, sentence in reply.detail) == ("refused", 400, True)
    assert authority.status(key)["known"] is False


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/channels/edi", {"inbound": "sideways"}),
        ("PUT", "/v1/channels/edi", {"inbuond": "down"}),
        ("PUT", "/v1/channels/edi", {"delay_s": -1}),
        ("PUT", "/v1/sim/faults", {"faults": [{"name": "no_such_fault", "next": 1}]}),
        ("PUT", "/v1/sim/faults", {"faults": [{"name": "drop"}]}),
        ("PUT", "/v1/sim/listener", {"listening": False, "for_s": 1e9}),
        ("POST", "/v1/sim/answers", {"outcome": "perhaps"}),
    ],
)
def test_a_mistyped_wish_is_refused(authority: AuthorityProcess, method: str, path: str, body: dict[str, Any]) -> None:
    """A test must not pass because its fault was silently not planted."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        authority.put(path, body, method=method)
    assert refused.value.code == 400
    refused.value.close()


def test_a_seed_decides_which_messages_are_struck() -> None:
    """Faults by probability come again with the same seed, and others with another."""

    def struck(seed: int) -> list[str | None]:
        plan = read_fault_plan({"seed": seed, "faults": [{"name": "drop", "probability": 0.5}]})
        return [plan.draw_post(f"k{number}") for number in range(64)]

    assert struck(7) == struck(7)
    assert struck(7) != struck(8)
    assert {"drop", None} == set(struck(7))
