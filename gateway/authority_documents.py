"""What a message and a document are to the simulated authority (INTERFACES section 2); must not know rules, channels or HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from schemas.messages import OWN_KEY

Keys: TypeAlias = Mapping[str, Sequence[str]]

DocumentRef: TypeAlias = tuple[str, str, str]
"""(mode, namespace, own key). Cargo and house bill share the namespace `ccn`; every other kind is its own. A document belongs to
one mode: who states another mode for the same shipment names a document that isn't there."""

OWN_KEY_OPTIONAL: Final = frozenset({"export_declaration", "accounting", "other"})
"""Kinds whose own key may be left out: the publisher's key stands in, which is the wire key without its submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenMessage:
    """A message that the transport took, with what its headers say; `own` is never empty."""

    wire_key: str
    tenant: str
    mode: str
    kind: str
    channel: str
    function: str
    keys: Keys
    sha256: str
    own: str

    @property
    def document(self) -> DocumentRef:
        """The document that this message files, changes or cancels."""
        return document_ref(self.mode, self.kind, self.own)


def document_ref(mode: str, kind: str, own: str) -> DocumentRef:
    """Return the document of that kind and own key."""
    return (mode, "ccn" if kind in ("cargo", "house_bill") else kind, own)


def named(keys: Keys, name: str) -> Sequence[str]:
    """Return the values of a key, empty when it is absent."""
    return keys.get(name) or ()


def first_named(keys: Keys, name: str) -> str | None:
    """Return the first value of a key."""
    values = keys.get(name)
    return values[0] if values else None


def own_key_of(kind: str, keys: Keys, wire_key: str) -> str:
    """Return a message's own key. Raises ValueError with a sentence when it has none."""
    own = first_named(keys, OWN_KEY[kind])
    if own:
        return own
    if kind in OWN_KEY_OPTIONAL:
        return wire_key.partition("~")[0]
    raise ValueError(f"A {kind} needs its own key: put `{OWN_KEY[kind]}` into Tidegate-Keys.")
