"""The processes of one golden run: the workers as `tidegate up` drives them, a provider, an auditor, CBSA; must not judge.

Each is a function that a forked child runs to its end. They meet in the run's folder: the log, the notebooks of what was told and
sent, and empty files that say how far things are.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from audit.verify import verify
from console import keeping
from console.clock import wall_ms
from console.loop import run
from console.snapshots import program
from console.up import WORKERS, adopt, log_jsonlines
from console.watching import Watching
from console.wiring import Opened, known_codec, run_workers
from eventlog.port import EventLog
from eventlog.sqlite import SqliteLog
from gateway.authority import AuthoritySettings, run_authority
from gateway.https import HttpsGateway
from gateway.port import Gateway
from lane.state import Finding
from lane.view import LaneView
from producers.bulletins import add_bulletin
from producers.publisher import Publisher
from producers.verdicts import wait_for_verdicts
from schemas.codec import Codec
from schemas.facts import Fact
from schemas.streams import MODES, Record, inbound, lane
from tests.fault.golden_boundaries import (
    AuditedLog,
    Boundaries,
    BoundaryClock,
    BoundaryCodec,
    BoundaryGateway,
    BoundaryLocks,
    BoundaryLog,
    BoundarySnapshots,
    Notebook,
    Strike,
    fact_names,
    noted,
    telling,
)
from tests.fault.golden_plants import early_receipts, found_granted, resend, take_as_captured
from tests.fault.golden_script import (
    ANSWER_LATENCY_MS,
    LATE_TRIP,
    PACE_S,
    POLICY,
    SCRIPT,
    Auditing,
    Noticing,
    Publishing,
    Step,
    Waiting,
    ends_of,
)

if TYPE_CHECKING:
    from console.driver import Driver
    from lane.view import Listener

SNAPSHOTS: Final = {"SNAPSHOT_FACTS": 40, "LOOK_S": 0.05, "REST_TIMES": 1}
"""When the workers' process keeps a fold (console/keeping.py). The product does so every 50,000 facts, looks every 2 s and rests
ten times as long as one took; a golden run has some hundreds of facts and lasts a second."""

REST_LOOK_S: Final = 0.01
"""How often the workers' process looks whether all has come to its end."""

PROVIDER_WAIT_S: Final = 10.0
"""Longest wait of the provider for what the workers do: they may have been killed just now, and then the script goes on."""

CONNECTIONS_MAX: Final = 16

LATE_IMPORTS: Final = ("console.driver", "consumers.availability", "consumers.intake", "replay.runner", "encodings.idna")
"""What the product imports when it runs and not sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run's folder and what lies in it."""

    folder: Path

    @property
    def data(self) -> Path:
        """The log."""
        return self.folder / "data"

    @property
    def told(self) -> Path:
        """What the provider was told."""
        return self.folder / "told.jsonl"

    @property
    def attempts(self) -> Path:
        """What went on the wire."""
        return self.folder / "attempts.jsonl"

    @property
    def at_work(self) -> Path:
        """There once the workers have begun."""
        return self.folder / "at-work"

    @property
    def may_audit(self) -> Path:
        """There once the auditor may look."""
        return self.folder / "may-audit"

    @property
    def quiet(self) -> Path:
        """There once nobody publishes or looks any more: the workers may end when all has come to its end."""
        return self.folder / "quiet"

    def struck(self, role: str, life: int) -> Path:
        """The boundary at which a process was killed."""
        return self.folder / f"struck-{role}-{life}"

    def counts(self, role: str, life: int) -> Path:
        """How often a process that ended by itself met which boundary."""
        return self.folder / f"counts-{role}-{life}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process of a run: which role, the how-many-th of it, where it is to be killed, and the bug that is planted in it."""

    place: Place
    role: str
    number: int
    strike: Strike | None
    authority: str
    plant: str | None = None

    def boundaries(self) -> Boundaries:
        """None passed yet."""
        return Boundaries(role=self.role, strike=self.strike, struck=self.place.struck(self.role, self.number))

    def ends(self, boundaries: Boundaries) -> None:
        """Write down what was met; the process ends by itself."""
        self.place.counts(self.role, self.number).write_text(json.dumps(boundaries.met()))


