"""What a raw notice's record says beside its text."""

import pytest

from consumers.availability import fact_of
from schemas.facts import Source
from schemas.streams import BULLETINS, Record

AT_MS = 1_764_000_000_000
SOURCE = Source(stream=BULLETINS, position=0, previous=-1)


def _received_ms(header: bytes) -> int:
    record = Record(0, AT_MS, b"EDI is down", (("received", header),))
    return fact_of(record, SOURCE, at_ms=AT_MS + 5).received_ms


def test_a_notice_came_in_when_its_header_says() -> None:
    """I9: effective, received and recorded times are all kept."""
    assert AT_MS - 3_600_000 == _received_ms(b"2025-11-24T10:00:00-05:00")


@pytest.mark.parametrize(
    "header",
    [
        b"2025-11-24T10:00:00",
        b"0001-01-01T00:00:00+14:00",
        b"9999-12-31T23:59:59-14:00",
        b"yesterday",
        b"\xff",
        b"",
    ],
)
def test_a_time_without_an_offset_is_never_read_in_the_machines_own_zone(header: bytes) -> None:
    """I5, I9: the same log is read alike on every machine; a header that can't be read counts as not given."""
    assert AT_MS == _received_ms(header)
