"""The proposer of the next recipe: it searches when a worker is free, or in advance."""

import math
import time
from collections.abc import Callable

from search.progress import Callback
from search.records import Outcome
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe

# The limit of one search, in seconds, while trials wait to report. Measuring one recipe may take
# seconds.
_SHORT_SEARCH_S = 0.3


class Proposer:
    """Proposer of the next recipe, which searches in short steps.

    Args:
        sampler: proposes the recipes.
        callback: receives a line when no recipe is found.
        is_ending: returns whether the search for recipes must stop.
    """

    def __init__(
        self, sampler: Sampler, callback: Callback, *, is_ending: Callable[[], bool]
    ) -> None:
        self._sampler = sampler
        self._callback = callback
        self._is_ending = is_ending
        self._ahead: Recipe | None = None
        self.is_exhausted = False
        """Whether the last search found no recipe, and `look_again` was not called since."""

    def look_ahead(self) -> None:
        """Search for a short time for the recipe that the next `take` returns."""
        if self._ahead is None:
            self._ahead = self._search(time.monotonic() + _SHORT_SEARCH_S)

    def take(self, *, others_wait: bool) -> Recipe | None:
        """Return the next recipe; None if the search found none in time, or none exists.

        Args:
            others_wait: whether running trials may wait to report; if so, the search is short.
        """
        ahead, self._ahead = self._ahead, None
        return ahead or self._search(
            time.monotonic() + _SHORT_SEARCH_S if others_wait else math.inf
        )

    def look_again(self) -> None:
        """Allow a new search: after a new result or a released branch, it may find recipes."""
        self.is_exhausted = False

    def _search(self, until: float) -> Recipe | None:
        while not (self.is_exhausted or self._is_ending()):
            proposal = self._sampler.ask_once()
            if proposal is None:
                self.is_exhausted = True
                self._callback.log(
                    "the sampler finds no new recipe that fits the budget at present"
                )
            elif not isinstance(proposal, Outcome):
                return proposal
            elif time.monotonic() > until:
                break
        return None
