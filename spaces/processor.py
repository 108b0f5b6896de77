"""What this machine's processor can do."""

import platform
from functools import cache
from pathlib import Path

# x86: VNNI accumulates int8 products in 32 bits. ARM: the dot-product instructions do.
_EXACT = {"avx512_vnni", "avx_vnni", "asimddp"}


@cache
def multiplies_int8_exactly() -> bool:
    """Whether sums of unsigned-by-signed int8 products keep all their bits.

    Without VNNI, x86 adds pairs of products in 16 bits, and they saturate
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, U8S8).
    """
    if platform.machine() == "arm64":  # Apple's, every one of which has them
        return True
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(_EXACT & flags)


@cache
def processor_name() -> str:
    """The processor's model as its maker names it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
