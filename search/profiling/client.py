"""Asking an agent, over HTTP, what a file takes on its machine."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import Any

from search.errors import ArtifactError, TargetError
from search.measuring.timing import Latency
from search.profiling.agent import TOKEN_VARIABLE

_PATIENCE_S = 180.0
_TRIES = 3
_UNLOADABLE = 422


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a target is.

    Attributes:
        processor: its name.
        runtime: with its version.
        cores: how many.
        exact_int8: whether sums of int8 products keep all their bits; older agents don't tell.
    """

    processor: str
    runtime: str
    cores: int
    exact_int8: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a file took on a machine; memory in bytes, of the model alone and of the process."""

    machine: Machine
    threads: int
    latency: Latency
    model_memory_bytes: int
    process_memory_bytes: int

    def to_json(self) -> dict[str, object]:
        """Plain values, flat."""
        return {
            "processor": self.machine.processor,
            "runtime": self.machine.runtime,
            "threads": self.threads,
            "latency_ms": self.latency.median_ms,
            "latency_p95_ms": self.latency.p95_ms,
            "model_memory_bytes": self.model_memory_bytes,
            "process_memory_bytes": self.process_memory_bytes,
        }


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
    return profile_of(_answer(address, request))


def _answer(address: str, request: urllib.request.Request) -> Mapping[str, Any]:
    # Unredirected: no other server is ever sent the token.
    request.add_unredirected_header("Authorization", f"Bearer {_token(address)}")
    for tried in range(1, _TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
                return parsed(address, answer.read())
        except urllib.error.HTTPError as error:
            raise _refused(address, error) from error
        except (InvalidURL, ValueError) as error:
            raise TargetError(
                f"an agent's address must be http://host:port, but got {address!r}: {error}"
            ) from error
        # HTTPException: something else than HTTP listens there.
        except (OSError, HTTPException) as error:
            if tried == _TRIES:
                raise TargetError(
                    f"the agent at {address} does not answer: {_cause(error)}. Start it there with "
                    f"`{TOKEN_VARIABLE}=… retort agent --host ADDRESS`, and check the address "
                    "and the network"
                ) from error
            time.sleep(tried)
    raise AssertionError("every try returns or raises")


def _token(address: str) -> str:
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise TargetError(
            f"the agent at {address} asks for its token: put it into {TOKEN_VARIABLE}"
        )
    # A header holds no others; http.client would refuse, and show the token.
    if not (token.isascii() and token.isprintable()):
        raise TargetError(f"{TOKEN_VARIABLE} must hold printable ASCII characters alone")
    return token


def _cause(error: OSError | HTTPException) -> str:
    """What went wrong, without urllib's brackets around it."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(reason).split()) or type(error).__name__


def _refused(address: str, error: urllib.error.HTTPError) -> ArtifactError | TargetError:
    with error:
        try:
            reason = str(json.loads(error.read())["error"])
        except (ValueError, LookupError, TypeError, OSError):
            reason = str(error)
    if error.code == _UNLOADABLE:
        return ArtifactError(f"the agent at {address} can't load the file: {reason}")
    return TargetError(f"the agent at {address} refuses ({error.code}): {reason}")


def parsed(address: str, text: bytes) -> Mapping[str, Any]:
    """The JSON that an agent at `address` answered.

    Raises:
        TargetError: it is none of an agent's.
    """
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
        exact_int8=answer.get("exact_int8"),
    )


def profile_of(answer: Mapping[str, Any]) -> Profile:
    """What an agent measured, from its JSON."""
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
