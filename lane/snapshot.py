"""A lane's state as bytes and back, so that a start folds only what came since; must not know files, logs or when it is taken.

The bytes follow from the facts alone: whoever folded the same facts, from zero or from an earlier snapshot, gets the same ones
(I5). Every slot of every type of the state is named here with its shape, and a test fails when one is forgotten. The ready heaps
are hints of one process (a planner has taken from them), so they are left out and built anew from what is held and unblocked.

The form is Python's marshal, version 2: no references, so that equal states give equal bytes, and no code is run by reading it.
It means the same only to the program that wrote it; whoever keeps the bytes says which program that was, and checks them.
"""

import marshal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from heapq import heapify
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from lane.columns import Packed, pack, pack_groups, unpack, unpack_groups
from lane.edges import edges_of
from lane.moves import NO_DEADLINE, in_drain
from lane.policy import Policy
from lane.state import (
    NEVER,
    Blocker,
    Channel,
    Document,
    Drain,
    Grants,
    LaneState,
    Lease,
    Message,
    Outage,
    Verdict,
)
from schemas.facts import Scope

FORM: Final = 2
"""The version of marshal's form: later ones write references where an object happens to be shared, so bytes would differ."""

Column: TypeAlias = list[Any]


class Refs(NamedTuple):
    """The documents and messages of a state in the order of their tables, and the place of each there."""

    documents: list[Document]
    messages: list[Message]
    document_at: dict[Document | None, int]
    message_at: dict[Message | None, int]


class Shape(NamedTuple):
    """How the values of one slot, all at once, become plain ones and come back; `read` is told how many there are."""

    write: Callable[[Refs, Column], Packed]
    read: Callable[[Refs, Packed, int], Iterable[Any]]


