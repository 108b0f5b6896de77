"""The choice of a candidate: first the most different one, later the best expected improvement."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from search.objectives.budget import Budget
from search.objectives.dominance import non_dominated
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.samplers.acquisition import ParetoFront, leads, weighted_improvements
from search.samplers.candidates import Candidate, Candidates, Predict
from search.samplers.cost_space import CostSpace
from search.samplers.features import Features, squared_differences
from search.samplers.history import FinishedTrial, History
from search.samplers.recipe_rows import RecipeRows
from search.samplers.study_surrogate import StudySurrogate
from search.samplers.surrogate import Surrogate
from spaces.axes.distillation import Distillation
from spaces.axes.training import Training
from spaces.distributions import Distribution, FloatRange, IntRange, Scalar
from spaces.recipe import Recipe

# This many trials explore the space before the surrogate chooses candidates.
_START = 5
_CANDIDATES = 300
# The number of best candidates that are mutated, and the number of all their mutants.
_REFINED, _REFINEMENTS = 6, 60
# The maximum number of earlier recipes to differ from.
_REMEMBERED = 600
# Recipes with the same methods count as equal if each number differs by less than this share of
# its range.
_NEAR = 0.03
# A branch is not made if its expected improvement is below this share of the best branch's.
_LEAST_SHARE = 0.05
# These axes do not change a student's cost.
_COSTLESS = (Training.axis, Distillation.axis)
# A student with less than this share of the best student's utility adds no hypervolume.
_LEAST_UTILITY_SHARE = 0.5


class CandidateChooser:
    """Chooser of candidates, by a surrogate that is fitted to the trials so far.

    Args:
        distributions: the distributions of the flat parameters.
        predict: predicts a recipe's cost.
        budget: the limits of the costs.
        goal: the study's goal.
    """

    def __init__(
        self,
        distributions: Mapping[str, Distribution],
        *,
        predict: Predict,
        budget: Budget,
        goal: Goal = DEFAULT_GOAL,
    ) -> None:
        self._features = Features(distributions)
        self._middles = {
            key: distribution.at(0.5)
            for key, distribution in distributions.items()
            if isinstance(distribution, FloatRange | IntRange)
            and key.partition(".")[0] in _COSTLESS
        }
        self._weight = goal.weight
        self._predict = predict
        self._costs = CostSpace(goal, budget, predict)
        self._rows = RecipeRows(self._features, predict)
        self._surrogate = StudySurrogate(self._rows)

    def choose(self, candidates: Candidates, history: History) -> Candidate:
        """Choose the next recipe; choose a tried recipe only if there is no other."""
        parents = _parents(history.finished)
        found = candidates.pool(parents, _CANDIDATES)
        pool = self._unlike_tried(candidates.admitted(found, _CANDIDATES), history)
        if not history.finished or len(history.ended) + len(history.pending) < _START:
            return self._most_different(pool, candidates, history)
        return self._most_promising(pool, candidates, history)

    def promising(
        self, own: Recipe, groups: Sequence[tuple[Recipe, ...]], count: int, history: History
    ) -> list[Recipe]:
        """Return recipes of at most `count` groups, in order of the expected improvement.

        A chosen group is assumed to reach its expected utility, so that the next group is chosen
        for its additional improvement. Groups with almost no expected improvement are left out. So
        are groups with less expected improvement per epoch than `own`, whose training they share: a
        new trial would improve the frontier more in the same time. Before any trial has finished,
        only the cheapest group is returned, because it extends the frontier the most.
        """
        pool = [_with_cost(recipe, self._predict) for group in groups for recipe in group]
        if not pool:
            return []
        group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        if not history.finished:
            # Without known costs, this is the last group, which has the strongest pruning.
            return list(groups[group_of[::-1][self._cheapest_first(pool[::-1])[0]]])
        fitted, itself = self._surrogate.after(history.ended), _with_cost(own, self._predict)
        own_improvement = self._expected_improvement(itself, pool, fitted, history)
        enough = own_improvement * _epochs_beside(own, pool)
        surrogate = self._believing(fitted, history)
        front = self._front(surrogate, [itself, *pool], history)
        rows = self._rows.of_candidates(pool)
        quantiles, expected = surrogate.quantiles(rows), surrogate.expected(rows)
        costs = self._costs.of_candidates(pool, front.worst_costs)
        chosen: list[int] = []
        least = 0.0
        for _ in range(count):
            scores = self._improvements(quantiles, costs, front)
            scores[np.isin(group_of, group_of[chosen]) | (scores < enough)] = 0.0
            least = least or _LEAST_SHARE * float(scores.max())
            best = np.flatnonzero((group_of == group_of[scores.argmax()]) & (scores > least))
            if not len(best):
                break
            chosen += [int(place) for place in best[np.argsort(-scores[best])]]
            front = replace(
                front,
                utilities=np.append(front.utilities, expected[best]),
                costs=np.concatenate([front.costs, costs[best]]),
            )
        return [pool[place].recipe for place in chosen]

    def _expected_improvement(
        self, own: Candidate, others: Sequence[Candidate], surrogate: Surrogate, history: History
    ) -> float:
        """Return the expected improvement of the frontier by a running recipe, before it started.

        The box of the hypervolume contains the others too, so that the result is comparable with
        their expected improvements.
        """
        before = replace(
            history,
            pending=tuple(recipe for recipe in history.pending if recipe != own.recipe),
            under_way=tuple(recipe for recipe in history.under_way if recipe != own.recipe),
        )
        believing = self._believing(surrogate, before)
        front = self._front(believing, [own, *others], before)
        quantiles = believing.quantiles(self._rows.of_candidates([own]))
        cost = self._costs.of_candidates([own], front.worst_costs)
        return float(self._improvements(quantiles, cost, front)[0])

    def _unlike_tried(self, pool: Sequence[Candidate], history: History) -> Sequence[Candidate]:
        """Return the candidates that differ clearly from all tried recipes.

        If there are none, return those that were not tried; if there are none either, return all.
        """
        tried = set(history.tried)
        new = [one for one in pool if one.recipe not in tried]
        if not new or not tried:
            return new or pool
        rows = self._rows.of_candidates(new)[:, 2:]
        before = self._rows.of(history.tried[-_REMEMBERED:])[:, 2:]
        squared = squared_differences(rows, before, self._features.categorical[2:])
        alike = (squared.max(axis=2, initial=0.0) < _NEAR**2).any(axis=1)
        return [one for one, is_alike in zip(new, alike, strict=True) if not is_alike] or new

    def _most_different(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        """Return the candidate whose shape and cost differ most from all trained recipes.

        The first candidate of a study is the cheapest: it extends the frontier the most, whatever
        its utility.
        """
        before = [*(one.recipe for one in history.ended), *history.pending]
        if not before:
            return self._cheapest(pool, candidates, history)
        columns = self._features.shape_columns
        squared = squared_differences(
            self._rows.of_candidates(pool)[:, columns],
            self._rows.of(before)[:, columns],
            self._features.categorical[columns],
        )
        return pool[int(squared.sum(axis=2).min(axis=1).argmax())]

    def _cheapest(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        """Return the cheapest candidate of the pool, or of the mutants of its cheapest candidates.

        The cheapest candidate has the largest box between its costs and the worst costs. Parameters
        that change no cost are set to the middle of their ranges.
        """
        best = [pool[i] for i in self._cheapest_first(pool)[:_REFINED]]
        mutants = candidates.mutants([one.params for one in best], _REFINEMENTS)
        nearby = [*best, *self._unlike_tried(candidates.fitting(mutants), history)]
        found = nearby[int(self._cheapest_first(nearby)[0])]
        params = {key: self._middles.get(key, value) for key, value in found.params.items()}
        centered = Candidate(params, Recipe.from_params(params), found.cost)
        is_unusable = centered.recipe in history.tried or centered.recipe.conflict()
        return found if is_unusable else centered

    def _cheapest_first(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the candidates' places, the largest box up to the worst costs first."""
        worst = self._costs.worst([], pool)
        costs = self._costs.of_candidates(pool, worst)
        left = np.maximum(1 - costs / worst, 0.0).prod(axis=1)
        places: np.ndarray = np.argsort(-left, kind="stable")
        return places

    def _most_promising(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        surrogate = self._believing(self._surrogate.after(history.ended), history)
        front = self._front(surrogate, pool, history)
        scores = self._scores(pool, surrogate, front)
        best = [pool[i] for i in np.argsort(-scores, kind="stable")[:_REFINED]]
        mutants = candidates.mutants([one.params for one in best], _REFINEMENTS)
        around = self._unlike_tried(candidates.fitting(mutants), history)
        pool = [*best, *around]
        return pool[int(self._scores(pool, surrogate, front).argmax())]

    def _scores(
        self, pool: Sequence[Candidate], surrogate: Surrogate, front: ParetoFront
    ) -> np.ndarray:
        quantiles = surrogate.quantiles(self._rows.of_candidates(pool))
        costs = self._costs.of_candidates(pool, front.worst_costs)
        # Without any expected improvement, the candidate that is nearest to the frontier comes
        # first.
        lead = leads(quantiles[:, -1], costs, front)
        return self._improvements(quantiles, costs, front) + 1e-9 * lead

    def _improvements(
        self, utilities: np.ndarray, costs: np.ndarray, front: ParetoFront
    ) -> np.ndarray:
        return weighted_improvements(utilities, costs, front, weight=self._weight)

    def _believing(self, surrogate: Surrogate, history: History) -> Surrogate:
        """Return the surrogate as if running trials had reached their expected utilities."""
        running = _running(history)
        return surrogate.believing(self._rows.of(running)) if running else surrogate

    def _front(
        self, surrogate: Surrogate, pool: Sequence[Candidate], history: History
    ) -> ParetoFront:
        """Return the front of finished students and of running trials' expected students."""
        known = [one.utility for one in history.finished if one.feasible]
        reached = [one for one in history.finished if one.feasible and not one.elsewhere]
        utilities = [one.utility for one in reached]
        costs = [self._costs.of_finished(one) for one in reached]
        worst = self._costs.worst(costs, pool)
        if running := _running(history):
            utilities += list(surrogate.expected(self._rows.of(running)))
            costs += [self._costs.of_recipe(recipe, worst) for recipe in running]
        return ParetoFront(
            np.array(utilities),
            np.array(costs).reshape(-1, len(worst)),
            _LEAST_UTILITY_SHARE * max([*utilities, *known], default=0.0),
            worst,
        )


def _running(history: History) -> list[Recipe]:
    return [*history.pending, *history.under_way]


def _with_cost(recipe: Recipe, predict: Predict) -> Candidate:
    return Candidate(recipe.to_params(), recipe, predict(recipe))


def _epochs_beside(own: Recipe, branches: Sequence[Candidate]) -> np.ndarray:
    """Return the epochs that each branch adds to the trial, as shares of `own`'s epochs."""
    whole = 1 + own.pruning.training_share + own.quantization.tuning_share
    return np.array([one.recipe.pruning.training_share / whole for one in branches])


def _parents(finished: Sequence[FinishedTrial]) -> list[Mapping[str, Scalar]]:
    """Return the parameters of the non-dominated trials, and of the three with the best utility."""
    if not finished:
        return []
    feasible = [one for one in finished if one.feasible] or list(finished)
    best = sorted(feasible, key=lambda one: -one.utility)[:3]
    values = np.array([(-one.utility, *one.costs) for one in feasible])
    front = [feasible[i] for i in non_dominated(values)]
    return [one.params for one in (*front, *best)]
