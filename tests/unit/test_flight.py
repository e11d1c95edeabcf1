"""What a runner has under way, and whether it is up to date: bounds, expiries and failing closed, without any wire."""

import hashlib

from lane.message import NOWHERE
from lane.record import record_of
from lane.state import LaneState, Message
from lane.view import DeskView
from replay.flight import ISSUE_BYTES_MAX, Flight
from replay.lag import Lag
from replay.planner import plan
from schemas.codec import Codec
from schemas.effects import Done, Turn
from schemas.streams import BULLETINS, DESK, Record
from tests.unit.lane_story import Story


def _story(*ccns: str) -> tuple[Story, LaneState, list[Message]]:
    story = Story()
    for ccn in ccns:
        story.cargo(ccn)
    return story, story.state, plan(story.state, at_ms=story.at_ms, outstanding={})


def test_an_intent_brings_at_most_so_many_bytes_into_memory() -> None:
    """I12: what does not fit stays ready for the next intent; one that is over the limit alone still goes."""
    story, state, planned = _story("A1", "A2", "A3")
    for message in planned:
        message.record = record_of(
            inbound=message.inbound, received_ms=0, size_bytes=ISSUE_BYTES_MAX // 2 + 1, digest="", attributes_digest=""
        )
    flight = Flight()
    issued = flight.issue(state, planned, epoch=1, turn=Turn(story.at_ms, 0.0))
    assert issued is not None
    assert (planned[0].position,) == issued[1].messages
    assert [False, True, True] == [message.heap != NOWHERE for message in planned]


def test_a_message_is_named_by_one_intent_at_a_time() -> None:
    """A plan may name it twice when it became ready anew; the second intent leaves it out and loses nobody else."""
    story, state, planned = _story("A1", "A2")
    flight = Flight()
    turn = Turn(story.at_ms, 0.0)
    assert flight.issue(state, planned[:1], epoch=1, turn=turn) is not None
    second = flight.issue(state, planned, epoch=1, turn=turn)
    assert second is not None
    assert (planned[1].position,) == second[1].messages
    assert flight.issue(state, planned, epoch=1, turn=turn) is None


def test_a_grant_that_nobody_waits_for_expires() -> None:
    """R41: an append applied late brings a grant back to an incarnation that has given its intent up."""
    story, state, _ = _story("A1")
    story.intend("A1")
    flight = Flight()
    flight.collect(state, epoch=state.lease.epoch, read_to=story.position + 1, in_doubt=False)
    assert [] == list(flight.start(state, Turn(story.at_ms, 0.0), holds=True))
    assert ["expired"] == [outcome.result for outcome in flight.outcomes]


def test_a_grant_starts_with_its_payload_in_time_and_expires_after_delta() -> None:
    """R41: within *delta* of the moment before its intent was issued, on the boot clock."""
    for boot_s, results in ((1.9, []), (2.1, ["expired"])):
        story, state, planned = _story("A1")
        message = planned[0]
        digest = hashlib.sha256(b"payload").hexdigest()
        message.record = record_of(inbound=message.inbound, received_ms=0, size_bytes=7, digest=digest, attributes_digest="")
        flight = Flight()
        issued = flight.issue(state, planned, epoch=state.lease.epoch, turn=Turn(story.at_ms, 0.0))
        assert issued is not None
        story.intend("A1")
        state.grants[message.grant].issue = issued[0]
        assert flight.written(issued[0], Done("intent", [message.grant]))
        flight.collect(state, epoch=state.lease.epoch, read_to=message.grant + 1, in_doubt=False)
        if not results:
            assert [] == list(flight.start(state, Turn(story.at_ms, boot_s), holds=True)), "no payload yet"
        flight.fetched(issued[0], Done("payload", [_record(message)]))
        sends = list(flight.start(state, Turn(story.at_ms, boot_s), holds=True))
        assert (len(sends), [outcome.result for outcome in flight.outcomes]) == (1 - len(results), results)


def test_an_answer_that_overtook_the_start_leaves_nothing_to_send() -> None:
    """R52: what CBSA has captured meanwhile is not put on the wire again."""
    story, state, planned = _story("A1")
    message = planned[0]
    flight = Flight()
    issued = flight.issue(state, planned, epoch=state.lease.epoch, turn=Turn(story.at_ms, 0.0))
    assert issued is not None
    story.intend("A1")
    state.grants[message.grant].issue = issued[0]
    flight.written(issued[0], Done("intent", [message.grant]))
    flight.fetched(issued[0], Done("payload", [_record(message)]))
    flight.collect(state, epoch=state.lease.epoch, read_to=message.grant + 1, in_doubt=False)
    story.captured("A1")
    assert [] == list(flight.start(state, Turn(story.at_ms, 0.1), holds=True))


def _looked(lag: Lag, turn: Turn, *, records: list[Record] | None, stream: str = BULLETINS, start: int = 0) -> None:
    error = OSError() if records is None else None
    lag.learn(LaneState("highway"), Done("lag", records, error), turn, beyond=(stream, start))


def test_a_reader_that_does_not_know_lags() -> None:
    """R4, fail closed: before the first looks, after a failed one, and when the last one is too old."""
    state, desk, lag = LaneState("highway"), DeskView(Codec().decode), Lag()
    assert lag.lags(state, desk, Turn(0, 0.0))
    assert [BULLETINS, DESK] == [read.stream for read in lag.look(desk, boot_s=0.0)]
    assert [] == list(lag.look(desk, boot_s=5.0)), "one look at a time"
    _looked(lag, Turn(0, 0.0), records=[])
    assert lag.lags(state, desk, Turn(0, 0.0)), "the desk is not looked at yet"
    _looked(lag, Turn(0, 0.0), records=[], stream=DESK)
    assert not lag.lags(state, desk, Turn(0, 0.0))
    assert lag.lags(state, desk, Turn(0, 5.1)), "five seconds later nobody has looked again"
    _looked(lag, Turn(0, 6.0), records=[], stream=DESK)
    _looked(lag, Turn(0, 6.0), records=None)
    assert lag.lags(state, desk, Turn(0, 6.0))


def test_what_nobody_has_read_stops_the_reader_by_its_age_and_by_our_own_clock() -> None:
    """R4: after *lag_max*, not before; a writer's clock that runs ahead does not hide it."""
    state, desk = LaneState("highway"), DeskView(Codec().decode)
    for age_ms, stood_s, lags in ((4_000, 0.0, False), (6_000, 0.0, True), (-60_000, 4.0, False), (-60_000, 6.0, True)):
        lag = Lag()
        for boot_s in (0.0, stood_s):
            _looked(lag, Turn(0, boot_s), records=[], stream=DESK)
            _looked(lag, Turn(age_ms, boot_s), records=[Record(0, 0, b"notice")])
        assert lags == lag.lags(state, desk, Turn(age_ms, stood_s)), (age_ms, stood_s)


def _record(message: Message) -> Record:
    headers = {
        "ce_specversion": "1.0", "ce_id": message.key, "ce_source": "/providers/acme", "ce_tenant": "acme",
        "ce_type": "ca.tidegate.message.published.v1", "ce_time": "2025-11-24T15:00:00Z", "ce_kind": "cargo",
        "ce_channel": "edi", "ce_function": "original", "ce_keys": '{"ccn": ["A1"]}', "ce_subject": "A1",
    }  # fmt: skip
    return Record(message.inbound, 0, b"payload", tuple((name, value.encode()) for name, value in headers.items()))
