"""Results by class: recalls, the most confused pairs, and the confusion matrix."""

import streamlit as st

from dashboard.charts.classes import MOST_CLASSES, classes_figure
from dashboard.charts.confusion import confusion_figure, pairs_figure
from dashboard.panels.plot import show_plot
from search.analysis.classes import ResultsByClass
from search.records import TrialRecord


def show_by_class(
    trial: TrialRecord, student: ResultsByClass, teacher: ResultsByClass | None
) -> None:
    """Show the results of a trial's student on validation images, beside its teacher's."""
    recalls, pairs = st.columns(2, gap="medium")
    with recalls:
        _show_recalls(trial, student, teacher)
    with pairs:
        _show_pairs(trial, student, teacher)
    _show_matrix(trial, student)


def _show_recalls(
    trial: TrialRecord, student: ResultsByClass, teacher: ResultsByClass | None
) -> None:
    st.markdown(
        "**Recall of each class**",
        help="The share of a class's validation images that is predicted correctly. The mean of "
        "all recalls is the balanced accuracy.",
    )
    st.caption(_summary(student, teacher))
    show_plot(
        classes_figure(student, teacher),
        key=f"plot.{trial.study}.classes",
        alt=f"Recall by class of trial {trial.number} and the teacher, on validation images",
    )


def _summary(student: ResultsByClass, teacher: ResultsByClass | None) -> str:
    """Say how many classes are never right, and which part of the classes the figure shows."""
    count = len(student.worst_first)
    beside = "" if teacher is None else f" (teacher: {teacher.never_right})"
    never = f"{student.never_right:,} of {count:,} classes are never right{beside}."
    return f"{never} The {MOST_CLASSES} worst are shown." if count > MOST_CLASSES else never


def _show_pairs(
    trial: TrialRecord, student: ResultsByClass, teacher: ResultsByClass | None
) -> None:
    st.markdown(
        "**Most confused pairs**",
        help="A true class, the class that is predicted instead, and the share of the true "
        "class's images of which this is so.",
    )
    figure = pairs_figure(student, teacher)
    if figure is None:
        st.caption("No validation image is predicted wrongly.")
        return
    st.caption(f"{len(student.pairs):,} pairs of classes are confused.")
    show_plot(
        figure,
        key=f"plot.{trial.study}.pairs",
        alt=f"The most confused pairs of classes of trial {trial.number}, on validation images",
    )


def _show_matrix(trial: TrialRecord, student: ResultsByClass) -> None:
    figure = confusion_figure(student)
    if figure is None:  # with so many classes, the most confused pairs say it better
        return
    st.markdown(
        "**Confusion matrix**",
        help="A row is a true class, a column a predicted class. The colour is the share of the "
        "row: green is right, red is wrong, an empty field was never predicted.",
    )
    show_plot(
        figure,
        key=f"plot.{trial.study}.confusion",
        alt=f"The confusion matrix of trial {trial.number}, on validation images",
    )
