"""Measured costs of students by shape: read from the store, and grown by each measurement."""

import json
from collections.abc import Callable, Mapping

from search.objectives.limits import LATENCY
from search.records import Cost, Shape
from spaces.method import Method
from spaces.recipe import Recipe

_UNIFORM = "uniform"


def shape_of(recipe: Recipe) -> Shape:
    """Return the part of the recipe that decides its cost; methods that cut alike share one shape.

    Methods that share a shape carry no version: the setting holds the version of cutting. Every
    other method carries its own.
    """
    ratio = recipe.pruning.uniform_ratio
    return Shape(
        student=_text(recipe.student),
        pruning=_text(recipe.pruning) if ratio is None else json.dumps({_UNIFORM: ratio}),
        quantization=_text(recipe.quantization),
    )


def uniform_ratio(shape: Shape) -> float | None:
    """Return the share of channels that every layer of the shape lacks; None where they differ."""
    ratio = json.loads(shape.pruning).get(_UNIFORM)
    return None if ratio is None else float(ratio)


def _text(method: Method) -> str:
    params = {key: one for key, one in method.params().items() if key not in method.costless}
    return json.dumps({method.name: params, "version": method.version}, sort_keys=True)


class CostTable:
    """Known costs by shape.

    Args:
        known: earlier measurements.
        keep: is called with each addition.
    """

    def __init__(
        self,
        known: Mapping[Shape, Cost] | None = None,
        *,
        keep: Callable[[Shape, Cost], None] = lambda shape, cost: None,
    ) -> None:
        self._costs: dict[Shape, Cost] = {}
        self._curves: dict[tuple[str, str], dict[float, Cost]] = {}
        self._keep = keep
        self.version = 0
        """A counter that grows with each addition."""
        for shape, cost in (known or {}).items():
            self.put(shape, cost)

    def get(self, shape: Shape) -> Cost | None:
        return self._costs.get(shape)

    def add(self, shape: Shape, cost: Cost) -> None:
        """Add a cost; for a known shape, only the values that were not known."""
        known = self._costs.get(shape, {})
        if cost.keys() - known.keys():
            whole = {**cost, **known}
            self.put(shape, whole)
            self._keep(shape, whole)

    def curve(self, student: str, quantization: str) -> Mapping[float, Cost]:
        """Return costs by the uniform ratio, in no order."""
        return self._curves.get((student, quantization), {})

    def of_student(self, student: str) -> list[tuple[float, Cost]]:
        """Return uniform ratios and costs of all the student's quantizations."""
        own = (curve for (name, _), curve in self._curves.items() if name == student)
        return [pair for curve in own for pair in curve.items()]

    def timed(self) -> list[tuple[Shape, Cost]]:
        """Return all shapes with a known latency."""
        return [pair for pair in self._costs.items() if LATENCY.cost in pair[1]]

    def put(self, shape: Shape, cost: Cost) -> None:
        """Replace the known cost, for as long as the table lives."""
        self._costs[shape] = cost
        ratio = uniform_ratio(shape)
        if ratio is not None:
            self._curves.setdefault((shape.student, shape.quantization), {})[ratio] = cost
        self.version += 1
