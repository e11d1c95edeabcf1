"""Who holds the lane: R43 from one process's side; must not know what is sent.

The holder writes nothing while it has nothing to do. A standby takes over when the lane is free, released, its holder proved dead
by the engine's lock, or silent for *ttl* on the standby's own clock while it should have written.
"""

from dataclasses import dataclass
from typing import Final

from lane.due import questions
from lane.state import LaneState
from replay.planner import is_sendable
from schemas.effects import LockResult
from schemas.facts import LaneTaken, LeaseBasis, StillHere

STILL_HERE_S: Final = 1.0
"""A live holder that should act and does not write says so each second (R43): a third of *ttl*."""

LOCK_AGAIN_S: Final = 1.0
"""How often a holder that took over from a frozen one asks for the lock that the frozen one has: two looks of a standby."""


@dataclass(slots=True)
class Standing:
    """What this process knows of the lane's lease beside the log: its own clock's readings."""

    holder: str
    epoch: int = 0
    may_grant_from_s: float = 0.0
    seen_last: int = -2
    seen_at_s: float = 0.0
    wrote_at_s: float = 0.0
    locked: bool = False
    dead: str | None = None
    asked_lock_s: float = float("-inf")

    def holds(self, state: LaneState) -> bool:
        """Whether the lane's lease is ours, by the log."""
        return state.lease.epoch == self.epoch and state.lease.holder == self.holder and not state.lease.released

    def learn(self, lock: LockResult) -> None:
        """Take in what the engine's lock said."""
        self.locked = lock.taken
        self.dead = lock.dead or self.dead

    def taking(self, state: LaneState, *, at_ms: int, boot_s: float, seen: int) -> LaneTaken | None:
        """The fact that takes the lane, if something allows it now."""
        basis = self._basis(state, at_ms=at_ms, boot_s=boot_s)
        if basis is None:
            return None
        return LaneTaken(at_ms=at_ms, epoch=state.lease.epoch + 1, holder=self.holder, basis=basis, seen=seen)

    def took(self, state: LaneState, *, epoch: int, boot_s: float) -> bool:
        """Whether our taking was the effective one; sets when granting may begin: the old holder is waited out (R43).

        Every intent of a silent holder stood before the fact that was its last when we first saw that, or our taking is void. So
        its sends have ended *delta* + *tau* after we saw that fact: most of the wait is over when its silence is proved. A wait
        owed from further back, by a silent holder's taker that never granted, begins now: what we saw was of the taker.
        """
        if state.lease.epoch != epoch or state.lease.holder != self.holder:
            return False
        self.epoch = epoch
        wait_s = (state.policy.delta_ms + state.policy.tau_ms) / 1000
        since_s = self.seen_at_s if state.lease.basis == "silent" else boot_s
        self.may_grant_from_s = since_s + wait_s if state.lease.owes else boot_s
        self.wrote_at_s = boot_s
        return True

    def asks_lock(self, *, boot_s: float) -> bool:
        """Whether a holder without the engine's lock is to ask for it now, so that its own death can be proved one day."""
        if self.locked or boot_s - self.asked_lock_s < LOCK_AGAIN_S:
            return False
        self.asked_lock_s = boot_s
        return True

    def still_here(self, state: LaneState, *, at_ms: int, boot_s: float) -> StillHere | None:
        """The sign of life that is due, if any."""
        if boot_s - self.wrote_at_s < STILL_HERE_S or not _should_write(state, at_ms=at_ms):
            return None
        return StillHere(at_ms=at_ms, epoch=self.epoch)

    def _basis(self, state: LaneState, *, at_ms: int, boot_s: float) -> LeaseBasis | None:
        lease = state.lease
        if lease.last != self.seen_last or not _should_write(state, at_ms=at_ms):
            self.seen_last = lease.last
            self.seen_at_s = boot_s
        if lease.released and self.locked:
            return "free" if lease.epoch == 0 else "released"
        if self.locked and self.dead is not None and self.dead == lease.holder:
            return "dead"
        if boot_s - self.seen_at_s >= state.policy.ttl_ms / 1000:
            return "silent"
        return None


def _should_write(state: LaneState, *, at_ms: int) -> bool:
    """Whether a live holder has something to write about now: something is sendable, a grant lacks its outcome, or a question
    is due (without that last one the fate of an unknown message would wait for ever for a dead holder)."""
    return bool(state.grants) or is_sendable(state, at_ms=at_ms) or bool(questions(state, at_ms=at_ms))
