"""Starts Apache Kafka in containers where a Docker engine answers; must not know pytest or Tidegate's streams."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventlog.kafka_topics import count_brokers
from eventlog.port import LogUnavailable
from tests.kafka_cluster import READY_WAIT_S, BrokersUnavailable, free_ports, kafka_id

IMAGE: Final = "apache/kafka:4.3.1"
"""The same version as infra/kafka/pom.xml and docker-compose.yml: tests/unit/test_compose.py compares them."""

SOCKET: Final = Path("/var/run/docker.sock")
"""Where a Docker engine listens unless DOCKER_HOST says otherwise."""

ENGINE_WAIT_S: Final = 3
"""A Docker engine on this machine answers at once."""


def docker_answers() -> bool:
    """Tell whether there is a Docker engine to start containers in."""
    if "DOCKER_HOST" not in os.environ and not SOCKET.exists():
        return False  # without asking: the library leaves an open socket behind when nobody answers

    import docker  # type: ignore[import-untyped]  # comes with testcontainers and ships no types
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        client = docker.from_env(timeout=ENGINE_WAIT_S)
    except DockerException:
        return False
    with contextlib.closing(client):
        try:
            return bool(client.ping())
        except DockerException:
            return False


def node_settings(number: int, *, nodes: int, outside_port: int, cluster_id: str) -> dict[str, str]:
    """Return the environment of one node: brokers talk as node-N:19092, we at 127.0.0.1:`outside_port`."""
    return {
        "CLUSTER_ID": cluster_id,
        "KAFKA_NODE_ID": str(number),
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "INSIDE://:19092,OUTSIDE://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"INSIDE://node-{number}:19092,OUTSIDE://127.0.0.1:{outside_port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": ",".join(f"{each}@node-{each}:9093" for each in range(1, nodes + 1)),
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": str(nodes),
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }


@contextlib.contextmanager
def running_in_docker(nodes: int) -> Iterator[str]:
    """Run one or three brokers in containers for the length of a `with` block and give their addresses."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

    ports, cluster_id = free_ports(nodes), kafka_id()
    bootstrap = ",".join(f"127.0.0.1:{port}" for port in ports)
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        for number, port in enumerate(ports, 1):
            container = DockerContainer(IMAGE).with_network(network).with_network_aliases(f"node-{number}")
            settings = node_settings(number, nodes=nodes, outside_port=port, cluster_id=cluster_id)
            stack.enter_context(container.with_bind_ports(9092, port).with_envs(**settings))
        _await_brokers(bootstrap, nodes)
        yield bootstrap


def _await_brokers(bootstrap: str, nodes: int) -> None:
    deadline = time.monotonic() + READY_WAIT_S
    while time.monotonic() < deadline:
        try:
            if count_brokers(bootstrap) >= nodes:
                return
        except LogUnavailable:
            time.sleep(0.5)
    raise BrokersUnavailable(f"Kafka in Docker was not ready after {READY_WAIT_S:.0f} s: look at `docker ps` and its logs.")
