"""Bounds on costs: the least, the largest, and values clipped between them. Pure."""

from collections.abc import Callable, Iterable, Sequence

from search.objectives.limit import Scaling
from search.objectives.limits import SIZE, limits
from search.records import Cost
from spaces.recipe import Recipe

# A share of the weights' bytes: the least that a file holds, though equal tensors may be kept once.
_SURELY_STORED = 0.98


def counted(cost: Cost) -> Cost:
    """Return the part of a cost that is counted, not timed."""
    names = {limit.cost for limit in limits().values() if not limit.is_timed}
    return {name: value for name, value in cost.items() if name in names}


def without_file(cost: Cost) -> Cost:
    """Return the part of a cost that doesn't depend on the number format."""
    names = {limit.cost for limit in limits().values() if limit.scaling is Scaling.FILE}
    return {name: value for name, value in cost.items() if name not in names}


def least_of(recipe: Recipe, weights: int, operations: Cost) -> Cost:
    """Return the least cost of this many weights in the recipe's number format.

    Without bytes where the format bounds none.

    Args:
        recipe: the recipe of the student.
        weights: numbers in tensors of two dimensions or more.
        operations: the counts of the network alone.
    """
    bits = 0.0 if recipe.pruning.leaves_zeros else recipe.quantization.least_bits
    stored = int(_SURELY_STORED * weights * bits / 8)
    return {**operations, SIZE.cost: stored} if stored else operations


def extreme(costs: Sequence[Cost], pick: Callable[[Iterable[float]], float]) -> Cost:
    """Pick each count's largest or smallest; leave out counts that none of the costs has."""
    counts = [counted(cost) for cost in costs]
    names = dict.fromkeys(name for cost in counts for name in cost)
    return {name: pick(cost[name] for cost in counts if name in cost) for name in names}


def between(cost: Cost, floor: Cost, ceiling: Cost) -> Cost:
    """Return the cost with each count clipped between the floor's and the ceiling's."""
    found = dict(cost)
    for name, value in counted(cost).items():
        raised = max(value, floor.get(name, value))
        found[name] = min(raised, ceiling.get(name, raised))
    return found
