"""Lower and upper bounds on costs, and values clipped between them. Pure."""

from collections.abc import Callable, Iterable, Sequence

from search.objectives.limit import Scaling
from search.objectives.limits import SIZE, limits
from search.records import Cost
from spaces.recipe import Recipe

# The share of the weights' bytes that every file contains: equal tensors may be stored only once.
_LEAST_STORED_SHARE = 0.98


def counted(cost: Cost) -> Cost:
    """Return the values of a cost that are counted, not timed."""
    names = {limit.cost for limit in limits().values() if not limit.is_timed}
    return {name: value for name, value in cost.items() if name in names}


def without_file(cost: Cost) -> Cost:
    """Return the values of a cost that don't depend on the number format."""
    names = {limit.cost for limit in limits().values() if limit.scaling is Scaling.FILE}
    return {name: value for name, value in cost.items() if name not in names}


def least_of(recipe: Recipe, weights: int, operations: Cost) -> Cost:
    """Return a lower bound on the cost of a network with this many weights.

    Args:
        recipe: the student's recipe, with its number format.
        weights: the number of weights in tensors of two dimensions or more.
        operations: the parameters and MACs of the network.

    Returns:
        The cost; without bytes if the format has no lower bound on them.
    """
    bits = 0.0 if recipe.pruning.leaves_zeros else recipe.quantization.least_bits
    stored = int(_LEAST_STORED_SHARE * weights * bits / 8)
    return {**operations, SIZE.cost: stored} if stored else operations


def extreme(costs: Sequence[Cost], pick: Callable[[Iterable[float]], float]) -> Cost:
    """Return the maximum or minimum of each counted value that any of the costs has."""
    counts = [counted(cost) for cost in costs]
    names = dict.fromkeys(name for cost in counts for name in cost)
    return {name: pick(cost[name] for cost in counts if name in cost) for name in names}


def between(cost: Cost, floor: Cost, ceiling: Cost) -> Cost:
    """Return the cost with each counted value clipped between those of `floor` and `ceiling`."""
    found = dict(cost)
    for name, value in counted(cost).items():
        raised = max(value, floor.get(name, value))
        found[name] = min(raised, ceiling.get(name, raised))
    return found
