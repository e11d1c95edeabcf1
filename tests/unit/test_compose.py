"""docker-compose.yml and the Dockerfile agree with the pom, with the log's own settings and with the command line.

Checked against the official schema (compose-spec.json, as the package check-jsonschema ships it), and against a small one of our
own, which is stricter where it matters to us: unknown keys, ports, privileges and commands.
"""

import importlib.resources
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from eventlog.kafka_topics import REPLICAS, topic_settings
from schemas.streams import DESK
from tests.kafka_docker import IMAGE

REPOSITORY = Path(__file__).resolve().parents[2]
WORKERS = ("intake", "availability", "responses", "runner")
BROKERS = ("kafka-1", "kafka-2", "kafka-3")

TEXTS = {"type": "array", "items": {"type": "string"}}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart", "cap_drop", "security_opt"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z0-9/.-]+:[a-z0-9.-]+$"},
        "build": {"type": "string"},
        "command": TEXTS,
        "hostname": {"type": "string"},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
        "volumes": TEXTS,
        "tmpfs": TEXTS,
        "cap_drop": {"const": ["ALL"]},
        "security_opt": {"const": ["no-new-privileges:true"]},
        "read_only": {"type": "boolean"},
        "init": {"type": "boolean"},
        "restart": {"type": "string", "pattern": r"^(unless-stopped|on-failure:\d+)$"},
        "stop_grace_period": {"type": "string", "pattern": r"^\d+s$"},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {"condition": {"enum": ["service_started", "service_healthy"]}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout", "retries"],
            "properties": {
                "test": TEXTS,
                "retries": {"type": "integer"},
                **{name: {"type": "string", "pattern": r"^\d+s$"} for name in ("interval", "timeout", "start_period")},
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "services"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
    },
}


def compose() -> dict[str, Any]:
    """Read the file with its anchors resolved."""
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return document


def commands() -> list[list[str]]:
    """Return the command of every service of ours."""
    return [service["command"] for service in compose()["services"].values() if "command" in service]


def test_the_compose_file_is_one_by_composes_own_schema() -> None:
    """The compose specification's schema, whole; and it would notice."""
    vendor = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    official = json.loads((vendor / "compose-spec.json").read_text())
    jsonschema.validate(compose(), official)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**compose(), "services": {"runner": {"imagge": "tidegate:local"}}}, official)


def test_the_compose_file_opens_nothing_that_we_would_refuse() -> None:
    """The file keeps to our own schema: ports on 127.0.0.1 only, no privileges, no unknown key."""
    jsonschema.validate(compose(), SCHEMA)


def test_everything_that_a_service_names_is_there() -> None:
    """Dependencies, volumes and addresses name what the file has."""
    document = compose()
    for service in document["services"].values():
        assert set(service.get("depends_on", {})) <= set(document["services"])
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(document["volumes"])
        addresses = re.findall(r"(?:http://)?([a-z0-9-]+):\d+", " ".join(service.get("command", ())))
        assert set(addresses) <= set(document["services"])


def test_brokers_workers_and_authority_are_services() -> None:
    """One process for each worker, by the name that the command line knows."""
    assert {*BROKERS, *WORKERS, "authority"} == set(compose()["services"])


def test_a_worker_that_goes_on_failing_stays_down_and_a_broker_comes_back() -> None:
    """I1f: exit 7 calls a person, and no restart mends the log; brokers find each other again after the host was restarted."""
    services = compose()["services"]
    assert {"on-failure:5"} == {services[name]["restart"] for name in (*WORKERS, "authority")}
    assert {"unless-stopped"} == {services[name]["restart"] for name in BROKERS}


def test_every_worker_keeps_its_snapshots_in_a_volume_that_it_may_write_to() -> None:
    """The root is read-only: the cache is a volume, and its folder in the image belongs to the user who runs."""
    services = compose()["services"]
    folders = {services[name]["environment"]["TIDEGATE_CACHE"] for name in WORKERS}
    assert 1 == len(folders)
    [folder] = folders
    assert [[f"snapshots:{folder}"]] * len(WORKERS) == [services[name].get("volumes") for name in WORKERS]
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    assert f"RUN install --directory --owner=tidegate --mode=0700 {folder}" in lines


def test_the_kafka_of_compose_docker_and_maven_is_one_version() -> None:
    """Tests run against the version that is deployed."""
    pom = ET.parse(REPOSITORY / "infra" / "kafka" / "pom.xml")
    version = pom.findtext("{*}properties/{*}kafka.version")
    images = {compose()["services"][broker]["image"] for broker in BROKERS}
    assert ({f"apache/kafka:{version}"}, f"apache/kafka:{version}") == (images, IMAGE)


def test_the_brokers_default_settings_are_those_of_the_log() -> None:
    """A topic made by hand loses as little as one made by `eventlog`."""
    wanted = topic_settings(DESK, REPLICAS)
    for broker in BROKERS:
        environment = compose()["services"][broker]["environment"]
        assert str(REPLICAS) == environment["KAFKA_DEFAULT_REPLICATION_FACTOR"]
        assert wanted["min.insync.replicas"] == environment["KAFKA_MIN_INSYNC_REPLICAS"]
        assert wanted["unclean.leader.election.enable"] == environment["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"]
    assert REPLICAS == len(BROKERS)


def test_each_broker_is_itself_and_is_advertised_where_its_port_is() -> None:
    """Node ids differ, and the host finds each broker at the port that is published."""
    services = compose()["services"]
    assert ["1", "2", "3"] == [services[broker]["environment"]["KAFKA_NODE_ID"] for broker in BROKERS]
    for broker in BROKERS:
        [port] = services[broker]["ports"]
        advertised = services[broker]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        assert f"INSIDE://{broker}:19092,HOST://{port.rpartition(':')[0]}" == advertised


@pytest.mark.skipif(importlib.util.find_spec("console.cli") is None, reason="the command line is not written yet")
@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_command_line_knows_every_command(command: list[str]) -> None:
    """Each verb exists and its help names every option that is given to it."""
    options = [word for word in command if word.startswith("--")]
    verb = command[0]
    done = subprocess.run(
        [sys.executable, "-c", "from console.cli import main; main()", verb, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=REPOSITORY,
        env={"COLUMNS": "200", "PATH": "", "NO_COLOR": "1"},
    )
    assert [] == [option for option in options if option not in done.stdout]


def test_the_image_installs_only_what_is_locked_and_does_not_run_as_root() -> None:
    """Dependencies and the build tool come with hashes; the project fetches nothing; the last user is not root."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    assert "RUN pip install --require-hashes -r requirements.txt" in lines
    assert "RUN pip install --no-deps --no-build-isolation ." in lines
    assert "USER tidegate" == [line for line in lines if line.startswith("USER ")][-1]
