"""Records as they are read from a log to which strangers write too."""

from schemas.streams import Record


def test_a_header_without_a_value_stops_nobody() -> None:
    """On Kafka a stranger's header may lack its value: what reads the others, and counts bytes, goes on."""
    record = Record(3, 0, b"value", (("ours", b"one"), ("theirs", None), ("ours", b"two")))
    assert b"two" == record.header("ours")
    assert record.header("theirs") is None
    assert 5 + 4 + 3 + 6 + 4 + 3 == record.size_bytes()


def test_records_alike_are_equal() -> None:
    """The log alters nothing: what was read is compared whole."""
    record = Record(3, 0, b"value", (("name", b"one"),), b"key")
    assert record == Record(position=3, at_ms=0, value=b"value", headers=(("name", b"one"),), key=b"key")
    others = Record(4, 0, b"value", (("name", b"one"),), b"key"), Record(3, 0, b"value", (), b"key"), Record(3, 1, b"value")
    assert record not in others
