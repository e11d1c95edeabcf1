"""Gives tests a real Apache Kafka: found, or started once for the session; must not know Tidegate's rules.

Looked for in this order: `KAFKA_BOOTSTRAP_SERVERS`, a Docker engine, Maven's jars with Java. Where there is none the tests are
skipped loudly, and under `CI=true` they fail: a pipeline without its brokers must not be green. Modules that import kafka are
imported inside the fixtures, so that tests without brokers don't pay for it.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from eventlog.kafka import KafkaLog
    from tests.kafka_cluster import KafkaCluster

OpenKafka: TypeAlias = "Callable[[], KafkaLog]"

MISSING = pytest.StashKey[str]()
"""Why there is no Kafka, for the summary at the end of the session."""

LIBRARY_WARNINGS = (
    # kafka-python 3.0.12 reads its schemas with a deprecated call of Python 3.11.
    "ignore:(read|open)_text is deprecated:DeprecationWarning",
    # It leaves the socket of a refused connection to the garbage collector: one that never got a peer.
    r"ignore:unclosed <socket.socket fd=\d+, family=\d+, type=1, proto=6, laddr=\('0.0.0.0', \d+\)>:ResourceWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let pass the library's own warnings, each named exactly; all others stay errors."""
    for line in LIBRARY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end of the session that the tests with real brokers did not run."""
    reason = config.stash.get(MISSING, "")
    if reason:
        terminalreporter.write_sep("!", "NO REAL KAFKA: its tests did not run", red=True)
        terminalreporter.write_line(reason)


@pytest.fixture(scope="session")
def kafka_one(pytestconfig: pytest.Config) -> Iterator[str]:
    """Give the address of a Kafka with at least one broker."""
    with _found_or_started(pytestconfig, 1) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def kafka_three(pytestconfig: pytest.Config) -> Iterator[str]:
    """Give the addresses of a Kafka with three brokers, which no test may kill."""
    with _found_or_started(pytestconfig, 3) as bootstrap:
        yield bootstrap


@pytest.fixture
def kafka_to_kill(pytestconfig: pytest.Config) -> Iterator["KafkaCluster"]:
    """Give three brokers of the test's own, to kill and restart; only jars can do that."""
    from tests.kafka_cluster import BrokersUnavailable, running

    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(running(3))
        except BrokersUnavailable as error:
            _give_up(pytestconfig, str(error))
        yield cluster


@pytest.fixture
def topic_prefix() -> str:
    """Give a prefix of topics that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}."


@contextlib.contextmanager
def opened(bootstrap: str, prefix: str, *, delivery_wait_s: float = 30.0) -> "Iterator[OpenKafka]":
    """Give a function that opens handles on one log; at the end close them and delete the log's topics."""
    from eventlog.kafka import KafkaLog

    handles: list[KafkaLog] = []

    def open_one() -> KafkaLog:
        handles.append(KafkaLog.open(bootstrap, topic_prefix=prefix, delivery_wait_s=delivery_wait_s))
        return handles[-1]

    try:
        yield open_one
    finally:
        for handle in handles:
            handle.close()
        delete_topics(bootstrap, prefix)


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic whose name begins so."""
    from eventlog.kafka_link import connect_admin

    admin = connect_admin(bootstrap)
    try:
        names = [name for name in admin.list_topics() if name.startswith(prefix)]
        if names:
            admin.delete_topics(names)
    finally:
        admin.close()


@contextlib.contextmanager
def _found_or_started(config: pytest.Config, nodes: int) -> Iterator[str]:
    from eventlog.kafka_topics import count_brokers
    from tests.kafka_cluster import BrokersUnavailable, running
    from tests.kafka_docker import docker_answers, running_in_docker

    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    if given and (nodes == 1 or count_brokers(given) >= nodes):
        yield given
        return
    with contextlib.ExitStack() as stack:
        try:
            if docker_answers():
                bootstrap = stack.enter_context(running_in_docker(nodes))
            else:
                bootstrap = stack.enter_context(running(nodes)).bootstrap
        except BrokersUnavailable as error:
            _give_up(config, str(error))
        yield bootstrap


def _give_up(config: pytest.Config, reason: str) -> None:
    config.stash[MISSING] = reason
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI=true and there is no Kafka to test against: {reason}")
    pytest.skip(f"no Kafka to test against: {reason}")
