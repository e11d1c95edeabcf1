"""Starts, kills and restarts real Apache Kafka brokers on this machine's loopback; must not know pytest or Tidegate's streams.

    python -m tests.kafka_cluster --nodes 3

starts brokers, prints their addresses and runs until Ctrl-C: a real log for people without Docker.
"""

import argparse
import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eventlog.kafka_topics import count_brokers
from eventlog.port import LogUnavailable
from tests.stopping import stop

REPOSITORY: Final = Path(__file__).resolve().parent.parent
POM: Final = REPOSITORY / "infra" / "kafka" / "pom.xml"
JARS: Final = REPOSITORY / ".kafka" / "jars"

READY_WAIT_S: Final = 90.0
"""A broker is ready in 3 to 7 seconds on two idle cores; a shared, loaded machine gets ten times that."""

FETCH_WAIT_S: Final = 600.0
"""Maven fetches 44 MB of jars once for each checkout."""

FORMAT_WAIT_S: Final = 60.0
"""Formatting a data folder takes a second of Java."""

STOP_WAIT_S: Final = 10.0
"""After SIGKILL only the reaping is waited for."""

HEAP: Final = ("-Xms64m", "-Xmx384m")
"""Small, so that three brokers fit beside the tests; the tests' data is megabytes."""

SESSION_TIMEOUT_MS: Final = 6_000
"""The controller gives up on a silent broker after this (Kafka's own default is 9 s): shortens the fault tests, nothing else."""

KEEPER: Final = '"$@" & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait'
"""Runs the broker and ends it when our end of the pipe closes: also when we are killed and can't clean up."""

QUIET: Final = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dlog4j2.disable.jmx=true")


class BrokersUnavailable(Exception):
    """No real Kafka can be had here; the message says why and what to install or set."""


def prepare_jars() -> Path:
    """Return the folder with Kafka's jars, fetching them with Maven when they are missing or of another version."""
    if shutil.which("java") is None:
        raise BrokersUnavailable("There is no java here: install Java 17, or set KAFKA_BOOTSTRAP_SERVERS.")
    stamp = JARS.parent / "pom.xml"
    if stamp.exists() and stamp.read_bytes() == POM.read_bytes():
        return JARS
    if shutil.which("mvn") is None:
        raise BrokersUnavailable("There is no mvn here: install Maven to fetch Kafka, or set KAFKA_BOOTSTRAP_SERVERS.")
    shutil.rmtree(JARS, ignore_errors=True)
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"],
        capture_output=True,
        text=True,
        timeout=FETCH_WAIT_S,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stdout + done.stderr).strip()[-500:]
        raise BrokersUnavailable(f"Maven could not fetch Kafka's jars (look at its settings and the network): {reason}")
    stamp.write_bytes(POM.read_bytes())
    return JARS


def free_ports(count: int) -> list[int]:
    """Return that many different loopback ports that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def kafka_id() -> str:
    """Make a new id in the form that Kafka takes for clusters and data folders."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass  # the command that formats the disk would take it for an option
    return made


@dataclass
class _Node:
    number: int
    port: int
    controller_port: int
    folder: Path
    directory_id: str = field(default_factory=kafka_id)
    keeper: subprocess.Popen[str] | None = None
    pid: int = 0


