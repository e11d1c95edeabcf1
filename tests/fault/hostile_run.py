"""`tidegate up` against a hostile CBSA: `python -m tests.fault.hostile_run`; must not know how an authority is hostile.

    python -m tests.fault.hostile_run --size full --json FILE
    python -m tests.fault.hostile_run --only says_500_taken --seed 7

Each message has a script by its key. While the storm lasts, good messages of another lane and trips behind hostile shipments go
between; then the authority becomes calm, everything comes to rest, and `hostile_judge` judges the whole.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from console.clock import wall_ms
from console.settings import Settings
from console.wiring import Opened, desk_view, lane_view, opened, read_into
from lane.state import NEVER, LaneState, Message
from lane.view import LaneView
from lane.why import why
from producers.publisher import Publisher
from schemas.codec import encode
from schemas.facts import PolicyAdopted
from schemas.messages import Attributes
from schemas.native import PLAIN_SETTING
from schemas.streams import DESK, MODES, Entry, inbound, lane
from tests.checker.history import Answered, History, Publish
from tests.e2e.town import cargo, trip
from tests.fault.hostile_authority import HostileAuthority, hostile
from tests.fault.hostile_judge import Seen, judge
from tests.fault.hostile_scripts import POLL_SCRIPTS, TRIP, Script, chosen, mixed

ROOT: Final = Path(__file__).resolve().parents[2]

POLICY: Final[dict[str, Any]] = {
    "tau_ms": 600, "ttl_ms": 1_500, "answer_due_ms": 1_500, "answer_again_ms": 1_500, "probe_ms": 100, "probe_max_ms": 400,
    "rate_max_per_s": None,
}  # fmt: skip
"""Waits that a test can wait for. *delta* stays as it is: two seconds."""

OPEN_COUNT_MAX: Final = 250
"""Messages on their way at a time: then the next wave waits."""

GOOD_EVERY_S: Final = 0.2
"""Between two good messages of the other lane."""

TRIP_EVERY: Final = 4
"""Each fourth hostile shipment has a trip behind it."""

LOOK_S: Final = 0.05
"""Between two looks."""

PATIENCE_S: Final = 60.0
"""Longest time for a wave, and for everything to come to rest: many times what a busy machine needs."""

WAVE_WAIT_S: Final = 20.0
"""What each further wave may add to it."""

SLOW_WAIT_S: Final = 400.0
"""What slow scripts may add to it."""

START_WAIT_S: Final = 60.0
STOP_WAIT_S: Final = 60.0
"""What a busy machine needs to start and to stop a process."""

SAY_EVERY_S: Final = 5.0
"""Between two words of progress."""

FOR_LONG: Final = ("is_turned_away_for_long", "is_put_off_for_long")
"""Scripts whose messages wait until the authority is calm."""

LONG_WAVES: Final = 10
"""So many waves have those and the slow ones: what is turned away stays in front, and beyond the cap of what may be in flight it
would leave room for probes alone."""

OPEN_STATES: Final = ("held", "granted", "transmitted", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run plays: `times` waves of each of `scripts`, `mixed_count` scripts of a seed's making in each wave."""

    seed: int
    scripts: tuple[Script, ...]
    times: int = 1
    mixed_count: int = 0
    polls: tuple[str, ...] = POLL_SCRIPTS
    patience_s: float = PATIENCE_S

    @staticmethod
    def of(size: str, *, seed: int) -> "Plan":
        """What `make test` has the time for, or all of it."""
        if size == "full":
            return Plan(seed=seed, scripts=chosen(()), times=50, mixed_count=40, polls=POLL_SCRIPTS * 10 + ("gives_nothing",) * 3)
        quick = ("is_garbage", "never_ends", "is_all_brackets", "moves_302")
        return Plan(seed=seed, scripts=tuple(each for each in chosen(()) if not each.slow), mixed_count=6, polls=quick)


