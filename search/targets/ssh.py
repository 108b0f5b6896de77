"""Measuring a file on any machine over ssh: the agent is sent along, and nothing is left there."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import SplitResult, urlsplit

from search.errors import TargetError
from search.targets import registry
from search.targets.agent_client import Profile, parsed_profile, shown
from search.targets.agent_limits import BYTES_PER_S
from search.targets.agent_package import packed_agent
from search.targets.registry import DEFAULT_RUNTIME

_RULE = "a machine must be ssh://[user@]host[:port]"
_PATIENCE_S = 180.0
_MOST_BYTES = 1 << 20
_SSHS_OWN = 255
"""The exit status by which ssh reports that ssh itself failed, and not the command."""

# Reads two files from its standard input, each after a line with its length, and measures. The
# first argument names the second file, since some runtimes look at the ending.
_AT_THE_OTHER_END = """\
import os, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in ("agent.pyz", sys.argv[1])]
    for path in paths:
        length = int(sys.stdin.buffer.readline())
        with open(path, "wb") as file:
            file.write(sys.stdin.buffer.read(length))
    command = [sys.executable, paths[0], "measure", paths[1], *sys.argv[2:]]
    ended = subprocess.call(command, env={**os.environ, "TMPDIR": folder})
    sys.exit(ended if ended >= 0 else "signal %d ended the measuring process" % -ended)
"""


@dataclass(frozen=True)
class _Ran:
    """The exit status of ssh, and the output of the other end."""

    status: int
    out: bytes
    err: bytes


def ask_over_ssh(
    address: str,
    model: Path,
    *,
    threads: int,
    python: str = "python3",
    runtime: str = DEFAULT_RUNTIME,
) -> Profile:
    """Measure the file's cost on the machine at `ssh://[user@]host[:port]`.

    Args:
        address: the machine; ssh's other settings are in the user's own configuration of it.
        model: the file.
        threads: the number of threads that serve one image.
        python: the command there that runs a Python with the runtime.
        runtime: the runtime's name.

    Raises:
        TargetError: it can't be reached, or can't measure.
    """
    parts, port = _machine_of(address)
    host = parts.netloc.removesuffix(f":{port}").replace("[", "").replace("]", "")
    asked = ["-p", str(port)] if port else []
    # -I: a `tempfile.py` in the login folder must not replace Python's own module.
    asked_for = [registry.runtime(runtime).file, "--runtime", runtime, "--threads", str(threads)]
    remote = shlex.join([python, "-I", "-c", _AT_THE_OTHER_END, *asked_for])
    command = ["ssh", "-o", "BatchMode=yes", *asked, "--", host, remote]
    done = _ran(address, command, model)
    if done.status == _SSHS_OWN:
        way = shlex.join(["ssh", *asked, host])
        raise TargetError(
            f"{address} can't be reached: {_last_line(done)}. `{way}` must let you in without a "
            "question: a key that it accepts, and a host that you have accepted"
        )
    if done.status:
        raise TargetError(
            f"{address} could not measure {model.name}: {_last_line(done)}. Its `{python}` must be "
            f"a Python, 3.10 or newer, with {runtime}: name another with --python"
        )
    # The shell there may print lines at its start, before the result.
    return parsed_profile(address, done.out.strip().rpartition(b"\n")[2])


def _ran(address: str, command: Sequence[str], model: Path) -> _Ran:
    size = model.stat().st_size
    seconds = _PATIENCE_S + size / BYTES_PER_S
    with TemporaryFile() as sent, model.open("rb") as file:
        packed = packed_agent()
        sent.write(b"%d\n%b%d\n" % (len(packed), packed, size))
        shutil.copyfileobj(file, sent)
        sent.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=sent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise TargetError(f"{address} can't be asked, as ssh can't be run: {error}") from error
        return _awaited(address, process, seconds)


def _awaited(address: str, process: subprocess.Popen[bytes], seconds: float) -> _Ran:
    """Read the output, for a limited time and up to a limited size; then end the process."""
    assert process.stdout
    assert process.stderr
    with process, ThreadPoolExecutor(2) as readers:
        out, err = (
            readers.submit(_taken, pipe, process) for pipe in (process.stdout, process.stderr)
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TargetError(f"{address} did not answer within {seconds:g} s") from error
        finally:
            process.kill()
        done = _Ran(status, out.result(), err.result())
    if max(len(done.out), len(done.err)) > _MOST_BYTES:
        raise TargetError(f"{address} must answer with a few lines, but says more than 1 MB")
    return done


def _taken(pipe: IO[bytes], process: subprocess.Popen[bytes]) -> bytes:
    taken = pipe.read(_MOST_BYTES + 1)
    if len(taken) > _MOST_BYTES:
        process.kill()
    return taken


def _machine_of(address: str) -> tuple[SplitResult, int | None]:
    """Return the parts of an address, and its port.

    Raises:
        TargetError: it is no address of a machine.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise TargetError(f"{_RULE}, but got {address!r}: {error}") from error
    if parts.scheme != "ssh" or not parts.hostname or parts.hostname.startswith("-"):
        raise TargetError(f"{_RULE}, but got {address!r}")
    return parts, port


def _last_line(done: _Ran) -> str:
    """Return the reason of the failure, as far as the other end reports it."""
    said = (done.err + b"\n" + done.out).decode(errors="replace").split("\n")
    lines = [line.strip() for line in said if line.strip()]
    return shown(lines[-1].removesuffix(".")) if lines else f"it ended with {done.status}"
