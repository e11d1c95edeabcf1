"""The auditor's checks: a sound log gives no finding, and each planted fault is found and located."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from audit.verify import Report, verify
from eventlog.memory import MemoryLog
from eventlog.port import Appended
from lane.policy import Policy
from schemas.codec import encode
from schemas.facts import (
    AnswerGiven,
    AnswersReceived,
    Fact,
    GraceElapsed,
    LaneReleased,
    MessageFiled,
    MessageWithdrawn,
    PolicyAdopted,
    Scope,
    SettlingElapsed,
    Source,
    WindowEnded,
)
from schemas.streams import DESK, RESPONSES, Entry, Record, inbound, lane
from tests.audit_world import World, closes


class Altered:
    """A log that gives other records than were written, as a damaged disk or a forger would."""

    at_hand = True

    def __init__(self, log: MemoryLog, stream: str, change: Callable[[list[Record]], list[Record]]) -> None:
        self._log = log
        self._stream = stream
        records = list(log.read(stream, 0, 10_000, 0.0))
        self._records = change(records)

    def append(self, stream: str, batch: Sequence[Entry]) -> Appended:
        raise AssertionError(f"an auditor writes nothing, least of all {batch} to {stream}")

    def read(self, stream: str, start: int, limit: int, wait_s: float) -> Sequence[Record]:
        if stream != self._stream:
            return self._log.read(stream, start, limit, wait_s)
        return [record for record in self._records if record.position >= start][:limit]

    def end(self, stream: str) -> int:
        return self._log.end(stream)

    def fetch(self, stream: str, positions: Sequence[int]) -> Sequence[Record]:
        return self._log.fetch(stream, positions)

    def close(self) -> None:
        self._log.close()


def _check(world: World) -> Report:
    return verify(world.log, world.codec)


def _found(report: Report) -> list[tuple[str, str, int]]:
    return [(each.check, each.stream, each.position) for each in report.findings]


def _trip(world: World) -> tuple[int, int]:
    cargo = world.publish("c1", "cargo", keys={"ccn": ["ABCD1"]})
    trip = world.publish("t1", "conveyance", keys={"crn": ["ABCDT"], "ccn": ["ABCD1"]})
    return cargo, trip


def _sound(mode: str = "highway") -> World:
    """A day without a fault: an outage, a trip in order, a duplicate, a status answer, a filing."""
    world = World(mode)
    world.take()
    cargo, trip = _trip(world)
    world.publish("c1", "cargo", keys={"ccn": ["ABCD1"]})
    portal = world.publish("p1", "cargo", channel="emanifest_portal" if mode == "highway" else "edi", keys={"ccn": ["ABCD9"]})
    world.notice("TCC26-001", "open", closes())
    world.pass_time(60)
    world.notice("TCC26-001", "resolved")
    world.send(cargo)
    world.answer(cargo)
    grant = world.intend(trip)
    world.conclude(trip, grant, "unknown", detail="time-out")
    world.status(trip, known=True, outcome="captured")
    if mode == "highway":
        world.write(MessageFiled(at_ms=world.now_ms, message=portal, basis=portal, reference="R1", person="carl", reason="filed"))
    world.write(LaneReleased(at_ms=world.now_ms, epoch=world.epoch))
    return world


def test_a_sound_log_gives_no_finding() -> None:
    """No false alarm: an auditor that cries wolf is not listened to."""
    report = _check(_sound())
    assert [] == [str(finding) for finding in report.findings]
    assert report.ok
    assert {"captured": 2, "filed": 1, "duplicate": 1} == {
        state: count for state, count in report.lanes["highway"].items() if count
    }


def test_each_check_looks_at_something_in_a_sound_log() -> None:
    """A check that looks at nothing proves nothing."""
    assert [] == [check.name for check in _check(_sound()).checks if check.count == 0]


def test_an_altered_payload_byte_is_found_at_its_position() -> None:
    """V1, I6a: one flipped bit of a payload is located."""
    world = _sound()
    stream = inbound("highway")
    flip = lambda records: [replace(records[0], value=b"JSA*00*"), *records[1:]]  # noqa: E731
    report = verify(Altered(world.log, stream, flip), world.codec)
    assert [("V1", stream, 0)] == _found(report)


def test_an_altered_header_is_found_at_its_position() -> None:
    """V1: the attributes are evidence as well as the bytes."""
    world = _sound()
    stream = inbound("highway")

    def inland(records: list[Record]) -> list[Record]:
        headers = tuple((name, b"true" if name == "ce_inland" else value) for name, value in records[1].headers)
        return [records[0], replace(records[1], headers=headers), *records[2:]]

    assert [("V1", stream, 1)] == _found(verify(Altered(world.log, stream, inland), world.codec))


def test_an_altered_notice_is_found_at_its_position() -> None:
    """V1: what closed and opened the gate is evidence."""
    world = _sound()
    flip = lambda records: [replace(records[0], value=b"nothing is closed"), *records[1:]]  # noqa: E731
    assert [("V1", "bulletins", 0)] == _found(verify(Altered(world.log, "bulletins", flip), world.codec))


@pytest.mark.parametrize("stream", [inbound("highway"), lane("highway"), DESK, RESPONSES, "bulletins"])
def test_a_record_that_was_taken_out_is_missed(stream: str) -> None:
    """V2, I6a: a hole in any stream is found."""
    world = _sound()
    where = 2 if world.log.end(stream) > 2 else 1
    report = verify(Altered(world.log, stream, lambda records: [records[0], *records[2:]]), world.codec)
    assert ("V2", stream, where) in _found(report)


def test_bytes_that_are_no_fact_are_found() -> None:
    """V0: a lane holds facts and nothing else."""
    world = _sound()
    stream = lane("highway")
    damage = lambda records: [*records[:-1], replace(records[-1], value=b"\xc3\x01garbage")]  # noqa: E731
    assert [("V0", stream, world.view.next_position - 1)] == _found(verify(Altered(world.log, stream, damage), world.codec))


def test_a_record_that_no_fact_speaks_of_is_a_hole_in_the_chain() -> None:
    """V2, V8, R1: intake can't pass over a message unseen."""
    world = World()
    world.publish("a")
    attributes = world.log.fetch(inbound("highway"), [0])[0].headers
    world.log.append(inbound("highway"), [Entry(b"ISA*01*", tuple((name, value or b"") for name, value in attributes))])
    world.publish("c")
    assert {("V2", inbound("highway"), 1), ("V8", lane("highway"), 2)} == set(_found(_check(world)))


