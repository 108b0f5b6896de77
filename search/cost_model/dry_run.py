"""The cost of a recipe, measured before its student is trained.

Costs depend on shapes, not on learned values: they are measured on a student that was pruned,
exported and quantized untrained.
"""

import torch
from torch import nn

from search.config.student_spec import StudentRequirements
from search.files.disk import scratch
from search.objectives.counting import count_cost, grown
from search.objectives.limit import Scaling
from search.objectives.limits import limits
from search.records import Cost
from search.targets.float_student import FloatStudent
from search.targets.timing import time_cost
from spaces.axes.student import Student
from spaces.recipe import Recipe

# Bump it when an untrained student is made or measured differently.
VERSION = 1
_CALIBRATION_IMAGES = 8


def dry_run(recipe: Recipe, requirements: StudentRequirements) -> Cost:
    """Measure the student of `recipe`, untrained; untimed where counting already rules it out.

    Raises:
        ValueError: the student can't be built or pruned so.
        ArtifactError: it can't be exported.
    """
    network, _ = recipe.pruning.apply(
        untrained(recipe.student, requirements), requirements.example()
    )
    return measure_untrained(network, recipe, requirements)


def is_certain(recipe: Recipe) -> bool:
    """Return whether an untrained student costs the same as the trained one."""
    return not (recipe.pruning.shape_error or recipe.quantization.size_error)


def least_cost(cost: Cost, recipe: Recipe) -> Cost:
    """Return the least cost, once trained, of a student with this untrained cost.

    Where the cost depends on learned values, a recipe is sure to break the budget only if even this
    cost does.
    """
    if is_certain(recipe):
        return cost
    shapes = 1 - recipe.pruning.shape_error
    shares = {
        Scaling.SHAPES: shapes,
        Scaling.FILE: shapes * (1 - recipe.quantization.size_error),
    }
    return {
        limit.cost: _share_of(cost[limit.cost], shares[limit.scaling])
        for limit in limits().values()
        if limit.cost in cost
    }


def _share_of(value: float, share: float) -> float:
    """Return a share of a cost; whole numbers stay whole."""
    return int(value * share) if isinstance(value, int) else value * share


def untrained(student: Student, requirements: StudentRequirements) -> nn.Module:
    """Return the student's network with weights that exporters treat like trained ones.

    Raises:
        ValueError: it can't be built.
    """
    network = requirements.build(student, blank=True)
    _scatter(network)
    return network


def measure_untrained(
    network: nn.Module, recipe: Recipe, requirements: StudentRequirements, *, timed: bool = True
) -> Cost:
    """Measure the cost of an untrained network, exported and quantized.

    Args:
        network: pruned already, its weights scattered.
        recipe: how it was pruned, and how it is shipped.
        requirements: its inputs, and its budget.
        timed: whether the target times it, unless counting already rules the network out.

    Raises:
        ArtifactError: it can't be exported.
        ValueError: it can't be converted, or the target's runtime serves no such format.
    """
    with scratch() as folder:
        noise = torch.randn(_CALIBRATION_IMAGES, *requirements.image_shape, generator=_same_draw())
        shape, served = requirements.image_shape, folder / requirements.runtime.file
        requirements.runtime.make(
            FloatStudent(network, folder / "floats", shape, pruning=recipe.pruning),
            served,
            quantization=recipe.quantization,
            calibration=[noise.numpy()],
        )
        cost = grown(count_cost(network, served, shape), requirements.metadata_bytes)
        timed = timed and requirements.budget.admits(cost)
        return time_cost(cost, served, requirements.target) if timed else cost


@torch.no_grad()
def _scatter(network: nn.Module) -> None:
    """Make every weight and every running statistic differ from every other, as training does.

    timm starts the last normalisation of each residual block at zero. Folded into the convolution
    before it, that gives tensors of zeros, and the exporter keeps only one of them: an untrained
    resnet18 would be a quarter smaller than the trained one.
    """
    draw = _same_draw()
    for parameter in network.parameters():
        parameter.normal_(std=0.05, generator=draw)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.05, generator=draw)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=draw)


def _same_draw() -> torch.Generator:
    """Return a generator that draws the same random numbers each time.

    A recipe then has the same predicted cost each time, even where its shapes follow its weights.
    """
    return torch.Generator().manual_seed(0)
