"""Takeovers in a row on one log while messages stream in: strikes the holder, times the next one, judges the whole at the end.

Who prints it and who asserts it are `takeovers` and `test_takeovers`.
"""

import itertools
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from audit.verify import verify
from lane.policy import Policy
from schemas.messages import Attributes
from tests.e2e.town import Town, cargo, message, notice, trip
from tests.fault.freezing import freeze
from tests.fault.takeover_watch import Tenure, Watch, at_ms

How: TypeAlias = Literal["kill", "stop", "freeze"]

HOWS: Final[tuple[How, ...]] = ("kill", "stop", "freeze")

MODE: Final = "highway"

GROUP: Final = 4
"""Messages of a group: each waits for another one of it (DOMAIN section 1)."""

DRAIN_EVERY: Final = 4
"""Each fourth strike falls into a drain; the others into the steady stream."""

DRAIN_GROUPS: Final = 100
"""Groups published while EDI is down, for a drain that is under way when the strike comes."""

TAKEN_WAIT_S: Final = 90.0
"""Longest wait for a takeover: many times its bar, so that a slow one is measured and a missing one ends the run."""

SETTLED_WAIT_S: Final = 180.0
"""Longest wait at the end for everything to be captured."""

LOOK_S: Final = 0.02
"""Between two looks: a fiftieth of the smallest bar."""

SEND_ROOM_MS: Final = 3_000
"""What a takeover may take beyond the policy's own waits."""

PROMPT_MS: Final = 2_000
"""Bar where nothing has to be waited out: after a clean stop, and on SQLite from a restart."""

CLOCK_ROOM_MS: Final = 2
"""Times are rounded to milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """One takeover, in milliseconds. `since_ms` is the measured one: from the strike, and from the new process's start where
    nobody stood by. The parts: until the lane was taken, from there to the first intent, from there to a message in at CBSA."""

    number: int
    how: How
    in_a_drain: bool
    basis: str
    since_ms: int
    bar_ms: int
    to_taken_ms: int
    to_intent_ms: int
    to_send_ms: int
    waiting: int


@dataclass(slots=True)
class Judged:
    """What the whole run came to; every count but the first two must be 0."""

    published: int
    captured: int
    lost: int
    doubled: int
    out_of_order: int
    overlaps: int
    audit: str
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled, out of order or at once, and the log says the same."""
        wrong = self.lost + self.doubled + self.out_of_order + self.overlaps
        return wrong == 0 and self.audit == "ok" and self.published == self.captured

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "ok": self.ok}


class Stream:
    """Publishes groups at a rate in a thread of its own, until it is closed."""

    def __init__(self, town: Town, *, groups_per_s: float) -> None:
        self.published = 0
        self._town = town
        self._pause_s = 1 / groups_per_s
        self._numbers = itertools.count()
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._flow, name="stream", daemon=True)
        self._thread.start()

    def burst(self, groups: int) -> None:
        """Publish so many groups at once."""
        with self._guard:
            messages = [each for _ in range(groups) for each in _group(next(self._numbers))]
            self._town.publish(*messages)
            self.published += len(messages)

    def close(self) -> None:
        """End the stream. Raises what ended it before."""
        self._ending.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _flow(self) -> None:
        try:
            while not self._ending.wait(self._pause_s):
                self.burst(1)
        except Exception as error:  # noqa: BLE001 (the top of a thread: `close` raises it)
            self._failure = error


def _group(number: int) -> Iterator[tuple[Attributes, bytes]]:
    """A trip before its cargo, a close before its house bill: the worst order."""
    ccn, bill = f"TAKE{number:06}", f"8TAK{number:06}"
    yield trip(f"trip-{number}", f"TAKET{number:06}", ccn)
    yield message(f"close-{number}", "close", keys={"previous_ccn": [ccn], "house_bill": [bill]})
    yield message(f"bill-{number}", "house_bill", keys={"house_bill": [bill], "previous_ccn": [ccn]})
    yield cargo(f"cargo-{number}", ccn)


