"""The golden run's script: what the provider does, step by step, and how each message must end; must not know processes or kills.

Some sixty messages of four modes, through an outage that is declared and resolved: messages that wait for each other, a change, a
repeat, a conflict, a trip that comes before its shipment, one that is wrong, one for a portal, and two sends that go wrong on the
wire. Every step may be done twice: that is what a client does who was not told. Where nothing is held, what is published one by
one has its predecessors before it: a provider that dies between the two would leave the first alone beyond its grace (R22).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from lane.policy import Policy
from producers.publisher import Message
from tests.e2e.town import EDI_DOWN, EDI_RESOLVED, cargo, message, trip

POLICY: Final = Policy(
    rate_max_per_s=None, in_flight_max=2, batch_max=2, missing_wait_ms=150, probe_ms=50, probe_max_ms=200, canary_wait_ms=2_000
)
"""Short waits, for two thousand runs; few in flight and few in an intent, so that a run has many boundaries. What keeps two
senders apart (delta, tau, ttl) is left as it is: a restart on SQLite waits for none of it."""

FAULTS: Final[Sequence[Mapping[str, Any]]] = (
    {"name": "drop_taken", "next": 1, "match": "/bill-2"},
    {"name": "drop", "next": 1, "match": "/release-5"},
)
"""Of one send the reply is lost, of another the request: status queries belong to the run, not only to what follows a kill."""

PACE_S: Final = 0.004
"""The provider's pause between two steps, so that the workers take most messages one by one: more boundaries, and all mixed."""

