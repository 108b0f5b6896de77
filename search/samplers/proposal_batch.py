"""Several proposals from one pool of candidates, while no trial ends between them."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from search.samplers.acquisition import scores
from search.samplers.candidates import Candidate
from search.samplers.history import History
from search.samplers.knowledge import Knowledge, Outlook
from search.surrogate.surrogate import JointPrediction
from spaces.recipe import Recipe

# The number of proposals from one pool.
_MOST = 16


class ProposalBatch:
    """The pool of a proposal, from which further recipes are chosen while no trial ends.

    Each choice is assumed to reach its expected utility before the next one.

    Args:
        knowledge: what is known of the study.
        pool: the candidates; their recipes differ.
        first: the recipe of the pool that is chosen already.
        outlook: the outlook before this choice.
        ended: the number of trials that had ended.
        weight: the weight of the best student, as in `Goal.weight`.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        pool: Sequence[Candidate],
        first: Recipe,
        outlook: Outlook,
        *,
        ended: int,
        weight: float,
    ) -> None:
        self._knowledge = knowledge
        self._pool = pool
        self._chosen = [first]
        self._before = outlook
        self._seen = frozenset(outlook.running)
        self._ended = ended
        self._weight = weight
        self._is_left = np.ones(len(pool), bool)

    @cached_property
    def _rows(self) -> np.ndarray:
        return self._knowledge.rows.of_candidates(self._pool)

    @cached_property
    def _joint(self) -> JointPrediction:
        joint = self._before.surrogate.joint(self._rows)
        joint.believe([one.recipe for one in self._pool].index(self._chosen[0]))
        return joint

    def next(self, history: History, outlook: Outlook) -> Candidate | None:
        """Return the next choice; None if a new pool is needed.

        That is so if the pool is used up, if a trial has ended, if an earlier choice does not run,
        for example because it broke the budget, or if a cost is unknown, which a proposal with a
        new pool may measure.

        Args:
            history: the history so far, with the recipes that were chosen before.
            outlook: the present outlook.
        """
        is_old = len(history.ended) != self._ended or len(self._chosen) == _MOST
        is_doubtful = any(one.cost is None for one in self._pool)
        if is_old or is_doubtful or not outlook.running.keys() >= {*self._chosen}:
            return None
        self._drop_like(frozenset(outlook.running))
        worst = self._knowledge.worst(self._pool)
        points = self._knowledge.points(self._pool, worst)
        found = scores(
            self._joint.quantiles(),
            points,
            outlook.front(worst),
            weight=self._weight,
            chances=outlook.chances_of(self._rows),
        )
        for place in map(int, np.argsort(-found, kind="stable")):
            one = self._pool[place]
            if self._is_left[place] and one.recipe not in history.tried:
                self._joint.believe(place)
                self._chosen.append(one.recipe)
                return one
        return None

    def _drop_like(self, running: frozenset[Recipe]) -> None:
        """Drop the candidates that are almost a recipe that runs since the last call."""
        if new := running - self._seen:
            self._is_left &= ~self._knowledge.rows.are_alike(self._pool, [*new])
            self._seen = running
