"""Durable publishes a second through the publishing library, held against the bare client of the same engine.

It proves on Kafka that a receipt that means durable costs at most as much again as the write itself: at least half of the bare
rate. On SQLite there is no such bar: a bare insert takes 9 us, and headers, checks and receipts two or three times that.

Kafka   the peer is a bare kafka-python producer, acks=all and idempotent, on the same broker: the same values and headers into a
        topic with the same settings, every future checked.
SQLite  the peer is bare apsw, synchronous=FULL and WAL, the same rows in the same batches, a commit a batch.

Many: all messages are handed over at once (`publish_many`). One by one: each waits for its receipt (`publish`). Making the
messages is outside the clock for both; making headers, checks, receipts and their hashes are inside ours.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import apsw

from benchmarks import charts
from benchmarks.engines import Kafka, add_engine, fresh_log, kafka_for
from benchmarks.figures import Bar, Figure, Report, arguments, machine_line, positive, told_round
from benchmarks.traffic import trips
from console.clock import wall_ms
from eventlog.port import BATCH_COUNT_MAX
from producers.publisher import Message, Publisher
from schemas.cloudevents import to_headers
from schemas.streams import Headers, inbound

STREAM: Final = inbound("highway")

BARE_BATCH_BYTES: Final = 1024 * 1024
BARE_LINGER_MS: Final = 5
"""The bare producer's settings: of 16 KiB to 9 MiB and 0 to 100 ms none was faster here by more than the noise."""

FIGURES: Final = (
    Figure(name="many_per_s", unit="messages/s", meaning="durable publishes by publish_many, until the last receipt"),
    Figure(
        name="bare_many_per_s",
        unit="messages/s",
        meaning="the peer: the same bytes by the bare client, until the last acknowledgement",
    ),
    Figure(name="many_ratio", unit="x", meaning="ours over the bare client's", digits=2),
    Figure(name="single_per_s", unit="messages/s", meaning="publish, each waiting for its receipt"),
    Figure(
        name="bare_single_per_s", unit="messages/s", meaning="the peer: the bare client, each waiting for its acknowledgement"
    ),
    Figure(name="single_ratio", unit="x", meaning="ours over the bare client's, one by one", digits=2),
)
BARS: Final = (Bar(name="many_ratio", least=0.5), Bar(name="single_ratio", least=0.5))

Rows = Sequence[tuple[bytes, Headers]]
Send = Callable[[Rows], None]


@contextmanager
def bare_kafka(bootstrap: str, topic: str) -> Iterator[tuple[Send, Send]]:
    """The bare producer: all at once, and one by one."""
    from kafka import KafkaProducer

    producer: Any = KafkaProducer(
        bootstrap_servers=bootstrap.split(","),
        acks="all",
        enable_idempotence=True,
        batch_size=BARE_BATCH_BYTES,
        linger_ms=BARE_LINGER_MS,
        max_request_size=8 * BARE_BATCH_BYTES,
    )
    prompt: Any = KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", enable_idempotence=True, linger_ms=0)

    def many(rows: Rows) -> None:
        futures = [producer.send(topic, value, headers=list(headers), partition=0) for value, headers in rows]
        producer.flush()
        assert all(future.get(timeout=0).offset >= 0 for future in futures)

    def single(rows: Rows) -> None:
        for value, headers in rows:
            prompt.send(topic, value, headers=list(headers), partition=0).get(timeout=30)

    try:
        yield many, single
    finally:
        producer.close()
        prompt.close()


@contextmanager
def bare_sqlite() -> Iterator[tuple[Send, Send]]:
    """Bare apsw: all in batches as large as ours, and one by one."""
    with TemporaryDirectory(prefix="tidegate-bench-") as folder:
        connection = apsw.Connection(str(Path(folder) / "bare.db"))
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        connection.execute(
            "CREATE TABLE bare (position INTEGER PRIMARY KEY, at_ms INTEGER, key BLOB, headers BLOB, value BLOB) STRICT"
        )

        def write(rows: Rows) -> None:
            packed = (
                (wall_ms(), None, b"".join(name.encode() + value for name, value in headers), value) for value, headers in rows
            )
            with connection:
                connection.executemany("INSERT INTO bare (at_ms, key, headers, value) VALUES (?, ?, ?, ?)", packed)

        def many(rows: Rows) -> None:
            for start in range(0, len(rows), BATCH_COUNT_MAX):
                write(rows[start : start + BATCH_COUNT_MAX])

        def single(rows: Rows) -> None:
            for row in rows:
                write([row])

        try:
            yield many, single
        finally:
            connection.close()


