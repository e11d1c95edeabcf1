"""A lane's state as bytes and back, so that a start folds only what came since; must not know files, logs or when it is taken.

The bytes follow from the facts alone: whoever folded the same facts, from zero or from an earlier snapshot, gets the same ones
(I5). Every slot of every type of the state is named here with its shape, and a test fails when one is forgotten. The ready heaps
are hints of one process (a planner has taken from them): they are left out and built anew from what is held and unblocked.

The form is parts of Python's marshal, version 2: no references, so that equal states give equal bytes, and no code is run by
reading it. It means the same only to the program that wrote it; whoever keeps the bytes says which program that was, and checks
them.
"""

import marshal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from lane.columns import Packed, compile_filler, joined, pack, pack_groups, parted, pieces, unpack, unpack_groups
from lane.document import FEW_COUNT_MAX, blank_documents
from lane.edges import edges_of
from lane.index import ByPosition
from lane.message import Both, blank_messages
from lane.more import DONE_FIELDS, MORE_FIELDS, Done, More, blank_done, blank_more
from lane.moves import push_ready
from lane.policy import Policy
from lane.ready import DRAINED, READY, Ready
from lane.record import Form, Row
from lane.shelves import Hearsay, Keys, Shelf
from lane.state import (
    GRANTS_FIELDS,
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


UNMADE: Final = NEVER - 1
"""Stands for the documents of a message that names them by their packed keys alone."""


class Refs(NamedTuple):
    """The documents and messages of a state in the order of their tables, None behind the last, and the place of each there."""

    documents: list[Any]
    messages: list[Any]
    document_at: dict[Document | None, int]
    message_at: dict[Message | None, int]


class Shape(NamedTuple):
    """How the values of one slot, all at once, become plain ones and come back; `read` is told how many there are."""

    write: Callable[[Refs, Column], Packed]
    read: Callable[[Refs, Packed, int], Iterable[Any]]


def _one(at: Callable[[Refs], dict[Any, int]], table: Callable[[Refs], list[Any]]) -> Shape:
    """A reference, or None, which is written as -1."""

    def read(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
        return map(table(refs).__getitem__, unpack(packed, count))

    return Shape(lambda refs, column: pack(list(map(at(refs).__getitem__, column))), read)


def _many(kind: type[Any], at: Callable[[Refs], dict[Any, int]], table: Callable[[Refs], list[Any]]) -> Shape:
    """References in a list or a tuple."""

    def write(refs: Refs, column: Column) -> Packed:
        index = at(refs)
        return pack_groups([[index[one] for one in each] for each in column])

    def read(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
        return unpack_groups(packed, count, found=table(refs).__getitem__, kind=kind)

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
    row = {name: getattr(grants, name) for name in GRANTS_FIELDS}
    return row | {"members": [refs.message_at[each] for each in grants.members.values()]}


def _grants(refs: Refs, row: dict[str, Any]) -> Grants:
    return Grants(**row | {"members": _by_position(refs, row["members"])})


def _blocker(refs: Refs, row: tuple[Any, ...]) -> Blocker:
    rule, kind, topic, message = row
    return Blocker(rule, kind, refs.documents[topic], None if message < 0 else refs.messages[message])


def _by_position(refs: Refs, row: Iterable[int]) -> dict[int, Message]:
    return {message.position: message for message in map(refs.messages.__getitem__, row)}


def _more(refs: Refs, column: Column) -> Any:
    """What lies beside messages: which have nothing there, and the fields of those that have, a column each."""
    tags = bytes(0 if each is None else 1 if type(each) is Done else 2 for each in column)
    groups = (
        (DONE_FIELDS, [each for each in column if type(each) is Done]),
        (MORE_FIELDS, [each for each in column if type(each) is More]),
    )
    return tags, [[_more_column(refs, name, rows) for name in slots] for slots, rows in groups]


def _more_column(refs: Refs, name: str, rows: Column) -> Packed:
    values = list(map(attrgetter(name), rows))
    return pack([refs.message_at[each] for each in values] if name in LINKS else values)


def _more_back(refs: Refs, packed: Any, _: int) -> Iterable[Any]:
    tags, groups = packed
    made: list[Iterator[Any]] = [repeat(None)]
    rows_of: tuple[tuple[Any, list[Any], tuple[str, ...]], ...] = (
        (Done, blank_done(tags.count(1)), DONE_FIELDS),
        (More, blank_more(tags.count(2)), MORE_FIELDS),
    )
    for (kind, rows, slots), columns in zip(rows_of, groups, strict=True):
        for name, column in zip(slots, columns, strict=True):
            values: Iterable[Any] = unpack(column, len(rows))
            values = map(refs.messages.__getitem__, values) if name in LINKS else values
            deque(map(getattr(kind, name).__set__, rows, values), maxlen=0)
        made.append(iter(rows))
    return (next(made[tag]) for tag in tags)


def _messages(refs: Refs, _: Any) -> ByPosition[Message]:
    found: ByPosition[Message] = ByPosition()
    for each in refs.messages[:-1]:
        found.add(each.position, each)
    return found


def _keys(refs: Refs, _: Any) -> dict[str, Keys]:
    messages = refs.messages[:-1]
    found = {tenant: Keys(count) for tenant, count in Counter(map(attrgetter("form.tenant"), messages)).items()}
    for each in messages:
        found[each.tenant].add(each)
    return found


def _shelves(refs: Refs, _: Any) -> dict[str, Shelf]:
    documents = refs.documents[:-1]
    found = {kind: Shelf(count) for kind, count in Counter(map(attrgetter("kind"), documents)).items()}
    for each in documents:
        found[each.kind].add(each)
    return found


def _named(refs: Refs, column: Column) -> Any:
    """What messages name: all documents of each in a row, and how many of them it lists where it has both sorts."""
    splits = [UNMADE if each is None else len(each.listed) if isinstance(each, Both) else NEVER for each in column]
    named = ((*each.listed, *each.related) if isinstance(each, Both) else each or () for each in column)
    rows = (each if isinstance(each, tuple) else (each,) for each in named)
    return pack(splits), pack_groups([[refs.document_at[doc] for doc in each] for each in rows])


def _named_back(refs: Refs, packed: Any, count: int) -> Iterator[Any]:
    splits, groups = packed
    for split, named in zip(unpack(splits, count), DOCUMENTS.read(refs, groups, count), strict=True):
        if split == NEVER:
            yield named[0] if len(named) == 1 else named
        else:
            yield None if split == UNMADE else Both(named[:split], named[split:])


def _hearsay(refs: Refs, _: Any) -> Hearsay:
    heard_of = [each for each in refs.messages[:-1] if each.raw_named is None]
    found = Hearsay(len(heard_of))
    for each in heard_of:
        found.add(each)
    return found


def _forms(packed: Packed, count: int) -> Iterable[Form]:
    forms: dict[Any, Form] = {}
    for row in unpack(packed, count):
        found = forms.get(row)
        yield found if found is not None else forms.setdefault(row, Form(row))


def _namers(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
    # Many namers stand in a dict, as `Document.named_by` keeps them.
    return (each if len(each) <= FEW_COUNT_MAX else dict.fromkeys(each) for each in DOCUMENTS.read(refs, packed, count))


LINKS: Final = ("corrected_by", "corrects")
"""Fields beside a message that name another one."""


def _channels(_: Refs, names: list[str]) -> dict[str, Channel]:
    """Empty ones: their own table fills them."""
    return {name: Channel(name) for name in names}


_SCOPE: Final = tuple(each.name for each in fields(Scope))

PLAIN: Final = Shape(lambda _, column: pack(column), lambda _, packed, count: unpack(packed, count))
DOCUMENT: Final = _one(lambda refs: refs.document_at, lambda refs: refs.documents)
MESSAGE: Final = _one(lambda refs: refs.message_at, lambda refs: refs.messages)
DOCUMENTS: Final = _many(tuple, lambda refs: refs.document_at, lambda refs: refs.documents)
FORMS: Final = Shape(lambda _, column: pack([form.row for form in column]), lambda _, packed, count: _forms(packed, count))
MORE: Final = Shape(_more, _more_back)
NAMERS: Final = Shape(lambda refs, column: DOCUMENTS.write(refs, [tuple(each) for each in column]), _namers)
MESSAGES: Final = _many(tuple, lambda refs: refs.message_at, lambda refs: refs.messages)
NAMED: Final = Shape(_named, _named_back)
ALL_MESSAGES: Final = _each(lambda *_: (), _messages)
HEARSAY: Final = _each(lambda *_: (), _hearsay)
ALL_DOCUMENTS: Final = _each(lambda *_: (), _shelves)
BY_POSITION: Final = _each(lambda refs, index: [refs.message_at[each] for each in index.values()], _by_position)
BLOCKER: Final = _each(
    lambda refs, each: (each.rule, each.kind, refs.document_at[each.topic], refs.message_at[each.message]), _blocker
)
WATCHERS: Final = Shape(
    lambda refs, column: pack_groups([[refs.message_at[one] for one in each if one in refs.message_at] for each in column]),
    lambda refs, packed, count: MESSAGES.read(refs, packed, count),
)
"""Who watches a document; a message that has left behind the horizon never looks again."""
QUEUE: Final = _each(lambda _, queue: list(queue), lambda _, row: deque(row))
TIMED: Final = _each(
    lambda refs, heap: sorted(
        (moment, each.place, each.position, refs.message_at[each]) for moment, each in heap if each in refs.message_at
    ),
    lambda refs, rows: [(moment, refs.messages[at]) for moment, _, _, at in rows],
)
KEYS: Final = _each(lambda *_: (), _keys)
POLICY: Final = _each(lambda _, policy: policy.as_json(), lambda _, text: Policy.from_json(text))
EDGES: Final = _each(lambda _, edges: list(edges), lambda *_: {})
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

HINTS: Final = ("heap", "ready", "drained", "forms", "census")
"""Slots of one process, built anew at a load."""

DOCUMENT_SLOTS: Final[dict[str, Shape]] = {
    **dict.fromkeys(("kind", "key", "on_file", "settled", "house_bill", "filed_at"), PLAIN),
    "queue": MESSAGES, "aside": MESSAGES, "filings": MESSAGES, "gone": MESSAGES, "namers": NAMERS, "watchers": WATCHERS,
}  # fmt: skip

MESSAGE_SLOTS: Final[dict[str, Shape]] = {
    **dict.fromkeys(("position", "record", "since_ms", "raw_state", "unblocked", "watches"), PLAIN),
    "form": FORMS, "more": MORE, "doc": DOCUMENT, "raw_named": NAMED, "blocker": BLOCKER,
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
    "policy": POLICY, "edges": EDGES, "messages": ALL_MESSAGES, "by_key": KEYS, "verdicts": VERDICTS, "hearsay": HEARSAY,
    "documents": ALL_DOCUMENTS, "outages": OUTAGES, "channels": CHANNELS, "lease": _made(Lease), "grants": GRANTS,
    **dict.fromkeys(("awaiting", "unsure", "troubled", "missing", "settled", "asked"), BY_POSITION),
    "late": LATE, "timed": TIMED, "finished": QUEUE, "kept": QUEUE,
}  # fmt: skip


def dump(state: LaneState) -> bytes:
    """The state of a lane as bytes: the same wherever the same facts were folded, by the same program."""
    documents, messages = list(state.met_documents()), list(state.messages.values())
    refs = Refs([*documents, None], [*messages, None], _places(documents), _places(messages))
    return joined(marshal.dumps(part, FORM) for part in _parts(refs, state))


def _parts(refs: Refs, state: LaneState) -> Iterator[Any]:
    """What a body consists of: how long the tables are, the tables piece by piece, and the rest."""
    yield len(refs.documents) - 1, len(refs.messages) - 1
    for table, slots in ((refs.documents, DOCUMENT_SLOTS), (refs.messages, MESSAGE_SLOTS)):
        for start, end in pieces(len(table) - 1):
            yield _columns(refs, table[start:end], slots)
    yield _columns(refs, [state], STATE_FIELDS)
    yield _columns(refs, list(state.channels.values()), CHANNEL_SLOTS)


def load(body: bytes) -> LaneState:
    """The state that was dumped, as if its facts had been folded here. Raises ValueError and the like for other bytes."""
    parts = map(marshal.loads, parted(body))  # no code is run by it; whoever kept the bytes has checked whose they are
    document_count, message_count = next(parts)
    refs = Refs([*blank_documents(document_count), None], [*blank_messages(message_count), None], {}, {})
    for table, slots in ((refs.documents, DOCUMENT_SLOTS), (refs.messages, MESSAGE_SLOTS)):
        for start, end in pieces(len(table) - 1):
            _fill(refs, table[start:end], slots, next(parts))
    of_state = zip(STATE_FIELDS.items(), next(parts), strict=True)
    fields_of = {name: shape.read(refs, packed, 1) for (name, shape), packed in of_state}
    state = LaneState(*fields_of.pop("mode"))  # made as any other, so that its hints are those of a fold that begins
    for name, values in fields_of.items():
        setattr(state, name, *values)
    state.edges = edges_of(state.mode)
    state.forms = _shared_forms(refs)
    _fill(refs, list(state.channels.values()), CHANNEL_SLOTS, next(parts))
    _stand_ready(state)
    return state


def _shared_forms(refs: Refs) -> dict[Row, Form]:
    """One form for all messages that are alike, across the parts that were read."""
    forms: dict[Row, Form] = {}
    for message in refs.messages[:-1]:
        message.form = forms.setdefault(message.form.row, message.form)
    return forms


def _places(table: Iterable[Any]) -> dict[Any, int]:
    return {**{each: at for at, each in enumerate(table)}, None: NEVER}


def _columns(refs: Refs, objects: list[Any], slots: dict[str, Shape]) -> list[Packed]:
    return [shape.write(refs, list(map(attrgetter(name), objects))) for name, shape in slots.items()]


def _fill(refs: Refs, objects: list[Any], slots: dict[str, Shape], columns: list[Packed]) -> None:
    values = [shape.read(refs, packed, len(objects)) for shape, packed in zip(slots.values(), columns, strict=True)]
    compile_filler(tuple(slots))(objects, values)


def _stand_ready(state: LaneState) -> None:
    """Put what is held and unblocked among the ready ones of its channel."""
    for channel in state.channels.values():
        channel.ready, channel.drained = Ready(READY), Ready(DRAINED)
    for message in _free(state):
        push_ready(state, message)


def _free(state: LaneState) -> Iterator[Message]:
    return (message for message in state.messages.values() if message.state == "held" and message.unblocked)
