"""What an agent grants its clients, and what it can grant on this machine."""

import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

MOST_BYTES = 256 * 10**6
MEASURING_S = 60.0
BYTES_PER_S = 100_000
"""The slowest rate at which a file may be sent; the client waits as long."""


def half_of_memory() -> int:
    """Return half the bytes that this machine has, or that its container may use."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    container = Path("/sys/fs/cgroup/memory.max")
    told = container.read_text().strip() if container.exists() else ""
    return min(machine, int(told) if told.isdecimal() else machine) // 2


def _files() -> int:
    """Return how many files this process may open; each connection takes one, each place two."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if limit == resource.RLIM_INFINITY else limit


@dataclass(frozen=True, kw_only=True)
class AgentLimits:
    """What an agent grants its clients.

    Attributes:
        file_bytes: the most for one file.
        memory_bytes: the most for the process that measures it.
        connections: the most that hold no place, most often because they have not sent the token.
        places: for files that are sent, wait or are measured, of `file_bytes` together.
        head_s: for the whole head of a request.
        bytes_per_s: the rate at which a body must arrive, beyond `head_s`.
        waiting_s: for the measurements of earlier files.
        measuring_s: for the measurement of the file.
    """

    file_bytes: int = MOST_BYTES
    memory_bytes: int = field(default_factory=half_of_memory)
    connections: int = field(default_factory=lambda: min(64, _files() // 4))
    places: int = field(default_factory=lambda: min(32, _files() // 8))
    head_s: float = 5.0
    bytes_per_s: int = BYTES_PER_S
    waiting_s: float = 100.0
    measuring_s: float = MEASURING_S

    def body_s(self, length: int) -> float:
        """Return the seconds within which a body of this length must arrive."""
        return self.head_s + length / self.bytes_per_s
