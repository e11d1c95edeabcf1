"""The Apache Kafka engine keeps the log's contract on one real broker and on three."""

from collections.abc import Iterator

import pytest

from tests.contract.log_contract import LogContract, OpenLog
from tests.kafka_fixtures import opened

pytestmark = pytest.mark.kafka


class TestKafkaLogOnOneNode(LogContract):
    """One broker, as on a desk."""

    @pytest.fixture
    def open_log(self, kafka_one: str, topic_prefix: str) -> Iterator[OpenLog]:
        """Give handles on topics of the test's own."""
        with opened(kafka_one, topic_prefix) as open_one:
            yield open_one


class TestKafkaLogOnThreeNodes(LogContract):
    """Three brokers, as in production: three copies, two in sync."""

    @pytest.fixture
    def open_log(self, kafka_three: str, topic_prefix: str) -> Iterator[OpenLog]:
        """Give handles on topics of the test's own."""
        with opened(kafka_three, topic_prefix) as open_one:
            yield open_one
