"""`tidegate up` is killed, frozen and stopped in a drain, and two run side by side: nothing lost, doubled or out of order."""

import gc
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.verify import verify
from schemas.messages import Attributes
from schemas.native import PLAIN_SETTING
from tests.e2e import town as town_module
from tests.e2e.town import EDI_DOWN, EDI_RESOLVED, Town, cargo, command, message, town, trip
from tests.fault.freezing import freeze
from tests.kafka_cluster import KafkaCluster

KILLS = 5
GROUPS = 240


def backlog(groups: int) -> list[tuple[Attributes, bytes]]:
    """Trips before their cargo, closes before their house bills: four messages a group, in the worst order."""
    out = []
    for number in range(groups):
        ccn = f"KILL{number:04}"
        out.append(trip(f"trip-{number}", f"KILLT{number:04}", ccn))
        keys = {"previous_ccn": [ccn], "house_bill": [f"8KIL{number:04}"]}
        out.append(message(f"close-{number}", "close", keys=keys))
        out.append(message(f"bill-{number}", "house_bill", keys={"house_bill": [f"8KIL{number:04}"], "previous_ccn": [ccn]}))
        out.append(cargo(f"cargo-{number}", ccn))
    return out


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def any_town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A town on each engine, with answers that take a while, so that kills fall between send and answer."""
    kafka = request.getfixturevalue("kafka_one") if request.param == "kafka" else None
    with town(tmp_path, kafka=kafka, topic_prefix=f"killed-{time.time_ns()}.", answer_latency_ms=30) as built:
        yield built


def hold_a_backlog(built: Town) -> int:
    """Close EDI, publish, and wait until everything is held. Short timers, so that takeovers on Kafka need seconds (R43)."""
    built.policy(delta_ms=1_000, tau_ms=2_000, ttl_ms=1_500)
    process = built.up("--in-flight-max", "16")
    built.bulletin(EDI_DOWN)
    built.until(lambda: bool(built.lane("highway").outages), "EDI to be down")
    messages = backlog(GROUPS)
    built.publish(*messages)
    built.until(lambda: built.counts()["held"] == len(messages), "everything to be held")
    assert [] == built.authority.history()
    built.end(process)
    return len(messages)


def assert_nothing_lost_doubled_or_out_of_order(built: Town, count: int) -> None:
    """By the authority's own history, and by the independent pass over the log."""
    captured = Counter(built.captured())
    assert count == len(captured)
    assert {1} == set(captured.values())
    assert [] == built.authority.order_violations()
    report = verify(built.opened.log, built.opened.codec)
    assert report.ok, [check for check in report.checks if not check.ok]


def test_five_kills_in_a_row_lose_nothing_and_double_nothing(any_town: Town) -> None:
    """I1, I3, I4: every process can be killed at any instant and started again."""
    count = hold_a_backlog(any_town)
    any_town.bulletin(EDI_RESOLVED)
    draw = random.Random(20251124)
    for kill in range(KILLS):
        process = any_town.up("--in-flight-max", "16")
        goal = (kill + 1) * count // (KILLS + 2)
        any_town.until(lambda goal=goal: len(any_town.authority.history()) >= goal, f"{goal} messages at CBSA")  # type: ignore[misc]
        time.sleep(draw.uniform(0, 0.15))
        any_town.kill(process)
        assert len(any_town.captured()) < count, "the kill came after the drain: it tested nothing"
    any_town.up("--in-flight-max", "16")
    any_town.until(lambda: any_town.counts()["captured"] == count, "everything to be captured")
    assert_nothing_lost_doubled_or_out_of_order(any_town, count)


