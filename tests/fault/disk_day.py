"""A day at the border as appends to a log, facts of most kinds, with what its publishers may be told; must not know any engine.

It is sound at every moment: whatever append comes last, `audit.verify` finds nothing wrong.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Final, NamedTuple

from eventlog.port import READ_COUNT_MAX, Appended
from schemas.streams import SCHEMAS, Entry, Record
from tests.audit_world import World, closes
from tests.checker.history import History, Publish

OUTAGE_S: Final = 60
"""How long an outage of the day lasts."""


class Step(NamedTuple):
    """One append. `published`: the message in it, if it is a provider's."""

    at_ms: int
    stream: str
    batch: tuple[Entry, ...]
    published: Publish | None = None


def day(groups: int) -> list[Step]:
    """Shipments and their trips, outages with notices, sends, captures, rejects, duplicates."""
    world = World()
    chance = random.Random(groups)
    schemas = tuple(map(_entry, world.log.read(SCHEMAS, 0, READ_COUNT_MAX, 0.0)))
    steps = [Step(world.now_ms, SCHEMAS, schemas)]
    append = world.log.append

    def kept(stream: str, batch: Sequence[Entry]) -> Appended:
        steps.append(Step(world.now_ms, stream, tuple(batch)))
        return append(stream, batch)

    def publish(key: str, kind: str, payload: bytes, **keys: list[str]) -> int:
        at = len(steps)
        position = world.publish(key, kind, payload=payload, keys=keys)
        digest = hashlib.sha256(payload).hexdigest()
        told = Publish(mode="highway", tenant="acme", key=key, sha256=digest, told="acknowledged")
        steps[at] = steps[at]._replace(published=told)
        return position

    world.log.append = kept  # type: ignore[method-assign]  # the world appends nowhere else
    world.take()
    for number in range(groups):
        ccn = [f"ABCD{number:04}"]
        payload = b"ISA*00*%d*" % number + chance.randbytes(chance.randrange(20, 1_500)).hex().encode()
        cargo = publish(f"c{number}", "cargo", payload, ccn=ccn)
        trip = publish(f"t{number}", "conveyance", b"ISA*00*trip*%d" % number, crn=[f"TRIP{number:04}"], ccn=ccn)
        world.pass_time()
        if number % 10 == 5:
            world.notice(f"TCC-{number}", "open", closes())
            world.pass_time(OUTAGE_S)
            world.notice(f"TCC-{number}", "resolved")
        world.send(cargo)
        world.answer(cargo)
        world.send(trip)
        world.answer(trip, *(("rejected",) if number % 7 == 3 else ()))
        if number % 5 == 4:
            publish(f"c{number}", "cargo", payload, ccn=ccn)
    return steps


def told_by(steps: Sequence[Step], *, acknowledged: int) -> History:
    """What the publishers know when so many appends were acknowledged; of the next one they know nothing."""
    publishes = [step.published for step in steps[:acknowledged] if step.published is not None]
    return History(publishes=publishes)


def _entry(record: Record) -> Entry:
    return Entry(record.value, tuple((name, value or b"") for name, value in record.headers), record.key)
