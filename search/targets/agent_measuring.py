"""Measurement of one served file, in a process with limited resources."""

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
"""The folder or the packed file of the code, which the measuring process must import."""


def describe(runtime: str) -> dict[str, Any]:
    """Return a description of this machine and of its runtime of that name."""
    from spaces.processor import multiplies_int8_exactly, processor_name

    return {
        "processor": processor_name(),
        "exact_int8": multiplies_int8_exactly(),
        "runtime": registry.runtime(runtime).describe(),
        "cores": os.cpu_count() or 1,
    }


def measure(model: Path, *, runtime: str, threads: int, memory_bytes: int) -> dict[str, Any]:
    """Measure latency and memory of a file in this process, and limit its resources for good.

    Args:
        model: the file.
        runtime: the name of the runtime that loads it.
        threads: the number of threads that serve one image.
        memory_bytes: the largest amount of memory that this process may use.

    Raises:
        ArtifactError: the runtime can't load or run the file, or not with so little memory.
        ValueError: there is no such runtime.
    """
    _limit_this_process(memory_bytes)
    # ONNX Runtime hangs if it can't start its threads. Their whole stacks count as memory at once.
    if threads * _stack_bytes() > memory_bytes // 2:
        raise _memory_error(f"the start of threads={threads} needs", memory_bytes)
    try:
        return _measured(model, runtime=runtime, threads=threads)
    except (ArtifactError, MemoryError, ImportError) as error:
        if not lacks_memory(error):
            raise
        raise _memory_error("the file needs", memory_bytes) from error


def _memory_error(subject: str, memory_bytes: int) -> ArtifactError:
    return ArtifactError(
        f"{subject} more than the {memory_bytes / 1e6:,.0f} MB of memory that a measurement may "
        "use here: allow more with --max-memory"
    )


def _stack_bytes() -> int:
    """Return the bytes of each thread's stack: the process's limit, or 8 MiB without a limit."""
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
        "disturbed": latency.disturbed,
        "process_memory_bytes": after,
        "model_memory_bytes": after - before,
    }


async def measure_apart(
    model: Path, *, runtime: str, threads: int, memory_bytes: int, seconds: float
) -> dict[str, Any]:
    """Call `measure` in a process of its own, so that a crash does not affect the agent.

    Raises:
        Refusal: the measurement failed or took too long; its process has ended.
    """
    folder = model.parent
    # Hide the token from the measured file.
    environment = {k: v for k, v in os.environ.items() if k != TOKEN_VARIABLE}
    code = "from search.targets.agent import main; main()"
    options = ["--runtime", runtime, "--threads", str(threads), "--max-memory", str(memory_bytes)]
    # Files, not pipes: RLIMIT_FSIZE limits their size, and no other process must read them.
    with (folder / "output").open("w+b") as output, (folder / "errors").open("w+b") as errors:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", code, "measure", model.name, *options],
            cwd=folder,
            # ONNX Runtime leaves a file in TMPDIR.
            env={**environment, "PYTHONPATH": str(_ROOT), "TMPDIR": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        ended = await _awaited(process, seconds)
        errors.seek(0)
        output.seek(0)
        if ended:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, _reason(ended, errors.read()))
        answer: dict[str, Any] = json.loads(output.read())
    return answer


async def _awaited(process: asyncio.subprocess.Process, seconds: float) -> int:
    """Return the exit status of the process; kill it if it does not end in time."""
    too_late = Refusal(
        HTTPStatus.GATEWAY_TIMEOUT, f"the file was not measured within {seconds:g} s"
    )
    try:
        return await within(seconds, process.wait(), too_late)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _reason(ended: int, output: bytes) -> str:
    """Return the last line that the process wrote; the signal or the exit status without one."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    last_line = lines[-1][:_REASON_CHARACTERS] if lines else ""
    if ended < 0:
        return (
            f"the measuring process was ended by {signal.Signals(-ended).name}: {last_line}".rstrip(
                ": "
            )
        )
    return last_line or f"the measuring process ended with exit status {ended}"


def _limit_this_process(memory_bytes: int) -> None:
    """Limit the resources of this process for good, so that no other process must watch it."""
    # When NumPy is imported, OpenBLAS would reserve memory for every core.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Not RLIMIT_AS: runtimes map several times as much memory as they use.
    _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, _WRITTEN_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    # End with the agent's time limit, even if the agent or the ssh connection has ended before.
    signal.alarm(math.ceil(MEASURING_S))
    # If the memory is exhausted all the same, the system must end this process, not another one.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def _peak_memory_bytes() -> int:
    """Return the peak memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its value includes the parent process before exec.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
