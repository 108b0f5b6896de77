"""The table of students' measured costs by shape, read from the store and extended."""

import json
from collections.abc import Callable, Mapping

from search.objectives.completion import completed
from search.objectives.limits import LATENCY
from search.records import Cost, Shape
from spaces.method import Method
from spaces.recipe import Recipe

_UNIFORM = "uniform"


def shape_of(recipe: Recipe) -> Shape:
    """Return the shape: the part of the recipe that decides its cost.

    Prunings that cut the same share of every layer have one shape. It contains no version of the
    method, because the setting contains the version of cutting. The shape contains the version of
    every other method.
    """
    ratio = recipe.pruning.uniform_ratio
    return Shape(
        student=_text(recipe.student),
        pruning=_text(recipe.pruning) if ratio is None else json.dumps({_UNIFORM: ratio}),
        quantization=_text(recipe.quantization),
    )


def uniform_ratio(shape: Shape) -> float | None:
    """Return the share of channels that is cut from every layer; None if layers differ."""
    ratio = json.loads(shape.pruning).get(_UNIFORM)
    return None if ratio is None else float(ratio)


def _text(method: Method) -> str:
    params = {key: one for key, one in method.params().items() if key not in method.costless}
    return json.dumps({method.name: params, "version": method.version}, sort_keys=True)


class CostTable:
    """Table of known costs by shape.

    Args:
        known: costs that were measured earlier.
        on_add: is called with each added shape and its cost.
    """

    def __init__(
        self,
        known: Mapping[Shape, Cost] | None = None,
        *,
        on_add: Callable[[Shape, Cost], None] = lambda shape, cost: None,
    ) -> None:
        self._costs: dict[Shape, Cost] = {}
        self._curves: dict[tuple[str, str], dict[float, Cost]] = {}
        self._on_add = on_add
        self.version = 0
        """A counter that increases with each addition."""
        for shape, cost in (known or {}).items():
            self.put(shape, cost)

    def get(self, shape: Shape) -> Cost | None:
        return self._costs.get(shape)

    def add(self, shape: Shape, cost: Cost) -> None:
        """Add a cost; for a known shape, add only the unknown values, and replace doubtful ones."""
        known = self._costs.get(shape, {})
        whole = completed(known, cost)
        if whole != known:
            self.put(shape, whole)
            self._on_add(shape, whole)

    def curve(self, student: str, quantization: str) -> Mapping[float, Cost]:
        """Return the costs of a student in a number format, by uniform ratio, unordered."""
        return self._curves.get((student, quantization), {})

    def of_student(self, student: str) -> list[tuple[float, Cost]]:
        """Return the uniform ratios and costs of a student in all its number formats."""
        own = (curve for (name, _), curve in self._curves.items() if name == student)
        return [pair for curve in own for pair in curve.items()]

    def timed(self) -> list[tuple[Shape, Cost]]:
        """Return all shapes with a known latency that can be trusted."""
        return [
            (shape, cost)
            for shape, cost in self._costs.items()
            if LATENCY.cost in cost and not LATENCY.is_doubtful(cost)
        ]

    def put(self, shape: Shape, cost: Cost) -> None:
        """Set the cost of a shape, without calling `on_add`."""
        self._costs[shape] = cost
        ratio = uniform_ratio(shape)
        if ratio is not None:
            self._curves.setdefault((shape.student, shape.quantization), {})[ratio] = cost
        self.version += 1
