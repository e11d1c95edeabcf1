"""A log read from an exported file, for verification far from the system that wrote it; must not know what a record means."""

import json
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from audit.export import FORMAT, Chain, record_of
from eventlog.port import READ_COUNT_MAX, Appended, AppendNotDone, LogRegressed, LogUnavailable
from schemas.streams import ALL_STREAMS, Entry, Record

LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest line that is read: a record of the largest size (8 MiB) in base64 with its headers and fact, and room."""


class ExportBroken(ValueError):
    """The file is not as it was exported; the sentence says from which line on."""


class ExportedLog:
    """A read-only EventLog over an exported file. Opening it reads the whole file once and checks its chain.

    Raises ExportBroken, or OSError when the file can't be read. `chain`: the chain's end, to compare with what was noted down.
    """

    at_hand = True

    def __init__(self, path: Path) -> None:
        self._ends: dict[str, int] = {}
        self._positions: dict[str, array[int]] = {stream: array("q") for stream in ALL_STREAMS}
        self._offsets: dict[str, array[int]] = {stream: array("q") for stream in ALL_STREAMS}
        self._file: BinaryIO = path.open("rb")
        try:
            self.chain = self._index()
        except BaseException:
            self._file.close()
            raise

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """Refuse: an exported log is read only. Raises AppendNotDone."""
        raise AppendNotDone(f"an exported log is read only; {len(batch)} entries for {stream} were not written")

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:  # noqa: ARG002 - nothing will come
        """See `EventLog.read`; it never waits."""
        positions = self._positions[stream]
        if start > self._ends[stream]:
            raise LogRegressed(f"{stream} ends at {self._ends[stream]} in this file and {start} was to be read")
        first = bisect_left(positions, start)
        return [self._at(stream, number) for number in range(first, min(len(positions), first + min(limit, READ_COUNT_MAX)))]

    def end(self, stream: str) -> int:
        """See `EventLog.end`."""
        return self._ends[stream]

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """See `EventLog.fetch`."""
        return [self._found(stream, position) for position in positions]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _found(self, stream: str, position: int) -> Record:
        number = bisect_left(self._positions[stream], position)
        if number == len(self._positions[stream]) or self._positions[stream][number] != position:
            raise LogRegressed(f"{stream} has no record at position {position} in this file")
        return self._at(stream, number)

    def _at(self, stream: str, number: int) -> Record:
        if self._file.closed:
            raise LogUnavailable("This exported log was closed: open it again.")
        self._file.seek(self._offsets[stream][number])
        return record_of(json.loads(self._file.readline(LINE_BYTES_MAX)))

    def _index(self) -> str:
        """Read the file once: check each line and note where each record stands."""
        chain = Chain()
        counts = dict.fromkeys(ALL_STREAMS, 0)
        ended = False
        number = 0
        while line := self._file.readline(LINE_BYTES_MAX):
            number += 1
            try:
                fields = self._line(line, chain)
                if ended:
                    raise ValueError("it stands after the last line")
                if number == 1:
                    self._begin(fields)
                elif "end" in fields:
                    ended = True
                    if fields["counts"] != counts:
                        raise ValueError("its counts are not those of the lines before it")
                else:
                    self._note(fields, self._file.tell() - len(line))
                    counts[fields["stream"]] += 1
            except (KeyError, TypeError, ValueError, RecursionError) as exc:
                raise ExportBroken(f"line {number} of the export is not as it was written: {exc}") from exc
        if not ended:
            raise ExportBroken(f"the export breaks off after line {number}: its last line is missing")
        return chain.value

    def _line(self, line: bytes, chain: Chain) -> dict[str, Any]:
        body, mark, said = line.rpartition(b',"chain":"')
        if not mark or said != f'{chain.take(body + b"}")}"}}\n'.encode():
            raise ValueError("the chain breaks here: this line, or one before it, was altered, removed, inserted or swapped")
        fields = json.loads(body + b"}")
        if not isinstance(fields, dict):
            raise TypeError("it is no JSON object")
        return fields

    def _begin(self, fields: dict[str, Any]) -> None:
        if fields.get("format") != FORMAT:
            raise ValueError(f"the first line does not say that this is a {FORMAT}")
        self._ends = {stream: int(fields["ends"][stream]) for stream in ALL_STREAMS}

    def _note(self, fields: dict[str, Any], offset: int) -> None:
        record = record_of(fields)
        stream = fields["stream"]
        before = self._positions[stream]
        if len(before) and before[-1] >= record.position:
            raise ValueError(f"position {record.position} of {stream} comes after {before[-1]}")
        before.append(record.position)
        self._offsets[stream].append(offset)
