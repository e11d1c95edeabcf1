"""A town by the border for end-to-end tests: a log, a simulated CBSA, `tidegate up` as a real process, and eyes on the log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from console.driver import wall_ms
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

NOTICES: Final = Path(__file__).parent.parent / "data" / "notices"


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
            process = subprocess.Popen(_command(arguments), stderr=out, stdout=subprocess.DEVNULL, text=True, env=self._env())
        self.processes.append(process)
        deadline = time.monotonic() + READY_WAIT_S
        while "ready" not in words.read_text().split():
            assert process.poll() is None, f"up ended with {process.returncode}: {words.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"up was not ready in time: {words.read_text()[-2000:]}"
            time.sleep(0.05)
        return process

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """SIGKILL, as the power would."""
        process.kill()
        process.wait()

    def end(self, process: "subprocess.Popen[str]") -> int:
        """SIGTERM, and the exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def tidegate(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Any:
        """Run a verb with --json; return what it printed. Asserts the exit code."""
        command = _command([*arguments, "--json", *self.engine])
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=self._env(), timeout=120, check=False)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}, not {code}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def policy(self, **changes: Any) -> None:
        """Adopt a policy that differs from the one in force by these settings."""
        wanted = replace(desk_view(self.opened).state.policy, **changes)
        fact = PolicyAdopted(at_ms=wall_ms(), policy=wanted.as_json(), person="test", reason="a story needs it")
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
            time.sleep(0.05)

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


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-c", "from console.cli import main; main()", *arguments]
