"""Finds things by name or by position in few bytes; must not know what the things are.

A dict takes 38 bytes for a name and 80 for a number with the number itself, and a lane holds a million of each. Here a thing
takes one place in a list, and is asked for its name instead of the name being kept beside it.
"""

from array import array
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

from mypy_extensions import i64

Thing = TypeVar("Thing")
Name: TypeAlias = str | bytes

LEAST_PLACES: Final = 8
"""Fewest places of an index."""

FULL: Final = (3, 4)
"""An index is made anew before more than so many of its places are taken."""

FEW: Final = 8
"""It is made anew when only one place in so many is taken: after an outage it gives back what the held ones took."""

ROOM: Final = (9, 4)
"""Places for a name in one that is made anew: while it grows, a name takes 16 to 27 bytes and is moved once or twice."""

FREE: Final = 0
"""What stands for a hash at a place where nothing stands."""

HASH_BITS: Final = 30
"""What is kept of each hash, four bytes in all: most names looked for are not there, and without it each place on the way was a
look at a message, its record and its document, far apart in memory. And things move without a look at them: 290,000 took 0.2 s.
A number of more bits takes Python two digits."""

HASH_BYTES: Final = 4

PAGE_BITS: Final = 6
"""A page has 64 places: nine bytes a thing where most positions have one, and not much is kept for a page's last one."""

PAGE_PLACES: Final = 1 << PAGE_BITS


class Index(Generic[Thing]):
    """Things by their names, with open addressing: a thing stands at the first free place from the one its name says.

    A thing may stand under several names, at one place for each. What order they have depends on Python's own salt, so nobody
    may walk over an index.
    """

    def __init__(self, count: int = 0) -> None:
        """Begin with room for so many names: who knows how many come spares them from being moved again and again."""
        self.count = 0  # of names
        self._clear(count)

    def _clear(self, count: int) -> None:
        places = max(LEAST_PLACES, ROOM[0] * count // ROOM[1])
        self._places: list[Any] = [None] * places
        self._hashes = array("i", bytes(HASH_BYTES * places))

    def is_called(self, thing: Any, name: Name) -> bool:
        """Whether that is a name of the thing."""
        raise NotImplementedError

    def names_of(self, thing: Any) -> tuple[Name, ...]:
        """All names under which the thing stands here."""
        raise NotImplementedError

    def get(self, name: Name) -> Thing | None:
        """The thing of that name, or None."""
        hashes = self._hashes
        wanted = _hash_of(name)
        size: i64 = len(hashes)
        at: i64 = wanted % size
        while (said := hashes[at]) != FREE:
            if said == wanted and self.is_called(self._places[at], name):
                thing: Thing = self._places[at]
                return thing
            at += 1
            if at == size:
                at = 0
        return None

    def add(self, thing: Thing) -> None:
        """Let a thing stand under all of its names. Whoever calls it sees to it that nothing stands there."""
        names = self.names_of(thing)
        self.count += len(names)
        if FULL[1] * self.count > FULL[0] * len(self._places):
            self._make_anew()
        for name in names:
            self._put(_hash_of(name), thing)

    def remove(self, thing: Thing) -> None:
        """Let a thing that stands here stand here no more."""
        names = self.names_of(thing)
        for name in names:
            self._leave(self._place_of(_hash_of(name), thing))
        self.count -= len(names)
        if FEW * self.count < len(self._places) > LEAST_PLACES:
            self._make_anew()

    def _put(self, said: i64, thing: Any) -> None:
        """Let a thing stand at the first place that is free."""
        hashes = self._hashes
        size: i64 = len(hashes)
        at: i64 = said % size
        while hashes[at] != FREE:
            at += 1
            if at == size:
                at = 0
        hashes[at] = said
        self._places[at] = thing

    def _make_anew(self) -> None:
        """Make room for all names, those to come with them."""
        places, hashes = self._places, self._hashes
        self._clear(self.count)
        for at, thing in enumerate(places):
            if thing is not None:
                self._put(hashes[at], thing)

    def _place_of(self, said: i64, thing: Any) -> i64:
        """Where a thing stands under a name of that hash."""
        places, hashes = self._places, self._hashes
        size: i64 = len(hashes)
        at: i64 = said % size
        while places[at] is not thing or hashes[at] != said:
            assert hashes[at] != FREE, "what leaves stands here"
            at += 1
            if at == size:
                at = 0
        return at

    def _leave(self, at: i64) -> None:
        """Free a place, and close the gap: whoever looks for what stands behind it stops at the first free place."""
        places, hashes = self._places, self._hashes
        size: i64 = len(hashes)
        next_at: i64 = at
        while True:
            next_at += 1
            if next_at == size:
                next_at = 0
            said: i64 = hashes[next_at]
            if said == FREE:
                break
            # It moves to the gap unless the place that it wished for lies behind the gap, on the way round to where it stands.
            if (next_at - said % size) % size >= (next_at - at) % size:
                places[at], hashes[at] = places[next_at], said
                at = next_at
        places[at], hashes[at] = None, FREE


def _hash_of(name: Name) -> i64:
    """What is kept of a name's hash, from 1 on."""
    whole: i64 = hash(name)
    return whole % ((1 << HASH_BITS) - 1) + 1


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
