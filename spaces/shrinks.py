"""What a method makes smaller in the shipped file, and on which hardware that saves time."""

from dataclasses import dataclass
from enum import StrEnum


class Hardware(StrEnum):
    """The hardware that runs a shipped file, as far as methods distinguish it."""

    ANY_CPU = "any CPU"
    INT8_CPU = "a CPU with int8 dot products (VNNI, ARM)"
    GPU = "a GPU"


@dataclass(frozen=True)
class Shrinks:
    """What a method makes smaller, compared with its axis's `none`.

    It is the method's purpose, not a promise: the result is measured on each file.

    Attributes:
        size: bytes of the shipped file.
        macs: multiply-accumulates of one image.
        latency: the hardware on which one image takes less time; empty if none is known.
    """

    size: bool = False
    macs: bool = False
    latency: tuple[Hardware, ...] = ()

    @property
    def only_size(self) -> bool:
        """Whether it only saves bytes: such a file is decoded at load, and is no faster."""
        return self == SIZE_ONLY

    def __str__(self) -> str:
        parts = [name for name, holds in (("bytes", self.size), ("MACs", self.macs)) if holds]
        if self.latency:
            parts.append(f"latency ({', '.join(self.latency)})")
        return ", ".join(parts) or "nothing"


NOTHING = Shrinks()
SIZE_ONLY = Shrinks(size=True)
EVERYWHERE = Shrinks(size=True, macs=True, latency=(Hardware.ANY_CPU, Hardware.GPU))
