"""The towns that stories are told in; must not know any story.

What imports kafka is imported inside the fixtures: pytest reads this file before it lets that library's own warnings pass.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kafka_fixtures import delete_topics

if TYPE_CHECKING:
    from tests.e2e.town import Town


@pytest.fixture
def here(tmp_path: Path) -> "Iterator[Town]":
    """Give a town on SQLite."""
    from tests.e2e.town import town

    with town(tmp_path) as built:
        yield built


@pytest.fixture(scope="session")
def _border(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Town]":
    from tests.e2e.town import town

    with town(tmp_path_factory.mktemp("border")) as built:
        built.policy(missing_wait_ms=1_500, tau_ms=1_000, answer_due_ms=2_000, probe_ms=500)
        built.up()
        yield built


@pytest.fixture
def border(_border: "Town") -> "Iterator[Town]":
    """Give one town for all stories in which CBSA is up; each uses keys, documents and where it asks for mail tenants of its own.

    Its waits are short: 1.5 s for what was never seen, 1 s for a reply, 2 s for an answer, 0.5 s between two probes. After each
    story the faults are mended, and the log and CBSA's history are checked.
    """
    yield _border
    _border.authority.set_faults()
    _border.assert_sound()


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Town]":
    """Give a town on each engine."""
    from tests.e2e.town import town

    if request.param == "sqlite":
        with town(tmp_path) as built:
            yield built
        return
    bootstrap: str = request.getfixturevalue("kafka_one")
    prefix = f"story-{time.time_ns()}."
    try:
        with town(tmp_path, kafka=bootstrap, topic_prefix=prefix) as built:
            yield built
    finally:
        delete_topics(bootstrap, prefix)
