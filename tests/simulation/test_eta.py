"""A drain's ETA is right within a fifth from its first minute on: many shapes, the product's own workers, virtual time."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from lane.forecast import Forecast, forecast
from lane.policy import Policy
from lane.state import Channel, LaneState
from schemas.cloudevents import to_headers
from schemas.codec import encode, schema_entries
from schemas.facts import PolicyAdopted, ReplayChanged
from schemas.messages import Attributes, parse_attributes
from schemas.streams import BULLETINS, DESK, SCHEMAS, Entry, inbound, lane
from tests.simulation.authority import SimulatedAuthority
from tests.simulation.clockwork import EPOCH_MS, Clockwork
from tests.simulation.process import Process

OPENED_S = 30.0
"""When CBSA says *resolved*: by then everything is published and held."""

OFF_MAX = 0.2
"""How far an ETA may be off what is really left to wait."""

OFF_MAX_S = 3.0
"""Or so little that nobody minds: in the last seconds of a drain a fact is a large part of what is left."""

LONGEST_S = 900.0


@dataclass
class Shape:
    """A drain: what is held, the policy it goes by, how long CBSA takes to answer at most, and what people do meanwhile.

    `chance_s`: where answers bind the drain, its last so many seconds are chance: one answer's time, or in a chain that of its
    last 33, for the sum of fewer strays from its average by more than a fifth too often (0.58 / sqrt(33), twice, is a fifth).
    """

    messages: Callable[[], Iterator[Attributes]]
    answers_s: float = 2.0
    policy: dict[str, object] = field(default_factory=dict)
    acts: tuple[tuple[float, str, int | None], ...] = ()
    later: Callable[[], Iterator[Attributes]] | None = None
    looks: int = 1_000
    chance_s: float = 0.0


def _made(key: str, kind: str, **fields: object) -> Attributes:
    return parse_attributes({"key": key, "tenant": "acme", "mode": "highway", "kind": kind, **fields})


def _cargo(name: str, **fields: object) -> Attributes:
    return _made(f"cargo {name}", "cargo", keys={"ccn": [f"C{name}"]}, **fields)


def _trip(name: str, *cargos: str) -> Attributes:
    return _made(f"trip {name}", "conveyance", keys={"crn": [f"T{name}"], "ccn": [f"C{each}" for each in cargos]})


def _release(number: int) -> Attributes:
    return _made(f"release {number}", "release", keys={"transaction": [f"1234500000{number:04}"]})


def _alone(count: int) -> Iterator[Attributes]:
    for number in range(count):
        yield _cargo(str(number))


def _in_pairs(count: int) -> Iterator[Attributes]:
    """Each trip right behind its cargo."""
    for number in range(count):
        yield _cargo(str(number))
        yield _trip(str(number), str(number))


def _in_waves(count: int) -> Iterator[Attributes]:
    """All cargo, then all trips: of three shipments each."""
    for number in range(count):
        yield _cargo(str(number))
    for number in range(0, count - 2, 3):
        yield _trip(str(number), str(number), str(number + 1), str(number + 2))


def _with_a_long_chain(count: int, links: int) -> Iterator[Attributes]:
    """A crowd, and one shipment that was changed again and again: each change waits for the answer to the one before."""
    yield _cargo("changed")
    for number in range(links):
        yield _made(f"change {number}", "cargo", keys={"ccn": ["Cchanged"]}, function="change")
    yield from _alone(count)


def _with_strangers(count: int, strangers: int) -> Iterator[Attributes]:
    """Some trips name cargo that was never published: they go by their own timer, long after this drain."""
    for number in range(strangers):
        yield _trip(f"stranger {number}", f"nowhere {number}")
    yield from _in_pairs(count)


SHAPES = {
    "at the rate": Shape(lambda: _alone(900), policy={"rate_max_per_s": 6}),
    "at a channel's own rate": Shape(lambda: _alone(700), policy={"channel_rate_max_per_s": {"edi": 5}}, looks=200),
    "as fast as CBSA takes them": Shape(lambda: _alone(1_300), policy={"rate_max_per_s": None, "in_flight_max": 1}, looks=200),
    "trips behind their cargo": Shape(lambda: _in_pairs(450), answers_s=15, policy={"rate_max_per_s": 6}, looks=300, chance_s=20),
    "trips behind their cargo, looked at": Shape(lambda: _in_pairs(350), answers_s=30, policy={"rate_max_per_s": 6}, chance_s=30),
    "trips after all cargo": Shape(lambda: _in_waves(600), answers_s=30, policy={"rate_max_per_s": 6}, looks=300, chance_s=30),
    # Its pace is measured over 30 answers and 48 are left, so both stray: of eight seeds half were off by 20 to 36 % up to here.
    "a tail that waits for answers": Shape(lambda: _with_a_long_chain(300, 80), answers_s=4, chance_s=100),
    "a long chain beside a crowd": Shape(lambda: _with_a_long_chain(800, 25), answers_s=4, policy={"rate_max_per_s": 6}),
    "some that wait for something else": Shape(
        lambda: _with_strangers(400, 30), policy={"rate_max_per_s": 6, "missing_wait_ms": 3_600_000}
    ),
    "slowed down": Shape(lambda: _alone(900), policy={"rate_max_per_s": 12}, acts=((40, "rate", 5),)),
    "hastened": Shape(lambda: _alone(900), policy={"rate_max_per_s": 10}, acts=((1, "rate", 3), (45, "rate", None))),
    "paused for half a minute": Shape(
        lambda: _alone(700), policy={"rate_max_per_s": 6}, acts=((20, "pause", None), (50, "resume", None))
    ),
    "beside new messages that go first": Shape(
        lambda: _alone(600), policy={"rate_max_per_s": 8}, later=lambda: (_release(number) for number in range(900))
    ),
}  # fmt: skip


class Town:
    """One lane, one process, a CBSA that answers; nothing fails."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.clockwork = Clockwork(1)
        self.clockwork.calm = True
        authority = SimulatedAuthority(self.clockwork)
        authority.slow_answers_s = shape.answers_s
        self.clockwork.append(SCHEMAS, schema_entries())
        policy = Policy(**shape.policy)  # type: ignore[arg-type]  # by the shape's own words
        fact = PolicyAdopted(at_ms=EPOCH_MS, policy=policy.as_json(), person="sim", reason="a shape")
        self.clockwork.append(DESK, [Entry(encode(fact))])
        self._notice("", "The CBSA is currently unable to receive inbound EDI messages.")
        self.process = Process(self.clockwork, authority, name="p", mode="highway", locks=None)
        self.clockwork.run(5.0)
        self.publish(list(shape.messages()))
        self.clockwork.at(OPENED_S - 5.0, lambda: self._notice("RESOLVED", "The EDI inbound outage has now been resolved."))
        for after_s, act, rate in shape.acts:
            self.clockwork.at(OPENED_S - 5.0 + after_s, self._act, act, rate)
        for number, attributes in enumerate(shape.later() if shape.later else ()):
            self.clockwork.at(OPENED_S + number / 3, self.publish, [attributes])

    @property
    def state(self) -> LaneState:
        return self.process.lane.state

    @property
    def channel(self) -> Channel:
        return self.state.channel("edi")

    def publish(self, messages: list[Attributes]) -> None:
        at = datetime.fromtimestamp(EPOCH_MS / 1_000 + self.clockwork.now_s, UTC)
        entries = [Entry(f"ISA*{each.key}".encode(), to_headers(each, at)) for each in messages]
        self.clockwork.append(inbound("highway"), entries)

    def look(self) -> Forecast | None:
        return forecast(
            self.state, self.channel, at_ms=EPOCH_MS + round(self.clockwork.now_s * 1_000), look_count_max=self.shape.looks
        )

    def _notice(self, state: str, what: str) -> None:
        text = (
            f"TCC25-9001 {state} - EDI Inbound Outage\n\nStart Date / Time\n\n2025-11-24 09:40 (ET)\n\nEnd Date / Time\n\n"
            f"{'2025-11-24 12:00 (ET)' if state else 'Initial investigation underway'}\n\nClients Affected\n\nAll.\n\n"
            f"Description\n\n{what}\n\nAction Required\n\nNone.\n"
        )
        self.clockwork.append(BULLETINS, [Entry(text.encode())])

    def _act(self, act: str, rate: int | None) -> None:
        drain = self.channel.drain
        assert drain is not None
        fact = ReplayChanged(
            at_ms=EPOCH_MS + round(self.clockwork.now_s * 1_000), replay=drain.position, basis=drain.act, act=act,  # type: ignore[arg-type]
            rate_per_s=rate, person="olga", reason="a shape",
        )  # fmt: skip
        self.clockwork.append(lane("highway"), [Entry(encode(fact))])