class Resting(Watching):
    """Hears every fact as it is folded, each a boundary, and knows when all has come to its end."""

    def __init__(self, log: EventLog, boundaries: Boundaries, quiet: Path) -> None:
        super().__init__(log, WORKERS)
        self._boundaries = boundaries
        self._quiet = quiet

    def listener(self, stream: str) -> "Listener":
        """A boundary behind each fact that the state has taken in."""
        boundaries = self._boundaries

        def listen(_record: Record, fact: Fact, _findings: tuple[Finding, ...]) -> None:
            boundaries.passes(f"folded: {stream} {type(fact).__name__}")

        return listen

    async def until_rest(self, driver: "Driver") -> None:
        """Stop the driver when nobody publishes any more and every message stands where the script lets it end."""
        while not (self._quiet.exists() and self._is_at_rest()):  # noqa: ASYNC110 - a file tells it, no event
            await asyncio.sleep(REST_LOOK_S)
        driver.stop()

    def _is_at_rest(self) -> bool:
        views: dict[str, Any] = {mode: self.views[lane(mode)] for mode in MODES}
        if any(+Counter(view.state.counts) != ends_of(mode) for mode, view in views.items()):
            return False
        return all(view.state.marks.get(inbound(mode), -1) + 1 == self._log.end(inbound(mode)) for mode, view in views.items())


def work(life: Life) -> None:
    """All workers, by the product's own wiring and driver, until all has come to its end."""
    log_jsonlines()
    vars(keeping).update(SNAPSHOTS)
    boundaries = life.boundaries()
    data = life.place.data
    log = SqliteLog.open(data, wall_ms)

    async def serve() -> None:
        watched = BoundaryLog(log, boundaries, telling(boundaries, asyncio.get_running_loop()))
        clock = BoundaryClock(boundaries, Notebook(life.place.attempts), f"worker-{life.number}")
        inner: Gateway = HttpsGateway(life.authority, connections_max=CONNECTIONS_MAX, boot_clock_s=clock)
        if life.plant == "taken-as-captured":
            inner = take_as_captured(inner)
        gateway = BoundaryGateway(inner, boundaries)
        resting = Resting(log, boundaries, life.place.quiet)
        tasks: list[asyncio.Task[None]] = []

        def ready(driver: "Driver") -> None:
            life.place.at_work.touch()
            tasks.append(asyncio.create_task(resting.until_rest(driver)))
            tasks.append(asyncio.create_task(resend(blind, gateway)))

        opened_now = opened_log._replace(log=watched)
        await run_workers(opened_now, gateway, names=WORKERS, ready=ready, watching=resting)

    before = BoundaryLog(log, boundaries)
    snapshots = BoundarySnapshots(data / "snapshots", program=program(), boundaries=boundaries)
    codec = cast("Codec", BoundaryCodec(known_codec(before), boundaries))
    opened_log = Opened(before, BoundaryLocks(data, boundaries), codec, snapshots)
    blind = found_granted(Opened(log, None, Codec(), None)) if life.plant == "resent-without-grant" else []
    adopt(opened_log, lambda _: POLICY, person="golden", reason="short waits")
    run(serve())
    life.ends(boundaries)


def provide(life: Life) -> None:
    """The provider: the script from where the notebook ends. What it was told of it does not publish again, all else it does."""
    boundaries = life.boundaries()
    before = list(noted(life.place.told))
    done = [words for words in before if words[0] == "done"]
    notebook = Notebook(life.place.told)
    log: EventLog = BoundaryLog(SqliteLog.open(life.place.data, wall_ms), boundaries)
    known_codec(log)
    if life.plant == "early-receipts":
        log = early_receipts(log)
    told = {(words[1], words[4]) for words in before if words[0] == "receipt"}
    provider = _Provider(log, boundaries, notebook, life.place, told=told)
    for number, step in list(enumerate(SCRIPT))[len(done) :]:
        notebook.note("step", number)
        provider.take(number, step)
        time.sleep(PACE_S)
        notebook.note("done", number)
        boundaries.passes("step noted")
    log.close()
    life.ends(boundaries)


