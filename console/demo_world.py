"""The demo's world: a data folder, `tidegate up` and the simulated CBSA as processes of their own, and eyes on the log.

Must not know the story. The eyes are folds like anybody's: what is told was read from the log.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from audit.story import story
from audit.verify import Report, verify
from console.clock import wall_ms
from console.settings import Settings
from console.wiring import Opened, opened, read_into
from gateway.authority_process import AuthorityProcess, running_authority
from lane.state import Message, State
from lane.summary import channel_states
from lane.view import DeskView, LaneView
from lane.why import Reason, is_to_file, why
from producers.bulletins import add_bulletin
from producers.publisher import Message as Published
from producers.publisher import Publisher
from schemas.codec import encode
from schemas.facts import MessageFiled
from schemas.streams import DESK, MODES, Entry, lane

EASTERN: Final = ZoneInfo("America/Toronto")
"""The zone of CBSA's notices."""

READY_WAIT_S: Final = 30.0
"""Longest wait for `tidegate up` to take work."""

END_WAIT_S: Final = 15.0
"""Longest wait for `tidegate up` to end in order; then it is killed, which loses nothing."""


class World:
    """Everything that a scene needs to act and to see."""

    def __init__(self, log: Opened, authority: AuthorityProcess, process: "subprocess.Popen[str]") -> None:
        self.authority = authority
        self._opened = log
        self._process = process
        self._publisher = Publisher(log.log, clock_ms=wall_ms)
        self._lanes: dict[str, LaneView] = {mode: LaneView(mode, log.codec.decode) for mode in MODES}
        self._desk = DeskView(log.codec.decode)

    def refresh(self) -> None:
        """Read what has been written since the last look."""
        for mode, view in self._lanes.items():
            read_into(self._opened.log, lane(mode), view)
        read_into(self._opened.log, DESK, self._desk)

    def check_alive(self) -> None:
        """Raise TimeoutError when `tidegate up` has ended: nothing more will happen."""
        if self._process.poll() is not None:
            raise TimeoutError(f"tidegate up ended with code {self._process.returncode}; its words are above.")

    def publish(self, messages: list[Published]) -> None:
        """Publish as providers do; each receipt means durable."""
        self._publisher.publish_many(messages)

    def bulletin(self, text: str) -> None:
        """A notice of today comes in."""
        words = text.format(day=datetime.now(EASTERN).date().isoformat())
        add_bulletin(self._opened.log, words.encode(), received_ms=wall_ms(), name="demo.txt")

    def counts(self) -> Mapping[State, int]:
        """Messages of all lanes by state."""
        total: Counter[State] = Counter()
        for view in self._lanes.values():
            total.update(view.state.counts)
        return total

    def messages(self, state: State) -> list[Message]:
        """Messages of all lanes in a state."""
        return [message for messages in self.by_mode(state).values() for message in messages]

    def by_mode(self, state: State) -> dict[str, list[Message]]:
        """Messages in a state, by mode, modes without any left out."""
        found = {
            mode: [message for message in view.state.messages.values() if message.state == state]
            for mode, view in self._lanes.items()
        }
        return {mode: messages for mode, messages in found.items() if messages}

    def state_of(self, name: str, direction: str) -> str:
        """What `tidegate status` says of a channel."""
        states = channel_states([view.state for view in self._lanes.values()], at_ms=wall_ms())
        return next(str(row["state"]) for row in states if row["name"] == name and row["direction"] == direction)

    def tasks(self) -> list[str]:
        """What asks for a person on the desk."""
        return [task.what for task in self._desk.state.tasks.values()]

    def why(self, message: Message) -> list[Reason]:
        """Why a message stands where it stands."""
        return next(
            why(view.state, message, at_ms=wall_ms())
            for view in self._lanes.values()
            if view.state.messages.get(message.position) is message
        )

    def to_file(self) -> list[Message]:
        """The clerk's work list, in order."""
        return [
            message
            for view in self._lanes.values()
            for message in view.state.held()
            if is_to_file(view.state, message, at_ms=wall_ms())
        ]

    def file_by_hand(self, message: Message, *, reference: str) -> None:
        """A clerk files a portal message and says so."""
        mode = next(mode for mode, view in self._lanes.items() if view.state.messages.get(message.position) is message)
        fact = MessageFiled(
            at_ms=wall_ms(),
            message=message.position,
            basis=message.act,
            reference=reference,
            person="demo clerk",
            reason="filed in the portal",
        )
        self._opened.log.append(lane(mode), [Entry(encode(fact))])

    def bytes_sent(self) -> int:
        """Bytes of messages that CBSA's end has received on the EDI channel, also while it was down."""
        channels = self.authority.stats()["channels"]
        return int(channels.get("edi", {}).get("bytes", 0))

    def last_of(self, kind: str) -> Message:
        """The last captured message of a kind, on the highway."""
        captured = (message for message in self._lanes["highway"].state.messages.values() if message.state == "captured")
        return [message for message in captured if message.kind == kind][-1]

    def story(self, message: Message) -> list[str]:
        """The story of a message, as `tidegate audit story` tells it."""
        told = story(self._opened.log, self._opened.codec, mode="highway", tenant=message.tenant, key=message.key)
        return list(told.lines())

    def verify(self) -> Report:
        """The independent check, as `tidegate audit verify` makes it."""
        return verify(self._opened.log, self._opened.codec)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start the simulated CBSA and `tidegate up` on a fresh data folder; end both afterwards."""
    with running_authority() as authority, opened(Settings(data=folder)) as log:
        process = _start_up(folder, authority.base_url)
        try:
            yield World(log, authority, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start_up(folder: Path, authority_url: str) -> "subprocess.Popen[str]":
    """Start `tidegate up` and wait until it takes work. Its log lines go to a file beside the data."""
    words = folder / "up.log"
    program = "from console.cli import main; main()"
    arguments = ["up", "--data", str(folder), "--authority", authority_url, "--rate-max", "none", "--as", "demo"]
    with words.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stderr=out,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
    deadline = time.monotonic() + READY_WAIT_S
    while "ready" not in words.read_text().split():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise TimeoutError(f"tidegate up did not become ready; it said: {words.read_text()[-500:]}")
        time.sleep(0.05)
    return process
