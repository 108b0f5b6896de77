"""What else is made of one trained student: other prunings, and every number format.

Training takes minutes, pruning with a short recovery a fraction of that, quantizing seconds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.domain import Scalar
from spaces.recipe import Recipe
from spaces.space import Methods, SearchSpace

# Each is trained on for some epochs, one after another.
_METHODS_AT_MOST = 4
# Of so many times as many settings those are taken that may fit the budget; odd, so that they are
# in the middle of their parts of the range where all may.
_FINER = 3
_One = TypeVar("_One")
_BRANCHED = (Pruning.axis, Quantization.axis)


def branches_of(
    recipe: Recipe,
    space: SearchSpace,
    *,
    prunings: int,
    may_fit: Callable[[Recipe], bool] = lambda branch: True,
) -> list[Recipe]:
    """Recipes that share the training of `recipe`, without itself.

    First every quantization of its own pruning, which costs nothing but converting and measuring;
    then those of other prunings, which need a recovery each. Where the space has more methods of
    pruning than that is worth, each student is given some, and another student others. A
    quantization that needs training of its own is no branch: it would cost a training for each
    pruning.

    Args:
        recipe: what is trained.
        space: where the branches come from.
        prunings: how many settings of each method of pruning are tried, spread over those parts of
            its ranges in which anything may fit.
        may_fit: whether a branch may be worth making.
    """
    own = recipe.to_params()
    trained = {key: own[key] for key in own if key.partition(".")[0] not in _BRANCHED}
    pruned, quantized = (
        {key: own[key] for key in own if key.partition(".")[0] == axis} for axis in _BRANCHED
    )
    others = _settings(Quantization.axis, space.axes[Quantization.axis], 1)
    formats = [quantized, *(setting for (setting,) in others)]

    def made_by(pruning: dict[str, Scalar]) -> tuple[Recipe, ...]:
        found = (Recipe.from_params(trained | pruning | each) for each in formats)
        return tuple(
            one
            for one in dict.fromkeys(found)
            if not one.quantization.tuning_share and not one.conflict() and may_fit(one)
        )

    branches = list(made_by(pruned))
    for settings in _settings(Pruning.axis, _some_prunings(space, own), _FINER * prunings):
        fitting = dict.fromkeys(made for setting in settings if (made := made_by(setting)))
        branches += [one for made in _spread(list(fitting), prunings) for one in made]
    return [branch for branch in dict.fromkeys(branches) if branch != recipe]


def _some_prunings(space: SearchSpace, own: Mapping[str, Scalar]) -> Methods:
    """As many methods of pruning as are tried; which they are hangs on the recipe."""
    methods = space.axes[Pruning.axis]
    names = list(methods)
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).digest()
    start = int.from_bytes(digest[:4], "big")
    count = min(len(names), _METHODS_AT_MOST)
    places = sorted((start + len(names) * turn // count) % len(names) for turn in range(count))
    return {names[place]: methods[names[place]] for place in places}


def _settings(axis: str, methods: Methods, count: int) -> list[list[dict[str, Scalar]]]:
    """For each method of the axis its parameters at `count` even places of their ranges."""
    found = []
    for name, domains in methods.items():
        places = count if any(domain.count() > 1 for domain in domains.values()) else 1
        settings: list[dict[str, Scalar]] = [{axis: name} for _ in range(places)]
        for place, setting in enumerate(settings):
            share = (place + 0.5) / places
            setting |= {f"{axis}.{name}.{key}": one.at(share) for key, one in domains.items()}
        found.append(settings)
    return found


def _spread(found: Sequence[_One], count: int) -> Sequence[_One]:
    """So many of them at even distances, or all where there are no more."""
    if len(found) <= count:
        return found
    return [found[int((place + 0.5) * len(found) / count)] for place in range(count)]
