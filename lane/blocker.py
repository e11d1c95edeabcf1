"""Why a message may not go now, and what that is called in a sentence; must not know the rules that find it."""

from typing import TYPE_CHECKING, Literal, TypeAlias, final

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from lane.document import Document
    from lane.message import Message


Kind: TypeAlias = Literal["queue", "pending", "missing", "wanted", "aside", "naming", "second", "time", "cycle", "flight"]


@mypyc_attr(acyclic=True)
@final
class Blocker:
    """Why a message may not go now: the rule or edge, and the document whose change may end it; never changed.

    `message`: the message that stands in the way, where there is one. No named tuple: compiled, that takes ten times as long to
    make, and a trip is judged once for each of its shipments.
    """

    __slots__ = ("kind", "message", "rule", "topic")

    def __init__(self, rule: str, kind: Kind, topic: "Document", message: "Message | None" = None) -> None:
        self.rule = rule
        self.kind: Kind = kind
        self.topic = topic
        self.message = message

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Blocker):
            return NotImplemented
        same = self.rule == other.rule and self.kind == other.kind
        return same and self.topic is other.topic and self.message is other.message

    def __hash__(self) -> int:
        return hash((self.rule, self.kind))

    def by(self, rule: str) -> "Blocker":
        """The same by another rule."""
        return Blocker(rule, self.kind, self.topic, self.message)

    def by_nobody(self) -> "Blocker":
        """The same with no message named."""
        return Blocker(self.rule, self.kind, self.topic)

    @property
    def sentence(self) -> str:
        """The reason in words, for the operator; made when somebody asks, for most blocked messages are never asked about."""
        return self._words(str(self.message), str(self.topic), self.message.remark if self.message else "")

    def told_to(self, asker: "Message") -> str:
        """The reason in words for a message's own tenant: another party's document is named only by a key that the asker's
        own message names, and another party's message not at all (I10)."""
        own = self.message is None or self.message.tenant == asker.tenant
        named = self.topic is asker.doc or self.topic in asker.listed or self.topic in asker.met
        who = self.message.told_to(asker) if self.message is not None else ""
        topic = str(self.topic) if named or (own and self.message is not None) else f"another party's {self.topic.kind}"
        return self._words(who, topic, self.message.remark if own and self.message else "")

    def _words(self, who: str, topic: str, remark: str) -> str:
        match self.kind:
            case "queue":
                return f"{who} goes first: one document, one queue"
            case "pending":
                return f"{topic} is not settled yet: {who} ({self.message and self.message.function}) goes first"
            case "missing":
                return f"{topic} was never seen here; it is waited for, then this message goes without it"
            case "wanted":
                return f"{topic} is not on file, and CBSA rejected this message for want of it"
            case "aside":
                said = f" ({remark})" if remark else ""
                return f"{topic} is not on file: {who} is {self.message and self.message.state}{said}"
            case "naming":
                return f"{who} came first and names, or lets go of, a document that this one names or files"
            case "second":
                return (
                    f"{topic} is on file already, or will be: publish a change, or let this one replace (`replaces`) what waits"
                )
            case "time":
                return "its own time has not come: not_before, or for an arrival occurred_at, lies ahead"
            case "cycle":
                return f"it waits for {topic}, which waits for it"
            case "flight":
                return "its last grant has no outcome yet: two attempts never overlap"
