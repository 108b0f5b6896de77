"""A study at a glance: its state, and its best student beside the teacher."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard.charts.measures import (
    Measure,
    cost_measures,
    floor_measure,
    metric_measure,
    objective_measures,
)
from dashboard.panels.messages import show_text
from dashboard.queries import StudyView
from search.objectives.floors import Floor
from search.objectives.goal import Goal
from search.objectives.metric import DEVIATIONS_95
from search.records import (
    Quality,
    StudyRecord,
    StudyState,
    TeacherRecord,
    TrialRecord,
    TrialState,
)
from search.storage.leases import standing, standing_counts

_STUDY_COLOURS = {
    StudyState.RUNNING: "blue",
    StudyState.FINISHED: "green",
    StudyState.INTERRUPTED: "orange",
    StudyState.FAILED: "red",
}
_TRIAL_COLOURS = {
    TrialState.COMPLETE: "green",
    TrialState.RUNNING: "blue",
    TrialState.INFEASIBLE: "orange",
    TrialState.STOPPED: "gray",
    TrialState.INTERRUPTED: "gray",
    TrialState.FAILED: "red",
}


def show_states(view: StudyView) -> None:
    """Show the study's state and the number of trials in each state."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show_badges(standing(view.study), view.counts)
    # Its place is always taken: figures below would lose their zoom if they moved.
    with st.empty():
        show_activity(view.study)


def show_activity(study: StudyRecord) -> None:
    """Show what the study's run does now while it prepares, or why its last run failed."""
    if standing(study) is StudyState.RUNNING:
        if study.activity:
            show_text(study.activity)
    elif study.failure:
        show_text(f"The last run failed: {study.failure}")


def show_badges(state: StudyState, counts: Mapping[TrialState, int]) -> None:
    """Show a line of badges: the study's state, and the trials' states with their numbers."""
    counts = standing_counts(state, counts)
    count = sum(counts.values())
    words = "1 trial" if count == 1 else f"{count:,} trials"
    badges = [f":{_STUDY_COLOURS[state]}-badge[**{state}**]", words + ":" * bool(count)]
    badges += [
        f":{colour}-badge[{counts[name]:,} {name}]"
        for name, colour in _TRIAL_COLOURS.items()
        if counts.get(name)
    ]
    st.markdown(" ".join(badges))


def show_measures(
    trial: TrialRecord, teacher: TeacherRecord | None, goal: Goal, *, floors: Sequence[Floor] = ()
) -> None:
    """Show a row of the student's measures, each compared with the teacher's or with its floor."""
    assert trial.outcome is not None
    cost = trial.outcome.cost or {}
    with st.container(horizontal=True):
        quality = {} if teacher is None else teacher.quality
        for metric in (goal.metric, *goal.beside(trial.outcome.quality, quality)):
            score = metric_measure(metric)
            if (value := score.of(trial.outcome)) is not None:
                beside = _difference(score, value, score.of_quality(quality))
                error = trial.outcome.quality[metric.name].error
                reach = f" ± {score.label(DEVIATIONS_95 * error)}" if error else ""
                _show(score.title, score.label(value) + reach, beside)
        for floor in floors:
            measure = floor_measure(floor)
            if (value := measure.of(trial.outcome)) is not None:
                _show(measure.title, measure.label(value), _beside_floor(floor, measure, value))
        for measure in cost_measures().values():
            if (value := measure.of_cost(cost)) is not None:
                theirs = None if teacher is None else measure.of_cost(teacher.cost)
                _show(measure.title, measure.label(value), _factor(measure, value, theirs))


def teacher_in_words(teacher: TeacherRecord, goal: Goal) -> str:
    """Return the teacher's values for the objectives: `98.3%, 44.7 MB, 8.40 ms`."""
    score, *costs = objective_measures(goal).values()
    values = [(score, score.of_quality(teacher.quality))]
    values += [(measure, measure.of_cost(teacher.cost)) for measure in costs]
    shown = [measure.label(value) for measure, value in values if value is not None]
    shown[1:1] = beside_in_words(teacher.quality, goal)
    return ", ".join(shown)


def beside_in_words(quality: Quality, goal: Goal) -> list[str]:
    """Return the metrics that stand beside the goal's own: `balanced accuracy 17.2%`."""
    measures = map(metric_measure, goal.beside(quality))
    return [
        f"{measure.name} {measure.label(quality[measure.column].value)}" for measure in measures
    ]


def _difference(score: Measure, value: float, theirs: float | None) -> str | None:
    if theirs is None:
        return None
    side = "below" if value < theirs else "above"
    if score.is_share:
        return f"{abs(value - theirs) * 100:.1f} points {side}"
    return f"{score.label(abs(value - theirs))} {side}"


def _beside_floor(floor: Floor, measure: Measure, value: float) -> str:
    """Return whether a value meets its floor: `meets 98.0%`, or `breaks 98.0%`."""
    verb = "breaks" if floor.shortfall(value) > 0 else "meets"
    return f"{verb} the floor, {measure.label(floor.bound)}"


def _factor(measure: Measure, mine: float, theirs: float | None) -> str | None:
    if not mine or not theirs:
        return None
    factor = max(mine, theirs) / min(mine, theirs)
    return (
        f"{factor:.{1 if factor < 10 else 0}f}× {measure.less if mine <= theirs else measure.more}"
    )


def _show(label: str, value: str, beside: str | None) -> None:
    st.metric(
        label, value, beside, delta_color="off", delta_arrow="off", border=True, width="stretch"
    )


def explain_absence(view: StudyView, reason: str) -> None:
    """Explain why there is no student to show; `reason` comes from the search."""
    if (view.trials["state"] == TrialState.RUNNING.value).all():
        if standing(view.study) is StudyState.RUNNING:
            text = "The first trials are running; none has ended yet."
        else:
            text = (
                f"The search ended before any trial. Resume it: `retort resume {view.study.name}`"
            )
        st.info(text, icon=":material/hourglass:")
        return
    st.warning("No student fits yet.", icon=":material/straighten:")
    show_text(reason)
    if failed := view.counts.get(TrialState.FAILED):
        st.page_link(
            "views/trials.py",
            label="Why 1 trial failed" if failed == 1 else f"Why {failed:,} trials failed",
            icon=":material/arrow_forward:",
            query_params={"study": view.study.name, "states": TrialState.FAILED.value},
        )
