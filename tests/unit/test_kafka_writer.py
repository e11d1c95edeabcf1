"""Appends to Kafka end with the log that they were given to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from eventlog.kafka_writer import StreamWriter
from eventlog.port import LogError, LogUnavailable
from schemas.streams import Entry
from tests.unit.loopback_broker import IDENTITY, METADATA, SOON_S, TOPIC, Answering, Broker, framed, identity, serving

CLOSE_WAIT_S = 0.05
DELIVERY_WAIT_S = 1.0


@contextmanager
def writing(answering: Answering) -> Iterator[tuple[StreamWriter, Broker]]:
    """A writer to a broker that answers so."""
    with serving(answering) as broker:
        bootstrap = f"127.0.0.1:{broker.port}"
        writer = StreamWriter(bootstrap, TOPIC, told=lambda *_: None, delivery_wait_s=DELIVERY_WAIT_S, close_wait_s=CLOSE_WAIT_S)
        try:
            yield writer, broker
        finally:
            writer.close()


def test_an_append_that_still_connects_when_the_log_is_closed_is_never_written() -> None:
    """Who closed the log goes on as if nothing more of it came: another process may hold the lane by then."""
    asked, closed, errors = threading.Event(), threading.Event(), list[LogError]()

    def answering(kind: int, number: int) -> tuple[bytes, ...]:
        if kind != IDENTITY:
            return ()
        asked.set()
        assert closed.wait(SOON_S)
        return (framed(number, identity()),)

    def append() -> None:
        with pytest.raises(LogError) as caught:
            writer.append([Entry(b"late")])
        errors.append(caught.value)

    with writing(answering) as (writer, broker):
        thread = threading.Thread(target=append)
        thread.start()
        assert asked.wait(SOON_S)
        writer.close()
        closed.set()
        thread.join(SOON_S)
        assert [METADATA, IDENTITY] == broker.asked, "it was written after the close"
        assert [LogUnavailable] == [type(error) for error in errors]
