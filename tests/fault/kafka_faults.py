"""Real Kafka brokers struck while the whole product publishes and drains: `python -m tests.fault.kafka_faults`; must not judge.

    python -m tests.fault.kafka_faults --size full --only leader-drain --rounds 3

Each scenario has a log of its own on one cluster of three brokers, with two `tidegate up`, two providers that publish all the
time and a simulated CBSA, each a process. When its rounds are over and all is at rest, `kafka_judge` looks at what it came to.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.figures import positive
from eventlog.port import LogError
from lane.policy import Policy
from schemas.streams import DESK, inbound, lane
from tests.fault.kafka_brokers import Brokers, brokers
from tests.fault.kafka_judge import Judged, acknowledged_between, judge, sent_between
from tests.fault.kafka_provider import MODE
from tests.fault.kafka_run import FEW, Moment, Reached, Run, now, running
from tests.fault.kafka_ways import LaggingWay, Ways
from tests.kafka_cluster import BrokersUnavailable

SUITE: Final = "kafka_faults"

WHAT: Final = (
    "Three real Kafka brokers were killed, restarted, frozen and cut off, or their answers lost and requests late, under two "
    "`tidegate up`, two providers that published all the time, and drains."
)

ROUNDS: Final = 5
"""Of a scenario in the full size."""

SHORT_ROUNDS: Final = 20
"""Of one whose rounds take seconds."""

DRAIN_GROUPS: Final = 80
"""A backlog of 320 messages: some six seconds of drain, and as long as a change of leader takes on top."""

LONG_DRAIN_GROUPS: Final = 150
"""For five kills in one drain: 600 messages, for hardly anything moves while leaders change."""

DOWN_S: Final = 9.0
"""How long too few brokers run: past *lag_max* (5 s), after which nobody may send, and some seconds in which nobody does."""

FROZEN_S: Final = 2.0
"""How long followers stand still: time for appends that the leader alone has, well under a broker's session (6 s)."""

DARK_ROOM_MS: Final = 1_000
"""A send that began in time comes in this much later at most: `LATENCY_MS` and a busy machine."""

HELD_GROUPS: Final = 10
"""Groups in an append that nobody hears of: each of its messages is written twice, and must have one effect."""

LATE_S: Final = 3.0
"""How long what was late is late, after others went on."""

SHORT: Final = Policy(delta_ms=1_000, tau_ms=2_000, ttl_ms=1_500)
"""Timers for the sample, as small as a busy machine keeps; the full size has everybody's."""

HELD: Final = ("lost", "at once", "late")
"""What becomes of what a way held, in turn: lost with its connections, or done when the way is open, or after others passed."""


def leader_in_publish(run: Run, draw: random.Random) -> None:
    """The leader of [inbound] is killed while providers publish, and comes back when they go on."""
    time.sleep(draw.uniform(0, 1))
    number = run.leader(inbound(MODE))
    run.resumed(run.kill(number))
    run.heal(number)


def leader_in_drain(run: Run, draw: random.Random) -> None:
    """The leader of [lane] is killed in a drain, and comes back when it goes on."""
    run.begin_drain(DRAIN_GROUPS)
    time.sleep(draw.uniform(0, 1))
    number = run.leader(lane(MODE))
    run.resumed(run.kill(number))
    run.heal(number)
    run.drained()


def five_bounces(run: Run, draw: random.Random) -> None:
    """Five kills in one drain, each as soon as the last one serves again: three streams' leaders, the controller, a follower."""
    run.begin_drain(LONG_DRAIN_GROUPS)
    roles: list[Callable[[], int]] = [
        *(partial(run.leader, stream) for stream in (inbound(MODE), lane(MODE), DESK)),
        run.brokers.controller,
        lambda: draw.choice(_followers(run)),
    ]
    draw.shuffle(roles)
    struck = []
    for role in roles:
        number = role()
        struck.append(run.kill(number))
        run.brokers.back(number)
    assert run.waited[-1] > FEW, "the drain was over before the last kill: it fell into nothing"
    run.resumed(struck[0], since=struck[-1])
    run.until_whole()
    run.drained()


