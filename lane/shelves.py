"""Where a lane finds its messages and documents by their names; must not know rules.

`lane.index` says why these are no dicts. Two are alike but for what stands in them: compiled, a key is reached by its class.
"""

from lane.document import Document
from lane.index import Index, Name
from lane.message import Message
from lane.record import packed_names


class Keys(Index[Message]):
    """One tenant's messages by their keys."""

    def is_called(self, thing: Message, name: Name) -> bool:
        """Whether that is its key."""
        assert isinstance(name, str)
        return thing.key == name

    def names_of(self, thing: Message) -> tuple[Name, ...]:
        """Its key."""
        return (thing.key,)


class Shelf(Index[Document]):
    """The documents of one kind by their keys."""

    def is_called(self, thing: Document, name: Name) -> bool:
        """Whether that is its key."""
        assert isinstance(name, str)
        return thing.key == name

    def names_of(self, thing: Document) -> tuple[Name, ...]:
        """Its key."""
        return (thing.key,)


class Hearsay(Index[Message]):
    """Messages by the packed names of documents of which they alone speak."""

    def is_called(self, thing: Message, name: Name) -> bool:
        """Whether that is one of them; most are told apart without taking the record to pieces."""
        assert isinstance(name, bytes)
        return name in thing.record and name in packed_names(thing.record)

    def names_of(self, thing: Message) -> tuple[Name, ...]:
        """All of them."""
        return packed_names(thing.record)
