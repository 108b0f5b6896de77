"""The frontier of a study: accuracy against what a student costs, and which student to take."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.charts.axes import LATENCY, SIZE, CostAxis
from dashboard.charts.cloud import accuracy_figure, cloud_points
from dashboard.charts.legend import legend
from dashboard.charts.parallel import parallel_figure
from dashboard.panels.choice import show_method
from dashboard.panels.filters import Choices, matching, pick_choices
from dashboard.panels.headline import show_states
from dashboard.panels.limits import LimitSelection, pick_limits, reset_limits
from dashboard.panels.marks import marked_trials, remark
from dashboard.panels.page import PageContext, open_study
from dashboard.panels.plot import show_legend, show_plot
from dashboard.panels.table import show_table
from dashboard.panels.trial import show_marked
from dashboard.queries import Place, StudyView, load_study
from search.analysis.pareto import chosen
from search.analysis.recommend import Advice, advise
from search.errors import NoStudentFits

_CHARTS = ((SIZE, "Accuracy against size"), (LATENCY, "Accuracy against latency"))


def show() -> None:
    """The page."""
    here = open_study("frontier", "Frontier")
    if here is None:
        return
    view = load_study(here.place)
    show_states(view)
    if view.trials.empty:
        st.info("No trial has started yet.", icon=":material/hourglass:")
        return
    # The charts come first on a phone, where columns stand under one another.
    charts, controls = st.columns([3.4, 1], gap="medium")
    with controls:
        limits = pick_limits(here, view)
        with st.container(horizontal=True):
            choices = pick_choices(here, view)
            st.button("Reset", on_click=reset_limits, args=(here,), type="tertiary")
    advice, reason = _advice(here.place, limits.by_column(), choices)
    marked = marked_trials(here)
    with charts:
        _show_charts(here, view, limits, choices, advice=advice, marked=marked)
    show_method(view, limits, advice, reason, url=here.place.url)
    show_marked(here, view, marked)
    _show_parameters(here, choices, marked)
    show_table(here, view, matching(here.place, view, choices), marked)


@st.cache_resource(max_entries=64, show_spinner=False)
def _advice(
    place: Place, limits: Mapping[str, float], choices: Choices
) -> tuple[Advice | None, str]:
    """What to take of the trials that match, or why there is nothing to take."""
    view = load_study(place)
    numbers = matching(place, view, choices)["number"]
    records = [view.records[number] for number in numbers]
    asked = LimitSelection(
        bounds={name: bound for name, bound in limits.items() if name != "accuracy"},
        min_accuracy=limits.get("accuracy", 0.0),
    )
    floor = asked.min_accuracy or None
    advice = advise(records, asked.budget, min_accuracy=floor)
    if advice is not None:
        return advice, ""
    try:
        chosen(records, asked.budget, min_accuracy=floor)
    except NoStudentFits as error:
        return None, str(error)
    raise AssertionError("where nothing is advised, nothing is chosen")


def _show_charts(
    here: PageContext,
    view: StudyView,
    limits: LimitSelection,
    choices: Choices,
    *,
    advice: Advice | None,
    marked: Sequence[int],
) -> None:
    number = None if advice is None else advice.chosen.number
    for column, (axis, title) in zip(st.columns(2, gap="small"), _CHARTS, strict=True):
        with column:
            st.markdown(f"**{title}**")
            if view.trials[axis.column].notna().any():
                figure = _cloud(
                    here.place, axis.column, limits.by_column(), choices,
                    number,
                )  # fmt: skip
                show_plot(
                    figure,
                    key=f"plot.{here.study}.{axis.column}",
                    alt=f"{title} of {len(view.trials)} trials",
                    marked=marked,
                    on_mark=lambda numbers: remark(here.study, numbers),
                )
            else:
                st.caption("No trial's cost is known yet.")
    show_legend(
        legend(
            matching(here.place, view, choices),
            has_teacher=view.study.teacher is not None,
            has_chosen=number is not None,
        )
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _cloud(
    place: Place,
    column: str,
    limits: Mapping[str, float],
    choices: Choices,
    number: int | None,
) -> str:
    points = _points(place, column, choices)
    teacher = load_study(place).study.teacher
    figure = accuracy_figure(points, _axis(column), limits=limits, teacher=teacher, chosen=number)
    return str(figure.to_json())


@st.cache_resource(max_entries=16, show_spinner=False)
def _points(place: Place, column: str, choices: Choices) -> pd.DataFrame:
    """Kept apart from the figure, which changes with every limit that is moved."""
    return cloud_points(matching(place, load_study(place), choices), _axis(column))


def _axis(column: str) -> CostAxis:
    return next(axis for axis, _ in _CHARTS if axis.column == column)


def _show_parameters(here: PageContext, choices: Choices, marked: Sequence[int]) -> None:
    st.markdown(
        "**What was chosen, and what came of it**",
        help="A line a trial. Click a line, or a point above, and the trial stands out in all.",
    )
    lines = _parameters(here.place, choices, marked)
    if lines is None:
        st.caption("Fewer than two students were measured.")
        return
    show_plot(
        lines,
        key=f"plot.{here.study}.parameters",
        alt="Parallel coordinates of the recipes of measured trials",
        on_mark=lambda numbers: remark(here.study, numbers),
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _parameters(place: Place, choices: Choices, marked: Sequence[int]) -> str | None:
    view = load_study(place)
    trials = matching(place, view, choices)
    figure = parallel_figure(trials, view.parameters, marked=marked)
    return None if figure is None else str(figure.to_json())


if __name__ == "__main__":
    show()
