"""Takeovers as in `make takeovers`, a few of each kind with short timers, and holders cut off from one side (R43, R44).

Times are held against their bars there, on a machine that does nothing else; here, what each takeover rests on.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def two_side_by_side(folder: Path, kafka: str, way: str) -> Iterator[tuple[Town, Watch, Way]]:
    """A holder that reaches Kafka (`log`) or CBSA (`cbsa`) by a way of its own, and a standby that needs none."""
    with town(folder, kafka=kafka, topic_prefix=f"parted-{time.time_ns()}.") as built:
        built.authority.set_faults(latency_ms=50, answer_latency_ms=20)
        built.policy(delta_ms=SHORT.delta_ms, tau_ms=SHORT.tau_ms, ttl_ms=SHORT.ttl_ms, probe_ms=500)
        port = int(kafka.rpartition(":")[2]) if way == "log" else urlsplit(built.authority.base_url).port
        assert port is not None
        with way_to(port) as bent:
            with by_ways({port: bent}):
                built.up("--in-flight-max", "16")
            watch = Watch(built.opened, built.authority, MODE)
            built.until(lambda: watch.holder()[1] != "", "the first to hold the lane")
            built.up("--in-flight-max", "16")
            assert bent.connections > 0, "the way was not taken: a cut would test nothing"
            try:
                yield built, watch, bent
            finally:
                watch.close()


def publish_and_begin(built: Town, watch: Watch) -> Stream:
    """Messages stream in and go out."""
    stream = Stream(built, groups_per_s=5)
    stream.burst(150)
    built.until(lambda: len(watch.look()) > 40, "sends to be under way")
    return stream


def all_captured(built: Town, watch: Watch, stream: Stream) -> Judged:
    """What it came to when everything was captured and both had ended."""
    stream.close()
    built.until(lambda: watch.counts() == {"captured": stream.published}, "everything to be captured")
    assert [0, 0] == [built.end(process) for process in built.processes]
    return judge(built, watch, published=stream.published, policy=SHORT)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_holder_cut_off_from_the_log_alone_is_followed_and_its_late_appends_do_nothing(kafka_one: str, tmp_path: Path) -> None:
    """R41, R43: it reaches CBSA and nobody hears it; when it is back, what it had appended comes late and grants nothing."""
    with two_side_by_side(tmp_path, kafka_one, "log") as (built, watch, way):
        stream = publish_and_begin(built, watch)
        before, _ = watch.holder()
        way.hold()
        built.until(lambda: any(each.epoch > before and each.granted for each in watch.tenures.values()), "the next to grant")
        arrived = len(watch.look())
        built.until(lambda: len(watch.look()) > arrived, "the next to send")
        way.let_go()
        judged = all_captured(built, watch, stream)
    assert judged.ok, judged
    assert {"free", "silent"} == {watch.tenures[epoch].basis for epoch in (before, before + 1)}


@pytest.mark.kafka
@pytest.mark.slow
def test_a_holder_cut_off_from_cbsa_alone_keeps_the_lane_and_asks_before_it_sends_again(kafka_one: str, tmp_path: Path) -> None:
    """R33, R43, R51: it is alive by the log, so nobody takes over; what was under way is unknown and asked about."""
    with two_side_by_side(tmp_path, kafka_one, "cbsa") as (built, watch, way):
        stream = publish_and_begin(built, watch)
        before, _ = watch.holder()
        way.hold()
        arrived = len(watch.look())
        built.until(lambda: watch.counts()["unknown"] > 0, "sends without a reply")
        time.sleep(SHORT.ttl_ms / 1000)
        assert arrived + 16 >= len(watch.look()), "the way was not cut: it tests nothing"
        way.cut()
        judged = all_captured(built, watch, stream)
    assert judged.ok, judged
    assert [before] == [each.epoch for each in watch.tenures.values() if each.granted]
