"""Fields of small objects: beside them, shared by many, or one alone without a group of it; must not know whose they are."""

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

T = TypeVar("T")

_GROUPS: Final = frozenset({tuple, dict})


class Field(property, Generic[T]):
    """A property that says what it holds."""

    if TYPE_CHECKING:

        def __get__(self, owner: Any, kind: type | None = None) -> T: ...  # type: ignore[override]

        def __set__(self, owner: Any, value: T) -> None: ...


class Kept(Field[T]):
    """A field that lies in `more`: what that says of it, until something else is written."""

    def __init__(self, name: str, whole: type[Any]) -> None:
        put = getattr(whole, name).__set__

        def write(owner: Any, value: T) -> None:
            more = owner.more
            if type(more) is not whole:
                if value == getattr(more, name):
                    return
                more = owner.grown()
            put(more, value)

        super().__init__(attrgetter(f"more.{name}"), write)


class Several(Field[T]):
    """A field of no, one or several things, read and written as a group; the one alone lies in the slot itself."""

    def __init__(self, slot: str) -> None:
        raw = attrgetter(slot)

        def read(owner: Any) -> Any:
            value = raw(owner)
            return value if type(value) in _GROUPS else (value,)

        def write(owner: Any, value: Any) -> None:
            setattr(owner, slot, value[0] if len(value) == 1 and type(value) is tuple else value)

        super().__init__(read, write)


class Shared(Field[T]):
    """A field that lies in the form."""

    def __init__(self, name: str) -> None:
        super().__init__(attrgetter(f"form.{name}"))
