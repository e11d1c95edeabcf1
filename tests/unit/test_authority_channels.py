"""The simulated authority's channels: what waits keeps its order, and comes out when its direction is up again."""

from gateway.authority_channels import Channel, DelayLine
from gateway.authority_history import AnswerRow


def answer(key: str) -> AnswerRow:
    """Return a capture of the message with this key."""
    return AnswerRow(key, "acme", "captured", "OK", "")


def test_what_waits_is_not_overtaken_when_the_delay_is_shortened() -> None:
    """Messages are judged in the order they came (INTERFACES section 4)."""
    line = DelayLine[str]()
    line.put("first", 10.0)
    line.put("second", 5.0)
    assert line.take_due(9.0) == []
    assert line.take_due(10.0) == ["first", "second"]


def test_a_channel_that_is_up_again_has_caught_up() -> None:
    """Up means at once, also for what waited; the order stays."""
    channel = Channel(name="edi")
    channel.set({"outbound": "delayed", "inbound": "delayed", "delay_s": 100}, 0.0)
    for number in range(3):
        channel.to_answer.put(answer(str(number)), 100.0 + number)
    assert channel.to_answer.take_due(1.0) == []
    channel.set({"outbound": "up", "inbound": "up"}, 1.0)
    assert [each.idempotency_key for each in channel.to_answer.take_due(1.0)] == ["0", "1", "2"]


def test_answers_wait_while_outbound_is_down_however_long() -> None:
    """No timer opens a channel (I2)."""
    channel = Channel(name="edi")
    channel.set({"outbound": "down"}, 0.0)
    channel.to_answer.put(answer("1"), 0.0)
    assert (channel.to_answer.take_due(1e9), channel.to_answer.next_due_s()) == ([], None)
    channel.set({"outbound": "up"}, 1e9)
    assert channel.to_answer.take_due(1e9) == [answer("1")]
