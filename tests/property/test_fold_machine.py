"""The fold under any order of facts: counts true, nothing granted on hold or out of order, every message explained.

The oracle of order reads facts only: what was published, granted and answered, and asks nothing of `lane.order`.
"""

import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from lane import fold
from lane.canonical import canonical
from lane.due import due_facts
from lane.grants import refusal
from lane.message import NOWHERE
from lane.ready import DRAINED, READY, Ready
from lane.state import LaneState, Message
from lane.why import why
from schemas.facts import LaneFact, Scope
from tests.unit.lane_story import Story

ROOT = Path(__file__).parent.parent.parent
SHIPMENTS = st.sampled_from(["A1", "A2", "A3"])
BILLS = st.sampled_from(["H1", "H2", "H3"])
TRIPS = st.sampled_from(["T1", "T2"])
FUNCTIONS = st.sampled_from(["original", "original", "original", "change", "cancel"])
TENANTS = st.sampled_from(["acme", "zeta"])
CHANNELS = st.sampled_from(["edi", "edi", "edi", "swi", "emanifest_portal"])
EFFECTS = st.sampled_from(["unavailable", "not_processing", "partial", "delayed", "relogon"])

RESULTS = st.sampled_from(
    ["transmitted", "transmitted", "transmitted", "refused", "not_taken", "slow_down", "unknown", "expired"]
)


class Oracle:
    """What is on file and pending, told from the facts alone and by other means than the fold's."""

    def __init__(self, state: LaneState) -> None:
        self.state = state
        self.groups = ("conveyance", "close") if state.mode in ("highway", "rail") else ("close",)

    def on_file(self, doc: object) -> bool:
        """R12: of all captured and filed messages of a document the one filed last speaks."""
        filed = [each for each in self.state.messages.values() if each.doc is doc and each.filing >= 0]
        return bool(filed) and max(filed, key=lambda each: each.filing).function != "cancel"

    def violations(self, granted: list[Message], *, grace: bool, answers_late: bool) -> list[str]:
        """E1, E3 and R13 for what one intent was granted, judged on the state after it: grants change no document."""
        found = []
        for message in granted:
            for other in self.state.messages.values():
                if other.doc is not message.doc or other is message or other.place >= message.place:
                    continue
                passed = (message.function, other.function) == ("original", "change")
                waits = other.state in ("granted", "transmitted", "unknown") or (other.state == "held" and not passed)
                if waits and not (other.settled and answers_late):
                    found.append(f"R13: {message} before {other}")
            if message.kind in self.groups and message.function != "cancel":
                for doc in message.listed:
                    seen = [each for each in doc.queue if each.function != "cancel"]
                    if not self.on_file(doc) and (seen or not grace) and not (doc.settled and answers_late):
                        found.append(f"E1 or E3: {message} before {doc}")
        return found


