"""What a worker is told of a trial. It imports no sampler, so that workers start the sooner."""

from dataclasses import dataclass

from search.records import Cost
from spaces.recipe import Recipe


@dataclass(frozen=True)
class Dispatch:
    """A trial to run: its number, its recipe, what it is known to cost, and its branches.

    Of the branches that are doubtful nothing tells whether they fit the budget.
    """

    number: int
    recipe: Recipe
    seed: int
    foreseen: Cost | None
    branches: tuple[Recipe, ...]
    doubtful: frozenset[Recipe]
