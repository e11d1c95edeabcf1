"""Finds things by name or by position in few bytes; must not know what the things are.

A dict takes 38 bytes for a name and 80 for a number with the number itself, and a lane holds a million of each. Here a thing
takes one place in a list, and is asked for its name instead of the name being kept beside it.
"""

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from mypy_extensions import i64

Thing = TypeVar("Thing")
Name: TypeAlias = str | bytes

LEAST_PLACES: Final = 8
"""Places of an index that is new."""

ROOM: Final = 2
"""Places for a name when an index is made anew. From two thirds full it is made anew, so a name takes 20 to 26 bytes."""

FREE: Final = 0
GONE: Final = 1
"""Tags of a place where nothing stands, and of one where something stood, so that whoever looks goes on past it."""

FIRST_TAG: Final = 2
TAG_BITS: Final = 7
TAG_FROM_BIT: Final = 24
"""A tag from FIRST_TAG on is of what stands there: some bits of its name's hash. Most names looked for are not there:
without tags each place on the way was a look at a message, its record and its document, far apart in memory."""

HASH_BITS: Final = 32
"""Kept of each hash, so that an index is made anew without a look at what stands in it: 290,000 messages took 0.2 s."""

PAGE_BITS: Final = 6
"""A page has 64 places: nine bytes a thing where most positions have one, and not much is kept for a page's last one."""

PAGE_PLACES: Final = 1 << PAGE_BITS


class Index(Generic[Thing]):
    """Things by their names, with open addressing: a thing stands at the first free place from the one its name says.

    A thing may stand under several names, at one place for each. What order they have depends on Python's own salt, so nobody
    may walk over an index.
    """

    def __init__(self) -> None:
        self._places: list[Any] = [None] * LEAST_PLACES
        self._tags = bytearray(LEAST_PLACES)
        self._hashes = array("I", bytes(4 * LEAST_PLACES))
        self._used = 0  # places that are not free, some of them of what has gone
        self.count = 0  # of names

    def is_called(self, thing: Any, name: Name) -> bool:
        """Whether that is a name of the thing."""
        raise NotImplementedError

    def names_of(self, thing: Any) -> tuple[Name, ...]:
        """All names under which the thing stands here."""
        raise NotImplementedError

    def get(self, name: Name) -> Thing | None:
        """The thing of that name, or None."""
        tags = self._tags
        said: i64 = hash(name) % (1 << HASH_BITS)
        size: i64 = len(tags)
        at: i64 = said % size
        wanted: i64 = FIRST_TAG + (said >> TAG_FROM_BIT) % (1 << TAG_BITS)
        while (tag := tags[at]) != FREE:
            if tag == wanted and self.is_called(self._places[at], name):
                thing: Thing = self._places[at]
                return thing
            at += 1
            if at == size:
                at = 0
        return None

    def add(self, thing: Thing) -> None:
        """Let a thing stand under all of its names. Whoever calls it sees to it that nothing stands there."""
        names = self.names_of(thing)
        if 3 * (self._used + len(names)) > 2 * len(self._tags):
            self._make_anew(len(names))
        for name in names:
            self._put(hash(name) % (1 << HASH_BITS), thing)
        self.count += len(names)

    def remove(self, thing: Thing) -> None:
        """Let a thing that stands here stand here no more."""
        names = self.names_of(thing)
        for name in names:
            at = _place_of(self._places, self._tags, name, thing)
            self._places[at], self._tags[at] = None, GONE
        self.count -= len(names)

    def _put(self, said: "i64", thing: Any) -> None:
        """Let a thing stand at the first place that is free, or where something has gone."""
        tags = self._tags
        size: i64 = len(tags)
        at: i64 = said % size
        while tags[at] > GONE:
            at += 1
            if at == size:
                at = 0
        if tags[at] == FREE:
            self._used += 1
        tags[at] = FIRST_TAG + (said >> TAG_FROM_BIT) % (1 << TAG_BITS)
        self._hashes[at] = said
        self._places[at] = thing

    def _make_anew(self, more: int) -> None:
        """Make room for so many more, and forget what has gone."""
        places, hashes = self._places, self._hashes
        room = max(LEAST_PLACES, ROOM * (self.count + more))
        self._places, self._tags, self._hashes, self._used = [None] * room, bytearray(room), array("I", bytes(4 * room)), 0
        for at, thing in enumerate(places):
            if thing is not None:
                self._put(hashes[at], thing)


def _place_of(places: list[Any], tags: bytearray, name: Name, thing: Any) -> int:
    """Where a name finds a thing. It may have been put there under another of its names: as long as each of them has a place of
    its own on one run of places without a gap, it is all the same which finds which."""
    said: i64 = hash(name) % (1 << HASH_BITS)
    size: i64 = len(tags)
    at: i64 = said % size
    wanted: i64 = FIRST_TAG + (said >> TAG_FROM_BIT) % (1 << TAG_BITS)
    while tags[at] != wanted or places[at] is not thing:
        assert tags[at] != FREE, f"nothing stands under {name!r}"
        at += 1
        if at == size:
            at = 0
    return at


class ByPosition(Generic[Thing]):
    """Things by their positions in a stream, in its order. They come in that order, and may leave in any."""

    def __init__(self) -> None:
        self._pages: dict[int, list[Any]] = {}
        self._count = 0
        self._last = -1

    def __len__(self) -> int:
        return self._count

    def __contains__(self, position: int) -> bool:
        return self.get(position) is not None

    def __getitem__(self, position: int) -> Thing:
        found = self.get(position)
        if found is None:
            raise KeyError(position)
        return found

    def __iter__(self) -> Iterator[int]:
        for number, page in self._pages.items():
            for place, thing in enumerate(page):
                if thing is not None:
                    yield number * PAGE_PLACES + place

    def get(self, position: int) -> Thing | None:
        """The thing that stands there, or None."""
        page = self._pages.get(position >> PAGE_BITS)
        if page is None:
            return None
        place = position & (PAGE_PLACES - 1)
        if place >= len(page):
            return None
        found: Thing | None = page[place]
        return found

    def values(self) -> Iterator[Thing]:
        """All things in the order of their positions."""
        for page in self._pages.values():
            for thing in page:
                if thing is not None:
                    yield thing

    def add(self, position: int, thing: Thing) -> None:
        """Let a thing stand at a position beyond all that ever stood here."""
        assert position > self._last, "things come in the order of their positions"
        self._last = position
        number = position >> PAGE_BITS
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = []
        while len(page) < position & (PAGE_PLACES - 1):
            page.append(None)
        page.append(thing)
        self._count += 1

    def remove(self, position: int) -> None:
        """Let what stands there leave. Raises KeyError if nothing does."""
        if self.get(position) is None:
            raise KeyError(position)
        number = position >> PAGE_BITS
        page = self._pages[number]
        page[position & (PAGE_PLACES - 1)] = None
        self._count -= 1
        if page.count(None) == len(page):
            del self._pages[number]
