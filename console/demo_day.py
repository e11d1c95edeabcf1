"""The demo's providers and what they publish in a day: five firms, five modes, each in its own right order; must not know rules.

The messages are ours, made of the generic segments of X12 and EDIFACT. No provider waits for another, so that what arrives is in
nobody's right order as a whole: a trip before the other carrier's cargo, a close before the trip, an arrival before the release.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from producers.publisher import Message
from schemas.messages import parse_attributes

CARRIER: Final = "northline"
PARTNER: Final = "prairie-haul"
FORWARDER: Final = "maple-forward"
BROKER: Final = "harbour-brokers"
EXPORTER: Final = "laurentian-mills"

OCCURRED_AT: Final = "2025-11-24T06:00:00-05:00"


@dataclass(frozen=True, slots=True)
class Day:
    """What is published before, and what is published while CBSA's EDI is down; `portal` waits for a clerk."""

    morning: list[Message]
    outage: list[Message]
    portal: list[Message]


def day(*, trips: int, others: int) -> Day:
    """A day with so many highway trips and so many conveyances of each other mode while EDI is down."""
    return Day(
        morning=[message for number in range(6) for message in _highway(f"M{number:03}")],
        outage=list(_interleaved(trips, others)),
        portal=list(_portal()),
    )


def _interleaved(trips: int, others: int) -> Iterator[Message]:
    """The modes side by side, as they come in."""
    groups: list[Iterator[Message]] = [_highway(f"H{number:03}") for number in range(trips)]
    for number in range(others):
        groups += [_rail(f"R{number:03}"), _sea_or_air("air", f"A{number:03}"), _sea_or_air("marine", f"S{number:03}")]
    while groups:
        for group in list(groups):
            message = next(group, None)
            if message is None:
                groups.remove(group)
            else:
                yield message


def _highway(name: str) -> Iterator[Message]:
    """Two carriers share a trailer; the partner's cargo, the release and the house bills come when they come."""
    own, shared = f"NLTR{name}A", f"PRHL{name}B"
    yield _x12("309", CARRIER, name, mode="highway", kind="cargo", keys={"ccn": [own]})
    yield _x12("358", CARRIER, name, mode="highway", kind="conveyance", keys={"crn": [f"NLTR{name}T"], "ccn": [own, shared]})
    bills = [f"8MPL{name}1", f"8MPL{name}2"]
    yield _edifact("CUSCAR", FORWARDER, name, mode="highway", kind="close", keys={"previous_ccn": [own], "house_bill": bills})
    for bill in bills:
        keys = {"house_bill": [bill], "previous_ccn": [own], "primary_ccn": [own]}
        yield _edifact("CUSCAR", FORWARDER, f"{name}-{bill[-1]}", mode="highway", kind="house_bill", keys=keys)
    yield _x12("309", PARTNER, name, mode="highway", kind="cargo", keys={"ccn": [shared]})
    yield _edifact(
        "CUSDEC", BROKER, name, mode="highway", kind="release", keys={"transaction": [_transaction(name)], "ccn": [own, shared]}
    )


def _rail(name: str) -> Iterator[Message]:
    """The railway reports its train and its arrival; two shippers and a broker follow in their own time."""
    crn, cars = f"6105{name}T", [f"6105{name}A", f"6105{name}B"]
    yield _x12("358", CARRIER, name, mode="rail", kind="conveyance", keys={"crn": [crn], "ccn": cars})
    arrival = {"crn": [crn], "ccn": cars}
    yield _x12("353", CARRIER, name, mode="rail", kind="conveyance_arrival", keys=arrival, occurred_at=OCCURRED_AT)
    for number, car in enumerate(cars):
        yield _x12("309", (CARRIER, PARTNER)[number], f"{name}-{number}", mode="rail", kind="cargo", keys={"ccn": [car]})
    yield _edifact(
        "CUSDEC", BROKER, name, mode="rail", kind="release", keys={"transaction": [_transaction(name)], "ccn": cars[:1]}
    )