def test_a_key_that_had_its_effect_is_found_when_it_is_sent_again() -> None:
    """V3, I1b: one effect for each lane, tenant and key."""
    world = World()
    world.take()
    first = world.publish("a")
    again = world.publish("a")
    world.send(first)
    grant = world.send(again)
    assert [("V3", lane("highway"), grant)] == _found(_check(world))


def test_an_outcome_without_an_intent_is_found() -> None:
    """V4: nothing touches the wire without a grant."""
    world = World()
    world.take()
    message = world.publish("a")
    position = world.conclude(message, world.view.next_position - 1)
    assert [("V4", lane("highway"), position)] == _found(_check(world))


def test_an_intent_of_an_old_epoch_grants_nothing() -> None:
    """V4, I4g: who lost the lane may not send."""
    world = World()
    world.take()
    message = world.publish("a")
    world.take()
    world.epoch = 1
    grant = world.send(message)
    assert [("V4", lane("highway"), grant)] == _found(_check(world))


def test_two_different_outcomes_of_one_grant_are_found() -> None:
    """V4, R41: a grant has one outcome; the same one told twice is no fault."""
    world = World()
    world.take()
    message = world.publish("a")
    grant = world.send(message)
    world.conclude(message, grant)
    position = world.conclude(message, grant, "expired")
    assert [("V4", lane("highway"), position)] == _found(_check(world))


def test_a_second_send_without_a_word_on_the_first_is_found() -> None:
    """V4, I4c: no blind resend."""
    world = World()
    world.take()
    message = world.publish("a")
    world.conclude(message, world.intend(message), "unknown")
    grant = world.intend(message)
    world.conclude(message, grant)
    assert [("V4", lane("highway"), grant)] == _found(_check(world))


def test_a_send_while_a_notice_held_the_channel_is_found() -> None:
    """V5, I2a: the gate, exact in log order."""
    world = World()
    world.take()
    message = world.publish("a")
    world.notice("TCC26-001", "open", closes())
    grant = world.send(message)
    assert [("V5", lane("highway"), grant)] == _found(_check(world))


