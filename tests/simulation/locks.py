"""The lane lock of a simulated engine that has one; must not know who asks for it and why."""

from schemas.effects import LockResult


class Locks:
    """The lane's lock of an engine that has one: freed at death, naming who held it last."""

    def __init__(self) -> None:
        self.owner: str | None = None
        self.named: str | None = None

    def take(self, process: str, holder: str) -> LockResult:
        """Take it for a process, or not."""
        if self.owner == process:
            return LockResult(True, None)
        if self.owner is not None:
            return LockResult(False, None)
        before, self.owner, self.named = self.named, process, holder
        return LockResult(True, before)

    def give_back(self, process: str) -> None:
        """A living process gives it back and takes its name out."""
        if self.owner == process:
            self.owner = self.named = None

    def free(self, process: str) -> None:
        """A process has died."""
        if self.owner == process:
            self.owner = None
