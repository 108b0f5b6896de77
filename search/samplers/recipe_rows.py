"""The features of tried recipes, which are computed once."""

from collections.abc import Sequence

import numpy as np

from search.samplers.candidates import Candidate, Predict
from search.surrogate.features import Features, are_alike
from spaces.recipe import Recipe


class RecipeRows:
    """Rows of features; those of tried recipes are cached as soon as their costs are known.

    Args:
        features: computes the rows.
        predict: predicts a recipe's cost.
    """

    def __init__(self, features: Features, predict: Predict) -> None:
        self._features = features
        self._predict = predict
        self._known: dict[Recipe, np.ndarray] = {}

    @property
    def categorical(self) -> np.ndarray:
        """Which columns hold codes, [columns]."""
        return self._features.categorical

    @property
    def shape_columns(self) -> np.ndarray:
        """Which columns describe shape and cost, [columns]."""
        return self._features.shape_columns

    def of(self, recipes: Sequence[Recipe]) -> np.ndarray:
        """Return the features of tried recipes, [recipes, columns]."""
        return np.stack([self._row(recipe) for recipe in recipes])

    def of_candidates(self, pool: Sequence[Candidate]) -> np.ndarray:
        """Return the features of candidates, [candidates, columns]."""
        return np.stack([self._features.row(one.params, one.cost) for one in pool])

    def are_alike(self, pool: Sequence[Candidate], recipes: Sequence[Recipe]) -> np.ndarray:
        """Return whether each candidate is almost one of the tried recipes, [candidates]."""
        return are_alike(self.of_candidates(pool), self.of(recipes), self.categorical)

    def _row(self, recipe: Recipe) -> np.ndarray:
        known = self._known.get(recipe)
        if known is not None:
            return known
        cost = self._predict(recipe)
        row = self._features.row(recipe.to_params(), cost)
        if cost:
            self._known[recipe] = row
        return row
