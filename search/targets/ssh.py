"""Measurement of a file on another machine by ssh, which gets the agent and keeps no files."""

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
_SSH_FAILED = 255
"""The exit status of ssh if ssh itself failed, not the remote command."""

# Reads two files from standard input, each after a line with its length: the agent and the model.
# Then it measures the model. The first argument is the model's file name, since some runtimes need
# the suffix.
_REMOTE_SCRIPT = """\
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
    """The exit status of ssh, and the output of the remote command."""

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
    """Measure the file's cost on another machine.

    Args:
        address: `ssh://[user@]host[:port]`. Other settings belong in the user's ssh configuration.
        model: the file.
        threads: the number of threads that serve one image.
        python: the command on that machine for a Python that has the runtime.
        runtime: the runtime's name.

    Raises:
        TargetError: the machine can't be reached, or can't measure the file.
    """
    parts, port = _parsed_address(address)
    host = parts.netloc.removesuffix(f":{port}").replace("[", "").replace("]", "")
    options = ["-p", str(port)] if port else []
    # -I: a `tempfile.py` in the login folder must not replace Python's own module.
    arguments = [registry.runtime(runtime).file, "--runtime", runtime, "--threads", str(threads)]
    remote = shlex.join([python, "-I", "-c", _REMOTE_SCRIPT, *arguments])
    command = ["ssh", "-o", "BatchMode=yes", *options, "--", host, remote]
    done = _run_ssh(address, command, model)
    if done.status == _SSH_FAILED:
        login = shlex.join(["ssh", *options, host])
        raise TargetError(
            f"{address} can't be reached: {_last_line(done)}. `{login}` must log in without a "
            "question: set up a key, and accept the host's key once"
        )
    if done.status:
        raise TargetError(
            f"{address} could not measure {model.name}: {_last_line(done)}. `{python}` there must "
            f"be Python 3.10 or newer, with {runtime}: name another one with --python"
        )
    # The remote shell may print lines before the result.
    return parsed_profile(address, done.out.strip().rpartition(b"\n")[2])


def _run_ssh(address: str, command: Sequence[str], model: Path) -> _Ran:
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
            raise TargetError(
                f"{address} can't be reached, since ssh can't be run: {error}"
            ) from error
        return _awaited(address, process, seconds)


def _awaited(address: str, process: subprocess.Popen[bytes], seconds: float) -> _Ran:
    """Read the output, with limits on time and size, and end the process."""
    assert process.stdout
    assert process.stderr
    with process, ThreadPoolExecutor(2) as readers:
        out, err = (
            readers.submit(_limited_output, pipe, process)
            for pipe in (process.stdout, process.stderr)
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TargetError(f"{address} did not answer within {seconds:g} s") from error
        finally:
            process.kill()
        done = _Ran(status, out.result(), err.result())
    if max(len(done.out), len(done.err)) > _MOST_BYTES:
        raise TargetError(f"{address} must answer with a few lines, but sent more than 1 MB")
    return done


def _limited_output(pipe: IO[bytes], process: subprocess.Popen[bytes]) -> bytes:
    output = pipe.read(_MOST_BYTES + 1)
    if len(output) > _MOST_BYTES:
        process.kill()
    return output


def _parsed_address(address: str) -> tuple[SplitResult, int | None]:
    """Return the parts of an address, and its port.

    Raises:
        TargetError: it is not the ssh address of a machine.
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
    """Return the reason of the failure: the last line of the remote output."""
    output = (done.err + b"\n" + done.out).decode(errors="replace").split("\n")
    lines = [line.strip() for line in output if line.strip()]
    return (
        shown(lines[-1].removesuffix(".")) if lines else f"it ended with exit status {done.status}"
    )