def test_an_expired_grant_touched_no_wire() -> None:
    """V5: an intent that the fold voided, or that expired, is no send."""
    world = World()
    world.take()
    message = world.publish("a")
    world.notice("TCC26-001", "open", closes())
    world.conclude(message, world.intend(message), "expired")
    assert _check(world).ok


def test_an_outage_of_other_tenants_or_components_holds_nobody_else() -> None:
    """V5: scopes, to the letter."""
    world = World()
    world.take()
    message = world.publish("a")
    world.notice("TCC26-001", "open", closes(tenants=("zeta",)), closes("cig"))
    world.send(message)
    assert _check(world).ok


@pytest.mark.parametrize(("seconds", "ok"), [(-1, True), (0, False), (30, False)])
def test_a_scheduled_window_holds_from_its_published_start(seconds: int, *, ok: bool) -> None:
    """V5, R31: judged by the intent's own time."""
    world = World()
    world.take()
    message = world.publish("a")
    starts = world.now_ms + 60_000
    world.notice("TCC26-001", "scheduled", closes(scheduled=True, starts_ms=starts, ends_ms=starts + 60_000))
    world.now_ms = starts + seconds * 1000
    world.send(message)
    assert ok == _check(world).ok


def test_a_window_opens_by_its_end_and_not_before() -> None:
    """V5, R6: `WindowEnded` is void before its time."""
    world = World()
    world.take()
    early, late = world.publish("a"), world.publish("b")
    ends = world.now_ms + 60_000
    world.notice("TCC26-001", "scheduled", closes(scheduled=True, starts_ms=world.now_ms, ends_ms=ends))
    world.write(WindowEnded(at_ms=world.now_ms, incident="TCC26-001", ends_ms=ends))
    grant = world.send(early)
    world.now_ms = ends
    world.write(WindowEnded(at_ms=world.now_ms, incident="TCC26-001", ends_ms=ends))
    world.send(late)
    assert [("V5", lane("highway"), grant)] == _found(_check(world))


@pytest.mark.parametrize(("new_end_s", "ok"), [(30, False), (50, True)], ids=["shortened", "as long"])
def test_a_window_that_has_begun_is_shortened_by_no_update(new_end_s: int, *, ok: bool) -> None:
    """V5, R30: an earlier end opens nothing; the end that was published first stands beside it."""
    world = World()
    world.take()
    message, begins = world.publish("a"), world.now_ms
    for number, seconds in enumerate((50, new_end_s)):
        ends = begins + seconds * 1_000
        scope = closes(scheduled=True, starts_ms=begins, ends_ms=ends)
        world.notice("TCC26-001", "update" if number else "scheduled", scope)
    world.now_ms = ends
    world.write(WindowEnded(at_ms=world.now_ms, incident="TCC26-001", ends_ms=ends))
    world.send(message)
    assert ok == _check(world).ok


def test_a_profile_that_keeps_sending_is_obeyed() -> None:
    """V5, I11: policy is data, read from its fact."""
    world = World()
    world.take()
    world.adopt(Policy(profile="cbsa-queues").as_json())
    message = world.publish("a")
    world.notice("TCC26-001", "open", Scope(component="edi", direction="inbound", effect="not_processing"))
    world.send(message)
    assert _check(world).ok


def test_a_trip_before_its_cargo_is_found() -> None:
    """V6, E1: order means captured."""
    world = World()
    world.take()
    cargo, trip = _trip(world)
    world.send(cargo)
    grant = world.send(trip)
    assert [("V6", lane("highway"), grant)] == _found(_check(world))


def test_a_trip_before_its_cargo_is_free_in_air() -> None:
    """V6: no order between cargo and conveyance in air and marine."""
    world = World("air")
    world.take()
    cargo = world.publish("c1", "cargo", keys={"ccn": ["ABCD1"], "crn": ["ABCDT"]})
    trip = world.publish("t1", "conveyance", keys={"crn": ["ABCDT"]})
    world.send(trip)
    world.send(cargo)
    assert _check(world).ok


@pytest.mark.parametrize("waited", [True, False])
def test_a_shipment_that_was_never_seen_needs_its_grace(*, waited: bool) -> None:
    """V6, R22: the wait is part of the rule."""
    world = World()
    world.take()
    trip = world.publish("t1", "conveyance", keys={"crn": ["ABCDT"], "ccn": ["ABCD1"]})
    world.pass_time(601)
    if waited:
        world.write(GraceElapsed(at_ms=world.now_ms, messages=(trip,)))
    world.send(trip)
    assert waited == _check(world).ok


