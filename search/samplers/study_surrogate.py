"""The surrogate of a study, which learns from each trial and is fitted again as they grow."""

from collections.abc import Sequence

import numpy as np

from search.samplers.endings import Endings
from search.samplers.history import EndedTrial, FinishedTrial
from search.samplers.recipe_rows import RecipeRows
from search.surrogate.logit_scale import from_logits
from search.surrogate.surrogate import MakeScale, Surrogate
from search.surrogate.utility_scale import UtilityScale

# The hyperparameters are fitted again after this share of further trials, but at most this many.
_GROWTH_SHARE, _MOST_GROWTH = 1 / 10, 100


class StudySurrogate:
    """The surrogate after the trials so far.

    Its hyperparameters are fitted to the first trials that ended, up to the last milestone. They
    therefore depend on the trials and their order, and not on when they were asked for.

    Args:
        rows: the features of recipes.
        scale: makes the scale of the surrogate's targets.
    """

    def __init__(self, rows: RecipeRows, scale: MakeScale = UtilityScale) -> None:
        self._rows = rows
        self._scale = scale
        self._endings = Endings()
        self._known = 0
        self._fitted: Surrogate | None = None
        self._fitted_to = 0
        self._learned: Surrogate | None = None

    def after(self, ended: Sequence[EndedTrial]) -> Surrogate:
        """Return the surrogate that has learned from all of the trials.

        Args:
            ended: the trials in the order in which they ended; at least one. Those of an earlier
                call come first.
        """
        count = last_milestone(len(ended))
        if self._fitted is None or count != self._fitted_to:
            self._learn_curves(ended[:count])
            observed = self._observations(ended[:count])
            self._learned = self._fitted = Surrogate(*observed, self._rows.categorical, self._scale)
            self._fitted_to = count
        if self._learned is None or self._known != len(ended):
            self._learn_curves(ended)
            self._learned = self._fitted.learning(*self._observations(ended[count:]))
        return self._learned

    def _learn_curves(self, ended: Sequence[EndedTrial]) -> None:
        new = ended[self._known :]
        self._endings.add(one for one in new if isinstance(one, FinishedTrial))
        self._known = len(ended)

    def _observations(
        self, trials: Sequence[EndedTrial]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, utilities and variances; those of stopped trials are predicted."""
        utilities, variances = [], []
        for one in trials:
            if isinstance(one, FinishedTrial):
                utilities.append(one.utility)
                variances.append(0.0)
            else:
                ending = self._endings.of(one)
                utilities.append(float(from_logits(np.array(ending.logit))))
                variances.append(ending.variance)
        rows = self._rows.of([one.recipe for one in trials])
        return rows, np.array(utilities), np.array(variances)


def last_milestone(count: int) -> int:
    """Return the last number of trials, up to `count`, at which the hyperparameters are fitted."""
    milestone = min(count, 1)
    while (following := milestone + _growth(milestone)) <= count:
        milestone = following
    return milestone


def _growth(milestone: int) -> int:
    return min(max(int(milestone * _GROWTH_SHARE), 1), _MOST_GROWTH)
