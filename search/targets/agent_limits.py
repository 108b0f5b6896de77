"""The limits of an agent, and their defaults on this machine."""

import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

MOST_BYTES = 256 * 10**6
MEASURING_S = 60.0
BYTES_PER_S = 100_000
"""The slowest rate at which a client may send a file, and for which the client waits."""


def half_of_memory() -> int:
    """Return half of the memory of this machine, or of its container's limit, in bytes."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    container = Path("/sys/fs/cgroup/memory.max")
    limit = container.read_text().strip() if container.exists() else ""
    return min(machine, int(limit) if limit.isdecimal() else machine) // 2


def _files() -> int:
    """Return how many files this process may open; a connection needs one, a place two."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if limit == resource.RLIM_INFINITY else limit


@dataclass(frozen=True, kw_only=True)
class AgentLimits:
    """The limits of an agent for its clients.

    Attributes:
        file_bytes: the largest size of one file, and of all files together.
        memory_bytes: the largest memory of the process that measures a file.
        connections: the largest number of connections without a place.
        places: the largest number of files that are being sent, wait or are being measured.
        head_s: the longest time for the whole head of a request.
        bytes_per_s: the slowest rate for a body, after the first `head_s` seconds.
        waiting_s: the longest wait for the measurements of earlier files.
        measuring_s: the longest time for the measurement of a file.
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