class Lane(RuleBasedStateMachine):
    """Everything that may happen to a lane, in any order."""

    keys: Bundle[str] = Bundle("keys")

    @initialize(mode=st.sampled_from(["highway", "rail", "marine"]), drain=st.sampled_from(["automatic", "operator"]))
    def begin(self, mode: str, drain: str) -> None:
        self.story = Story(mode, drain=drain, rate_max_per_s=None, in_flight_max=3)
        self.story.take_lane()
        self.captured: set[str] = set()
        self.count = 0

    def _key(self) -> str:
        self.count += 1
        return f"m{self.count}"

    @rule(target=keys, ccn=SHIPMENTS, crn=st.none() | TRIPS, function=FUNCTIONS, tenant=TENANTS, channel=CHANNELS)
    def cargo(self, ccn: str, crn: str | None, function: str, tenant: str, channel: str) -> str:
        key = self._key()
        self.story.cargo(ccn, crn=crn, key=key, function=function, tenant=tenant, channel=channel)
        return key

    @rule(target=keys, crn=TRIPS, ccns=st.sets(SHIPMENTS, max_size=3), function=FUNCTIONS, channel=CHANNELS)
    def trip(self, crn: str, ccns: set[str], function: str, channel: str) -> str:
        key = self._key()
        self.story.trip(crn, *sorted(ccns), key=key, function=function, channel=channel)
        return key

    @rule(target=keys, bill=BILLS, primary=SHIPMENTS, previous=st.none() | BILLS | SHIPMENTS, function=FUNCTIONS)
    def house_bill(self, bill: str, primary: str, previous: str | None, function: str) -> str:
        key = self._key()
        self.story.house_bill(bill, primary=primary, previous=previous, key=key, function=function)
        return key

    @rule(target=keys, previous=SHIPMENTS | BILLS, bills=st.sets(BILLS, max_size=3), function=FUNCTIONS)
    def close(self, previous: str, bills: set[str], function: str) -> str:
        key = self._key()
        self.story.close(previous, *sorted(bills), key=key, function=function)
        return key

    @rule(target=keys, ccns=st.sets(SHIPMENTS, max_size=2), image=st.none() | st.just("I1"), tenant=TENANTS)
    def release(self, ccns: set[str], image: str | None, tenant: str) -> str:
        key = self._key()
        self.story.release(f"R{len(ccns)}", *sorted(ccns), image=image, key=key, tenant=tenant)
        return key

    @rule(target=keys, crn=TRIPS, ccns=st.sets(SHIPMENTS, max_size=2), ahead_s=st.integers(-100, 100))
    def arrival(self, crn: str, ccns: set[str], ahead_s: int) -> str:
        key = self._key()
        self.story.arrival(crn, *sorted(ccns), key=key, occurred_ms=self.story.at_ms + ahead_s * 1_000)
        return key

    @rule(target=keys, ccn=SHIPMENTS, late_s=st.none() | st.integers(1, 600))
    def cargo_arrival(self, ccn: str, late_s: int | None) -> str:
        key = self._key()
        until_ms = None if late_s is None else self.story.at_ms + late_s * 1_000
        self.story.cargo_arrival(ccn, key=key, not_after_ms=until_ms)
        return key

    @rule(target=keys, named=keys, field=st.sampled_from(["replaces", "corrects"]))
    def stand_in(self, named: str, field: str) -> str:
        """The same document again in another message's place; a trip comes back with less on it."""
        key, was = self._key(), self.story[named]
        own = {"conveyance": "crn", "close": "previous_ccn", "cargo": "ccn", "house_bill": "house_bill"}.get(was.kind)
        if own is None:
            self.story.image("I1", key=key, **{field: named})
        else:
            listed = tuple(doc.key for doc in was.listed[1:])
            group = {"conveyance": "ccn", "close": "house_bill"}.get(was.kind, "crn")
            keys = {own: (was.doc.key,)} | ({group: listed} if listed else {})
            self.story.publish(was.kind, was.doc.key, keys, key=key, tenant=was.tenant, function=was.function, **{field: named})
        return key

    @rule(key=keys)
    def publish_again(self, key: str) -> None:
        """R10: other bytes under a known key change nothing."""
        message, before = self.story[key], dict(self.story.state.counts)
        self.story.cargo("A1", key=key, tenant=message.tenant, sha256="other")
        assert before == self.story.state.counts

    @rule(
        incident=st.sampled_from(["TCC1", "TCC2"]), component=st.sampled_from(["edi", "swi", "emanifest_portal"]), effect=EFFECTS,
        direction=st.sampled_from(["inbound", "inbound", "outbound"]), tenants=st.sampled_from([(), (), ("acme",)]),
        window=st.none() | st.tuples(st.integers(-50, 50), st.integers(51, 500)),
    )  # fmt: skip
    def declare(
        self, incident: str, component: str, effect: str, direction: str, tenants: tuple[str, ...], window: tuple[int, int] | None
    ) -> None:
        times = {} if window is None else {"starts_s": window[0], "ends_s": window[1]}
        self.story.declare(component, direction=direction, effect=effect, incident=incident, tenants=tenants, **times)

    @rule(incident=st.sampled_from(["TCC1", "TCC2", "TCC3"]))
    def resolve(self, incident: str) -> None:
        self.story.resolve(incident)

    @rule(component=st.sampled_from(["edi", "swi"]), to=st.sampled_from(["open", "open", "hold"]))
    def override(self, component: str, to: str) -> None:
        self.story.override(component, to=to)

    @rule(seconds=st.sampled_from([1, 10, 100, 700, 2_000]))
    def wait(self, seconds: int) -> None:
        """Time passes, and the runner writes what is due."""
        self.story.wait(seconds)
        for fact in due_facts(self.story.state, at_ms=self.story.at_ms):
            found = self.story.say(fact)
            assert not [each for each in found if each.rule == "R6"], "due_facts wrote a fact before its time"

    @rule(act=st.sampled_from(["start", "pause", "resume", "abort", "rate"]), channel=st.sampled_from(["edi", "swi"]))
    def replay(self, act: str, channel: str) -> None:
        if self.story.state.channel(channel).drain is not None:
            self.story.replay(act, channel=channel)

    @rule(chosen=st.lists(keys, min_size=1, max_size=6, unique=True), late_ms=st.sampled_from([0, 0, 500]))
    def intend(self, chosen: list[str], late_ms: int) -> None:
        """I2a and I3: what is granted is on no hold and breaks no order that the oracle knows."""
        state, at_ms = self.story.state, self.story.at_ms - late_ms
        on_hold = {key for key in chosen if self._on_hold(self.story[key], at_ms)}
        late = any(
            scope.direction == "outbound" and scope.effect != "relogon" and self._begun(scope, state.now_ms)
            for scope in self._scopes()
        )
        self.story.intend(*chosen, at_ms=at_ms)
        granted = [self.story[key] for key in chosen if self.story[key].grant == self.story.position]
        assert not [str(message) for message in granted if message.key in on_hold]
        for message in granted:
            assert [] == Oracle(state).violations([message], grace=message.grace >= 0, answers_late=late)
        assert all(count <= 3 for count in Counter(message.channel for message in granted).values())

    def _on_hold(self, message: Message, at_ms: int) -> bool:
        """The set semantics of R30, told again: every scope that was declared and not ended, for this tenant."""
        needs = {"edi": {"edi"}, "swi": {"edi", "swi"}}.get(message.channel)
        if needs is None:
            return True
        return any(
            scope.component in needs and scope.direction == "inbound" and scope.effect not in ("delayed", "relogon")
            and (not scope.tenants or message.tenant in scope.tenants)
            and self._begun(scope, at_ms)
            for scope in self._scopes()
        )  # fmt: skip

    def _scopes(self) -> list[Scope]:
        outages = self.story.state.outages.values()
        return [scope for outage in outages for number, scope in enumerate(outage.scopes) if number not in outage.ended]

    @staticmethod
    def _begun(scope: Scope, at_ms: int) -> bool:
        return not scope.scheduled or (scope.starts_ms or 0) <= at_ms

    @rule(key=keys, result=RESULTS)
    def conclude(self, key: str, result: str) -> None:
        if self.story[key].grant >= 0:
            self.story.concluded(key, result)

    @rule(
        key=keys, outcome=st.sampled_from(["captured", "captured", "rejected", "duplicate"]), code=st.sampled_from(["T36", "E1"])
    )
    def answer(self, key: str, outcome: str, code: str) -> None:
        """Nothing regresses by an answer (R52)."""
        message = self.story[key]
        if message.grant >= 0:
            was = message.state
            self.story.answer(key, outcome, code=code)
            assert was not in ("captured", "filed") or message.state == was

    @rule(key=keys, known=st.booleans(), outcome=st.sampled_from([None, "captured", "rejected"]))
    def status(self, key: str, known: bool, outcome: str | None) -> None:
        if self.story[key].grant >= 0:
            self.story.status(key, known=known, outcome=outcome if known else None)

    @rule(key=keys, act=st.sampled_from(["withdraw", "filed", "revoke"]))
    def act(self, key: str, act: str) -> None:
        getattr(self.story, act)(key)
        if act == "revoke":
            self.captured.discard(key)

    @rule(key=keys, to=st.sampled_from(["held", "captured", "rejected", "withdrawn"]))
    def settle(self, key: str, to: str) -> None:
        self.story.settle(key, to)
        self.captured.discard(key)

    @rule(basis=st.sampled_from(["dead", "silent", "released"]))
    def take(self, basis: str) -> None:
        """R44: a new holder leaves no grant open."""
        found = self.story.take_lane(basis)
        assert any(each.void for each in found) or {} == self.story.state.grants

    @invariant()
    def captured_stays_captured(self) -> None:
        """Captured leaves only by `CaptureRevoked` and `settle`."""
        if not hasattr(self, "story"):
            return
        now = {message.key for message in self.story.state.messages.values() if message.state == "captured"}
        assert self.captured <= now
        self.captured = now

    @invariant()
    def every_message_is_explained(self) -> None:
        """I7b: `why` is total."""
        if not hasattr(self, "story"):
            return
        for message in self.story.state.messages.values():
            reasons = why(self.story.state, message, at_ms=self.story.at_ms)
            assert reasons
            assert all(reason.rule and reason.sentence for reason in reasons)

    @invariant()
    def documents_are_what_the_oracle_says(self) -> None:
        """R12, told by two ways."""
        if not hasattr(self, "story"):
            return
        oracle = Oracle(self.story.state)
        for doc in self.story.state.all_documents():
            assert oracle.on_file(doc) == doc.on_file

    def teardown(self) -> None:
        """I5a: folded again, in one go, with a planner that took the hints away, the state is the same to the byte."""
        if not hasattr(self, "story"):
            return
        again = LaneState(self.story.state.mode)
        for position, fact in self.story.log:
            for channel in again.channels.values():
                for message in (*channel.ready, *channel.drained):
                    message.heap = NOWHERE
                channel.ready, channel.drained = Ready(READY), Ready(DRAINED)
            fold.apply(again, position, fact)
        assert canonical(self.story.state) == canonical(again)


