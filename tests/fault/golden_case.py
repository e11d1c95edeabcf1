"""One golden run with its kills: forks the processes, starts each again that was killed, and judges what came of it.

It is a process of its own that has no thread and no loop until all others have ended, for it forks.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from console.clock import wall_ms
from console.wiring import Opened, lane_view
from eventlog.sqlite import SqliteLog
from gateway.authority_process import AuthorityProcess
from lane.why import is_to_file, why
from schemas.codec import Codec
from schemas.streams import MODES
from tests.checker.check import Broken, check
from tests.checker.history import NEVER_S, Answered, Attempt, History, Publish
from tests.checker.seen import Told, split_wire_key, told
from tests.fault.golden_boundaries import Strike, noted
from tests.fault.golden_child import ROLES, Life, Place, authority
from tests.fault.golden_script import ANSWER_LATENCY_MS, ENDS, FAULTS, LATENCY_MS, MAY_BE_REJECTED, SCRIPT, Publishing

LOOK_S: Final = 0.003
"""Between two looks for processes that have ended: what a restart waits at most."""

PATIENCE_S: Final = 30.0
"""Longest time of one run, which takes a second: on a machine that does much else, and never a wait of the product's."""

WORDS_CHARS_MAX: Final = 2_000
"""How much of a failed process's own words is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Which strikes a run gets: those of one role fall on its processes in turn. `plant`: a bug that it must find."""

    strikes: tuple[Strike, ...] = ()
    plant: str | None = None
    patience_s: float = PATIENCE_S

    def __str__(self) -> str:
        return " + ".join(map(str, self.strikes))


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a case. `struck`: for each strike the boundary at which it killed, or nothing; `met`: by role, of processes
    that ended by themselves. `lost`, `doubled`, `out_of_order`: messages, by CBSA's own history and by what was acknowledged."""

    struck: list[str | None]
    broken: list[str] = field(default_factory=list)
    met: dict[str, dict[str, int]] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    starts: int = 0
    sends: int = 0
    seconds: float = 0.0


def play(case: Case, folder: Path) -> Outcome:
    """Run a case in a folder that is not there yet, and judge it. The folder is gone afterwards."""
    began_s = time.monotonic()
    folder.mkdir()
    table = _Table(case, Place(folder=folder))
    try:
        table.run()
        outcome = table.judged()
    finally:
        table.clear()
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = round(time.monotonic() - began_s, 3)
    return outcome


@dataclass(slots=True)
class _Process:
    """A process that runs: its role and the how-many-th of it."""

    role: str
    number: int
    strike: Strike | None