@dataclass(slots=True)
class Storm:
    """One run: the log, the authority, the process, and what was published when."""

    plan: Plan
    opened: Opened
    authority: HostileAuthority
    data: Path
    prelude: str
    say: Callable[[str], None]
    history: History = field(default_factory=History)
    seen: Seen = field(default_factory=Seen)
    _views: dict[str, LaneView] = field(default_factory=dict)
    _stood: int = -1

    def play(self) -> list[str]:
        """Let it rage, come to rest and be judged; what is broken, in sentences."""
        _adopt(self.opened)
        with self._up() as process:
            self._rage(process)
            self.authority.calm = True
            self._until(process, self._is_at_rest)
            self.seen.peak_bytes = _status(process.pid, "VmHWM")
            process.send_signal(signal.SIGTERM)
            self.seen.exit_code = process.wait(STOP_WAIT_S)
        self.history.answered = self._told()
        self.history.taken = list(self.authority.taken)
        self.history.attempts = list(self.authority.attempts)
        return judge(self.opened, self.history, self.authority, self.seen)

    # -- the process

    @contextmanager
    def _up(self) -> Iterator["subprocess.Popen[bytes]"]:
        words = self.data / "up.log"
        asked = ["up", "--data", str(self.data / "log"), "--authority", f"http://127.0.0.1:{self.authority.port}"]
        with words.open("wb") as out:
            process = subprocess.Popen(self._program("from console.cli import main; main()", *asked), stderr=out, env=self._env(),
                                       stdout=subprocess.DEVNULL)  # fmt: skip
        try:
            deadline_s = time.monotonic() + START_WAIT_S
            while b"ready" not in words.read_bytes().split():
                assert process.poll() is None, f"up ended: {words.read_text()[-2000:]}"
                assert time.monotonic() < deadline_s, f"up was not ready in time: {words.read_text()[-2000:]}"
                time.sleep(LOOK_S)
            self.seen.rest_bytes = _status(process.pid, "VmRSS")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _program(self, line: str, *words: str) -> list[str]:
        return [sys.executable, "-c", f"{self.prelude}\n{line}", *words]

    def _env(self) -> dict[str, str]:
        plain = {PLAIN_SETTING: "1"} if self.prelude else {}
        return {**os.environ, **plain, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def _told(self) -> list[Answered]:
        """What Tidegate tells of each message, by the same program that ran."""
        asked = self._program("from tests.fault.hostile_run import tell; tell()", str(self.data / "log"))
        said = subprocess.run(asked, env=self._env(), stdout=subprocess.PIPE, check=True, timeout=STOP_WAIT_S).stdout
        return [Answered(**{**row, "reasons": tuple(row["reasons"])}) for row in map(json.loads, said.splitlines())]

    # -- the storm

    def _rage(self, process: "subprocess.Popen[bytes]") -> None:
        """Publish wave after wave, with good messages between, until every script is played out."""
        draw = random.Random(self.plan.seed)
        publisher = Publisher(self.opened.log, clock_ms=wall_ms)
        waves = deque(self._waves(draw))
        total, good, good_s, said_s = len(waves), 0, 0.0, time.monotonic()

        def step() -> bool:
            nonlocal good, good_s, said_s
            if waves and self._open() < OPEN_COUNT_MAX:
                self._publish(publisher, waves.popleft())
            if time.monotonic() - good_s >= GOOD_EVERY_S:
                good, good_s = good + 1, time.monotonic()
                self._publish(publisher, [cargo(f"good-{good:06}", f"G{good:06}", mode="rail")])
            if time.monotonic() - said_s >= SAY_EVERY_S:
                said_s = time.monotonic()
                done = total - len(waves)
                self.say(f"{done} of {total} waves, {len(self.authority.taken)} taken, {self._open()} on their way")
            return not waves and not self.authority.polls and self._is_at_rest(but=FOR_LONG)

        self._until(process, step)

    def _waves(self, draw: random.Random) -> Iterator[list[tuple[Attributes, bytes]]]:
        number = 0
        for wave in range(self.plan.times):
            scripts = [each for each in self.plan.scripts if wave < LONG_WAVES or not (each.slow or each.name in FOR_LONG)]
            for each in range(self.plan.mixed_count):
                script = mixed(draw, wave * self.plan.mixed_count + each)
                self.authority.more[script.name] = script
                scripts.append(script)
            draw.shuffle(scripts)
            messages = []
            for script in scripts:
                number += 1
                tenant, ccn = draw.choice(("acme", "zeta")), f"H{number:06}"
                messages.append(cargo(f"{script.name}-{number:06}", ccn, tenant=tenant))
                if number % TRIP_EVERY == 0:
                    messages.append(trip(f"{TRIP}-{number:06}", f"T{number:06}", ccn, tenant=tenant))
            yield messages

    def _publish(self, publisher: Publisher, messages: list[tuple[Attributes, bytes]]) -> None:
        publisher.publish_many(messages)
        at_s = time.time()
        for attributes, payload in messages:
            digest = hashlib.sha256(payload).hexdigest()
            self.history.publishes.append(
                Publish(
                    mode=attributes.mode,
                    tenant=attributes.tenant,
                    key=attributes.key,
                    sha256=digest,
                    told="acknowledged",
                    at_s=at_s,
                )
            )

    def _state(self, mode: str) -> LaneState:
        view = self._views.get(mode) or self._views.setdefault(mode, self.opened.folds.lane(mode))
        read_into(self.opened.log, lane(mode), view)
        return view.state

    def _open(self) -> int:
        """How many messages are on their way or may be, in both lanes."""
        states = [self._state(mode) for mode in ("highway", "rail")]
        return sum(sum(state.counts[name] for name in OPEN_STATES) - len(state.asked) for state in states)

    def _is_at_rest(self, *, but: tuple[str, ...] = ()) -> bool:
        """Whether nothing goes on by itself any more, `but` what the authority turns away as long as it is hostile."""
        stood, self._stood = self._stood, len(self.authority.taken) + len(self.authority.attempts)
        if stood != self._stood:
            return False
        for mode in MODES:
            state = self._state(mode)
            if state.marks.get(inbound(mode), NEVER) + 1 < self.opened.log.end(inbound(mode)):
                return False
            if any(_goes_on(each) and not each.key.startswith(but) for each in state.messages.values()):
                return False
        return True

    def _until(self, process: "subprocess.Popen[bytes]", reached: Callable[[], bool]) -> None:
        """Look again and again until it is so; what does not come in its time is left to the judge."""
        plan = self.plan
        slow_s = SLOW_WAIT_S if any(each.slow for each in plan.scripts) else 0.0
        within_s = plan.patience_s + WAVE_WAIT_S * (plan.times - 1) + slow_s
        until_s = time.monotonic() + within_s
        while not reached():
            assert process.poll() is None, f"up ended: {(self.data / 'up.log').read_text()[-2000:]}"
            if time.monotonic() > until_s:
                self.seen.unrest.append(f"not everything came to rest in {within_s:.0f} s")
                return
            time.sleep(LOOK_S)


def _goes_on(message: Message) -> bool:
    """Whether a message is not where it stays until somebody acts."""
    if message.state == "held":
        return message.unblocked
    return message.state == "granted" or (message.state in ("transmitted", "unknown") and not message.needs_person)


def _adopt(log: Opened) -> None:
    """Adopt the policy of these runs."""
    desk = desk_view(log).state
    wanted = replace(desk.policy, **POLICY)
    fact = PolicyAdopted(at_ms=wall_ms(), policy=wanted.as_json(), person="test", reason="short waits", basis=desk.policy_at)
    log.log.append(DESK, [Entry(encode(fact))])


def _status(pid: int, name: str) -> int:
    """A figure of a process's memory, in bytes: VmRSS now, VmHWM at its most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def tell() -> None:
    """Print where each message of a log stands and why, a line each: what `tidegate why` says, of all of them at once."""
    with opened(Settings(data=Path(sys.argv[1]))) as log:
        for mode in MODES:
            state = lane_view(log, mode).state
            for each in state.messages.values():
                reasons = tuple(reason.sentence for reason in why(state, each, at_ms=wall_ms()))
                told = Answered(
                    mode=mode, tenant=each.tenant, key=each.key, state=each.state, reasons=reasons,
                    needs_person=bool(each.needs_person),
                )  # fmt: skip
                print(json.dumps(asdict(told)))


def run(plan: Plan, *, prelude: str = "", say: Callable[[str], None] = lambda _: None) -> tuple[dict[str, Any], list[str]]:
    """Play a plan; its figures, and what is broken. `prelude`: what the program runs first, which plants a bug."""
    with tempfile.TemporaryDirectory(prefix="tidegate-hostile-") as folder:
        data = Path(folder)
        authority = HostileAuthority(polls=deque(plan.polls))
        with hostile(authority), opened(Settings(data=data / "log")) as log:
            storm = Storm(plan=plan, opened=log, authority=authority, data=data, prelude=prelude, say=say)
            broken = storm.play()
            return figures(storm, broken), broken


def figures(storm: Storm, broken: Sequence[str]) -> dict[str, Any]:
    """What a run came to; every figure is its own."""
    seen, authority = storm.seen, storm.authority
    return {
        "scripts": len(storm.plan.scripts) + len(authority.more),
        "messages": len(storm.history.publishes),
        "attempts": len(authority.attempts),
        "befell_messages": sum(count for name, count in authority.befell.items() if name.startswith("post ")),
        "befell_questions": sum(count for name, count in authority.befell.items() if name.startswith("ask ")),
        "befell_polls": sum(count for name, count in authority.befell.items() if name.startswith("poll ")),
        "lost": seen.lost,
        "doubled": seen.doubled,
        "made_up": seen.made_up,
        "redirects_followed": len(authority.followed),
        "without_a_reason": seen.without_a_reason,
        "states": dict(sorted(seen.states.items())),
        "unrelated_messages": seen.unrelated,
        "unrelated_worst_s": round(seen.unrelated_worst_s, 3),
        "memory_at_rest_mib": round(seen.rest_bytes / 2**20, 1),
        "memory_peak_mib": round(seen.peak_bytes / 2**20, 1),
        "broken": len(broken),
    }


def main() -> None:
    """Play, tell, and end with 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.hostile_run", description=__doc__)
    parser.add_argument("--size", choices=("full", "sample"), default="sample", help="default: sample")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--only", action="append", metavar="SCRIPT", help="this script alone; again for more; polls stay good")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    plan = Plan.of(asked.size, seed=asked.seed)
    if asked.only:
        plan = replace(plan, scripts=chosen(asked.only), mixed_count=0, polls=())
    began_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began_s:5.0f} s  {text}", file=sys.stderr, flush=True)

    found, broken = run(plan, say=say)
    for sentence in broken:
        print(sentence)
    print(json.dumps(found))
    if asked.json:
        what = (
            "tidegate up on SQLite against a CBSA that times out after taking, answers twice, late, for others' keys and against "
            "itself, drips and never ends: a script for each message key, and some for polls"
        )
        told = {
            "suite": "hostile_run", "what": what, "size": asked.size, "seed": asked.seed, "figures": found, "broken": broken,
            "seconds": round(time.monotonic() - began_s, 1), "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        asked.json.write_text(json.dumps(told) + "\n", encoding="utf-8")
    if broken:
        script = broken_script(broken)
        print(f"again: python -m tests.fault.hostile_run --size {asked.size} --seed {asked.seed}{script}", file=sys.stderr)
        sys.exit(1)


def broken_script(broken: Sequence[str]) -> str:
    """What repeats the first broken promise by itself, where it names a script of the table."""
    names = [script.name for script in chosen(()) if f"{script.name}-" in broken[0]]
    return f" --only {max(names, key=len)}" if names else ""


if __name__ == "__main__":
    main()
