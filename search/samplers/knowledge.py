"""What the sampler knows of a study: what it has reached, and what running recipes may reach."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search.objectives.budget import Budget
from search.objectives.dominance import non_dominated
from search.objectives.goal import Goal
from search.samplers.acquisition import Chances, ParetoFront
from search.samplers.candidates import Candidate, Predict
from search.samplers.cost_space import CostSpace, with_halves
from search.samplers.floor_chances import FloorChances, FloorModels
from search.samplers.history import FinishedTrial, History
from search.samplers.reached import ReachedStudents
from search.samplers.recipe_rows import RecipeRows
from search.samplers.study_surrogate import StudySurrogate
from search.surrogate.features import Features
from search.surrogate.surrogate import Surrogate
from spaces.method import Method
from spaces.recipe import Recipe

# A student with less than this share of the best student's utility adds no hypervolume.
_LEAST_UTILITY_SHARE = 0.5
# A student with at least this chance to meet the floors is expected to meet them.
_LIKELY = 0.5

# The methods that branches share with the trial that trains them.
TrainingKey = tuple[Method, Method, Method]


@dataclass(frozen=True)
class ExpectedStudent:
    """The expected student of a recipe that runs.

    Attributes:
        utility: the median of its utility.
        point: its coordinates, [costs]; NaN for unknown ones.
        is_within: whether it is more likely to meet the floors than not.
    """

    utility: float
    point: np.ndarray
    is_within: bool


@dataclass(frozen=True)
class Outlook:
    """The expectations at one time.

    Attributes:
        learned: the surrogate that has learned from all trials so far.
        surrogate: the same, as if running recipes had reached their expected utilities.
        running: the expected students of the recipes that run.
        trainings: the trainings in which `surrogate` believes.
        reached: utilities, [students], and coordinates, [students, costs], of finished students.
        best_utility: the best utility within the budget.
        chances: the probabilities that recipes meet the floors.
    """

    learned: Surrogate
    surrogate: Surrogate
    running: Mapping[Recipe, ExpectedStudent]
    trainings: frozenset[TrainingKey]
    reached: tuple[np.ndarray, np.ndarray]
    best_utility: float
    chances: FloorChances

    def chances_of(self, rows: np.ndarray) -> Chances | None:
        """Return the probabilities that recipes meet the floors; None without floors.

        Args:
            rows: the features of the recipes, [recipes, columns].
        """
        if not self.chances.is_bounded:
            return None
        has_student = len(self.reached[0]) > 0 or self.best_utility > 0
        return Chances(self.chances.of(rows), has_student)

    def are_likely(self, rows: np.ndarray) -> np.ndarray:
        """Return which recipes are more likely to meet the floors than not, [recipes]."""
        likely: np.ndarray = self.chances.of(rows) >= math.log(_LIKELY)
        return likely

    def front(self, worst: np.ndarray, *, without: Recipe | None = None) -> ParetoFront:
        """Return the front of finished and of expected students within the budget.

        Args:
            worst: the worst costs, [costs].
            without: a running recipe that counts as if it were not yet proposed.
        """
        expected = [
            one for recipe, one in self.running.items() if recipe != without and one.is_within
        ]
        utilities, costs = self.reached
        if expected:
            utilities = np.append(utilities, [one.utility for one in expected])
            points = with_halves(np.array([one.point for one in expected]), worst)
            costs = np.concatenate([costs, points])
        kept = non_dominated(np.column_stack([-utilities, costs]))
        best = max(self.best_utility, float(utilities.max(initial=0.0)))
        return ParetoFront(utilities[kept], costs[kept], _LEAST_UTILITY_SHARE * best, worst)


class Knowledge:
    """What the sampler knows of a study. It is computed anew only when something was learned.

    Args:
        features: the features of recipes.
        predict: predicts a recipe's cost.
        budget: the limits of the costs, and the floors.
        goal: the study's goal.
    """

    def __init__(self, features: Features, predict: Predict, budget: Budget, goal: Goal) -> None:
        self.rows = RecipeRows(features, predict)
        self.costs = CostSpace(goal, budget, predict)
        self._reached = ReachedStudents(self.costs)
        self._surrogate = StudySurrogate(self.rows)
        self._floors = FloorModels(self.rows, budget.floors())
        self._learned = 0
        self._outlook: Outlook | None = None

    def leaders(self, history: History) -> Sequence[FinishedTrial]:
        """Return the finished trials that lead, as `ReachedStudents.leaders` does."""
        self._learn(history)
        return self._reached.leaders()

    def outlook(self, history: History) -> Outlook:
        """Return the outlook after the history, with at least one ended trial."""
        self._learn(history)
        outlook = self._outlook or self._without_running(history)
        running = frozenset(history.running)
        if not frozenset(outlook.running) <= running:
            # A trial failed, or a recipe was released: forget all beliefs.
            outlook = self._without_running(history)
        if running - frozenset(outlook.running):
            outlook = self._believing(outlook, history)
        self._outlook = outlook
        return outlook

    def worst(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the worst costs, [costs], given a pool of candidates."""
        return self.costs.worst(self._reached.highest_costs(), pool)

    def points(self, pool: Sequence[Candidate], worst: np.ndarray) -> np.ndarray:
        """Return the candidates' coordinates, [candidates, costs]; half of the worst if unknown."""
        return with_halves(self.costs.of_candidates(pool), worst)

    def cheapest_first(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the candidates' places, the largest box up to the worst costs first."""
        worst = self.worst(pool)
        left = np.maximum(1 - self.points(pool, worst) / worst, 0.0).prod(axis=1)
        places: np.ndarray = np.argsort(-left, kind="stable")
        return places

    def _learn(self, history: History) -> None:
        """Learn from the trials that ended since the last call."""
        if new := history.ended[self._learned :]:
            self._learned = len(history.ended)
            self._reached.add(one for one in new if isinstance(one, FinishedTrial))
            self._outlook = None

    def _without_running(self, history: History) -> Outlook:
        learned = self._surrogate.after(history.ended)
        reached, best = self._reached.frontier(), self._reached.best_utility
        chances = self._floors.after(history.ended)
        return Outlook(learned, learned, {}, frozenset(), reached, best, chances)

    def _believing(self, outlook: Outlook, history: History) -> Outlook:
        """Return the outlook with all recipes that run.

        Of the branches of one training, the surrogate believes in one: there may be thousands, and
        one of them tells most of what the others would tell.
        """
        new = [one for one in dict.fromkeys(history.running) if one not in outlook.running]
        rows = self.rows.of(new)
        expected, points = outlook.learned.expected(rows), self.costs.of_recipes(new)
        students = map(
            ExpectedStudent,
            expected.tolist(),
            points,
            outlook.are_likely(rows).tolist(),
        )
        pending = frozenset(history.pending)
        trainings = {*outlook.trainings, *(_training(one) for one in new if one in pending)}
        believed = []
        for one in new:
            if one in pending or _training(one) not in trainings:
                trainings.add(_training(one))
                believed.append(one)
        return replace(
            outlook,
            surrogate=outlook.surrogate.believing(self.rows.of(believed))
            if believed
            else outlook.surrogate,
            running={**outlook.running, **dict(zip(new, students, strict=True))},
            trainings=frozenset(trainings),
        )


def _training(recipe: Recipe) -> TrainingKey:
    return recipe.student, recipe.training, recipe.distillation
