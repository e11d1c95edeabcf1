"""Reads and writes Avro's binary form, field by field, where it is compiled; must not know facts or schemas.

The compiled twin (`schemas.native`) reads and writes facts with it, in a third of the time that the plain sources take with the
text that `schemas.compiled` makes: that is written to run well when it is interpreted, this when it is not.
"""

from typing import Final, final

from schemas.compiled import UnknownWord

BITS_MAX: Final = 64
"""Avro's longest number."""


@final
class Cursor:
    """A value and how far it was read. What it is asked for raises IndexError or ValueError when the bytes are something else."""

    __slots__ = ("at", "value")

    def __init__(self, value: bytes, at: int) -> None:
        self.value = value
        self.at = at

    def whole(self) -> int:
        """A number of 64 bits with a sign."""
        n = self.number()
        return ~(n >> 1) if n & 1 else n >> 1

    def number(self) -> int:
        """A number of 64 bits, its sign still in the lowest bit."""
        value, at = self.value, self.at
        byte = value[at]
        at += 1
        n = byte & 127
        shift = 7
        while byte > 127:
            if shift >= BITS_MAX:
                raise ValueError("a number has more than 64 bits")
            byte = value[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
        if n >> BITS_MAX:
            raise ValueError("a number has more than 64 bits")
        self.at = at
        return n

    def text(self) -> str:
        """A text."""
        return self._piece().decode()

    def word(self, words: dict[str, str], where: str) -> str:
        """One of some words. Raises UnknownWord for another."""
        said = self._piece().decode("latin-1")  # what is no text is no word either, and is shown all the same
        known = words.get(said)
        if known is None:
            raise UnknownWord(f"{where} says {said[:60]!r}, and this program knows only {', '.join(words)}")
        return known

    def flag(self) -> bool:
        """True or False."""
        byte = self.value[self.at]
        self.at += 1
        if byte > 1:
            raise ValueError("a flag is neither true nor false")
        return byte == 1

    def is_there(self) -> bool:
        """Whether something follows where nothing may."""
        byte = self.value[self.at]
        self.at += 1
        if byte == 0:
            return False
        if byte != 2:
            raise ValueError("a branch is neither nothing nor something")
        return True

    def skipped(self, count: int) -> bool:
        """Whether nothing follows so many times; goes past it then."""
        at, value = self.at, self.value
        for ahead in range(at, at + count):
            if value[ahead] != 0:
                return False
        self.at = at + count
        return True

    def count(self) -> int:
        """How many items the next block has; 0 ends an array or a map."""
        n = self.number()
        if n & 1:  # a negative count: behind it stands the block's size in bytes
            self.number()
        return (n + 1) >> 1

    def end(self) -> None:
        """Raises ValueError unless all was read."""
        if self.at != len(self.value):
            raise ValueError("the value ends elsewhere than its record")

    def _piece(self) -> bytes:
        size = self.number()
        if size & 1:
            raise ValueError("a text has a negative length")
        start = self.at
        self.at = end = start + (size >> 1)
        return self.value[start:end]


_ONE: Final = [bytes((n,)) for n in range(128)]
"""The numbers that take one byte, ready made."""


@final
class Pen:
    """A value in the making. What can't be written raises OverflowError, UnicodeEncodeError or UnknownWord."""

    __slots__ = ("parts",)

    def __init__(self, prefix: bytes) -> None:
        self.parts: list[bytes] = [prefix]

    def whole(self, n: int) -> None:
        """A number of 64 bits with a sign."""
        if 0 <= n < 64:
            self.parts.append(_ONE[n << 1])
        else:
            self._long((n << 1) if n >= 0 else (-n << 1) - 1)

    def text(self, text: str) -> None:
        """A text."""
        said = text.encode()
        self.whole(len(said))
        self.parts.append(said)

    def word(self, word: str, words: dict[str, str], where: str) -> None:
        """One of some words. Raises UnknownWord for another."""
        if word not in words:
            raise UnknownWord(f"{where} says {word[:60]!r}, and this program knows only {', '.join(words)}")
        self.text(word)

    def flag(self, flag: bool) -> None:
        """True or False."""
        self.parts.append(_ONE[1] if flag else _ONE[0])

    def there(self) -> None:
        """Something follows where nothing may."""
        self.parts.append(_ONE[2])

    def nothing(self) -> None:
        """Nothing follows where something may, or an array or a map ends."""
        self.parts.append(_ONE[0])

    def done(self) -> bytes:
        """The whole value."""
        return b"".join(self.parts)

    def _long(self, n: int) -> None:
        if n >> BITS_MAX:
            raise OverflowError("a number has more than 64 bits")
        while n > 127:
            self.parts.append(_BEFORE[n & 127])
            n >>= 7
        self.parts.append(_ONE[n])


_BEFORE: Final = [bytes((n | 128,)) for n in range(128)]
"""The bytes of a number that another one follows."""
