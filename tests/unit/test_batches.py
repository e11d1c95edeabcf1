"""Reading a file of messages: what is wrong with one line says nothing about the next."""

import base64
import hashlib
import io
import json

import pytest

from producers import batches
from producers.batches import LINE_BYTES_MAX, Line, read_batch
from producers.publisher import Message
from schemas.messages import PAYLOAD_BYTES_MAX, MessageUnreadable, parse_attributes

SAID = {"key": "k1", "tenant": "acme", "mode": "highway", "kind": "other"}
GOOD = json.dumps({**SAID, "payload": "ISA*00*"}).encode()
READ = Message(parse_attributes(SAID), b"ISA*00*")


def _read(data: bytes) -> list[Line]:
    return list(read_batch(io.BytesIO(data)))


def _code(line: Line) -> str:
    assert isinstance(line.said, MessageUnreadable)
    return line.said.code


def test_lines_are_read_with_their_numbers_and_blank_ones_are_skipped() -> None:
    """A person finds the line in an editor: numbers count blank lines too."""
    lines = _read(GOOD + b"\n\n  \r\n" + GOOD + b"\r\n" + GOOD)
    assert [(1, READ), (4, READ), (5, READ)] == [(line.number, line.said) for line in lines]
    assert {hashlib.sha256(GOOD).hexdigest()} == {line.sha256 for line in lines}


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """Windows editors write one."""
    assert [READ] == [line.said for line in _read(b"\xef\xbb\xbf" + GOOD)]


def test_binary_payloads_come_as_base64() -> None:
    """Raw bytes are never altered."""
    line = json.dumps({**SAID, "payload_base64": base64.b64encode(bytes(range(256))).decode()}).encode()
    assert [bytes(range(256))] == [line.said[1] for line in _read(line) if isinstance(line.said, Message)]


@pytest.mark.parametrize(
    ("bad", "code", "words"),
    [
        (b"{", "line_not_json", "write one object a line"),
        (b"[]", "line_not_json", "no object"),
        (b"null", "line_not_json", "no object"),
        (GOOD + GOOD, "line_not_json", "Extra data"),
        (b'{"key": "a", "key": "b"}', "line_not_json", "a name stands twice"),
        (b"[" * 100_000, "line_not_json", "nested too deeply"),
        (b'{"key": 1' + b"0" * 5_000 + b"}", "line_not_json", "one JSON object"),
        (b"\xff\xfe{\x00}\x00", "line_not_utf8", "byte 0"),
        (GOOD.replace(b"acme", b"acm\xe9"), "line_not_utf8", "write the file as UTF-8"),
        (GOOD.replace(b"acme", b"\\ud800"), "unreadable", "tenant"),
        (GOOD.replace(b"highway", b"pipeline"), "unreadable", "mode"),
        (GOOD.replace(b"ISA", b""" """).replace(b" *00*", b""), "payload_empty", "empty"),
        (GOOD.replace(b"ISA", "é".encode()), "unreadable", "ASCII only"),
        (GOOD.replace(b"payload", b"payload_base64"), "payload_unreadable", "not base64"),
        (b"{}", "unreadable", "key: Field required"),
        (b"\x00" * 10, "line_not_json", "one JSON object"),
    ],
)
def test_a_bad_line_is_a_finding_and_the_next_one_is_read(bad: bytes, code: str, words: str) -> None:
    """I7: poison in the middle of a file stops nothing behind it."""
    before, found, behind = _read(GOOD + b"\n" + bad + b"\n" + GOOD)
    assert (READ, READ) == (before.said, behind.said)
    assert (2, code) == (found.number, _code(found))
    assert words in str(found.said)


def test_a_line_over_the_limit_is_passed_over_without_holding_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """I12: memory is bounded by the longest line allowed; the hash is of the whole line all the same."""
    monkeypatch.setattr(batches, "LINE_BYTES_MAX", len(GOOD))
    long = b"x" * (5 * len(GOOD) + 3)
    first, found, behind, last = _read(GOOD + b"\n" + long + b"\n" + GOOD + b"\n" + long)
    assert (READ, READ) == (first.said, behind.said)
    assert ("line_too_long", "line_too_long") == (_code(found), _code(last))
    assert [1, 2, 3, 4] == [line.number for line in (first, found, behind, last)]
    assert {hashlib.sha256(long).hexdigest()} == {found.sha256, last.sha256}


def test_the_largest_payload_fits_into_a_line() -> None:
    """The limits agree: what may be published may be written in a file."""
    line = json.dumps({**SAID, "payload_base64": base64.b64encode(b"x" * PAYLOAD_BYTES_MAX).decode()}).encode()
    assert len(line) + 64 * 1024 < LINE_BYTES_MAX
    (read,) = _read(line)
    assert isinstance(read.said, Message)
