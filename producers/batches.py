"""Reading a file of messages, one JSON object a line; must not know the log.

What is wrong with a line is a finding about that line; the lines behind it are read all the same.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from producers.publisher import Message, check_publishable
from schemas.messages import MessageUnreadable, parse_line, strict_json

LINE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Longest line: the largest payload (5 MiB) in base64 and the largest attributes fit; bounds the memory of reading."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank. `number` counts from 1, blank ones too; `sha256` is of the line's bytes without its line end.

    `said` is the message, or what to mend.
    """

    number: int
    sha256: str
    said: Message | MessageUnreadable


def read_batch(source: BinaryIO) -> Iterator[Line]:
    """Read messages line by line from an open binary file; holds one line in memory. Raises only what the file itself raises."""
    number = 0
    while raw := source.readline(LINE_BYTES_MAX + 1):
        number += 1
        digest = hashlib.sha256()
        if len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                digest.update(raw)
                raw = source.readline(LINE_BYTES_MAX)
            digest.update(raw.rstrip(b"\r\n"))
            sentence = f"the line has more than {LINE_BYTES_MAX:,} bytes; send a smaller document"
            yield Line(number, digest.hexdigest(), MessageUnreadable("line_too_long", sentence))
            continue
        line = raw.removeprefix(_BOM) if number == 1 else raw
        line = line.rstrip(b"\r\n")
        if line.strip():
            digest.update(line)
            yield Line(number, digest.hexdigest(), _said(line))


def _said(line: bytes) -> Message | MessageUnreadable:
    try:
        fields = strict_json(line.decode("utf-8"))
    except UnicodeDecodeError as exc:
        return MessageUnreadable("line_not_utf8", f"the line is not UTF-8 at byte {exc.start}; write the file as UTF-8")
    except ValueError as exc:
        return MessageUnreadable("line_not_json", f"the line is not one JSON object ({exc}); write one object a line")
    if not isinstance(fields, dict):
        return MessageUnreadable("line_not_json", "the line is JSON but no object; write one object a line")
    try:
        attributes, payload = parse_line(fields)
        check_publishable(attributes, payload)
    except MessageUnreadable as exc:
        return exc
    return Message(attributes, payload)
