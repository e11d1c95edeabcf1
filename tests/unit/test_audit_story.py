"""The story of one message, the state of a moment, the provider's mail: what an auditor and a provider read back."""

import json

import pytest

from audit.as_of import as_of, at_position
from audit.mail import mail
from audit.story import NOT_IN_THE_LOG, Story, places, story
from lane.view import LaneView
from schemas.facts import MessageFiled, MessageWithdrawn
from schemas.streams import MODES, RESPONSES, Entry, inbound, lane
from tests.audit_world import START_MS, World, closes


def _tell(world: World, key: str, tenant: str = "acme") -> Story:
    return story(world.log, world.codec, mode=world.mode, tenant=tenant, key=key)


def _day() -> World:
    world = World()
    world.take()
    world.notice("TCC26-001", "open", closes())
    world.pass_time(60)
    message = world.publish("a")
    world.publish("a")
    world.notice("TCC26-002", "open", closes("cig"))
    world.intend(message)
    world.pass_time(60)
    world.notice("TCC26-002", "resolved")
    world.notice("TCC26-001", "resolved")
    world.conclude(message, world.intend(message), "unknown", detail="time-out")
    world.status(message, known=True)
    world.answer(message)
    return world


def test_a_story_tells_each_fact_that_names_the_message_in_log_order() -> None:
    """The log that made it happen is the proof of what happened; notices of other channels are not its story."""
    told = _tell(_day(), "a")
    expected = [
        ("MessageReceived", False, "held"),
        ("MessageReceived", True, "held"),
        ("SendIntended", True, "held"),
        ("OutageResolved", False, "held"),
        ("SendIntended", False, "granted"),
        ("SendsConcluded", False, "unknown"),
        ("StatusAnswered", False, "transmitted"),
        ("AnswersReceived", False, "captured"),
    ]
    assert expected == [(step.fact, step.void, step.state) for step in told.steps]
    assert (True, "captured", 0, [1]) == (told.found, told.state, told.inbound_position, told.responses_positions)


def test_a_story_says_by_which_rule_an_intent_was_void() -> None:
    """Voids are told with the rule and a sentence."""
    step = _tell(_day(), "a").steps[2]
    assert "edi inbound is unavailable by TCC26-001 (R30)" in step.sentences


def test_a_story_tells_the_notice_that_was_in_force_when_the_message_came() -> None:
    """What was known then, with both clocks: the writer's and the log's own (I9e)."""
    first = _tell(_day(), "a").steps[0]
    assert ["TCC26-001 was in force for its channel: TCC26-001"] == [line for line in first.sentences if "TCC" in line]
    assert (START_MS + 60_000, START_MS + 60_000) == (first.at_ms, first.recorded_ms)


def test_a_story_names_the_raw_evidence() -> None:
    """Evidence is found by stream and position."""
    told = _tell(_day(), "a")
    assert f"inbound.highway at 0, SHA-256 {told.sha256}" == told.steps[0].evidence
    assert ["responses at 0", "responses at 1"] == [step.evidence for step in told.steps[-2:]]


def test_a_story_is_one_json_value_and_lines() -> None:
    """Both the program and the person read it."""
    told = _tell(_day(), "a")
    assert "captured" == json.loads(json.dumps(told.as_json()))["state"]
    assert len(told.lines()) > len(told.steps)


def test_a_story_tells_what_persons_did() -> None:
    """I8: each act with person and reason, also when it had no effect."""
    world = World()
    message = world.publish("a", "cargo", channel="emanifest_portal", keys={"ccn": ["ABCD1"]})
    filed = MessageFiled(at_ms=world.now_ms, message=message, basis=message, reference="R7", person="carl", reason="by hand")
    world.write(filed)
    world.write(MessageWithdrawn(at_ms=world.now_ms, message=message, basis=message, person="olga", reason="late"))
    told = _tell(world, "a")
    assert [("MessageFiled", False), ("MessageWithdrawn", True)] == [(step.fact, step.void) for step in told.steps[1:]]
    assert "carl filed it by hand, reference R7: by hand" == told.steps[1].sentences[0]


def test_an_unknown_key_is_safe_to_publish_again() -> None:
    """I1c: the story is total."""
    told = _tell(_day(), "zzz")
    assert (False, NOT_IN_THE_LOG, []) == (told.found, told.verdict, told.steps)


def test_another_tenants_key_is_not_this_tenants_story() -> None:
    """I10: identity is lane, tenant and key."""
    assert not _tell(_day(), "a", tenant="zeta").found