LATENCY_MS: Final = 2
ANSWER_LATENCY_MS: Final = 4
"""CBSA takes its time, so that kills find sends under way and answers outstanding."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Publish these in one call."""

    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Noticing:
    """A notice of CBSA's comes in."""

    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Wait for a while only: until the workers are at work, an outage is in force on the highway, everything published has its
    verdict, or the late trip was rejected."""

    what: Literal["workers", "outage", "verdicts", "reject"]


@dataclass(frozen=True, slots=True)
class Auditing:
    """From here on the auditor may look."""


Step: TypeAlias = Publishing | Noticing | Waiting | Auditing


def _road(number: int) -> list[Message]:
    """A release, a trip before its cargo, a close before its house bill: the worst order."""
    ccn, bill = f"GOLD{number:04}", f"8GLD{number:04}"
    return [
        Message(*message(f"release-{number}", "release", keys={"transaction": [f"1{number:013}"], "ccn": [ccn]})),
        Message(*message(f"close-{number}", "close", keys={"previous_ccn": [ccn], "house_bill": [bill]}, tenant="bravo")),
        Message(*trip(f"trip-{number}", f"GOLDT{number:04}", ccn)),
        Message(*message(f"bill-{number}", "house_bill", keys={"house_bill": [bill], "previous_ccn": [ccn]}, tenant="bravo")),
        Message(*cargo(f"cargo-{number}", ccn)),
    ]


def _rail(number: int) -> list[Message]:
    """An arrival before its train, its release and its cargo."""
    ccn, crn = f"RAIL{number:04}", f"RAILT{number:04}"
    said: list[tuple[str, str, dict[str, list[str]]]] = [
        ("arrival", "conveyance_arrival", {"crn": [crn], "ccn": [ccn]}),
        ("train", "conveyance", {"crn": [crn], "ccn": [ccn]}),
        ("wagon-release", "release", {"transaction": [f"2{number:013}"], "ccn": [ccn]}),
        ("wagon", "cargo", {"ccn": [ccn]}),
    ]
    there: dict[str, dict[str, Any]] = {"conveyance_arrival": {"occurred_at": "2025-11-24T09:00:00-05:00"}}
    return [
        Message(*message(f"{name}-{number}", kind, mode="rail", keys=keys, **there.get(kind, {}))) for name, kind, keys in said
    ]


def _sea(number: int) -> list[Message]:
    """A close before the ship that carries its cargo."""
    ccn, crn, bill = f"SHIP{number:04}", f"SHIPV{number:04}", f"8SHP{number:04}"
    said: list[tuple[str, str, dict[str, list[str]]]] = [
        ("sea-close", "close", {"previous_ccn": [ccn], "house_bill": [bill]}),
        ("ship", "conveyance", {"crn": [crn]}),
        ("sea-bill", "house_bill", {"house_bill": [bill], "previous_ccn": [ccn]}),
        ("sea-cargo", "cargo", {"ccn": [ccn], "crn": [crn]}),
    ]
    return [Message(*message(f"{name}-{number}", kind, mode="marine", keys=keys)) for name, kind, keys in said]


def _one_by_one(messages: Sequence[Message]) -> list[Step]:
    return [Publishing([each]) for each in messages]


LATE_TRIP: Final = Message(*trip("trip-late", "GOLDT9999", "GOLD9999"))
"""Its shipment does not come: after the grace it goes (R22) and is rejected, and when the shipment is on file, again (R55)."""

LATE_CARGO: Final = Message(*cargo("cargo-late", "GOLD9999"))

SHARED: Final = (Message(*cargo("cargo-shared", "GOLD7777")), Message(*trip("trip-right", "GOLDT7777", "GOLD7777")))
WRONG_TRIP: Final = Message(*trip("trip-wrong", "GOLDT7778", "GOLD7777"))
"""It names a shipment that stands on another trip: CBSA rejects it, and that is its end (E11)."""

TO_FILE: Final = Message(*cargo("portal-1", "GOLD8888", channel="emanifest_portal"))
"""No program files into a portal: it is held for a clerk (R34)."""

REPEAT: Final = _road(1)[-1]
CONFLICT: Final = Message(*cargo("cargo-1", "GOLD0001", payload=b"ISA*00*other bytes under the same key~"))
"""Published after `REPEAT`, which is the same as the first: neither is a message of its own (R10)."""

SCRIPT: Final[Sequence[Step]] = (
    *_one_by_one(_road(1)[::-1]),
    Waiting("workers"),
    Publishing([LATE_TRIP, *_rail(1)]),
    *_one_by_one([*_road(2)[::-1], *_road(3)[::-1], *_sea(1)[::-1]]),
    Publishing(_road(9)),
    Noticing(EDI_DOWN),
    Waiting("outage"),
    *_one_by_one([*_road(4), *_rail(2), *_road(6)]),
    Publishing(_road(5)),
    *_one_by_one([TO_FILE, REPEAT, CONFLICT, *SHARED, WRONG_TRIP]),
    Publishing([Message(*cargo("change-1", "GOLD0001", function="change"))]),
    Waiting("verdicts"),
    Auditing(),
    Noticing(EDI_RESOLVED),
    *_one_by_one(_road(7)[::-1]),
    Publishing([Message(*message("export-1", "export_declaration", mode="export", keys={"id": ["GOLDX1"]})), *_road(8)]),
    Waiting("reject"),
    Publishing([LATE_CARGO]),
)

PUBLISHED: Final = tuple(each for step in SCRIPT if isinstance(step, Publishing) for each in step.messages)

ENDS: Final[Mapping[tuple[str, str, str], str]] = {
    (each.attributes.mode, each.attributes.tenant, each.attributes.key): {
        WRONG_TRIP.attributes.key: "rejected", TO_FILE.attributes.key: "held",
    }.get(each.attributes.key, "captured")
    for each in PUBLISHED
}  # fmt: skip
"""How each message ends, by mode, tenant and key, whatever was killed on the way."""

MAY_BE_REJECTED: Final = frozenset({LATE_TRIP.attributes.key, WRONG_TRIP.attributes.key})
"""The only ones that CBSA has a reason to reject."""


def ends_of(mode: str) -> Counter[str]:
    """How many messages of a mode end in which state."""
    return Counter(state for (where, _, _), state in ENDS.items() if where == mode)
