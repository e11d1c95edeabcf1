"""Whatever the fold grants, the auditor finds nothing wrong with: two statements of the same rules, compared over random days."""

import random
from collections.abc import Callable
from typing import Any, Literal

import pytest

from audit.verify import verify
from lane.due import due_facts
from lane.policy import Policy
from lane.state import Message
from replay.planner import plan
from schemas.codec import encode
from schemas.facts import (
    AnswerOutcome,
    CaptureRevoked,
    ComponentOverridden,
    Fact,
    LaneReleased,
    LaneTaken,
    MessageFiled,
    MessageSettled,
    MessageWithdrawn,
    Scope,
    SendResult,
    SettledTo,
)
from schemas.streams import DESK, Entry
from tests.audit_world import World

SEEDS_COUNT = 10
STEPS_COUNT = 400
RESULTS: dict[SendResult, int] = {"transmitted": 6, "unknown": 2, "expired": 1, "not_taken": 1, "slow_down": 1, "refused": 1}
OUTCOMES: dict[AnswerOutcome, int] = {"captured": 5, "rejected": 2, "duplicate": 1, "notice": 1}
"""What may come back, and how often."""


class Day:
    """A random day in one lane: every writer does only what it may, in any order, and some answers come late or twice."""

    def __init__(self, seed: int, *, orderly: bool = False) -> None:
        self.random = random.Random(seed)
        self.mode = self.random.choice(["highway", "rail", "air", "marine"])
        self.world = World(self.mode)
        self.open: list[tuple[int, int, int]] = []
        self.orderly = orderly
        self.count = 0
        self.desk_acts: dict[tuple[str, str], int] = {}
        self.notices: list[str] = []

    def live(self) -> None:
        """Do one random thing after another."""
        if self.random.random() < 0.5:
            profile = self.random.choice(["careful", "cbsa-queues"])
            missing = self.random.choice(["wait", "send", "park"])
            self.world.adopt(Policy(profile=profile, missing=missing, settling_ms=60_000, missing_wait_ms=30_000).as_json())  # type: ignore[arg-type]
        self.world.take()
        acts: list[tuple[Callable[[], Any], int]] = [
            (self.publish, 8), (self.send, 12), (self.conclude, 14), (self.answer, 12), (self.status, 5), (self.due, 5),
            (self.notice, 2), (self.resolve, 3), (self.override, 1), (self.act, 2), (self.lease, 1), (self.intend_anything, 2),
            (self.late_answer, 1), (self.wait, 4),
        ]  # fmt: skip
        if self.orderly:
            strange = (self.act, self.lease, self.intend_anything, self.late_answer)
            acts = [(act, weight) for act, weight in acts if act not in strange]
        for _ in range(STEPS_COUNT):
            self.random.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()

    def messages(self, *states: str) -> list[Message]:
        return [each for each in self.world.view.state.messages.values() if each.state in states]

    def publish(self) -> None:
        pick = self.random.choice
        kind = pick(["cargo", "cargo", "conveyance", "house_bill", "close", "release", "conveyance_arrival", "cargo_arrival"])
        if self.mode == "highway" and kind == "conveyance_arrival":
            return
        ccn, bill, crn = [f"C{pick('123')}" for _ in range(2)], [f"H{pick('123')}" for _ in range(2)], [f"T{pick('12')}"]
        keys = {
            "cargo": {"ccn": ccn[:1], "crn": crn},
            "conveyance": {"crn": crn, "ccn": sorted(set(ccn))},
            "house_bill": {"house_bill": bill[:1], "primary_ccn": ccn[:1], "previous_ccn": pick([ccn[:1], ["H9"]])},
            "close": {"previous_ccn": pick([ccn[:1], ["H9"]]), "house_bill": sorted(set(bill)), "primary_ccn": ccn[:1]},
            "release": {"transaction": [f"R{pick('12')}"], "ccn": sorted(set(ccn))},
            "conveyance_arrival": {"crn": crn, "ccn": pick([[], ccn[:1]])},
            "cargo_arrival": {"ccn": ccn[:1]},
        }[kind]
        self.count += 1
        known = [each.key for each in self.world.view.state.messages.values()]
        fields: dict[str, Any] = {"keys": keys, "function": pick(["original"] * 4 + ["change", "cancel"])}
        if kind.endswith("arrival"):
            fields["occurred_at"] = "2023-11-14T22:00:00Z"
        if known and self.random.random() < 0.25:
            aside = [each for each in self.messages("rejected", "parked", "held") if each.kind == kind]
            if aside:
                target = pick(aside)
                fields[pick(["replaces", "corrects"])] = target.key
                fields["keys"] = {**keys, **self._own(target)}
        if self.mode == "highway" and self.random.random() < 0.1:
            fields["channel"] = "emanifest_portal"
        if self.random.random() < 0.1:
            fields["channel"] = "cig"
        again = known and len(fields) == 2 and self.random.random() < 0.05
        self.world.publish(pick(known) if again else f"k{self.count}", kind, tenant=pick(["acme"] * 3 + ["zeta"]), **fields)

    def _own(self, target: Message) -> dict[str, list[str]]:
        role = {
            "cargo": "ccn",
            "house_bill": "house_bill",
            "conveyance": "crn",
            "close": "previous_ccn",
            "release": "transaction",
        }
        return {role[target.kind]: [target.doc.key]} if target.kind in role else {}

    def send(self) -> None:
        chosen = plan(self.world.view.state, at_ms=self.world.now_ms, outstanding={})
        if chosen:
            self._intend([each.position for each in chosen[: self.random.randint(1, 5)]])

    def intend_anything(self) -> None:
        known = list(self.world.view.state.messages)
        if known:
            self._intend(self.random.sample(known, min(3, len(known))))

    def _intend(self, numbers: list[int]) -> None:
        grant = self.world.intend(*numbers)
        granted = self.world.view.state.grants.get(grant)
        if granted is not None:
            self.open += [(grant, number, self.world.epoch) for number in granted.members]

    def conclude(self) -> None:
        if self.open:
            grant, number, epoch = self.open.pop(self.random.randrange(len(self.open)))
            mine, self.world.epoch = self.world.epoch, epoch
            self.world.conclude(number, grant, self.random.choices(list(RESULTS), list(RESULTS.values()))[0])
            self.world.epoch = mine

    def answer(self) -> None:
        sent = self.messages("transmitted", "unknown", "granted", "captured")
        if sent:
            code = self.random.choice(["X9"] if self.orderly else ["E1", "X9", ""])
            self.world.answer(
                self.random.choice(sent).position, self.random.choices(list(OUTCOMES), list(OUTCOMES.values()))[0], code=code
            )

    def late_answer(self) -> None:
        known = list(self.world.view.state.messages)
        if known:
            self.world.answer(self.random.choice(known), self.random.choices(list(OUTCOMES), list(OUTCOMES.values()))[0])

    def status(self) -> None:
        asked = self.messages("unknown", "unknown", "transmitted")
        if asked:
            message = self.random.choice(asked)
            known = self.random.random() < 0.6
            outcome = self.random.choice([None, "captured", "rejected", "duplicate"]) if known else None
            self.world.status(message.position, known=known, outcome=outcome)  # type: ignore[arg-type]

    def due(self) -> None:
        for fact in due_facts(self.world.view.state, at_ms=self.world.now_ms):
            self.world.write(fact)

    def notice(self) -> None:
        pick = self.random.choice
        number = f"TCC26-{len(self.notices)}"
        self.notices.append(number)
        scheduled = self.random.random() < 0.3
        times = {"starts_ms": self.world.now_ms + 5_000, "ends_ms": self.world.now_ms + 40_000} if scheduled else {}
        scopes = [
            Scope(
                component=pick(["edi", "edi", "cig"]), direction=pick(["inbound", "outbound"]), scheduled=scheduled,
                effect=pick(["unavailable", "not_processing", "partial", "delayed"]), tenants=pick([(), (), ("zeta",)]), **times,
            )
            for _ in range(2)
        ]  # fmt: skip
        self.world.notice(number, "scheduled" if scheduled else "open", *scopes)

    def resolve(self) -> None:
        if self.notices:
            self.world.notice(self.random.choice(self.notices), "resolved")

    def override(self) -> None:
        to: Literal["open", "hold"] = self.random.choice(["open", "open", "hold"])
        fact = ComponentOverridden(
            at_ms=self.world.now_ms,
            component="edi",
            direction="inbound",
            to=to,
            person="o",
            reason="r",
            basis=-1,
        )
        position = self.world.log.append(DESK, [Entry(encode(fact))])[0]
        source = self.world.source(DESK, position)
        self.world.write(
            ComponentOverridden(
                at_ms=fact.at_ms,
                component="edi",
                direction="inbound",
                to=fact.to,
                person="o",
                reason="r",
                basis=-1,
                source=source,
            )
        )

    def act(self) -> None:
        known = list(self.world.view.state.messages.values())
        if not known:
            return
        message = self.random.choice(known)
        basis = self.random.choice([message.act, message.act, message.position])
        who: dict[str, Any] = {
            "at_ms": self.world.now_ms, "message": message.position, "basis": basis, "person": "o", "reason": "r"
        }  # fmt: skip
        to: SettledTo = self.random.choice(["held", "captured", "rejected", "withdrawn"])
        acts: list[Fact] = [
            MessageWithdrawn(**who),
            MessageFiled(**who, reference="x"),
            MessageSettled(**who, to=to, evidence="e"),
            CaptureRevoked(**who, notice="n"),
        ]
        self.world.write(self.random.choice(acts))

    def lease(self) -> None:
        if self.random.random() < 0.5 and not self.world.view.state.grants:
            self.world.write(LaneReleased(at_ms=self.world.now_ms, epoch=self.world.epoch))
        self.world.take()

    def wait(self) -> None:
        self.world.pass_time(self.random.choice([1, 5, 30, 120]))


