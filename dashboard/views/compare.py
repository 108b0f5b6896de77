"""Page that compares several trials: their differences, learning curves and agreement."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts.agreement import agreement_figure
from dashboard.charts.curves import curves_figure
from dashboard.charts.measures import metric_measure
from dashboard.frames import axes_of
from dashboard.panels.export import artifact_folder
from dashboard.panels.headline import show_states
from dashboard.panels.marks import marked_trials, remark
from dashboard.panels.messages import show_problem
from dashboard.panels.page import PageContext, open_study
from dashboard.panels.plot import show_plot
from dashboard.panels.trial import measured_rows, recipe_rows
from dashboard.queries import Place, StudyView, load_advice, load_study, load_trials
from search.analysis.finals import kind_text
from search.errors import RetortError
from search.evaluation.predictions_file import TEACHER, kept_predictions
from search.files.filestore import FolderStore
from search.objectives.predictions import Predictions
from search.records import TrialRecord, TrialState

_PART = "validation"
_FEWEST, _MOST = 2, 12


def show() -> None:
    """Show the page."""
    here = open_study("compare", "Compare")
    if here is None:
        return
    view = load_study(here.place)
    show_states(view)
    if len(view.trials) < _FEWEST:
        st.info("This study has fewer than two trials so far.", icon=":material/hourglass:")
        return
    numbers = _pick(here, view)
    if len(numbers) < _FEWEST:
        st.info("Choose at least two trials.", icon=":material/compare_arrows:")
        return
    found = load_trials(here.place, tuple(numbers))
    trials = [found[number] for number in numbers]
    st.markdown("#### Differences")
    _show_differences(trials)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("#### Learning curves")
        if any(trial.outcome and trial.outcome.epochs for trial in trials):
            show_plot(
                _curves(here.place, tuple(numbers)),
                key=f"plot.{here.study}.overlaid",
                alt=f"The metric and the loss of {len(trials)} trials by epoch",
            )
        else:
            st.caption("None of these trials was trained, or no epoch of them is recorded yet.")
    with right:
        st.markdown(
            "#### Agreement",
            help="The share of validation images on which two networks predict the same class.",
        )
        _show_agreement(here, view, trials)


@st.cache_data(max_entries=32, show_spinner=False)
def _curves(place: Place, numbers: Sequence[int]) -> str:
    score = metric_measure(load_study(place).goal.metric)
    return str(curves_figure(list(load_trials(place, numbers).values()), score).to_json())


def _pick(here: PageContext, view: StudyView) -> list[int]:
    """Return the marked trials; if fewer than two are marked, the best and the runner-up."""
    marked = marked_trials(here)[:_MOST]
    if len(marked) < _FEWEST:
        marked = list(dict.fromkeys([*marked, *_first(here, view)]))[:_FEWEST]
    members = view.trials.loc[view.trials["on_frontier"], "number"].tolist()
    known = {str(number) for number in [*members, *marked]}
    key = f"{here.page}.chosen"
    st.session_state[key] = [str(number) for number in marked]
    count = len(view.trials)

    def choose() -> None:
        chosen = [text for text in st.session_state[key] if text.isdecimal() and text.isascii()]
        remark(here.study, [int(text) for text in chosen if len(text) < 19 and int(text) < count])

    st.multiselect(
        f"Trials, 0 to {count - 1}: choose from the frontier, or type the number of any trial",
        sorted(known, key=int),
        key=key,
        on_change=choose,
        accept_new_options=True,
        max_selections=_MOST,
    )
    return [int(text) for text in st.session_state[key]]


def _first(here: PageContext, view: StudyView) -> list[int]:
    """Return the first trials to show: the best and the runner-up, or those that ended last."""
    advice = load_advice(here.place)
    if advice is not None and advice.runner_up is not None:
        return [advice.chosen.number, advice.runner_up.number]
    best = [] if advice is None else [advice.chosen.number]
    ended = view.trials.loc[view.trials["state"] != TrialState.RUNNING.value, "number"]
    return [*best, *reversed(ended.tolist())]


def _show_differences(trials: Sequence[TrialRecord]) -> None:
    rows = {trial.number: _facts(trial) for trial in trials}
    names = list(dict.fromkeys(name for facts in rows.values() for name in facts))
    differing = [name for name in names if len({facts.get(name) for facts in rows.values()}) > 1]
    if not differing:
        st.caption("These trials differ only in their numbers.")
        return
    frame = pd.DataFrame({"": differing})
    for number, facts in rows.items():
        frame[f"Trial {number}"] = [facts.get(name, "–") for name in differing]
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        column_config={"": st.column_config.TextColumn(pinned=True)},
    )


def _facts(trial: TrialRecord) -> Mapping[str, str]:
    """Return all facts in which trials can differ; a parameter has its method's name before it."""
    recipe = recipe_rows(trial.params, axes_of([trial]), whole_names=True)
    kind = {"Kind": kind_text(trial) or "search", "Seed": str(trial.seed)}
    return {"State": str(trial.state), **kind, **measured_rows(trial), **recipe}


def _show_agreement(here: PageContext, view: StudyView, trials: Sequence[TrialRecord]) -> None:
    try:
        known = _predictions(view, trials)
    except RetortError as error:
        show_problem("The predictions can't be read.", str(error))
        return
    if len(known) < 2:
        st.caption("This machine has the predictions of fewer than two of these networks.")
        return
    names = list(known)
    shares = [
        [float(np.mean(known[one].classes == known[other].classes)) for other in names]
        for one in names
    ]
    show_plot(
        agreement_figure(names, shares),
        key=f"plot.{here.study}.agreement",
        alt="Share of validation images on which each pair of networks predicts the same class",
    )


def _predictions(view: StudyView, trials: Sequence[TrialRecord]) -> dict[str, Predictions]:
    """Return the available predictions by name. All are of the same images as the first."""
    found: dict[str, Predictions] = {}
    for trial in trials:
        folder = artifact_folder(view.study, trial)
        if folder is None:
            continue
        for name, place in ((f"trial {trial.number}", folder.name), ("teacher", TEACHER)):
            kept = kept_predictions(FolderStore.of(view.study.artifacts), place).get(_PART)
            if kept is not None:
                found[name] = kept
    teacher = found.pop("teacher", None)
    found |= {} if teacher is None else {"teacher": teacher}
    first = next(iter(found.values()), None)
    return {
        name: kept
        for name, kept in found.items()
        if first is not None and np.array_equal(kept.labels, first.labels)
    }


if __name__ == "__main__":
    show()
