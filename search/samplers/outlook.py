"""What a study has reached, and what the recipes that run may be expected to reach."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search.objectives.budget import Budget
from search.objectives.dominance import non_dominated
from search.objectives.goal import Goal
from search.samplers.acquisition import ParetoFront
from search.samplers.candidates import Candidate, Predict
from search.samplers.cost_space import CostSpace
from search.samplers.features import Features
from search.samplers.history import FinishedTrial, History
from search.samplers.reached import ReachedStudents
from search.samplers.recipe_rows import RecipeRows
from search.samplers.study_surrogate import StudySurrogate
from search.samplers.surrogate import Surrogate
from spaces.method import Method
from spaces.recipe import Recipe

# A student with less than this share of the best student's utility adds no hypervolume.
_LEAST_UTILITY_SHARE = 0.5


# The methods that branches share with the trial that trains them.
Training = tuple[Method, Method, Method]


@dataclass(frozen=True)
class Outlook:
    """The expectations at one time, as if running recipes had reached their expected utilities.

    Attributes:
        surrogate: predicts utilities.
        running: the recipes that run.
        believed: the trainings whose expected utilities the surrogate treats as observed.
        utilities: [students], of the students on the front, expected ones among them.
        costs: [students, costs], their coordinates.
        best_utility: the best utility within the budget.
    """

    surrogate: Surrogate
    running: frozenset[Recipe]
    believed: frozenset[Training]
    utilities: np.ndarray
    costs: np.ndarray
    best_utility: float

    def front(self, worst: np.ndarray) -> ParetoFront:
        """Return the front, up to the worst costs, [costs]."""
        least = _LEAST_UTILITY_SHARE * self.best_utility
        return ParetoFront(self.utilities, self.costs, least, worst)

    def and_students(self, utilities: np.ndarray, costs: np.ndarray) -> "Outlook":
        """Return the outlook with further students on the front."""
        together = np.concatenate([self.utilities, utilities])
        points = np.concatenate([self.costs, costs])
        kept = non_dominated(np.column_stack([-together, points]))
        best = max(self.best_utility, float(utilities.max(initial=0.0)))
        return replace(self, utilities=together[kept], costs=points[kept], best_utility=best)


class StudyOutlook:
    """The outlook of a study, which is computed anew only when something was learned.

    Args:
        features: the features of recipes.
        predict: predicts a recipe's cost.
        budget: the limits of the costs.
        goal: the study's goal.
    """

    def __init__(self, features: Features, predict: Predict, budget: Budget, goal: Goal) -> None:
        self.rows = RecipeRows(features, predict)
        self.costs = CostSpace(goal, budget, predict)
        self._reached = ReachedStudents(self.costs)
        self._surrogate = StudySurrogate(self.rows)
        self._learned = 0
        self._outlook: Outlook | None = None

    def leaders(self, history: History) -> Sequence[FinishedTrial]:
        """Return the finished trials that lead, as `ReachedStudents.leaders` does."""
        self._learn(history)
        return self._reached.leaders()

    def now(self, history: History, *, without: Recipe | None = None) -> Outlook:
        """Return the outlook after the history, with at least one ended trial.

        Args:
            history: the history.
            without: a running recipe that counts as if it were not yet proposed.
        """
        self._learn(history)
        running = frozenset(history.running) - {without}
        if self._outlook is None or not self._outlook.running <= running:
            self._outlook = self._without_running(history)
        self._outlook = self.believing(self._outlook, running)
        return self._outlook

    def believing(self, outlook: Outlook, recipes: AbstractSet[Recipe]) -> Outlook:
        """Return the outlook if the recipes run too.

        A belief in one student tells what a belief in its branches would tell. The surrogate
        therefore believes in one recipe of each training.
        """
        new = sorted(recipes - outlook.running, key=Recipe.digest)
        if not new:
            return outlook
        by_training = {_training(one): one for one in new}
        believed = [one for key, one in by_training.items() if key not in outlook.believed]
        expected = outlook.surrogate.expected(self.rows.of(new))
        worst = self.worst([])
        points = np.array([self.costs.of_recipe(one, worst) for one in new])
        if believed:
            surrogate = outlook.surrogate.believing(self.rows.of(believed))
            outlook = replace(outlook, surrogate=surrogate)
        return replace(
            outlook,
            running=outlook.running | frozenset(new),
            believed=outlook.believed | by_training.keys(),
        ).and_students(expected, points)

    def worst(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the worst costs, [costs], given a pool of candidates."""
        return self.costs.worst(self._reached.highest_costs, pool)

    def cheapest_first(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the candidates' places, the largest box up to the worst costs first."""
        worst = self.worst(pool)
        costs = self.costs.of_candidates(pool, worst)
        left = np.maximum(1 - costs / worst, 0.0).prod(axis=1)
        places: np.ndarray = np.argsort(-left, kind="stable")
        return places

    def _learn(self, history: History) -> None:
        """Learn from the trials that ended since the last call."""
        if new := history.ended[self._learned :]:
            self._learned = len(history.ended)
            self._reached.add(one for one in new if isinstance(one, FinishedTrial))
            self._outlook = None

    def _without_running(self, history: History) -> Outlook:
        utilities, costs = self._reached.frontier()
        surrogate = self._surrogate.after(history.ended)
        nothing: frozenset[Any] = frozenset()
        best = self._reached.best_utility
        return Outlook(surrogate, nothing, nothing, utilities, costs, best)


def _training(recipe: Recipe) -> Training:
    return recipe.student, recipe.training, recipe.distillation
