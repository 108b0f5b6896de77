"""Non-dominated points, and the volume that a set of points dominates. Less is better."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_OBJECTIVES = 5


def non_dominated(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the indices of the non-dominated rows of an array, [rows, columns].

    Among equal rows, only the first is returned. The indices are sorted by the rows' first column,
    then by the next columns.
    """
    if values.shape[1] == 3:
        return _non_dominated_in_space(values)
    indices: list[int] = []
    left = np.lexsort(values.T[::-1])
    while len(left):
        # No later row dominates the first one: return it, and drop rows that it dominates or
        # equals.
        first, left = left[0], left[1:]
        indices.append(int(first))
        left = left[(values[left] < values[first]).any(axis=1)]
    return np.array(indices, dtype=np.intp)


def _non_dominated_in_space(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """Do the same for three columns, in O(n log n) comparisons."""
    indices: list[int] = []
    # The staircase of the rows so far: second columns ascend, third columns descend. No earlier row
    # is larger in the first column, so a row is dominated if the staircase is at or below it.
    seconds: list[float] = []
    thirds: list[float] = []
    order = np.lexsort(values.T[::-1])
    for i, (_, second, third) in zip(order.tolist(), values[order].tolist(), strict=True):
        before = bisect_right(seconds, second)
        if before and thirds[before - 1] <= third:
            continue
        indices.append(i)
        start = bisect_left(seconds, second)
        end = start
        while end < len(thirds) and thirds[end] >= third:
            end += 1
        seconds[start:end], thirds[start:end] = [second], [third]
    return np.array(indices, dtype=np.intp)


def hypervolume(points: Iterable[Sequence[float]], reference: Sequence[float]) -> float:
    """Return the volume that the points dominate up to the reference; exact except for rounding.

    Args:
        points: points with two to five coordinates; less is better. Points that are not better than
            the reference in every coordinate add nothing.
        reference: the worst corner, with the same number of coordinates.

    Returns:
        The area or volume, in the product of the coordinates' units. With up to three coordinates
        it takes O(n log n) comparisons; each further coordinate multiplies that by up to n.

    Raises:
        ValueError: a point or the reference has a wrong number of coordinates, or NaN.

    Source: the sweep over one objective of Fonseca, Paquete and López-Ibáñez 2006, An Improved
    Dimension-Sweep Algorithm for the Hypervolume Indicator, section III; above three coordinates
    hypervolume by slicing objectives, While et al. 2006, A Faster Algorithm for Calculating
    Hypervolume.
    """
    if not 2 <= len(reference) <= MOST_OBJECTIVES or any(map(math.isnan, reference)):
        raise ValueError(
            f"reference must have 2 to {MOST_OBJECTIVES} numbers and no NaN, "
            f"but got {tuple(reference)}"
        )
    inside = []
    for point in points:
        if len(point) != len(reference) or any(map(math.isnan, point)):
            raise ValueError(
                f"a point must have {len(reference)} numbers and no NaN, but got {tuple(point)}"
            )
        if all(value < worst for value, worst in zip(point, reference, strict=True)):
            inside.append(tuple(point))
    return _sliced(inside, tuple(reference))


def _sliced(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    if len(reference) <= 3:
        return _swept(points, reference)
    ordered = sorted(points, key=lambda point: point[-1])
    volume = 0.0
    front: list[tuple[float, ...]] = []
    for i, point in enumerate(ordered):
        front.append(point[:-1])
        following = ordered[i + 1][-1] if i + 1 < len(ordered) else reference[-1]
        if following > point[-1]:
            front = [front[k] for k in non_dominated(np.array(front))]
            volume += _sliced(front, reference[:-1]) * (following - point[-1])
    return volume


def _swept(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    right, top, end = _in_space(reference, 1.0)
    inside = sorted((_in_space(point, 0.0) for point in points), key=lambda point: point[2])
    area = _DominatedArea(right, top)
    volume = 0.0
    for i, (x, y, z) in enumerate(inside):
        area.add(x, y)
        following = inside[i + 1][2] if i + 1 < len(inside) else end
        if following > z:
            volume += area.value * (following - z)
    return volume


class _DominatedArea:
    """The area that a growing set of points dominates, up to the corner (right, top)."""

    def __init__(self, right: float, top: float) -> None:
        self.value = 0.0
        self._right, self._top = right, top
        # The non-dominated points: y descends as x ascends.
        self._xs: list[float] = []
        self._ys: list[float] = []

    def add(self, x: float, y: float) -> None:
        """Add a point: its dominated area is above `y` and to the right of `x`."""
        start = bisect_right(self._xs, x)
        ceiling = self._ys[start - 1] if start else self._top
        if ceiling <= y:
            return
        first = bisect_left(self._xs, x)
        end, left = start, x
        while end < len(self._xs) and self._ys[end] >= y:
            self.value += (self._xs[end] - left) * (ceiling - y)
            left, ceiling = self._xs[end], self._ys[end]
            end += 1
        edge = self._xs[end] if end < len(self._xs) else self._right
        self.value += (edge - left) * (ceiling - y)
        self._xs[first:end] = [x]
        self._ys[first:end] = [y]


def _in_space(point: Sequence[float], depth: float) -> tuple[float, float, float]:
    return (point[0], point[1], point[2] if len(point) == 3 else depth)