def test_two_side_by_side_share_one_log_and_one_is_killed(any_town: Town) -> None:
    """R43, I4b: two `up` on one log; the holder dies in the drain, the other takes over, nothing overlaps."""
    count = hold_a_backlog(any_town)
    first = any_town.up("--in-flight-max", "16")
    any_town.up("--in-flight-max", "16")
    any_town.bulletin(EDI_RESOLVED)
    any_town.until(lambda: len(any_town.authority.history()) >= count // 4, "a quarter at CBSA")
    any_town.kill(first)
    any_town.until(lambda: any_town.counts()["captured"] == count, "everything to be captured")
    assert_nothing_lost_doubled_or_out_of_order(any_town, count)
    assert 1 == any_town.authority.stats()["posts_of_one_key_at_once_max"]


def test_a_holder_that_slept_past_its_lease_wakes_up_as_nobody(any_town: Town) -> None:
    """R43, R44, I4b: a suspended holder is taken over, finds that out when it wakes, and both end in order within 30 s."""
    count = hold_a_backlog(any_town)
    any_town.authority.set_faults(latency_ms=100, answer_latency_ms=30)
    processes = [any_town.up("--in-flight-max", "16") for _ in range(2)]
    any_town.bulletin(EDI_RESOLVED)
    any_town.until(lambda: len(any_town.authority.history()) >= count // 4, "a quarter at CBSA")
    before = any_town.lane("highway").lease
    holder = next(process for process in processes if f"-{process.pid}-" in before.holder)
    freeze(holder, any_town.settings.data)
    any_town.until(lambda: any_town.lane("highway").lease.epoch > before.epoch, "the standby to take over")
    arrived = len(any_town.authority.history())
    any_town.until(lambda: len(any_town.authority.history()) > arrived, "the standby to send")
    holder.send_signal(signal.SIGCONT)
    any_town.until(lambda: any_town.counts()["captured"] == count, "everything to be captured")
    assert [0, 0] == [any_town.end(process) for process in processes]
    assert_nothing_lost_doubled_or_out_of_order(any_town, count)
    assert 1 == any_town.authority.stats()["posts_of_one_key_at_once_max"]


def test_a_second_signal_ends_it_at_once_and_without_a_traceback(tmp_path: Path) -> None:
    """INTERFACES section 1: 130 is an interrupted verb; what was under way is unknown, as after a kill (R44)."""
    with town(tmp_path) as built:
        built.authority.set_faults(latency_ms=8_000)
        process = built.up()
        built.publish(cargo("slow", "KILL0001"))
        built.until(lambda: bool(built.lane("highway").grants), "the message to be under way")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None, "it ended before the second signal: it tested nothing"
        process.send_signal(signal.SIGTERM)
        assert 130 == process.wait(5)
        assert "Traceback" not in (tmp_path / "up-0.log").read_text()


IMPATIENT = "from console.driver import Driver; Driver.__init__.__kwdefaults__['stop_wait_max_s'] = 2.0"
"""What the process runs first, so that the test does not wait for the 45 s that a person waits."""


@pytest.mark.kafka
@pytest.mark.slow
def test_a_stop_ends_in_time_though_every_broker_is_gone(
    kafka_to_kill: KafkaCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R44: what waits for a log that is away is cut off, threads and clients too, and the exit code says that we ended it.

    On the plain sources: compiled code has its limits inside.
    """
    monkeypatch.setenv(PLAIN_SETTING, "1")
    monkeypatch.setattr(town_module, "command", lambda words: [*command(words)[:2], f"{IMPATIENT}; {command(words)[2]}", *words])
    with town(tmp_path, kafka=kafka_to_kill.bootstrap) as built:
        built.authority.set_faults(latency_ms=300)
        process = built.up()
        built.publish(*backlog(GROUPS))
        built.until(lambda: len(built.authority.history()) > 20, "some at CBSA")
        for number in (1, 2, 3):
            kafka_to_kill.kill(number)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(15)
        assert "workers_cut_off" in (tmp_path / "up-0.log").read_text()
    gc.collect()  # here the warnings of the library about its own sockets are known (tests/kafka_fixtures.py)