class _Provider:
    """Takes the steps of the script and notes what it was told."""

    def __init__(
        self, log: EventLog, boundaries: Boundaries, notebook: Notebook, place: Place, *, told: set[tuple[int, str]]
    ) -> None:
        """`told`: the step and the key of each receipt that an earlier one of us has noted."""
        self._log = log
        self._boundaries = boundaries
        self._notebook = notebook
        self._place = place
        self._told = told
        self._publisher = Publisher(log, clock_ms=wall_ms)
        self._decode = Codec().decode

    def take(self, number: int, step: Step) -> None:
        """Take one step, whether or not it was begun before."""
        match step:
            case Publishing():
                self._publish(number, step)
            case Noticing(text):
                self._boundaries.passes("before notice")
                add_bulletin(self._log, text.encode(), received_ms=wall_ms(), name="golden.txt")
                self._boundaries.passes("notice told")
            case Waiting("workers"):
                until_s = time.monotonic() + PROVIDER_WAIT_S
                while not self._place.at_work.exists() and time.monotonic() < until_s:
                    time.sleep(PACE_S)
            case Waiting("outage"):
                self._wait_until(lambda view: bool(view.state.outages))
            case Waiting("reject"):
                self._wait_until(lambda view: any(each.resubmissions for each in view.state.find(None, LATE_TRIP.attributes.key)))
            case Waiting():
                self._wait_for_verdicts()
            case Auditing():
                self._place.may_audit.touch()

    def _publish(self, number: int, step: Publishing) -> None:
        self._boundaries.passes("before publish")
        receipts = self._publisher.publish_many(each for each in step.messages if (number, each.attributes.key) not in self._told)
        self._boundaries.passes("receipt told, not noted")
        for receipt in receipts:
            words = (receipt.mode, receipt.tenant, receipt.key, receipt.sha256, receipt.position)
            self._notebook.note("receipt", number, *words, time.time())
            self._boundaries.passes("receipt noted")

    def _wait_until(self, is_so: Callable[[LaneView], bool]) -> None:
        """Fold the highway's lane until the workers have come so far."""
        view, until_s = LaneView("highway", self._decode), time.monotonic() + PROVIDER_WAIT_S
        while not is_so(view) and time.monotonic() < until_s:
            view.absorb(self._log.read(lane("highway"), view.next_position, 1_000, 0.05))

    def _wait_for_verdicts(self) -> None:
        """As `tidegate publish --wait` does."""
        positions: dict[str, list[int]] = {}
        for words in noted(self._place.told):
            if words[0] == "receipt":
                positions.setdefault(words[2], []).append(int(words[6]))
        for mode, of_mode in positions.items():
            view = LaneView(mode, self._decode)
            wait_for_verdicts(self._log, view, mode=mode, positions=of_mode, wait_s=PROVIDER_WAIT_S)


def audit(life: Life) -> None:
    """The auditor: `tidegate audit verify` on the log as it grows. Raises AssertionError when it finds something."""
    boundaries = life.boundaries()
    report = verify(AuditedLog(SqliteLog.open(life.place.data, wall_ms), boundaries), Codec())
    assert report.ok, [str(finding) for finding in report.findings]
    life.ends(boundaries)


def authority(tell: Callable[[str], None]) -> None:
    """CBSA, until it is killed: nobody kills it before the run is judged."""
    run_authority("127.0.0.1", 0, AuthoritySettings(answer_latency_ms=ANSWER_LATENCY_MS), on_ready=tell)


def warm() -> None:
    """Do once, before anything is forked, what each process would begin with: a start is most of what a run takes."""
    program()
    Codec()
    fact_names()
    for name in LATE_IMPORTS:
        import_module(name)


ROLES: Final[dict[str, Callable[[Life], None]]] = {"worker": work, "provider": provide, "auditor": audit}
