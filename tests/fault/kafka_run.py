"""The whole product on three real brokers, to be struck: brokers, providers that publish all the time, eyes on the log.

Must not know which faults make up a scenario (`kafka_faults`), nor judge what it saw (`kafka_judge`).
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from console.wiring import Opened
from eventlog.port import LogUnavailable
from gateway.authority_process import AuthorityProcess
from lane.policy import Policy
from lane.state import Finding
from schemas.facts import SendIntended
from schemas.streams import Record, lane
from tests.e2e.town import Town, notice, town
from tests.fault.kafka_brokers import Brokers
from tests.fault.kafka_provider import END_WAIT_S, MODE, Part, Provider
from tests.fault.kafka_ways import Ways, ways_to
from tests.fault.partition import REDIRECT, by_ways
from tests.fault.takeover_watch import READ_COUNT, READ_WAIT_S, Tenure, Watch, at_ms
from tests.kafka_fixtures import delete_topics

PROGRESS_BAR_S: Final = 60.0
"""Longest time from a fault, or from its end where nobody can go on before it, until publishing and sending go on (K1)."""

LONGEST_WAIT_S: Final = 150.0
"""Longest wait for one thing: well over its bar, so that what is slow is measured and only what never comes ends a run."""

LOOK_S: Final = 0.05
"""Between two looks: the machine is shared with what is looked at."""

LOOK_AT_COPIES_S: Final = 0.5
"""Between two looks at all copies: each makes a client anew."""

STEADY_GROUPS_PER_S: Final = 1.0
"""Of each provider, beside the bursts."""

PATIENT_S: Final = 30.0
HASTY_S: Final = 4.0
"""How long the two providers wait for an acknowledgement: the library's own time, and one that a change of leader outlasts."""

LATENCY_MS: Final = 120
"""What CBSA takes for a message here: with `IN_FLIGHT` some 60 messages a second, so that a drain outlasts a change of leader."""

ANSWER_LATENCY_MS: Final = 20
IN_FLIGHT: Final = 8

FEW: Final = 60
"""Messages on their way while providers publish steadily: a drain whose rest is as few has ended."""

WORDS_MAX: Final = 2_000
"""Most characters of a process's last words that a report repeats."""

Reached: TypeAlias = Literal["straight", "ups by ways", "providers by ways"]
"""Who reaches the brokers by ways that can be held."""


class Moment(NamedTuple):
    """One moment by the machine's monotonic clock, in seconds, and by the wall clock, in milliseconds."""

    monotonic_s: float
    wall_ms: int


def now() -> Moment:
    """This moment."""
    return Moment(time.monotonic(), round(time.time() * 1000))


class PatientWatch(Watch):
    """A watch that waits for a log that is away, and remembers when the log took each intent that granted something."""

    def __init__(self, log: Opened, authority: AuthorityProcess, mode: str) -> None:
        self.intended_ms: list[int] = []
        super().__init__(log, authority, mode)

    def _intended(self, record: Record, fact: SendIntended, findings: tuple[Finding, ...]) -> None:
        super()._intended(record, fact, findings)
        if self.tenures[fact.epoch].last_intent_ms == record.at_ms:
            self.intended_ms.append(record.at_ms)

    def _follow(self) -> None:
        try:
            while not self._ending.is_set():
                try:
                    records = self._log.log.read(lane(self._mode), self._view.next_position, READ_COUNT, READ_WAIT_S)
                except LogUnavailable:
                    self._ending.wait(READ_WAIT_S)
                    continue
                with self._guard:
                    self._view.absorb(records)
        except Exception as error:  # noqa: BLE001 (the top of a thread: `counts` raises it where somebody looks)
            self._failure = error


@dataclass(slots=True)
class Strike:
    """One fault and how it went on: `resumed_s` is measured from `since`, the fault itself or its end where nobody can go on
    before."""

    at: Moment
    since: Moment
    resumed_s: float

    @property
    def resumed(self) -> Moment:
        """When it went on."""
        return Moment(self.since.monotonic_s + self.resumed_s, self.since.wall_ms + round(self.resumed_s * 1000))