def _one(at: Callable[[Refs], dict[Any, int]], table: Callable[[Refs], list[Any]]) -> Shape:
    """A reference, or None, which is written as -1."""

    def read(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
        return map([*table(refs), None].__getitem__, unpack(packed, count))

    return Shape(lambda refs, column: pack(list(map(at(refs).__getitem__, column))), read)


def _many(kind: type[Any], at: Callable[[Refs], dict[Any, int]], table: Callable[[Refs], list[Any]]) -> Shape:
    """References in a list or a tuple."""

    def write(refs: Refs, column: Column) -> Packed:
        index = at(refs)
        return pack_groups([[index[one] for one in each] for each in column])

    def read(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
        found = table(refs).__getitem__
        return (kind(map(found, each)) if each else kind() for each in unpack_groups(packed, count))

    return Shape(write, read)


def _each(write: Callable[[Refs, Any], Any], read: Callable[[Refs, Any], Any]) -> Shape:
    """Values that are turned one by one; None stays None."""
    return Shape(
        lambda refs, column: ("any", [None if each is None else write(refs, each) for each in column]),
        lambda refs, packed, count: (None if each is None else read(refs, each) for each in unpack(packed, count)),
    )


def _made(kind: type[Any]) -> Shape:
    """A dataclass whose fields stand for themselves."""
    names = tuple(each.name for each in fields(kind))
    return _each(
        lambda _, value: tuple(getattr(value, name) for name in names),
        lambda _, row: kind(**dict(zip(names, row, strict=True))),
    )


def _scope(row: tuple[Any, ...]) -> Scope:
    return Scope(**dict(zip(_SCOPE, row, strict=True)))


def _scope_row(scope: Scope) -> tuple[Any, ...]:
    return tuple(getattr(scope, name) for name in _SCOPE)


def _outage_row(_: Refs, outage: Outage) -> Any:
    row = {each.name: getattr(outage, each.name) for each in fields(Outage)}
    return row | {"scopes": [_scope_row(scope) for scope in outage.scopes], "ended": sorted(outage.ended)}


def _outage(_: Refs, row: dict[str, Any]) -> Outage:
    return Outage(**row | {"scopes": tuple(_scope(each) for each in row["scopes"]), "ended": set(row["ended"])})


def _grants_row(refs: Refs, grants: Grants) -> Any:
    row = {each.name: getattr(grants, each.name) for each in fields(Grants)}
    return row | {"members": [refs.message_at[each] for each in grants.members.values()]}


def _grants(refs: Refs, row: dict[str, Any]) -> Grants:
    return Grants(**row | {"members": _by_position(refs, row["members"])})


def _blocker(refs: Refs, row: tuple[Any, ...]) -> Blocker:
    rule, kind, topic, message = row
    return Blocker(rule, kind, refs.documents[topic], None if message < 0 else refs.messages[message])


def _by_position(refs: Refs, row: Iterable[int]) -> dict[int, Message]:
    return {message.position: message for message in map(refs.messages.__getitem__, row)}


def _key_rows(refs: Refs, index: dict[tuple[str, str], tuple[Message, str, str]]) -> Iterator[tuple[Any, ...]]:
    for name, (message, *marks) in index.items():
        assert name == (message.tenant, message.key), f"{name} names {message}"
        yield refs.message_at[message], *marks


def _keys(refs: Refs, packed: tuple[Any, ...]) -> dict[tuple[str, str], tuple[Message, str, str]]:
    count, *columns = packed
    rows = zip(*(unpack(column, count) for column in columns), strict=True) if columns else ()
    found = ((refs.messages[at], *marks) for at, *marks in rows)
    return {(entry[0].tenant, entry[0].key): entry for entry in found}


def _channels(_: Refs, names: list[str]) -> dict[str, Channel]:
    """Empty ones: their own table fills them."""
    return {name: Channel(name) for name in names}


_SCOPE: Final = tuple(each.name for each in fields(Scope))

PLAIN: Final = Shape(lambda _, column: pack(column), lambda _, packed, count: unpack(packed, count))
DOCUMENT: Final = _one(lambda refs: refs.document_at, lambda refs: refs.documents)
MESSAGE: Final = _one(lambda refs: refs.message_at, lambda refs: refs.messages)
DOCUMENTS: Final = _many(tuple, lambda refs: refs.document_at, lambda refs: refs.documents)
DOCUMENT_LIST: Final = _many(list, lambda refs: refs.document_at, lambda refs: refs.documents)
MESSAGES: Final = _many(tuple, lambda refs: refs.message_at, lambda refs: refs.messages)
MESSAGE_LIST: Final = _many(list, lambda refs: refs.message_at, lambda refs: refs.messages)
ALL_MESSAGES: Final = _each(lambda *_: (), lambda refs, _: {each.position: each for each in refs.messages})
ALL_DOCUMENTS: Final = _each(lambda *_: (), lambda refs, _: {(each.kind, each.key): each for each in refs.documents})
BY_POSITION: Final = _each(lambda refs, index: [refs.message_at[each] for each in index.values()], _by_position)
BLOCKER: Final = _each(
    lambda refs, each: (each.rule, each.kind, refs.document_at[each.topic], refs.message_at[each.message]), _blocker
)
WATCHERS: Final = Shape(
    lambda refs, column: pack_groups([[refs.message_at[one] for one in each if one in refs.message_at] for each in column]),
    MESSAGE_LIST.read,
)
"""Who watches a document; a message that has left behind the horizon never looks again."""
QUEUE: Final = _each(lambda _, queue: list(queue), lambda _, row: deque(row))
TIMED: Final = _each(
    lambda refs, heap: sorted(
        (moment, each.place, each.position, refs.message_at[each]) for moment, each in heap if each in refs.message_at
    ),
    lambda refs, rows: [(moment, refs.messages[at]) for moment, _, _, at in rows],
)
KEYS: Final = _each(
    lambda refs, index: (len(index), *(pack(list(column)) for column in zip(*_key_rows(refs, index), strict=True))), _keys
)
POLICY: Final = _each(lambda _, policy: policy.as_json(), lambda _, text: Policy.from_json(text))
EDGES: Final = _each(lambda _, edges: list(edges), lambda _, names: names)
VERDICTS: Final = _each(
    lambda _, index: {at: tuple(verdict) for at, verdict in index.items()},
    lambda _, rows: {at: Verdict(*row) for at, row in rows.items()},
)
LATE: Final = _each(
    lambda _, scopes: sorted(map(_scope_row, scopes), key=repr), lambda _, rows: frozenset(_scope(row) for row in rows)
)
OUTAGES: Final = _each(
    lambda refs, index: [_outage_row(refs, each) for each in index.values()],
    lambda refs, rows: {outage.incident: outage for outage in (_outage(refs, row) for row in rows)},
)
GRANTS: Final = _each(
    lambda refs, index: [_grants_row(refs, each) for each in index.values()],
    lambda refs, rows: {grants.position: grants for grants in (_grants(refs, row) for row in rows)},
)
CHANNELS: Final = _each(lambda _, index: list(index), _channels)

HINTS: Final = ("queued", "drain_queued", "ready", "drained", "census")
"""Slots of one process, built anew at a load."""

DOCUMENT_SLOTS: Final[dict[str, Shape]] = {
    **dict.fromkeys(("kind", "key", "on_file", "settled", "house_bill", "filed_at"), PLAIN),
    "queue": MESSAGE_LIST, "aside": MESSAGE_LIST, "filings": MESSAGES, "gone": MESSAGE_LIST, "namers": DOCUMENT_LIST,
    "watchers": WATCHERS,
}  # fmt: skip

MESSAGE_SLOTS: Final[dict[str, Shape]] = {
    **dict.fromkeys(
        (
            "act", "answered_ms", "attempts", "channel", "code", "deadline_ms", "doubted", "epoch", "filing", "function",
            "grace", "grant", "held_at", "inbound", "inland", "key", "kind", "needs_person", "not_after_ms", "not_before_ms",
            "notes", "occurred_ms", "open", "place", "position", "received_ms", "remark", "resubmissions", "settled", "sha256",
            "since_ms", "size_bytes", "state", "strict", "submission", "tenant", "touched", "transmitted_ms", "unblocked",
        ),
        PLAIN,
    ),
    "doc": DOCUMENT, "listed": DOCUMENTS, "related": DOCUMENTS, "watching": DOCUMENT, "blocker": BLOCKER,
    "corrects": MESSAGE, "corrected_by": MESSAGE,
}  # fmt: skip

CHANNEL_SLOTS: Final[dict[str, Shape]] = {
    **dict.fromkeys(
        (
            "name", "held", "in_flight", "unblocked", "others", "closed", "opened_ms", "opened_position", "suspect_since_ms",
            "suspect_position", "suspect_why", "unknown_streak", "probe_after_ms", "backoff_ms", "quiet_until_ms",
            "canary_needed", "tokens_milli", "tokens_at_ms",
        ),
        PLAIN,
    ),
    "arrivals": BY_POSITION, "canary": MESSAGE, "drain": _made(Drain),
}  # fmt: skip

STATE_FIELDS: Final[dict[str, Shape]] = {
    **dict.fromkeys(("mode", "position", "now_ms", "at_ms", "rules_version", "marks", "counts", "refused", "forgotten"), PLAIN),
    "policy": POLICY, "edges": EDGES, "messages": ALL_MESSAGES, "by_key": KEYS, "verdicts": VERDICTS,
    "documents": ALL_DOCUMENTS, "outages": OUTAGES, "channels": CHANNELS, "lease": _made(Lease), "grants": GRANTS,
    **dict.fromkeys(("awaiting", "unsure", "troubled", "missing", "settled", "asked"), BY_POSITION),
    "late": LATE, "timed": TIMED, "finished": QUEUE, "kept": QUEUE,
}  # fmt: skip


def dump(state: LaneState) -> bytes:
    """The state of a lane as bytes: the same wherever the same facts were folded, by the same program."""
    documents, messages = list(state.documents.values()), list(state.messages.values())
    refs = Refs(documents, messages, _places(documents), _places(messages))
    whole = (
        (len(documents), _columns(refs, documents, DOCUMENT_SLOTS)),
        (len(messages), _columns(refs, messages, MESSAGE_SLOTS)),
        _columns(refs, [state], STATE_FIELDS),
        _columns(refs, list(state.channels.values()), CHANNEL_SLOTS),
    )
    return marshal.dumps(whole, FORM)


def load(body: bytes) -> LaneState:
    """The state that was dumped, as if its facts had been folded here. Raises ValueError and the like for other bytes."""
    (document_count, of_documents), (message_count, of_messages), of_state, of_channels = marshal.loads(body)  # noqa: S302
    documents = [Document.__new__(Document) for _ in range(document_count)]
    messages = [Message.__new__(Message) for _ in range(message_count)]
    refs = Refs(documents, messages, {}, {})
    _fill(refs, documents, DOCUMENT_SLOTS, of_documents)
    _fill(refs, messages, MESSAGE_SLOTS, of_messages)
    for message in messages:
        message.queued = message.drain_queued = False
    state = LaneState.__new__(LaneState)
    for (name, shape), packed in zip(STATE_FIELDS.items(), of_state, strict=True):
        setattr(state, name, *shape.read(refs, packed, 1))
    state.edges = edges_of(state.mode)
    _fill(refs, list(state.channels.values()), CHANNEL_SLOTS, of_channels)
    _stand_ready(state)
    return state


def _places(table: Iterable[Any]) -> dict[Any, int]:
    return {each: at for at, each in enumerate(table)} | {None: NEVER}


def _columns(refs: Refs, objects: list[Any], slots: dict[str, Shape]) -> list[Packed]:
    return [shape.write(refs, list(map(attrgetter(name), objects))) for name, shape in slots.items()]


def _fill(refs: Refs, objects: list[Any], slots: dict[str, Shape], columns: list[Packed]) -> None:
    """Set the slots, each by its descriptor in one go: half the time of `setattr` in a loop."""
    for (name, shape), packed in zip(slots.items(), columns, strict=True):
        values = shape.read(refs, packed, len(objects))
        if objects:
            deque(map(getattr(type(objects[0]), name).__set__, objects, values), maxlen=0)


def _stand_ready(state: LaneState) -> None:
    """Put what is held and unblocked into the ready heap of its channel, as `lane.moves.push_ready` does one by one."""
    for message in _free(state):
        channel = state.channels[message.channel]
        message.queued = True
        message.drain_queued = in_drain(channel, message)
        first = 0 if message.kind == "release" else 1
        deadline = NO_DEADLINE if message.deadline_ms is None else message.deadline_ms
        (channel.drained if message.drain_queued else channel.ready).append((first, deadline, message))
    for channel in state.channels.values():
        heapify(channel.ready)
        heapify(channel.drained)


def _free(state: LaneState) -> Iterator[Message]:
    return (message for message in state.messages.values() if message.state == "held" and message.unblocked)
