"""The probability that recipes meet the floors of the budget, which only their training shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from search.objectives.floors import Floor
from search.samplers.history import EndedTrial
from search.samplers.recipe_rows import RecipeRows
from search.samplers.study_surrogate import StudySurrogate
from search.surrogate.bound_scale import BoundScale
from search.surrogate.surrogate import Surrogate


@dataclass(frozen=True)
class FloorChances:
    """The log-probabilities after some trials.

    Attributes:
        surrogates: for each floor of which a value was measured, a surrogate of its utility, and
            the utility of its bound.
        is_bounded: whether the budget has a floor.
    """

    surrogates: tuple[tuple[Surrogate, float], ...] = ()
    is_bounded: bool = False

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the log-probability that each row's student meets all floors, [rows].

        The values are modelled as independent of each other.
        """
        logs = np.zeros(len(rows))
        for surrogate, bound in self.surrogates:
            logs += surrogate.log_chances(rows, bound)
        return logs


class FloorModels:
    """The surrogates of all values with floors, one for each floor.

    Args:
        rows: the features of recipes.
        floors: the budget's floors.
    """

    def __init__(self, rows: RecipeRows, floors: Sequence[Floor]) -> None:
        self._models = [
            (floor, StudySurrogate(rows, partial(BoundScale, bound=floor.utility)))
            for floor in floors
        ]

    def after(self, ended: Sequence[EndedTrial]) -> FloorChances:
        """Return the probabilities after these trials; those of an earlier call come first."""
        surrogates = []
        for floor, model in self._models:
            known = [one for trial in ended if (one := trial.on_floor(floor.name)) is not None]
            if known:
                surrogates.append((model.after(known), floor.utility))
        return FloorChances(tuple(surrogates), is_bounded=bool(self._models))