def _told(shape: Shape) -> tuple[list[tuple[float, Forecast]], float]:
    """What was told each second of the drain, by seconds since its opening, and when the last that goes by itself had gone."""
    town = Town(shape)
    town.clockwork.run(OPENED_S + 1.0)
    drain = town.channel.drain
    assert drain is not None, "CBSA's notice opened nothing"
    opened_s = (drain.opened_ms - EPOCH_MS) / 1_000
    told: list[tuple[float, Forecast]] = []
    last_s, left = opened_s, drain.left
    while town.clockwork.now_s < LONGEST_S:
        found = town.look()
        if found is None or found.waits == found.left:
            break
        told.append((town.clockwork.now_s - opened_s, found))
        town.clockwork.run(town.clockwork.now_s + 1.0)
        if drain.left < left:
            last_s, left = town.clockwork.now_s, drain.left
    return told, last_s - opened_s


@pytest.mark.parametrize("name", list(SHAPES))
def test_an_eta_is_right_within_a_fifth_after_the_first_minute(name: str) -> None:
    """Issue 4, progress and flow: whatever binds the drain, from its first minute to its last."""
    told, ended_s = _told(SHAPES[name])
    assert ended_s > 80, "the shape is too small to say anything"
    wrong = []
    for at_s, found in told:
        if at_s < 60 or not found.runs:
            continue
        truth_s = ended_s - at_s
        if truth_s < SHAPES[name].chance_s:
            break
        if found.eta_s is None or abs(found.eta_s - truth_s) > max(OFF_MAX * truth_s, OFF_MAX_S):
            wrong.append((round(at_s), found.eta_s, round(truth_s)))
    assert [] == wrong
    assert any(60 <= at_s < 61 for at_s, _ in told)


def test_a_pause_is_said_and_the_rest_is_as_long_as_before() -> None:
    """UX section 3: a paused replay has no end; it tells how long it would take."""
    told, _ = _told(SHAPES["paused for half a minute"])
    paused = [found for at_s, found in told if 25 < at_s < 49]
    assert {("paused", False)} == {(found.why, found.runs) for found in paused}
    assert [] == [found.eta_s for found in paused if found.eta_s is None or abs(found.eta_s - found.left / 6) > 1]


def test_what_waits_for_something_else_is_told_apart() -> None:
    """I7: a drain that has let everything go that goes by itself says what it still holds."""
    told, _ = _told(SHAPES["some that wait for something else"])
    waits = Counter(found.waits for at_s, found in told if at_s > 10)
    assert 30 == waits.most_common()[0][0]
    assert set() == set(waits) - set(range(30, 36)), "but for the few that are being intended"
