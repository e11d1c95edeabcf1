"""The suite of `kafka_faults`, two scenarios of it, and bugs planted in providers that it must find (K1, K3, K8)."""

import contextlib
import gc
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from console.settings import Settings
from console.wiring import opened
from schemas.streams import inbound
from tests.checker.check import check
from tests.checker.history import History
from tests.fault.kafka_brokers import Brokers, brokers
from tests.fault.kafka_faults import played, plays
from tests.fault.kafka_judge import acknowledged_between, longest_gap, miscounted, publishes, records_by_key, sent_between
from tests.fault.kafka_provider import MODE, Part, Provider, Word
from tests.fault.kafka_run import LONGEST_WAIT_S
from tests.fault.kafka_ways import LaggingWay, ways_to
from tests.kafka_cluster import BrokersUnavailable
from tests.kafka_fixtures import _give_up, delete_topics

ONE_COPY_IS_ENOUGH: Final = "import eventlog.kafka_producer; eventlog.kafka_producer.ALL_IN_SYNC = 1"
"""A producer that does not wait until every copy in sync has it."""

UNSURE_IS_ENOUGH: Final = """
import hashlib
from producers.publisher import Publisher, PublishUnknown, Receipt
def publish_many(self, messages, plain=Publisher.publish_many):
    messages = list(messages)
    try:
        return plain(self, messages)
    except PublishUnknown:
        return [
            Receipt(tenant=said.tenant, key=said.key, mode=said.mode, position=0, sha256=hashlib.sha256(payload).hexdigest(),
                    received_at="")
            for said, payload in messages
        ]
Publisher.publish_many = publish_many
"""
"""A publisher that takes an unsure answer as acknowledged."""


IMPATIENT_S: Final = 1.5
"""How long these providers wait for an acknowledgement."""

ALONE_S: Final = 3.5
"""How long the leader is alone: longer than two such waits, for the first append of that time may be on its way to followers."""


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[Brokers]:
    """Three brokers of this module's own, to kill and restart; only jars can do that. Who needs all of them mends them first."""
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(brokers())
        except BrokersUnavailable as error:
            _give_up(pytestconfig, str(error))
        yield started
    gc.collect()  # here the warnings of the library about its own sockets are known (tests/kafka_fixtures.py)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_holder_cut_off_and_a_leader_killed_in_a_drain_lose_double_and_reorder_nothing(cluster: Brokers) -> None:
    """K1, K3, R43: I1 to I4 hold, by the checker, by what providers were told and by CBSA's history; it goes on within 60 s."""
    (play,) = plays("sample", only=None, rounds=None)
    cluster.mend()
    judged = played(cluster, play, seed=1, tell=print)
    assert [] == judged.broken
    figures = judged.figures
    assert (0, 0, 0) == (figures.lost, figures.doubled, figures.out_of_order)
    assert (2, 1) == (figures.strikes, figures.bounces)
    assert figures.takeovers >= 1
    assert figures.published == figures.captured


@pytest.mark.kafka
@pytest.mark.slow
def test_providers_that_take_too_little_for_an_acknowledgement_are_found(cluster: Brokers, tmp_path: Path) -> None:
    """I1a: followers stand still and the leader dies with what it alone had; what was acknowledged of it is missed by name."""
    planted = {"sound": "", "onecopy": ONE_COPY_IS_ENOUGH, "unsure": UNSURE_IS_ENOUGH}
    prefix = f"planted-{time.time_ns()}."
    cluster.mend()
    with contextlib.ExitStack() as stack:
        stack.callback(delete_topics, cluster.bootstrap, prefix)
        built = stack.enter_context(opened(Settings(kafka=cluster.bootstrap, topic_prefix=prefix)))
        providers = []
        for tenant, first in planted.items():
            part = Part(
                bootstrap=cluster.bootstrap, topic_prefix=prefix, tenant=tenant, delivery_wait_s=IMPATIENT_S, groups_per_s=10
            )
            providers.append(Provider(part, first=first))
            stack.callback(providers[-1].close)
        until_acknowledged(providers, since_s=0.0)
        lose_what_the_leader_alone_has(cluster, prefix)
        until_acknowledged(providers, since_s=time.monotonic())
        for provider in providers:
            provider.end()
        history = History(publishes=publishes(providers))
        broken = check(built.log, built.codec, history, at_rest=False)
        miscount = list(miscounted(records_by_key(built.log), {each.tenant: each.words for each in providers}))
    assert {"I1a"} == {each.rule for each in broken}
    found = {each.sentence.split("/")[0].split()[-1] for each in broken}
    assert {"onecopy", "unsure"} == found
    assert found == {sentence.split("/")[0].split()[-1] for sentence in miscount}


