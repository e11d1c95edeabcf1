"""Where it is written: the log port and its engines (memory, SQLite, Apache Kafka); knows bytes and positions, no meaning."""
