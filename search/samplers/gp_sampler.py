"""An Optuna sampler that is given the recipes' costs, and learns only their utility."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from threadpoolctl import threadpool_limits

from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.samplers.candidate_choice import CandidateChooser
from search.samplers.candidates import Candidates, CostSource
from search.samplers.history import read_history
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace


class CostAwareSampler(BaseSampler):
    """Sampler of whole recipes, by expected hypervolume improvement at their known cost.

    A Gaussian process learns the utility of the goal's metric; `costs` predicts the costs. The
    values of a trial are its utility and the goal's costs. A trial that was stopped early may carry
    its learning curve as the user attribute `history.CURVE`. Running trials, and all else under
    way, are assumed to end as expected, so that parallel proposals differ.

    A proposal depends only on the seed, the trial's number, the trials before it and the recipes
    under way: a study that is rebuilt from the same trials continues as it would have.

    Args:
        space: where recipes come from; a trial's `suggest` calls are answered with one whole
            recipe.
        costs: the source of the recipes' costs.
        budget: proposals stay within it wherever a recipe is found that does.
        seed: decides all draws.
        goal: the study's goal.
        under_way: recipes that are being made but are not yet trials of the study.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        costs: CostSource,
        budget: Budget,
        seed: int,
        goal: Goal = DEFAULT_GOAL,
        under_way: Callable[[], Iterable[Recipe]] = tuple,
    ) -> None:
        self._space = space
        self._costs = costs
        self._budget = budget
        self._seed = seed
        self._under_way = under_way
        self._independent = RandomSampler(seed=seed)
        self._chooser = CandidateChooser(
            space.distributions(), predict=costs.predict, budget=budget, goal=goal
        )

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter of the space: a proposal holds those of its chosen methods."""
        noted = _Distributions()
        for name, distribution in self._space.distributions().items():
            distribution.suggest(noted, name)
        return noted.by_name

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return one whole recipe's parameters; none where every recipe has been tried."""
        others = study.get_trials(deepcopy=False)
        before = (other for other in others if other.number != trial.number)
        history = read_history(before, self._under_way())
        if len(set(history.tried)) >= self._space.count():
            return {}
        rng = np.random.default_rng([self._seed, trial.number])
        candidates = Candidates(self._space, self._costs, self._budget, rng)
        # Matrices are small: more threads would take cores from trials, and save no time.
        with threadpool_limits(1):
            return dict(self._chooser.choose(candidates, history).params)

    def promising(
        self, study: Study, own: Recipe, groups: Sequence[tuple[Recipe, ...]], count: int
    ) -> list[Recipe]:
        """Return the most promising of the groups' recipes.

        Args:
            study: the results so far.
            own: the trial's recipe, from which they branch off.
            groups: of recipes that it costs little more to make together; for each pruning method,
                the groups that are cut the most come last.
            count: the largest number of groups.
        """
        history = read_history(study.get_trials(deepcopy=False), self._under_way())
        with threadpool_limits(1):
            return self._chooser.promising(own, groups, count, history)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value, for parameters outside the space."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


class _Distributions:
    """A stand-in for an Optuna trial, which notes the distributions that it is asked for."""

    def __init__(self) -> None:
        self.by_name: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.by_name[name] = FloatDistribution(low, high, log=log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.by_name[name] = IntDistribution(low, high, log=log)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.by_name[name] = CategoricalDistribution(choices)
        return choices[0]