def test_a_close_before_the_conveyance_of_its_cargo_is_found() -> None:
    """V6, E2: over previous CCN and primary cargo to the trip."""
    world = World()
    world.take()
    cargo, trip = _trip(world)
    close = world.publish("x1", "close", keys={"previous_ccn": ["ABCD1"]})
    world.send(cargo)
    world.answer(cargo)
    world.send(trip)
    grant = world.send(close)
    assert [("V6", lane("highway"), grant)] == _found(_check(world))


def test_an_arrival_before_a_release_is_found() -> None:
    """V6, E5: releases of the cargo that the trip lists."""
    world = World("rail")
    world.take()
    cargo, trip = _trip(world)
    release = world.publish("r1", "release", keys={"transaction": ["12345"], "ccn": ["ABCD1"]})
    arrival = world.publish("a1", "conveyance_arrival", keys={"crn": ["ABCDT"]}, occurred_at="2023-11-14T22:00:00Z")
    for message in (cargo, trip):
        world.send(message)
        world.answer(message)
    world.send(release)
    grant = world.send(arrival)
    assert [("V6", lane("rail"), grant)] == _found(_check(world))


def test_a_later_trip_that_takes_a_shipment_first_is_found() -> None:
    """V6, E11: a shipment stands on one trip at a time, the earlier first."""
    world = World()
    world.take()
    cargo, trip = _trip(world)
    later = world.publish("t2", "conveyance", keys={"crn": ["ABCDU"], "ccn": ["ABCD1"]})
    world.send(cargo)
    world.answer(cargo)
    world.send(later)
    world.answer(later)
    grant = world.send(trip)
    assert [("V6", lane("highway"), grant)] == _found(_check(world))


def test_a_cancel_on_the_way_holds_what_comes_after_it() -> None:
    """V6, R13: one document, one queue."""
    world = World()
    world.take()
    first = world.publish("a", "cargo", keys={"ccn": ["ABCD1"]})
    cancel = world.publish("b", "cargo", function="cancel", keys={"ccn": ["ABCD1"]})
    world.send(first)
    grant = world.send(cancel)
    found = _check(world).findings
    assert {("V6", grant)} == {(each.check, each.position) for each in found}


def test_a_withdrawn_shipment_stops_nobody() -> None:
    """V6: what left the queue is not waited for."""
    world = World()
    world.take()
    cargo, trip = _trip(world)
    world.write(MessageWithdrawn(at_ms=world.now_ms, message=cargo, basis=cargo, person="olga", reason="wrong"))
    world.pass_time(601)
    world.write(GraceElapsed(at_ms=world.now_ms, messages=(trip,)))
    world.send(trip)
    assert _check(world).ok


@pytest.mark.parametrize("late", [True, False])
def test_settling_counts_only_while_answers_are_late(*, late: bool) -> None:
    """V6, R23: transmitted plus settling time stands for on file while a notice says that answers are missing."""
    world = World()
    world.take()
    cargo, trip = _trip(world)
    world.send(cargo)
    if late:
        world.notice("TCC26-001", "open", Scope(component="edi", direction="outbound", effect="unavailable"))
    world.pass_time(1_900)
    world.write(SettlingElapsed(at_ms=world.now_ms, messages=(cargo,)))
    world.send(trip)
    assert late == _check(world).ok


def test_a_capture_without_a_stored_answer_is_found() -> None:
    """V7, I4e: no phantom answer."""
    world = World()
    world.take()
    message = world.publish("a")
    world.send(message)
    page = world.page([{"idempotency_key": "highway/acme/zzz", "outcome": "captured"}])
    answer = AnswerGiven(
        tenant="acme", key="a", submission=1, outcome="captured", code="", text="", seq=1, answered_ms=world.now_ms
    )
    source = Source(stream=RESPONSES, position=page, previous=-1)
    position = world.write(AnswersReceived(at_ms=world.now_ms, source=source, gateway="test", answers=(answer,)))
    assert ("V7", lane("highway"), position) in _found(_check(world))


