"""Client of an agent: it measures a file's cost on the agent's machine, by HTTP."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from search.errors import ArtifactError, TargetError
from search.files.text import visible
from search.targets.agent_limits import BYTES_PER_S
from search.targets.agent_request import TOKEN_VARIABLE
from search.targets.http_exchange import MOST_BYTES, HttpAnswer, exchange
from search.targets.latency import Latency, scattered_share
from search.targets.registry import DEFAULT_RUNTIME

_PATIENCE_S = 180.0
"""In seconds; longer than an agent's limits for waiting and measuring together."""
_BUSY_S = 600.0
_LONGEST_PAUSE_S = 30
_TRIES = 3
_SHOWN_CHARACTERS = 500

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class AgentMachine:
    """A description of the target's machine.

    Attributes:
        processor: the processor's name.
        runtime: the runtime, with its version.
        cores: the number of cores.
        exact_int8: whether sums of int8 products keep all bits; None from older agents.
    """

    processor: str
    runtime: str
    cores: int
    exact_int8: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The cost of a file on a machine.

    Attributes:
        machine: the machine.
        threads: the number of threads that served one image.
        latency: the latency.
        model_memory_bytes: the peak memory that loading and running the model added.
        process_memory_bytes: the peak memory of the whole process.
    """

    machine: AgentMachine
    threads: int
    latency: Latency
    model_memory_bytes: int
    process_memory_bytes: int

    def to_json(self) -> dict[str, object]:
        """Return JSON values in a flat dictionary."""
        return {
            "processor": self.machine.processor,
            "runtime": self.machine.runtime,
            "threads": self.threads,
            "latency_ms": self.latency.median_ms,
            "latency_p95_ms": self.latency.p95_ms,
            "latency_scatter_ms": self.latency.scatter_ms,
            "latency_disturbed_share": self.latency.disturbed,
            "model_memory_bytes": self.model_memory_bytes,
            "process_memory_bytes": self.process_memory_bytes,
        }


@cache
def describe_agent(address: str, runtime: str = DEFAULT_RUNTIME) -> AgentMachine:
    """Return a description of the agent's machine; each process requests it only once.

    Raises:
        TargetError: the agent does not answer, refuses the token, or has no such runtime.
    """
    machine = _parsed(address, _asked(address, f"/?{urlencode({'runtime': runtime})}"), _machine)
    _check_runtime(address, machine, runtime)
    return machine


def ask_agent(
    address: str, model: Path, *, threads: int, runtime: str = DEFAULT_RUNTIME
) -> Profile:
    """Return the cost of the file on the agent's machine, served by that runtime.

    Raises:
        ArtifactError: the runtime can't load the file there.
        TargetError: the agent does not answer, refuses the token, or has no such runtime.
    """
    query = urlencode({"runtime": runtime, "threads": threads})
    profile = parsed_profile(address, _asked(address, f"/measure?{query}", model))
    _check_runtime(address, profile.machine, runtime)
    return profile


def _check_runtime(address: str, machine: AgentMachine, runtime: str) -> None:
    """Check that the agent used the runtime: agents of earlier versions ignore its name."""
    if machine.runtime.partition(" ")[0] != runtime:
        raise TargetError(
            f"the agent at {address} must use {runtime}, but uses {machine.runtime}: install the "
            "runtime there, and start an agent of this version"
        )


def _asked(address: str, path: str, model: Path | None = None) -> bytes:
    """Return the agent's answer; while the agent is busy, retry after the time that it states."""
    token, deadline = _token(address), time.monotonic() + _BUSY_S
    while True:
        answer = _exchanged(address, path, token=token, model=model)
        if answer.status == HTTPStatus.OK:
            return answer.body
        busy = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and answer.retry_after.isdecimal()
        if not busy or time.monotonic() > deadline:
            raise _refused(address, answer)
        time.sleep(min(float(answer.retry_after), _LONGEST_PAUSE_S))


