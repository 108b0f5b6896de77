"""The expected hypervolume improvement by a recipe with known costs and uncertain utility."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from search.objectives.dominance import non_dominated

# With more than two costs there are too many cells: the volume is sampled at this many points.
_SAMPLES = 1024
# The weight of an improvement beside the chance, while no student is within the budget.
_BESIDE_CHANCE = 1e-6
# The weight of a lead beside an improvement.
_BESIDE_IMPROVEMENT = 1e-9


@dataclass(frozen=True)
class ParetoFront:
    """The points of the students so far, with the corner of the box that limits the hypervolume.

    Attributes:
        utilities: [points]; dominated points may be among them.
        costs: [points, costs], one to four costs; less is better.
        least_utility: utilities up to this one add no hypervolume.
        worst_costs: [costs]; costs from these on add no hypervolume.
    """

    utilities: np.ndarray
    costs: np.ndarray
    least_utility: float
    worst_costs: np.ndarray


def expected_improvements(
    utilities: np.ndarray, costs: np.ndarray, front: ParetoFront
) -> np.ndarray:
    """Return the expected growth of the dominated hypervolume by each recipe.

    The growth is a share of the whole volume below the worst costs. Because the costs are known, it
    is an integral over all points of the cost space at which every cost is at least the recipe's
    cost. The integrand is the recipe's utility minus the front's best utility at this point; a
    negative difference counts as 0. The front's best utility is constant between the coordinates of
    its points. With one or two costs, the integral is therefore a sum over cells, and exact for the
    given utilities. With more costs, it is the mean over evenly spread points of the box below the
    worst costs.

    Args:
        utilities: equally likely utilities of each recipe, such as quantiles, [recipes, draws].
        costs: the costs of each recipe, [recipes, costs].
        front: the points to compare with.

    Returns:
        [recipes], at least 0.

    Source: Emmerich, Giannakoglou and Naujoks 2006, Single- and Multiobjective Evolutionary
    Optimization Assisted by Gaussian Random Field Metamodels (the criterion); the cells as in Yang
    et al. 2019, Efficient Computation of Expected Hypervolume Improvement, here with all objectives
    but one certain.
    """
    front = _without_dominated(front)
    if costs.shape[1] > 2:
        return _sampled_improvements(utilities, costs, front)
    edges = [
        _edges(front.costs[:, axis], front.worst_costs[axis]) for axis in range(costs.shape[1])
    ]
    levels, which = np.unique(_best_utilities(front, edges), return_inverse=True)
    # [recipes, levels], and the overlap of each recipe's dominated region with each cell, by axis.
    gains = np.stack([np.maximum(utilities - level, 0.0).mean(axis=1) for level in levels], axis=1)
    overlaps = [_overlaps(costs[:, axis], edges[axis]) for axis in range(costs.shape[1])]
    if len(overlaps) == 1:
        overlaps.append(np.ones((len(costs), 1)))
    by_level = np.zeros_like(gains)
    cells = which.reshape(overlaps[0].shape[1], overlaps[1].shape[1])
    for level in range(len(levels)):
        areas = overlaps[0] @ (cells == level).astype(float)
        by_level[:, level] = np.einsum("nj,nj->n", areas, overlaps[1])
    growth: np.ndarray = np.einsum("nl,nl->n", by_level, gains)
    return growth / float(np.prod(front.worst_costs))


def weighted_improvements(
    utilities: np.ndarray, costs: np.ndarray, front: ParetoFront, *, weight: float
) -> np.ndarray:
    """Return the expected improvement for a person whose budget is not quite certain.

    With the probability `weight`, the person wants the best student within the worst costs; else,
    the best within smaller costs, evenly spread below the worst ones. The first is the expected
    improvement of the best utility, the second that of the hypervolume.

    Args:
        utilities: as for `expected_improvements`.
        costs: as for `expected_improvements`.
        front: the points to compare with.
        weight: from 0 (the frontier) to 1 (the best student).

    Returns:
        [recipes], in utility, at least 0.

    Source: Jones, Schonlau and Welch 1998, Efficient Global Optimization of Expensive Black-Box
    Functions (the expected improvement); Zitzler, Brockhoff and Thiele 2007, The Hypervolume
    Indicator Revisited (weights on the space of the hypervolume).
    """
    inside = (front.costs <= front.worst_costs).all(axis=1)
    best = front.utilities[inside].max(initial=front.least_utility)
    gains = np.maximum(utilities - best, 0.0).mean(axis=1)
    gains[(costs > front.worst_costs).any(axis=1)] = 0.0
    volume = expected_improvements(utilities, costs, front) if weight < 1 else 0.0
    found: np.ndarray = weight * gains + (1 - weight) * volume
    return found


@dataclass(frozen=True)
class Chances:
    """The probabilities that recipes meet the floors of the budget.

    Attributes:
        logs: the logarithms of the probabilities, [recipes].
        has_student: whether any student so far is within the budget.
    """

    logs: np.ndarray
    has_student: bool

    @property
    def values(self) -> np.ndarray:
        """The probabilities, [recipes]."""
        values: np.ndarray = np.exp(self.logs)
        return values

    def constrained(self, improvements: np.ndarray) -> np.ndarray:
        """Return expected improvements that count only if the recipe meets the floors, [recipes].

        While no student is within the budget, the probability alone counts: the improvement decides
        only between equal ones.

        Source: Gardner et al. 2014, Bayesian Optimization with Inequality Constraints, sections
        3.2 and 3.3.
        """
        # The second one rises with the probability, and tells apart those that are almost 0.
        found: np.ndarray = (
            improvements * self.values
            if self.has_student
            else 1 / (1 - self.logs) + _BESIDE_CHANCE * improvements
        )
        return found


def scores(
    utilities: np.ndarray,
    costs: np.ndarray,
    front: ParetoFront,
    *,
    weight: float,
    chances: Chances | None = None,
) -> np.ndarray:
    """Return the scores of candidates, [candidates]: their expected improvements of the front.

    Without any expected improvement, the candidate that is nearest to the front comes first, and
    likely to meet the floors.

    Args:
        utilities: equally likely utilities of each candidate, ascending, [candidates, draws].
        costs: their coordinates, [candidates, costs].
        front: the front.
        weight: the weight of the best student, as in `Goal.weight`.
        chances: the probabilities that the candidates meet the floors; None without floors.
    """
    lead = leads(utilities[:, -1], costs, front)
    improvements = weighted_improvements(utilities, costs, front, weight=weight)
    if chances is None:
        return improvements + _BESIDE_IMPROVEMENT * lead
    # A candidate that breaks a floor counts as if it had the utility 0: no lead is below -1.
    expected_lead = lead * chances.values - (1 - chances.values)
    found: np.ndarray = chances.constrained(improvements) + _BESIDE_IMPROVEMENT * expected_lead
    return found


def _sampled_improvements(
    utilities: np.ndarray, costs: np.ndarray, front: ParetoFront
) -> np.ndarray:
    points = _spread_points(costs.shape[1]) * front.worst_costs
    best_utilities = _best_at(points, front)
    growth = np.zeros(len(costs))
    for draw in utilities.T:
        gains = np.maximum(draw[:, None] - best_utilities[None], 0.0)  # [recipes, points]
        gains[(costs[:, None] > points[None]).any(axis=2)] = 0.0
        growth += gains.mean(axis=1)
    mean: np.ndarray = growth / utilities.shape[1]
    return mean


@cache
def _spread_points(dimensions: int) -> np.ndarray:
    """Return evenly spread, deterministic points of the unit box, [points, dimensions].

    Source: the additive recurrence R_d of Roberts 2018, The Unreasonable Effectiveness of
    Quasirandom Sequences; its ratio is the root of x^(d+1) = x + 1.
    """
    ratio = 2.0
    for _ in range(50):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = (1 / ratio) ** np.arange(1, dimensions + 1)
    points: np.ndarray = (0.5 + np.arange(1, _SAMPLES + 1)[:, None] * steps) % 1
    return points


def _best_at(points: np.ndarray, front: ParetoFront) -> np.ndarray:
    """Return the best utility of the front's points that cost no more than each point, [points]."""
    cheaper = (front.costs[None] <= points[:, None]).all(axis=2)
    best_utilities = np.where(cheaper, front.utilities, front.least_utility)
    best: np.ndarray = best_utilities.max(axis=1, initial=front.least_utility)
    return best


