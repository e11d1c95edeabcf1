"""A provider as a process of its own that publishes without end and says what it was told; must not know who breaks brokers.

Its program says a line of JSON for each message of each publish that ended, and listens for `burst GROUPS`, `end` and the end of
its input. `Provider` is the handle that a run has on it.
"""

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from console.clock import wall_ms
from eventlog.kafka import KafkaLog
from producers.publisher import Publisher, PublishNotDone, PublishUnknown, Receipt
from schemas.messages import Attributes, parse_attributes
from tests.checker.history import Told

MODE: Final = "highway"

CALL_GROUPS_MAX: Final = 50
"""Most groups of one call, so that a burst is several appends and a fault may fall between two."""

AGAIN_PAUSE_S: Final = 0.2
"""Pause before a message is published again with its key, as a provider's program would make."""

END_WAIT_S: Final = 150.0
"""Longest time after `end` for what is not yet acknowledged: well over the time within which progress must resume (K1)."""

PROGRAM: Final = "from tests.fault.kafka_provider import main; main()"

Given: TypeAlias = tuple[Attributes, bytes]


class Word(NamedTuple):
    """What one publish of one message was told. Times are of the machine's monotonic clock, which all processes share."""

    key: str
    sha256: str
    told: Told
    began_s: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a provider is given. `delivery_wait_s`: how long it waits for an acknowledgement before it is unsure."""

    bootstrap: str
    topic_prefix: str
    tenant: str
    delivery_wait_s: float
    groups_per_s: float


class Provider:
    """A provider's process and every word that it was told."""

    def __init__(self, part: Part, *, first: str = "") -> None:
        """Start it. `first`: what its program runs first, as another way to the brokers, or a planted bug."""
        self.tenant = part.tenant
        self.words: list[Word] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{first}\n{PROGRAM}", json.dumps(asdict(part))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        )
        self._reader = threading.Thread(target=self._read, name=f"provider {part.tenant}", daemon=True)
        self._reader.start()

    def burst(self, groups: int) -> None:
        """Let it publish so many groups at once."""
        self._tell(f"burst {groups}")

    def end(self) -> None:
        """Let it publish what is left and end. Raises TimeoutExpired, and AssertionError when it failed."""
        self._tell("end")
        assert self.process.wait(END_WAIT_S) == 0, f"provider {self.tenant} ended with {self.process.returncode}"
        self._reader.join()

    def close(self) -> None:
        """End it now, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def acknowledged_since(self, since_s: float) -> Word | None:
        """The first word of an acknowledged publish that began since then."""
        return next((word for word in self.words if word.told == "acknowledged" and word.began_s >= since_s), None)

    def unsure_since(self, since_s: float) -> bool:
        """Whether it was told since then that it is not known, of a publish that may have begun before."""
        return any(word.told == "unsure" and word.at_s >= since_s for word in self.words)

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.words.append(Word(*json.loads(line)))


def group(tenant: str, number: int) -> Iterator[Given]:
    """A trip before its cargo, a close before its house bill: the worst order."""
    code = tenant.upper()
    ccn, bill = f"{code}C{number:06}", f"8{code}B{number:06}"
    yield _message(tenant, f"trip-{number}", "conveyance", crn=[f"{code}T{number:06}"], ccn=[ccn])
    yield _message(tenant, f"close-{number}", "close", previous_ccn=[ccn], house_bill=[bill])
    yield _message(tenant, f"bill-{number}", "house_bill", house_bill=[bill], previous_ccn=[ccn])
    yield _message(tenant, f"cargo-{number}", "cargo", ccn=[ccn])


def _message(tenant: str, key: str, kind: str, **keys: list[str]) -> Given:
    fields = {"key": key, "kind": kind, "tenant": tenant, "mode": MODE, "keys": keys}
    return parse_attributes(fields), f"ISA*00*{tenant}*{key}~".encode()


class Flow:
    """Publishes one group after the other, each message until it is acknowledged."""

    def __init__(self, publisher: Publisher, *, tenant: str) -> None:
        self._publisher = publisher
        self._tenant = tenant
        self._number = 0

    def steady(self) -> None:
        """One group, a call for each message."""
        for message in self._next(1):
            self._deliver([message])

    def burst(self, groups: int) -> None:
        """So many groups, many in one call."""
        while groups > 0:
            count = min(groups, CALL_GROUPS_MAX)
            self._deliver(list(self._next(count)))
            groups -= count

    def _next(self, groups: int) -> Iterator[Given]:
        for _ in range(groups):
            yield from group(self._tenant, self._number)
            self._number += 1

    def _deliver(self, messages: Sequence[Given]) -> None:
        """Publish; publish again with the same keys what was not acknowledged."""
        left = {attributes.key: (attributes, payload) for attributes, payload in messages}
        while left:
            began_s = time.monotonic()
            receipts: Sequence[Receipt]
            told: Told = "acknowledged"
            try:
                receipts = self._publisher.publish_many(left.values())
            except (PublishUnknown, PublishNotDone) as error:
                receipts = error.receipts
                told = "unsure" if isinstance(error, PublishUnknown) else "refused"
            at_s = time.monotonic()
            for receipt in receipts:
                del left[receipt.key]
                _say(Word(receipt.key, receipt.sha256, "acknowledged", began_s, at_s))
            for key, (_, payload) in left.items():
                _say(Word(key, hashlib.sha256(payload).hexdigest(), told, began_s, at_s))
            sys.stdout.flush()
            if left:
                time.sleep(AGAIN_PAUSE_S)


def _say(word: Word) -> None:
    sys.stdout.write(json.dumps(word) + "\n")


def _listen(heard: "queue.Queue[str]") -> None:
    """Pass on what the run says; nobody listens after `end`, for a reader at work would hold up the interpreter's end."""
    for line in sys.stdin:
        heard.put(line.strip())
        if line.strip() == "end":
            return
    os._exit(1)  # who started us is gone


def main() -> None:
    """The program: publish until told to end."""
    part = Part(**json.loads(sys.argv[1]))
    log = KafkaLog.open(part.bootstrap, topic_prefix=part.topic_prefix, delivery_wait_s=part.delivery_wait_s)
    flow = Flow(Publisher(log, clock_ms=wall_ms), tenant=part.tenant)
    heard: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(heard,), daemon=True).start()
    while True:
        try:
            word, _, count = heard.get(timeout=1 / part.groups_per_s).partition(" ")
        except queue.Empty:
            flow.steady()
            continue
        if word == "end":
            log.close()
            return
        flow.burst(int(count))
