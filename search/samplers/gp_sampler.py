"""An Optuna sampler that is told what recipes cost, and learns their utility alone."""

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
    """Whole recipes by expected hypervolume improvement at their known cost.

    The utility of the goal's metric is learned by a Gaussian process; costs are predicted by who
    knows them. A trial's values are its utility and the goal's costs. One that was stopped early
    may carry its learning curve as the user attribute `history.CURVE`. Running trials, and what
    else is under way, are believed to come out as expected, so that parallel proposals differ.

    A proposal depends on the seed, the trial's number, the trials before it and what is under way,
    and on nothing else: a study that is rebuilt of the same trials goes on as it would have.

    Args:
        space: where recipes come from; what `suggest` asks of a trial is answered with one whole
            recipe.
        costs: what a recipe will cost.
        budget: proposals stay within it wherever a recipe is found that does.
        seed: decides all draws.
        goal: what is searched for.
        under_way: recipes that are being made and are no trials of the study's yet.
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
        """Every parameter of the space: a proposal holds those of the methods that it chooses."""
        noted = _Distributions()
        for name, distribution in self._space.distributions().items():
            distribution.suggest(noted, name)
        return noted.by_name

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """One whole recipe's parameters; none where every recipe has been tried."""
        others = study.get_trials(deepcopy=False)
        before = (other for other in others if other.number != trial.number)
        history = read_history(before, self._under_way())
        if len(set(history.tried)) >= self._space.count():
            return {}
        rng = np.random.default_rng([self._seed, trial.number])
        candidates = Candidates(self._space, self._costs, self._budget, rng)
        # Matrices are small: more threads would take cores from trials, and win no time.
        with threadpool_limits(1):
            return dict(self._chooser.choose(candidates, history).params)

    def promising(
        self, study: Study, own: Recipe, groups: Sequence[tuple[Recipe, ...]], count: int
    ) -> list[Recipe]:
        """Those of the groups' recipes that promise the most.

        Args:
            study: what is known so far.
            own: the trial's recipe that they are branches of.
            groups: of recipes that it costs little more to make together; of each method of
                pruning those that are cut the most come last.
            count: so many groups at the most.
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
        """A random value, for parameters that are not the space's."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


class _Distributions:
    """Stands in for an Optuna trial, and notes the distributions that it is asked for."""

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
