"""What the simulated authority remembers: messages as they came, answers as they went; must not know rules, faults or HTTP.

All of it lies in memory and ends with the process. The file, where one is given, is for whoever comes after a crash: a line when
a message is taken and one when it is judged, the later line of a `seq` counting.
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.authority_documents import TakenMessage
from gateway.authority_order import HistoryRow
from gateway.authority_register import Verdict

HISTORY_COUNT_MAX: Final = 2_000_000
"""Most messages kept, at about 1.4 KiB each: more than the eight days of autumn 2025 (DOMAIN section 6). Beyond it, 503."""

ANSWERS_PAGE_MAX: Final = 500
"""Most answers in a page (INTERFACES section 4)."""


class AnswerRow(NamedTuple):
    """One answer of INTERFACES section 4, before it has a seq and a time; its strings are those of the message's entry."""

    idempotency_key: str | None
    receiver: str
    outcome: str
    code: str
    text: str

    def as_json(self, seq: int, at: str) -> dict[str, Any]:
        """Return the answer as it is fetched; the payload stands for the EDI that CBSA would send."""
        payload = f"SIM*{self.outcome}*{self.code}*{self.idempotency_key or ''}*{self.text}~"
        return {"seq": seq, **self._asdict(), "payload_base64": base64.b64encode(payload.encode()).decode(), "at": at}


class HistoryFull(Exception):
    """The history holds HISTORY_COUNT_MAX messages; start a new authority."""


@dataclass(slots=True, kw_only=True)
class HistoryEntry:
    """One message that was taken; `verdict` and `judged` come when it is judged. `repeat`: this key was taken before."""

    seq: int
    message: TakenMessage
    at: str
    repeat: bool
    verdict: Verdict | None = None
    judged: int | None = None

    def as_row(self) -> HistoryRow:
        """Return the row of `GET /v1/history`."""
        message, verdict = self.message, self.verdict
        return HistoryRow(
            seq=self.seq,
            idempotency_key=message.wire_key,
            sha256=message.sha256,
            tenant=message.tenant,
            mode=message.mode,
            kind=message.kind,
            channel=message.channel,
            function=message.function,
            keys=message.keys,
            outcome=verdict.outcome if verdict else None,
            code=verdict.code if verdict else None,
            label=verdict.label if verdict else None,
            text=verdict.text if verdict else None,
            judged=self.judged,
            at=self.at,
        )


class History:
    """The messages in the order they were taken, seq 1, 2, 3 ..."""

    def __init__(self, file: Path | None) -> None:
        """Open the file for appending, where one is given. Raises OSError."""
        self._entries: list[HistoryEntry] = []
        self._first_by_key: dict[str, HistoryEntry] = {}
        self._judged_count = 0
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if file is not None else None

    def first(self, wire_key: str) -> HistoryEntry | None:
        """Return what was first taken under this key."""
        return self._first_by_key.get(wire_key)

    def take(self, message: TakenMessage, at: str) -> HistoryEntry:
        """Remember a message. Raises HistoryFull, and OSError when the file can't be written."""
        if len(self._entries) >= HISTORY_COUNT_MAX:
            raise HistoryFull(f"The simulated authority holds {HISTORY_COUNT_MAX} messages and takes no more; start a new one.")
        repeat = message.wire_key in self._first_by_key
        entry = HistoryEntry(seq=len(self._entries) + 1, message=message, at=at, repeat=repeat)
        self._write(entry)
        self._entries.append(entry)
        self._first_by_key.setdefault(message.wire_key, entry)
        return entry

    def judged(self, entry: HistoryEntry, verdict: Verdict) -> None:
        """Remember what became of it. Raises OSError."""
        assert entry.verdict is None, entry
        self._judged_count += 1
        entry.verdict, entry.judged = verdict, self._judged_count
        self._write(entry)

    def after(self, seq: int, limit: int) -> Sequence[HistoryEntry]:
        """Return the entries with a larger seq, at most `limit`."""
        return self._entries[seq : seq + limit]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, entry: HistoryEntry) -> None:
        if self._file is not None:
            # One write of one line: a killed process leaves whole lines behind.
            os.write(self._file, json.dumps(entry.as_row(), separators=(",", ":")).encode() + b"\n")


class Answers:
    """The answers in the order they went out, seq 1, 2, 3 ..."""

    def __init__(self) -> None:
        self._rows: list[AnswerRow] = []
        self._ats: list[str] = []

    @property
    def last_seq(self) -> int:
        """The seq of the last answer, 0 when there is none."""
        return len(self._rows)

    def add(self, row: AnswerRow, at: str) -> None:
        """Give the answer its seq: from now on it is there to be fetched."""
        self._rows.append(row)
        self._ats.append(at)

    def page(self, after: int) -> dict[str, Any]:
        """Return a page of `GET /v1/responses`; an `after` beyond the end is answered with the end, which is smaller."""
        end = min(after + ANSWERS_PAGE_MAX, self.last_seq)
        rows = [self._rows[index].as_json(index + 1, self._ats[index]) for index in range(after, end)]
        return {"next": min(end, self.last_seq), "responses": rows}