class _Table:
    """The processes of one case."""

    def __init__(self, case: Case, place: Place) -> None:
        self._case = case
        self._place = place
        self._running: dict[int, _Process] = {}
        self._lives = Counter[str]()
        self._strikes: list[Strike] = list(case.strikes)
        self._died_s: dict[str, float] = {}
        self._ended: set[str] = set()
        self._broken: list[str] = []
        self._cbsa = 0
        self._authority: AuthorityProcess

    def run(self) -> None:
        """Until every role has ended by itself, or patience is over."""
        until_s = time.monotonic() + self._case.patience_s
        self._authority = self._begin_authority()
        self._authority.set_faults(*FAULTS, latency_ms=LATENCY_MS, answer_latency_ms=ANSWER_LATENCY_MS)
        self._begin("worker")
        self._begin("provider")
        while self._running and not self._broken:
            if self._place.may_audit.exists() and not self._lives["auditor"]:
                self._begin("auditor")
            if {"provider", "auditor"} <= self._ended:
                self._place.quiet.touch()
            if not self._reap():
                time.sleep(LOOK_S)
            if time.monotonic() > until_s:
                still = ", ".join(sorted(each.role for each in self._running.values()))
                self._broken.append(f"I7: it did not come to rest within {self._case.patience_s:g} s; still running: {still}")

    def clear(self) -> None:
        """Kill what still runs, CBSA too."""
        for process in [*self._running, *([self._cbsa] if self._cbsa else [])]:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        self._running.clear()

    def _begin(self, role: str) -> None:
        number = self._lives[role]
        self._lives[role] += 1
        strike = next((each for each in self._strikes if each.role == role), None)
        if strike is not None:
            self._strikes.remove(strike)
        life = Life(
            place=self._place, role=role, number=number, strike=strike, authority=self._authority.base_url, plant=self._case.plant
        )
        self._running[_fork(lambda: ROLES[role](life), self._words(role, number))] = _Process(role, number, strike)

    def _begin_authority(self) -> AuthorityProcess:
        read, write = os.pipe()
        self._cbsa = _fork(lambda: authority(lambda url: (os.write(write, url.encode()), None)[1]), self._words("cbsa", 0))
        os.close(write)
        url = os.read(read, 1_000).decode()
        os.close(read)
        assert url, self._words("cbsa", 0).read_text()
        # Only its calls are used: the process is ours, forked and not started.
        return AuthorityProcess(url, cast("Any", None))

    def _words(self, role: str, number: int) -> Path:
        return self._place.folder / f"words-{role}-{number}"

    def _reap(self) -> bool:
        """Take in the processes that have ended; whether there were any."""
        ended = False
        for process, what in list(self._running.items()):
            found, status = os.waitpid(process, os.WNOHANG)
            if not found:
                continue
            ended = True
            del self._running[process]
            self._died_s[f"{what.role}-{what.number}"] = time.time()
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGKILL and self._place.struck(what.role, what.number).exists():
                self._begin(what.role)
            elif code == 0:
                self._ended.add(what.role)
            else:
                said = self._words(what.role, what.number).read_text()[-WORDS_CHARS_MAX:]
                self._broken.append(f"{what.role} {what.number} ended with {code}: {said}")
        return ended

    def judged(self) -> Outcome:
        """What it came to, when nothing runs any more but CBSA."""
        for process in self._running:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        self._running.clear()
        outcome = Outcome(struck=self._struck(), broken=self._broken, starts=self._lives.total())
        for role, lives in self._lives.items():
            counts = self._place.counts(role, lives - 1)
            if counts.exists():
                outcome.met[role] = json.loads(counts.read_text())
        judge(outcome, self._place, self._authority, self._died_s)
        return outcome

    def _struck(self) -> list[str | None]:
        """For each strike where it killed: strikes of a role fall on its processes in turn."""
        seen = Counter[str]()
        found = []
        for strike in self._case.strikes:
            path = self._place.struck(strike.role, seen[strike.role])
            seen[strike.role] += 1
            found.append(path.read_text() if path.exists() else None)
        return found


def _fork(work: Callable[[], None], words: Path) -> int:
    """Run that in a child whose words go to a file; it never returns from here. Threads of ours there are none."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        out = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        work()
        code = 0
    except BaseException:  # noqa: BLE001 (the top of a process)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def judge(outcome: Outcome, place: Place, cbsa: AuthorityProcess, died_s: Mapping[str, float]) -> None:
    """Compare the log, what clients were told, what went on the wire and what CBSA has."""
    history = History(publishes=list(_publishes(place)), attempts=list(_attempts(place, died_s)), taken=list(cbsa.history()))
    outcome.sends = len(history.attempts)
    log = SqliteLog.open(place.data, wall_ms)
    try:
        codec = Codec()
        opened = Opened(log, None, codec, None)
        history.answered.extend(_answered(opened))
        found = check(log, codec, history)
        raw = told(log, codec)
        found += _granted(raw, history)
    finally:
        log.close()
    outcome.broken += map(str, found)
    _count(outcome, history, raw)
    outcome.out_of_order += len(cbsa.order_violations())
    ended = {(each.mode, each.tenant, each.key): each.state for each in history.answered}
    if ended != ENDS:
        other = {"/".join(who): (ENDS.get(who), ended.get(who)) for who in ENDS.keys() | ended if ENDS.get(who) != ended.get(who)}
        outcome.broken.append(f"I7: not as the script ends, (expected, found): {other}")
    at_once = cbsa.stats()["posts_of_one_key_at_once_max"]
    if at_once > 1:
        outcome.broken.append(f"I4b: CBSA had {at_once} sends of one key open at once")


def _count(outcome: Outcome, history: History, raw: Mapping[str, Told]) -> None:
    """Messages that were lost, doubled or refused for their order, by CBSA's own history and by what was acknowledged."""
    captured = Counter(split_wire_key(row["idempotency_key"])[:3] for row in history.taken if row["outcome"] == "captured")
    wanted = {who for who, state in ENDS.items() if state == "captured"}
    never = {who for who in wanted if not captured[who]}
    gone = {
        (each.mode, each.tenant, each.key)
        for each in history.publishes
        if each.told == "acknowledged"
        and (each.mode not in raw or each.sha256 not in raw[each.mode].raw.get((each.tenant, each.key), ()))
    }
    twice = {who for who, times in captured.items() if times > 1 or who not in wanted}
    rejected = [row["idempotency_key"] for row in history.taken if row["outcome"] == "rejected"]
    astray = [key for key in rejected if split_wire_key(key)[2] not in MAY_BE_REJECTED]
    outcome.lost, outcome.doubled, outcome.out_of_order = len(never | gone), len(twice), len(astray)
    outcome.broken += [f"lost: {'/'.join(who)} was never captured" for who in sorted(never)]
    outcome.broken += [f"lost: {'/'.join(who)} was acknowledged and is not in the log" for who in sorted(gone)]
    outcome.broken += [f"doubled: {'/'.join(who)} was captured {captured[who]} times" for who in sorted(twice)]
    outcome.broken += [f"out of order: CBSA rejected {key}" for key in astray]


