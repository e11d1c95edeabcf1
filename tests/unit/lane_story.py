"""A lane's story in few words: each call appends one fact and checks that the state is consistent; must not know the log."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, cast

from lane import fold
from lane.document import name_of
from lane.identity import wire_key
from lane.moves import in_drain
from lane.order import ARRIVALS, blocker
from lane.state import ASIDE, NEVER, PENDING, STATES, Blocker, Drain, Finding, LaneState, Message
from schemas.facts import (
    AnswerGiven,
    AnswersReceived,
    CaptureRevoked,
    ComponentOverridden,
    GraceElapsed,
    LaneFact,
    LaneReleased,
    LaneTaken,
    MessageFiled,
    MessageReceived,
    MessageSettled,
    MessageWithdrawn,
    OutageDeclared,
    OutageResolved,
    Outcome,
    PersonNeeded,
    PolicyAdopted,
    ReplayChanged,
    Scope,
    SendIntended,
    SendsConcluded,
    SettlingElapsed,
    Source,
    StatusAnswered,
    StatusGiven,
    WindowEnded,
)

Findings = tuple[Finding, ...]
T0 = 1_760_000_000_000
"""When every story begins; a Thursday."""


class Story:
    """Facts appended to one lane's state, with a clock that only `wait` moves. Messages are known by the publisher's key."""

    def __init__(self, mode: str = "highway", **policy: Any) -> None:
        self.state = LaneState(mode)
        self.at_ms = T0
        self.position = -1
        self.log: list[tuple[int, LaneFact]] = []
        self.marks: dict[str, int] = {}
        self.wants_lease = True
        if policy:
            self.adopt(**policy)

    def say(self, fact: LaneFact) -> Findings:
        """Append any fact; afterwards the state's counts and indexes equal a recount."""
        self.position += 1
        self.log.append((self.position, fact))
        found = fold.apply(self.state, self.position, fact)
        assert_consistent(self.state)
        return found

    def source(self, stream: str) -> Source:
        """The next record of a source, chained to the last (R1)."""
        previous = self.marks.get(stream, NEVER)
        self.marks[stream] = previous + 1
        return Source(stream=stream, position=previous + 1, previous=previous)

    def wait(self, seconds: float) -> "Story":
        """Let time pass; a state learns of it by its next fact."""
        self.at_ms += int(seconds * 1_000)
        return self

    def __getitem__(self, key: str) -> Message:
        return self.state.find(None, key)[0]

    def is_(self, key: str) -> str:
        """The state of a message."""
        return self[key].state

    def blocker(self, key: str) -> Blocker | None:
        """What stands in a held message's way now."""
        return blocker(self.state, self[key], at_ms=self.at_ms)

    def waits(self, key: str) -> str | None:
        """The rule for which a held message waits, or None when its turn has come."""
        found = self.blocker(key)
        return None if found is None else found.rule

    # --- what providers publish

    def publish(self, kind: str, document: str, keys: Mapping[str, tuple[str, ...]], **more: Any) -> Findings:
        """Publish a message of any kind; its key is the document's own unless `key` says otherwise."""
        key = more.pop("key", document)
        fields: dict[str, Any] = {
            "at_ms": self.at_ms, "source": self.source(f"inbound.{self.state.mode}"), "tenant": "acme", "kind": kind,
            "function": "original", "channel": "edi", "content_type": "text/plain", "attributes_sha256": "a", "size_bytes": 1,
            "received_ms": self.at_ms, "sha256": sha256(key.encode()).hexdigest(),
        }  # fmt: skip
        return self.say(MessageReceived(key=key, document=document, keys=dict(keys), **(fields | more)))

    def cargo(self, ccn: str, *, crn: str | None = None, **more: Any) -> Findings:
        return self.publish("cargo", ccn, {"ccn": (ccn,)} | ({"crn": (crn,)} if crn else {}), **more)

    def trip(self, crn: str, *ccns: str, **more: Any) -> Findings:
        return self.publish("conveyance", crn, {"crn": (crn,), "ccn": ccns}, **more)

    def house_bill(self, bill: str, *, primary: str, previous: str | None = None, **more: Any) -> Findings:
        keys = {"house_bill": (bill,), "primary_ccn": (primary,)} | ({"previous_ccn": (previous,)} if previous else {})
        return self.publish("house_bill", bill, keys, **more)

    def close(self, previous: str, *bills: str, **more: Any) -> Findings:
        keys = {"previous_ccn": (previous,), "house_bill": bills}
        return self.publish("close", previous, keys, **({"key": f"close {previous}"} | more))

    def release(self, transaction: str, *ccns: str, image: str | None = None, **more: Any) -> Findings:
        keys = {"transaction": (transaction,), "ccn": ccns} | ({"image": (image,)} if image else {})
        return self.publish("release", transaction, keys, **more)

    def arrival(self, crn: str, *ccns: str, **more: Any) -> Findings:
        more = {"key": f"arrival {crn}", "occurred_ms": self.at_ms - 1_000} | more
        return self.publish("conveyance_arrival", crn, {"crn": (crn,), "ccn": ccns}, **more)

    def cargo_arrival(self, ccn: str, **more: Any) -> Findings:
        more = {"key": f"arrival {ccn}", "occurred_ms": self.at_ms - 1_000, "inland": True} | more
        return self.publish("cargo_arrival", ccn, {"ccn": (ccn,)}, **more)

    def image(self, name: str, **more: Any) -> Findings:
        return self.publish("image", name, {"image": (name,)}, **more)

    def withdraw(self, key: str, **more: Any) -> Findings:
        return self.say(MessageWithdrawn(**self._act(key, more)))

    def filed(self, key: str, **more: Any) -> Findings:
        return self.say(MessageFiled(reference="R-1", **self._act(key, more)))

    def settle(self, key: str, to: str, **more: Any) -> Findings:
        return self.say(MessageSettled(to=cast("Any", to), evidence="letter", **self._act(key, more)))

    def revoke(self, key: str, **more: Any) -> Findings:
        return self.say(CaptureRevoked(notice="TCC9", **self._act(key, more)))

    def _act(self, key: str, more: dict[str, Any]) -> dict[str, Any]:
        message = self[key]
        act = {"at_ms": self.at_ms, "message": message.position, "basis": message.act, "person": "ann", "reason": "asked"}
        return act | more

    # --- what CBSA's notices and operators say

    def declare(
        self,
        component: str = "edi",
        *,
        direction: str = "inbound",
        effect: str = "unavailable",
        incident: str = "TCC1",
        **more: Any,
    ) -> Findings:
        """A notice; `starts_s` and `ends_s` from now make it a scheduled window."""
        starts_s, ends_s = more.pop("starts_s", None), more.pop("ends_s", None)
        if ends_s is not None:
            ends_ms = self.at_ms + int(ends_s * 1_000)
            more |= {"scheduled": True, "starts_ms": self.at_ms + int((starts_s or 0) * 1_000), "ends_ms": ends_ms}
        scope = Scope(component=cast("Any", component), direction=cast("Any", direction), effect=cast("Any", effect), **more)
        return self.notice(incident, scope)

    def notice(self, incident: str, *scopes: Scope) -> Findings:
        """A notice with any scopes."""
        fact = OutageDeclared(
            at_ms=self.at_ms, source=self.source("desk"), incident=incident, title=incident, scopes=scopes, received_ms=self.at_ms
        )
        return self.say(fact)

    def resolve(self, incident: str = "TCC1") -> Findings:
        source = self.source("desk")
        return self.say(OutageResolved(at_ms=self.at_ms, source=source, incident=incident, title="", received_ms=self.at_ms))

    def override(self, component: str = "edi", *, to: str = "open", direction: str = "inbound") -> Findings:
        fact = ComponentOverridden(
            at_ms=self.at_ms, component=cast("Any", component), direction=cast("Any", direction), to=cast("Any", to),
            person="ann", reason="phone", basis=NEVER, source=self.source("desk"),
        )  # fmt: skip
        return self.say(fact)

    def window_ended(self, incident: str = "TCC1", *, ends_ms: int | None = None) -> Findings:
        return self.say(WindowEnded(at_ms=self.at_ms, incident=incident, ends_ms=self.at_ms if ends_ms is None else ends_ms))

    def adopt(self, **changes: Any) -> Findings:
        policy = replace(self.state.policy, **changes).as_json()
        return self.say(PolicyAdopted(at_ms=self.at_ms, policy=policy, person="ann", reason="asked", source=self.source("desk")))

    def replay(self, act: str, *, channel: str = "edi", rate_per_s: int | None = None, seen: Drain | None = None) -> Findings:
        """An act on the replay of a channel; `seen` is the replay as the person saw it."""
        drain = seen or self.state.channel(channel).drain
        assert drain is not None
        fact = ReplayChanged(
            at_ms=self.at_ms, replay=drain.position, basis=drain.act, act=cast("Any", act),
            rate_per_s=rate_per_s, person="ann", reason="asked",
        )  # fmt: skip
        return self.say(fact)

    # --- what the runner does

    def take_lane(self, basis: str = "free", *, seen: int | None = None) -> Findings:
        self.wants_lease = False
        epoch = self.state.lease.epoch + 1
        end = self.position + 1 if seen is None else seen
        return self.say(LaneTaken(at_ms=self.at_ms, epoch=epoch, holder=f"runner-{epoch}", basis=cast("Any", basis), seen=end))

    def release_lane(self) -> Findings:
        return self.say(LaneReleased(at_ms=self.at_ms, epoch=self.state.lease.epoch))

    def intend(self, *keys: str, at_ms: int | None = None, epoch: int | None = None) -> Findings:
        """An intent by the holder; a story that never spoke of the lease takes it first."""
        if self.wants_lease and epoch is None:
            self.take_lane()
        number = self.state.lease.epoch if epoch is None else epoch
        messages = tuple(self[key].position for key in keys)
        return self.say(SendIntended(at_ms=at_ms or self.at_ms, epoch=number, issue=self.position, messages=messages))

    def concluded(self, key: str, result: str, *, grant: int | None = None, epoch: int | None = None, **more: Any) -> Findings:
        message = self[key]
        outcome = Outcome(
            message=message.position, grant=message.grant if grant is None else grant, result=cast("Any", result), **more
        )
        return self.say(SendsConcluded(at_ms=self.at_ms, epoch=epoch or self.state.lease.epoch, outcomes=(outcome,)))

    def transmitted(self, *keys: str) -> Findings:
        return tuple(found for key in keys for found in self.concluded(key, "transmitted"))

    def answer(self, key: str, outcome: str, *, code: str = "", submission: int | None = None) -> Findings:
        message = self[key]
        number = message.submission if submission is None else submission
        given = AnswerGiven(
            tenant=message.tenant, key=key, submission=number, outcome=cast("Any", outcome), code=code, text="", seq=1,
            answered_ms=self.at_ms,
        )  # fmt: skip
        return self.answers(given)

    def answers(self, *given: AnswerGiven) -> Findings:
        return self.say(AnswersReceived(at_ms=self.at_ms, source=self.source("responses"), gateway="cbsa", answers=given))

    def captured(self, *keys: str) -> Findings:
        return tuple(found for key in keys for found in self.answer(key, "captured"))

    def rejected(self, key: str, code: str = "T36") -> Findings:
        return self.answer(key, "rejected", code=code)

    def status(self, key: str, *, known: bool, outcome: str | None = None, epoch: int | None = None) -> Findings:
        message = self[key]
        given = StatusGiven(
            message=message.position, grant=message.grant, known=known, outcome=cast("Any", outcome), evidence=self.position
        )
        return self.say(StatusAnswered(at_ms=self.at_ms, epoch=epoch or self.state.lease.epoch, answers=(given,)))

    def person_needed(self, key: str) -> Findings:
        messages = (self[key].position,)
        return self.say(PersonNeeded(at_ms=self.at_ms, epoch=self.state.lease.epoch, messages=messages, reason="ask TCCU"))

    def grace_elapsed(self, *keys: str) -> Findings:
        return self.say(GraceElapsed(at_ms=self.at_ms, messages=tuple(self[key].position for key in keys)))

    def settling_elapsed(self, *keys: str) -> Findings:
        return self.say(SettlingElapsed(at_ms=self.at_ms, messages=tuple(self[key].position for key in keys)))

    def sent(self, *keys: str) -> "Story":
        """Granted and transmitted, one by one; fails if the fold refuses."""
        for key in keys:
            assert () == self.intend(key)
            self.transmitted(key)
        return self

    def done(self, *keys: str) -> "Story":
        """Granted, transmitted and captured, one by one; fails if the fold refuses."""
        for key in keys:
            self.sent(key).captured(key)
        return self

    def wire_key(self, key: str) -> str:
        return wire_key(self.state.mode, self[key])


