"""The proposer of the next recipe: it searches when a worker is free, or before."""

import math
import time
from collections.abc import Callable

from search.progress import Callback
from search.records import Outcome
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe

# The longest search at a time while others wait: to measure one recipe may take seconds.
_AT_A_TIME_S = 0.3


class Proposer:
    """Proposer of the next recipe, which searches in short steps.

    Args:
        sampler: proposes the recipes.
        callback: is told when nothing is left.
        is_ending: whether the search for recipes must stop.
    """

    def __init__(
        self, sampler: Sampler, callback: Callback, *, is_ending: Callable[[], bool]
    ) -> None:
        self._sampler = sampler
        self._callback = callback
        self._is_ending = is_ending
        self._ahead: Recipe | None = None
        self.is_exhausted = False
        """Whether the last search found nothing, and no result since may lead to more."""

    def look_ahead(self) -> None:
        """Search for a while for the recipe that `take` is to return."""
        if self._ahead is None:
            self._ahead = self._found(time.monotonic() + _AT_A_TIME_S)

    def take(self, *, others_wait: bool) -> Recipe | None:
        """Return the next recipe; None where none was found, for now or at all.

        Args:
            others_wait: whether running trials may report meanwhile: the search is short then.
        """
        ahead, self._ahead = self._ahead, None
        return ahead or self._found(time.monotonic() + _AT_A_TIME_S if others_wait else math.inf)

    def look_again(self) -> None:
        """Note that there may be recipes now, where there were none."""
        self.is_exhausted = False

    def _found(self, until: float) -> Recipe | None:
        while not (self.is_exhausted or self._is_ending()):
            found = self._sampler.ask_once()
            if found is None:
                self.is_exhausted = True
                self._callback.log("no recipe is found now that is new and fits the budget")
            elif not isinstance(found, Outcome):
                return found
            elif time.monotonic() > until:
                break
        return None
