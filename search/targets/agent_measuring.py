"""Measuring one served file, in a process that can take no more than it is given."""

import asyncio
import json
import math
import os
import resource
import signal
import sys
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from search.errors import ArtifactError, lacks_memory
from search.targets import registry
from search.targets.agent_limits import MEASURING_S
from search.targets.agent_request import TOKEN_VARIABLE, Refusal, within

_WRITTEN_BYTES = 1 << 20
_REASON_CHARACTERS = 500
_ROOT = Path(__file__).parents[2]
"""The checkout, or the packed file: what must be on the path of the measuring process."""


def describe(runtime: str) -> dict[str, Any]:
    """What this machine is, and the runtime of that name on it."""
    from spaces.processor import multiplies_int8_exactly, processor_name

    return {
        "processor": processor_name(),
        "exact_int8": multiplies_int8_exactly(),
        "runtime": registry.runtime(runtime).describe(),
        "cores": os.cpu_count() or 1,
    }


def measure(model: Path, *, runtime: str, threads: int, memory_bytes: int) -> dict[str, Any]:
    """Latency and memory of a file, here, in this process, which is bounded for good.

    Args:
        model: the file.
        runtime: that loads it, by its name.
        threads: that serve one image.
        memory_bytes: that this process may take.

    Raises:
        ArtifactError: the runtime can't load or run the file, or not with so much memory.
        ValueError: there is no such runtime.
    """
    _bound_this_process(memory_bytes)
    # ONNX Runtime hangs where it can't start its threads, whose stacks count from the start.
    if threads * _stack_bytes() > memory_bytes // 2:
        raise _lacking(f"to start, threads={threads} needs", memory_bytes)
    try:
        return _measured(model, runtime=runtime, threads=threads)
    except (ArtifactError, MemoryError, ImportError) as error:
        if not lacks_memory(error):
            raise
        raise _lacking("the file needs", memory_bytes) from error


def _lacking(who: str, memory_bytes: int) -> ArtifactError:
    return ArtifactError(
        f"{who} more than the {memory_bytes / 1e6:,.0f} MB of memory that a measurement may take "
        "here: allow more with --max-memory"
    )


def _stack_bytes() -> int:
    """Of each thread: as the first has, or what is usual where that is unlimited."""
    limit, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return 1 << 23 if limit == resource.RLIM_INFINITY else limit


def _measured(model: Path, *, runtime: str, threads: int) -> dict[str, Any]:
    from search.targets.latency import measure_latency

    library = registry.runtime(runtime)
    before = _peak_memory_bytes()
    served = library.load(model, threads=threads)
    (latency,) = measure_latency([served])
    after = _peak_memory_bytes()
    return {
        **describe(runtime),
        "threads": threads,
        "median_ms": latency.median_ms,
        "p95_ms": latency.p95_ms,
        "rounds_ms": latency.rounds_ms,
        "process_memory_bytes": after,
        "model_memory_bytes": after - before,
    }


async def measure_apart(
    model: Path, *, runtime: str, threads: int, memory_bytes: int, seconds: float
) -> dict[str, Any]:
    """As `measure`, in a process of its own; a file that breaks it breaks nothing else.

    Raises:
        Refusal: the file was not measured, or not in time; its process is gone then.
    """
    folder = model.parent
    # Not even the token is there to be read.
    kept = {k: v for k, v in os.environ.items() if k != TOKEN_VARIABLE}
    code = "from search.targets.agent import main; main()"
    asked = ["--runtime", runtime, "--threads", str(threads), "--max-memory", str(memory_bytes)]
    # Files, as the process can't fill them without end (RLIMIT_FSIZE), and nobody need empty them.
    with (folder / "found").open("w+b") as found, (folder / "said").open("w+b") as said:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", code, "measure", model.name, *asked],
            cwd=folder,
            # ONNX Runtime leaves a file in the folder for temporary ones.
            env={**kept, "PYTHONPATH": str(_ROOT), "TMPDIR": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=found,
            stderr=said,
        )
        ended = await _awaited(process, seconds)
        said.seek(0)
        found.seek(0)
        if ended:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, _reason(ended, said.read()))
        answer: dict[str, Any] = json.loads(found.read())
    return answer


async def _awaited(process: asyncio.subprocess.Process, seconds: float) -> int:
    """How the process ended; it is gone, whatever happens here."""
    late = Refusal(HTTPStatus.GATEWAY_TIMEOUT, f"the file was not measured within {seconds:g} s")
    try:
        return await within(seconds, process.wait(), late)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _reason(ended: int, said: bytes) -> str:
    """The last that a process said, or how it ended."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    told = lines[-1][:_REASON_CHARACTERS] if lines else ""
    if ended < 0:
        return f"the file ended its process by {signal.Signals(-ended).name}: {told}".rstrip(": ")
    return told or f"it ended with {ended}"


def _bound_this_process(memory_bytes: int) -> None:
    """Limits what a file can take; nobody need be there to look after it."""
    # numpy's OpenBLAS would take memory for every core as it is imported, and serves nothing here.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Not RLIMIT_AS: runtimes map several times what they use.
    _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, _WRITTEN_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    # The agent waits no longer; it, or the line that ssh came by, may be gone before.
    signal.alarm(math.ceil(MEASURING_S))
    # Where memory still runs out, let the system end this process and nothing else.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def _peak_memory_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux it starts from what the process held that this one came from.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