def _exchanged(address: str, path: str, *, token: str, model: Path | None) -> HttpAnswer:
    seconds = _PATIENCE_S + (model.stat().st_size / BYTES_PER_S if model else 0)
    deadline = time.monotonic() + seconds
    for attempt in range(1, _TRIES + 1):
        try:
            return exchange(address, path, token=token, seconds=seconds, body=model)
        except (InvalidURL, ValueError) as error:
            raise TargetError(
                f"an agent's address must be http://host:port, but got {address!r}: {error}"
            ) from error
        # HTTPException: a server that does not speak HTTP listens there.
        except (OSError, HTTPException) as error:
            if attempt == _TRIES or time.monotonic() > deadline:
                raise TargetError(
                    f"the agent at {address} does not answer: {_cause(error)}. Start it there with "
                    f"`{TOKEN_VARIABLE}=… retort agent --host ADDRESS`, and check the address "
                    "and the network"
                ) from error
            time.sleep(attempt)
    raise AssertionError("every attempt returns or raises")


def _token(address: str) -> str:
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise TargetError(
            f"the agent at {address} needs a token: set {TOKEN_VARIABLE} to the agent's token"
        )
    # A header can't contain other characters; http.client's error would show the token.
    if not (token.isascii() and token.isprintable()):
        raise TargetError(f"{TOKEN_VARIABLE} must contain only printable ASCII characters")
    return token


def _cause(error: OSError | HTTPException) -> str:
    """Return the message of the error, which may contain text from the server."""
    return shown(" ".join(str(error).split())) or type(error).__name__


def _refused(address: str, answer: HttpAnswer) -> ArtifactError | TargetError:
    try:
        reason = shown(str(json.loads(answer.body)["error"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        reason = "no reason is given, so it may not be an agent of retort"
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return ArtifactError(f"the agent at {address} can't load the file: {reason}")
    return TargetError(f"the agent at {address} refused the request ({answer.status}): {reason}")


def shown(text: str) -> str:
    """Return another machine's text, shortened and escaped to be shown and stored."""
    return visible(text[:_SHOWN_CHARACTERS])


def parsed_profile(address: str, text: bytes) -> Profile:
    """Parse the agent's measurement from its JSON answer.

    Raises:
        TargetError: the text is not an agent's answer.
    """
    return _parsed(address, text, _profile)


def _parsed(address: str, text: bytes, read: Callable[[Mapping[str, Any]], _T]) -> _T:
    try:
        if len(text) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        return read(json.loads(text))
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise TargetError(
            f"{address} must be an agent of retort, but its answer is invalid: {shown(str(error))}"
        ) from error


def _machine(answer: Mapping[str, Any]) -> AgentMachine:
    return AgentMachine(
        processor=shown(str(answer["processor"])),
        runtime=shown(str(answer["runtime"])),
        cores=int(_number("cores", answer["cores"])),
        exact_int8=_boolean(answer.get("exact_int8")),
    )


def _profile(answer: Mapping[str, Any]) -> Profile:
    rounds_ms = _numbers("rounds_ms", answer["rounds_ms"])
    # Older agents don't repeat disturbed rounds, nor report them; but their rounds scatter too.
    disturbed = _number("disturbed", answer.get("disturbed", scattered_share(rounds_ms)))
    return Profile(
        machine=_machine(answer),
        threads=int(_number("threads", answer["threads"])),
        latency=Latency(
            median_ms=_number("median_ms", answer["median_ms"]),
            p95_ms=_number("p95_ms", answer["p95_ms"]),
            rounds_ms=rounds_ms,
            disturbed=min(disturbed, 1.0),
        ),
        model_memory_bytes=int(_number("model_memory_bytes", answer["model_memory_bytes"])),
        process_memory_bytes=int(_number("process_memory_bytes", answer["process_memory_bytes"])),
    )


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or not values:
        raise TypeError(f"{name} must be a list of numbers, but is {str(values)[:40]}")
    return tuple(_number(name, value) for value in values)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be a number of 0 or more, but is {str(value)[:40]}")
    return number
