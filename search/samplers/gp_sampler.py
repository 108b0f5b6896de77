"""An Optuna sampler that uses predicted costs, and models only the utility."""

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
from search.samplers.branch_choice import BranchChooser
from search.samplers.candidate_choice import CandidateChooser
from search.samplers.candidates import Candidates, CostSource
from search.samplers.history import History, HistoryReader
from search.samplers.knowledge import Knowledge
from search.surrogate.features import Features
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace


class CostAwareSampler(BaseSampler):
    """Sampler of whole recipes by expected hypervolume improvement at known costs.

    A Gaussian process models the utility of the goal's metric, and another one each value that a
    floor of the budget bounds; `costs` predicts the costs. The
    values of an Optuna trial are its utility and the goal's costs. A trial that was stopped early
    may have its learning curve as the user attribute `history.CURVE`; the values with floors are in
    `history.FLOORS`. Running trials, and recipes
    under way, are assumed to reach their expected utility, so that parallel proposals differ.

    A proposal depends only on the seed, the trial's number, the trials before it in the order of
    their ends, the recipes under way, and the proposals since the last trial ended. After a resume
    with the same trials, none of them running, the proposals are therefore the same.

    Args:
        space: the search space; a trial's `suggest` calls return the values of one whole recipe.
        costs: the source of the recipes' costs.
        budget: proposals are within the budget if such a recipe is found.
        seed: the seed of all random numbers.
        goal: the study's goal.
        under_way: returns the recipes that are being made but are not yet trials of the study.
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
        distributions = space.distributions()
        knowledge = Knowledge(Features(distributions), costs.predict, budget, goal)
        self._reader = HistoryReader([floor.name for floor in budget.floors()])
        self._chooser = CandidateChooser(distributions, knowledge, goal.weight)
        self._branches = BranchChooser(knowledge, costs.predict, goal.weight)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter of the space; a proposal contains those of its methods."""
        recorder = _Distributions()
        for name, distribution in self._space.distributions().items():
            distribution.suggest(recorder, name)
        return recorder.by_name

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of one whole recipe; empty if every recipe has been tried."""
        history = self._history(study)
        if len({*history.tried, *history.under_way}) >= self._space.count():
            return {}
        rng = np.random.default_rng([self._seed, trial.number])
        candidates = Candidates(self._space, self._costs, self._budget, rng)
        # The matrices are small: more threads would save no time, and take cores from trials.
        with threadpool_limits(1):
            return dict(self._chooser.choose(candidates, history).params)

    def promising(
        self, study: Study, own: Recipe, groups: Sequence[tuple[Recipe, ...]], count: int
    ) -> list[Recipe]:
        """Return the branches with the largest expected improvement.

        Args:
            study: the Optuna study with the results so far.
            own: the recipe of the trial whose branches are chosen.
            groups: groups of branches that differ in quantization alone; for each pruning method,
                the groups with the strongest pruning come last.
            count: the maximum number of chosen groups.
        """
        history = self._history(study)
        with threadpool_limits(1):
            return self._branches.promising(own, groups, count, history)

    def _history(self, study: Study) -> History:
        return self._reader.read(study.get_trials(deepcopy=False), self._under_way())

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
    """Suggester in place of an Optuna trial, which records the requested distributions."""

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
