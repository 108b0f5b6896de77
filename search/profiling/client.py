"""Asking a machine what a file takes there: an agent over HTTP, or any machine over ssh."""

import json
import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from search.errors import ArtifactError, TargetError
from search.profiling.agent import TOKEN_VARIABLE
from search.profiling.packing import packed_agent
from search.timing import Latency

_PATIENCE_S = 180.0
_TRIES = 3
_UNLOADABLE = 422

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


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a target is: its processor, its runtime with its version, its cores."""

    processor: str
    runtime: str
    cores: int


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a file took on a machine; memory in bytes, of the model alone and of the process."""

    machine: Machine
    threads: int
    latency: Latency
    model_memory_bytes: int
    process_memory_bytes: int


@cache
def describe_agent(address: str) -> Machine:
    """What the agent's machine is; asked once in each process.

    Raises:
        TargetError: it does not answer, or refuses the token.
    """
    return _machine(_answer(address, urllib.request.Request(f"{address.rstrip('/')}/")))  # noqa: S310


def ask_agent(address: str, model: Path, *, threads: int) -> Profile:
    """What the ONNX file takes on the agent's machine.

    Raises:
        ArtifactError: its ONNX Runtime can't load the file.
        TargetError: it does not answer, or refuses the token.
    """
    asked = f"{address.rstrip('/')}/measure?threads={threads}"
    request = urllib.request.Request(asked, data=model.read_bytes(), method="POST")  # noqa: S310
    return _profile(_answer(address, request))


def ask_over_ssh(address: str, model: Path, *, threads: int) -> Profile:
    """What the ONNX file takes on the machine at `ssh://[user@]host[:port]`.

    Nothing is left there; it needs python3 with ONNX Runtime.

    Raises:
        TargetError: it can't be reached, or can't measure.
    """
    parts = urlsplit(address)
    if parts.scheme != "ssh" or not parts.hostname or parts.hostname.startswith("-"):
        raise TargetError(f"a machine must be ssh://[user@]host[:port], but got {address!r}")
    host = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    port = ["-p", str(parts.port)] if parts.port else []
    remote = shlex.join(["python3", "-c", _AT_THE_OTHER_END, "--threads", str(threads)])
    command = ["ssh", "-o", "BatchMode=yes", *port, "--", host, remote]
    files = (packed_agent(), model.read_bytes())
    sent = b"".join(b"%d\n%b" % (len(file), file) for file in files)
    try:
        done = subprocess.run(  # noqa: S603
            command, input=sent, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{address} can't be asked: {error}") from error
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no word"])[-1]
        raise TargetError(
            f"{address} could not measure {model.name}: {reason}. It must let `ssh {host}` in "
            "without a password, and have python3 with onnxruntime"
        )
    return _profile(_parsed(address, done.stdout))


def _answer(address: str, request: urllib.request.Request) -> Mapping[str, Any]:
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise TargetError(
            f"the agent at {address} asks for its token: put it into {TOKEN_VARIABLE}"
        )
    # Unredirected: no other server is ever sent the token.
    request.add_unredirected_header("Authorization", f"Bearer {token}")
    for tried in range(1, _TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
                return _parsed(address, answer.read())
        except urllib.error.HTTPError as error:
            raise _refused(address, error) from error
        except (OSError, ValueError) as error:
            if tried == _TRIES:
                raise TargetError(
                    f"the agent at {address} does not answer: {error}. Start it there with "
                    f"`{TOKEN_VARIABLE}=… retort agent --host ADDRESS`, and check the address "
                    "and the network"
                ) from error
            time.sleep(tried)
    raise AssertionError("every try returns or raises")


def _refused(address: str, error: urllib.error.HTTPError) -> ArtifactError | TargetError:
    with error:
        try:
            reason = str(json.loads(error.read())["error"])
        except (ValueError, LookupError, TypeError, OSError):
            reason = str(error)
    if error.code == _UNLOADABLE:
        return ArtifactError(f"the agent at {address} can't load the file: {reason}")
    return TargetError(f"the agent at {address} refuses ({error.code}): {reason}")


def _parsed(address: str, text: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(text)
        _machine(answer)
    except (ValueError, LookupError, TypeError) as error:
        raise TargetError(f"what answers at {address} is no agent of retort: {error}") from error
    found: Mapping[str, Any] = answer
    return found


def _machine(answer: Mapping[str, Any]) -> Machine:
    return Machine(
        processor=str(answer["processor"]),
        runtime=str(answer["runtime"]),
        cores=int(answer["cores"]),
    )


def _profile(answer: Mapping[str, Any]) -> Profile:
    return Profile(
        machine=_machine(answer),
        threads=int(answer["threads"]),
        latency=Latency(
            median_ms=float(answer["median_ms"]),
            p95_ms=float(answer["p95_ms"]),
            rounds_ms=tuple(float(each) for each in answer["rounds_ms"]),
        ),
        model_memory_bytes=int(answer["model_memory_bytes"]),
        process_memory_bytes=int(answer["process_memory_bytes"]),
    )
