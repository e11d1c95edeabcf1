"""The policies that a decision uses, as data with defaults; must not know where they are set.

Source: RULES R60 for the figures, DESIGN section 7 for what is policy. A policy is adopted by a fact and in force from its
position on (I11).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeAlias

from schemas.facts import Effect

Profile: TypeAlias = Literal["careful", "cbsa-queues"]
Drain: TypeAlias = Literal["automatic", "operator"]
Missing: TypeAlias = Literal["wait", "send", "park"]
Delivery: TypeAlias = Literal["machine", "person"]
Rate: TypeAlias = int | Literal["default"] | None
"""A channel's rate as a person says it: messages a second, no limit (None), or whatever `rate_max_per_s` is."""

HOLDS: Final[dict[Profile, frozenset[Effect]]] = {
    "careful": frozenset({"unavailable", "not_processing", "partial"}),
    "cbsa-queues": frozenset({"unavailable"}),
}
"""Which effects on an inbound component hold its messages (DESIGN section 7). A delay or a forced re-logon never does."""

SLOWS: Final[frozenset[Effect]] = frozenset({"unavailable", "not_processing", "partial", "delayed"})
"""Which effects on an outbound component mean that answers are missing or late (R23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """What a channel needs: the components that must take messages, those that bring the answers, and who delivers."""

    inbound: tuple[str, ...]
    outbound: tuple[str, ...]
    delivery: Delivery = "machine"


CHANNELS: Final[dict[str, ChannelPolicy]] = {
    "edi": ChannelPolicy(inbound=("edi",), outbound=("edi",)),
    "cig": ChannelPolicy(inbound=("edi", "cig"), outbound=("edi", "cig")),
    "swi": ChannelPolicy(inbound=("edi", "swi"), outbound=("edi", "swi")),
    "cad_api": ChannelPolicy(inbound=("cad_api",), outbound=("cad_api",)),
    "emanifest_portal": ChannelPolicy(inbound=("emanifest_portal",), outbound=("emanifest_portal",), delivery="person"),
    "cers": ChannelPolicy(inbound=("cers",), outbound=("cers",), delivery="person"),
    "ccp": ChannelPolicy(inbound=("ccp",), outbound=("ccp",), delivery="person"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that a lane decides by and that a person may change. Units stand last in the names.

    `channel_rate_max_per_s` names the channels that have a rate of their own; all others go by `rate_max_per_s`. It stands here
    and not within `channels`, for an older program refuses a setting that it does not know and would overlook a part of one.
    """

    id: str = "tidegate-default-1"
    order_id: str = "cbsa-plan-2017-11"
    profile: Profile = "careful"
    drain: Drain = "automatic"
    rate_max_per_s: int | None = 50
    channel_rate_max_per_s: dict[str, int | None] = field(default_factory=dict)
    in_flight_max: int = 64
    batch_max: int = 500
    missing: Missing = "wait"
    missing_wait_ms: int = 10 * 60_000
    settling_ms: int | None = 30 * 60_000
    answer_due_ms: int = 15 * 60_000
    answer_again_ms: int = 60 * 60_000
    probe_ms: int = 5_000
    probe_max_ms: int = 5 * 60_000
    unknown_streak_max: int = 3
    canary_wait_ms: int = 60_000
    resubmissions_max: int = 3
    missing_codes: tuple[str, ...] = ("E1", "E2", "E3", "E4", "E5", "E6", "E8", "NOF")
    horizon_ms: int = 120 * 86_400_000
    delta_ms: int = 2_000
    tau_ms: int = 10_000
    ttl_ms: int = 3_000
    lag_max_ms: int = 5_000
    channels: dict[str, ChannelPolicy] = field(default_factory=lambda: dict(CHANNELS))

    def as_json(self) -> str:
        """The policy, whole, as it stands in a fact."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Policy":
        """Read a policy from its fact; a setting that an older program wrote without gets its default, a channel too.

        Raises ValueError for a setting that this program does not know: a newer policy must not be half obeyed.
        """
        raw: dict[str, Any] = json.loads(text)
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(raw) - known)
        if unknown:
            raise ValueError(
                f"the policy has settings that this program does not know: {', '.join(unknown)}; install a newer one"
            )
        if "channels" in raw:
            raw["channels"] = CHANNELS | {
                name: ChannelPolicy(
                    inbound=tuple(channel["inbound"]), outbound=tuple(channel["outbound"]), delivery=channel["delivery"]
                )
                for name, channel in raw["channels"].items()
            }
        if "missing_codes" in raw:
            raw["missing_codes"] = tuple(raw["missing_codes"])
        return cls(**raw)

    def rate_of(self, channel: str) -> int | None:
        """A channel's rate in messages a second: its own or the one for all; None is no limit (R42)."""
        return self.channel_rate_max_per_s.get(channel, self.rate_max_per_s)

    def with_rates(self, rates: Mapping[str, Rate]) -> "Policy":
        """This policy with these channels' rates; *default* takes a channel's own rate away."""
        kept = {name: rate for name, rate in self.channel_rate_max_per_s.items() if name not in rates}
        given = {name: rate for name, rate in rates.items() if rate != "default"}
        return replace(self, channel_rate_max_per_s=kept | given)

    def holds(self, effect: Effect) -> bool:
        """Whether an effect on an inbound component holds its messages."""
        return effect in HOLDS[self.profile]
