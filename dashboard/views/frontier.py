"""Page of a study's frontier: the metric against a cost, and the recommended student."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.charts.cloud import cloud_figure, cloud_points
from dashboard.charts.legend import legend
from dashboard.charts.measures import limit_measure, metric_measure, objective_measures
from dashboard.charts.parallel import parallel_figure
from dashboard.panels.choice import show_choice
from dashboard.panels.filters import Choices, matching, pick_choices
from dashboard.panels.headline import show_states
from dashboard.panels.limits import LimitSelection, pick_limits, reset_limits
from dashboard.panels.marks import marked_trials, remark
from dashboard.panels.page import PageContext, open_study
from dashboard.panels.plot import show_legend, show_plot
from dashboard.panels.table import show_table
from dashboard.panels.trial import show_marked
from dashboard.queries import Place, StudyView, load_study
from search.analysis.recommend import Advice, advice_or_refusal
from search.objectives.limits import limit_on


def show() -> None:
    """Show the page."""
    here = open_study("frontier", "Frontier")
    if here is None:
        return
    view = load_study(here.place)
    show_states(view)
    if view.trials.empty:
        st.info("No trial has started yet.", icon=":material/hourglass:")
        return
    # A phone stacks the columns, and must show the charts first.
    charts, controls = st.columns([3.4, 1], gap="medium")
    with controls:
        limits = pick_limits(here, view)
        with st.container(horizontal=True):
            choices = pick_choices(here, view)
            st.button("Reset", on_click=reset_limits, args=(here, view), type="tertiary")
    advice, reason = _advice(here.place, limits, choices)
    marked = marked_trials(here)
    with charts:
        _show_charts(here, view, limits, choices, advice=advice, marked=marked)
    show_choice(view, limits, advice, reason, url=here.place.url)
    show_marked(here, view, marked)
    _show_parameters(here, choices, marked)
    show_table(here, view, matching(here.place, view, choices), marked)


@st.cache_resource(
    max_entries=64,
    show_spinner=False,
    hash_funcs={LimitSelection: lambda limits: sorted(limits.by_column().items())},
)
def _advice(place: Place, limits: LimitSelection, choices: Choices) -> tuple[Advice | None, str]:
    """Return the recommended student of the matching trials, or the reason why there is none."""
    view = load_study(place)
    numbers = matching(place, view, choices)["number"]
    records = [view.records[number] for number in numbers]
    return advice_or_refusal(records, limits.budget, view.goal, floor=limits.floor)


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
    score, axes = metric_measure(view.goal.metric), list(map(limit_measure, view.goal.costs))
    places = [place for _ in axes[::2] for place in st.columns(2, gap="small")]
    for column, axis in zip(places, axes, strict=False):
        title = f"{score.title} against {axis.name}"
        with column:
            st.markdown(f"**{title}**")
            if view.trials[axis.column].notna().any():
                figure = _cloud(here.place, axis.column, limits.by_column(), choices, number)
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
            objective_measures(view.goal),
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
    view = load_study(place)
    score, axis = metric_measure(view.goal.metric), limit_measure(limit_on(column))
    figure = cloud_figure(
        points, axis, score, limits=limits, teacher=view.study.teacher, chosen=number
    )
    return str(figure.to_json())


@st.cache_resource(max_entries=16, show_spinner=False)
def _points(place: Place, column: str, choices: Choices) -> pd.DataFrame:
    """Return the points to draw. They have a cache of their own: limits change only the figure."""
    view = load_study(place)
    axis = limit_measure(limit_on(column))
    return cloud_points(matching(place, view, choices), axis, objective_measures(view.goal))


def _show_parameters(here: PageContext, choices: Choices, marked: Sequence[int]) -> None:
    st.markdown(
        "**Recipes and results**",
        help="Each line is a trial. Click a line, or a point above, to highlight the trial in all "
        "figures.",
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
    figure = parallel_figure(trials, view.parameters, objective_measures(view.goal), marked=marked)
    return None if figure is None else str(figure.to_json())


if __name__ == "__main__":
    show()