def random_log(seed: int) -> list[tuple[int, LaneFact]]:
    """A log of a few hundred facts from a seed: publish, close, open, send, answer, in no order worth the name."""
    dice, story = Random(seed), Story("rail", drain="operator", rate_max_per_s=None)
    story.take_lane()
    keys: list[str] = []
    for number in range(150):
        key = f"m{number}"
        match dice.randrange(6):
            case 0:
                story.trip(f"T{dice.randrange(4)}", *(f"A{each}" for each in dice.sample(range(9), 3)), key=key)
            case 1:
                story.release(f"R{number}", f"A{dice.randrange(9)}", key=key)
            case 2:
                story.arrival(f"T{dice.randrange(4)}", key=key)
            case _:
                story.cargo(f"A{dice.randrange(9)}", key=key, tenant=dice.choice(["acme", "zeta"]))
        keys.append(key)
        match dice.randrange(30):
            case 0:
                story.declare()
            case 1:
                story.resolve()
            case 2:
                story.override()
        chosen = dice.sample(keys, min(len(keys), 5))
        story.wait(1).intend(*chosen)
        for each in (each for each in chosen if story[each].grant == story.position and dice.random() < 0.9):
            story.concluded(each, dice.choice(["transmitted", "transmitted", "unknown", "not_taken"]))
            story.answer(each, dice.choice(["captured", "captured", "rejected"]), code="E1")
    return story.log


