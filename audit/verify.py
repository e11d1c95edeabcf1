"""The independent verification: reads the raw log and checks what Tidegate promises; must not import the fold.

It reads top-down: the desk first, then [responses], then each lane beside its raw messages, each stream once and forward
([responses] once more for each lane that has answers, so that nothing of it is kept in memory). Everything that it needs to know
of CBSA's plan and of the rules it states itself, in `verify_gate` (outages), `verify_order` (what goes first), `verify_ledger`
(what became of a message), `verify_answers` and `verify_sources` (evidence). Where the auditor can't know what the fold knew, it
keeps silent: a finding is a fault of the log or of the program, never of the auditor's ignorance.
"""

from collections.abc import Iterator
from typing import Final

from audit.reading import Progress, learn_schemas, silent
from audit.verify_answers import Chain
from audit.verify_lane import LaneCheck
from audit.verify_report import TITLES, Check, Finding, Report
from audit.verify_sources import DeskCopies, Marks, Raw, check_bulletin, dense
from eventlog.port import EventLog
from schemas.codec import Codec, CodecError
from schemas.facts import DESK_FACTS, LANE_FACTS, BulletinRead, BulletinUnread, Fact
from schemas.streams import BULLETINS, DESK, MODES, RESPONSES, Record, lane

__all__ = ["TITLES", "Check", "Finding", "Report", "verify"]

UNREADABLE_SHOWN: Final = 5
"""Most positions of unreadable pages that a note names."""


def verify(log: EventLog, codec: Codec, *, progress: Progress = silent) -> Report:
    """Check the whole log, up to where it ended when this began; `Report.ok` says whether every check held.

    Sources are read after the facts' ends are fixed, so that a log that grows meanwhile gives no false alarm.
    Raises LogUnavailable or LogRegressed when the log can't be read, CodecError when its schemas can't.
    """
    learn_schemas(log, codec)
    ends = {lane(mode): log.end(lane(mode)) for mode in MODES}
    report = Report()
    copies = _desk(log, codec, report=report, progress=progress)
    _responses(log, report=report, progress=progress)
    for mode in MODES:
        check = LaneCheck(log, mode, report=report, copies=copies, progress=progress)
        stream = lane(mode)
        for record in dense(log, stream, end=ends[stream], report=report, progress=progress):
            for fact in _fact(record, stream, codec=codec, types=LANE_FACTS, report=report):
                check.take(record.position, fact)
        check.close()
    copies.check_lanes(report)
    return report


def _desk(log: EventLog, codec: Codec, *, report: Report, progress: Progress) -> DeskCopies:
    """Each bulletin was read once, in order, as it is; what the desk says is kept to compare the lanes' copies with."""
    copies = DeskCopies()
    marks = Marks()
    end = log.end(DESK)
    raw = Raw(log, BULLETINS, report=report, progress=progress)
    for record in dense(log, DESK, end=end, report=report, progress=progress):
        for fact in _fact(record, DESK, codec=codec, types=DESK_FACTS, report=report):
            effective = True
            if isinstance(fact, (BulletinRead, BulletinUnread)):
                effective = marks.continues(fact.source)
                if effective:
                    check_bulletin(raw, fact, report=report)
            copies.take(record.position, fact, effective=effective)
    raw.rest()
    return copies


def _responses(log: EventLog, *, report: Report, progress: Progress) -> None:
    """The chain of CBSA's answers has no hole."""
    chain = Chain()
    stream = dense(log, RESPONSES, end=log.end(RESPONSES), report=report, progress=progress)
    for _ in chain.pages(stream, report):
        pass
    if chain.unreadable:
        shown = ", ".join(map(str, chain.unreadable[:UNREADABLE_SHOWN]))
        report.notes.append(
            f"{len(chain.unreadable):,} pages of [responses] can't be read and were kept as they are (at {shown})"
        )


def _fact(record: Record, stream: str, *, codec: Codec, types: tuple[type[Fact], ...], report: Report) -> Iterator[Fact]:
    """The fact in a record, or nothing and a finding (V0)."""
    report.checked("V0")
    try:
        fact = codec.decode(record.value)
    except CodecError as unreadable:
        report.fault("V0", stream, record.position, str(unreadable))
        return
    if isinstance(fact, types):
        yield fact
    else:
        report.fault("V0", stream, record.position, f"{type(fact).__name__} does not belong in {stream}")
