"""Page of the parameters' importance, the search's progress, and the training that it saved."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from dashboard.address import bind, one_of, say
from dashboard.charts.influence import contour_figure, importance_figure, slice_figure
from dashboard.charts.measures import Measure, metric_measure, objective_measures
from dashboard.charts.parallel import parallel_figure
from dashboard.charts.progress import progress_figure, savings_figure
from dashboard.charts.scale import short_name
from dashboard.frames import searched
from dashboard.panels.headline import show_states
from dashboard.panels.marks import marked_trials, remark
from dashboard.panels.page import PageContext, open_study
from dashboard.panels.plot import show_plot
from dashboard.queries import Place, load_history, load_savings, load_study
from search.analysis.importance import importances, trained_students
from search.analysis.savings import in_words

# With fewer trained students, the forest's importance is mostly chance.
_TRUSTED = 30
_OVER = {"trials": "ended", "time": "hours"}


def show() -> None:
    """Show the page."""
    here = open_study("influence", "Analysis")
    if here is None:
        return
    view = load_study(here.place)
    show_states(view)
    if not view.trials[[limit.cost for limit in view.goal.costs]].notna().any(axis=None):
        st.info("Nothing has been measured yet.", icon=":material/hourglass:")
        return
    marked = marked_trials(here)
    _show_importance(here)
    if view.varying:
        _show_slices(here, view.varying, marked)
    st.markdown("#### Recipes and results")
    lines = _parallel(here.place, marked)
    if lines is None:
        st.caption("Fewer than two students were measured.")
    else:
        show_plot(
            lines,
            key=f"plot.{here.study}.all_parameters",
            alt="Parallel coordinates of the recipes of measured trials",
            on_mark=partial(remark, here.study),
        )
    _show_progress(here)
    _show_savings(here)


def _show_importance(here: PageContext) -> None:
    st.markdown(
        "#### Importance",
        help="How much a random forest uses each parameter to predict the objective (mean decrease "
        "of impurity, computed by Optuna, on at most 2,000 trials). A cost depends only on the "
        "student, its pruning and its number format, so only these have an importance for a cost.",
    )
    figure = _importance(here.place)
    if figure is None:
        st.caption("Fewer than 12 trials were measured, or all had the same recipe.")
        return
    view = load_study(here.place)
    trained, score = trained_students(view.records, view.goal), metric_measure(view.goal.metric)
    if trained < _TRUSTED:
        st.caption(
            f"Students trained: {trained}. So few make the importance for {score.name} uncertain."
        )
    show_plot(
        figure,
        key=f"plot.{here.study}.importance",
        alt="Importance of each parameter for each objective",
    )


@st.cache_data(max_entries=16, show_spinner="Computing the importance…")
def _importance(place: Place) -> str | None:
    view = load_study(place)
    objectives = objective_measures(view.goal)
    found = {column: importances(view.records, view.goal, column) for column in objectives}
    found = {objective: shares for objective, shares in found.items() if shares}
    return str(importance_figure(found, objectives).to_json()) if found else None


def _show_slices(here: PageContext, parameters: Sequence[str], marked: Sequence[int]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        objectives = objective_measures(load_study(here.place).goal)
        objective = objectives[_pick(here, "objective", "Objective", list(objectives), 0)]
        across = _pick(here, "across", "Parameter", parameters, 0)
        up = _pick(here, "up", "Second parameter", parameters, min(1, len(parameters) - 1))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**{objective.title} against {short_name(across)}**")
        figure = _slice(here.place, across, objective.column)
        if figure is None:
            st.caption("No measured trial has this parameter yet.")
        else:
            show_plot(
                figure,
                key=f"plot.{here.study}.slice.{across}.{objective.column}",
                alt=f"{objective.title} of each trial against {short_name(across)}",
                marked=marked,
                on_mark=partial(remark, here.study),
            )
    with right:
        _show_contour(here, across, up, objective)


def _show_contour(here: PageContext, across: str, up: str, objective: Measure) -> None:
    st.markdown(f"**{objective.title} over {short_name(across)} and {short_name(up)}**")
    figure = None if across == up else _contour(here.place, across, up, objective.column)
    if figure is None:
        st.caption(
            "Choose two different parameters. At least three measured trials must have both."
        )
        return
    show_plot(
        figure,
        key=f"plot.{here.study}.contour.{across}.{up}.{objective.column}",
        alt=f"Mean {objective.name} over {short_name(across)} and {short_name(up)}",
        on_mark=partial(remark, here.study),
    )


def _pick(here: PageContext, name: str, label: str, options: Sequence[str], first: int) -> str:
    key = bind(here.page, name, options[first], one_of(options))
    if st.session_state[key] not in options:
        st.session_state[key] = options[first]
    picked = st.selectbox(label, options, key=key, format_func=lambda option: short_name(option))
    say(name, "" if picked == options[first] else picked)
    return picked


@st.cache_data(max_entries=64, show_spinner=False)
def _slice(place: Place, across: str, objective: str) -> str | None:
    view = load_study(place)
    figure = slice_figure(searched(view.trials), across, objective_measures(view.goal)[objective])
    return None if figure is None else str(figure.to_json())


@st.cache_data(max_entries=64, show_spinner=False)
def _contour(place: Place, across: str, up: str, objective: str) -> str | None:
    view = load_study(place)
    measure = objective_measures(view.goal)[objective]
    figure = contour_figure(searched(view.trials), across, up, measure)
    return None if figure is None else str(figure.to_json())


@st.cache_data(max_entries=32, show_spinner=False)
def _parallel(place: Place, marked: Sequence[int]) -> str | None:
    view = load_study(place)
    figure = parallel_figure(
        view.trials, view.parameters, objective_measures(view.goal), marked=marked
    )
    return None if figure is None else str(figure.to_json())


def _show_progress(here: PageContext) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            "#### Progress of the search",
            width="stretch",
            help="Hypervolume: the share of the space of the objectives, up to the budget, that "
            "the students dominate.",
        )
        key = bind(here.page, "over", "trials", one_of(_OVER))
        over = st.segmented_control(
            "Over", list(_OVER), key=key, required=True, label_visibility="collapsed"
        )
        say("over", "time" if over == "time" else "")
    moments = load_history(here.place)
    if len(moments) < 2 or moments[-1].best is None:
        st.caption("No student fits the budget yet.")
        return
    show_plot(
        progress_figure(
            moments,
            "ended" if over == "trials" else "hours",
            metric_measure(load_study(here.place).goal.metric),
        ),
        key=f"plot.{here.study}.progress.{over}",
        alt="The best student and the hypervolume during the search",
    )


def _show_savings(here: PageContext) -> None:
    found = load_savings(here.place)
    st.markdown("#### Saved training")
    if not found.trained + found.saved:
        st.caption("No recipe has asked for training yet, or the recipes do not set the epochs.")
        return
    st.markdown(in_words(found))
    show_plot(
        savings_figure(found),
        key=f"plot.{here.study}.savings",
        alt="Training epochs that were done, rejected, stopped and shared",
    )


if __name__ == "__main__":
    show()
