"""Where it is written: the log port and its engines (memory, SQLite, Apache Kafka); knows bytes and positions, no meaning."""

from schemas.native import path_of

__path__[:0] = path_of("eventlog")
