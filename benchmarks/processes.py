"""What a process used: CPU seconds and resident memory, ours and others'; and a fresh process for a clean figure."""

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import psutil

T = TypeVar("T")


def cpu_s(pids: Iterable[int] | None = None) -> float:
    """User and system seconds that these processes have used; this one's when none are named."""
    used = 0.0
    for pid in pids if pids is not None else (None,):
        times = psutil.Process(pid).cpu_times()
        used += times.user + times.system
    return used


def rss_bytes(pid: int | None = None) -> int:
    """Resident memory of a process, this one's unless named."""
    return int(psutil.Process(pid).memory_info().rss)


def in_fresh_process(work: Callable[..., T], *arguments: Any) -> T:
    """Run it in a new interpreter and return its result: memory and caches of earlier rounds are not in its figures."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()
