"""A data folder, the real command line on it, and what workers would have done in between, done at once; knows no rule."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from console.cli import run
from console.settings import Settings
from console.wiring import Opened, desk_view, lane_view, opened, read_all
from consumers import availability, intake
from lane.state import NEVER
from schemas.codec import encode
from schemas.facts import (
    ActDenied,
    DeskFact,
    DoorRefused,
    Fact,
    LaneFact,
    LaneTaken,
    Outcome,
    SendIntended,
    SendsConcluded,
    Source,
)
from schemas.streams import BULLETINS, DESK, MODES, Entry, inbound, lane

EDI_DOWN = """TCC25-9901 - Electronic Data Interchange (EDI) Inbound Outage

Start Date / Time

2025-11-24 09:40 (ET)

End Date / Time

Initial investigation underway

Clients Affected

All clients and service providers who send trade data by EDI.

Description

The CBSA is currently experiencing an inbound EDI outage. The CBSA is unable to receive EDI transmissions.
"""
EDI_RESOLVED = EDI_DOWN.replace("TCC25-9901 - ", "TCC25-9901 RESOLVED - ").replace(
    "Initial investigation underway", "2025-11-24 15:05 (ET)"
)
RECEIVED = "2025-11-24T09:50:00-05:00"
RECEIVED_LATER = "2025-11-24T15:10:00-05:00"
SENT_MS = 1_764_000_000_000


class Said(NamedTuple):
    """What a command line gave: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.out)


@dataclass
class Rig:
    """One data folder, and a person who types at it."""

    data: Path
    capsys: pytest.CaptureFixture[str]

    def with_a_log(self) -> "Rig":
        """Begin an empty log, so that verbs that only read one find it."""
        with opened(Settings(data=self.data / "log")):
            return self

    def type(self, *words: str, as_json: bool = True) -> Said:
        """Run a command line on the folder."""
        self.capsys.readouterr()
        code = run([*words, "--data", str(self.data / "log"), *(["--json"] if as_json else [])])
        out, err = self.capsys.readouterr()
        return Said(code, out, err)

    def file(self, name: str, text: str) -> str:
        """Write an input file and return its name."""
        path = self.data / name
        path.write_text(text)
        return str(path)

    def publish(self, *messages: dict[str, Any]) -> Said:
        """Publish messages as a batch, and let intake take them in."""
        lines = "".join(
            json.dumps({"tenant": "acme", "mode": "highway", "payload": "ISA*00*", **each}) + "\n" for each in messages
        )
        said = self.type("publish", "--batch", self.file("batch.jsonl", lines))
        self.work()
        return said

    def notice(self, text: str, received: str = RECEIVED) -> Said:
        """Take in a notice, and let it reach the lanes."""
        said = self.type("bulletin", "add", self.file("notice.txt", text), "--received", received)
        self.work()
        return said

    def operator_drains(self) -> None:
        """Adopt the policy under which a replay waits for a person."""
        assert self.type("policy", "set", "drain=operator", "--reason", "a person starts replays").code == 0
        self.work()

    def work(self) -> None:
        """Do what the workers of intake and availability do, up to now."""
        with self._opened() as log:
            desk = desk_view(log)
            self._make_facts(log, BULLETINS, DESK, desk.state.marks.get(BULLETINS, NEVER))
            desk = desk_view(log)
            for mode in MODES:
                marks = lane_view(log, mode).state.marks
                self._make_facts(log, inbound(mode), lane(mode), marks.get(inbound(mode), NEVER))
                copies = desk.state.copies_after(marks.get(DESK, NEVER))
                if copies:
                    log.log.append(lane(mode), [Entry(encode(fact)) for fact in copies])

    def transmit(self, mode: str, *keys: str) -> None:
        """Let a runner send these messages of acme; CBSA's transport takes them."""
        with self._opened() as log:
            found = [lane_view(log, mode).state.find("acme", key)[0].position for key in keys]
            epoch = lane_view(log, mode).state.lease.epoch + 1
            end = log.log.end(lane(mode))
            taken = LaneTaken(at_ms=SENT_MS, epoch=epoch, holder="rig", basis="dead", seen=end)
            intent = SendIntended(at_ms=SENT_MS, epoch=epoch, issue=1, messages=tuple(found))
            *_, grant = log.log.append(lane(mode), [Entry(encode(taken)), Entry(encode(intent))])
            outcomes = tuple(Outcome(message=position, grant=grant, result="transmitted", status=202) for position in found)
            log.log.append(lane(mode), [Entry(encode(SendsConcluded(at_ms=SENT_MS, epoch=epoch, outcomes=outcomes)))])

    def facts(self, stream: str) -> list[Fact]:
        """Every fact of a stream."""
        with self._opened() as log:
            return [log.codec.decode(record.value) for record in read_all(log.log, stream)]

    def damage(self, stream: str) -> None:
        """Let somebody else write into a stream what is no fact."""
        with self._opened() as log:
            log.log.append(stream, [Entry(b"no fact")])

    def denied(self) -> Sequence[ActDenied]:
        """What persons tried and were denied."""
        return [fact for fact in self.facts(DESK) if isinstance(fact, ActDenied)]

    def turned_away(self) -> Sequence[DoorRefused]:
        """What a door turned away."""
        return [fact for fact in self.facts(DESK) if isinstance(fact, DoorRefused)]

    def _opened(self) -> Any:
        return opened(Settings(data=self.data / "log", kafka=None))

    def _make_facts(self, log: Opened, source: str, target: str, mark: int) -> None:
        entries = []
        for record in read_all(log.log, source, mark + 1):
            made: LaneFact | DeskFact
            origin = Source(stream=source, position=record.position, previous=mark)
            if source == BULLETINS:
                made = availability.fact_of(record, origin, at_ms=record.at_ms)
            else:
                made = intake.fact_of(record, origin, mode=source.removeprefix("inbound."), at_ms=record.at_ms)
            entries.append(Entry(encode(made)))
            mark = record.position
        if entries:
            log.log.append(target, entries)


def cargo(key: str, ccn: str, **more: Any) -> dict[str, Any]:
    """A cargo message."""
    return {"key": key, "kind": "cargo", "keys": {"ccn": [ccn]}, **more}


def trip(key: str, crn: str, *ccns: str, **more: Any) -> dict[str, Any]:
    """A conveyance that names its cargo."""
    return {"key": key, "kind": "conveyance", "keys": {"crn": [crn], "ccn": list(ccns)}, **more}
