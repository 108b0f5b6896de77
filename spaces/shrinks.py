"""Costs that a method is meant to reduce, and the hardware on which it reduces the latency."""

from dataclasses import dataclass
from enum import StrEnum


class Hardware(StrEnum):
    """Kinds of hardware on which methods have different latencies."""

    ANY_CPU = "any CPU"
    INT8_CPU = "a CPU with int8 dot products (VNNI, ARM)"
    GPU = "a GPU"


@dataclass(frozen=True)
class Shrinks:
    """Costs that a method is meant to reduce, compared with the axis's method that changes nothing.

    The effect on each file is measured; it can differ.

    Attributes:
        size: bytes of the model file.
        macs: multiply-accumulates for one image.
        latency: the hardware on which one image takes less time; empty if there is none.
    """

    size: bool = False
    macs: bool = False
    latency: tuple[Hardware, ...] = ()

    @property
    def only_size(self) -> bool:
        """Whether the method reduces only the file size, not the latency."""
        return self == SIZE_ONLY

    def __str__(self) -> str:
        parts = [name for name, holds in (("bytes", self.size), ("MACs", self.macs)) if holds]
        if self.latency:
            parts.append(f"latency ({', '.join(self.latency)})")
        return ", ".join(parts) or "nothing"


NOTHING = Shrinks()
SIZE_ONLY = Shrinks(size=True)
EVERYWHERE = Shrinks(size=True, macs=True, latency=(Hardware.ANY_CPU, Hardware.GPU))
