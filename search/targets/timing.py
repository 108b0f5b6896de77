"""Measurement of latency on the target, which may be another machine."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from search.objectives.limits import LATENCY
from search.records import Cost
from search.targets.agent_client import ask_agent, describe_agent
from search.targets.latency import Latency
from search.targets.registry import runtime
from search.targets.target import Target
from search.targets.this_machine import processor_here, time_here


def time_cost(cost: Cost, path: Path, target: Target) -> Cost:
    """Return `cost` with the latency of the file `path` on the target."""
    (latency,) = time_files([path], target)
    return {**cost, **timed_cost(latency)}


def timed_cost(latency: Latency) -> Cost:
    """Return the timed costs of a student, under the names of stored costs."""
    values = (latency.p95_ms, latency.scatter_ms, latency.disturbed)
    return {LATENCY.cost: latency.median_ms, **dict(zip(LATENCY.also, values, strict=True))}


def time_files(paths: Sequence[Path], target: Target) -> list[Latency]:
    """Measure the latency of each file on the target.

    Raises:
        ArtifactError: a file can't be loaded.
        TargetError: the target's agent does not answer, or this machine has no memory left.
    """
    if target.agent:
        measured = partial(ask_agent, target.agent, threads=target.threads, runtime=target.runtime)
        return [measured(path).latency for path in paths]
    if target.resource is not None:
        from search.targets.ray_node import time_on_target  # Ray is only needed with a cluster

        return time_on_target(paths, target)
    return time_here(paths, target)


def processor_of(target: Target) -> str:
    """Return the name of the processor on which latency is measured."""
    if target.agent is not None:
        return describe_agent(target.agent, target.runtime).processor
    if target.resource is None:
        return processor_here(target.device)
    from search.targets.ray_node import processor_on_target

    return processor_on_target(target)


def runtime_on(target: Target) -> str:
    """Return the runtime that serves on the target, with its version."""
    if target.agent is not None:
        return describe_agent(target.agent, target.runtime).runtime
    return runtime(target.runtime).describe()
