"""Three real brokers that stop in order, come back together and say who leads what; must not know what is done to them or why."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from eventlog.kafka_link import connect_admin
from schemas.streams import ALL_STREAMS
from tests.kafka_cluster import KafkaCluster, prepare_jars

NODES: Final = 3

QUICK_JAVA: Final = "-XX:TieredStopAtLevel=1"
"""Brokers that start again and again never live to see well compiled code: without trying, a start takes half the CPU."""

STOP_WAIT_S: Final = 60.0
"""Longest wait for a broker to stop in order: it hands over what it leads first, which takes seconds."""

LED_WAIT_S: Final = 60.0
"""Longest wait for a topic to have a leader: within this everything must go on again (K1)."""

LOOK_S: Final = 0.2
"""Between two looks: each makes a client anew, for brokers come and go."""


class Brokers(KafkaCluster):
    """Three brokers that also stop in order, come back several at once, and say who leads what."""

    def __init__(self) -> None:
        super().__init__(NODES)

    @property
    def numbers(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(self._nodes)

    @property
    def ports(self) -> list[int]:
        """Where they listen, in the order of their numbers."""
        return [node.port for node in self._nodes.values()]

    def end(self, number: int) -> None:
        """Stop a node in order (SIGTERM)."""
        node = self._nodes[number]
        self.signal(number, signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_WAIT_S
        while not _is_gone(node.pid):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"Broker {number} did not stop within {STOP_WAIT_S:.0f} s.")
            time.sleep(LOOK_S)
        self._let_go(node)

    def back(self, *numbers: int) -> None:
        """Start nodes again on their own data, all before the first is waited for: one alone is no majority of controllers."""
        jars = prepare_jars()
        for number in numbers:
            self._launch(self._nodes[number], jars)
        self.wait_ready(len(self.pids))

    def mend(self) -> None:
        """Wake up who sleeps and start who is down, as a scenario that ended in the middle leaves them."""
        for node in self._nodes.values():
            if node.keeper is not None:
                self.signal(node.number, signal.SIGCONT)
        down = [node.number for node in self._nodes.values() if node.keeper is None]
        if down:
            self.back(*down)

    def leader(self, topic: str) -> int:
        """Who leads a topic; waits while nobody does."""
        deadline_s = time.monotonic() + LED_WAIT_S
        while (number := int(self._parts([topic])[0]["leader_id"])) not in self._nodes:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"Nobody led {topic} within {LED_WAIT_S:.0f} s.")
            time.sleep(LOOK_S)
        return number

    def controller(self) -> int:
        """Who leads the controllers."""
        admin = connect_admin(self.bootstrap)
        try:
            (topic,) = admin.describe_metadata_quorum()["topics"]
            return int(topic["partitions"][0]["leader_id"])
        finally:
            admin.close()

    def is_whole(self, prefix: str) -> bool:
        """Whether every copy of every topic of a log is in sync."""
        parts = self._parts([prefix + stream for stream in ALL_STREAMS])
        return all(len(part["isr_nodes"]) == len(part["replica_nodes"]) for part in parts)

    def _parts(self, topics: list[str]) -> list[dict[str, Any]]:
        admin = connect_admin(self.bootstrap)
        try:
            return [part for topic in admin.describe_topics(topics) for part in topic["partitions"]]
        finally:
            admin.close()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except FileNotFoundError:
        return True


@contextmanager
def brokers() -> Iterator[Brokers]:
    """Three brokers for the length of a `with` block. Raises BrokersUnavailable."""
    cluster = Brokers()
    with patch.dict(os.environ, {"JAVA_TOOL_OPTIONS": QUICK_JAVA}):
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