def judge(town: Town, watch: Watch, *, published: int, policy: Policy, faults: Sequence[str] = ()) -> Judged:
    """Count what is wrong, when everything has come to rest. `faults`: what the caller saw."""
    rows = watch.look()
    captured = Counter(row["idempotency_key"] for row in rows if row["outcome"] == "captured")
    bytes_by_key: dict[str, set[str]] = {}
    for row in rows:
        bytes_by_key.setdefault(row["idempotency_key"], set()).add(row["sha256"])
    twice = {key for key, count in captured.items() if count > 1}
    other = {key for key, digests in bytes_by_key.items() if len(digests) > 1}
    again = {key for key in bytes_by_key if "~" in key}
    report = verify(town.opened.log, town.opened.codec)
    found = [*overlaps(town, watch, policy), *faults]
    return Judged(
        published=published,
        captured=len(captured),
        lost=published - len(captured),
        doubled=len(twice | other | again),
        out_of_order=len(town.authority.order_violations()),
        overlaps=len(found),
        audit="ok" if report.ok else "failed",
        faults=found + [finding.sentence for finding in report.findings],
    )


def overlaps(town: Town, watch: Watch, policy: Policy) -> Iterator[str]:
    """Where two holders were at it at once: by CBSA's own eyes, by its history's times, and by the facts (R43, R44)."""
    at_once = town.authority.stats()["posts_of_one_key_at_once_max"]
    if at_once != 1:
        yield f"{at_once} sends of one wire key at once"
    tenures = [watch.tenures[epoch] for epoch in sorted(watch.tenures)]
    for tenure in tenures:
        if tenure.oldest_age_ms > policy.delta_ms:
            yield f"epoch {tenure.epoch}: a send began {tenure.oldest_age_ms} ms after its intent"
    for old, new in itertools.pairwise(tenure for tenure in tenures if tenure.granted):
        assert old.last_intent_ms is not None
        assert new.first_intent_ms is not None
        apart_ms = new.first_intent_ms - old.last_intent_ms
        if new.basis == "silent" and apart_ms < policy.delta_ms + policy.tau_ms - CLOCK_ROOM_MS:
            yield f"epoch {new.epoch} granted {apart_ms} ms after epoch {old.epoch}, not {policy.delta_ms + policy.tau_ms}"
        began_ms = watch.first_send(new)
        assert began_ms is not None
        gone = old.granted.keys() - {key for each in tenures if each.epoch > old.epoch for key in each.granted}
        late = [row["seq"] for row in watch.rows if row["idempotency_key"] in gone and at_ms(row) > began_ms]
        if late:
            yield f"epoch {old.epoch}: {late} came in after epoch {new.epoch} had begun to send"