def lose_what_the_leader_alone_has(cluster: Brokers, prefix: str) -> None:
    """Let the followers of [inbound] stand still for a while, kill its leader, wake them up."""
    leader = cluster.leader(prefix + inbound(MODE))
    others = [number for number in cluster.numbers if number != leader]
    for number in others:
        cluster.signal(number, signal.SIGSTOP)
    time.sleep(ALONE_S)
    cluster.kill(leader)
    for number in others:
        cluster.signal(number, signal.SIGCONT)


def until_acknowledged(providers: list[Provider], *, since_s: float) -> None:
    """Wait until each provider has an acknowledgement of a publish that began since then."""
    deadline_s = time.monotonic() + LONGEST_WAIT_S
    while not all(provider.acknowledged_since(since_s) for provider in providers):
        assert time.monotonic() < deadline_s, "a provider was not acknowledged in time"
        time.sleep(0.1)


def word(told: str, *, began_s: float = 0.0, at_s: float = 1.0) -> Word:
    return Word("a", "00", told, began_s, at_s)  # type: ignore[arg-type]  # one of the three


def test_a_message_stands_as_often_as_its_publishes_were_told() -> None:
    """I1b, I1c: an acknowledged publish is one record, an unsure one at most one, a refused one none."""
    told = {"t": [word("refused"), word("unsure"), word("acknowledged")]}
    assert [[], []] == [list(miscounted({("t", "a"): count}, told)) for count in (1, 2)]
    assert [1, 1] == [len(list(miscounted({("t", "a"): count}, told))) for count in (0, 3)]
    assert 1 == len(list(miscounted({("t", "a"): 1}, {"t": [word("refused")]})))
    assert 1 == len(list(miscounted({("t", "stranger"): 1}, {})))


def test_what_is_acknowledged_or_sent_in_the_dark_is_told() -> None:
    """I1a, I2d: of a time in which nothing may be, what began before it or ended after it is no witness."""
    words = [word("acknowledged", began_s=began_s, at_s=at_s) for began_s, at_s in ((1, 5), (2, 3), (3, 9))]
    assert ["a"] == acknowledged_between(words, 2, 8)
    assert [] == acknowledged_between([word("unsure", began_s=3, at_s=4)], 2, 8)
    rows = [{"idempotency_key": key, "at": f"2026-01-01T00:00:0{key}Z"} for key in "123"]
    second_ms = 1_767_225_602_000
    assert ["2"] == sent_between(rows, second_ms - 1, second_ms + 1)


def test_the_longest_gap_is_one_that_reaches_into_the_strike() -> None:
    """What was silent before or after a strike is not its doing."""
    assert 4 == longest_gap([0, 10, 11, 15, 16, 30], first=11.5, last=15.5)
    assert 0 == longest_gap([], first=1, last=2)


def test_a_way_holds_answers_alone_and_brings_what_was_late_after_what_came_later() -> None:
    """K8: what the scenarios of ambiguous appends rest on."""
    with socket.create_server(("127.0.0.1", 0)) as server, ways_to([server.getsockname()[1]]) as ways:
        (port,) = ways.ports.values()
        with socket.create_connection(("127.0.0.1", port)) as old, server.accept()[0] as far:
            ways.each(LaggingWay.hold_answers)
            old.sendall(b"asked")
            assert b"asked" == far.recv(10)
            far.sendall(b"answer")
            assert_silent(old)
            ways.each(LaggingWay.let_go)
            assert b"answer" == old.recv(10)
            ways.each(LaggingWay.hold)
            old.sendall(b"late")
            assert_silent(far)
            ways.each(LaggingWay.pass_new)
            with socket.create_connection(("127.0.0.1", port)) as new, server.accept()[0] as newer:
                new.sendall(b"new")
                assert b"new" == newer.recv(10)
                assert_silent(far)
                ways.each(LaggingWay.deliver_late)
                assert b"late" == far.recv(10)
                ways.each(LaggingWay.cut)
                assert b"" == new.recv(10)


def assert_silent(one: socket.socket) -> None:
    """Nothing comes for a while."""
    one.settimeout(0.2)
    with pytest.raises(TimeoutError):
        one.recv(10)
    one.settimeout(10)
