"""Features: recipes as numbers, the columns between which a surrogate measures distance."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search.objectives.limits import MACS, PARAMETERS
from search.records import Cost
from spaces.distributions import Distribution, FloatRange, IntRange, OneOf, Scalar

# The value of a number whose method was not chosen; the method's own column marks such recipes.
_ABSENT = 0.5
# Listed numbers that span more than this factor are compared on a log scale.
_WIDE = 8.0


class FeatureColumn(Protocol):
    """One number of each recipe."""

    @property
    def categorical(self) -> bool:
        """Whether values are codes, which are equal or not, rather than near or far."""

    def value(self, params: Mapping[str, Scalar]) -> float:
        """Return the recipe's number."""


@dataclass(frozen=True)
class NumericFeature:
    """A parameter's place in its range, from 0 to 1."""

    key: str
    low: float
    high: float
    log: bool
    categorical: bool = False

    def value(self, params: Mapping[str, Scalar]) -> float:
        if self.key not in params:
            return _ABSENT
        value = float(params[self.key])
        if self.log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class CategoryCode:
    """The group of options that a parameter belongs to; -1 where it is absent or in no group."""

    key: str
    codes: Mapping[Scalar, int]
    categorical: bool = True

    def value(self, params: Mapping[str, Scalar]) -> float:
        return float(self.codes.get(params.get(self.key, ""), -1))


class Features:
    """Features of recipes and their costs, as rows.

    The first columns are log10 of the parameters and of the MACs. Then comes every parameter that
    varies in the space, numbers by their place in their range and names by a code. Where several
    names share a family, such as `mobilenetv3` of `mobilenetv3_small_050`, it has a column, too.

    Args:
        distributions: of the flat parameters, as `SearchSpace.distributions` returns them.
    """

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        self._columns: list[FeatureColumn] = []
        for key, distribution in distributions.items():
            if distribution.count() > 1:
                self._columns += _columns(key, distribution)
        self.categorical = np.array([False, False, *(one.categorical for one in self._columns)])

    @property
    def shape_columns(self) -> np.ndarray:
        """The columns that describe shape and cost: all but the parameters' numbers."""
        shape: np.ndarray = self.categorical.copy()
        shape[:2] = True
        return shape

    def row(self, params: Mapping[str, Scalar], cost: Cost | None) -> np.ndarray:
        """Return a recipe's features, [columns]; unknown counts are taken as a million."""
        known = cost or {}
        counts = [math.log10(max(known.get(one.cost, 10**6), 1)) for one in (PARAMETERS, MACS)]
        return np.array([*counts, *(column.value(params) for column in self._columns)])


def family(name: str) -> str:
    """Return the first word of a network's name that is not `test`, such as `mobilenetv3`."""
    words = [word for word in re.split(r"[_.]", name) if word != "test"]
    return words[0] if words else name


def squared_differences(
    rows: np.ndarray, others: np.ndarray, categorical: np.ndarray
) -> np.ndarray:
    """Return by column: the squared difference of numbers, and whether codes differ.

    Args:
        rows: [n, columns].
        others: [m, columns].
        categorical: which columns hold codes, [columns].

    Returns:
        [n, m, columns].
    """
    differences: np.ndarray = rows[:, None, :] - others[None, :, :]
    np.multiply(differences, differences, out=differences)
    differences[:, :, categorical] = differences[:, :, categorical] > 0
    return differences


def _columns(key: str, distribution: Distribution) -> list[FeatureColumn]:
    if isinstance(distribution, FloatRange | IntRange):
        return [NumericFeature(key, distribution.low, distribution.high, distribution.log)]
    assert isinstance(distribution, OneOf)
    options = distribution.options
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in options):
        numbers = [float(one) for one in options]
        low, high = min(numbers), max(numbers)
        return [NumericFeature(key, low, high, log=low > 0 and high / low > _WIDE)]
    return _codes(key, options)


def _codes(key: str, options: Sequence[Scalar]) -> list[FeatureColumn]:
    own: list[FeatureColumn] = [CategoryCode(key, {option: i for i, option in enumerate(options)})]
    families = sorted({family(str(option)) for option in options})
    if 1 < len(families) < len(options):
        groups = {option: families.index(family(str(option))) for option in options}
        own.append(CategoryCode(key, groups))
    return own
