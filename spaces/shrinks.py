"""What a method makes smaller in the file that is shipped, and where that is worth any time."""

from dataclasses import dataclass
from enum import StrEnum


class Hardware(StrEnum):
    """What a served file runs on, as far as methods tell it apart."""

    ANY_CPU = "any CPU"
    INT8_CPU = "a CPU with int8 dot products (VNNI, ARM)"
    GPU = "a GPU"


@dataclass(frozen=True)
class Shrinks:
    """What a method makes smaller than its axis's `none` does.

    It is what the method is for, not a promise: what it came to is measured on each file.

    Attributes:
        size: bytes of the file that is shipped.
        macs: multiply-accumulates of one image.
        latency: the hardware on which one image takes less time; empty where none is known to.
    """

    size: bool = False
    macs: bool = False
    latency: tuple[Hardware, ...] = ()

    @property
    def only_size(self) -> bool:
        """Whether it saves bytes alone: such a file is decoded at load, and is no faster."""
        return self == SIZE_ONLY

    def __str__(self) -> str:
        parts = [name for name, holds in (("bytes", self.size), ("MACs", self.macs)) if holds]
        if self.latency:
            parts.append(f"latency ({', '.join(self.latency)})")
        return ", ".join(parts) or "nothing"


NOTHING = Shrinks()
SIZE_ONLY = Shrinks(size=True)
EVERYWHERE = Shrinks(size=True, macs=True, latency=(Hardware.ANY_CPU, Hardware.GPU))
