"""The choice of the branches of a student: those with the largest expected improvement."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from search.samplers.acquisition import Chances, ParetoFront, weighted_improvements
from search.samplers.candidates import Candidate, Predict
from search.samplers.history import History
from search.samplers.knowledge import Knowledge
from spaces.recipe import Recipe

# A branch is not made if its expected improvement is below this share of the best branch's.
_LEAST_SHARE = 0.05


class BranchChooser:
    """Chooser of branches.

    Args:
        knowledge: what is known of the study.
        predict: predicts a recipe's cost.
        weight: the weight of the best student, as in `Goal.weight`.
    """

    def __init__(self, knowledge: Knowledge, predict: Predict, weight: float) -> None:
        self._knowledge = knowledge
        self._predict = predict
        self._weight = weight

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
        pool = [self._with_cost(recipe) for group in groups for recipe in group]
        if not pool:
            return []
        group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        if not self._knowledge.leaders(history):
            # Without known costs, this is the last group, which has the strongest pruning.
            return list(groups[group_of[::-1][self._knowledge.cheapest_first(pool[::-1])[0]]])
        itself = self._with_cost(own)
        worst = self._knowledge.worst([itself, *pool])
        costs = self._knowledge.points([itself, *pool], worst)
        rows = self._knowledge.rows.of_candidates([itself, *pool])
        outlook = self._knowledge.outlook(history)
        before, front = outlook.learned.quantiles(rows[:1]), outlook.front(worst, without=own)
        chances = outlook.chances_of(rows[:1])
        improvement = float(self._improvements(before, costs[:1], front, chances)[0])
        enough = improvement * _epochs_beside(own, pool)
        is_new = np.array([one.recipe not in outlook.running for one in pool])
        rows, costs = rows[1:], costs[1:]
        quantiles, expected = outlook.surrogate.quantiles(rows), outlook.surrogate.expected(rows)
        chances, is_likely = outlook.chances_of(rows), outlook.are_likely(rows)
        front = outlook.front(worst)
        chosen: list[int] = []
        least = 0.0
        for _ in range(count):
            scores = self._improvements(quantiles, costs, front, chances)
            scores[np.isin(group_of, group_of[chosen]) | (scores < enough) | ~is_new] = 0.0
            least = least or _LEAST_SHARE * float(scores.max())
            best = np.flatnonzero((group_of == group_of[scores.argmax()]) & (scores > least))
            if not len(best):
                break
            chosen += [int(place) for place in best[np.argsort(-scores[best])]]
            likely = best[is_likely[best]]
            front = replace(
                front,
                utilities=np.append(front.utilities, expected[likely]),
                costs=np.concatenate([front.costs, costs[likely]]),
            )
        return [pool[place].recipe for place in chosen]

    def _improvements(
        self,
        utilities: np.ndarray,
        costs: np.ndarray,
        front: ParetoFront,
        chances: Chances | None,
    ) -> np.ndarray:
        found = weighted_improvements(utilities, costs, front, weight=self._weight)
        return found if chances is None else chances.constrained(found)

    def _with_cost(self, recipe: Recipe) -> Candidate:
        return Candidate(recipe.to_params(), recipe, self._predict(recipe))


def _epochs_beside(own: Recipe, branches: Sequence[Candidate]) -> np.ndarray:
    """Return the epochs that each branch adds to the trial, as shares of `own`'s epochs."""
    whole = 1 + own.pruning.training_share + own.quantization.tuning_share
    return np.array([one.recipe.pruning.training_share / whole for one in branches])
