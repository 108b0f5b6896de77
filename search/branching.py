"""What else is made of one trained student: other prunings, and every number format.

Training takes minutes, pruning with a short recovery a fraction of that, quantizing seconds.
"""

from collections.abc import Iterator

from spaces.axes import Pruning, Quantization
from spaces.domain import Scalar
from spaces.recipe import Recipe
from spaces.space import SearchSpace

_BRANCHED = (Pruning.axis, Quantization.axis)


def branches_of(recipe: Recipe, space: SearchSpace, *, prunings: int) -> list[Recipe]:
    """Recipes that share the training of `recipe`, without itself.

    First every quantization of its own pruning, which costs nothing but converting and measuring;
    then those of other prunings, which need a recovery each. A quantization that needs training of
    its own is no branch: it would cost a training for each pruning.

    Args:
        recipe: what is trained.
        space: where the branches come from.
        prunings: how many settings of each method of pruning are tried, spread over its ranges.
    """
    own = recipe.to_params()
    trained = {key: own[key] for key in own if key.partition(".")[0] not in _BRANCHED}
    pruned, quantized = (
        {key: own[key] for key in own if key.partition(".")[0] == axis} for axis in _BRANCHED
    )
    found = dict.fromkeys(
        Recipe.from_params(trained | pruning | quantization)
        for pruning in (pruned, *_settings(space, Pruning.axis, count=prunings))
        for quantization in (quantized, *_settings(space, Quantization.axis, count=1))
    )
    return [branch for branch in found if branch != recipe and not branch.quantization.tuning_share]


def _settings(space: SearchSpace, axis: str, *, count: int) -> Iterator[dict[str, Scalar]]:
    """Each method of the axis, with its parameters at `count` even places of their ranges."""
    for name, domains in space.axes[axis].items():
        places = count if any(domain.count() > 1 for domain in domains.values()) else 1
        for place in range(places):
            share = (place + 0.5) / places
            values = {f"{axis}.{name}.{key}": domain.at(share) for key, domain in domains.items()}
            yield {axis: name, **values}
