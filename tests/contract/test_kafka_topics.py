"""The Kafka engine starts only on topics that lose nothing, and says what to mend; the library's errors all have a meaning."""

import contextlib
import importlib
import pkgutil
import time
from collections.abc import Iterator

import kafka
import pytest
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from eventlog.kafka import KafkaLog
from eventlog.kafka_link import CONNECT_WAIT_S, connect_admin, translate
from eventlog.kafka_topics import TopicState, find_fault, topic_settings
from eventlog.port import LogError, LogRegressed, LogUnavailable, LogUnfit
from schemas.streams import ALL_STREAMS, DESK, SCHEMAS, Entry
from tests.e2e.town import typed
from tests.kafka_cluster import free_ports
from tests.kafka_fixtures import OpenKafka, delete_topics, opened

AT = "127.0.0.1:9092"


def state(stream: str, changed: dict[str, str] | None = None, *, partitions: int = 1, replicas: int = 3) -> TopicState:
    """Say of a topic that it is as the engine makes it, but for the settings changed."""
    settings = topic_settings(stream, replicas) | (changed or {})
    return TopicState(name=f"tidegate.{stream}", partitions=partitions, replicas=replicas, settings=settings)


@pytest.mark.parametrize("stream", ALL_STREAMS)
@pytest.mark.parametrize("replicas", [1, 3])
def test_a_topic_as_the_engine_makes_it_is_fit(stream: str, replicas: int) -> None:
    """The engine never refuses its own topics."""
    assert find_fault(stream, state(stream, replicas=replicas), brokers=replicas, bootstrap=AT) is None


def test_stricter_settings_than_ours_are_fit() -> None:
    """An operator may ask for more copies in sync and for larger messages."""
    stricter = state(DESK, {"min.insync.replicas": "3", "max.message.bytes": "99999999"})
    assert find_fault(DESK, stricter, brokers=3, bootstrap=AT) is None


@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        ("retention.ms", "604800000", "-1"),
        ("retention.bytes", "1000000", "-1"),
        ("cleanup.policy", "compact", "delete"),
        ("cleanup.policy", "compact,delete", "delete"),
        ("min.insync.replicas", "1", "2"),
        ("unclean.leader.election.enable", "true", "false"),
        ("message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("max.message.bytes", "1048588", "9437184"),
    ],
)
def test_a_setting_that_would_lose_facts_is_refused_with_the_command_that_mends_it(setting: str, value: str, wanted: str) -> None:
    """Settings that lose facts stop the start (I1a); the message is enough to mend them."""
    fault = find_fault(DESK, state(DESK, {setting: value}), brokers=3, bootstrap=AT)
    assert (
        f"Topic tidegate.desk would lose facts ({setting} is {value} and must be {wanted}): kafka-configs.sh "
        f"--bootstrap-server {AT} --alter --entity-type topics --entity-name tidegate.desk --add-config {setting}={wanted}"
    ) == fault


def test_the_schemas_topic_must_be_compacted() -> None:
    """Only the latest schema of each fingerprint is kept."""
    fault = find_fault(SCHEMAS, state(SCHEMAS, {"cleanup.policy": "delete"}), brokers=3, bootstrap=AT)
    assert fault is not None
    assert fault.endswith("--add-config cleanup.policy=compact")


def test_one_copy_among_three_brokers_is_refused() -> None:
    """One broken disk must not lose an acknowledged record (I1a)."""
    fault = find_fault(DESK, state(DESK, replicas=1), brokers=3, bootstrap=AT)
    assert fault is not None
    assert "kafka-reassign-partitions.sh" in fault


def test_two_partitions_are_refused() -> None:
    """A stream is one total order."""
    fault = find_fault(DESK, state(DESK, partitions=2), brokers=3, bootstrap=AT)
    assert fault is not None
    assert "2 partitions and must have 1" in fault


def test_every_error_of_the_library_has_a_meaning_of_ours() -> None:
    """No lower error is left unmapped (HOUSE 8): each becomes an error of the port, with what to do."""
    for module in pkgutil.walk_packages(kafka.__path__, "kafka."):
        if not module.name.endswith("__main__") and "benchmarks" not in module.name and "vendor" not in module.name:
            importlib.import_module(module.name)
    found = {kafka_errors.KafkaError}
    while (grown := found | {child for parent in found for child in parent.__subclasses__()}) != found:
        found = grown
    assert len(found) > 100
    meanings = {kind.__name__: type(translate(kind.__new__(kind), "read desk", AT)) for kind in found}
    assert {LogUnavailable, LogRegressed, LogUnfit} == set(meanings.values())
    regressed = {name for name, meaning in meanings.items() if meaning is LogRegressed}
    assert {"OffsetOutOfRangeError", "LogTruncationError", "CorruptRecordError"} == regressed
    assert LogUnfit is meanings["TopicAuthorizationFailedError"]


