"""Candidates for the next recipe: drawn from the space, or mutated from tried recipes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from search.objectives.budget import Budget, total_violation
from search.records import Cost
from spaces.distributions import Scalar, Suggester
from spaces.recipe import Recipe

# Predicts a recipe's cost from student, pruning and quantization; None without a prediction.
Predict = Callable[[Recipe], Cost | None]

# The number of unpredictable costs that each proposal may measure; this can take seconds.
_MEASUREMENTS = 3
# The share of candidates that are drawn from the whole space, so that no region is ignored.
_DRAWN_SHARE = 0.4
# Probabilities that a parameter of a mutated recipe differs from its parent's.
_MUTATION_RATES = (0.1, 0.25, 0.5)
# The standard deviation of a number's mutation, as a share of its (logarithmic) range.
_STEP = 0.15
# The number of rounds of mutation towards the budget while no candidate fits it.
_ROUNDS = 3


@dataclass(frozen=True)
class CostSource:
    """The source of recipes' costs.

    Attributes:
        predict: predicts a cost in about a millisecond; returns None without a prediction.
        measure: measures a cost by building the student, in about a second; returns None if the
            student can't be built. It is called for a few recipes that `predict` can't predict.
    """

    predict: Predict
    measure: Predict | None = None


class Space(Protocol):
    """The part of a search space that candidates use."""

    def suggest(self, trial: Suggester) -> dict[str, Scalar]: ...


@dataclass(frozen=True)
class Candidate:
    """A recipe with its predicted or measured cost; None if the cost is unknown."""

    params: Mapping[str, Scalar]
    recipe: Recipe
    cost: Cost | None


class Draw:
    """Suggester in place of an Optuna trial: it draws uniformly, on a linear or log scale."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return _number(self._share(name, low, high, log=log), low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        # The range is extended by 0.5 at both ends, so that its ends are as likely as other values.
        edges = low - 0.5, high + 0.5
        value = _number(self._share(name, *edges, log=log), *edges, log=log)
        return min(max(round(value), low), high)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        # Most parameters of a space have one value.
        return choices[0] if len(choices) == 1 else choices[int(self._rng.random() * len(choices))]

    def _share(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Return the position of the value in its range, from 0 to 1."""
        return self._rng.random()


class Mutation(Draw):
    """Suggester that takes most values from a parent, and changes other numbers by small steps."""

    def __init__(
        self, rng: np.random.Generator, parent: Mapping[str, Scalar], *, rate: float
    ) -> None:
        super().__init__(rng)
        self._parent = parent
        self._rate = rate

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        own = self._inherited(name, low, high)
        return super().suggest_float(name, low, high, log=log) if own is None else float(own)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        own = self._inherited(name, low, high)
        return super().suggest_int(name, low, high, log=log) if own is None else int(own)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if len(choices) > 1 and self._is_unchanged(name) and self._parent[name] in choices:
            return self._parent[name]
        return super().suggest_categorical(name, choices)

    def _share(self, name: str, low: float, high: float, *, log: bool) -> float:
        if name not in self._parent:
            return super()._share(name, low, high, log=log)
        share = _share_of(float(self._parent[name]), low, high, log=log)
        share += _STEP * self._rng.standard_normal()
        return min(max(share, 0.0), 1.0)

    def _inherited(self, name: str, low: float, high: float) -> float | None:
        """Return the parent's exact number; None if it changes or lies outside the range.

        An unchanged number must be exact, so that a known cost is found for it.
        """
        value = float(self._parent[name]) if self._is_unchanged(name) else None
        return value if value is not None and low <= value <= high else None

    def _is_unchanged(self, name: str) -> bool:
        return name in self._parent and self._rng.random() >= self._rate


class Candidates:
    """Maker of candidates for one proposal; it caches their costs.

    Args:
        space: the search space of the recipes.
        costs: the source of their costs.
        budget: the limits of their costs.
        rng: the generator of all random numbers.
    """

    def __init__(
        self, space: Space, costs: CostSource, budget: Budget, rng: np.random.Generator
    ) -> None:
        self._space = space
        self._source = costs
        self._measurements_left = _MEASUREMENTS
        self._budget = budget
        self._rng = rng
        self._costs: dict[object, Cost | None] = {}

    def pool(self, parents: Sequence[Mapping[str, Scalar]], count: int) -> list[Candidate]:
        """Return distinct candidates: a share drawn from the space, the rest mutated from parents.

        A few unpredictable costs are measured. Without parents, the study has just begun and
        workers wait for this proposal. Costs are then measured only if no candidate is known to
        fit.
        """
        drawn = round(count * _DRAWN_SHARE) if parents else count
        found = [self._candidate(Draw(self._rng)) for _ in range(drawn)]
        found = _distinct(found + self.mutants(parents, count - drawn))
        if not parents and self.fitting(found):
            return found
        return [self._with_cost(one) if one.cost is None else one for one in found]

    def mutants(self, parents: Sequence[Mapping[str, Scalar]], count: int) -> list[Candidate]:
        """Return mutations of the parents, equally many of each, with small and large changes.

        Candidates that contradict themselves are left out.
        """
        if not parents:
            return []
        rates = (_MUTATION_RATES[i // len(parents) % len(_MUTATION_RATES)] for i in range(count))
        found = [
            self._candidate(Mutation(self._rng, parents[i % len(parents)], rate=rate))
            for i, rate in enumerate(rates)
        ]
        return [one for one in found if one.recipe.conflict() is None]

    def fitting(self, pool: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates of the pool that are known to fit the budget."""
        return [one for one in pool if one.cost is not None and self._budget.admits(one.cost)]

    def admitted(self, pool: Sequence[Candidate], count: int) -> list[Candidate]:
        """Return the candidates that fit the budget.

        If none fits, those nearest to the budget are mutated a few times. If none fits even then,
        return the candidate that exceeds the budget by the least.
        """
        for _ in range(_ROUNDS):
            if fitting := self.fitting(pool):
                return fitting
            known = sorted((one for one in pool if one.cost), key=self._excess)
            if not known:
                break
            nearest = known[: max(1, count // 20)]
            pool = nearest + self.mutants([one.params for one in nearest], count)
        return self.fitting(pool) or sorted(pool, key=self._excess)[:1]

    def _excess(self, candidate: Candidate) -> float:
        if candidate.cost is None:
            return math.inf
        return total_violation(self._budget.violations(candidate.cost))

    def _candidate(self, suggester: Suggester) -> Candidate:
        params = self._space.suggest(suggester)
        recipe = Recipe.from_params(params)
        return Candidate(params, recipe, self._cost(recipe))

    def _cost(self, recipe: Recipe) -> Cost | None:
        key = _key(recipe)
        if key not in self._costs:
            self._costs[key] = self._source.predict(recipe)
        return self._costs[key]

    def _with_cost(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its cost, predicted or, while allowed, measured."""
        recipe = candidate.recipe
        cost = self._source.predict(recipe)
        if cost is None and self._measurements_left and self._source.measure:
            self._measurements_left -= 1
            cost = self._source.measure(recipe)
        self._costs[_key(recipe)] = cost
        return replace(candidate, cost=cost)


def _key(recipe: Recipe) -> tuple[object, ...]:
    """Return the methods that decide the recipe's cost; training and distillation do not."""
    return recipe.student, recipe.pruning, recipe.quantization


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates without duplicates, and without those that contradict themselves."""
    by_recipe = {candidate.recipe: candidate for candidate in candidates}
    return [one for one in by_recipe.values() if one.recipe.conflict() is None]


def _number(share: float, low: float, high: float, *, log: bool) -> float:
    if log:
        value = math.exp(math.log(low) + share * math.log(high / low))
    else:
        value = low + share * (high - low)
    return min(max(value, low), high)


def _share_of(value: float, low: float, high: float, *, log: bool) -> float:
    if low == high:
        return 0.0
    if log:
        return math.log(max(value, low) / low) / math.log(high / low)
    return (value - low) / (high - low)
