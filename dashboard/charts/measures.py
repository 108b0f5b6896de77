"""Measures of a student, metrics and costs alike, as charts and tables show them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from search.objectives.floors import Floor, is_recall
from search.objectives.goal import Goal
from search.objectives.limit import Limit
from search.objectives.limits import limits
from search.objectives.metric import Metric
from search.objectives.metrics import metrics
from search.objectives.units import format_bytes, format_milliseconds
from search.records import Cost, Outcome, Quality


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measured quantity of a student.

    Attributes:
        column: its column in the frame of trials.
        name: the name inside a sentence.
        title: the name with a capital letter.
        label: formats a value.
        is_maximized: whether more is better.
        is_cost: whether it is a cost; costs have a log axis.
        is_share: whether it lies between 0 and 1 and is shown in per cent.
        axis_title: the title of an axis, with the unit of its ticks.
        tick_format: the d3 format of an axis's ticks.
        less: the word for a student with a lower value.
        more: the word for a student with a higher value.
    """

    column: str
    name: str
    title: str
    label: Callable[[float], str]
    is_maximized: bool
    is_cost: bool
    is_share: bool
    axis_title: str
    tick_format: str
    less: str = "below"
    more: str = "above"

    def of(self, outcome: Outcome) -> float | None:
        """Return the student's value; None if it was not measured."""
        return (
            self.of_cost(outcome.cost or {}) if self.is_cost else self.of_quality(outcome.quality)
        )

    def of_cost(self, cost: Cost) -> float | None:
        """Return its value among the costs; None if it is absent."""
        return cost.get(self.column)

    def of_quality(self, quality: Quality) -> float | None:
        """Return its value among the metrics; None if it is absent."""
        found = quality.get(self.column)
        return None if found is None else found.value

    def change(self, before: float, after: float) -> str:
        """Return the change as text: in points for a share, in per cent otherwise."""
        if self.is_share:
            return f"{(after - before) * 100:+.1f} points"
        return f"{after / before - 1:+.0%}" if before else ""


def metric_measure(metric: Metric) -> Measure:
    """Return the measure of a metric."""
    title = _capital(metric.label)
    return Measure(
        column=metric.name,
        name=metric.label,
        title=title,
        label="{:.1%}".format if metric.is_share else metric.format,
        is_maximized=metric.is_maximized,
        is_cost=False,
        is_share=metric.is_share,
        axis_title=title,
        tick_format=".0%" if metric.is_share else "~g",
    )


def floor_measure(floor: Floor) -> Measure:
    """Return the measure of a value that a floor bounds: a metric, or the recall of a class."""
    measure = metric_measure(floor.metric)
    if floor.of_class is None:
        return measure
    title = _capital(floor.label)
    return replace(measure, column=floor.name, name=floor.label, title=title, axis_title=title)


def is_at_most(column: str) -> bool:
    """Return whether a bound on a column of the frame of trials is an upper one."""
    if column in metrics():
        return not metrics()[column].is_maximized
    return not is_recall(column)


def limit_measure(limit: Limit) -> Measure:
    """Return the measure of a cost."""
    units = {format_bytes: ", bytes", format_milliseconds: ", ms"}
    return Measure(
        column=limit.cost,
        name=limit.label,
        title=_capital(limit.label),
        label=limit.format,
        is_maximized=False,
        is_cost=True,
        is_share=False,
        axis_title=f"{_capital(limit.label)}{units.get(limit.format, '')}",
        tick_format="~g" if limit.is_timed else "~s",
        less=limit.less,
        more=limit.more,
    )


def objective_measures(goal: Goal) -> dict[str, Measure]:
    """Return the study's objectives by column: its metric, then the costs that it minimises."""
    found = [metric_measure(goal.metric), *map(limit_measure, goal.costs)]
    return {measure.column: measure for measure in found}


def with_companions(goal: Goal) -> dict[str, Measure]:
    """Return the objectives by column, with the metric's companions directly after it."""
    scores = map(metric_measure, (goal.metric, *goal.companions))
    return {measure.column: measure for measure in scores} | objective_measures(goal)


def cost_measures() -> dict[str, Measure]:
    """Return every cost that can be limited, by column."""
    return {limit.cost: limit_measure(limit) for limit in limits().values()}


def all_measures() -> Mapping[str, Measure]:
    """Return every metric and every cost that can be limited, by column."""
    found = {metric.name: metric_measure(metric) for metric in metrics().values()}
    return found | cost_measures()


def _capital(label: str) -> str:
    return f"{label[0].upper()}{label[1:]}"