def digest(seed: int) -> str:
    """The SHA-256 of the state that a seed's log folds to."""
    state = LaneState("rail")
    for position, fact in random_log(seed):
        fold.apply(state, position, fact)
    return sha256(canonical(state)).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_i5_the_state_is_the_same_to_the_byte_under_any_hash_seed(hash_seed: str) -> None:
    """I5a: no set and no dict of the fold lets Python's own salt in."""
    code = "from tests.property.test_fold_machine import digest; print(digest(7))"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert digest(7) == told.stdout.strip()


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 300))
@settings(max_examples=15, deadline=None)
def test_i5_a_log_folded_in_pieces_gives_the_same_bytes(seed: int, cut: int) -> None:
    """I5a: reading the state in between, and asking `why`, leaves no trace."""
    log = random_log(seed)
    whole, pieces = LaneState("rail"), LaneState("rail")
    for position, fact in log:
        fold.apply(whole, position, fact)
    for position, fact in log[:cut]:
        fold.apply(pieces, position, fact)
    canonical(pieces)
    for message in pieces.messages.values():
        why(pieces, message, at_ms=pieces.now_ms + 10**9)
        refusal(pieces, message, at_ms=pieces.now_ms + 10**9)
    for position, fact in log[cut:]:
        fold.apply(pieces, position, fact)
    assert canonical(whole) == canonical(pieces)


Lane.TestCase.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestLane = Lane.TestCase
