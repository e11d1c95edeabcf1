"""The log on Apache Kafka, the distributed engine; must not know what a record means.

A stream is a topic with one partition, its position is Kafka's offset, its clock the broker's (LogAppendTime). Positions are
always given: there is no consumer group and no committed offset. The parts: `kafka_link` (clients, errors), `kafka_wire`
(asking without a client), `kafka_topics` (settings that lose nothing), `kafka_writer`, `kafka_reader` (by position), `kafka_tail`
(following).
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from eventlog.admission import refuse_unfit_batch, refuse_unfit_fetch, refuse_unfit_read, refuse_unknown_stream
from eventlog.kafka_link import DELIVERY_WAIT_S, quiet_library
from eventlog.kafka_reader import EndReader, PositionReader
from eventlog.kafka_tail import Tail
from eventlog.kafka_topics import TOPIC_PREFIX, prepare_topics
from eventlog.kafka_writer import StreamWriter
from eventlog.port import NOTHING_APPENDED, Appended, LogUnavailable
from schemas.streams import ALL_STREAMS, Entry, Record


class KafkaLog:
    """An `EventLog` on a Kafka cluster. Open it with `KafkaLog.open`; connections are made when first needed."""

    at_hand = False

    def __init__(self, bootstrap: str, topic_prefix: str, delivery_wait_s: float) -> None:
        """Use `open`, which also checks the topics."""
        self.topics: Final = {stream: topic_prefix + stream for stream in ALL_STREAMS}
        topics = self.topics
        self._ends: Final = EndReader(bootstrap, topics)
        self._positions: Final = PositionReader(bootstrap, topics, self._ends.end)
        self._tail: Final = Tail(bootstrap, topics, self._ends.end_since)
        self._writers: Final = {
            stream: StreamWriter(bootstrap, topic, told=partial(self._tail.take_written, stream), delivery_wait_s=delivery_wait_s)
            for stream, topic in topics.items()
        }
        self._closed: Final = threading.Event()

    @classmethod
    def open(
        cls,
        bootstrap: str,
        *,
        topic_prefix: str = TOPIC_PREFIX,
        create: bool = True,
        delivery_wait_s: float = DELIVERY_WAIT_S,
    ) -> "KafkaLog":
        """Check (and with `create` make) the topics and return the log. `bootstrap` is HOST:PORT, with commas between.

        `delivery_wait_s` is the longest wait for an append's acknowledgement. Raises LogUnavailable within about 5 s when no
        broker answers, LogUnfit when a topic is missing (`create=False`) or has settings that would lose facts.
        """
        quiet_library()
        prepare_topics(bootstrap, prefix=topic_prefix, create=create)
        return cls(bootstrap, topic_prefix, delivery_wait_s)

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        """See `EventLog.append`. A batch up to 9 MiB is written whole or not at all, of a larger one always a beginning."""
        self._refuse_closed()
        refuse_unfit_batch(stream, batch)
        return self._writers[stream].append(tuple(batch)) if batch else NOTHING_APPENDED

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        """See `EventLog.read`. Positions of the compacted stream may have holes."""
        self._refuse_closed()
        refuse_unfit_read(stream, start=start, limit=limit)
        return self._tail.read(stream, start, limit, wait_s)

    def end(self, stream: str) -> int:
        """See `EventLog.end`."""
        self._refuse_closed()
        refuse_unknown_stream(stream)
        return self._ends.end(stream)

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        """See `EventLog.fetch`."""
        self._refuse_closed()
        refuse_unfit_fetch(stream, positions)
        return self._positions.fetch(stream, positions)

    def close(self) -> None:
        """See `EventLog.close`; closing twice does nothing more."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._tail.close()
        self._positions.close()
        self._ends.close()
        for writer in self._writers.values():
            writer.close()

    def _refuse_closed(self) -> None:
        if self._closed.is_set():
            raise LogUnavailable("This log was closed: open it again.")
