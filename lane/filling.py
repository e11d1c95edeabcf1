"""Fills what a load has made blank, one object after another; must not know how the values were written.

Compiled: column after column in Python, a load of 600,000 messages took 5 s, half of it here.
"""
# ruff: noqa: B905 - only a plain `zip` compiles to no more than its parts; whoever unpacks a column counts its values

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from mypy_extensions import i64

from lane.document import NEVER, Document
from lane.index import ByPosition
from lane.message import Both, Message
from lane.more import Done
from lane.shelves import Keys, Shelf

Columns: TypeAlias = Mapping[str, Iterable[Any]]
"""The values of each field of so many objects, in their order; as many as there are objects."""

UNMADE: Final = -2
"""Stands for the documents of a message that names them by their packed names alone."""

NO_SPLIT: Final = -1
"""Stands where a message lists all documents that it names, or none."""


def fill_documents(documents: list[Document], columns: Columns) -> None:
    """Set all fields of documents."""
    filed_at, house_bill, key, more = columns["filed_at"], columns["house_bill"], columns["key"], columns["more"]
    on_file, filings, kind = columns["on_file"], columns["raw_filings"], columns["raw_kind"]
    namers, queue = columns["raw_namers"], columns["raw_queue"]
    for doc, a, b, c, d, e, f, g, h, i in zip(documents, filed_at, house_bill, key, more, on_file, filings, kind, namers, queue):
        doc.filed_at, doc.house_bill, doc.key, doc.more, doc.on_file = a, b, c, d, e
        doc.raw_filings, doc.raw_kind, doc.raw_namers, doc.raw_queue = f, g, h, i


def fill_messages(messages: list[Message], columns: Columns) -> None:
    """Set all fields of messages but the hints."""
    blocker, doc, form, more, position = (columns[each] for each in ("blocker", "doc", "form", "more", "position"))
    named, state, record, since_ms = (columns[each] for each in ("raw_named", "raw_state", "record", "since_ms"))
    unblocked, watches = columns["unblocked"], columns["watches"]
    for message, a, b, c, d, e, f, g, h, i, j, k in zip(
        messages, blocker, doc, form, more, position, named, state, record, since_ms, unblocked, watches
    ):
        message.blocker, message.doc, message.form, message.more, message.position = a, b, c, d, e
        message.raw_named, message.raw_state, message.record, message.since_ms = f, g, h, i
        message.unblocked, message.watches = j, k


def fill_done(rows: list[Done], columns: Columns) -> None:
    """Set all fields of what lies beside captured messages."""
    answered_ms, epoch, filing = columns["answered_ms"], columns["epoch"], columns["filing"]
    for done, a, b, c, d, e in zip(rows, answered_ms, epoch, filing, columns["grant"], columns["transmitted_ms"]):
        done.answered_ms, done.epoch, done.filing, done.grant, done.transmitted_ms = a, b, c, d, e


def fill_rest(things: Sequence[Any], columns: Columns) -> None:
    """Set fields of things of which there are few."""
    for name, values in columns.items():
        for each, value in zip(things, values):
            setattr(each, name, value)


def raw_groups(sizes: Iterable[int], members: list[Any]) -> list[Any]:
    """Groups of so many members as a `raw_` field keeps them: one alone as itself, none or several as a tuple."""
    found: list[Any] = []
    at: i64 = 0
    for size in sizes:
        count: i64 = size
        found.append(members[at] if count == 1 else tuple(members[at : at + count]) if count else ())
        at += count
    if at != len(members):
        raise ValueError(f"groups have {at} members, not {len(members)}")
    return found


def raw_names(splits: Iterable[int], groups: Iterable[Any]) -> list[Any]:
    """What messages name as `Message.raw_named` keeps it; `splits`: how many of a group a message lists, where it has both."""
    found: list[Any] = []
    for split, named in zip(splits, groups):
        at: i64 = split
        if at == NO_SPLIT:
            found.append(named)
        elif at == UNMADE:
            found.append(None)
        else:
            group = named if isinstance(named, tuple) else (named,)
            found.append(Both(group[:at], group[at:]))
    return found


def shelve(shelves: Mapping[str, Shelf], documents: list[Document]) -> None:
    """Let documents stand on the shelves of their kinds."""
    for doc in documents:
        shelves[doc.kind].add(doc)


def hang(tenants: Mapping[str, Keys], messages: list[Message]) -> None:
    """Let messages hang among their tenants' keys."""
    for message in messages:
        tenants[message.form.tenant].add(message)


def line_up(positions: ByPosition[Message], messages: list[Message]) -> None:
    """Let messages stand at their positions. Raises ValueError where these do not rise."""
    last: i64 = NEVER
    for message in messages:
        position: i64 = message.position
        if position <= last:
            raise ValueError(f"a message at {position} stands behind one at {last}")
        positions.add(position, message)
        last = position
