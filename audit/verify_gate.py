"""What notices, windows and hands had closed at a position, told anew from the facts; must not know messages, nor the fold.

A second statement of R30, R31 and DOMAIN section 2, on purpose: a mistake in one of the two shows as a difference.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.facts import ComponentOverridden, OutageDeclared, OutageResolved, PolicyAdopted, Scope, WindowEnded

NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "edi": ("edi",),
    "cig": ("edi", "cig"),
    "swi": ("edi", "swi"),
    "cad_api": ("cad_api",),
    "emanifest_portal": ("emanifest_portal",),
    "cers": ("cers",),
    "ccp": ("ccp",),
}
"""The components that a channel needs, in each direction, unless a policy says otherwise (DESIGN section 2)."""

CLOSES: Final[dict[str, tuple[str, ...]]] = {
    "careful": ("unavailable", "not_processing", "partial"),
    "cbsa-queues": ("unavailable",),
}
"""What closes an inbound component: `careful` when CBSA can't receive or process, `cbsa-queues` only when it can't receive."""

SILENCES: Final = ("unavailable", "not_processing", "partial", "delayed")
"""What makes answers missing or late on an outbound component (R23)."""

MISSING_CODES: Final = ("E1", "E2", "E3", "E4", "E5", "E6", "E8", "NOF")
RESUBMISSIONS_MAX: Final = 3
HORIZON_MS: Final = 120 * 86_400_000


@dataclass(slots=True)
class Notice:
    """An incident in force; `over`: numbers of the scopes that have ended."""

    scopes: tuple[Scope, ...]
    over: set[int] = field(default_factory=set)

    def standing(self) -> list[Scope]:
        """The scopes that have not ended."""
        return [scope for number, scope in enumerate(self.scopes) if number not in self.over]


class Gate:
    """What is closed, and the policy in force."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.notices: dict[str, Notice] = {}
        self.policy: dict[str, Any] = {}

    def adopt(self, fact: PolicyAdopted) -> None:
        """A policy is in force, whole, from its position on (I11). Raises ValueError when it is no JSON object."""
        policy = json.loads(fact.policy)
        if not isinstance(policy, dict):
            raise ValueError("the policy is not a JSON object")
        self.policy = policy

    def declare(self, fact: OutageDeclared) -> None:
        """A notice says what its incident closes from here on; what it closed before and says no more stays closed (R30)."""
        before = self.notices.get(fact.incident)
        held = [scope for scope in before.standing() if self._closes_now(scope)] if before else []
        kept = tuple(old for old in held if not any(self._includes(new, old) for new in fact.scopes))
        self.notices[fact.incident] = Notice((*fact.scopes, *kept))

    def resolve(self, fact: OutageResolved) -> None:
        """*Resolved* ends its own incident."""
        self.notices.pop(fact.incident, None)

    def override(self, fact: ComponentOverridden) -> None:
        """A person holds a component, or opens it against what covers it now; windows that have not begun stand."""
        by_hand = f"override-{fact.component}-{fact.direction}"
        if fact.to == "hold":
            self.notices[by_hand] = Notice((Scope(component=fact.component, direction=fact.direction, effect="unavailable"),))
            return
        self.notices.pop(by_hand, None)
        for notice in self.notices.values():
            for number, scope in enumerate(notice.scopes):
                if (scope.component, scope.direction) == (fact.component, fact.direction) and _begun(scope, self.now_ms):
                    notice.over.add(number)

    def end_window(self, fact: WindowEnded) -> None:
        """A scheduled window ends at its published end and not before (R6)."""
        notice = self.notices.get(fact.incident)
        if notice is None or fact.at_ms < fact.ends_ms:
            return
        ended = {number for number, scope in enumerate(notice.scopes) if scope.scheduled and scope.ends_ms == fact.ends_ms}
        notice.over |= ended
        if ended and not notice.standing():
            del self.notices[fact.incident]

    def held_by(self, channel: str, tenant: str, *, at_ms: int) -> str | None:
        """The notice that keeps a tenant's messages off a channel at that time, in words, or None."""
        closes = CLOSES[self.policy.get("profile", "careful")]
        needs = self._needs(channel, "inbound")
        for incident, notice in self.notices.items():
            for scope in notice.standing():
                begun = _begun(scope, at_ms)
                meant = not scope.tenants or tenant in scope.tenants
                if scope.direction == "inbound" and scope.component in needs and scope.effect in closes and begun and meant:
                    return f"{scope.component} inbound was {scope.effect} by {incident}"
        return None

    def answers_are_late(self, channel: str, tenant: str) -> bool:
        """Whether a notice says that answers for the channel are missing or late (R23)."""
        needs = self._needs(channel, "outbound")
        return any(
            scope.direction == "outbound"
            and scope.component in needs
            and scope.effect in SILENCES
            and (not scope.tenants or tenant in scope.tenants)
            and _begun(scope, self.now_ms)
            for notice in self.notices.values()
            for scope in notice.standing()
        )

    def provisional(self, channel: str, tenant: str) -> bool:
        """Whether *transmitted plus settling time* counts as on file now (R23)."""
        return self.policy.get("settling_ms", 0) is not None and self.answers_are_late(channel, tenant)

    def horizon_ms(self) -> int:
        """How long ago a message must have finished to leave the fold (R58)."""
        return int(self.policy.get("horizon_ms", HORIZON_MS))

    def sends_without_missing(self) -> bool:
        """Whether the policy sends what lacks a named predecessor at once (R22)."""
        return bool(self.policy.get("missing", "wait") == "send")

    def goes_again(self, code: str, resubmissions: int) -> bool:
        """Whether a reject with that code is for want of a predecessor and is submitted again (R55)."""
        codes = self.policy.get("missing_codes", MISSING_CODES)
        return code in codes and resubmissions < self.policy.get("resubmissions_max", RESUBMISSIONS_MAX)

    def _closes_now(self, scope: Scope) -> bool:
        closes = CLOSES[self.policy.get("profile", "careful")]
        return scope.direction == "inbound" and scope.effect in closes and _begun(scope, self.now_ms)

    def _includes(self, new: Scope, old: Scope) -> bool:
        """Whether a newer scope closes all that the older one closes, and ends no sooner by itself."""
        tenants = not new.tenants or (bool(old.tenants) and set(old.tenants) <= set(new.tenants))
        never = float("inf")
        old_end = old.ends_ms if old.scheduled and old.ends_ms is not None else never
        lasts = (new.ends_ms if new.scheduled and new.ends_ms is not None else never) >= old_end
        return (new.component, new.direction) == (old.component, old.direction) and tenants and lasts and self._closes_now(new)

    def _needs(self, channel: str, direction: str) -> tuple[str, ...]:
        channels = self.policy.get("channels")
        if channels is None:
            return NEEDS.get(channel, ())
        return tuple(channels.get(channel, {}).get(direction, ()))


def _begun(scope: Scope, at_ms: int) -> bool:
    return not scope.scheduled or scope.starts_ms is None or scope.starts_ms <= at_ms
