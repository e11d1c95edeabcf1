"""A lane's state as bytes and back, so that a start folds only what came since; must not know files, logs or when it is taken.

The bytes follow from the facts alone: whoever folded the same facts, from zero or from an earlier snapshot, gets the same ones
(I5). `lane.shapes` names every slot of every type of the state with its shape, and a test fails when one is forgotten. The ready
heaps are hints of one process (a planner has taken from them): they are left out and built anew from what is held and unblocked.

The form is parts of Python's marshal, version 2: no references, so that equal states give equal bytes, and no code is run by
reading it. It means the same only to the program that wrote it; whoever keeps the bytes says which program that was, and checks
them.
"""

import marshal
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lane.columns import joined, parted, pieces
from lane.document import blank_documents
from lane.edges import edges_of
from lane.filling import fill_documents, fill_messages, fill_rest
from lane.message import blank_messages
from lane.moves import push_ready
from lane.ready import DRAINED, READY, Ready
from lane.shapes import CHANNEL_SLOTS, DOCUMENT_SLOTS, MESSAGE_SLOTS, STATE_FIELDS, Refs, read, written
from lane.state import NEVER, LaneState, Message

FORM: Final = 2
"""The version of marshal's form: later ones write references where an object happens to be shared, so bytes would differ."""


def dump(state: LaneState) -> bytes:
    """The state of a lane as bytes: the same wherever the same facts were folded, by the same program."""
    documents, messages = list(state.met_documents()), list(state.messages.values())
    refs = Refs([*documents, None], [*messages, None], _places(documents), _places(messages), {})
    return joined(marshal.dumps(part, FORM) for part in _parts(refs, state))


def _parts(refs: Refs, state: LaneState) -> Iterator[Any]:
    """What a body consists of: how long the tables are, the tables piece by piece, and the rest."""
    yield len(refs.documents) - 1, len(refs.messages) - 1
    for table, slots in ((refs.documents, DOCUMENT_SLOTS), (refs.messages, MESSAGE_SLOTS)):
        for start, end in pieces(len(table) - 1):
            yield written(refs, table[start:end], slots)
    yield written(refs, [state], STATE_FIELDS)
    yield written(refs, list(state.channels.values()), CHANNEL_SLOTS)


def load(body: bytes) -> LaneState:
    """The state that was dumped, as if its facts had been folded here. Raises ValueError and the like for other bytes."""
    parts = map(marshal.loads, parted(body))  # no code is run by it; whoever kept the bytes has checked whose they are
    document_count, message_count = next(parts)
    if document_count + message_count > len(body):
        raise ValueError(f"{len(body)} bytes can't hold {document_count} documents and {message_count} messages")
    refs = Refs([*blank_documents(document_count), None], [*blank_messages(message_count), None], {}, {}, {})
    for start, end in pieces(document_count):
        fill_documents(refs.documents[start:end], read(refs, end - start, DOCUMENT_SLOTS, next(parts)))
    for start, end in pieces(message_count):
        fill_messages(refs.messages[start:end], read(refs, end - start, MESSAGE_SLOTS, next(parts)))
    of_state = zip(STATE_FIELDS.items(), next(parts), strict=True)
    fields_of = {name: shape.read(refs, packed, 1) for (name, shape), packed in of_state}
    state = LaneState(*fields_of.pop("mode"))  # made as any other, so that its hints are those of a fold that begins
    for name, values in fields_of.items():
        setattr(state, name, *values)
    state.edges = edges_of(state.mode)
    state.forms = refs.forms
    channels = list(state.channels.values())
    fill_rest(channels, read(refs, len(channels), CHANNEL_SLOTS, next(parts)))
    _stand_ready(state)
    return state


def _places(table: Iterable[Any]) -> dict[Any, int]:
    return {**{each: at for at, each in enumerate(table)}, None: NEVER}


def _stand_ready(state: LaneState) -> None:
    """Put what is held and unblocked among the ready ones of its channel."""
    for channel in state.channels.values():
        channel.ready, channel.drained = Ready(READY), Ready(DRAINED)
    for message in _free(state):
        push_ready(state, message)


def _free(state: LaneState) -> Iterator[Message]:
    return (message for message in state.messages.values() if message.state == "held" and message.unblocked)