class KafkaCluster:
    """One or three combined broker and controller nodes on 127.0.0.1, their data in a folder that `stop` removes.

    Nodes are numbered from 1. `start` raises BrokersUnavailable when Java or the jars are missing or a node doesn't get ready.
    """

    def __init__(self, nodes: int = 1) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tidegate-kafka-"))
        ports = free_ports(2 * nodes)
        self._nodes = {
            number: _Node(number, ports[2 * number - 2], ports[2 * number - 1], self._folder / str(number))
            for number in range(1, nodes + 1)
        }

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes, with commas between."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes.values())

    @property
    def pids(self) -> tuple[int, ...]:
        """The brokers' process ids, of those that run."""
        return tuple(node.pid for node in self._nodes.values() if node.keeper is not None)

    def start(self) -> None:
        """Format and start every node, and wait until all of them serve."""
        try:
            jars = prepare_jars()
            cluster_id = kafka_id()
            for node in self._nodes.values():
                self._format(node, jars, cluster_id)
            for node in self._nodes.values():
                self._launch(node, jars)
            self.wait_ready(len(self._nodes))
        except BaseException:
            self.stop()
            raise

    def kill(self, number: int) -> None:
        """End a node at once, as a power cut of its host would (SIGKILL)."""
        node = self._nodes[number]
        self.signal(number, signal.SIGKILL)
        self._let_go(node)

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to a node's broker: SIGSTOP and SIGCONT make a pause. Returns when a stopped one has really stopped."""
        pid = self._nodes[number].pid
        if what is signal.SIGSTOP:
            stop(pid)
        else:
            os.kill(pid, what)

    def restart(self, number: int) -> None:
        """Start a killed node again on its own data and wait until it serves."""
        self._launch(self._nodes[number], prepare_jars())
        self.wait_ready(sum(node.keeper is not None for node in self._nodes.values()))

    def stop(self) -> None:
        """End every node and remove the data."""
        for node in self._nodes.values():
            self._let_go(node)
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait_ready(self, brokers: int) -> None:
        """Wait until the running nodes agree that so many brokers serve."""
        deadline = time.monotonic() + READY_WAIT_S
        running = [node for node in self._nodes.values() if node.keeper is not None]
        while time.monotonic() < deadline:
            try:
                if all(count_brokers(f"127.0.0.1:{node.port}", wait_s=2.0) >= brokers for node in running):
                    return
            except LogUnavailable:
                time.sleep(0.2)
            dead = [node for node in running if not _is_alive(node.pid)]
            if dead:
                break
        tails = "\n".join(_tail(node.folder / "broker.log") for node in running)
        raise BrokersUnavailable(f"Kafka was not ready after {READY_WAIT_S:.0f} s; its own last words: {tails}")

    def _format(self, node: _Node, jars: Path, cluster_id: str) -> None:
        node.folder.mkdir(parents=True)
        settings = node.folder / "server.properties"
        settings.write_text(self._settings(node))
        voters = ",".join(f"{each.number}@127.0.0.1:{each.controller_port}:{each.directory_id}" for each in self._nodes.values())
        mode = ["--standalone"] if len(self._nodes) == 1 else ["--initial-controllers", voters]
        command = ["java", "-Xmx128m", *QUIET, "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format", *mode]
        done = subprocess.run(
            [*command, "--cluster-id", cluster_id, "--config", str(settings)],
            capture_output=True,
            text=True,
            timeout=FORMAT_WAIT_S,
            check=False,
        )
        if done.returncode != 0:
            raise BrokersUnavailable(f"Kafka could not format its data folder: {done.stderr.strip()[-500:]}")

    def _settings(self, node: _Node) -> str:
        copies = min(3, len(self._nodes))
        bootstrap = ",".join(f"127.0.0.1:{each.controller_port}" for each in self._nodes.values())
        return "\n".join(
            (
                "process.roles=broker,controller",
                f"node.id={node.number}",
                f"listeners=PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{node.port}",
                "controller.listener.names=CONTROLLER",
                f"controller.quorum.bootstrap.servers={bootstrap}",
                f"log.dirs={node.folder / 'data'}",
                f"offsets.topic.replication.factor={copies}",
                f"broker.session.timeout.ms={SESSION_TIMEOUT_MS}",
                "broker.heartbeat.interval.ms=1000",
                "auto.create.topics.enable=false",
                # Threads and buffers for a handful of clients, so that three nodes fit on two cores.
                "num.network.threads=2",
                "num.io.threads=4",
                "background.threads=2",
                "log.cleaner.dedupe.buffer.size=2097152",
                "",
            )
        )

    def _launch(self, node: _Node, jars: Path) -> None:
        command = ["java", *HEAP, "-XX:+UseSerialGC", *QUIET, "-cp", f"{jars}/*", "kafka.Kafka"]
        with (node.folder / "broker.log").open("a") as log:
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "keeper", *command, str(node.folder / "server.properties")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches us alone, and we end the brokers
            )
        assert keeper.stdout is not None
        node.keeper, node.pid = keeper, int(keeper.stdout.readline())

    def _let_go(self, node: _Node) -> None:
        keeper, node.keeper = node.keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.close()
        keeper.wait(timeout=STOP_WAIT_S)
        keeper.stdout.close()


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1_500:] if log.exists() else "(no log)"


@contextlib.contextmanager
def running(nodes: int) -> Iterator[KafkaCluster]:
    """Run a cluster for the length of a `with` block."""
    cluster = KafkaCluster(nodes)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def main() -> None:
    """Start brokers, print where they are, and run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka_cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="how many brokers (default: 1)")
    nodes = parser.parse_args().nodes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with running(nodes) as cluster:
            print(cluster.bootstrap, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except BrokersUnavailable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
