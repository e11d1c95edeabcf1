"""The memory engine keeps the log's contract, and its injected faults do what they say."""

# Tests say `expected == actual` (HOUSE 20), which the rule calls a Yoda condition.

from collections.abc import Iterator, Sequence

import pytest

from eventlog.memory import Fault, MemoryLog
from eventlog.port import AppendAmbiguous, AppendNotDone
from schemas.streams import Entry
from tests.contract.log_contract import HIGHWAY, LogContract, OpenLog, entries, read_all, values


class TestMemoryLog(LogContract):
    """Handles are `another` of the first one."""

    @pytest.fixture
    def open_log(self) -> Iterator[OpenLog]:
        """Give handles on one log in memory."""
        first = MemoryLog(lambda: 0)
        yield first.another
        first.close()


def log_whose_first_append_meets(fault: Fault) -> MemoryLog:
    """Make a log that breaks the first append and no other."""
    faults = iter([fault])

    def fault_of(stream: str, batch: Sequence[Entry]) -> Fault | None:
        return next(faults, None)

    return MemoryLog(lambda: 0, fault=fault_of)


def test_an_append_that_was_refused_is_not_in_the_log() -> None:
    """AppendNotDone means that appending again is safe."""
    log = log_whose_first_append_meets(Fault.NOT_DONE)
    with pytest.raises(AppendNotDone):
        log.append(HIGHWAY, entries(b"a"))
    log.append(HIGHWAY, entries(b"b"))
    assert [b"b"] == values(read_all(log, HIGHWAY))


@pytest.mark.parametrize(("fault", "found"), [(Fault.ANSWER_LOST, [b"a", b"b"]), (Fault.NEVER_APPLIED, [b"b"])])
def test_an_ambiguous_append_is_or_is_not_in_the_log(fault: Fault, found: list[bytes]) -> None:
    """The writer is told the same in both cases and must read to learn which it was."""
    log = log_whose_first_append_meets(fault)
    with pytest.raises(AppendAmbiguous):
        log.append(HIGHWAY, entries(b"a"))
    log.append(HIGHWAY, entries(b"b"))
    assert 0 == log.release_late()
    assert found == values(read_all(log, HIGHWAY))


def test_a_late_append_comes_after_what_was_written_meanwhile() -> None:
    """An append may be applied a minute later (DESIGN section 4); another handle may release it."""
    log = log_whose_first_append_meets(Fault.APPLIED_LATE)
    with pytest.raises(AppendAmbiguous):
        log.append(HIGHWAY, entries(b"late", b"later"))
    log.append(HIGHWAY, entries(b"b"))
    assert [b"b"] == values(read_all(log, HIGHWAY))
    assert (1, 0) == (log.another().release_late(), log.release_late())
    assert [b"b", b"late", b"later"] == values(read_all(log, HIGHWAY))


def test_records_carry_the_time_of_the_logs_clock() -> None:
    """The engine reads no clock of its own; a late batch gets the time at which it was written."""
    times = iter([1_700_000_000_000, 1_700_000_000_005])
    log = MemoryLog(lambda: next(times))
    log.append(HIGHWAY, entries(b"a", b"b"))
    log.append(HIGHWAY, entries(b"c"))
    assert [1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_005] == [record.at_ms for record in read_all(log, HIGHWAY)]
