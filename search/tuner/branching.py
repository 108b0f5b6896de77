"""Chooses the branches of one trained student: other prunings, and every number format.

Training takes minutes. Pruning with a short recovery takes a fraction of that, quantizing seconds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from search.cost_model.gate import CostGate
from search.samplers.optuna_adapter import Sampler
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.distributions import Distribution, FloatRange, IntRange, Scalar
from spaces.recipe import Recipe
from spaces.search_space import Methods, SearchSpace

# Each pruning method adds epochs of recovery to the trial.
_METHODS_AT_MOST = 4
# This many times more settings are considered than chosen, since some do not fit the budget.
_FINER = 3
# Recipes that differ in quantization alone.
Group = tuple[Recipe, ...]
# Chooses branches, the best first. Arguments: the trial's recipe, the groups to choose from, and
# the maximum number of chosen groups. None: the sampler does not rank branches.
Promising = Callable[[Recipe, Sequence[Group], int], list[Recipe] | None]

_BRANCHED = (Pruning.axis, Quantization.axis)


def expected_branches(
    recipe: Recipe, sampler: Sampler, gate: CostGate, *, prunings: int
) -> tuple[Recipe, ...]:
    """Choose the branches of a trial, and mark them in the sampler as expected.

    Branches that are known to break the budget are left out. So are recipes that the sampler has
    already proposed or expects.

    Args:
        recipe: the trial's recipe.
        sampler: the study's sampler; it ranks the branches.
        gate: predicts which branches fit the budget.
        prunings: the maximum number of settings of each pruning method; 0 makes no branch.
    """
    if not prunings:
        return ()
    found = branches_of(
        recipe,
        sampler.space,
        prunings=prunings,
        may_fit=lambda branch: gate.may_fit(branch) is not False,
        promising=sampler.promising,
    )
    return tuple(branch for branch in found if sampler.expect(branch))


def branches_of(
    recipe: Recipe,
    space: SearchSpace,
    *,
    prunings: int,
    may_fit: Callable[[Recipe], bool] = lambda branch: True,
    promising: Promising = lambda own, groups, count: None,
) -> list[Recipe]:
    """Return other recipes that share the training of `recipe`.

    The quantizations of the recipe's own pruning come first: they need only converting and
    measuring. Then come other prunings, each of which needs a recovery. Within a method, the
    strongest pruning comes first: small students take the least time, and extend the frontier the
    most. If the space has more than four pruning methods, each student gets four of them, and
    other students get other methods. A quantization that needs training is never a branch, because
    each pruning would need that training.

    Args:
        recipe: the trained recipe.
        space: the search space of the branches.
        prunings: the maximum number of settings of each pruning method.
        may_fit: returns whether a branch may fit the budget.
        promising: chooses a number of prunings; each pruning is a group of recipes that differ in
            quantization. If it returns None, the prunings are spread evenly over those that fit.
    """
    own = recipe.to_params()
    trained = {key: own[key] for key in own if key.partition(".")[0] not in _BRANCHED}
    pruned, quantized = (
        {key: own[key] for key in own if key.partition(".")[0] == axis} for axis in _BRANCHED
    )
    others = _settings(Quantization.axis, space.axes[Quantization.axis], 1)
    formats = [quantized, *(setting for (setting,) in others)]

    def made_by(pruning: dict[str, Scalar]) -> Group:
        found = (Recipe.from_params(trained | pruning | each) for each in formats)
        return tuple(
            one
            for one in dict.fromkeys(found)
            if not one.quantization.tuning_share and not one.conflict() and may_fit(one)
        )

    tried = _settings(Pruning.axis, _some_prunings(space, own), _FINER * prunings, unlike=own)
    by_method = [
        list(dict.fromkeys(made for setting in settings if (made := made_by(setting))))
        for settings in tried
    ]
    chosen = [group for groups in by_method for group in _spread(groups, prunings)]
    all_groups = [group for groups in by_method for group in groups]
    best = promising(recipe, all_groups, len(chosen))
    rest = [one for group in chosen for one in group] if best is None else best
    return [branch for branch in dict.fromkeys((*made_by(pruned), *rest)) if branch != recipe]


def _some_prunings(space: SearchSpace, own: Mapping[str, Scalar]) -> Methods:
    """Return at most four pruning methods; a hash of the recipe decides which."""
    methods = space.axes[Pruning.axis]
    names = list(methods)
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).digest()
    start = int.from_bytes(digest[:4], "big")
    count = min(len(names), _METHODS_AT_MOST)
    places = sorted((start + len(names) * turn // count) % len(names) for turn in range(count))
    return {names[place]: methods[names[place]] for place in places}


def _settings(
    axis: str, methods: Methods, count: int, *, unlike: Mapping[str, Scalar] | None = None
) -> list[list[dict[str, Scalar]]]:
    """Return, for each method of the axis, its parameters at `count` evenly spaced places.

    The places reach from the lower to the upper end of the ranges. A single place is the middle.
    The place that contains the parameters of `unlike` is skipped.
    """
    found = []
    for name, distributions in methods.items():
        places = (
            count if any(distribution.count() > 1 for distribution in distributions.values()) else 1
        )
        half = 0.5 / max(places - 1, 1)
        known = {
            f"{axis}.{name}.{key}": distribution for key, distribution in distributions.items()
        }
        settings: list[dict[str, Scalar]] = []
        for place in range(places):
            middle = place / (places - 1) if places > 1 else 0.5
            low, high = max(middle - half, 0.0), min(middle + half, 1.0)
            if (
                unlike
                and unlike[axis] == name
                and all(
                    _is_at(distribution, unlike[key], low, high)
                    for key, distribution in known.items()
                )
            ):
                continue
            setting: dict[str, Scalar] = {axis: name}
            setting |= {key: distribution.at(middle) for key, distribution in known.items()}
            settings.append(setting)
        found.append(settings)
    return found


def _is_at(distribution: Distribution, value: Scalar, low: float, high: float) -> bool:
    """Return whether the value lies between two quantiles of the distribution, 0 to 1."""
    first, last = distribution.at(low), distribution.at(high)
    if isinstance(distribution, FloatRange | IntRange):
        return float(first) <= float(value) <= float(last)
    return value == distribution.at((low + high) / 2)


def _spread(found: Sequence[Group], count: int) -> Sequence[Group]:
    """Return `count` evenly spaced groups, or all if there are fewer; the last one first."""
    if len(found) <= count:
        return found[::-1]
    if count == 1:
        return [found[len(found) // 2]]
    return [found[round(place * (len(found) - 1) / (count - 1))] for place in range(count)][::-1]
