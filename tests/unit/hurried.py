"""An event loop whose clock runs many times as fast, so that a test can wait minutes; must not know what waits.

Timers, sleeps and time-outs of asyncio go by the loop's own clock. Compiled code has its limits inside: hurried, it is driven
over the real ones. Whoever gives a clock of their own gives `loop.time`.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

TIMES: Final = 40
"""How many times as fast: a minute in 1.5 s; what takes 25 ms here, of a thread or the loopback, seems to take a second."""

FEWER_TIMES: Final = 10
FEWEST_TIMES: Final = 4
"""The same for short waits, so that a busy machine does not make them long ones."""

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Waits for real what the loop believes to be many times as long."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self._times if timeout is not None and timeout > 0 else timeout)


class HurriedLoop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self, times: int = TIMES) -> None:
        super().__init__(_Selector(times))
        self._times = times
        self._began_s = time.monotonic()

    def time(self) -> float:
        return (time.monotonic() - self._began_s) * self._times


def hurried(work: Coroutine[Any, Any, T], *, times: int = TIMES) -> T:
    """Run it in such a loop."""
    with asyncio.Runner(loop_factory=lambda: HurriedLoop(times)) as runner:
        return runner.run(work)
