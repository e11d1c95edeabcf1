"""The messages that benchmarks publish, made as they are asked for; must not know what is measured."""

from collections.abc import Iterator
from typing import Any, Final

from producers.publisher import Message
from schemas.messages import parse_attributes

PAYLOAD_BYTES: Final = 1024
"""A customs message of the middle size (DESIGN 9 measured with 1 KiB too)."""


def trips(count: int) -> Iterator[Message]:
    """Exactly `count` messages: trips of three shipments, each trip before what it lists, so that the order has work to do."""
    for number in range(count):
        trip, which = divmod(number, 4)
        fields: dict[str, Any] = {"tenant": "bench", "mode": "highway"}
        if which == 0:
            listed = [f"BNCH{trip:07}{letter}" for letter, _ in zip("ABC", range(count - number - 1), strict=False)]
            yield _message(
                {**fields, "key": f"t{trip}", "kind": "conveyance", "keys": {"crn": [f"BNCH{trip:07}T"], "ccn": listed}}
            )
        else:
            letter = "ABC"[which - 1]
            yield _message({**fields, "key": f"c{trip}{letter}", "kind": "cargo", "keys": {"ccn": [f"BNCH{trip:07}{letter}"]}})


def _message(fields: dict[str, Any]) -> Message:
    return Message(parse_attributes(fields), fields["key"].encode().ljust(PAYLOAD_BYTES, b"~"))
