"""Estimates a recipe's cost, with its error, from the costs of other recipes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from search.cost_model.cost_table import CostTable
from search.cost_model.regression import LatencyModel, SizeModel
from search.cost_model.shape_law import ShapeCounts, ShapeLaw
from search.objectives.limits import LATENCY, MACS, PARAMETERS, SIZE
from search.records import Cost, Shape

# The largest accepted relative difference between a cut network and its student's shape law.
_LAW_TOLERANCE = 0.002
# The MACs of attention products depend on no weight's shape, so the law is only approximate.
_LEAST_MACS_ERROR = 0.01

_Fitted = TypeVar("_Fitted")


@dataclass(frozen=True)
class Estimate:
    """An estimated cost, with the values that other rows of the table can predict.

    Attributes:
        cost: the most likely bytes, parameters and MACs; also the latency, if the student was timed
            in this number format often enough.
        errors: the relative half-width of the error of each value, by its name in `cost`; 0 is
            exact.
    """

    cost: Cost
    errors: Mapping[str, float]


class Estimator:
    """Estimator of costs from the table; it refits its models when the table has changed.

    Args:
        table: the table of known costs.
    """

    def __init__(self, table: CostTable) -> None:
        self._table = table
        self._laws: dict[str, ShapeLaw] = {}
        self._fitted: dict[object, object] = {}
        self._version = -1

    def learn(self, student: str, law: ShapeLaw) -> None:
        """Store the shape law of a student, if none is stored."""
        if student not in self._laws:
            self._laws[student] = law
            self._version = -1

    def knows_shapes(self, student: str) -> bool:
        return student in self._laws

    def least_counts(self, student: str, ratio: float) -> ShapeCounts | None:
        """Return lower bounds on the student's counts; None if its shape law is unreliable."""
        if student not in self._laws or (errors := self._law_errors(student)) is None:
            return None
        counts = self._laws[student].count(ratio)
        return ShapeCounts(
            weights=round(counts.weights * (1 - errors[PARAMETERS.cost])),
            vectors=round(counts.vectors * (1 - errors[PARAMETERS.cost])),
            macs=counts.macs * (1 - errors[MACS.cost]),
        )

    def estimate(self, shape: Shape, ratio: float) -> Estimate | None:
        """Estimate the shape's cost; None without a reliable shape law and enough sizes."""
        if (law := self._laws.get(shape.student)) is None:
            return None
        errors = self._law_errors(shape.student)
        sizes = self._size_model(shape)
        if errors is None or sizes is None:
            return None
        counts = law.count(ratio)
        latency = self._latency_model().predict(
            shape, macs=counts.macs, parameters=counts.parameters
        )
        cost = {SIZE.cost: sizes.predict(counts), **counts.cost}
        errors = {**errors, SIZE.cost: sizes.error}
        if latency is not None:
            cost[LATENCY.cost] = latency
            errors[LATENCY.cost] = self._latency_model().error
        return Estimate(cost, errors)

    def _law_errors(self, student: str) -> dict[str, float] | None:
        """Return the errors of parameters and MACs; None if the shape law is unreliable."""
        return self._once(("law", student), lambda: self._compare_with_law(student))

    def _compare_with_law(self, student: str) -> dict[str, float] | None:
        law = self._laws[student]
        pairs = [(law.count(ratio), cost) for ratio, cost in self._table.of_student(student)]
        parameters_error, macs_error = (
            max(
                (abs(counts.cost[name] / cost[name] - 1) for counts, cost in pairs if name in cost),
                default=0.0,
            )
            for name in (PARAMETERS.cost, MACS.cost)
        )
        if not law.regular or parameters_error > _LAW_TOLERANCE:
            return None
        return {
            PARAMETERS.cost: 2 * parameters_error,
            MACS.cost: max(_LEAST_MACS_ERROR, 2 * macs_error),
        }

    def _size_model(self, shape: Shape) -> SizeModel | None:
        def fit() -> SizeModel | None:
            law = self._laws[shape.student]
            curve = self._table.curve(shape.student, shape.quantization)
            counts: list[ShapeCounts] = [law.count(ratio) for ratio in curve]
            return SizeModel.fit(counts, [cost[SIZE.cost] for cost in curve.values()])

        return self._once(("size", shape.student, shape.quantization), fit)

    def _latency_model(self) -> LatencyModel:
        return self._once("latency", lambda: LatencyModel(self._table.timed()))

    def _once(self, key: object, fit: Callable[[], _Fitted]) -> _Fitted:
        """Return the result of `fit`, cached until the table changes."""
        if self._version != self._table.version:
            self._fitted.clear()
            self._version = self._table.version
        if key not in self._fitted:
            self._fitted[key] = fit()
        return self._fitted[key]  # type: ignore[return-value]
