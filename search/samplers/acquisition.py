"""By how much a recipe would push out the frontier, its cost being known and its accuracy not."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class ParetoFront:
    """What is dominated so far.

    Attributes:
        accuracies: [points]; dominated points may be among them.
        costs: [points, 2], bytes and milliseconds, or any two costs of which less is better.
        least_accuracy: at which gains begin.
        worst_costs: [2], at which gains end.
    """

    accuracies: np.ndarray
    costs: np.ndarray
    least_accuracy: float
    worst_costs: np.ndarray


def non_dominated(values: np.ndarray) -> np.ndarray:
    """Indices of the rows, [rows, columns], than which no other is better; less is better.

    Of equal rows the first is kept. Ordered by the columns, the first one first.
    """
    kept: list[int] = []
    for i in np.lexsort(values.T[::-1]):
        if not (values[kept] <= values[i]).all(axis=1).any():
            kept.append(int(i))
    return np.array(kept, dtype=int)


def expected_improvements(
    accuracies: np.ndarray, costs: np.ndarray, front: ParetoFront
) -> np.ndarray:
    """Expected growth of the dominated volume, as a share of all volume below the worst costs.

    Since costs are known, the volume's growth is the integral over all costs that are no better,
    of how far the recipe's accuracy lies above the best one that is to be had at those costs. That
    best accuracy is constant between the front's coordinates, so the integral is a sum over
    cells; it is exact for the given accuracies.

    Args:
        accuracies: equally likely ones of each recipe, such as quantiles, [recipes, draws].
        costs: of each recipe, [recipes, 2].
        front: what it is compared with.

    Returns:
        [recipes], at least 0.

    Source: Emmerich, Giannakoglou and Naujoks 2006, Single- and Multiobjective Evolutionary
    Optimization Assisted by Gaussian Random Field Metamodels (the criterion); the cells as in Yang
    et al. 2019, Efficient Computation of Expected Hypervolume Improvement, here with two of three
    objectives certain.
    """
    front = _without_dominated(front)
    edges = [_edges(front.costs[:, axis], front.worst_costs[axis]) for axis in (0, 1)]
    levels, which = np.unique(_best_accuracies(front, edges), return_inverse=True)
    # [recipes, levels], and the overlap of each recipe's quadrant with each cell, by axis.
    gains = np.stack([np.maximum(accuracies - level, 0.0).mean(axis=1) for level in levels], axis=1)
    sizes, latencies = (_overlaps(costs[:, axis], edges[axis]) for axis in (0, 1))
    by_level = np.zeros_like(gains)
    cells = which.reshape(len(edges[0]) - 1, len(edges[1]) - 1)
    for level in range(len(levels)):
        areas = sizes @ (cells == level).astype(float)
        by_level[:, level] = np.einsum("nj,nj->n", areas, latencies)
    growth: np.ndarray = np.einsum("nl,nl->n", by_level, gains)
    return growth / float(np.prod(front.worst_costs))


def leads(accuracies: np.ndarray, costs: np.ndarray, front: ParetoFront) -> np.ndarray:
    """By how much each recipe is more accurate than all that was had at no higher costs.

    Args:
        accuracies: one of each recipe, [recipes].
        costs: of each recipe, [recipes, 2].
        front: what it is compared with.

    Returns:
        [recipes]; below 0 where a point of the front dominates the recipe.
    """
    cheaper = (front.costs[None] <= costs[:, None]).all(axis=2)
    had = np.where(cheaper, front.accuracies, front.least_accuracy)
    lead: np.ndarray = accuracies - had.max(axis=1, initial=front.least_accuracy)
    return lead


def _without_dominated(front: ParetoFront) -> ParetoFront:
    kept = non_dominated(np.column_stack([-front.accuracies, front.costs]))
    return replace(front, accuracies=front.accuracies[kept], costs=front.costs[kept])


def _edges(values: np.ndarray, worst: float) -> np.ndarray:
    """Where cells begin and end: at 0, at each value below the worst, and at the worst."""
    inside = values[(values > 0) & (values < worst)]
    return np.concatenate([[0.0], np.unique(inside), [worst]])


def _best_accuracies(front: ParetoFront, edges: list[np.ndarray]) -> np.ndarray:
    """The best accuracy at the lower corner of each cell, [cells by size, cells by latency]."""
    best = np.full([len(axis) - 1 for axis in edges], front.least_accuracy)
    for accuracy, (size, latency) in zip(front.accuracies, front.costs, strict=True):
        row = int(np.searchsorted(edges[0], size))
        column = int(np.searchsorted(edges[1], latency))
        beyond = best[row:, column:]
        np.maximum(beyond, accuracy, out=beyond)
    return best


def _overlaps(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How much of each cell lies above each value, [values, cells]."""
    lows = np.maximum(edges[None, :-1], values[:, None])
    overlap: np.ndarray = np.maximum(edges[None, 1:] - lows, 0.0)
    return overlap
