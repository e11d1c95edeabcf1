"""A town by the border for end-to-end tests: a log, a simulated CBSA, `tidegate up` as a real process, and eyes on the log."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from audit.verify import verify
from console.cli import run
from console.clock import wall_ms
from console.settings import Settings
from console.wiring import Opened, desk_view, lane_view, opened
from gateway.authority_process import AuthorityProcess, running_authority
from lane.state import LaneState, Message
from producers.bulletins import add_bulletin
from producers.publisher import Publisher, Receipt
from schemas.codec import encode
from schemas.facts import PolicyAdopted
from schemas.messages import Attributes, parse_attributes
from schemas.streams import DESK, MODES, Entry

READY_WAIT_S: Final = 60.0
"""A busy machine starts an interpreter and a Kafka client in this time."""

STORY_WAIT_S: Final = 60.0
"""Longest wait for one thing of a story."""

STAYS_S: Final = 1.5
"""How long something must stay as it is before a story believes it: several rounds of every worker."""

LOOK_S: Final = 0.05
"""Pause between two looks; the machine is shared with what is looked at."""

NOTICES: Final = Path(__file__).parent.parent / "data" / "notices"


class Said(NamedTuple):
    """What a command line gave: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.out)


class Town:
    """One log, one authority, any number of `tidegate up`."""

    def __init__(self, settings: Settings, log: Opened, authority: AuthorityProcess, words: Path) -> None:
        self.settings = settings
        self.opened = log
        self.authority = authority
        self.words = words
        self.processes: list[subprocess.Popen[str]] = []
        self._publisher = Publisher(log.log, clock_ms=wall_ms)

    @property
    def engine(self) -> list[str]:
        """The flags that name this town's log."""
        if self.settings.kafka is not None:
            return ["--kafka", self.settings.kafka]
        return ["--data", str(self.settings.data)]

    def up(self, *flags: str) -> "subprocess.Popen[str]":
        """Start `tidegate up` and wait until it takes work."""
        number = len(self.processes)
        words = self.words / f"up-{number}.log"
        arguments = ["up", *self.engine, "--authority", self.authority.base_url, "--rate-max", "none", *flags]
        with words.open("w") as out:
            process = subprocess.Popen(command(arguments), stderr=out, stdout=subprocess.DEVNULL, text=True, env=self._env())
        self.processes.append(process)
        deadline = time.monotonic() + READY_WAIT_S
        while "ready" not in words.read_text().split():
            assert process.poll() is None, f"up ended with {process.returncode}: {words.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"up was not ready in time: {words.read_text()[-2000:]}"
            time.sleep(LOOK_S)
        return process

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """SIGKILL, as the power would."""
        process.kill()
        process.wait()

    def end(self, process: "subprocess.Popen[str]") -> int:
        """SIGTERM, and the exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def type(self, *words: str, as_json: bool = True) -> Said:
        """Run a command line on this town's log, in this process: an interpreter's start is what a verb costs most."""
        with patch.dict(os.environ, self._env()):
            return typed(*words, *(["--json"] if as_json else []), *self.engine)

    def process(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command line on this town's log as a process of its own, as other programs do."""
        arguments = command([*words, "--json", *self.engine])
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._env())

    def tidegate(self, *words: str, code: int = 0) -> Any:
        """Run a verb with --json; return what it printed. Asserts the exit code."""
        said = self.type(*words)
        assert code == said.code, f"{words} ended with {said.code}, not {code}: {said.out}{said.err}"
        return said.value

    def policy(self, **changes: Any) -> None:
        """Adopt a policy that differs from the one in force by these settings."""
        desk = desk_view(self.opened).state
        wanted, why = replace(desk.policy, **changes), "a story needs it"
        fact = PolicyAdopted(at_ms=wall_ms(), policy=wanted.as_json(), person="test", reason=why, basis=desk.policy_at)
        self.opened.log.append(DESK, [Entry(encode(fact))])

    def publish(self, *messages: tuple[Attributes, bytes]) -> list[Receipt]:
        """Publish; each receipt means durable."""
        return self._publisher.publish_many(messages)

    def bulletin(self, text: str) -> None:
        """A notice comes in."""
        add_bulletin(self.opened.log, text.encode(), received_ms=wall_ms(), name="test.txt")

    def lane(self, mode: str) -> LaneState:
        """The lane's state by the log, as of now."""
        return lane_view(self.opened, mode).state

    def message(self, key: str, *, mode: str = "highway") -> Message:
        """The one message with that publisher's key."""
        (found,) = self.lane(mode).find(None, key)
        return found

    def counts(self) -> Counter[str]:
        """Messages of all lanes by state, none that are zero."""
        total: Counter[str] = Counter()
        for mode in MODES:
            if self.opened.log.end(f"lane.{mode}"):
                total.update(self.lane(mode).counts)
        return +total

    def until(self, reached: Callable[[], bool], what: str, *, wait_s: float = STORY_WAIT_S) -> None:
        """Wait for something to become true; fail with what was waited for."""
        deadline = time.monotonic() + wait_s
        while not reached():
            for number, process in enumerate(self.processes):
                words = (self.words / f"up-{number}.log").read_text()[-2000:]
                assert process.poll() in (None, 0, -signal.SIGKILL), f"up {number} ended with {process.returncode}: {words}"
            assert time.monotonic() < deadline, f"waited {wait_s:.0f} s for {what}; counts: {dict(self.counts())}"
            time.sleep(LOOK_S)

    def stays(self, true: Callable[[], bool], what: str, *, for_s: float = STAYS_S) -> None:
        """Look again and again for so long; fail when it is not so once."""
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            assert true(), f"{what} did not stay so; counts: {dict(self.counts())}"
            time.sleep(LOOK_S)

    def until_state(self, key: str, state: str, *, mode: str = "highway") -> Message:
        """Wait until the message stands in that state."""
        self.until(
            lambda: bool(self.lane(mode).find(None, key)) and self.message(key, mode=mode).state == state, f"{key} {state}"
        )
        return self.message(key, mode=mode)

    def captured(self) -> list[str]:
        """The publisher's keys in the order in which CBSA captured them, by its own history."""
        rows = [row for row in self.authority.history() if row["outcome"] == "captured"]
        return [row["idempotency_key"].split("/")[-1] for row in rows]

    def arrived(self) -> list[str]:
        """The publisher's keys of all that CBSA took in, whatever it said of it; later submissions with their number."""
        return [row["idempotency_key"].split("/")[-1] for row in self.authority.history()]

    def asked_for(self) -> list[str]:
        """The publisher's keys of the messages that need a person, as `status` says."""
        return [each["key"] for each in self.tidegate("status")["needs_a_person"] if each["key"]]

    def channel(self, name: str, direction: str = "inbound") -> str:
        """The state of one of CBSA's components, as `status` says."""
        found = {(each["name"], each["direction"]): each["state"] for each in self.tidegate("status")["channels"]}
        state: str = found[name, direction]
        return state

    def posts(self) -> int:
        """How many messages were put to CBSA over any channel, taken or not."""
        return sum(channel["posts"] for channel in self.authority.stats()["channels"].values())

    def file_at_cbsa(self, kind: str, *, mode: str = "highway", channel: str = "emanifest_portal", **keys: list[str]) -> None:
        """Somebody files at CBSA without Tidegate: another party, a clerk in the portal, or us before the system existed."""
        wire_key = f"not-by-tidegate-{len(self.authority.history())}"
        named = {"Mode": mode, "Kind": kind, "Channel": channel, "Function": "original", "Keys": json.dumps(keys)}
        headers = {f"Tidegate-{name}": value for name, value in {"Tenant": "elsewhere", **named}.items()}
        request = urllib.request.Request(
            f"{self.authority.base_url}/v1/messages",
            data=wire_key.encode(),
            headers={**headers, "Idempotency-Key": wire_key, "Content-Type": "text/plain"},
        )
        with urllib.request.urlopen(request, timeout=READY_WAIT_S) as response:
            assert 202 == response.status
        assert "captured" == self.authority.history()[-1]["outcome"]

    def assert_sound(self) -> None:
        """Nothing was captured out of order, by CBSA's own history; and the independent pass over the log finds nothing wrong."""
        assert [] == self.authority.order_violations()
        report = verify(self.opened.log, self.opened.codec)
        assert report.ok, [check for check in report.checks if not check.ok]

    def _env(self) -> dict[str, str]:
        root = str(Path(__file__).parent.parent.parent)
        return {**os.environ, "PYTHONPATH": root, "TIDEGATE_TOPIC_PREFIX": self.settings.topic_prefix, "NO_COLOR": "1"}


