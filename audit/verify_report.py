"""What a verification says: checks with counts and located findings; must not know how anything is checked."""

from dataclasses import dataclass, field
from typing import Any, Final

FINDINGS_COUNT_MAX: Final = 200
"""Most findings kept of one check: a person reads the first ones; all of them are counted."""

TITLES: Final[dict[str, str]] = {
    "V0": "every record of a lane and of the desk is a fact that this program knows",
    "V1": "payloads, attributes and notices are byte for byte what the facts say of them",
    "V2": "positions are dense and source chains unbroken: each source record is spoken of once, in order",
    "V3": "one effect for each lane, tenant and key",
    "V4": "nothing was sent without a grant, and each grant has one outcome",
    "V5": "nothing was granted while a notice held its channel",
    "V6": "nothing was granted before what must go first was on file",
    "V7": "what CBSA is said to have answered stands in [responses], word for word",
    "V8": "every message is accounted for",
}
"""The checks, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    check: str
    stream: str
    position: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.check} {self.stream} at {self.position}: {self.sentence}"


@dataclass(slots=True)
class Check:
    """One check: how many things were looked at, how many were wrong, and the first of those."""

    name: str
    title: str
    count: int = 0
    faults: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return self.faults == 0


@dataclass(slots=True)
class Report:
    """What was checked and found. `lanes`: messages by state in each lane; `notes`: worth knowing and not wrong."""

    checks: list[Check] = field(default_factory=lambda: [Check(name, title) for name, title in TITLES.items()])
    lanes: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    records: int = 0

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return all(check.ok for check in self.checks)

    @property
    def findings(self) -> list[Finding]:
        """All findings that were kept, by check."""
        return [finding for check in self.checks for finding in check.findings]

    def checked(self, name: str, count: int = 1) -> None:
        """Count things looked at."""
        self.checks[int(name[1:])].count += count

    def fault(self, name: str, stream: str, position: int, sentence: str) -> None:
        """Count something wrong, and keep it while there is room."""
        check = self.checks[int(name[1:])]
        check.faults += 1
        if len(check.findings) < FINDINGS_COUNT_MAX:
            check.findings.append(Finding(name, stream, position, sentence))

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON value; `verify` is `ok` or `failed`."""
        return {
            "verify": "ok" if self.ok else "failed",
            "records": self.records,
            "checks": [
                {
                    "name": check.name, "title": check.title, "ok": check.ok, "count": check.count, "faults": check.faults,
                    "findings": [
                        {"stream": each.stream, "position": each.position, "sentence": each.sentence} for each in check.findings
                    ],
                }
                for check in self.checks
            ],
            "lanes": self.lanes,
            "notes": self.notes,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The report for a person."""
        out = []
        for check in self.checks:
            out.append(f"{'ok  ' if check.ok else 'FAIL'} {check.name} {check.title} ({check.count:,} looked at)")
            out += [f"       {each.stream} at {each.position}: {each.sentence}" for each in check.findings]
            if check.faults > len(check.findings):
                out.append(f"       and {check.faults - len(check.findings):,} more")
        for mode, states in self.lanes.items():
            out.append(f"     {mode}: " + ", ".join(f"{count:,} {state}" for state, count in states.items() if count))
        return [*out, *(f"note {note}" for note in self.notes)]
