"""What a recipe will cost, measured before its student is trained.

Costs depend on shapes, not on what was learned: they are measured on a student that was pruned,
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

# Bump it when an untrained student is made or measured otherwise.
VERSION = 1
_CALIBRATION_IMAGES = 8


def dry_run(recipe: Recipe, requirements: StudentRequirements) -> Cost:
    """Cost of the student that `recipe` leads to; untimed where counting already rules it out.

    Raises:
        ValueError: the student can't be built or pruned so.
        ArtifactError: it can't be exported.
    """
    network, _ = recipe.pruning.apply(
        untrained(recipe.student, requirements), requirements.example()
    )
    return measure_untrained(network, recipe, requirements)


def is_certain(recipe: Recipe) -> bool:
    """Whether an untrained student costs what the trained one will."""
    return not (recipe.pruning.shape_error or recipe.quantization.size_error)


def least_cost(cost: Cost, recipe: Recipe) -> Cost:
    """The least that a student of this untrained cost may come to once it is trained.

    Where it depends on what is learned, only what breaks the budget even then is sure to.
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
    """A part of a cost; what is counted in whole numbers stays whole."""
    return int(value * share) if isinstance(value, int) else value * share


def untrained(student: Student, requirements: StudentRequirements) -> nn.Module:
    """The student's network with weights that exporters treat as they would trained ones.

    Raises:
        ValueError: it can't be built.
    """
    network = requirements.build(student, blank=True)
    _scatter(network)
    return network


def measure_untrained(
    network: nn.Module, recipe: Recipe, requirements: StudentRequirements, *, timed: bool = True
) -> Cost:
    """Cost of an untrained network, exported and quantized.

    Args:
        network: pruned already, its weights scattered.
        recipe: what pruned it, and how it is shipped.
        requirements: what it takes, and may cost.
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
    """Makes every weight and every running statistic differ from every other, as training does.

    timm starts the last normalisation of each residual block at zero; folded into the convolution
    before it, that gives tensors of zeros, of which the exporter keeps one: an untrained resnet18
    would be a quarter smaller than the trained one.
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
    """Random numbers that are the same each time: asked again, a recipe is foreseen to cost the
    same, also where its shapes follow its weights.
    """
    return torch.Generator().manual_seed(0)
