"""Reads and writes Avro's binary form, field by field, where it is compiled; must not know facts or schemas.

The compiled twin (`schemas.native`) reads and writes facts with it, in a third of the time that the plain sources take with the
text that `schemas.compiled` makes: that is written to run well when it is interpreted, this when it is not.
"""

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from schemas.compiled import UnknownWord

BITS_MAX: Final = 64
"""Avro's longest number."""

LAST_SHIFT: Final = 63
"""Where the tenth byte of a number goes, of which one bit is left."""

POSITIVE: Final = 2**63 - 1
"""The bits of a number without its sign."""

OFTEN_COUNT_MAX: Final = 4_096
"""Most texts that are kept because many facts say them: tenants, streams, roles. Those beyond are read anew each time."""

OFTEN_BYTES_MAX: Final = 128
"""Longest text that is kept so."""

_OFTEN: Final[dict[bytes, str]] = {}
"""One object for each such text: its hash is known already when the fold looks something up by it."""


@mypyc_attr(acyclic=True)
@final
class Cursor:
    """A value and how far it was read. What it is asked for raises IndexError or ValueError when the bytes are something else."""

    __slots__ = ("at", "value")

    def __init__(self, value: bytes, at: int) -> None:
        self.value = value
        self.at: i64 = at

    def whole(self) -> i64:
        """A number of 64 bits with a sign."""
        n: i64 = self.number()
        half = n >> 1
        if n < 0:
            half &= POSITIVE
        return half ^ -(n & 1)

    def number(self) -> i64:
        """A number of 64 bits, its sign still in the lowest bit; compiled, the highest bit is the number's own sign."""
        value = self.value
        at: i64 = self.at
        byte: i64 = value[at]
        at += 1
        n: i64 = byte & 127
        shift: i64 = 7
        while byte > 127:
            byte = value[at]
            at += 1
            if shift == LAST_SHIFT and byte > 1:
                raise ValueError("a number has more than 64 bits")
            n |= (byte & 127) << shift
            shift += 7
        self.at = at
        return n

    def text(self) -> str:
        """A text."""
        return self._piece().decode()

    def often(self) -> str:
        """A text that many facts say."""
        said = self._piece()
        known = _OFTEN.get(said)
        if known is None:
            known = said.decode()
            if len(_OFTEN) < OFTEN_COUNT_MAX and len(said) <= OFTEN_BYTES_MAX:
                _OFTEN[said] = known
        return known

    def word(self, words: dict[bytes, str], where: str) -> str:
        """One of some words. Raises UnknownWord for another."""
        said = self._piece()
        known = words.get(said)
        if known is None:
            shown = said.decode("latin-1")[:60]  # what is no text is no word either, and is shown all the same
            raise UnknownWord(f"{where} says {shown!r}, and this program knows only {', '.join(words.values())}")
        return known

    def flag(self) -> bool:
        """True or False."""
        byte: i64 = self.value[self.at]
        self.at += 1
        if byte > 1:
            raise ValueError("a flag is neither true nor false")
        return byte == 1

    def is_there(self) -> bool:
        """Whether something follows where nothing may."""
        byte: i64 = self.value[self.at]
        self.at += 1
        if byte == 0:
            return False
        if byte != 2:
            raise ValueError("a branch is neither nothing nor something")
        return True

    def skipped(self, count: i64) -> bool:
        """Whether nothing follows so many times; goes past it then."""
        value = self.value
        at: i64 = self.at
        end: i64 = at + count
        while at < end:
            if value[at] != 0:
                return False
            at += 1
        self.at = end
        return True

    def count(self) -> i64:
        """How many items the next block has; 0 ends an array or a map."""
        n: i64 = self.number()
        if n & 1:  # a negative count: behind it stands the block's size in bytes
            self.number()
        if n < 0:
            return POSITIVE  # more than any value has, either way
        return (n >> 1) + (n & 1)

    def end(self) -> None:
        """Raises ValueError unless all was read."""
        if self.at != len(self.value):
            raise ValueError("the value ends elsewhere than its record")

    def _piece(self) -> bytes:
        size: i64 = self.number()
        if size & 1:
            raise ValueError("a text has a negative length")
        start = self.at
        end = start + (size >> 1)
        if size < 0:
            end = POSITIVE  # behind the value, either way
        self.at = end
        return self.value[start:end]


_ONE: Final = [bytes((n,)) for n in range(128)]
"""The numbers that take one byte, ready made."""


@mypyc_attr(acyclic=True)
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

    def word(self, word: str, words: dict[str, bytes], where: str) -> None:
        """One of some words, each with its bytes and their count ready made. Raises UnknownWord for another."""
        said = words.get(word)
        if said is None:
            raise UnknownWord(f"{where} says {word[:60]!r}, and this program knows only {', '.join(words)}")
        self.parts.append(said)

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
