"""Taking in CBSA's notices as they came; must not know what a notice says.

The bytes are evidence: they are kept raw and read by another room.
"""

from typing import Final

from eventlog.port import EventLog
from schemas.messages import from_ms
from schemas.streams import BULLETINS, Entry

BULLETIN_BYTES_MAX: Final = 1024 * 1024
"""Largest notice: CBSA's have a few kilobytes, a mail with its headers and markup some hundred."""

NAME_CHARS_MAX: Final = 255
"""Longest file name, as file systems have it."""


class BulletinRefused(ValueError):
    """The notice can't be taken: the sentence says what to mend; nothing was written."""


def add_bulletin(log: EventLog, text: bytes, *, received_ms: int, name: str, person: str = "", reason: str = "") -> int:
    """Append a notice as it came to [bulletins] and return its position.

    `received_ms`: when it reached us, Unix milliseconds; `name`: of its file, `-` for standard input. A notice that is not
    UTF-8 is taken too, and its headers say so. `person` and `reason`: who brought it in by hand, and why (I8); nobody for a
    mailbox. Raises BulletinRefused (empty, or over BULLETIN_BYTES_MAX) and what
    `EventLog.append` raises.
    """
    if not text.strip():
        raise BulletinRefused("the notice is empty; give the text that CBSA sent")
    if len(text) > BULLETIN_BYTES_MAX:
        raise BulletinRefused(
            f"the notice has {len(text):,} bytes and the limit is {BULLETIN_BYTES_MAX:,}; give the notice alone"
        )
    headers = (
        ("received", from_ms(received_ms).encode()),
        ("filename", _plain(name).encode()),
        ("content-type", f"text/plain; charset={_charset(text)}".encode()),
        *((("person", person.encode()), ("reason", reason.encode())) if person else ()),
    )
    (position,) = log.append(BULLETINS, [Entry(value=text, headers=headers)])
    return position


def _charset(text: bytes) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "unknown-8bit"  # RFC 1428: text of which nobody has said what it is
    return "utf-8"


def _plain(name: str) -> str:
    """The file's name alone, on one line, without its folders: a header is shown to people."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char if char.isprintable() else "?" for char in last)
    return shown[:NAME_CHARS_MAX] or "-"
