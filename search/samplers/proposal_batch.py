"""Several proposals from one pool of candidates, while no trial ends between them."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from search.samplers.acquisition import scores
from search.samplers.candidates import Candidate
from search.samplers.features import are_alike
from search.samplers.history import History
from search.samplers.outlook import Outlook, StudyOutlook
from search.samplers.surrogate import JointPrediction, Surrogate

# The number of proposals from one pool.
_MOST = 16


class ProposalBatch:
    """The pool of a proposal, from which further recipes are chosen while no trial ends.

    Each choice is assumed to reach its expected utility before the next one.

    Args:
        study: the outlook of the study.
        pool: the candidates.
        first: the candidate of the pool that is chosen already.
        surrogate: the surrogate before this choice.
        ended: the number of trials that had ended.
        weight: the weight of the best student, as in `Goal.weight`.
    """

    def __init__(
        self,
        study: StudyOutlook,
        pool: Sequence[Candidate],
        first: Candidate,
        surrogate: Surrogate,
        *,
        ended: int,
        weight: float,
    ) -> None:
        self._study = study
        self._pool = pool
        self._first = pool.index(first)
        self._surrogate = surrogate
        self._ended = ended
        self._weight = weight
        self._chosen = 1

    @cached_property
    def _rows(self) -> np.ndarray:
        return self._study.rows.of_candidates(self._pool)

    @cached_property
    def _joint(self) -> JointPrediction:
        joint = self._surrogate.joint(self._rows)
        joint.believe(self._first)
        return joint

    @cached_property
    def _is_left(self) -> np.ndarray:
        return ~self._alike(self._first)

    def next(self, history: History, outlook: Outlook) -> Candidate | None:
        """Return the next choice; None if the pool is used up, or a trial has ended.

        Args:
            history: the history so far, with the recipes that were chosen before.
            outlook: the present outlook.
        """
        if len(history.ended) != self._ended or self._chosen == _MOST:
            return None
        worst = self._study.worst(self._pool)
        costs = self._study.costs.of_candidates(self._pool, worst)
        found = scores(self._joint.quantiles(), costs, outlook.front(worst), weight=self._weight)
        for place in map(int, np.argsort(-found, kind="stable")):
            one = self._pool[place]
            is_new = one.recipe not in history.tried and one.recipe not in outlook.running
            if self._is_left[place] and is_new:
                self._joint.believe(place)
                self._is_left &= ~self._alike(place)
                self._chosen += 1
                return one
        return None

    def _alike(self, place: int) -> np.ndarray:
        """Return which candidates are almost the one at the place, [candidates]."""
        one = self._rows[place : place + 1]
        return are_alike(self._rows, one, self._study.rows.categorical)