def rules(findings: Findings) -> list[str]:
    """The rules that findings name."""
    return [found.rule for found in findings]


def assert_consistent(state: LaneState) -> None:
    """Every count, index and flag equals a recount, and nobody who may go is forgotten; hints are not looked at."""
    messages = list(state.messages.values())
    assert dict.fromkeys(STATES, 0) | Counter(message.state for message in messages) == state.counts
    flying = [message for grants in state.grants.values() for message in grants.members.values()]
    for name, channel in state.channels.items():
        mine = [message for message in messages if message.channel == name]
        held = [message for message in mine if message.state == "held"]
        ready = [message for message in mine if message.unblocked]
        assert len(held) == channel.held
        assert len(ready) == channel.unblocked
        assert {each.position: each for each in ready if each.kind in ARRIVALS} == channel.arrivals
        others = Counter((each.tenant, in_drain(channel, each)) for each in ready if each.kind not in ARRIVALS)
        assert others == channel.others
        assert sum(message.channel == name for message in flying) == channel.in_flight
        if channel.drain is not None:
            assert sum(in_drain(channel, each) for each in held) == channel.drain.left
    _assert_indexes(state, messages)
    for message in messages:
        _assert_message(state, message)
    for doc in state.all_documents():
        assert state.known_document(doc.kind, doc.key) in (doc, None)
        assert doc.queue or doc.aside or doc.filings or doc.gone or doc.namers, f"nobody speaks of {doc} any more"
        assert list(doc.queue) == sorted(doc.queue, key=lambda each: each.place)
        assert any(each.settled for each in doc.queue) == doc.settled
        assert doc.on_file == (bool(doc.filings) and doc.filings[-1].function != "cancel")


