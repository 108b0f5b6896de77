"""The choice of a candidate: first the most different one, later the best expected improvement."""

from collections.abc import Mapping, Sequence
from itertools import chain, islice

import numpy as np

from search.samplers.acquisition import scores
from search.samplers.candidates import Candidate, Candidates
from search.samplers.history import FinishedTrial, History
from search.samplers.knowledge import Knowledge, Outlook
from search.samplers.proposal_batch import ProposalBatch
from search.surrogate.features import squared_differences
from spaces.axes.distillation import Distillation
from spaces.axes.training import Training
from spaces.distributions import Distribution, FloatRange, IntRange
from spaces.recipe import Recipe

# This many trials explore the space before the surrogate chooses candidates.
_START = 5
_CANDIDATES = 300
# The number of best candidates that are mutated, and the number of all their mutants.
_REFINED, _REFINEMENTS = 6, 60
# The maximum number of earlier recipes to differ from.
_REMEMBERED = 600
# These axes do not change a student's cost.
_COSTLESS = (Training.axis, Distillation.axis)


class CandidateChooser:
    """Chooser of candidates, by a surrogate that learns from the trials so far.

    Args:
        distributions: the distributions of the flat parameters.
        knowledge: what is known of the study.
        weight: the weight of the best student, as in `Goal.weight`.
    """

    def __init__(
        self, distributions: Mapping[str, Distribution], knowledge: Knowledge, weight: float
    ) -> None:
        self._middles = {
            key: distribution.at(0.5)
            for key, distribution in distributions.items()
            if isinstance(distribution, FloatRange | IntRange)
            and key.partition(".")[0] in _COSTLESS
        }
        self._knowledge = knowledge
        self._weight = weight
        self._batch: ProposalBatch | None = None

    def choose(self, candidates: Candidates, history: History) -> Candidate:
        """Choose the next recipe; choose a tried recipe only if there is no other."""
        leaders = self._knowledge.leaders(history)
        if not leaders or len(history.ended) + len(history.pending) < _START:
            pool = self._pool(leaders, candidates, history)
            return self._most_different(pool, candidates, history)
        outlook = self._knowledge.outlook(history)
        following = self._batch.next(history, outlook) if self._batch else None
        return following or self._most_promising(leaders, candidates, history, outlook)

    def _pool(
        self, leaders: Sequence[FinishedTrial], candidates: Candidates, history: History
    ) -> Sequence[Candidate]:
        found = candidates.pool([one.params for one in leaders], _CANDIDATES)
        return self._unlike_tried(candidates.admitted(found, _CANDIDATES), history)

    def _unlike_tried(self, pool: Sequence[Candidate], history: History) -> Sequence[Candidate]:
        """Return the candidates that differ clearly from all tried recipes.

        If there are none, return those that were not tried; if there are none either, return all.
        """
        under_way = set(history.under_way)
        new = [
            one for one in pool if one.recipe not in history.tried and one.recipe not in under_way
        ]
        newest = [*islice(chain(history.under_way, reversed(history.tried)), _REMEMBERED)]
        if not new or not newest:
            return new or pool
        alike = self._knowledge.rows.are_alike(new, newest)
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
        rows = self._knowledge.rows
        columns = rows.shape_columns
        squared = squared_differences(
            rows.of_candidates(pool)[:, columns],
            rows.of(before)[:, columns],
            rows.categorical[columns],
        )
        return pool[int(squared.sum(axis=2).min(axis=1).argmax())]

    def _cheapest(
        self, pool: Sequence[Candidate], candidates: Candidates, history: History
    ) -> Candidate:
        """Return the cheapest candidate of the pool, or of the mutants of its cheapest candidates.

        The cheapest candidate has the largest box between its costs and the worst costs. Parameters
        that change no cost are set to the middle of their ranges.
        """
        best = [pool[i] for i in self._knowledge.cheapest_first(pool)[:_REFINED]]
        mutants = candidates.mutants([one.params for one in best], _REFINEMENTS)
        nearby = [*best, *self._unlike_tried(candidates.fitting(mutants), history)]
        found = nearby[int(self._knowledge.cheapest_first(nearby)[0])]
        params = {key: self._middles.get(key, value) for key, value in found.params.items()}
        centered = Candidate(params, Recipe.from_params(params), found.cost)
        is_known = centered.recipe in history.tried or centered.recipe in history.under_way
        return found if is_known or centered.recipe.conflict() else centered

    def _most_promising(
        self,
        leaders: Sequence[FinishedTrial],
        candidates: Candidates,
        history: History,
        outlook: Outlook,
    ) -> Candidate:
        """Return the candidate of a new pool with the highest score; keep the pool for the next."""
        pool = self._pool(leaders, candidates, history)
        worst = self._knowledge.worst(pool)
        found = self._scores(pool, outlook, worst)
        best = [pool[i] for i in np.argsort(-found, kind="stable")[:_REFINED]]
        mutants = candidates.mutants([one.params for one in best], _REFINEMENTS)
        around = [*best, *self._unlike_tried(candidates.fitting(mutants), history)]
        chosen: Candidate = around[int(self._scores(around, outlook, worst).argmax())]
        self._batch = ProposalBatch(
            self._knowledge,
            [*{one.recipe: one for one in (*pool, *around)}.values()],
            chosen.recipe,
            outlook,
            ended=len(history.ended),
            weight=self._weight,
        )
        return chosen

    def _scores(self, pool: Sequence[Candidate], outlook: Outlook, worst: np.ndarray) -> np.ndarray:
        rows = self._knowledge.rows.of_candidates(pool)
        return scores(
            outlook.surrogate.quantiles(rows),
            self._knowledge.points(pool, worst),
            outlook.front(worst),
            weight=self._weight,
            chances=outlook.chances_of(rows),
        )