def leads(utilities: np.ndarray, costs: np.ndarray, front: ParetoFront) -> np.ndarray:
    """Return the lead of each recipe over the best point that costs no more, in utility.

    Args:
        utilities: one utility of each recipe, [recipes].
        costs: the costs of each recipe, [recipes, costs].
        front: the points to compare with.

    Returns:
        [recipes]; below 0 where a point of the front dominates the recipe.
    """
    lead: np.ndarray = utilities - _best_at(costs, front)
    return lead


def _without_dominated(front: ParetoFront) -> ParetoFront:
    kept = non_dominated(np.column_stack([-front.utilities, front.costs]))
    return replace(front, utilities=front.utilities[kept], costs=front.costs[kept])


def _edges(values: np.ndarray, worst: float) -> np.ndarray:
    """Return the edges of the cells on an axis: 0, each value below the worst, and the worst."""
    inside = values[(values > 0) & (values < worst)]
    return np.concatenate([[0.0], np.unique(inside), [worst]])


def _best_utilities(front: ParetoFront, edges: list[np.ndarray]) -> np.ndarray:
    """Return the best utility at the lower corner of each cell, [cells of each axis …]."""
    best = np.full([len(axis) - 1 for axis in edges], front.least_utility)
    for utility, costs in zip(front.utilities, front.costs, strict=True):
        corner = tuple(
            slice(int(np.searchsorted(axis, cost)), None)
            for axis, cost in zip(edges, costs, strict=True)
        )
        beyond = best[corner]
        np.maximum(beyond, utility, out=beyond)
    return best


def _overlaps(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the length of the part of each cell that lies above each value, [values, cells]."""
    lows = np.maximum(edges[None, :-1], values[:, None])
    overlap: np.ndarray = np.maximum(edges[None, 1:] - lows, 0.0)
    return overlap