def rolling_restart(run: Run, draw: random.Random) -> None:
    """Each broker in turn is stopped in order in a drain and started, the next when all copies are in sync."""
    for number in draw.sample(run.brokers.numbers, len(run.brokers.numbers)):
        run.begin_drain(DRAIN_GROUPS)
        stopped = run.stop(number)
        run.heal(number)
        run.resumed(stopped)
    run.drained()


def two_down(run: Run, draw: random.Random) -> None:
    """Two of three are killed and stay down: nothing is acknowledged, nothing is sent; they come back and it goes on."""
    _down(run, draw, draw.sample(run.brokers.numbers, 2))


def all_down(run: Run, draw: random.Random) -> None:
    """All three are killed and stay down, and come back."""
    _down(run, draw, run.brokers.numbers)


def leader_alone(run: Run, draw: random.Random) -> None:
    """Followers stand still while the leader of [inbound] takes what it can't hand on; it dies, they wake up and lead; it comes
    back and must forget what it alone had."""
    time.sleep(draw.uniform(0, 1))
    leader = run.leader(inbound(MODE))
    others = [number for number in run.brokers.numbers if number != leader]
    for number in others:
        run.brokers.signal(number, signal.SIGSTOP)
    time.sleep(FROZEN_S)
    struck = run.kill(leader)
    for number in others:
        run.brokers.signal(number, signal.SIGCONT)
    run.resumed(struck)
    run.heal(leader)


def holder_cut_off(run: Run, draw: random.Random) -> None:
    """The holder loses all brokers while CBSA is in reach; the standby takes over (R43). What the holder had on its way is lost,
    or comes at once when it is back, or after others."""
    _part(run, draw, LaggingWay.hold)


def holder_deaf(run: Run, draw: random.Random) -> None:
    """What the holder asks of brokers is done and it never hears: its facts are in the log, and it knows of none."""
    _part(run, draw, LaggingWay.hold_answers)


def answers_lost(run: Run, draw: random.Random) -> None:
    """Providers' appends are done and the answers are lost: they are unsure, publish again, and each message has one effect."""
    ways = _of_providers(run)
    time.sleep(draw.uniform(0, 1))
    struck = run.about_to_strike()
    ways.each(LaggingWay.hold_answers)
    _until_unsure(run, struck)
    back = now()
    ways.each(LaggingWay.cut)
    run.resumed(struck, since=back)


def appends_late(run: Run, draw: random.Random) -> None:
    """Providers' appends are held until they gave up, published again and were acknowledged; then they are done all the same."""
    ways = _of_providers(run)
    time.sleep(draw.uniform(0, 1))
    struck = run.about_to_strike()
    ways.each(LaggingWay.hold)
    _until_unsure(run, struck)
    back = now()
    ways.each(LaggingWay.pass_new)
    run.resumed(struck, since=back)
    time.sleep(draw.uniform(0, LATE_S))
    ways.each(LaggingWay.deliver_late)


def _followers(run: Run) -> list[int]:
    """Who leads neither what providers write to nor what the holder does."""
    leaders = {run.leader(inbound(MODE)), run.leader(lane(MODE))}
    return [number for number in run.brokers.numbers if number not in leaders]


def _down(run: Run, draw: random.Random, numbers: Sequence[int]) -> None:
    run.begin_drain(DRAIN_GROUPS)
    time.sleep(draw.uniform(0, 1))
    struck = run.kill(*numbers)
    down = now()
    time.sleep(DOWN_S)
    back = now()
    for provider in run.providers:
        keys = acknowledged_between(provider.words, down.monotonic_s, back.monotonic_s)
        run.broken += [
            f"I1a: {provider.tenant}/{key} was acknowledged while {len(numbers)} of 3 brokers were down" for key in keys
        ]
    dark_ms = down.wall_ms + run.policy.lag_max_ms + DARK_ROOM_MS
    sent = sent_between(run.watch.look(), dark_ms, back.wall_ms)
    run.broken += [f"I2d: {key} was sent while nobody could read the log" for key in sent]
    run.heal(*numbers)
    run.resumed(struck, since=back)
    run.drained()