def _sea_or_air(mode: str, name: str) -> Iterator[Message]:
    """The conveyance comes last, after the close that should follow it; cargo and conveyance have no order here."""
    carrier = {"air": "014", "marine": "9ATL"}[mode]
    crn, ccn, bill = f"{carrier}{name}T", f"{carrier}{name}A", f"8MPL{name}1"
    keys: dict[str, Any] = {"previous_ccn": [ccn], "house_bill": [bill]}
    yield _edifact("CUSCAR", FORWARDER, name, mode=mode, kind="close", keys=keys)
    keys = {"house_bill": [bill], "previous_ccn": [ccn], "primary_ccn": [ccn]}
    yield _edifact("CUSCAR", FORWARDER, f"{name}-1", mode=mode, kind="house_bill", keys=keys)
    arrival = {"crn": [crn], "ccn": [ccn]}
    yield _edifact("CUSREP", CARRIER, f"{name}-a", mode=mode, kind="conveyance_arrival", keys=arrival, occurred_at=OCCURRED_AT)
    yield _edifact("CUSCAR", CARRIER, f"{name}-c", mode=mode, kind="cargo", keys={"ccn": [ccn], "crn": [crn]})
    yield _edifact("CUSDEC", BROKER, name, mode=mode, kind="release", keys={"transaction": [_transaction(name)], "ccn": [ccn]})
    yield _edifact("CUSREP", CARRIER, f"{name}-t", mode=mode, kind="conveyance", keys={"crn": [crn]})


def _portal() -> Iterator[Message]:
    """What a clerk types into CBSA's portals: two export declarations and a small forwarder's house bill."""
    for number in (1, 2):
        keys = {"id": [f"CERS-{number:04}"]}
        yield _message("CERS", EXPORTER, f"{number}", mode="export", kind="export_declaration", keys=keys, channel="cers")
    keys = {"house_bill": ["8LRMP001"], "primary_ccn": ["0149PAPER1"]}
    yield _message("HBL", EXPORTER, "3", mode="air", kind="house_bill", keys=keys, channel="emanifest_portal")


def _x12(transaction_set: str, tenant: str, name: str, **fields: Any) -> Message:
    return _message(transaction_set, tenant, name, content_type="application/EDI-X12", **fields)


def _edifact(message_type: str, tenant: str, name: str, **fields: Any) -> Message:
    return _message(message_type, tenant, name, content_type="application/EDIFACT", **fields)


def _message(kind_of_message: str, tenant: str, name: str, **fields: Any) -> Message:
    attributes = parse_attributes({"key": f"{fields['mode']}-{fields['kind']}-{name}", "tenant": tenant, **fields})
    return Message(attributes, _payload(kind_of_message, tenant, attributes.document))


def _payload(kind_of_message: str, tenant: str, document: str) -> bytes:
    """A short interchange that names the document; nobody on the way reads it, CBSA's own maps are not public."""
    if kind_of_message.isdigit():
        return (
            f"ISA*00*          *00*          *ZZ*{tenant:<15.15}*ZZ*CBSA           *251124*0940*U*00406*000000001*0*T*>~"
            f"GS*AQ*{tenant}*CBSA*20251124*0940*1*X*004060~ST*{kind_of_message}*0001~N9*CN*{document}~SE*3*0001~GE*1*1~IEA*1*000000001~"
        ).encode()
    return (
        f"UNB+UNOA:1+{tenant}+CBSA+251124:0940+1'UNH+1+{kind_of_message}:D:96A:UN'BGM+85+{document}+9'UNT+3+1'UNZ+1+1'"
    ).encode()


def _transaction(name: str) -> str:
    """A transaction number: 14 digits, the first five the broker's account security number."""
    return f"12345{'HRASM'.index(name[0]) + 1:03}{int(name[1:]):06}"
