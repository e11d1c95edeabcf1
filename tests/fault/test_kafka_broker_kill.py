"""A broker killed or paused in the middle of appends loses nothing that was acknowledged and reorders nothing."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from eventlog.kafka import KafkaLog
from eventlog.kafka_link import connect_admin
from eventlog.port import AppendAmbiguous, AppendNotDone, LogError, LogUnavailable
from schemas.streams import DESK, Entry, lane
from tests.kafka_cluster import KafkaCluster, running
from tests.kafka_fixtures import opened

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

HIGHWAY = lane("highway")

PROGRESS_WAIT_S = 60.0
"""An append must succeed again within this after a broker was killed (fault matrix, K1)."""

RETRY_PAUSE_S = 0.2
"""Pause before an append is tried again, as a worker would make."""

WRITERS = 3
"""Threads that append at once, so that appends wait behind the one that meets the kill."""


def leader(bootstrap: str, topic: str) -> int:
    """Ask which broker leads a topic."""
    admin = connect_admin(bootstrap)
    try:
        return int(admin.describe_topics([topic])[0]["partitions"][0]["leader_id"])
    finally:
        admin.close()


def read_values(log: KafkaLog, stream: str) -> dict[int, bytes]:
    """Read a stream to its end, by position."""
    found: dict[int, bytes] = {}
    while (start := len(found)) < log.end(stream):
        found |= {record.position: record.value for record in log.read(stream, start, 1000, 20.0)}
    return found


class Appender(threading.Thread):
    """Appends numbered entries, in pairs, until told to stop; on an error goes on with the next number."""

    def __init__(self, log: KafkaLog, name: str) -> None:
        """Prepare; `start` begins."""
        super().__init__(name=name)
        self.acknowledged: dict[int, bytes] = {}
        self.acknowledged_s: list[float] = []
        self.not_done: list[bytes] = []
        self.stop = threading.Event()
        self._log = log

    def run(self) -> None:
        """Append until `stop` is set."""
        number = 0
        while not self.stop.is_set():
            pair = [f"{self.name} {number} first".encode(), f"{self.name} {number} second".encode()]
            number += 1
            try:
                positions = self._log.append(HIGHWAY, [Entry(value) for value in pair])
            except (AppendNotDone, LogUnavailable):
                self.not_done += pair
                self.stop.wait(RETRY_PAUSE_S)
            except AppendAmbiguous:
                continue
            else:
                self.acknowledged.update(zip(positions, pair, strict=True))
                self.acknowledged_s.append(time.monotonic())

    def has_progress_since(self, since_s: float) -> bool:
        """Tell whether an append was acknowledged after that moment."""
        return bool(self.acknowledged_s) and self.acknowledged_s[-1] > since_s


@contextlib.contextmanager
def all_running(appenders: list[Appender]) -> Iterator[None]:
    """Run appenders for the length of a `with` block, however it ends."""
    for appender in appenders:
        appender.start()
    try:
        yield
    finally:
        for appender in appenders:
            appender.stop.set()
        for appender in appenders:
            appender.join(PROGRESS_WAIT_S)


def test_killing_the_leader_during_appends_loses_nothing_that_was_acknowledged(
    kafka_to_kill: KafkaCluster, topic_prefix: str
) -> None:
    """I1a: every acknowledged record stays, at its position, through the loss of one of three brokers."""
    with opened(kafka_to_kill.bootstrap, topic_prefix) as open_one:
        log = open_one()
        appenders = [Appender(log, f"writer {number}") for number in range(WRITERS)]
        with all_running(appenders):
            time.sleep(1.0)
            killed_s = time.monotonic()
            kafka_to_kill.kill(leader(kafka_to_kill.bootstrap, log.topics[HIGHWAY]))
            while not all(appender.has_progress_since(killed_s + 1.0) for appender in appenders):
                assert time.monotonic() < killed_s + PROGRESS_WAIT_S, "no append was acknowledged after the kill"
                time.sleep(0.1)
        found = read_values(open_one(), HIGHWAY)
    assert list(found) == list(range(len(found)))
    acknowledged = {position: value for appender in appenders for position, value in appender.acknowledged.items()}
    assert acknowledged == {position: found[position] for position in acknowledged}
    assert len(found) == len(set(found.values())), "a record was written twice"
    assert not {value for appender in appenders for value in appender.not_done} & set(found.values())
    for position, value in found.items():
        if value.endswith(b"first"):
            assert found[position + 1] == value.replace(b"first", b"second"), "an append was torn apart"


@pytest.fixture
def paused_broker(topic_prefix: str) -> Iterator[tuple[KafkaCluster, KafkaLog]]:
    """Give one broker of the test's own and a log on it that waits four seconds for an acknowledgement."""
    with running(1) as cluster, opened(cluster.bootstrap, topic_prefix, delivery_wait_s=4.0) as open_one:
        log = open_one()
        log.append(DESK, [Entry(b"before")])
        yield cluster, log
        with contextlib.suppress(ProcessLookupError):
            cluster.signal(1, signal.SIGCONT)


def test_no_append_slips_past_one_that_failed(paused_broker: tuple[KafkaCluster, KafkaLog]) -> None:
    """After a failed append kafka-python goes on with later ones; ours must not: who waited behind is told "not done"."""
    cluster, log = paused_broker
    errors: dict[bytes, LogError] = {}

    def append(value: bytes) -> None:
        try:
            log.append(DESK, [Entry(value)])
        except LogError as error:
            errors[value] = error

    cluster.signal(1, signal.SIGSTOP)
    first = threading.Thread(target=append, args=(b"first",))
    first.start()
    time.sleep(1.0)
    behind = [threading.Thread(target=append, args=(value,)) for value in (b"second", b"third")]
    for thread in behind:
        thread.start()
    for thread in (first, *behind):
        thread.join(30)
    assert {b"first": AppendAmbiguous, b"second": AppendNotDone, b"third": AppendNotDone} == {
        value: type(error) for value, error in errors.items()
    }
    cluster.signal(1, signal.SIGCONT)
    deadline = time.monotonic() + PROGRESS_WAIT_S
    while True:
        try:
            log.append(DESK, [Entry(b"after")])
            break
        except (AppendNotDone, LogUnavailable):
            assert time.monotonic() < deadline
    values = list(read_values(log, DESK).values())
    assert values in ([b"before", b"after"], [b"before", b"first", b"after"])