@dataclass(slots=True)
class Run:
    """Brokers, a town with two `tidegate up`, two providers, and what became of the strikes so far."""

    brokers: Brokers
    town: Town
    watch: PatientWatch
    policy: Policy
    ups: dict[int, Ways | None]
    providers: list[Provider]
    provider_ways: Ways | None
    strikes: list[Strike] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    bounces: int = 0
    waited: list[int] = field(default_factory=list)
    """How many messages CBSA had not judged when each broker was struck or way held."""
    incidents: int = 0

    @property
    def prefix(self) -> str:
        """What this log's topics begin with."""
        return self.town.settings.topic_prefix

    def leader(self, stream: str) -> int:
        """The broker that leads a stream now."""
        return self.brokers.leader(self.prefix + stream)

    def kill(self, *numbers: int) -> Moment:
        """SIGKILL to brokers; returns the moment before the first."""
        struck = self.about_to_strike()
        for number in numbers:
            self.brokers.kill(number)
            self.bounces += 1
        return struck

    def stop(self, number: int) -> Moment:
        """Stop a broker in order; returns the moment before."""
        struck = self.about_to_strike()
        self.brokers.end(number)
        self.bounces += 1
        return struck

    def about_to_strike(self) -> Moment:
        """Remember what a strike falls into; returns the moment before."""
        self.waited.append(self.waiting())
        return now()

    def heal(self, *numbers: int) -> None:
        """Start these brokers again, and wait until every copy is in sync."""
        self.brokers.back(*numbers)
        self.until_whole()

    def until_whole(self) -> None:
        """Wait until every copy is in sync."""
        self.until(lambda: self.brokers.is_whole(self.prefix), "every copy to be in sync", look_s=LOOK_AT_COPIES_S)

    def begin_drain(self, groups: int) -> None:
        """An outage, a backlog of so many groups, the notice of its end; returns when the drain has begun."""
        self.incidents += 1
        incident = f"TCC25-{9000 + self.incidents}"
        self.town.bulletin(notice(incident, "The CBSA is currently unable to receive inbound EDI messages."))
        self.until(lambda: self.watch.counts()["held"] > 4, "messages to be held")
        for provider in self.providers:
            provider.burst(groups // len(self.providers))
        self.until(lambda: self.watch.counts()["held"] >= 4 * groups, "the backlog to be held")
        sent = len(self.watch.look())
        self.town.bulletin(notice(incident, "The EDI inbound outage has now been resolved.", state="RESOLVED"))
        self.until(lambda: len(self.watch.look()) > sent + IN_FLIGHT, "the drain to begin")

    def drained(self) -> None:
        """Wait until hardly anything waits."""
        self.until(lambda: self.waiting() < FEW, "the drain to end")

    def tenures(self) -> list[Tenure]:
        """Who held the lane so far."""
        return list(self.watch.tenures.values())

    def waiting(self) -> int:
        """Messages that CBSA has not judged."""
        counts = self.watch.counts()
        return sum(counts.values()) - counts["captured"]

    def resumed(self, struck: Moment, *, since: Moment | None = None) -> None:
        """Wait until it goes on: each provider's publish, and an intent with a message that came in at CBSA after it."""
        since = since or struck
        self.until(lambda: self.went_on_s(since) is not None, "publishing and sending to go on")
        took_s = self.went_on_s(since)
        assert took_s is not None
        self.strikes.append(Strike(struck, since, took_s))
        if took_s > PROGRESS_BAR_S:
            self.broken.append(f"K1: it went on after {took_s:.1f} s; {PROGRESS_BAR_S:.0f} is the most")

    def until(self, reached: Callable[[], bool], what: str, *, look_s: float = LOOK_S) -> None:
        """Wait; a process that ended meanwhile, or a wait in vain, is an AssertionError that says so."""
        deadline_s = time.monotonic() + LONGEST_WAIT_S
        while not reached():
            for number, process in enumerate(self.town.processes):
                assert process.poll() is None, f"up {number} ended with {process.returncode}: {self._said(number)[-WORDS_MAX:]}"
            for provider in self.providers:
                assert provider.process.poll() is None, f"provider {provider.tenant} ended with {provider.process.returncode}"
            assert time.monotonic() < deadline_s, f"waited {LONGEST_WAIT_S:.0f} s for {what}: {dict(self.watch.counts())}"
            time.sleep(look_s)

    def settle(self) -> int:
        """Let the providers end, wait until all that they published is captured, end the rest; returns how many messages."""
        for provider in self.providers:
            provider.end()
        published = len({(provider.tenant, word.key) for provider in self.providers for word in provider.words})
        deadline_s = time.monotonic() + END_WAIT_S
        while self.watch.counts() != {"captured": published}:
            assert time.monotonic() < deadline_s, f"waited in vain for {published} to be captured: {dict(self.watch.counts())}"
            time.sleep(LOOK_S)
        codes = [self.town.end(process) for process in self.town.processes]
        if any(codes):
            self.broken.append(f"`tidegate up` ended with {codes} when it was told to stop")
        for number in range(len(codes)):
            _, found, error = self._said(number).partition("Traceback")
            if found:
                self.broken.append(f"up {number} told of an error that nobody judged: {error[:WORDS_MAX]}")
        return published

    def _said(self, number: int) -> str:
        """What a `tidegate up` wrote on standard error."""
        return (self.town.words / f"up-{number}.log").read_text()

    def went_on_s(self, since: Moment) -> float | None:
        """How long after that moment the last provider was acknowledged a publish begun since, and a message of an intent
        written since had come in at CBSA; None if that has not happened yet."""
        words = [provider.acknowledged_since(since.monotonic_s) for provider in self.providers]
        published_s = [word.at_s - since.monotonic_s for word in words if word is not None]
        intended_ms = next((at for at in self.watch.intended_ms if at > since.wall_ms), None)
        if intended_ms is None or len(published_s) < len(words):
            return None
        sent_ms = next((at for at in map(at_ms, self.watch.look()) if at > intended_ms), None)
        return None if sent_ms is None else max(*published_s, (sent_ms - since.wall_ms) / 1000)


@contextmanager
def running(cluster: Brokers, folder: Path, *, policy: Policy, reached: Reached) -> Iterator[Run]:
    """A run that has begun to publish and to send; all that it started ends with the block, its topics too."""
    prefix = f"struck-{time.time_ns()}."
    ports = cluster.ports
    with ExitStack() as stack:
        stack.callback(delete_topics, cluster.bootstrap, prefix)
        stack.callback(cluster.mend)
        built = stack.enter_context(town(folder, kafka=cluster.bootstrap, topic_prefix=prefix))
        built.authority.set_faults(latency_ms=LATENCY_MS, answer_latency_ms=ANSWER_LATENCY_MS)
        built.policy(delta_ms=policy.delta_ms, tau_ms=policy.tau_ms, ttl_ms=policy.ttl_ms)
        ups: dict[int, Ways | None] = {}
        for _ in range(2):
            ways = stack.enter_context(ways_to(ports)) if reached == "ups by ways" else None
            with by_ways(dict(ways.by_port)) if ways else contextlib.nullcontext():
                ups[built.up("--in-flight-max", str(IN_FLIGHT)).pid] = ways
        watch = PatientWatch(built.opened, built.authority, MODE)
        stack.callback(watch.close)
        ways = stack.enter_context(ways_to(ports)) if reached == "providers by ways" else None
        waits_s = (HASTY_S, HASTY_S) if ways else (PATIENT_S, HASTY_S)
        providers = [_provider(cluster, prefix, number, wait_s=wait_s, ways=ways) for number, wait_s in enumerate(waits_s)]
        for provider in providers:
            stack.callback(provider.close)
        run = Run(cluster, built, watch, policy, ups, providers, ways)
        run.until(lambda: run.went_on_s(Moment(0.0, 0)) is not None, "publishing and sending to begin")
        yield run


def _provider(cluster: Brokers, prefix: str, number: int, *, wait_s: float, ways: Ways | None) -> Provider:
    part = Part(
        bootstrap=cluster.bootstrap, topic_prefix=prefix, tenant=f"p{number}", delivery_wait_s=wait_s,
        groups_per_s=STEADY_GROUPS_PER_S,
    )  # fmt: skip
    return Provider(part, first=REDIRECT.format(ways=json.dumps(ways.ports)) if ways else "")