@pytest.mark.parametrize("address", ["nobody", "", "127.0.0.1:port"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    """A mistyped address is told at once."""
    with pytest.raises(LogUnavailable, match="HOST:PORT"):
        KafkaLog.open(address)


def test_a_wrong_address_is_told_soon_and_names_itself() -> None:
    """Nobody waits long for a broker that is not there, and the sentence says where it was looked for."""
    [port] = free_ports(1)
    started = time.monotonic()
    with pytest.raises(LogUnavailable, match=f"127.0.0.1:{port}.*check the address"):
        KafkaLog.open(f"127.0.0.1:{port}")
    assert time.monotonic() - started < CONNECT_WAIT_S + 2


def delete_for_good(bootstrap: str, prefix: str) -> None:
    """Delete the topics and wait until the broker tells of none: a log that is opened at once may believe that they exist."""
    delete_topics(bootstrap, prefix)
    admin = connect_admin(bootstrap)
    deadline = time.monotonic() + 20
    while any(name.startswith(prefix) for name in admin.list_topics()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    admin.close()


def shorten_retention(bootstrap: str, topic: str) -> None:
    """Alter a topic as an operator would, and wait until the broker knows it."""
    admin = connect_admin(bootstrap)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "1000"})])
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic)
    deadline = time.monotonic() + 10
    while admin.describe_configs([wanted], config_filter="all")["topic"][topic]["retention.ms"]["value"] != "1000":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    admin.close()


@pytest.mark.kafka
class TestOnARealBroker:
    """What only a broker can tell."""

    @pytest.fixture
    def open_log(self, kafka_one: str, topic_prefix: str) -> Iterator[OpenKafka]:
        """Give handles on topics of the test's own."""
        with opened(kafka_one, topic_prefix) as open_one:
            yield open_one

    def test_open_makes_every_topic_and_opening_again_is_content(self, open_log: OpenKafka) -> None:
        """Several processes open the same log."""
        logs = [open_log(), open_log()]
        assert [0] * len(ALL_STREAMS) == [logs[1].end(stream) for stream in ALL_STREAMS]

    @pytest.mark.usefixtures("open_log")
    def test_a_missing_topic_is_named_when_nothing_may_be_made(self, kafka_one: str, topic_prefix: str) -> None:
        """A reader makes nothing."""
        admin = connect_admin(kafka_one)
        admin.create_topics({f"{topic_prefix}{DESK}": {"num_partitions": 1, "replication_factor": 1}})
        while f"{topic_prefix}{DESK}" not in admin.list_topics():
            time.sleep(0.05)
        admin.close()
        with pytest.raises(LogUnfit, match=rf"Topic {topic_prefix}lane\.rail is missing.*kafka-topics\.sh"):
            KafkaLog.open(kafka_one, topic_prefix=topic_prefix, create=False)

    def test_a_verb_that_looks_makes_no_topic(self, kafka_one: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mistyped address or prefix is told in one sentence, and leaves nothing behind."""
        monkeypatch.setenv("TIDEGATE_TOPIC_PREFIX", topic_prefix)
        said = typed("status", "--kafka", kafka_one)
        admin = connect_admin(kafka_one)
        left = [name for name in admin.list_topics() if name.startswith(topic_prefix)]
        admin.close()
        delete_topics(kafka_one, topic_prefix)
        assert (1, "", []) == (said.code, said.out, left)
        assert 1 == len(said.err.splitlines())
        assert "check the address and the prefix" in said.err

    def test_a_topic_whose_retention_was_shortened_stops_the_next_start(
        self, open_log: OpenKafka, kafka_one: str, topic_prefix: str
    ) -> None:
        """Retention without end is what makes the log a proof."""
        open_log()
        name = f"{topic_prefix}{DESK}"
        shorten_retention(kafka_one, name)
        with pytest.raises(LogUnfit) as caught:
            open_log()
        assert 1 == len(str(caught.value).splitlines())
        assert f"--entity-name {name} --add-config retention.ms=-1" in str(caught.value)

    def test_a_topic_made_anew_below_a_remembered_position_is_a_regress(
        self, open_log: OpenKafka, kafka_one: str, topic_prefix: str
    ) -> None:
        """If the end is below what was read, everything halts (I1f)."""
        first = open_log()
        first.append(DESK, [Entry(b"a"), Entry(b"b")])
        assert 2 == len(first.read(DESK, 0, 10, 20.0))
        delete_for_good(kafka_one, topic_prefix)
        again = open_log()
        again.append(DESK, [Entry(b"other")])
        for log in (first, again):
            with pytest.raises(LogRegressed):
                log.read(DESK, 2, 10, 1.0)
            with pytest.raises(LogRegressed):
                log.fetch(DESK, [1])

    def test_own_writes_hide_no_regress(self, open_log: OpenKafka, topic_prefix: str, kafka_one: str) -> None:
        """What a process writes is shown to it unasked; that it stands below what was read before still halts it (I1f)."""
        first = open_log()
        first.append(DESK, [Entry(b"%d" % number) for number in range(9)])
        assert 9 == len(first.read(DESK, 0, 10, 20.0))
        delete_for_good(kafka_one, topic_prefix)
        open_log()
        written = 0
        while written < 3:
            with contextlib.suppress(LogError):  # the writer's client may still mean the topic that is gone
                first.append(DESK, [Entry(b"anew")])
                written += 1
        with pytest.raises(LogRegressed):
            first.read(DESK, 9, 10, 5.0)

    def test_records_deleted_by_an_administrator_are_a_regress(self, open_log: OpenKafka, kafka_one: str) -> None:
        """A reader at a deleted position must neither skip ahead nor wait for ever (I1f)."""
        log = open_log()
        log.append(DESK, [Entry(b"a"), Entry(b"b"), Entry(b"c")])
        admin = connect_admin(kafka_one)
        admin.delete_records({kafka.TopicPartition(log.topics[DESK], 0): 2})
        admin.close()
        with pytest.raises(LogRegressed):
            log.read(DESK, 0, 10, 5.0)
        with pytest.raises(LogRegressed):
            log.fetch(DESK, [0])
        assert [b"c"] == [record.value for record in log.read(DESK, 2, 10, 5.0)]
