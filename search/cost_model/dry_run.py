"""The cost of a recipe, measured before its student is trained.

Costs depend on shapes, not on learned values. So they can be measured on an untrained student that
was pruned, exported and quantized.
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

# Bump it when untrained students are built or measured differently.
VERSION = 1
_CALIBRATION_IMAGES = 8


def dry_run(recipe: Recipe, requirements: StudentRequirements) -> Cost:
    """Measure the untrained student of `recipe`.

    The latency is not measured if a counted cost already breaks the budget.

    Raises:
        ValueError: the student can't be built or pruned by the recipe.
        ArtifactError: the student can't be exported.
    """
    network, _ = recipe.pruning.apply(
        untrained(recipe.student, requirements), requirements.example()
    )
    return measure_untrained(network, recipe, requirements)


def is_certain(recipe: Recipe) -> bool:
    """Return whether an untrained student of the recipe costs the same as a trained one."""
    return not (recipe.pruning.shape_error or recipe.quantization.size_error)


def least_cost(cost: Cost, recipe: Recipe) -> Cost:
    """Return a lower bound on the trained student's cost, from the untrained student's cost.

    If the cost depends on learned values, a recipe is certain to break the budget only if this
    lower bound does.
    """
    if is_certain(recipe):
        return cost
    shares = {Scaling.SHAPES: 1.0, Scaling.FILE: 1 - recipe.quantization.size_error}
    return {
        limit.cost: _share_of(
            cost[limit.cost],
            shares[limit.scaling] * (1 - recipe.pruning.cost_error(limit.name)),
        )
        for limit in limits().values()
        if limit.cost in cost
    }


def _share_of(value: float, share: float) -> float:
    """Return a share of a cost; an integer stays an integer."""
    return int(value * share) if isinstance(value, int) else value * share


def untrained(student: Student, requirements: StudentRequirements) -> nn.Module:
    """Return the student's network with random weights, which exporters treat like trained ones.

    Raises:
        ValueError: the network can't be built.
    """
    network = requirements.build(student, blank=True)
    _randomise(network)
    return network


def measure_untrained(
    network: nn.Module, recipe: Recipe, requirements: StudentRequirements, *, timed: bool = True
) -> Cost:
    """Measure the cost of an untrained network, exported and quantized.

    Args:
        network: the pruned network, with random weights.
        recipe: the recipe, with its pruning and number format.
        requirements: the student's inputs, target and budget.
        timed: whether to measure the latency, unless a counted cost already breaks the budget.

    Raises:
        ArtifactError: the network can't be exported.
        ValueError: it can't be converted, or the target's runtime can't run its number format.
    """
    with scratch() as folder:
        calibration_images = torch.randn(
            _CALIBRATION_IMAGES, *requirements.image_shape, generator=_fixed_generator()
        )
        shape, served = requirements.image_shape, folder / requirements.runtime.file
        requirements.runtime.make(
            FloatStudent(network, folder / "floats", shape, pruning=recipe.pruning),
            served,
            # Others need up to a minute, such as a choice of weights, and change no cost.
            quantization=recipe.quantization.with_costless_defaults(),
            calibration=[calibration_images.numpy()],
        )
        cost = grown(count_cost(network, served, shape), requirements.metadata_bytes)
        timed = timed and requirements.budget.admits(cost)
        return time_cost(cost, served, requirements.target) if timed else cost


@torch.no_grad()
def _randomise(network: nn.Module) -> None:
    """Set all weights and running statistics to random values, which differ as after training.

    timm initialises the last normalisation of each residual block to zero. When the exporter folds
    it into the convolution before it, the convolution's weights become zero. The exporter stores
    equal tensors only once, so an untrained resnet18 would be a quarter smaller than a trained one.
    """
    draw = _fixed_generator()
    for parameter in network.parameters():
        parameter.normal_(std=0.05, generator=draw)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.05, generator=draw)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=draw)


def _fixed_generator() -> torch.Generator:
    """Return a generator that always draws the same random numbers.

    A recipe then always has the same measured cost, even if its shapes depend on its weights.
    """
    return torch.Generator().manual_seed(0)
