"""A study at a glance: where it stands, and its best student beside the teacher."""

from collections.abc import Mapping

import streamlit as st

from dashboard.panels.messages import show_text
from dashboard.queries import StudyView
from search.records import Cost, Quality, StudyState, TeacherRecord, TrialRecord, TrialState
from search.storage.leases import standing, standing_counts
from search.units import format_bytes, format_count, format_milliseconds

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
    """Where the study stands, and its trials by state."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show_badges(standing(view.study), view.counts)


def show_badges(state: StudyState, counts: Mapping[TrialState, int]) -> None:
    """A line of states, those of trials with their numbers."""
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


def show_measures(trial: TrialRecord, teacher: TeacherRecord | None) -> None:
    """A row of what a trial's student has, each against the teacher's."""
    assert trial.outcome is not None
    quality, cost = trial.outcome.quality, trial.outcome.cost
    with st.container(horizontal=True):
        if quality is not None:
            _show_accuracy(quality, teacher)
        if cost is not None:
            _show_cost(cost, None if teacher is None else teacher.cost)


def teacher_in_words(teacher: TeacherRecord) -> str:
    """What it has of what is chosen by: `98.3%, 44.7 MB, 8.40 ms`."""
    latency = teacher.cost.latency_ms
    costs = [format_bytes(teacher.cost.size_bytes)]
    costs += [] if latency is None else [format_milliseconds(latency)]
    return f"{teacher.accuracy:.1%}, {', '.join(costs)}"


def _show_accuracy(quality: Quality, teacher: TeacherRecord | None) -> None:
    beside = None
    if teacher is not None:
        points = (quality.accuracy - teacher.accuracy) * 100
        beside = f"{abs(points):.1f} points {'below' if points < 0 else 'above'}"
    _show("Accuracy", f"{quality.accuracy:.1%}", beside)


def _show_cost(cost: Cost, teacher: Cost | None) -> None:
    _show("Size", format_bytes(cost.size_bytes), _factor(cost, teacher, "size_bytes", "smaller"))
    if cost.latency_ms is not None:
        latency = format_milliseconds(cost.latency_ms)
        _show("Latency", latency, _factor(cost, teacher, "latency_ms", "faster"))
    parameters = format_count(cost.parameters)
    _show("Parameters", parameters, _factor(cost, teacher, "parameters", "fewer"))


def _factor(cost: Cost, teacher: Cost | None, name: str, better: str) -> str | None:
    mine, theirs = getattr(cost, name), getattr(teacher, name, None)
    if not mine or not theirs:
        return None
    worse = {"smaller": "larger", "faster": "slower", "fewer": "more"}[better]
    factor = max(mine, theirs) / min(mine, theirs)
    return f"{factor:.{1 if factor < 10 else 0}f}× {better if mine <= theirs else worse}"


def _show(label: str, value: str, beside: str | None) -> None:
    st.metric(
        label, value, beside, delta_color="off", delta_arrow="off", border=True, width="stretch"
    )


def explain_absence(view: StudyView, reason: str) -> None:
    """Why there is no student to show; `reason` is the search's own."""
    if (view.trials["state"] == TrialState.RUNNING.value).all():
        if standing(view.study) is StudyState.RUNNING:
            text = "The first trials are running; none has ended yet."
        else:
            text = f"It ended before any trial did: `retort resume {view.study.name}` goes on."
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
