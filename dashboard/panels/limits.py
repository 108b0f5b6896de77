"""Sliders of a budget: the limits on costs, the floors, and the limit on the metric."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import streamlit as st

from dashboard.address import bind, number_between, say
from dashboard.charts.measures import Measure, floor_measure, limit_measure, metric_measure
from dashboard.panels.page import PageContext
from dashboard.queries import StudyView
from search.objectives.budget import Budget
from search.objectives.floors import Floor
from search.objectives.limit import Limit
from search.objectives.limits import limit_on, limits
from search.objectives.metric import Metric

_MANTISSAS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class LimitSelection:
    """The values of the sliders.

    Attributes:
        bounds: limits on costs, by stored name.
        floors: the floors of the study's budget, with the chosen bounds.
        score: the metric's name and its worst acceptable value; None if any value is acceptable.
    """

    bounds: Mapping[str, float] = field(default_factory=dict)
    floors: tuple[Floor, ...] = ()
    score: tuple[str, float] | None = None

    @property
    def budget(self) -> Budget:
        """The limits on costs, and the floors."""
        limits = ((limit_on(cost), bound) for cost, bound in self.bounds.items())
        asked = {limit.name: limit.write(bound) for limit, bound in limits}
        recall = {one.of_class: one.bound for one in self.floors if one.of_class is not None}
        of_metrics = {one.name: one.bound for one in self.floors if one.of_class is None}
        budget: Budget = Budget.model_validate({**asked, "recall": recall, "metrics": of_metrics})
        return budget

    @property
    def floor(self) -> float | None:
        """The metric's worst acceptable value; None if any value is acceptable."""
        return None if self.score is None else self.score[1]

    def by_column(self) -> dict[str, float]:
        """Return all limits and floors, by column of the frame of trials."""
        bounds = {floor.name: floor.bound for floor in self.floors}
        return {**self.bounds, **bounds, **dict([self.score] if self.score else [])}


def pick_limits(here: PageContext, view: StudyView) -> LimitSelection:
    """Show a slider for each cost and each floor of the study's budget, and one for the metric.

    Those of costs and floors start at the study's budget.
    """
    st.markdown(
        "**Your budget**",
        help="It starts at the study's budget. A ring marks the best student within it.",
    )
    bounds = {}
    for limit in limits().values():
        if (bound := _pick_bound(here, view, limit)) < math.inf:
            bounds[limit.cost] = bound
    floors = (_pick_floor(here, floor) for floor in view.budget.floors())
    return LimitSelection(
        bounds=bounds,
        floors=tuple(floor for floor in floors if floor is not None),
        score=_pick_score(here, view.goal.metric),
    )


def reset_limits(here: PageContext, view: StudyView) -> None:
    """Reset the sliders to the study's own budget; called from a callback."""
    floors = map(_floor_key, view.budget.floors())
    for name in (*limits(), *floors, view.goal.metric.name):
        st.session_state.pop(f"{here.page}.{name}", None)
        say(name, "")


def _pick_score(here: PageContext, metric: Metric) -> tuple[str, float] | None:
    """Show a slider of the metric. At its worst end it accepts any value."""
    picked = _slider(here, metric.name, metric_measure(metric), metric, metric.worst)
    return None if picked == metric.worst else (metric.name, picked)


def _floor_key(floor: Floor) -> str:
    """Return the name of a floor in the address; the goal's metric has its own name there."""
    return f"floor.{floor.name}"


def _pick_floor(here: PageContext, floor: Floor) -> Floor | None:
    """Show a slider of a floor; None if it accepts any value."""
    picked = _slider(here, _floor_key(floor), floor_measure(floor), floor.metric, floor.bound)
    return None if picked == floor.metric.worst else replace(floor, bound=picked)


def _slider(
    here: PageContext, name: str, measure: Measure, metric: Metric, default: float
) -> float:
    """Show a slider over the range of a metric, shares in per cent; return the chosen value.

    Args:
        here: the page.
        name: the name of the value in the address.
        measure: the measure whose title the slider has.
        metric: the metric, for its range.
        default: the value from which the slider starts.
    """
    unit = 100.0 if measure.is_share else 1.0
    low, high = sorted((unit * metric.worst, unit * metric.best))
    key = bind(here.page, name, unit * default, number_between(low, high))
    side = "at least" if metric.is_maximized else "at most"
    picked: float = st.slider(
        f"{measure.title}, {side}",
        low,
        high,
        step=(high - low) / 1000,
        format="%.1f%%" if measure.is_share else "%.4g",
        key=key,
    )
    if picked == unit * default:
        say(name, "")
        return default
    say(name, f"{picked:.1f}" if measure.is_share else f"{picked:.6g}")
    return picked / unit


def _pick_bound(here: PageContext, view: StudyView, limit: Limit) -> float:
    own = view.budget.limits().get(limit.cost, math.inf)
    key = bind(here.page, limit.name, own, _bound_of(limit))
    chosen: float = st.session_state[key]
    values = view.trials[limit.cost].dropna()
    steps = _steps(values.min(), values.max()) if len(values) else []
    if limit.is_whole:
        steps = [step for step in steps if step.is_integer()]
    options = sorted({*steps, own, chosen, math.inf})
    if len(options) < 2:
        options = [1.0, *options]
    picked: float = st.select_slider(
        f"{limit_measure(limit).title}, at most",
        options,
        key=key,
        format_func=lambda bound: limit.format(bound) if bound < math.inf else "any",
    )
    say(limit.name, "" if picked == own else "any" if picked == math.inf else f"{picked:.12g}")
    return picked


def _bound_of(limit: Limit) -> Callable[[str], float]:
    """Return a reader of a bound."""
    number = number_between(1.0 if limit.is_whole else 1e-9, 1e15)
    return lambda text: math.inf if text == "any" else number(text)


def _steps(low: float, high: float) -> list[float]:
    """Return round numbers from just below `low` to just above `high`, ten a decade."""
    low = max(low, 1e-6)
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(max(high, low))) + 1)
    steps = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in _MANTISSAS]
    first = max((step for step in steps if step <= low), default=steps[0])
    last = min((step for step in steps if step >= high), default=10.0 ** (decades[-1] + 1))
    return [step for step in [*steps, last] if first <= step <= last]
