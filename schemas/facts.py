"""Every fact that the log can hold, as a frozen type; must not know what a fact means.

One record is one fact. A fact made from a source record carries `source`: where it came from and the position that the writer
had seen effective before it (R1). Each carries `at_ms`, its writer's clock, Unix milliseconds UTC (R6). A message is named by
the lane position of its `MessageReceived`. Facts about sending and answers name up to `MEMBERS_COUNT_MAX` messages, with a
verdict for each. The Avro schemas in `avro/` are made from these types (`python -m schemas.avro_files`), a test compares them.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from mypy_extensions import mypyc_attr

from schemas.messages import Channel, Function, Kind

MEMBERS_COUNT_MAX: Final = 500
"""Most messages that one fact names (DESIGN section 2): bounds a record's size and the work between two reads."""

Direction: TypeAlias = Literal["inbound", "outbound"]
Component: TypeAlias = Literal["edi", "emanifest_portal", "cers", "ccp", "cad_api", "swi", "cig", "rns"]
COMPONENTS: Final[tuple[Component, ...]] = get_args(Component)
Effect: TypeAlias = Literal["unavailable", "not_processing", "partial", "delayed", "relogon"]
"""What an outage does to a component (DOMAIN section 2): unavailable, cannot receive; not_processing, received and queued;
partial, for some clients or on and off; delayed; relogon, a forced new log-on and nothing else."""
NoticeState: TypeAlias = Literal["open", "update", "scheduled", "resolved", "info", "unclear"]
SendResult: TypeAlias = Literal["transmitted", "refused", "not_taken", "slow_down", "unknown", "expired"]
AnswerOutcome: TypeAlias = Literal["captured", "rejected", "duplicate", "notice"]
LeaseBasis: TypeAlias = Literal["free", "released", "dead", "silent"]
SettledTo: TypeAlias = Literal["held", "captured", "rejected", "withdrawn"]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fact came from: void unless `previous` equals the fold's mark for that stream (R1). -1 stands for none before."""

    stream: str
    position: int
    previous: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One component, one direction, one effect of a notice. No tenants means all. `scheduled` scopes close and open by clock
    time: `starts_ms` to `ends_ms` (R31)."""

    component: Component
    direction: Direction
    effect: Effect
    tenants: tuple[str, ...] = ()
    starts_ms: int | None = None
    ends_ms: int | None = None
    scheduled: bool = False


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one grant on the wire. `age_ms`: from the moment before its intent to the first byte (I2c)."""

    message: int
    grant: int
    result: SendResult
    status: int | None = None
    retry_after_ms: int | None = None
    age_ms: int | None = None
    detail: str = ""


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGiven:
    """One answer of CBSA for a message of this lane: publisher's identity, which submission, and the verdict."""

    tenant: str
    key: str
    submission: int
    outcome: AnswerOutcome
    code: str
    text: str
    seq: int
    answered_ms: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class StatusGiven:
    """One status answer: `grant` is the grant asked about, `evidence` the position of the raw answer in [responses]."""

    message: int
    grant: int
    known: bool
    outcome: AnswerOutcome | None
    evidence: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """A readable record of [inbound.LANE]; effective once for each tenant and key (R10)."""

    at_ms: int
    source: Source
    tenant: str
    key: str
    kind: Kind
    function: Function
    channel: Channel
    document: str
    keys: dict[str, tuple[str, ...]]
    content_type: str
    sha256: str
    attributes_sha256: str
    size_bytes: int
    received_ms: int
    inland: bool = False
    replaces: str | None = None
    corrects: str | None = None
    eta_ms: int | None = None
    not_before_ms: int | None = None
    not_after_ms: int | None = None
    occurred_ms: int | None = None


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRefused:
    """A record of [inbound.LANE] that can't be taken; it takes no key (R2, R10)."""

    at_ms: int
    source: Source
    tenant: str
    key: str
    sha256: str
    code: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class OutageDeclared:
    """A notice that closes something, copied from the desk: replaces what the same incident said before."""

    at_ms: int
    source: Source
    incident: str
    title: str
    scopes: tuple[Scope, ...]
    received_ms: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class OutageResolved:
    """A notice that ends an incident, copied from the desk."""

    at_ms: int
    source: Source
    incident: str
    title: str
    received_ms: int
    resolved_ms: int | None = None


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentOverridden:
    """An operator opens or closes a component by hand (R30). On the desk `source` is None; its copy in a lane has one.
    `basis`: desk position of the last effective act or notice that the person saw (R5)."""

    at_ms: int
    component: Component
    direction: Direction
    to: Literal["open", "hold"]
    person: str
    reason: str
    basis: int
    source: Source | None = None


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAdopted:
    """A policy in force from here on (I11). `policy` is the JSON of `lane.policy.Policy`, whole; `basis` the desk position of
    the policy that it was changed from, -1 for the defaults: void on the desk if another one came between (R5)."""

    at_ms: int
    policy: str
    person: str
    reason: str
    source: Source | None = None
    basis: int = -1


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class RulesAdopted:
    """The fold's own rules change here (R59): a program that knows only older ones stops."""

    at_ms: int
    version: int
    person: str
    reason: str
    source: Source | None = None


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersReceived:
    """What a record of [responses] says of this lane's messages; an empty list only moves the mark (R3)."""

    at_ms: int
    source: Source
    gateway: str
    answers: tuple[AnswerGiven, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class LaneTaken:
    """A process takes the lane's lease (R43). `seen`: the lane's end that the taker had read; a fact of the old epoch at or
    beyond it voids a taking that rests on silence."""

    at_ms: int
    epoch: int
    holder: str
    basis: LeaseBasis
    seen: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class LaneReleased:
    """The holder leaves; nothing of its epoch is in flight any more."""

    at_ms: int
    epoch: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class StillHere:
    """The holder lives and has nothing it may do (R43)."""

    at_ms: int
    epoch: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class SendIntended:
    """An intent. What the fold accepts at this position is granted, the rest is a finding (R40). `issue` numbers the
    incarnation's intents, so that it knows its own when it reads them back."""

    at_ms: int
    epoch: int
    issue: int
    messages: tuple[int, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class SendsConcluded:
    """What became of grants on the wire (R50); the first outcome of a grant counts (R41)."""

    at_ms: int
    epoch: int
    outcomes: tuple[Outcome, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAnswered:
    """What status queries told (R51, R54)."""

    at_ms: int
    epoch: int
    answers: tuple[StatusGiven, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class PersonNeeded:
    """The runner can't learn more by itself about these messages: no status query, or no answer to it (R51, R54)."""

    at_ms: int
    epoch: int
    messages: tuple[int, ...]
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class WindowEnded:
    """A scheduled window's published end has passed; void before it (R6, R30)."""

    at_ms: int
    incident: str
    ends_ms: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class GraceElapsed:
    """These messages waited long enough for a predecessor that was never seen (R22); void before its time."""

    at_ms: int
    messages: tuple[int, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class SettlingElapsed:
    """These transmitted messages settled while CBSA's answers are out (R23); void before its time."""

    at_ms: int
    messages: tuple[int, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonMoved:
    """These messages finished before `before_ms`, a day's beginning, and leave the fold with their keys and captures (R58);
    void before that is a horizon ago, and for each that is not finished or that something unfinished still leans on."""

    at_ms: int
    before_ms: int
    messages: tuple[int, ...]


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class MessageWithdrawn:
    """A person takes a message back before it was sent (R15). `basis`: last effective act on it that the person saw (R5)."""

    at_ms: int
    message: int
    basis: int
    person: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFiled:
    """A clerk filed it by hand (R34): the document is on file. `reference`: what CBSA's page showed."""

    at_ms: int
    message: int
    basis: int
    reference: str
    person: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSettled:
    """A person says what became of a parked, rejected or unknown message (R57), with the evidence for it."""

    at_ms: int
    message: int
    basis: int
    to: SettledTo
    person: str
    reason: str
    evidence: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRevoked:
    """CBSA lost what it had captured: held again, next submission (R56). `notice`: the bulletin or letter that says so."""

    at_ms: int
    message: int
    basis: int
    notice: str
    person: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayChanged:
    """An operator's hand on a drain (R61). `replay` is the lane position of the opening; `basis` as R5."""

    at_ms: int
    replay: int
    basis: int
    act: Literal["start", "pause", "resume", "abort", "rate"]
    rate_per_s: int | None
    person: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class BulletinRead:
    """A CBSA notice as read (R4), on the desk. `findings`: what a person should see, in sentences, nothing guessed."""

    at_ms: int
    source: Source
    number: str
    state: NoticeState
    title: str
    scopes: tuple[Scope, ...]
    findings: tuple[str, ...]
    sha256: str
    received_ms: int
    resolved_ms: int | None = None


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class BulletinUnread:
    """A notice that can't be read: kept, and shown to a person; it changes nothing."""

    at_ms: int
    source: Source
    sha256: str
    received_ms: int
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDoubted:
    """A page of [responses] that can't be read whole, or answers one party with another's message: it is kept and changes
    nothing, and is shown to a person."""

    at_ms: int
    source: Source
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class PollFailed:
    """CBSA's answers could not be fetched several times in a row, first at `since_ms`; effective once for each silence of a
    gateway, and shown to a person."""

    at_ms: int
    gateway: str
    since_ms: int
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class PollRestored:
    """CBSA's answers can be fetched again: ends the silence that `PollFailed` began."""

    at_ms: int
    gateway: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeHandled:
    """A person has dealt with a notice or answer that asked for one. `position`: the desk position of that fact."""

    at_ms: int
    position: int
    person: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRefused:
    """What a door turned away before it was in [inbound] (R2)."""

    at_ms: int
    door: str
    tenant: str
    key: str
    sha256: str
    code: str
    reason: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class ActDenied:
    """A person tried what the rules or the role forbid (I8)."""

    at_ms: int
    person: str
    act: str
    object: str
    reason: str
    fields: dict[str, str] = field(default_factory=dict)


LaneFact: TypeAlias = (
    MessageReceived
    | MessageRefused
    | OutageDeclared
    | OutageResolved
    | ComponentOverridden
    | PolicyAdopted
    | RulesAdopted
    | AnswersReceived
    | LaneTaken
    | LaneReleased
    | StillHere
    | SendIntended
    | SendsConcluded
    | StatusAnswered
    | PersonNeeded
    | WindowEnded
    | GraceElapsed
    | SettlingElapsed
    | HorizonMoved
    | MessageWithdrawn
    | MessageFiled
    | MessageSettled
    | CaptureRevoked
    | ReplayChanged
)
DeskFact: TypeAlias = (
    BulletinRead
    | BulletinUnread
    | AnswerDoubted
    | PollFailed
    | PollRestored
    | NoticeHandled
    | DoorRefused
    | ActDenied
    | ComponentOverridden
    | PolicyAdopted
    | RulesAdopted
)
Fact: TypeAlias = LaneFact | DeskFact
LANE_FACTS: Final[tuple[type[LaneFact], ...]] = get_args(LaneFact)
DESK_FACTS: Final[tuple[type[DeskFact], ...]] = get_args(DeskFact)
FACTS: Final[tuple[type[Fact], ...]] = tuple(dict.fromkeys((*LANE_FACTS, *DESK_FACTS)))
