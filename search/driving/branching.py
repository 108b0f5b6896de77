"""What else is made of one trained student: other prunings, and every number format.

Training takes minutes, pruning with a short recovery a fraction of that, quantizing seconds.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping

from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.domain import Scalar
from spaces.recipe import Recipe
from spaces.space import Methods, SearchSpace

# Each is trained on for some epochs, one after another.
_METHODS_AT_MOST = 4
_BRANCHED = (Pruning.axis, Quantization.axis)


def branches_of(recipe: Recipe, space: SearchSpace, *, prunings: int) -> list[Recipe]:
    """Recipes that share the training of `recipe`, without itself.

    First every quantization of its own pruning, which costs nothing but converting and measuring;
    then those of other prunings, which need a recovery each. Where the space has more methods of
    pruning than that is worth, each student is given some, and another student others. A
    quantization that needs training of its own is no branch: it would cost a training for each
    pruning.

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
        for pruning in (pruned, *_settings(Pruning.axis, _some_prunings(space, own), prunings))
        for quantization in (
            quantized,
            *_settings(Quantization.axis, space.axes[Quantization.axis], 1),
        )
    )
    return [
        branch
        for branch in found
        if branch != recipe and not branch.quantization.tuning_share and not branch.conflict()
    ]


def _some_prunings(space: SearchSpace, own: Mapping[str, Scalar]) -> Methods:
    """As many methods of pruning as are tried; which they are hangs on the recipe."""
    methods = space.axes[Pruning.axis]
    names = list(methods)
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).digest()
    start = int.from_bytes(digest[:4], "big")
    count = min(len(names), _METHODS_AT_MOST)
    places = sorted((start + len(names) * turn // count) % len(names) for turn in range(count))
    return {names[place]: methods[names[place]] for place in places}


def _settings(axis: str, methods: Methods, count: int) -> Iterator[dict[str, Scalar]]:
    """Each method of the axis, with its parameters at `count` even places of their ranges."""
    for name, domains in methods.items():
        places = count if any(domain.count() > 1 for domain in domains.values()) else 1
        for place in range(places):
            share = (place + 0.5) / places
            values = {f"{axis}.{name}.{key}": domain.at(share) for key, domain in domains.items()}
            yield {axis: name, **values}