def _assert_indexes(state: LaneState, messages: list[Message]) -> None:
    def those(wanted: Any) -> dict[int, Message]:
        return {message.position: message for message in messages if wanted(message)}

    assert those(lambda each: each.state == "transmitted") == state.awaiting
    assert those(lambda each: each.state == "unknown") == state.unsure
    assert those(lambda each: each.state in ASIDE and each.corrected_by is None) == state.troubled
    assert those(lambda each: each.needs_person) == state.asked
    assert those(lambda each: each.settled) == state.settled
    assert those(lambda each: each.blocker is not None and each.blocker.kind == "missing") == state.missing


def _assert_message(state: LaneState, message: Message) -> None:
    assert (message.state in PENDING) == (message in message.doc.queue), f"{message} and its queue"
    for doc in (message.doc, *message.listed, *message.related):
        known = state.known_document(doc.kind, doc.key)
        heard_of = message.raw_named is None and state.hearsay.get(name_of(doc.kind, doc.key)) is message
        assert doc is known or (known is None and heard_of), f"{doc} has left and {message} names it"
        assert doc is message.doc or message.doc in doc.namers
    assert (message.state in ASIDE) == (message in message.doc.aside), f"{message} and what stands aside"
    assert not message.unblocked or (message.state == "held" and message.blocker is None)
    if message.state == "held" and not message.unblocked:
        assert message.blocker is not None
        found = blocker(state, message, at_ms=state.at_ms)
        assert found is not None, f"{message} may go and was forgotten"
        # An opening takes a grace back (R22); whoever had one asks again when what it waits for now has changed.
        waits_for_grace = found.kind == "missing" and message.grace == NEVER
        assert not waits_for_grace or message.blocker.kind == "missing", f"{message} would never get its grace"
