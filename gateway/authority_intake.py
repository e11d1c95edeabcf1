"""The simulated authority without its web service: takes, judges and answers messages; must not know HTTP, sockets or the lane.

Time comes in as arguments: a monotonic clock, a way to be called again, and the wall clock's text for what is recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from gateway.authority_channels import CHANNEL_NAME_CHARS_MAX, CHANNELS_MAX, Channel
from gateway.authority_documents import TakenMessage
from gateway.authority_faults import FaultPlan
from gateway.authority_history import AnswerRow, Answers, History, HistoryEntry
from gateway.authority_register import Register, Verdict

REPEATED: Final = Verdict(
    outcome="duplicate", code="DUP", text="this key was taken before with the same bytes; its first outcome stands"
)

Taking: TypeAlias = Literal["taken", "conflict"]


@dataclass(slots=True, kw_only=True)
class Clockwork:
    """The time that the authority lives by: `now_s` monotonic, `at` the wall clock as RFC 3339, `call_at` by `now_s`."""

    now_s: Callable[[], float]
    at: Callable[[], str]
    call_at: Callable[[float, Callable[[], None]], object]


@dataclass(slots=True, kw_only=True)
class Authority:
    """Register, history, answers, channels and faults, wired. `on_answer` is called when answers went out."""

    clock: Clockwork
    register: Register
    history: History
    answers: Answers = field(default_factory=Answers)
    faults: FaultPlan = field(default_factory=FaultPlan)
    channels: dict[str, Channel] = field(default_factory=dict)
    on_answer: Callable[[], None] = lambda: None

    def channel(self, name: str) -> Channel:
        """Return the channel, which is up when nobody said otherwise. Raises ValueError for a name that can't be one."""
        channel = self.channels.get(name)
        if channel is None:
            if not name or len(name) > CHANNEL_NAME_CHARS_MAX or len(self.channels) >= CHANNELS_MAX:
                raise ValueError(f"{name!r:.80} can't be a channel: name one of at most {CHANNELS_MAX}, such as edi or cers.")
            channel = self.channels[name] = Channel(name=name)
        return channel

    def take(self, message: TakenMessage) -> Taking:
        """Take a message in; it is judged at once, or later where the channel is delayed. Raises HistoryFull, OSError.

        `conflict`: its key came with other bytes before, and nothing is taken.
        """
        first = self.history.first(message.wire_key)
        if first is not None and first.message.sha256 != message.sha256:
            return "conflict"
        channel = self.channel(message.channel)
        entry = self.history.take(message, self.clock.at())
        now_s = self.clock.now_s()
        channel.to_judge.put(entry, now_s + (channel.delay_s if channel.inbound == "delayed" else 0.0))
        self.pump(channel)
        return "taken"

    def pump(self, channel: Channel) -> None:
        """Judge and answer what is due on this channel, and ask to be called again for the rest."""
        now_s = self.clock.now_s()
        for entry in channel.to_judge.take_due(now_s):
            self._judge(entry, channel)
        answers = channel.to_answer.take_due(now_s)
        for answer in answers:
            self.answers.add(answer, self.clock.at())
        if answers:
            self.on_answer()
        self._wake(channel)

    def answer_unasked(self, channel: Channel, answer: AnswerRow) -> None:
        """Send an answer of a test's making on a channel: a notice, or one that contradicts what was said."""
        self._send(answer, channel)
        self.pump(channel)

    def _wake(self, channel: Channel) -> None:
        """Ask for one timer per channel, not one per message."""
        if not channel.to_judge and not channel.to_answer:
            return
        dues = [due_s for due_s in (channel.to_judge.next_due_s(), channel.to_answer.next_due_s()) if due_s is not None]
        if not dues or (channel.wake_at_s is not None and channel.wake_at_s <= min(dues)):
            return
        wake_at_s = channel.wake_at_s = min(dues)

        def look() -> None:
            if channel.wake_at_s == wake_at_s:
                channel.wake_at_s = None
            self.pump(channel)

        self.clock.call_at(wake_at_s, look)

    def _judge(self, entry: HistoryEntry, channel: Channel) -> None:
        verdict = REPEATED if entry.repeat else self.register.judge(entry.message)
        self.history.judged(entry, verdict)
        answer = AnswerRow(entry.message.wire_key, entry.message.tenant, verdict.outcome, verdict.code, verdict.text)
        match self.faults.draw_answer(entry.message.wire_key) if self.faults.faults else None:
            case "answer_twice":
                self._send(answer, channel)
                self._send(answer, channel)
            case "answer_late":
                late_at_s = self.clock.now_s() + self.faults.late_s
                self.clock.call_at(late_at_s, lambda: self.answer_unasked(channel, answer))
            case "answer_lost":
                return
            case "answer_unknown_key":
                self._send(answer._replace(idempotency_key=f"{entry.message.wire_key}-nobody-sent-this"), channel)
                self._send(answer, channel)
            case "answer_other_tenant":
                self._send(answer._replace(receiver=f"not-{entry.message.tenant}"), channel)
            case "answer_unreadable":
                self._send(answer._replace(outcome="perhaps"), channel)
            case _:
                self._send(answer, channel)

    def _send(self, answer: AnswerRow, channel: Channel) -> None:
        delay_s = channel.delay_s if channel.outbound == "delayed" else 0.0
        channel.to_answer.put(answer, self.clock.now_s() + delay_s + self.faults.answer_latency_ms / 1000)