class Run:
    """A town with a stream of messages, a holder, and on Kafka a standby."""

    def __init__(self, town: Town, *, groups_per_s: float, policy: Policy, seed: int) -> None:
        self.town = town
        self.watch = Watch(town.opened, town.authority, MODE)
        self.stream = Stream(town, groups_per_s=groups_per_s)
        self.takeovers: list[Takeover] = []
        self._policy = policy
        self._draw = random.Random(seed)
        self._stands_by = town.settings.kafka is not None
        self._up: list[subprocess.Popen[str]] = [self._start()]
        if self._stands_by:
            self._up.append(self._start())

    def close(self) -> None:
        """End the threads; the town ends the processes."""
        self.watch.close()
        self.stream.close()

    def takeover(self, how: How) -> Takeover:
        """Strike the holder, wait for the next one's first send, and make up the numbers again."""
        number = len(self.takeovers) + 1
        if how == "freeze" and not self._stands_by:
            self._up.append(self._start())
        self._until(self._is_sending, "a holder that sends")
        in_a_drain = number % DRAIN_EVERY == 0
        if in_a_drain:
            self._begin_drain(number)
        else:
            time.sleep(self._draw.uniform(0, 0.3))
        before, name = self.watch.holder()
        holder = next(process for process in self._up if f"-{process.pid}-" in name)
        waiting, struck_ms = self._waiting(), round(time.time() * 1000)
        self._strike(holder, how)
        if how != "freeze" and not self._stands_by:
            struck_ms = round(time.time() * 1000)
            self._up.append(self._start())
        sent_ms, tenure = self._taken_over(before)
        self._follow_up(holder, how)
        assert tenure.first_intent_ms is not None
        prompt = how == "stop" or (how == "kill" and not self._stands_by)
        silent_ms = self._policy.ttl_ms + self._policy.delta_ms + self._policy.tau_ms + SEND_ROOM_MS
        self.takeovers.append(
            Takeover(
                number=number, how=how, in_a_drain=in_a_drain, basis=tenure.basis, since_ms=sent_ms - struck_ms,
                bar_ms=PROMPT_MS if prompt else silent_ms, to_taken_ms=tenure.taken_ms - struck_ms,
                to_intent_ms=tenure.first_intent_ms - tenure.taken_ms, to_send_ms=sent_ms - tenure.first_intent_ms,
                waiting=waiting,
            )
        )  # fmt: skip
        return self.takeovers[-1]

    def judge(self) -> Judged:
        """End the stream, wait until everything is captured, stop everybody, and count what is wrong."""
        self.stream.close()
        published = self.stream.published
        self._until(lambda: self.watch.counts() == {"captured": published}, "everything to be captured", wait_s=SETTLED_WAIT_S)
        codes = [self.town.end(process) for process in self._up]
        exits = [f"exit codes {codes}"] if any(codes) else []
        return judge(self.town, self.watch, published=published, policy=self._policy, faults=exits)

    def _start(self) -> "subprocess.Popen[str]":
        return self.town.up("--in-flight-max", "16")

    def _strike(self, holder: "subprocess.Popen[str]", how: How) -> None:
        if how == "kill":
            self.town.kill(holder)
        elif how == "stop":
            holder.send_signal(signal.SIGTERM)
            if not self._stands_by:
                holder.wait(30)
        else:
            freeze(holder, self.town.settings.data)

    def _follow_up(self, holder: "subprocess.Popen[str]", how: How) -> None:
        """Who was struck is gone, or wakes up as nobody; a new standby is started in the place of who is gone."""
        if how == "freeze":
            holder.send_signal(signal.SIGCONT)
            if not self._stands_by:
                assert 0 == self.town.end(holder), "who was frozen could not be stopped"
                self._up.remove(holder)
                self._until(self._holder_has_lock, "the holder to have the lane's lock")
            return
        assert holder.wait(30) == (0 if how == "stop" else -signal.SIGKILL)
        self._up.remove(holder)
        if self._stands_by:
            self._up.append(self._start())

    def _taken_over(self, before: int) -> tuple[int, Tenure]:
        """Wait for the first send of a later epoch."""
        found: list[tuple[int, Tenure]] = []

        def is_there() -> bool:
            for tenure in list(self.watch.tenures.values()):
                sent_ms = self.watch.first_send(tenure) if tenure.epoch > before and tenure.granted else None
                if sent_ms is not None:
                    found.append((sent_ms, tenure))
            return bool(found)

        self._until(is_there, f"a holder after epoch {before} to send")
        return found[0]

    def _begin_drain(self, number: int) -> None:
        """An outage, a backlog, the notice of its end; returns when the drain has begun."""
        incident = f"TCC25-{9100 + number}"
        self.town.bulletin(notice(incident, "The CBSA is currently unable to receive inbound EDI messages."))
        self._until(lambda: self.watch.counts()["held"] > GROUP, "messages to be held")
        self.stream.burst(DRAIN_GROUPS)
        self._until(lambda: self.watch.counts()["held"] >= DRAIN_GROUPS * GROUP, "the backlog to be held")
        sent = len(self.watch.look())
        self.town.bulletin(notice(incident, "The EDI inbound outage has now been resolved.", state="RESOLVED"))
        self._until(lambda: len(self.watch.look()) > sent + GROUP, "the drain to begin")

    def _is_sending(self) -> bool:
        epoch, name = self.watch.holder()
        tenure = self.watch.tenures.get(epoch)
        return bool(name) and tenure is not None and bool(tenure.granted)

    def _holder_has_lock(self) -> bool:
        assert self.town.settings.data is not None
        return (self.town.settings.data / f"lane.{MODE}.lock").read_text() == self.watch.holder()[1]

    def _waiting(self) -> int:
        counts = self.watch.counts()
        return counts["held"] + counts["granted"] + counts["unknown"]

    def _until(self, reached: Callable[[], bool], what: str, *, wait_s: float = TAKEN_WAIT_S) -> None:
        deadline = time.monotonic() + wait_s
        while not reached():
            for process in self._up:
                assert process.poll() in (None, 0, -signal.SIGKILL), f"up ended with {process.returncode}"
            assert time.monotonic() < deadline, f"waited {wait_s:.0f} s for {what}: {self.watch.counts()}"
            time.sleep(LOOK_S)


@contextmanager
def running(town: Town, *, groups_per_s: float, policy: Policy, seed: int = 0) -> Iterator[Run]:
    """A run in a town whose policy has these timers; its threads end with the block."""
    timers = {"delta_ms": policy.delta_ms, "tau_ms": policy.tau_ms, "ttl_ms": policy.ttl_ms}
    town.policy(**timers)
    run = Run(town, groups_per_s=groups_per_s, policy=policy, seed=seed)
    try:
        yield run
    finally:
        run.close()
