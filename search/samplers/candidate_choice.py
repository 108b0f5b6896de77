"""Which candidate is proposed: at first the most different one, then the most promising one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from search.objectives.budget import Budget
from search.objectives.dominance import non_dominated
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.samplers.acquisition import ParetoFront, expected_improvements, leads
from search.samplers.candidates import Candidate, Candidates, Predict
from search.samplers.cost_space import CostSpace
from search.samplers.features import Features, squared_differences
from search.samplers.history import FinishedTrial, History, ending_of
from search.samplers.logit_scale import from_logits
from search.samplers.surrogate import Surrogate
from spaces.axes.distillation import Distillation
from spaces.axes.training import Training
from spaces.distributions import Distribution, FloatRange, IntRange, Scalar
from spaces.recipe import Recipe

# So many trials fill the space before any is chosen for its promise.
_START = 5
_CANDIDATES = 300
# Of the most promising candidates so many are looked around in, by so many mutants in all.
_REFINED, _REFINEMENTS = 6, 60
# The most observations, and the most earlier recipes, that are looked at.
_OBSERVATIONS, _REMEMBERED = 300, 600
# Recipes of the same methods whose numbers all lie nearer than this share of their range are one.
_NEAR = 0.03
# Of the best branch's promise: what promises less is not made.
_NEXT_TO_NOTHING = 0.05
# Of these nothing changes what a student costs.
_COSTLESS = (Training.axis, Distillation.axis)
# Students that know less than this share of what the best one does are worth nothing.
_WORTH = 0.5


class CandidateChooser:
    """Chooses among candidates by what the trials so far have taught.

    Args:
        distributions: of the flat parameters.
        predict: what a recipe will cost.
        budget: what it may cost.
        goal: what is searched for.
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
        self._predict = predict
        self._costs = CostSpace(goal, budget, predict)
        self._rows: dict[Recipe, np.ndarray] = {}

    def choose(self, candidates: Candidates, history: History) -> Candidate:
        """The recipe to try next; one that was tried before only where no other was found."""
        parents = _parents(history.finished)
        found = candidates.pool(parents, _CANDIDATES)
        pool = self._fresh(candidates.admitted(found, _CANDIDATES), history)
        trained = len(history.finished) + len(history.stopped)
        if not history.finished or trained + len(history.pending) < _START:
            return self._most_different(pool, candidates, history)
        return self._most_promising(pool, candidates, history)

    def promising(
        self, own: Recipe, groups: Sequence[tuple[Recipe, ...]], count: int, history: History
    ) -> list[Recipe]:
        """Recipes of so many groups at the most, the most promising group first.

        What is chosen is believed to come out as expected, so that the next adds to it. What
        promises next to nothing is left out, and what promises less for each epoch than `own` does,
        whose training they share: another trial gains more in the time. Before anything has
        finished the cheapest group alone is taken, as it pushes the frontier the furthest.
        """
        pool = [_with_cost(recipe, self._predict) for group in groups for recipe in group]
        if not pool:
            return []
        group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        if not history.finished:
            # Of groups whose costs can't be told the last one, which is cut the most.
            return list(groups[group_of[::-1][self._cheapest_first(pool[::-1])[0]]])
        fitted, itself = self._surrogate(history), _with_cost(own, self._predict)
        promised = self._promise_of(itself, pool, fitted, history)
        enough = promised * _epochs_beside(own, pool)
        surrogate = self._believing(fitted, history)
        front = self._front(surrogate, [itself, *pool], history)
        rows = self._candidate_rows(pool)
        quantiles, believed = surrogate.quantiles(rows), surrogate.expected(rows)
        costs = self._costs.of_candidates(pool, front.worst_costs)
        chosen: list[int] = []
        least = 0.0
        for _ in range(count):
            scores = expected_improvements(quantiles, costs, front)
            scores[np.isin(group_of, group_of[chosen]) | (scores < enough)] = 0.0
            least = least or _NEXT_TO_NOTHING * float(scores.max())
            best = np.flatnonzero((group_of == group_of[scores.argmax()]) & (scores > least))
            if not len(best):
                break
            chosen += [int(place) for place in best[np.argsort(-scores[best])]]
            front = replace(
                front,
                utilities=np.append(front.utilities, believed[best]),
                costs=np.concatenate([front.costs, costs[best]]),
            )
        return [pool[place].recipe for place in chosen]

    def _promise_of(
        self, own: Candidate, others: Sequence[Candidate], surrogate: Surrogate, history: History
    ) -> float:
        """By how much a recipe that runs pushes out the frontier, as was expected of it.

        In the box that holds the others as well, so that it can be compared with what they promise.
        """
        before = replace(
            history,
            pending=tuple(recipe for recipe in history.pending if recipe != own.recipe),
            under_way=tuple(recipe for recipe in history.under_way if recipe != own.recipe),
        )
        believing = self._believing(surrogate, before)
        front = self._front(believing, [own, *others], before)
        quantiles = believing.quantiles(self._candidate_rows([own]))
        cost = self._costs.of_candidates([own], front.worst_costs)
        return float(expected_improvements(quantiles, cost, front)[0])

    def _fresh(self, pool: Sequence[Candidate], history: History) -> Sequence[Candidate]:
        """Those unlike all that was tried; else those that were not tried; else all."""
        tried = set(history.tried)
        new = [one for one in pool if one.recipe not in tried]
        if not new or not tried:
            return new or pool
        rows = self._candidate_rows(new)[:, 2:]
        before = self._known_rows(history.tried[-_REMEMBERED:])[:, 2:]
        squared = squared_differences(rows, before, self._features.categorical[2:])
        alike = (squared.max(axis=2, initial=0.0) < _NEAR**2).any(axis=1)
        return [one for one, is_alike in zip(new, alike, strict=True) if not is_alike] or new

    def _most_different(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        """The candidate whose shape and cost are the furthest from all that was trained.

        The very first is the cheapest: whatever its utility, it pushes the frontier the furthest.
        """
        before = [one.recipe for one in history.finished]
        before += [*(one.recipe for one in history.stopped), *history.pending]
        if not before:
            return self._cheapest(pool, candidates, history)
        columns = self._features.shape_columns
        squared = squared_differences(
            self._candidate_rows(pool)[:, columns],
            self._known_rows(before)[:, columns],
            self._features.categorical[columns],
        )
        return pool[int(squared.sum(axis=2).min(axis=1).argmax())]

    def _cheapest(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        """What leaves the most of the box below the worst costs, in the pool or around its best.

        Numbers that change no cost are in the middle of their ranges.
        """
        best = [pool[i] for i in self._cheapest_first(pool)[:_REFINED]]
        mutants = candidates.mutants([one.params for one in best], _REFINEMENTS)
        nearby = [*best, *self._fresh(candidates.fitting(mutants), history)]
        found = nearby[int(self._cheapest_first(nearby)[0])]
        params = {key: self._middles.get(key, value) for key, value in found.params.items()}
        settled = Candidate(params, Recipe.from_params(params), found.cost)
        taken = settled.recipe in history.tried or settled.recipe.conflict()
        return found if taken else settled

    def _cheapest_first(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Their places, by how much of the box below the worst costs they leave."""
        worst = self._costs.worst([], pool)
        costs = self._costs.of_candidates(pool, worst)
        left = np.maximum(1 - costs / worst, 0.0).prod(axis=1)
        places: np.ndarray = np.argsort(-left, kind="stable")
        return places

    def _most_promising(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        surrogate = self._believing(self._surrogate(history), history)
        front = self._front(surrogate, pool, history)
        scores = self._scores(pool, surrogate, front)
        best = [pool[i] for i in np.argsort(-scores, kind="stable")[:_REFINED]]
        mutants = candidates.mutants([one.params for one in best], _REFINEMENTS)
        around = self._fresh(candidates.fitting(mutants), history)
        pool = [*best, *around]
        return pool[int(self._scores(pool, surrogate, front).argmax())]

    def _scores(
        self, pool: Sequence[Candidate], surrogate: Surrogate, front: ParetoFront
    ) -> np.ndarray:
        quantiles = surrogate.quantiles(self._candidate_rows(pool))
        costs = self._costs.of_candidates(pool, front.worst_costs)
        # Where nothing promises to improve on the frontier, what comes nearest to that is first.
        lead = leads(quantiles[:, -1], costs, front)
        return expected_improvements(quantiles, costs, front) + 1e-9 * lead

    def _surrogate(self, history: History) -> Surrogate:
        """Of the utility, by the newest trials; finished ones go before stopped ones."""
        finished = history.finished[-_OBSERVATIONS:]
        stopped = history.stopped[max(0, len(history.stopped) + len(finished) - _OBSERVATIONS) :]
        endings = [ending_of(one, finished) for one in stopped]
        return Surrogate(
            self._known_rows([one.recipe for one in stopped] + [one.recipe for one in finished]),
            np.concatenate(
                [
                    from_logits(np.array([one.logit for one in endings])),
                    [one.utility for one in finished],
                ]
            ),
            np.array([one.variance for one in endings] + [0.0] * len(finished)),
            self._features.categorical,
        )

    def _believing(self, surrogate: Surrogate, history: History) -> Surrogate:
        """The surrogate as if what runs had come out as expected."""
        running = _running(history)
        return surrogate.believing(self._known_rows(running)) if running else surrogate

    def _front(
        self, surrogate: Surrogate, pool: Sequence[Candidate], history: History
    ) -> ParetoFront:
        """What has been reached, or is believed to be reached by what runs."""
        known = [one.utility for one in history.finished if one.feasible]
        reached = [one for one in history.finished if one.feasible and not one.elsewhere]
        utilities = [one.utility for one in reached]
        costs = [self._costs.of_finished(one) for one in reached]
        worst = self._costs.worst(costs, pool)
        if running := _running(history):
            utilities += list(surrogate.expected(self._known_rows(running)))
            costs += [self._costs.of_recipe(recipe, worst) for recipe in running]
        return ParetoFront(
            np.array(utilities),
            np.array(costs).reshape(-1, len(worst)),
            _WORTH * max([*utilities, *known], default=0.0),
            worst,
        )

    def _candidate_rows(self, pool: Sequence[Candidate]) -> np.ndarray:
        return np.stack([self._features.row(one.params, one.cost) for one in pool])

    def _known_rows(self, recipes: Sequence[Recipe]) -> np.ndarray:
        """Features of recipes that were tried; kept, once their costs can be told."""
        for recipe in recipes:
            if recipe not in self._rows and (cost := self._predict(recipe)):
                self._rows[recipe] = self._features.row(recipe.to_params(), cost)
        return np.stack([self._known_row(recipe) for recipe in recipes])

    def _known_row(self, recipe: Recipe) -> np.ndarray:
        row = self._rows.get(recipe)
        return self._features.row(recipe.to_params(), None) if row is None else row


def _running(history: History) -> list[Recipe]:
    return [*history.pending, *history.under_way]


def _with_cost(recipe: Recipe, predict: Predict) -> Candidate:
    return Candidate(recipe.to_params(), recipe, predict(recipe))


def _epochs_beside(own: Recipe, branches: Sequence[Candidate]) -> np.ndarray:
    """Epochs of what each branch adds to the training that it shares, as shares of `own`'s."""
    whole = 1 + own.pruning.training_share + own.quantization.tuning_share
    return np.array([one.recipe.pruning.training_share / whole for one in branches])


def _parents(finished: Sequence[FinishedTrial]) -> list[Mapping[str, Scalar]]:
    """Parameters of the trials that no other betters, and of the three best."""
    if not finished:
        return []
    feasible = [one for one in finished if one.feasible] or list(finished)
    best = sorted(feasible, key=lambda one: -one.utility)[:3]
    values = np.array([(-one.utility, *one.costs) for one in feasible])
    front = [feasible[i] for i in non_dominated(values)]
    return [one.params for one in (*front, *best)]