def _granted(lanes: Mapping[str, Told], history: History) -> Iterator[Broken]:
    """I4c: nothing goes on the wire more often than intents name it."""
    for wire_key, sends in Counter(each.wire_key for each in history.attempts).items():
        mode, tenant, key, _ = split_wire_key(wire_key)
        seen = lanes[mode].messages.get((tenant, key))
        intents = len(seen.intended) if seen is not None else 0
        if sends > intents:
            yield Broken("I4c", f"{wire_key} was sent {sends} times on {intents} intents")


def _publishes(place: Place) -> Iterator[Publish]:
    """What the provider was told of each publish, in order; of what it tried and heard nothing of, that it is not known."""
    told_of: set[tuple[int, str]] = set()
    unheard: dict[tuple[str, str, str], str] = {}
    for words in noted(place.told):
        match words:
            case ["step", int(number)] if isinstance(step := SCRIPT[number], Publishing):
                yield from _unsure(unheard)
                for each in step.messages:
                    if (number, each.attributes.key) not in told_of:
                        who = (each.attributes.mode, each.attributes.tenant, each.attributes.key)
                        unheard[who] = hashlib.sha256(each.payload).hexdigest()
            case ["receipt", int(number), mode, tenant, key, sha256, _, at_s]:
                del unheard[mode, tenant, key]
                told_of.add((number, key))
                yield Publish(mode=mode, tenant=tenant, key=key, sha256=sha256, told="acknowledged", at_s=float(at_s))
    yield from _unsure(unheard)


def _unsure(unheard: dict[tuple[str, str, str], str]) -> Iterator[Publish]:
    """What was tried and not heard of; it is tried again, or was the last."""
    for (mode, tenant, key), sha256 in unheard.items():
        yield Publish(mode=mode, tenant=tenant, key=key, sha256=sha256, told="unsure")
    unheard.clear()


def _attempts(place: Place, died_s: Mapping[str, float]) -> Iterator[Attempt]:
    """Each send from its first byte until its reply, or until its sender had died."""
    ended = {words[1]: float(words[2]) for words in noted(place.attempts) if words[0] == "ended"}
    for words in noted(place.attempts):
        if words[0] == "began":
            _, number, wire_key, sha256, sender, started_s = words
            end_s = ended.get(number, died_s.get(sender, NEVER_S))
            yield Attempt(wire_key=wire_key, sha256=sha256, sender=sender, started_s=float(started_s), ended_s=end_s)


def _answered(opened: Opened) -> Iterator[Answered]:
    """Where each message stands at the end, and why, as `tidegate why` tells it."""
    now_ms = wall_ms()
    for mode in MODES:
        state = lane_view(opened, mode).state
        for message in state.messages.values():
            yield Answered(
                mode=mode,
                tenant=message.tenant,
                key=message.key,
                state=message.state,
                reasons=tuple(f"{each.rule}: {each.sentence}" for each in why(state, message, at_ms=now_ms)),
                needs_person=bool(message.needs_person) or is_to_file(state, message, at_ms=now_ms),
            )


def play_into(case: Case, folder: Path, result: Path) -> None:
    """Play in a process of its own, and leave the outcome in a file."""
    result.write_text(json.dumps(asdict(play(case, folder))))
