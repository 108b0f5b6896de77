"""Candidates for the next recipe: drawn from the space, or mutated from known recipes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from search.objectives.budget import Budget, total_violation
from search.records import Cost
from spaces.distributions import Scalar, Suggester
from spaces.recipe import Recipe

# Predicts a recipe's cost from student, pruning and quantization; None where it can't.
Predict = Callable[[Recipe], Cost | None]

# The number of unpredictable costs that each proposal may measure, as long as that takes.
_LOOKS = 3
# Share of candidates drawn from the whole space, so that no part of it is lost.
_DRAWN_SHARE = 0.4
# Chance that a parameter of a mutated recipe differs from its parent's.
_MUTATION_RATES = (0.1, 0.25, 0.5)
# Standard deviation of a number's mutation, as a share of its (logarithmic) range.
_STEP = 0.15
# Rounds of mutation towards a budget that no candidate fits so far.
_APPROACHES = 3


@dataclass(frozen=True)
class CostSource:
    """The source of recipes' costs.

    Attributes:
        predict: in about a millisecond; None where no estimate is possible.
        measure: by building the student, in about a second; None where it can't be built. It is
            called for a few recipes that `predict` can't estimate, so that they become known.
    """

    predict: Predict
    measure: Predict | None = None


class Space(Protocol):
    """The part of a search space that candidates need."""

    def suggest(self, trial: Suggester) -> dict[str, Scalar]: ...


@dataclass(frozen=True)
class Candidate:
    """A recipe with its cost; None where the cost is unknown."""

    params: Mapping[str, Scalar]
    recipe: Recipe
    cost: Cost | None


class Draw:
    """A stand-in for an Optuna trial: it draws values uniformly, on a log scale where needed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return _number(self._share(name, low, high, log=log), low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        # Half a step beyond both ends, so that the ends are as likely as values between.
        edges = low - 0.5, high + 0.5
        value = _number(self._share(name, *edges, log=log), *edges, log=log)
        return min(max(round(value), low), high)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[int(self._rng.random() * len(choices))]

    def _share(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Return where in the range the value shall lie, from 0 to 1."""
        return self._rng.random()


class Mutation(Draw):
    """A stand-in, too: most values are those of a parent, and numbers change by small steps."""

    def __init__(
        self, rng: np.random.Generator, parent: Mapping[str, Scalar], *, rate: float
    ) -> None:
        super().__init__(rng)
        self._parent = parent
        self._rate = rate

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        kept = self._kept(name, low, high)
        return super().suggest_float(name, low, high, log=log) if kept is None else float(kept)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        kept = self._kept(name, low, high)
        return super().suggest_int(name, low, high, log=log) if kept is None else int(kept)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if self._keeps(name) and self._parent[name] in choices:
            return self._parent[name]
        return super().suggest_categorical(name, choices)

    def _share(self, name: str, low: float, high: float, *, log: bool) -> float:
        if name not in self._parent:
            return super()._share(name, low, high, log=log)
        share = _share_of(float(self._parent[name]), low, high, log=log)
        share += _STEP * self._rng.standard_normal()
        return min(max(share, 0.0), 1.0)

    def _kept(self, name: str, low: float, high: float) -> float | None:
        """Return the parent's exact number, so that a result for it is found again.

        None where it is to change, or lies outside the range.
        """
        value = float(self._parent[name]) if self._keeps(name) else None
        return value if value is not None and low <= value <= high else None

    def _keeps(self, name: str) -> bool:
        return name in self._parent and self._rng.random() >= self._rate


class Candidates:
    """Maker of candidates, which remembers their costs during one proposal.

    Args:
        space: where recipes come from.
        costs: the source of their costs.
        budget: the limits of their costs.
        rng: decides all draws.
    """

    def __init__(
        self, space: Space, costs: CostSource, budget: Budget, rng: np.random.Generator
    ) -> None:
        self._space = space
        self._source = costs
        self._looks = _LOOKS
        self._budget = budget
        self._rng = rng
        self._costs: dict[object, Cost | None] = {}

    def pool(self, parents: Sequence[Mapping[str, Scalar]], count: int) -> list[Candidate]:
        """Return distinct candidates; a share is drawn, the rest is mutated from parents.

        Some unpredictable costs are measured. While there are no parents, trials wait for this
        proposal; then they are measured only where no candidate is known to fit.
        """
        drawn = round(count * _DRAWN_SHARE) if parents else count
        found = [self._candidate(Draw(self._rng)) for _ in range(drawn)]
        found = _distinct(found + self.mutants(parents, count - drawn))
        if not parents and self.fitting(found):
            return found
        return [self._looked_at(one) if one.cost is None else one for one in found]

    def mutants(self, parents: Sequence[Mapping[str, Scalar]], count: int) -> list[Candidate]:
        """Return candidates near the parents, equally many for each, by small and large changes.

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
        """Return the candidates that fit; where none does, mutate the nearest a few times.

        Where none fits even then, return the one that breaks the budget by the least.
        """
        for _ in range(_APPROACHES):
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

    def _looked_at(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its cost, predicted now, or measured if still allowed."""
        recipe = candidate.recipe
        cost = self._source.predict(recipe)
        if cost is None and self._looks and self._source.measure:
            self._looks -= 1
            cost = self._source.measure(recipe)
        self._costs[_key(recipe)] = cost
        return replace(candidate, cost=cost)


def _key(recipe: Recipe) -> tuple[object, ...]:
    """Return what decides its cost: shapes and number format, not how weights are learned."""
    return recipe.student, recipe.pruning, recipe.quantization


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates without repetitions and without those that contradict themselves."""
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
