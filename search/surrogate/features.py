"""Features: recipes as rows of numbers, for the distances of a surrogate."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search.objectives.limits import MACS, PARAMETERS
from search.records import Cost
from spaces.distributions import Distribution, FloatRange, IntRange, OneOf, Scalar

# The feature of a parameter whose method was not chosen; the method's own column marks this.
_ABSENT = 0.5
# Options that are numbers and span more than this factor are compared on a log scale.
_WIDE = 8.0
# Recipes with the same methods count as alike if each number differs by less than this share of its
# range.
_NEAR = 0.03
COUNTS = 2
"""The number of the columns of counts, which come first: parameters and MACs."""


class FeatureColumn(Protocol):
    """A column of features: one number for each recipe."""

    @property
    def categorical(self) -> bool:
        """Whether values are codes: two codes are only equal or different."""

    def value(self, params: Mapping[str, Scalar]) -> float:
        """Return the recipe's feature."""


@dataclass(frozen=True)
class NumericFeature:
    """The position of a number parameter in its range, from 0 to 1."""

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
    """The code of a parameter's option or group of options; -1 if it is absent."""

    key: str
    codes: Mapping[Scalar, int]
    categorical: bool = True

    def value(self, params: Mapping[str, Scalar]) -> float:
        return float(self.codes.get(params.get(self.key, ""), -1))


class Features:
    """Features of recipes and their costs, as rows.

    The first two columns are log10 of the number of parameters and of the MACs. The others are the
    flat parameters that vary in the space: numbers by their position in their range, names by a
    code. If several names share a family, such as `mobilenetv3` for `mobilenetv3_small_050`, the
    family has a column too.

    Args:
        distributions: the distributions of the flat parameters, from `SearchSpace.distributions`.
    """

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        self._columns: list[FeatureColumn] = []
        for key, distribution in distributions.items():
            if distribution.count() > 1:
                self._columns += _columns(key, distribution)
        self.categorical = np.array([False, False, *(one.categorical for one in self._columns)])

    @property
    def shape_columns(self) -> np.ndarray:
        """A mask of the columns that describe shape and cost: all except numeric parameters."""
        shape: np.ndarray = self.categorical.copy()
        shape[:COUNTS] = True
        return shape

    def row(self, params: Mapping[str, Scalar], cost: Cost | None) -> np.ndarray:
        """Return a recipe's features, [columns]; an unknown count is assumed to be a million."""
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
    """Return the squared difference in each column; for codes, 1 if they differ, else 0.

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


def are_alike(rows: np.ndarray, others: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """Return whether each row is almost one of the others, whatever their costs, [rows].

    Args:
        rows: [n, columns].
        others: [m, columns].
        categorical: which columns hold codes, [columns].
    """
    own = slice(COUNTS, None)
    squared = squared_differences(rows[:, own], others[:, own], categorical[own])
    alike: np.ndarray = (squared.max(axis=2, initial=0.0) < _NEAR**2).any(axis=1)
    return alike


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
