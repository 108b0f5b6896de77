"""Page of one trial: its recipe, its training, its results, and how to repeat it."""

import streamlit as st

from dashboard.charts.curves import curves_figure
from dashboard.charts.measures import metric_measure, objective_measures
from dashboard.charts.stages import waterfall_figure
from dashboard.panels.export import command, show_export
from dashboard.panels.headline import show_states
from dashboard.panels.marks import marked_trials, remark
from dashboard.panels.messages import show_text
from dashboard.panels.page import PageContext, open_study
from dashboard.panels.plot import show_plot
from dashboard.panels.predictions import show_predictions
from dashboard.panels.trial import show_end, show_facts, show_recipe
from dashboard.queries import Place, StudyView, load_study, load_trials
from search.analysis.finals import training_notes
from search.analysis.floor_notes import floor_notes
from search.objectives.units import format_duration
from search.records import StageRecord, TrialKind, TrialRecord


def show() -> None:
    """Show the page."""
    here = open_study("trial", "Trial")
    if here is None:
        return
    view = load_study(here.place)
    if view.trials.empty:
        show_states(view)
        st.info("No trial has started yet.", icon=":material/hourglass:")
        return
    number = _pick(here, view)
    trial = load_trials(here.place, (number,))[number]
    show_end(trial, view)
    notes = training_notes(trial, view.records, view.goal)
    for note in (*notes, *floor_notes(trial, view.records, view.budget)):
        show_text(note)
    _show_training(here, trial)
    left, right = st.columns(2, gap="medium")
    with left:
        show_recipe(trial)
    with right:
        show_facts(trial, view.study)
        _show_commands(view, trial, url=here.place.url)
    show_predictions(view.study, trial)


def _pick(here: PageContext, view: StudyView) -> int:
    """Return the marked trial, or else the best one, or else the last one."""
    marked = marked_trials(here)
    default = view.best.number if view.best is not None else int(view.trials["number"].iloc[-1])
    key = f"{here.page}.number"
    st.session_state[key] = marked[0] if marked else default

    def go() -> None:
        remark(here.study, [int(st.session_state[key])])

    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            f"Trial, 0 to {len(view.trials) - 1}",
            min_value=0,
            max_value=len(view.trials) - 1,
            step=1,
            key=key,
            on_change=go,
            width=200,
        )
        if view.best is not None and view.best.number != number:
            st.button("Show the best trial", on_click=remark, args=(here.study, [view.best.number]))
    return int(number)


def _show_training(here: PageContext, trial: TrialRecord) -> None:
    outcome = trial.outcome
    if outcome is None:
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("#### Learning curves")
        if outcome.epochs:
            show_plot(
                _curves(here.place, trial.number),
                key=f"plot.{here.study}.curves",
                alt=f"The metric and the loss of trial {trial.number} by epoch",
            )
        else:
            st.caption("This trial was not trained, or no epoch of it is recorded.")
    with right:
        st.markdown("#### Effect of each stage")
        figure = _waterfall(here.place, trial.number)
        if figure is not None:
            show_plot(
                figure,
                key=f"plot.{here.study}.stages",
                alt=f"The objectives after each stage of trial {trial.number}",
            )
        else:
            st.caption("Fewer than two stages were measured.")
        if outcome.stages:
            st.caption(" · ".join(_in_words(stage) for stage in outcome.stages))


@st.cache_data(max_entries=64, show_spinner=False)
def _curves(place: Place, number: int) -> str:
    score = metric_measure(load_study(place).goal.metric)
    return str(curves_figure([load_trials(place, (number,))[number]], score).to_json())


@st.cache_data(max_entries=64, show_spinner=False)
def _waterfall(place: Place, number: int) -> str | None:
    outcome = load_trials(place, (number,))[number].outcome
    measures = objective_measures(load_study(place).goal).values()
    figure = None if outcome is None else waterfall_figure(outcome, measures)
    return None if figure is None else str(figure.to_json())


def _in_words(stage: StageRecord) -> str:
    reused = ", reused" if stage.reused else ""
    return f"{stage.name} {format_duration(stage.seconds)}{reused}"


def _show_commands(view: StudyView, trial: TrialRecord, *, url: str) -> None:
    st.markdown("**Get this student**", help="Weights, ONNX, recipe, model card, checksums.")
    show_export(view.study, trial, url=url, key="trial.export")
    has_other_seed = trial.seed != view.study.config.get("seed", trial.seed)
    if trial.kind is TrialKind.REFIT or (trial.kind is TrialKind.FINAL and has_other_seed):
        return  # no study file has this training
    st.markdown("**Repeat this trial**", help="Runs the same recipe and seed as a new study.")
    name = f"{trial.study}-trial-{trial.number}"
    lines = f"{command('show', trial, url=url)} --as-study > {name}.yaml\nretort run {name}.yaml"
    st.code(lines, language="bash", wrap_lines=True)


if __name__ == "__main__":
    show()
