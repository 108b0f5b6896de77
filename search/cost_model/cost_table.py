"""What students were found to cost, by shape: from the store, and grown by each measurement."""

import json
from collections.abc import Callable, Mapping

from search.objectives.limits import LATENCY
from search.records import Cost, Shape
from spaces.method import Method
from spaces.recipe import Recipe

_UNIFORM = "uniform"


def shape_of(recipe: Recipe) -> Shape:
    """All of the recipe that decides its cost; methods that cut alike have one shape.

    Each method with its version, but for those: the version of cutting stands in the setting.
    """
    ratio = recipe.pruning.uniform_ratio
    return Shape(
        student=_text(recipe.student),
        pruning=_text(recipe.pruning) if ratio is None else json.dumps({_UNIFORM: ratio}),
        quantization=_text(recipe.quantization),
    )


def uniform_ratio(shape: Shape) -> float | None:
    """The share of channels that the shape lacks in every layer; None where they differ."""
    ratio = json.loads(shape.pruning).get(_UNIFORM)
    return None if ratio is None else float(ratio)


def _text(method: Method) -> str:
    params = {key: one for key, one in method.params().items() if key not in method.costless}
    return json.dumps({method.name: params, "version": method.version}, sort_keys=True)


class CostTable:
    """Known costs by shape.

    Args:
        known: what was measured before.
        keep: told of each addition.
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
        """Grows with each addition."""
        for shape, cost in (known or {}).items():
            self.put(shape, cost)

    def get(self, shape: Shape) -> Cost | None:
        return self._costs.get(shape)

    def add(self, shape: Shape, cost: Cost) -> None:
        """Keeps a cost; of a shape that is known, what was not known of it."""
        known = self._costs.get(shape, {})
        if cost.keys() - known.keys():
            whole = {**cost, **known}
            self.put(shape, whole)
            self._keep(shape, whole)

    def curve(self, student: str, quantization: str) -> Mapping[float, Cost]:
        """Costs by the uniform ratio, in no order."""
        return self._curves.get((student, quantization), {})

    def of_student(self, student: str) -> list[tuple[float, Cost]]:
        """Uniform ratios and costs of all the student's quantizations."""
        own = (curve for (name, _), curve in self._curves.items() if name == student)
        return [pair for curve in own for pair in curve.items()]

    def timed(self) -> list[tuple[Shape, Cost]]:
        """All that have a latency."""
        return [pair for pair in self._costs.items() if LATENCY.cost in pair[1]]

    def put(self, shape: Shape, cost: Cost) -> None:
        """Takes a cost in the place of what was known, for as long as the table lives."""
        self._costs[shape] = cost
        ratio = uniform_ratio(shape)
        if ratio is not None:
            self._curves.setdefault((shape.student, shape.quantization), {})[ratio] = cost
        self.version += 1
