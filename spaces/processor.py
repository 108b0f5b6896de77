"""Properties of this machine's processor."""

import platform
from functools import cache
from pathlib import Path

# x86: VNNI accumulates int8 products in 32 bits. ARM: the dot-product instructions do.
_EXACT = {"avx512_vnni", "avx_vnni", "asimddp"}


@cache
def multiplies_int8_exactly() -> bool:
    """Return whether sums of unsigned-by-signed int8 products keep all their bits.

    Without VNNI, x86 adds pairs of products in 16 bits, and they saturate
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, U8S8).
    """
    if platform.machine() == "arm64":  # all of Apple's processors have them
        return True
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(_EXACT & flags)


@cache
def processor_name() -> str:
    """Return the processor's model as its maker names it, or the name of its board."""
    cpuinfo = Path("/proc/cpuinfo")
    named = named_in(cpuinfo.read_text()) if cpuinfo.exists() else None
    return named or platform.processor() or platform.machine()


def named_in(cpuinfo: str) -> str | None:
    """Return the name in Linux's list of processors; None if the list has none.

    Latencies are stored under this name, so it must differ between boards. ARM's kernels report the
    board, or only the numbers of the core's maker and of its design.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    told = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    for key in ("model name", "Model", "Hardware"):
        if told.get(key):
            return told[key]
    core = [told.get(f"CPU {key}") for key in ("implementer", "part")]
    return f"{platform.machine()} core {' '.join(filter(None, core))}" if all(core) else None