@pytest.mark.parametrize("seed", range(SEEDS_COUNT))
def test_what_the_fold_grants_the_auditor_finds_in_order(seed: int) -> None:
    """I2, I3, I4, I6: no false alarm on a log that is right, whatever came in which order."""
    day = Day(seed)
    day.live()
    report = verify(day.world.log, day.world.codec)
    assert [] == [str(finding) for finding in report.findings]


@pytest.mark.parametrize("seed", range(SEEDS_COUNT))
def test_on_an_orderly_day_the_auditor_counts_what_the_fold_counts(seed: int) -> None:
    """V8: two tables of states come to the same figures, where no act and no answer was void."""
    day = Day(seed, orderly=True)
    day.live()
    report = verify(day.world.log, day.world.codec)
    assert [] == [str(finding) for finding in report.findings]
    mine, theirs = day.world.view.state.counts, report.lanes[day.mode]
    assert [mine[name] for name in ("captured", "filed", "withdrawn")] == [theirs[n] for n in ("captured", "filed", "withdrawn")]


def test_a_taking_that_comes_too_late_is_no_sign_of_the_holders_life() -> None:
    """R43, V4: it names the epoch in force and is void; who takes the lane for silent then holds it, for both (seed 557)."""
    world = World()
    world.take()
    message = world.publish("a")
    world.pass_time(10)
    seen = world.view.next_position
    for epoch in (1, 2):
        world.write(LaneTaken(at_ms=world.now_ms, epoch=epoch, holder=f"standby-{epoch}", basis="silent", seen=seen))
    world.epoch = 2
    world.pass_time(20)
    world.send(message)
    assert "transmitted" == world.message(message).state
    assert verify(world.log, world.codec).ok