def _part(run: Run, draw: random.Random, how: Callable[[LaggingWay], None]) -> None:
    run.begin_drain(DRAIN_GROUPS)
    before, name = run.watch.holder()
    ways = next(ways for pid, ways in run.ups.items() if f"-{pid}-" in name)
    assert ways is not None
    assert ways.connections > 0, "the ways were not taken: a cut would test nothing"
    struck = run.about_to_strike()
    ways.each(how)
    run.until(
        lambda: any(epoch > before and each.granted for epoch, each in list(run.watch.tenures.items())), "a standby to take over"
    )
    run.resumed(struck)
    match draw.choice(("lost", "at once", "late")):
        case "lost":
            ways.each(LaggingWay.cut)
        case "at once":
            ways.each(LaggingWay.let_go)
        case _:
            ways.each(LaggingWay.pass_new)
            time.sleep(draw.uniform(0, LATE_S))
            ways.each(LaggingWay.deliver_late)
    run.drained()


def _of_providers(run: Run) -> Ways:
    assert run.provider_ways is not None
    assert run.provider_ways.connections > 0, "the ways were not taken: holding them would test nothing"
    return run.provider_ways


def _until_unsure(run: Run, since: Moment) -> None:
    """Wait until each provider has given up; most have so many groups in one append then."""
    for provider in run.providers:
        provider.burst(HELD_GROUPS)
    run.until(lambda: all(each.unsure_since(since.monotonic_s) for each in run.providers), "providers to be unsure")


class Scenario(NamedTuple):
    """What happens in a round, who reaches the brokers by ways for it, and how many rounds the full size has."""

    strike: Callable[[Run, random.Random], None]
    reached: Reached = "straight"
    rounds: int = ROUNDS