@contextmanager
def town(folder: Path, *, kafka: str | None = None, topic_prefix: str = "tidegate.", **authority: Any) -> Iterator[Town]:
    """A town on SQLite in that folder, or on Kafka; all processes are ended afterwards."""
    settings = Settings(data=None if kafka else folder / "data", kafka=kafka, topic_prefix=topic_prefix)
    with ExitStack() as stack:
        running = stack.enter_context(running_authority(**authority))
        log = stack.enter_context(opened(settings))
        built = Town(settings, log, running, folder)
        try:
            yield built
        finally:
            for process in built.processes:
                if process.poll() is None:
                    process.kill()
                process.wait()


def message(key: str, kind: str = "cargo", *, payload: bytes | None = None, **fields: Any) -> tuple[Attributes, bytes]:
    """A message as a provider makes it; highway, tenant acme and the payload's text unless told."""
    attributes = parse_attributes({"key": key, "kind": kind, "tenant": "acme", "mode": "highway", **fields})
    return attributes, payload if payload is not None else f"ISA*00*{key}~".encode()


def cargo(key: str, ccn: str, **fields: Any) -> tuple[Attributes, bytes]:
    """A cargo report."""
    return message(key, "cargo", keys={"ccn": [ccn]}, **fields)


def trip(key: str, crn: str, *ccns: str, **fields: Any) -> tuple[Attributes, bytes]:
    """A conveyance report that lists shipments."""
    return message(key, "conveyance", keys={"crn": [crn], "ccn": list(ccns)}, **fields)


def notice(number: str, what: str, *, state: str = "", subject: str = "Electronic Data Interchange (EDI) Inbound Outage") -> str:
    """A notice of ours in the labelled layout of 2025."""
    end = "2025-11-24 15:10 (ET)" if state == "RESOLVED" else "Initial investigation underway"
    title = f"{number} {state} - {subject}".replace("  ", " ")
    return (
        f"{title}\n\nStart Date / Time\n\n2025-11-24 09:40 (ET)\n\nEnd Date / Time\n\n{end}\n\nClients Affected\n\n"
        f"All clients.\n\nDescription\n\n{what}\n\nAction Required\n\nFollow the contingency plan.\n"
    )


EDI_DOWN: Final = notice("TCC25-9001", "The CBSA is currently unable to receive inbound EDI messages.")
EDI_RESOLVED: Final = notice("TCC25-9001", "The EDI inbound outage has now been resolved.", state="RESOLVED")


def typed(*words: str) -> Said:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(words))
    return Said(code, out.getvalue(), err.getvalue())


def command(arguments: list[str]) -> list[str]:
    """The words that start `tidegate` as a process of its own, from this checkout."""
    return [sys.executable, "-c", "from console.cli import main; main()", *arguments]
