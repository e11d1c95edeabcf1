"""Watches one lane's log and the authority's history, and tells when which holder took, intended and sent; acts on nothing."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from console.wiring import Opened
from gateway.authority_process import AuthorityProcess
from lane.identity import wire_key
from lane.state import Finding
from lane.view import LaneView
from schemas.facts import Fact, LaneReleased, LaneTaken, SendIntended, SendsConcluded
from schemas.streams import Record, lane

READ_COUNT: Final = 500
"""Records of one look: the watch must not take the machine from what it watches."""

READ_WAIT_S: Final = 0.5
"""How long a look waits for a record; the end of the watch is noticed after it at the latest."""


@dataclass(slots=True)
class Tenure:
    """One holder's time, by the log. Times are the log's own clock, in milliseconds."""

    epoch: int
    holder: str
    basis: str
    taken_ms: int
    granted: dict[str, int] = field(default_factory=dict)
    """Wire key of each message granted, with the intent's own time (before its append)."""
    first_intent_ms: int | None = None
    last_intent_ms: int | None = None
    released_ms: int | None = None
    oldest_age_ms: int = 0
    """Longest time from an intent to the first byte of a send that this holder told of, those apart that it cut at once (I2c)."""


class Watch:
    """A fold of one lane in a thread of its own."""

    def __init__(self, log: Opened, authority: AuthorityProcess, mode: str) -> None:
        self.tenures: dict[int, Tenure] = {}
        self.rows: list[dict[str, Any]] = []
        self._log = log
        self._authority = authority
        self._mode = mode
        self._view = LaneView(mode, log.codec.decode, self._hear)
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join()

    def counts(self) -> Counter[str]:
        """The lane's messages by state, none that are zero. Raises what ended the watch."""
        if self._failure is not None:
            raise self._failure
        with self._guard:
            return +Counter[str](self._view.state.counts)

    def holder(self) -> tuple[int, str]:
        """The epoch in force and who holds the lane; nobody when it was released."""
        with self._guard:
            lease = self._view.state.lease
            return lease.epoch, "" if lease.released else lease.holder

    def look(self) -> list[dict[str, Any]]:
        """The authority's whole history as of now; each row is fetched once."""
        while page := self._authority.history(self.rows[-1]["seq"] if self.rows else 0):
            self.rows.extend(page)
        return self.rows

    def first_send(self, tenure: Tenure) -> int | None:
        """When the first message that this holder was granted came in at the authority, in milliseconds; None if none did yet."""
        with self._guard:
            granted = dict(tenure.granted)
        for row in self.look():
            intended_ms = granted.get(row["idempotency_key"])
            if intended_ms is not None and at_ms(row) >= intended_ms:
                return at_ms(row)
        return None

    def _follow(self) -> None:
        try:
            while not self._ending.is_set():
                records = self._log.log.read(lane(self._mode), self._view.next_position, READ_COUNT, READ_WAIT_S)
                with self._guard:
                    self._view.absorb(records)
        except Exception as error:  # noqa: BLE001 (the top of a thread: `counts` raises it where somebody looks)
            self._failure = error

    def _hear(self, record: Record, fact: Fact, findings: tuple[Finding, ...]) -> None:
        if any(finding.void and finding.message is None for finding in findings):
            return
        match fact:
            case LaneTaken():
                self.tenures[fact.epoch] = Tenure(fact.epoch, fact.holder, fact.basis, record.at_ms)
            case LaneReleased():
                self.tenures[fact.epoch].released_ms = record.at_ms
            case SendIntended():
                self._intended(record, fact, findings)
            case SendsConcluded() if fact.epoch in self.tenures:
                tenure = self.tenures[fact.epoch]
                ages = (each.age_ms for each in fact.outcomes if each.age_ms is not None and each.result != "unknown")
                tenure.oldest_age_ms = max(tenure.oldest_age_ms, *ages, 0)
            case _:
                pass

    def _intended(self, record: Record, fact: SendIntended, findings: tuple[Finding, ...]) -> None:
        void = {finding.message for finding in findings if finding.void}
        granted = [number for number in fact.messages if number not in void]
        if not granted:
            return
        tenure = self.tenures[fact.epoch]
        tenure.last_intent_ms = record.at_ms
        if tenure.first_intent_ms is None:
            tenure.first_intent_ms = record.at_ms
        for number in granted:
            tenure.granted.setdefault(wire_key(self._mode, self._view.state.messages[number]), fact.at_ms)


def at_ms(row: dict[str, Any]) -> int:
    """When a row of the authority's history came in."""
    return round(datetime.fromisoformat(row["at"]).timestamp() * 1000)
