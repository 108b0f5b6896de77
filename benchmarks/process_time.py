"""The time that work takes, also of the processes that it uses."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and seconds of processors in this process and those it started."""

    wall_s: float
    cpu_s: float


def spent_by(work: Callable[[], object]) -> Spent:
    """Do the work; return the time that it took."""
    cpu, start = _cpu_s(), time.perf_counter()
    work()
    return Spent(time.perf_counter() - start, _cpu_s() - cpu)


def _cpu_s() -> float:
    own = psutil.Process()
    found = own.cpu_times()
    total = found.user + found.system + found.children_user + found.children_system
    for child in own.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
