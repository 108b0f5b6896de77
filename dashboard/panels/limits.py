"""Sliders of a budget: how much a student may cost, and how accurate it must be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import streamlit as st

from dashboard.address import bind, number_between, say
from dashboard.panels.page import PageContext
from dashboard.queries import StudyView
from search.objectives.budget import COST_NAMES, Budget

_FIELDS = {
    "size_bytes": "size",
    "latency_ms": "latency",
    "parameters": "parameters",
    "macs": "macs",
}
_MANTISSAS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_ACCURACY = "accuracy"


@dataclass(frozen=True, kw_only=True)
class LimitSelection:
    """What the sliders say; `min_accuracy` is a share, 0 where any will do."""

    bounds: Mapping[str, float] = field(default_factory=dict)
    min_accuracy: float = 0.0

    @property
    def budget(self) -> Budget:
        """The upper limits."""
        # A latency needs its unit, and the others are whole numbers.
        values = {
            _FIELDS[cost]: f"{bound!r}ms" if cost == "latency_ms" else int(bound)
            for cost, bound in self.bounds.items()
        }
        return Budget.model_validate(values)

    def by_column(self) -> dict[str, float]:
        """All of them, by the column of the frame of trials."""
        floor = {_ACCURACY: self.min_accuracy} if self.min_accuracy else {}
        return {**self.bounds, **floor}


def pick_limits(here: PageContext, view: StudyView) -> LimitSelection:
    """A slider for each cost, from the study's own budget on; and one for the accuracy."""
    st.markdown(
        "**Your budget**", help="Starts at the study's. The best student within it is ringed."
    )
    bounds = {}
    for cost, (label, form) in COST_NAMES.items():
        bound = _pick(here, view, cost, f"{label[0].upper()}{label[1:]}, at most", form)
        if bound < math.inf:
            bounds[cost] = bound
    key = bind(here.page, _ACCURACY, 0.0, number_between(0, 100))
    percent = st.slider("Accuracy, at least", 0.0, 100.0, step=0.1, format="%.1f%%", key=key)
    say(_ACCURACY, f"{percent:.1f}" if percent else "")
    return LimitSelection(bounds=bounds, min_accuracy=percent / 100)


def reset_limits(here: PageContext) -> None:
    """Back to the study's own budget; from a callback."""
    for name in (*_FIELDS.values(), _ACCURACY):
        st.session_state.pop(f"{here.page}.{name}", None)
        say(name, "")


def _pick(
    here: PageContext, view: StudyView, cost: str, label: str, form: Callable[[float], str]
) -> float:
    name = _FIELDS[cost]
    own = view.budget.limits().get(cost, math.inf)
    key = bind(here.page, name, own, _bound_of(cost))
    chosen: float = st.session_state[key]
    values = view.trials[cost].dropna()
    steps = _steps(values.min(), values.max()) if len(values) else []
    options = sorted({*steps, own, chosen, math.inf})
    if len(options) < 2:
        options = [1.0, *options]
    picked: float = st.select_slider(
        label,
        options,
        key=key,
        format_func=lambda bound: form(bound) if bound < math.inf else "any",
    )
    say(name, "" if picked == own else "any" if picked == math.inf else f"{picked:.12g}")
    return picked


def _bound_of(cost: str) -> Callable[[str], float]:
    """Reads a bound; those of all costs but a latency are whole numbers."""
    number = number_between(1e-9 if cost == "latency_ms" else 1.0, 1e15)
    return lambda text: math.inf if text == "any" else number(text)


def _steps(low: float, high: float) -> list[float]:
    """Round numbers from just below `low` to just above `high`, ten a decade."""
    low = max(low, 1e-6)
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(max(high, low))) + 1)
    steps = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in _MANTISSAS]
    first = max((step for step in steps if step <= low), default=steps[0])
    last = min((step for step in steps if step >= high), default=10.0 ** (decades[-1] + 1))
    return [step for step in [*steps, last] if first <= step <= last]
