"""Costs that bound others: the least, the largest, and what lies between. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from search.cost_model.estimator import COUNTED
from search.records import Cost
from spaces.recipe import Recipe

# Of the weights' bytes: what a file holds at the least, though equal tensors may be kept once.
_SURELY_STORED = 0.98


def least_of(recipe: Recipe, weights: int, parameters: int, macs: int) -> Cost:
    """The cost of so many weights at the least, in the recipe's number format."""
    bits = 0.0 if recipe.pruning.leaves_zeros else recipe.quantization.least_bits
    size_bytes = int(_SURELY_STORED * weights * bits / 8)
    return Cost(size_bytes=size_bytes, parameters=parameters, macs=macs)


def extreme(costs: list[Cost], pick: Callable[[Iterable[int]], int]) -> Cost | None:
    """Each count's largest or smallest; None where there are no costs."""
    if not costs:
        return None
    return Cost(**{name: pick(getattr(cost, name) for cost in costs) for name in COUNTED})


def between(cost: Cost, floor: Cost | None, ceiling: Cost | None) -> Cost:
    """The cost, no count of it below the floor's or above the ceiling's."""
    counts = {name: getattr(cost, name) for name in COUNTED}
    for name, value in counts.items():
        raised = max(value, getattr(floor, name)) if floor else value
        counts[name] = min(raised, getattr(ceiling, name)) if ceiling else raised
    return replace(cost, **counts)