def test_a_page_that_the_lane_passed_over_is_found() -> None:
    """V2, I4e: an answer that is stored is also read."""
    world = World()
    world.take()
    first, second = world.publish("a"), world.publish("b")
    world.send(first, second)
    skipped = world.page([{"idempotency_key": "highway/acme/a", "outcome": "captured"}])
    world.answer(second)
    assert [("V2", RESPONSES, skipped)] == _found(_check(world))


def test_a_status_answer_that_says_something_else_is_found() -> None:
    """V7: the evidence is read again, word for word."""
    world = World()
    world.take()
    message = world.publish("a")
    world.conclude(message, world.intend(message), "unknown")
    position = world.status(message, known=True, outcome="captured")
    lie = lambda records: [replace(records[0], value=b'{"known": true, "outcome": "rejected"}')]  # noqa: E731
    altered = Altered(world.log, RESPONSES, lie)
    altered.fetch = lambda stream, positions: altered.read(stream, positions[0], 1, 0.0)  # type: ignore[method-assign]
    assert [("V7", lane("highway"), position)] == _found(verify(altered, world.codec))


def test_answers_missing_between_two_pages_are_found() -> None:
    """V2, R3: the chain of [responses]."""
    world = World()
    world.page([{"idempotency_key": None, "outcome": "notice"}])
    world.seq += 1
    position = world.page([{"idempotency_key": None, "outcome": "notice"}])
    assert [("V2", RESPONSES, position)] == _found(_check(world))


def test_a_lane_that_passed_over_a_notice_is_found() -> None:
    """V2, R4: what closes one lane closes each."""
    world = World()
    passed_over = PolicyAdopted(at_ms=world.now_ms, policy=Policy().as_json(), person="olga", reason="test")
    world.policy_at = world.log.append(DESK, [Entry(encode(passed_over))])[0]
    world.adopt(Policy().as_json())
    assert ("V2", DESK, 0) in _found(_check(world))


def test_a_lane_that_copied_a_stale_policy_is_found() -> None:
    """V2, R5: of two policies made from the same one the second is void, and no lane may take it."""
    world = World()
    stale = PolicyAdopted(at_ms=world.now_ms, policy=Policy(drain="operator").as_json(), person="olga", reason="late", basis=-1)
    world.adopt(Policy().as_json())
    position = world.log.append(DESK, [Entry(encode(stale))])[0]
    assert [] == _found(_check(world))
    copy = world.write(replace(stale, source=world.source(DESK, position)))
    assert [("V2", lane(world.mode), copy)] == _found(_check(world))


def _imports_in_a_new_process() -> str:
    code = "import sys, audit.verify; print(*sorted(name for name in sys.modules if name.split('.')[0] == 'lane'))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_auditor_imports_nothing_of_the_fold() -> None:
    """I5, I6: a checker that imports the fold agrees with itself. Nothing of `lane` is loaded, not by a detour either."""
    assert "" == _imports_in_a_new_process()


def test_facts_of_another_stream_do_not_belong_in_a_lane() -> None:
    """V0: a fact stands where it belongs."""
    world = World()
    misplaced: Fact = world.codec.decode(encode(LaneReleased(at_ms=0, epoch=1)))
    world.log.append(DESK, [Entry(encode(misplaced))])
    assert [("V0", DESK, 0)] == _found(_check(world))


@pytest.mark.parametrize("key", [" k", "k ", "  a b  ", "   ", "a/b~2%", "\u00e9 "])
def test_the_auditor_reads_every_wire_key_that_the_lane_writes(key: str) -> None:
    """R11, V7: a key with blanks at its ends is answered as any other, and verify has no complaint."""
    world = World()
    world.take()
    message = world.publish(key)
    world.send(message)
    world.answer(message)
    assert "captured" == world.message(message).state
    assert [] == _found(_check(world))


def test_an_answer_to_one_party_with_anothers_message_is_rightly_left_out() -> None:
    """V7: the lane believes it for nobody, and the auditor misses it in no fact."""
    world = _sound()
    held = world.publish("k2")
    stray = {"idempotency_key": "highway/acme/k2", "receiver": "zeta", "outcome": "captured"}
    position = world.page([stray])
    source = world.source(RESPONSES, position)
    world.write(AnswersReceived(at_ms=world.now_ms, source=source, gateway="test", answers=()))
    assert "held" == world.message(held).state
    assert [] == _found(_check(world))