def test_a_message_that_intake_has_not_read_yet_is_in_the_log() -> None:
    """I1c: a receipt means durable, before anything was made of it."""
    world = World()
    world.publish("a")
    record = world.log.fetch(inbound("highway"), [0])[0]
    headers = tuple((name, b"b" if name == "ce_id" else value or b"") for name, value in record.headers)
    world.log.append(inbound("highway"), [Entry(record.value, headers)])
    told = _tell(world, "b")
    assert (False, 1) == (told.found, told.inbound_position)
    assert told.verdict.startswith("in the log")


def test_a_refused_record_has_a_story_too() -> None:
    """R2: what was refused is told with the reason."""
    world = World()
    world.publish("a", "cargo_arrival", keys={"ccn": ["ABCD1"]})
    told = _tell(world, "a")
    assert not told.found
    assert told.verdict.startswith("refused: an arrival needs occurred_at")


def test_a_key_alone_finds_its_places() -> None:
    """A person types the key and not always the lane."""
    world = _day()
    assert [("highway", "acme")] == places(world.log, world.codec, key="a", modes=MODES)


@pytest.mark.parametrize(("seconds", "state"), [(0, None), (60, "held"), (119, "held"), (120, "captured")])
def test_as_of_gives_what_was_known_then(seconds: int, state: str | None) -> None:
    """I5b: state at a time is the fold of the prefix up to it."""
    world = _day()
    snapshot = as_of(world.log, world.codec, at_ms=START_MS + seconds * 1000)
    states = [message.state for message in snapshot.lanes["highway"].messages.values()]
    assert ([] if state is None else [state]) == states


def test_as_of_uses_the_running_maximum_of_at() -> None:
    """R6: a clock that was set back hides nothing that stands before it in the log."""
    world = World()
    world.publish("a")
    world.pass_time(60)
    world.publish("b")
    world.now_ms = START_MS
    world.publish("c")
    snapshot = as_of(world.log, world.codec, at_ms=START_MS)
    assert ["a"] == [message.key for message in snapshot.lanes["highway"].messages.values()]
    assert 1 == snapshot.positions[lane("highway")]


def test_as_of_knows_the_desk() -> None:
    """The desk's own notices belong to what was known."""
    world = _day()
    assert ["TCC26-001"] == list(as_of(world.log, world.codec, at_ms=START_MS).desk.incidents)


def test_a_position_gives_the_state_after_it() -> None:
    """I5: the same prefix gives the same state."""
    world = _day()
    state = at_position(world.log, world.codec, mode="highway", position=2)
    assert ["held"] == [message.state for message in state.messages.values()]
    with pytest.raises(ValueError, match="has positions 0 to"):
        at_position(world.log, world.codec, mode="highway", position=99)


def _mail(world: World, tenant: str, after: int = -1) -> list[tuple[int, int]]:
    return [(item["position"], item["seq"]) for item in mail(world.log, tenant=tenant, after=after)]


def test_a_tenant_reads_its_own_mail_and_no_other() -> None:
    """I10: receiver and named message are both the tenant's."""
    world = World()
    world.page(
        [
            {"idempotency_key": "highway/acme/a", "outcome": "captured"},
            {"idempotency_key": "highway/zeta/z", "outcome": "captured", "receiver": "zeta"},
            {"idempotency_key": "highway/zeta/y", "outcome": "captured", "receiver": "acme"},
            {"idempotency_key": None, "outcome": "notice"},
        ]
    )
    assert ([(0, 1), (0, 4)], [(0, 2)]) == (_mail(world, "acme"), _mail(world, "zeta"))


def test_mail_goes_on_after_a_position_and_passes_over_what_is_off_the_chain() -> None:
    """R3: of two pollers that raced, one page is void; status answers are no mail."""
    world = World()
    world.page([{"idempotency_key": "highway/acme/a~2", "outcome": "captured"}])
    world.seq = 0
    world.page([{"idempotency_key": "highway/acme/a~2", "outcome": "captured"}])
    world.page([{"idempotency_key": "highway/acme/b", "outcome": "rejected", "code": "E1"}])
    world.log.append(RESPONSES, [Entry(b"{}")])
    assert ([(0, 1), (2, 2)], [(2, 2)]) == (_mail(world, "acme"), _mail(world, "acme", after=0))
    first = next(iter(mail(world.log, tenant="acme")))
    assert {"mode": "highway", "key": "a", "submission": 2} == first["matched"]
    assert "highway/acme/a~2" == first["raw"]["idempotency_key"]


def test_the_fold_is_the_same_whether_it_is_listened_to_or_not() -> None:
    """The auditor's reading changes nothing."""
    world = _day()
    view = LaneView("highway", world.codec.decode)
    view.absorb(world.log.read(lane("highway"), 0, 100, 0.0))
    assert view.state.counts == world.view.state.counts
