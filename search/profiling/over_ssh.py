"""Asking any machine over ssh what a file takes there: the agent goes along, and nothing stays."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from search.errors import TargetError
from search.profiling.client import Profile, parsed, profile_of
from search.profiling.packing import packed_agent

_RULE = "a machine must be ssh://[user@]host[:port]"
_PATIENCE_S = 180.0
_SSHS_OWN = 255
"""The exit status by which ssh tells that it, and not the command, failed."""

# Takes two files from its standard input, each after a line with its length, and measures.
_AT_THE_OTHER_END = """\
import os, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in ("agent.pyz", "model.onnx")]
    for path in paths:
        length = int(sys.stdin.buffer.readline())
        with open(path, "wb") as file:
            file.write(sys.stdin.buffer.read(length))
    command = [sys.executable, paths[0], "measure", paths[1], *sys.argv[1:]]
    sys.exit(subprocess.call(command, env={**os.environ, "TMPDIR": folder}))
"""


def ask_over_ssh(address: str, model: Path, *, threads: int, python: str = "python3") -> Profile:
    """What the ONNX file takes on the machine at `ssh://[user@]host[:port]`.

    Args:
        address: the machine; what else ssh needs stands in the person's own configuration of it.
        model: the file.
        threads: that serve one image.
        python: the command there that runs a Python with ONNX Runtime.

    Raises:
        TargetError: it can't be reached, or can't measure.
    """
    parts, port = _machine_of(address)
    host = parts.netloc.removesuffix(f":{port}").replace("[", "").replace("]", "")
    asked = ["-p", str(port)] if port else []
    remote = shlex.join([python, "-c", _AT_THE_OTHER_END, "--threads", str(threads)])
    command = ["ssh", "-o", "BatchMode=yes", *asked, "--", host, remote]
    files = (packed_agent(), model.read_bytes())
    sent = b"".join(b"%d\n%b" % (len(file), file) for file in files)
    done = _ran(address, command, sent)
    if done.returncode == _SSHS_OWN:
        way = shlex.join(["ssh", *asked, host])
        raise TargetError(
            f"{address} can't be reached: {_last_line(done)}. `{way}` must let you in without a "
            "question: a key that it accepts, and a host that you have accepted"
        )
    if done.returncode:
        raise TargetError(
            f"{address} could not measure {model.name}: {_last_line(done)}. Its `{python}` must be "
            "a Python, 3.10 or newer, with onnxruntime: name another with --python"
        )
    # What its shell says as it starts comes before.
    return profile_of(parsed(address, done.stdout.strip().rpartition(b"\n")[2]))


def _ran(address: str, command: Sequence[str], sent: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603
            command, input=sent, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except OSError as error:
        raise TargetError(f"{address} can't be asked, as ssh can't be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"{address} did not answer within {_PATIENCE_S:g} s") from error


def _machine_of(address: str) -> tuple[SplitResult, int | None]:
    """The parts of an address, and its port.

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


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """Why it failed, as far as it says."""
    said = (done.stderr + b"\n" + done.stdout).decode(errors="replace").split("\n")
    lines = [line.strip() for line in said if line.strip()]
    return lines[-1].removesuffix(".") if lines else f"it ended with {done.returncode}"
