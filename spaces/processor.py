"""Properties of this machine's processor."""

import platform
from functools import cache
from pathlib import Path

# These instructions accumulate int8 products in 32 bits: VNNI of x86, and ARM's dot products.
_EXACT_INT8_FLAGS = {"avx512_vnni", "avx_vnni", "asimddp"}


@cache
def multiplies_int8_exactly() -> bool:
    """Return whether the processor sums unsigned-by-signed int8 products without saturation.

    An x86 processor without VNNI adds pairs of products in 16 bits, and the sums saturate
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, U8S8).
    """
    if platform.machine() == "arm64":  # all Apple processors have these instructions
        return True
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(_EXACT_INT8_FLAGS & flags)


@cache
def processor_name() -> str:
    """Return the manufacturer's name of the processor, or the name of its board."""
    cpuinfo = Path("/proc/cpuinfo")
    named = named_in(cpuinfo.read_text()) if cpuinfo.exists() else None
    return named or platform.processor() or platform.machine()


def named_in(cpuinfo: str) -> str | None:
    """Return the processor's name from the text of Linux's /proc/cpuinfo; None if it has none.

    The store keeps latencies under this name, so it must differ between boards. On ARM, Linux
    reports the board, or only the identifiers of the core's manufacturer and of its design.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    values = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    for key in ("model name", "Model", "Hardware"):
        if values.get(key):
            return values[key]
    core = [values.get(f"CPU {key}") for key in ("implementer", "part")]
    return f"{platform.machine()} core {' '.join(filter(None, core))}" if all(core) else None
