"""How each field of a lane's state becomes plain values in a column and comes back; must not know the order of a snapshot.

Every slot of every type of the state is named at the end, with its shape.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from lane.columns import Packed, pack, pack_groups, unpack, unpack_groups, unpack_turned
from lane.document import FEW_COUNT_MAX, DocumentMore
from lane.filling import NO_SPLIT, UNMADE, fill_done, fill_rest, hang, line_up, raw_groups, raw_names, shelve
from lane.index import ByPosition
from lane.message import Both
from lane.more import DONE_FIELDS, MORE_FIELDS, Done, More, blank_done, blank_more
from lane.policy import Policy
from lane.record import Form, Row, packed_names
from lane.shelves import Hearsay, Keys, Shelf
from lane.state import GRANTS_FIELDS, Blocker, Channel, Document, Drain, Grants, Lease, Message, Outage, Verdict
from schemas.facts import Scope

Column: TypeAlias = list[Any]


class Refs(NamedTuple):
    """The documents and messages of a state in the order of their tables, None behind the last, and the place of each there.

    `forms`: those that were read, one for all messages that are alike.
    """

    documents: list[Any]
    messages: list[Any]
    document_at: dict[Document | None, int]
    message_at: dict[Message | None, int]
    forms: dict[Row, Form]


class Shape(NamedTuple):
    """How the values of one slot, all at once, become plain ones and come back; `read` is told how many there are."""

    write: Callable[[Refs, Column], Packed]
    read: Callable[[Refs, Packed, int], Iterable[Any]]


def written(refs: Refs, objects: list[Any], slots: dict[str, Shape]) -> list[Packed]:
    """The columns of these slots of the objects."""
    return [shape.write(refs, list(map(attrgetter(name), objects))) for name, shape in slots.items()]


def read(refs: Refs, count: int, slots: dict[str, Shape], columns: list[Packed]) -> dict[str, Iterable[Any]]:
    """The values of each slot again, of so many objects."""
    return {name: shape.read(refs, packed, count) for (name, shape), packed in zip(slots.items(), columns, strict=True)}


def _one(at: Callable[[Refs], dict[Any, int]], table: Callable[[Refs], list[Any]]) -> Shape:
    """A reference, or None, which is written as -1."""

    def read(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
        return map(table(refs).__getitem__, unpack(packed, count))

    return Shape(lambda refs, column: pack(list(map(at(refs).__getitem__, column))), read)


def _many(at: Callable[[Refs], dict[Any, int]], table: Callable[[Refs], list[Any]]) -> Shape:
    """References as a `raw_` field keeps them: one alone as itself, none or several as a tuple or a dict."""

    def write(refs: Refs, column: Column) -> Packed:
        index = at(refs)
        groups = (each if type(each) in GROUPS else (each,) for each in column)
        return pack_groups([[index[one] for one in each] for each in groups])

    def read(refs: Refs, packed: Packed, count: int) -> list[Any]:
        sizes, numbers = unpack_groups(packed, count)
        return raw_groups(sizes, list(map(table(refs).__getitem__, numbers)))

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
    done, more = ([each for each in column if type(each) is kind] for kind in (Done, More))
    return tags, [written(refs, done, DONE_SLOTS), written(refs, more, MORE_SLOTS)]


def _more_back(refs: Refs, packed: Any, count: int) -> Iterable[Any]:
    tags, (done_columns, more_columns) = packed
    if len(tags) != count:
        raise ValueError(f"there are {len(tags)} tags for {count} messages")
    done, more = blank_done(tags.count(1)), blank_more(tags.count(2))
    fill_done(done, read(refs, len(done), DONE_SLOTS, done_columns))
    fill_rest(more, read(refs, len(more), MORE_SLOTS, more_columns))
    if len(done) == len(tags):
        return done
    made: tuple[Iterator[Any], ...] = repeat(None), iter(done), iter(more)
    return (next(made[tag]) for tag in tags)


def _document_more(refs: Refs, column: Column) -> Packed:
    """What few documents need, as rows; nothing where it says nothing."""
    return pack([None if each is None else _document_more_row(refs, each) for each in column])


def _document_more_row(refs: Refs, more: DocumentMore) -> Any:
    at = refs.message_at
    raw = more.raw_watchers
    watchers = raw if isinstance(raw, list) else () if raw is None else (raw,)
    # A message that has left behind the horizon never looks again.
    row = (
        more.settled, tuple(map(at.__getitem__, more.aside)), tuple(map(at.__getitem__, more.gone)),
        tuple(at[each] for each in watchers if each in at),
    )  # fmt: skip
    return row if any(row) else None


def _document_more_back(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
    return (None if row is None else _document_more_of(refs, row) for row in unpack(packed, count))


def _document_more_of(refs: Refs, row: Any) -> DocumentMore:
    more = DocumentMore()
    more.settled = row[0]
    more.aside, more.gone, watchers = (tuple(map(refs.messages.__getitem__, each)) for each in row[1:])
    more.raw_watchers = list(watchers) if len(watchers) > 1 else watchers[0] if watchers else None
    return more


def _messages(refs: Refs, _: Any) -> ByPosition[Message]:
    found: ByPosition[Message] = ByPosition()
    line_up(found, refs.messages[:-1])
    return found


def _keys(refs: Refs, _: Any) -> dict[str, Keys]:
    messages = refs.messages[:-1]
    found = {tenant: Keys(count) for tenant, count in Counter(map(attrgetter("tenant"), messages)).items()}
    hang(found, messages)
    return found


def _shelves(refs: Refs, _: Any) -> dict[str, Shelf]:
    documents = refs.documents[:-1]
    found = {kind: Shelf(count) for kind, count in Counter(map(attrgetter("kind"), documents)).items()}
    shelve(found, documents)
    return found


def _named(refs: Refs, column: Column) -> Any:
    """What messages name: all documents of each in a row, and how many of them it lists where it has both sorts."""
    splits = [UNMADE if each is None else len(each.listed) if isinstance(each, Both) else NO_SPLIT for each in column]
    named = [(*each.listed, *each.related) if isinstance(each, Both) else () if each is None else each for each in column]
    return pack(splits), DOCUMENTS.write(refs, named)


def _named_back(refs: Refs, packed: Any, count: int) -> Iterable[Any]:
    splits, groups = packed
    named = DOCUMENTS.read(refs, groups, count)
    return named if splits == ("same", NO_SPLIT) else raw_names(unpack(splits, count), named)


def _hearsay(refs: Refs, _: Any) -> Hearsay:
    heard_of = [each for each in refs.messages[:-1] if each.raw_named is None]
    found = Hearsay(sum(len(packed_names(each.record)) for each in heard_of))
    for each in heard_of:
        found.add(each)
    return found


def _forms(refs: Refs, packed: Packed, count: int) -> Iterable[Form]:
    def form_of(row: Row) -> Form:
        found = refs.forms.get(row)
        return found if found is not None else refs.forms.setdefault(row, Form(row))

    return unpack_turned(packed, count, form_of)


def _namers(refs: Refs, packed: Packed, count: int) -> Iterable[Any]:
    # Many namers stand in a dict, as `Document.named_by` keeps them.
    found = DOCUMENTS.read(refs, packed, count)
    return (dict.fromkeys(each) if type(each) is tuple and len(each) > FEW_COUNT_MAX else each for each in found)


GROUPS: Final = frozenset({tuple, dict})
"""How a `raw_` field keeps several of a thing."""


def _channels(_: Refs, names: list[str]) -> dict[str, Channel]:
    """Empty ones: their own table fills them."""
    return {name: Channel(name) for name in names}


_SCOPE: Final = tuple(each.name for each in fields(Scope))

PLAIN: Final = Shape(lambda _, column: pack(column), lambda _, packed, count: unpack(packed, count))
DOCUMENT: Final = _one(lambda refs: refs.document_at, lambda refs: refs.documents)
MESSAGE: Final = _one(lambda refs: refs.message_at, lambda refs: refs.messages)
DOCUMENTS: Final = _many(lambda refs: refs.document_at, lambda refs: refs.documents)
FORMS: Final = Shape(lambda _, column: pack([form.row for form in column]), _forms)
MORE: Final = Shape(_more, _more_back)
DOCUMENT_MORE: Final = Shape(_document_more, _document_more_back)
NAMERS: Final = Shape(DOCUMENTS.write, _namers)
MESSAGES: Final = _many(lambda refs: refs.message_at, lambda refs: refs.messages)
NAMED: Final = Shape(_named, _named_back)
ALL_MESSAGES: Final = _each(lambda *_: (), _messages)
HEARSAY: Final = _each(lambda *_: (), _hearsay)
ALL_DOCUMENTS: Final = _each(lambda *_: (), _shelves)
BY_POSITION: Final = _each(lambda refs, index: [refs.message_at[each] for each in index.values()], _by_position)
BLOCKER: Final = _each(
    lambda refs, each: (each.rule, each.kind, refs.document_at[each.topic], refs.message_at[each.message]), _blocker
)
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

DONE_SLOTS: Final[dict[str, Shape]] = dict.fromkeys(DONE_FIELDS, PLAIN)
MORE_SLOTS: Final[dict[str, Shape]] = dict.fromkeys(MORE_FIELDS, PLAIN) | dict.fromkeys(("corrected_by", "corrects"), MESSAGE)

DOCUMENT_SLOTS: Final[dict[str, Shape]] = {
    **dict.fromkeys(("raw_kind", "key", "on_file", "house_bill", "filed_at"), PLAIN),
    "raw_queue": MESSAGES, "raw_filings": MESSAGES, "raw_namers": NAMERS, "more": DOCUMENT_MORE,
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