@contextmanager
def bare_client(engine: str, kafka: Kafka | None, topic_log: Any) -> Iterator[tuple[Send, Send]]:
    """The peer of an engine; on Kafka it writes to a topic of another log of ours, so that the settings are the same."""
    if engine == "kafka":
        assert kafka is not None
        with bare_kafka(kafka.bootstrap, topic_log.topics[STREAM]) as sends:
            yield sends
    else:
        with bare_sqlite() as sends:
            yield sends


def one_round(options: argparse.Namespace, kafka: Kafka | None, *, ours_first: bool) -> dict[str, float]:
    """Both clients do both, on fresh logs; who begins alternates from round to round."""
    messages = list(trips(options.messages))
    now = datetime.now(UTC)
    rows = [(payload, to_headers(attributes, now)) for attributes, payload in messages]
    few, few_rows = [_again(each) for each in messages[: options.singles]], rows[: options.singles]
    took: dict[str, float] = {}
    with fresh_log(options.engine, kafka) as ours, fresh_log(options.engine, kafka) as theirs:
        publisher = Publisher(ours.log, clock_ms=wall_ms)
        with bare_client(options.engine, kafka, theirs.log) as (bare_many, bare_single):
            publisher.publish(*_again(messages[-1]))  # connections are made outside the clock, for both
            bare_many(rows[:1])
            bare_single(rows[:1])
            steps: list[tuple[str, Callable[[], Any]]] = [
                ("many", lambda: publisher.publish_many(messages)),
                ("bare_many", lambda: bare_many(rows)),
                ("single", lambda: [publisher.publish(*each) for each in few]),
                ("bare_single", lambda: bare_single(few_rows)),
            ]
            for name, step in steps if ours_first else (steps[1], steps[0], steps[3], steps[2]):
                started = time.perf_counter()
                step()
                took[name] = time.perf_counter() - started
    counts = {"many": len(messages), "bare_many": len(rows), "single": len(few), "bare_single": len(few_rows)}
    rates = {f"{name}_per_s": counts[name] / took[name] for name in ("many", "bare_many", "single", "bare_single")}
    return rates | {name: rates[f"{kind}_per_s"] / rates[f"bare_{kind}_per_s"] for kind, name in _RATIOS}


_RATIOS: Final = (("many", "many_ratio"), ("single", "single_ratio"))


def _again(message: Message) -> Message:
    """The same message under another key: what is published twice would be one message."""
    attributes, payload = message
    return Message(attributes.model_copy(update={"key": f"{attributes.key}-single"}), payload)


def main() -> None:
    """Run the rounds and print the figures."""
    parser = arguments("intake", __doc__, rounds=5)
    add_engine(parser, default="sqlite", engines=("sqlite", "kafka"))
    parser.add_argument("--messages", type=positive, default=20_000, help="published at once in a round (default: 20,000)")
    parser.add_argument("--singles", type=positive, default=500, help="published one by one in a round (default: 500)")
    options = parser.parse_args()
    settings = {"messages": options.messages, "singles": min(options.singles, options.messages), "payload_bytes": 1024}
    report = Report("intake", settings, FIGURES, BARS if options.engine == "kafka" else ())
    with kafka_for(options) as kafka:
        rounds = []
        for number in range(options.rounds):
            rounds.append(one_round(options, kafka, ours_first=number % 2 == 0))
            last = rounds[-1]
            told_round(number + 1, options.rounds, f"{last['many_per_s']:,.0f}/s, {last['many_ratio']:.2f} of the bare client's")
    report.add({"engine": options.engine}, rounds)

    def draw(path: Path) -> None:
        medians = report.medians(0)
        groups = {
            "all at once": {"Tidegate": medians["many_per_s"], "bare client": medians["bare_many_per_s"]},
            "one by one": {"Tidegate": medians["single_per_s"], "bare client": medians["bare_single_per_s"]},
        }
        charts.bars(
            path, f"Durable publishes a second ({options.engine})", groups, unit="messages/s", note=machine_line(report.machine)
        )

    report.tell(options, draw)


if __name__ == "__main__":
    main()
