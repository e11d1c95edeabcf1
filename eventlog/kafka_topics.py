"""Makes the log's topics right and refuses those that would lose facts; must not know what is in them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from eventlog.kafka_link import CONNECT_WAIT_S, MESSAGE_BYTES_MAX, connect_admin, translated
from eventlog.port import LogUnavailable, LogUnfit
from schemas.streams import ALL_STREAMS, SCHEMAS

TOPIC_PREFIX: Final = "tidegate."
"""What stands before a stream's name in its topic's name."""

REPLICAS: Final = 3
"""Copies of each topic where there are three brokers or more: one may be lost and one restarted."""

REPLICAS_IN_SYNC_MIN: Final = 2
"""Copies that must have a record before it is acknowledged: one broker lost loses nothing (I1a)."""

READY_WAIT_S: Final = 20.0
"""Longest wait for leaders of topics just made: takes under a second on idle brokers."""

READY_POLL_S: Final = 0.1
"""Pause between looks at topics just made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """What a broker says about one topic. `replicas` is the smallest count of its partitions."""

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]


def topic_settings(stream: str, replicas: int) -> dict[str, str]:
    """Return the settings that a stream's topic is made with."""
    return {
        "cleanup.policy": "compact" if stream == SCHEMAS else "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "min.insync.replicas": str(min(REPLICAS_IN_SYNC_MIN, replicas)),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime",
    }


def count_brokers(bootstrap: str, *, wait_s: float = CONNECT_WAIT_S) -> int:
    """Return how many brokers serve now. Raises LogUnavailable within about `wait_s`."""
    admin = connect_admin(bootstrap, wait_s=wait_s)
    try:
        with translated("list its brokers", bootstrap):
            brokers = admin.describe_cluster()["brokers"]
            return sum(not broker.get("is_fenced", False) for broker in brokers)
    finally:
        admin.close()


def prepare_topics(bootstrap: str, *, prefix: str, create: bool) -> None:
    """Make the missing topics of all streams and check every one.

    Raises LogUnfit with one sentence and one command line for each topic to mend, or LogUnavailable. `create=False` is for
    readers: a missing topic is then unfit too.
    """
    admin = connect_admin(bootstrap)
    try:
        with translated("make and check the topics", bootstrap):
            # A broker that is down counts: the topics are made for the cluster as it is meant to be.
            brokers = len(admin.describe_cluster()["brokers"])
            names = {stream: prefix + stream for stream in ALL_STREAMS}
            present = {topic["name"] for topic in _described(admin, names.values())}
            missing = {stream: name for stream, name in names.items() if name not in present}
            if missing and create:
                _create(admin, missing, min(REPLICAS, brokers))
            elif len(missing) == len(names):
                raise LogUnfit(
                    f"There is no log in Kafka at {bootstrap} whose topics begin with {prefix!r}: check the address and the "
                    "prefix, or publish something or start a worker first, which makes it."
                )
            elif missing:
                replicas = min(REPLICAS, brokers)
                raise LogUnfit("\n".join(_to_create(bootstrap, stream, missing[stream], replicas) for stream in missing))
            states = _wait_states(admin, names)
    finally:
        admin.close()
    faults = [find_fault(stream, state, brokers=brokers, bootstrap=bootstrap) for stream, state in states.items()]
    if any(faults):
        raise LogUnfit("\n".join(fault for fault in faults if fault))


def find_fault(stream: str, state: TopicState, *, brokers: int, bootstrap: str) -> str | None:
    """Return a sentence, with the command line that mends it, for a topic that would lose facts; None for a good one."""
    at = f"--bootstrap-server {bootstrap}"
    if state.partitions != 1:
        return (
            f"Topic {state.name} has {state.partitions} partitions and must have 1, or its records have no total order: "
            f"keep a copy of what it holds, then kafka-topics.sh {at} --delete --topic {state.name} and start again."
        )
    if state.replicas < min(REPLICAS_IN_SYNC_MIN, brokers):
        return (
            f"Topic {state.name} has one copy while there are {brokers} brokers, so one broken disk loses facts: give it "
            f"{min(REPLICAS, brokers)} with kafka-reassign-partitions.sh {at} --reassignment-json-file copies.json --execute"
        )
    wrong = {
        name: value
        for name, value in topic_settings(stream, state.replicas).items()
        if not _is_safe(name, wanted=value, found=state.settings.get(name, ""))
    }
    if not wrong:
        return None
    reasons = ", ".join(f"{name} is {state.settings.get(name)} and must be {value}" for name, value in wrong.items())
    changes = ",".join(f"{name}={value}" for name, value in wrong.items())
    return (
        f"Topic {state.name} would lose facts ({reasons}): kafka-configs.sh {at} --alter --entity-type topics "
        f"--entity-name {state.name} --add-config {changes}"
    )


def _is_safe(name: str, *, wanted: str, found: str) -> bool:
    if name in {"min.insync.replicas", "max.message.bytes"}:
        return int(found or 0) >= int(wanted)
    return found == wanted


def _to_create(bootstrap: str, stream: str, name: str, replicas: int) -> str:
    configs = " ".join(f"--config {key}={value}" for key, value in topic_settings(stream, replicas).items())
    return (
        f"Topic {name} is missing: start a worker once, which makes it, or kafka-topics.sh --bootstrap-server {bootstrap} "
        f"--create --topic {name} --partitions 1 --replication-factor {replicas} {configs}"
    )


def _create(admin: Any, missing: Mapping[str, str], replicas: int) -> None:
    wanted = {
        name: {"num_partitions": 1, "replication_factor": replicas, "configs": topic_settings(stream, replicas)}
        for stream, name in missing.items()
    }
    answer = admin.create_topics(wanted, raise_errors=False)
    for topic in answer["topics"]:
        error = kafka_errors.for_code(topic["error_code"])
        if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):  # another process was first
            raise error(f"topic {topic['name']}: {topic.get('error_message')}")


def _described(admin: Any, names: Iterable[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.describe_topics(list(names))
    return [topic for topic in found if topic["error_code"] == 0]


def _wait_states(admin: Any, names: Mapping[str, str]) -> dict[str, TopicState]:
    """Wait until every topic has a leader and known settings, and return what the brokers say about it.

    Each question may go to another broker, and one that has not yet heard of a new topic answers with no settings at all.
    """
    deadline = time.monotonic() + READY_WAIT_S
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names.values()]
    while True:
        topics = {topic["name"]: topic for topic in _described(admin, names.values())}
        settings = admin.describe_configs(resources, config_filter="all")["topic"]
        unready = [name for name in names.values() if not (_is_led(topics.get(name)) and settings.get(name))]
        if not unready:
            break
        if time.monotonic() > deadline:
            raise LogUnavailable(f"Kafka did not get {unready} ready in {READY_WAIT_S:.0f} s: check that its brokers run.")
        time.sleep(READY_POLL_S)
    return {
        stream: TopicState(
            name=name,
            partitions=len(topics[name]["partitions"]),
            replicas=min(len(part["replica_nodes"]) for part in topics[name]["partitions"]),
            settings={key: str(entry["value"]) for key, entry in settings[name].items()},
        )
        for stream, name in names.items()
    }


def _is_led(topic: Mapping[str, Any] | None) -> bool:
    return topic is not None and bool(topic["partitions"]) and all(part["leader_id"] >= 0 for part in topic["partitions"])
