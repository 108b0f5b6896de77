"""Measuring one served file, in a process with bounded resources."""

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
"""The checkout, or the packed file, which must be on the path of the measuring process."""


def describe(runtime: str) -> dict[str, Any]:
    """Return a description of this machine, and of the runtime of that name on it."""
    from spaces.processor import multiplies_int8_exactly, processor_name

    return {
        "processor": processor_name(),
        "exact_int8": multiplies_int8_exactly(),
        "runtime": registry.runtime(runtime).describe(),
        "cores": os.cpu_count() or 1,
    }


def measure(model: Path, *, runtime: str, threads: int, memory_bytes: int) -> dict[str, Any]:
    """Measure latency and memory of a file in this process, whose limits then stay for good.

    Args:
        model: the file.
        runtime: the name of the runtime that loads it.
        threads: the number of threads that serve one image.
        memory_bytes: the most memory that this process may use.

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
    """Return the bytes of each thread's stack: the first thread's limit, or 8 MiB if unlimited."""
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
    """Measure as `measure` does, in a process of its own, so that a crash harms nothing else.

    Raises:
        Refusal: the file was not measured, or not in time; its process is gone then.
    """
    folder = model.parent
    # The file must not be able to read even the token.
    kept = {k: v for k, v in os.environ.items() if k != TOKEN_VARIABLE}
    code = "from search.targets.agent import main; main()"
    asked = ["--runtime", runtime, "--threads", str(threads), "--max-memory", str(memory_bytes)]
    # Files: the process can't fill them without end (RLIMIT_FSIZE), and nobody needs to empty them.
    with (folder / "found").open("w+b") as found, (folder / "said").open("w+b") as said:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", code, "measure", model.name, *asked],
            cwd=folder,
            # ONNX Runtime leaves a file in the folder for temporary files.
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
    """Return the exit status of the process; the process is always gone afterwards."""
    late = Refusal(HTTPStatus.GATEWAY_TIMEOUT, f"the file was not measured within {seconds:g} s")
    try:
        return await within(seconds, process.wait(), late)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _reason(ended: int, said: bytes) -> str:
    """Return the last line that the process wrote, or how it ended."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    told = lines[-1][:_REASON_CHARACTERS] if lines else ""
    if ended < 0:
        return f"the file ended its process by {signal.Signals(-ended).name}: {told}".rstrip(": ")
    return told or f"it ended with {ended}"


def _bound_this_process(memory_bytes: int) -> None:
    """Limit this process' resources for good, so that no other process needs to watch it."""
    # On import, numpy's OpenBLAS would reserve memory for every core, which is of no use here.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Not RLIMIT_AS: runtimes map several times the memory that they use.
    _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, _WRITTEN_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    # The agent waits no longer; the agent, or the ssh connection, may be gone before.
    signal.alarm(math.ceil(MEASURING_S))
    # Where memory still runs out, let the system end this process and nothing else.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def _peak_memory_bytes() -> int:
    """Return the most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its value begins with the memory of the parent process.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
