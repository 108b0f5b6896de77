"""Latency on the node with the target's Ray resource; any node of the cluster can request it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from search.errors import ArtifactError, TrialError
from search.files.disk import scratch
from search.targets.latency import Latency
from search.targets.registry import runtime
from search.targets.target import Target
from search.targets.this_machine import processor_here, time_here

_PATIENCE_S = 600.0

_Answer = TypeVar("_Answer")


def time_on_target(paths: Sequence[Path], target: Target) -> list[Latency]:
    """Measure the latency of each file, alternately, on the node with the target's resource.

    The call reserves the whole resource, so that measurements do not disturb each other.

    Raises:
        ArtifactError: the node's runtime can't load a file.
        TrialError: of the kind `target_lost`, if the node does not answer.
    """
    contents = [path.read_bytes() for path in paths]
    return _asked(_timed.options(**_whole_node(target)).remote(contents, target), target)


def processor_on_target(target: Target) -> str:
    """Return the name of the processor of the node with the target's resource."""
    return _asked(_named.options(**_whole_node(target)).remote(target.device), target)


def _whole_node(target: Target) -> dict[str, Any]:
    """Return the options of a task that reserve the target's node."""
    # Tune runs a trial in a placement group. Without this, the task could only use that group.
    anywhere = PlacementGroupSchedulingStrategy(placement_group=None)  # type: ignore[arg-type]
    return {"resources": {str(target.resource): 1.0}, "scheduling_strategy": anywhere}


def _asked(answer: "ray.ObjectRef[_Answer]", target: Target) -> _Answer:
    try:
        return ray.get(answer, timeout=_PATIENCE_S)
    except RayError as error:
        if isinstance(error, RayTaskError) and isinstance(error.cause, ArtifactError):
            raise ArtifactError(str(error.cause)) from error
        raise TrialError(
            "target_lost",
            f"the node with the resource {target.resource} must measure latency, but did not "
            f"answer: {error}; check that the node is running",
        ) from error


@ray.remote(num_cpus=0, max_retries=3)
def _timed(contents: Sequence[bytes], target: Target) -> list[Latency]:
    suffix = runtime(target.runtime).suffix
    with scratch() as folder:
        paths = [folder / f"{place}{suffix}" for place in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return time_here(paths, target)


@ray.remote(num_cpus=0, max_retries=3)
def _named(device: str) -> str:
    return processor_here(device)