SCENARIOS: Final[dict[str, Scenario]] = {
    "leader-publish": Scenario(leader_in_publish),
    "leader-drain": Scenario(leader_in_drain),
    "bounces": Scenario(five_bounces),
    "rolling": Scenario(rolling_restart),
    "two-down": Scenario(two_down),
    "all-down": Scenario(all_down),
    "leader-alone": Scenario(leader_alone),
    "holder-cut-off": Scenario(holder_cut_off, "ups by ways"),
    "holder-deaf": Scenario(holder_deaf, "ups by ways"),
    "answers-lost": Scenario(answers_lost, "providers by ways", SHORT_ROUNDS),
    "appends-late": Scenario(appends_late, "providers by ways", SHORT_ROUNDS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Scenarios on one log, so many rounds of each."""

    names: tuple[str, ...]
    rounds: int
    reached: Reached
    policy: Policy


def plays(size: str, *, only: str | None, rounds: int | None) -> list[Play]:
    """What is played: each scenario on a log of its own; the sample is two on one."""
    if only is None and size == "sample":
        return [Play(names=("holder-cut-off", "leader-drain"), rounds=rounds or 1, reached="ups by ways", policy=SHORT)]
    is_full = size == "full"
    policy = Policy() if is_full else SHORT
    return [
        Play(names=(name,), rounds=rounds or (each.rounds if is_full else 1), reached=each.reached, policy=policy)
        for name, each in SCENARIOS.items()
        if only in (None, name)
    ]


def played(cluster: Brokers, play: Play, *, seed: int, tell: Callable[[str], None]) -> Judged:
    """Play it and judge it. Raises AssertionError when it never came to rest, or did not test what it is there for."""
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-struck-") as folder,
        running(cluster, Path(folder), policy=play.policy, reached=play.reached) as run,
    ):
        for number in range(play.rounds):
            for name in play.names:
                began_s = time.monotonic()
                SCENARIOS[name].strike(run, random.Random(f"{seed}/{name}/{number}"))
                took_s = time.monotonic() - began_s
                tell(f"{name} {number + 1}/{play.rounds}: {took_s:.0f} s, went on after {run.strikes[-1].resumed_s:.1f} s")
        return judge(run)


class Progress:
    """A line on standard error for each round: how many of all, how long it takes until the end."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self._began_s = time.monotonic()

    def tell(self, what: str) -> None:
        """One more round is done."""
        self._done += 1
        took_s = time.monotonic() - self._began_s
        left_s = took_s / self._done * (self._count - self._done)
        rate = f"{60 * self._done / took_s:.1f} a minute, {left_s:.0f} s left"
        print(f"{self._done:3}/{self._count} {took_s:5.0f} s  {what}; {rate}", file=sys.stderr, flush=True)


def run_all(asked: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Play what is asked for; the figures by scenario, and every broken promise with the command that repeats it."""
    todo = plays(asked.size, only=asked.only, rounds=asked.rounds)
    progress = Progress(sum(play.rounds * len(play.names) for play in todo))
    found: dict[str, Any] = {}
    broken: list[str] = []
    with brokers() as cluster:
        for play in todo:
            name = " and ".join(play.names)
            began_s = time.monotonic()
            try:
                judged = played(cluster, play, seed=asked.seed, tell=progress.tell)
            except (AssertionError, TimeoutError, subprocess.TimeoutExpired, LogError, OSError) as error:
                sentences = [f"{type(error).__name__}: {error}"]
            else:
                sentences = judged.broken
                found[name] = {**asdict(judged.figures), "rounds": play.rounds, "seconds": round(time.monotonic() - began_s, 1)}
                print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
            if sentences:
                again = f"python -m tests.fault.{SUITE} --size {asked.size} --seed {asked.seed} --rounds {play.rounds}"
                again += f" --only {asked.only}" if asked.only else ""
                again += f" --only {play.names[0]}" if not asked.only and len(play.names) == 1 else ""
                for sentence in sentences:
                    print(f"BROKEN in {name}: {sentence}", file=sys.stderr)
                print(f"again: {again}", file=sys.stderr, flush=True)
                broken += [f"{name}: {sentence}" for sentence in sentences]
    return found, broken


def whole(found: dict[str, Any]) -> dict[str, Any]:
    """The figures of all scenarios together, and each one's own."""
    added = ("rounds", "strikes", "bounces", "published", "captured", "lost", "doubled", "out_of_order", "unsure", "refused",
             "written_twice", "takeovers")  # fmt: skip
    longest = ("publish_silence_s", "send_silence_s", "resumed_s")
    return {
        "scenarios": len(found),
        **{name: sum(each[name] for each in found.values()) for name in added},
        **{name: max((each[name] for each in found.values()), default=0.0) for name in longest},
        "by_scenario": found,
    }


def main() -> None:
    """Run, tell, and end with 1 when something is broken."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.fault.{SUITE}", description=__doc__)
    parser.add_argument("--size", choices=("full", "sample"), default="sample", help="sample: two scenarios once (the default)")
    parser.add_argument("--only", choices=tuple(SCENARIOS), help="one scenario alone")
    parser.add_argument("--rounds", type=positive, help=f"of each (default: {ROUNDS} or {SHORT_ROUNDS}; in the sample 1)")
    parser.add_argument("--seed", type=int, default=1, help="where within a second each fault falls, and on whom (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    began_s = time.monotonic()
    try:
        found, broken = run_all(asked)
    except BrokersUnavailable as error:
        sys.exit(str(error))
    said = {
        "suite": SUITE, "what": WHAT, "size": asked.size, "seed": asked.seed, "figures": whole(found), "broken": broken,
        "seconds": round(time.monotonic() - began_s, 1), "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(said, indent=1) + "\n")
    print(f"{SUITE}: {len(broken)} broken in {said['seconds']} s; {json.dumps(whole(found) | {'by_scenario': list(found)})}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
