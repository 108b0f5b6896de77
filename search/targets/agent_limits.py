"""What an agent grants those who ask it, and what it can grant on this machine."""

import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

MOST_BYTES = 256 * 10**6
MEASURING_S = 60.0
BYTES_PER_S = 100_000
"""The slowest that a file may be sent; who sends one waits as long."""


def half_of_memory() -> int:
    """Half the bytes that this machine has, or that its container may take."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    container = Path("/sys/fs/cgroup/memory.max")
    told = container.read_text().strip() if container.exists() else ""
    return min(machine, int(told) if told.isdecimal() else machine) // 2


def _files() -> int:
    """How many this process may have open; each connection is one, each place two."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if limit == resource.RLIM_INFINITY else limit


@dataclass(frozen=True, kw_only=True)
class AgentLimits:
    """What an agent grants those who ask it.

    Attributes:
        file_bytes: of one file.
        memory_bytes: of the process that measures it.
        connections: that hold no place, most often since they have not shown the token yet.
        places: for files that are sent, wait or are measured, of `file_bytes` together.
        head_s: for all of a request's head.
        bytes_per_s: how fast a body must come, beyond `head_s`.
        waiting_s: for the files before it to be measured.
        measuring_s: for the file to be measured.
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
        """Within which a body of this length must have come."""
        return self.head_s + length / self.bytes_per_s
