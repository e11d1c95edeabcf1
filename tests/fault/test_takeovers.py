"""Takeovers as in `make takeovers`, a few of each kind with short timers, and holders cut off from one side (R43, R44).

Times are held against their bars there, on a machine that does nothing else; here, what each takeover rests on.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from lane.policy import Policy
from tests.e2e.town import Town, town
from tests.fault.partition import Way, by_ways, way_to
from tests.fault.takeover_run import HOWS, MODE, Judged, Stream, judge, running
from tests.fault.takeover_watch import Watch

SHORT: Final = Policy(delta_ms=1_000, tau_ms=2_000, ttl_ms=1_500)
"""Timers as small as a busy test machine keeps."""


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def any_town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A town on each engine, with sends and answers that take a while, so that strikes find some under way."""
    kafka = request.getfixturevalue("kafka_one") if request.param == "kafka" else None
    with town(tmp_path, kafka=kafka, topic_prefix=f"takeover-{time.time_ns()}.") as built:
        built.authority.set_faults(latency_ms=20, answer_latency_ms=20)
        yield built


@pytest.mark.slow
def test_a_holder_frozen_killed_and_stopped_is_followed_by_the_next(any_town: Town) -> None:
    """R43, R44: nothing lost, doubled, out of order or at once; nobody waits out a holder that released or is proved dead."""
    on_kafka = any_town.settings.kafka is not None
    with running(any_town, groups_per_s=5, policy=SHORT) as run:
        for how in reversed(HOWS):
            run.takeover(how)
        judged = run.judge()
    assert judged.ok, judged
    assert ["silent", "released", "silent" if on_kafka else "dead"] == [each.basis for each in run.takeovers]


class Pair:
    """Two `tidegate up` side by side on one Kafka, each with a way of its own to the log or to CBSA."""

    def __init__(self, built: Town, watch: Watch, ways: dict[int, Way]) -> None:
        self.built, self.watch = built, watch
        self._ways = ways

    def cut_off_holder(self) -> tuple[int, Way]:
        """Let nothing through to and from whoever holds the lane now; returns its epoch and its way."""
        epoch, name = self.watch.holder()
        way = next(way for pid, way in self._ways.items() if f"-{pid}-" in name)
        assert way.connections > 0, "the way was not taken: a cut would test nothing"
        way.hold()
        return epoch, way

    def judged(self, stream: Stream, policy: Policy) -> Judged:
        """What it came to when everything was captured and both had ended."""
        stream.close()
        self.built.until(lambda: self.watch.counts() == {"captured": stream.published}, "everything to be captured")
        assert [0, 0] == [self.built.end(process) for process in self.built.processes]
        return judge(self.built, self.watch, published=stream.published, policy=policy)


@contextmanager
def pair(folder: Path, kafka: str, *, to: str, policy: Policy) -> Iterator[tuple[Pair, Stream]]:
    """A pair with ways `to` the log or cbsa, messages that stream in, and sends under way."""
    with town(folder, kafka=kafka, topic_prefix=f"parted-{time.time_ns()}.") as built, ExitStack() as stack:
        built.authority.set_faults(latency_ms=50, answer_latency_ms=20)
        built.policy(delta_ms=policy.delta_ms, tau_ms=policy.tau_ms, ttl_ms=policy.ttl_ms, probe_ms=500)
        port = int(kafka.rpartition(":")[2]) if to == "log" else urlsplit(built.authority.base_url).port
        assert port is not None
        ways = {}
        for _ in range(2):
            way = stack.enter_context(way_to(port))
            with by_ways({port: way}):
                ways[built.up("--in-flight-max", "16").pid] = way
        watch = Watch(built.opened, built.authority, MODE)
        stack.callback(watch.close)
        stream = Stream(built, groups_per_s=5)
        stack.callback(stream.close)
        stream.burst(150)
        built.until(lambda: len(watch.look()) > 40, "sends to be under way")
        yield Pair(built, watch, ways), stream


@pytest.mark.kafka
@pytest.mark.slow
def test_a_holder_cut_off_from_the_log_alone_is_followed_and_its_late_appends_do_nothing(kafka_one: str, tmp_path: Path) -> None:
    """R41, R43: it reaches CBSA and nobody hears it; when it is back, what it had appended comes late and grants nothing."""
    with pair(tmp_path, kafka_one, to="log", policy=SHORT) as (both, stream):
        before, way = both.cut_off_holder()
        both.built.until(lambda: before + 1 in both.watch.tenures, "the other to take the lane")
        follower = both.watch.tenures[before + 1]
        both.built.until(lambda: both.watch.first_send(follower) is not None, "the other to send")
        way.let_go()
        judged = both.judged(stream, SHORT)
    assert judged.ok, judged
    assert "silent" == follower.basis


@pytest.mark.kafka
@pytest.mark.slow
def test_a_holder_cut_off_from_cbsa_alone_keeps_the_lane_and_asks_before_it_sends_again(kafka_one: str, tmp_path: Path) -> None:
    """R33, R43, R51: it is alive by the log, so nobody takes over; what was under way is unknown and asked about."""
    patient = replace(SHORT, ttl_ms=4_000)
    with pair(tmp_path, kafka_one, to="cbsa", policy=patient) as (both, stream):
        before, way = both.cut_off_holder()
        arrived = len(both.watch.look())
        both.built.until(lambda: both.watch.counts()["unknown"] > 0, "sends without a reply")
        time.sleep(patient.ttl_ms / 1000)
        assert arrived + 16 >= len(both.watch.look()), "the way was not cut: it tests nothing"
        way.cut()
        judged = both.judged(stream, patient)
    assert judged.ok, judged
    assert before == max(each.epoch for each in both.watch.tenures.values() if each.granted)
