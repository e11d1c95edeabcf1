"""Finds things by name or by position in few bytes; must not know what the things are.

A dict takes 38 bytes for a name and 80 for a number with the number itself, and a lane holds a million of each. Here a thing
takes one place in a list, and is asked for its name instead of the name being kept beside it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from mypy_extensions import i64

Thing = TypeVar("Thing")
Name: TypeAlias = str | bytes

LEAST_PLACES: Final = 8
"""Places of an index that is new."""

ROOM: Final = 3
"""Places for a name when an index is made anew. From two thirds full it is made anew, so a name takes 12 to 24 bytes: fuller, the
search for a name that is not there, as every new one's is, would pass by many others."""

PAGE_BITS: Final = 6
"""A page has 64 places: nine bytes a thing where most positions have one, and not much is kept for a page's last one."""

PAGE_PLACES: Final = 1 << PAGE_BITS


class Gone:
    """Stands where a thing was, so that whoever looks goes on past it."""


GONE: Final = Gone()


class Index(Generic[Thing]):
    """Things by their names, with open addressing: a thing stands at the first free place from the one its name says.

    A thing may stand under several names, at one place for each. What order they have depends on Python's own salt, so nobody
    may walk over an index.
    """

    def __init__(self) -> None:
        self._places: list[Any] = [None] * LEAST_PLACES
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
        places = self._places
        at = self._first(name, len(places))
        while (found := places[at]) is not None:
            if found is not GONE and self.is_called(found, name):
                thing: Thing = found
                return thing
            at = at + 1 if at + 1 < len(places) else 0
        return None

    def add(self, thing: Thing) -> None:
        """Let a thing stand under all of its names. Whoever calls it sees to it that nothing stands there."""
        names = self.names_of(thing)
        if 3 * (self._used + len(names)) > 2 * len(self._places):
            self._make_anew(len(names))
        for name in names:
            self._put(name, thing)
        self.count += len(names)

    def remove(self, thing: Thing) -> None:
        """Let a thing that stands here stand here no more."""
        names = self.names_of(thing)
        for name in names:
            self._places[self._place_of(self._places, name, thing)] = GONE
        self.count -= len(names)

    def _first(self, name: Name, size: int) -> int:
        said: i64 = hash(name)
        places: i64 = size
        return said % places

    def _place_of(self, places: list[Any], name: Name, thing: Any) -> int:
        """Where a name finds a thing. It may have been put there under another of its names: as long as each of them has a place
        of its own on one run of places without a gap, it is all the same which finds which."""
        at = self._first(name, len(places))
        while places[at] is not thing:
            assert places[at] is not None, f"nothing stands under {name!r}"
            at = at + 1 if at + 1 < len(places) else 0
        return at

    def _put(self, name: Name, thing: Any) -> None:
        places = self._places
        at = self._first(name, len(places))
        while places[at] is not None:
            at = at + 1 if at + 1 < len(places) else 0
        places[at] = thing
        self._used += 1

    def _make_anew(self, more: int) -> None:
        """Make room for so many more, and forget what has gone. What has several names moves where the first of them finds it."""
        before = self._places
        self._places = [None] * max(LEAST_PLACES, ROOM * (self.count + more))
        self._used = 0
        for at, thing in enumerate(before):
            if thing is not None and thing is not GONE:
                names = self.names_of(thing)
                if len(names) == 1:
                    self._put(names[0], thing)
                elif self._place_of(before, names[0], thing) == at:
                    for name in names:
                        self._put(name, thing)


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
