"""A study at a glance: where it stands, and its best student beside the teacher."""

import streamlit as st

from dashboard.queries import StudyView
from search.records import Cost, Quality, StudyState, TeacherRecord, TrialRecord, TrialState
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


def show_headline(view: StudyView) -> None:
    """A line of states, and a row of what the best student has against its teacher."""
    st.markdown(_states(view))
    if view.best is not None:
        st.markdown(
            f"**Best within the budget: trial {view.best.number}** "
            f":gray[· {view.budget}{_teacher_in_words(view.study.teacher)}]"
        )
        show_measures(view.best, view.study.teacher)
    elif not view.trials.empty:
        _explain_absence(view)


def show_measures(trial: TrialRecord, teacher: TeacherRecord | None) -> None:
    """A row of what a trial's student has, each against the teacher's."""
    assert trial.outcome is not None
    quality, cost = trial.outcome.quality, trial.outcome.cost
    with st.container(horizontal=True):
        if quality is not None:
            _show_accuracy(quality, teacher)
        if cost is not None:
            _show_cost(cost, None if teacher is None else teacher.cost)


def _teacher_in_words(teacher: TeacherRecord | None) -> str:
    if teacher is None:
        return ""
    latency = teacher.cost.latency_ms
    costs = [format_bytes(teacher.cost.size_bytes)]
    costs += [] if latency is None else [format_milliseconds(latency)]
    return f" · teacher {teacher.accuracy:.1%}, {', '.join(costs)}"


def _states(view: StudyView) -> str:
    counts = view.trials["state"].value_counts()
    state = view.study.state
    badges = [f":{_STUDY_COLOURS[state]}-badge[**{state}**]", f"{len(view.trials)} trials:"]
    badges += [
        f":{colour}-badge[{counts[name.value]} {name}]"
        for name, colour in _TRIAL_COLOURS.items()
        if name.value in counts
    ]
    return " ".join(badges)


def _show_accuracy(quality: Quality, teacher: TeacherRecord | None) -> None:
    beside = None
    if teacher is not None:
        points = (quality.accuracy - teacher.accuracy) * 100
        beside = f"{abs(points):.1f} points {'below' if points < 0 else 'above'} the teacher"
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


def _explain_absence(view: StudyView) -> None:
    if (view.trials["state"] == TrialState.RUNNING.value).all():
        st.info("The first trials are running; none has ended yet.", icon=":material/hourglass:")
    elif view.nearest is not None:
        assert view.nearest.outcome is not None
        assert view.nearest.outcome.cost is not None
        reason = view.budget.explain(view.nearest.outcome.cost)
        st.warning(
            f"No student fits the budget ({view.budget}) yet. Nearest is trial "
            f"{view.nearest.number}: {reason}.",
            icon=":material/straighten:",
        )
    else:
        st.warning("No trial has completed yet; the table says why.", icon=":material/warning:")
