"""How this room talks to Apache Kafka: limits, clients and the translation of the library's errors; must not know streams.

Every client is made here and every error of kafka-python becomes one of `eventlog.port` here, with `from`.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import KafkaAdminClient
from kafka.net.compat import KafkaNetClient

from eventlog.kafka_records import install
from eventlog.port import ENTRY_BYTES_MAX, LogError, LogRegressed, LogUnavailable, LogUnfit

CONNECT_WAIT_S: Final = 5.0
"""Longest wait for the first answer of a cluster: a person who mistyped the address is told soon."""

DELIVERY_WAIT_S: Final = 30.0
"""Longest wait for all acknowledgements of an append. A broker killed costs 8 s (DESIGN 9); three times that outlives two."""

REQUEST_WAIT_S: Final = 10.0
"""Longest wait for one answer of one broker, so that a silent broker is left and another asked within DELIVERY_WAIT_S."""

CONNECT_PAUSE_S: Final = 0.2
"""Pause between rounds over the addresses while nobody answers."""

READ_WAIT_S: Final = 20.0
"""Longest wait for records that are known to exist: a change of leader fits in."""

METADATA_AGE_MAX_S: Final = 60.0
"""A client asks again who leads what at least this often."""

RECONNECT_WAIT_MAX_S: Final = 1.0
"""Longest pause between attempts to reach a broker, so that a broker that comes back is used within about a second."""

BESIDE_BYTES_MAX: Final = 1024 * 1024
"""Room for key and headers (`admission` takes 64 KiB of them) and for Kafka's framing of each header and of the batch."""

MESSAGE_BYTES_MAX: Final = ENTRY_BYTES_MAX + BESIDE_BYTES_MAX
"""The topics' max.message.bytes: the largest batch that Kafka writes whole or not at all; the largest entry fits in."""

FETCH_BYTES_MAX: Final = 16 * 1024 * 1024
"""Most bytes of one answer to a reader (a larger single record still comes): bounds the memory of a client."""


def connect_consumer(bootstrap: str, *, partition_bytes_max: int, idle_wait_ms: int) -> Any:
    """Make a consumer without a group that gives `Record`s and refuses positions out of range. Raises LogUnavailable."""
    _await_listener(bootstrap, CONNECT_WAIT_S)
    with translated("connect a reader", bootstrap):
        consumer = _made(
            KafkaConsumer,
            **_shared(bootstrap),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_uncommitted",
            check_crcs=True,
            fetch_max_bytes=FETCH_BYTES_MAX,
            max_partition_fetch_bytes=partition_bytes_max,
            fetch_max_wait_ms=idle_wait_ms,
            request_timeout_ms=int(REQUEST_WAIT_S * 1000),
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
    install(consumer)
    return consumer


def connect_admin(bootstrap: str, *, wait_s: float = CONNECT_WAIT_S) -> Any:
    """Make an administration client. Raises LogUnavailable within about `wait_s`."""
    _await_listener(bootstrap, wait_s)
    with translated("connect", bootstrap):
        settings = _shared(bootstrap) | {"bootstrap_timeout_ms": int(wait_s * 1000)}
        return _made(KafkaAdminClient, **settings, request_timeout_ms=int(REQUEST_WAIT_S * 1000))


def assign_all(consumer: Any, topics: Iterable[str]) -> dict[str, TopicPartition]:
    """Give a consumer every topic, all paused at their beginning: a reader then only seeks and resumes, which asks nobody."""
    partitions = {topic: TopicPartition(topic, 0) for topic in topics}
    consumer.assign(list(partitions.values()))
    for partition in partitions.values():
        consumer.seek(partition, 0)
        consumer.pause(partition)
    return partitions


def quiet_library() -> None:
    """Silence kafka-python's log lines about retries: what matters is raised as an error by this room.

    A level that somebody set on the `kafka` logger on purpose is kept.
    """
    library = logging.getLogger("kafka")
    if library.level == logging.NOTSET:
        library.setLevel(logging.CRITICAL)


@contextlib.contextmanager
def translated(doing: str, bootstrap: str) -> Iterator[None]:
    """Run a block and turn what kafka-python raises in it into an error of the port."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise translate(error, doing, bootstrap) from error
    except (OSError, ValueError, RuntimeError) as error:  # the library lets these out: sockets, addresses, a closed loop
        raise LogUnavailable(_unreachable(doing, bootstrap, error)) from error


def translate(error: BaseException, doing: str, bootstrap: str) -> LogError:
    """Return the port's error for an error of kafka-python met while reading or asking (appends: see `kafka_writer`)."""
    match error:
        case kafka_errors.OffsetOutOfRangeError() | kafka_errors.LogTruncationError():
            return LogRegressed(
                f"Kafka could not {doing}: the position is outside the topic ({error}). Records were deleted or the topic "
                "was made anew: stop, keep the brokers' data folders and call a person."
            )
        case kafka_errors.CorruptRecordError():
            return LogRegressed(
                f"Kafka could not {doing}: a record's checksum is wrong ({error}). Stop and compare the topic's replicas."
            )
        case kafka_errors.AuthorizationError() | kafka_errors.SaslAuthenticationFailedError():
            return LogUnfit(
                f"Kafka at {bootstrap} refused to {doing} ({error}): give this user the rights to read, write and describe "
                "Tidegate's topics with kafka-acls."
            )
        case _:
            return LogUnavailable(_unreachable(doing, bootstrap, error))


def _made(kind: Callable[..., Any], **settings: Any) -> Any:
    """Make a client of the library; if that fails, end the thread and the sockets that it began with and would leave behind."""
    begun: list[Any] = []

    def begin(**inner: Any) -> Any:
        begun.append(KafkaNetClient(**inner))
        return begun[-1]

    try:
        return kind(**settings, kafka_client=begin)
    except BaseException:
        for client in begun:
            client.close()
        raise


def _await_listener(bootstrap: str, wait_s: float) -> None:
    """Wait until one of the addresses takes a connection.

    The library would wait as long but could not say why it failed, and a client of it that fails to start leaks its sockets.
    """
    deadline = time.monotonic() + wait_s
    while True:
        for address in bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                with socket.create_connection((host, int(port)), timeout=max(0.1, deadline - time.monotonic())):
                    return
            except ValueError as error:
                raise LogUnavailable(f"{address!r} is no Kafka address: write HOST:PORT, with commas between.") from error
            except OSError as error:
                reason = error
        if time.monotonic() + CONNECT_PAUSE_S > deadline:
            raise LogUnavailable(_unreachable("be reached", bootstrap, reason)) from reason
        time.sleep(CONNECT_PAUSE_S)


def _unreachable(doing: str, bootstrap: str, error: BaseException) -> str:
    return (
        f"Kafka at {bootstrap}: could not {doing} ({type(error).__name__}: {error}): check the address, that the brokers run, "
        "and that no firewall stands between; nothing is lost, it is tried again."
    )


def _shared(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap_servers": bootstrap.split(","),
        "client_id": "tidegate",
        "bootstrap_timeout_ms": int(CONNECT_WAIT_S * 1000),
        "metadata_max_age_ms": int(METADATA_AGE_MAX_S * 1000),
        "reconnect_backoff_max_ms": int(RECONNECT_WAIT_MAX_S * 1000),
    }
