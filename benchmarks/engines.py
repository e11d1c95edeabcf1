"""Fresh logs for benchmarks, on each engine; Kafka is started on this machine unless an address is given."""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from console.clock import wall_ms
from console.settings import Settings
from console.wiring import Opened, known_codec, opened
from eventlog.memory import MemoryLog

ENGINES: Final = ("memory", "sqlite", "kafka")


class Kafka(NamedTuple):
    """Where a Kafka is, and the process ids of its brokers where we started them."""

    bootstrap: str
    pids: tuple[int, ...] = ()


def add_engine(parser: argparse.ArgumentParser, *, default: str, engines: tuple[str, ...] = ENGINES) -> None:
    """Add `--engine`, `--kafka` and `--nodes`."""
    parser.add_argument("--engine", choices=engines, default=default, help=f"where the log is (default: {default})")
    parser.add_argument("--kafka", metavar="BOOTSTRAP", help="brokers for --engine kafka; without it they are started here")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers to start when none are given (default: 1)")


@contextmanager
def kafka_for(options: argparse.Namespace) -> Iterator[Kafka | None]:
    """The brokers that the options ask for, started if need be; None for another engine. Raises SystemExit with a sentence."""
    if options.engine != "kafka":
        yield None
    elif options.kafka is not None:
        yield Kafka(options.kafka)
    else:
        from tests.kafka_cluster import BrokersUnavailable, KafkaCluster

        cluster = KafkaCluster(options.nodes)
        try:
            cluster.start()
        except BrokersUnavailable as error:
            raise SystemExit(str(error)) from error
        try:
            yield Kafka(cluster.bootstrap, cluster.pids)
        finally:
            cluster.stop()


@contextmanager
def fresh_log(engine: str, kafka: Kafka | None, *, folder: Path | None = None) -> Iterator[Opened]:
    """An empty log of that engine: in memory, in a folder that goes away, or under topics that nobody else uses (they go too)."""
    with ExitStack() as stack:
        if engine == "memory":
            log = MemoryLog(wall_ms)
            yield Opened(log, None, known_codec(log))
        elif engine == "sqlite":
            folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-")))
            yield stack.enter_context(opened(Settings(data=folder)))
        else:
            assert kafka is not None
            prefix = f"bench-{time.time_ns()}."
            try:
                yield stack.enter_context(opened(Settings(kafka=kafka.bootstrap, topic_prefix=prefix)))
            finally:
                stack.close()
                _delete_topics(kafka.bootstrap, prefix)


def _delete_topics(bootstrap: str, prefix: str) -> None:
    """Give the disk back between rounds."""
    from eventlog.kafka_link import connect_admin

    admin = connect_admin(bootstrap)
    try:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(prefix)])
    finally:
        admin.close()
