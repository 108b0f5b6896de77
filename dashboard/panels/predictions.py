"""Predictions of a student: results by class, and images on which the teacher differs."""

from collections.abc import Mapping

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from dashboard.panels.by_class import show_by_class
from dashboard.panels.export import artifact_folder
from dashboard.panels.messages import show_problem
from search.analysis.classes import results_by_class
from search.analysis.examples import DataNames, data_names, prepared_pixels
from search.errors import RetortError
from search.evaluation.predictions_file import TEACHER, kept_predictions
from search.files.filestore import FolderStore
from search.objectives.predictions import Predictions
from search.records import StudyRecord, TrialKind, TrialRecord

_PART = "validation"
_MOST_SHOWN = 18
_IMAGE_WIDTH = 116
_KINDS = {
    "Student wrong, teacher right": (False, True),
    "Student right, teacher wrong": (True, False),
    "Both wrong, differently": (False, False),
}


def show_predictions(study: StudyRecord, trial: TrialRecord) -> None:
    """Show results by class, then images where student and teacher differ, or what is missing."""
    st.markdown("#### Results by class")
    try:
        folder = artifact_folder(study, trial)
        if folder is None:
            st.caption("This trial has no stored student, so it has no predictions.")
            return
        artifacts = FolderStore.of(study.artifacts)
        student = kept_predictions(artifacts, folder.name).get(_PART)
        if trial.kind is TrialKind.REFIT:
            st.caption(
                "A refit was trained on the validation images too, so it has no predictions of "
                f"them. Those of trial {trial.repeats}, which it refits, are its nearest."
            )
            return
        if student is None:
            st.caption(
                "The predictions are not on this machine, or an older retort made the student and "
                "stored none."
            )
            return
        names = data_names(folder)
        teacher = kept_predictions(artifacts, TEACHER).get(_PART)
        _show(study, trial, names, student, teacher)
    except RetortError as error:
        show_problem("The predictions can't be read.", str(error))


def _show(
    study: StudyRecord,
    trial: TrialRecord,
    names: DataNames,
    student: Predictions,
    teacher: Predictions | None,
) -> None:
    if teacher is not None and not np.array_equal(teacher.labels, student.labels):
        st.caption(
            "The teacher's predictions on this machine are of other images, so they are not shown."
        )
        teacher = None
    known = None if teacher is None else results_by_class(teacher, names.classes)
    show_by_class(trial, results_by_class(student, names.classes), known)
    if teacher is not None:
        _show_disagreements(study, names, student, teacher)


def _show_disagreements(
    study: StudyRecord, names: DataNames, student: Predictions, teacher: Predictions
) -> None:
    places = student.disagreements(teacher)
    st.markdown(
        f"#### Disagreement with the teacher: {len(places)} of {len(student.labels)} images"
    )
    if not len(places):
        return
    labels = student.labels[places]
    rights = ((found.classes[places] == labels) for found in (student, teacher))
    is_student_right, is_teacher_right = rights
    kinds = {
        name: places[(is_student_right == one) & (is_teacher_right == other)]
        for name, (one, other) in _KINDS.items()
    }
    # The first kind that has an image.
    names_of_kinds = [name for name, found in kinds.items() if len(found)]
    kind = st.segmented_control(
        "Which",
        names_of_kinds,
        default=names_of_kinds[0],
        format_func=lambda name: f"{name}: {len(kinds[name])}",
        required=True,
        key=f"trial.kind.{'.'.join(names_of_kinds)}",
        label_visibility="collapsed",
    )
    wanted = kinds[kind]
    pixels = prepared_pixels(_cache_of(study.config).folder, names.digest, _PART)
    if pixels is None or len(pixels) != len(student.labels):
        st.caption("The prepared images are not on this machine; these are their positions.")
    shown = wanted[np.argsort(-student.confidence[wanted])][:_MOST_SHOWN]
    with st.container(horizontal=True):
        for place in shown.tolist():
            with st.container(width=_IMAGE_WIDTH + 16, gap="xsmall"):
                if pixels is not None and len(pixels) == len(student.labels):
                    st.image(_picture(pixels[place]), width=_IMAGE_WIDTH)
                st.text(_words(place, names, student, teacher))
    if len(wanted) > len(shown):
        st.caption(
            f"{len(shown)} of {len(wanted)} images: those of the student's highest confidence."
        )


def _cache_of(config: Mapping[str, object]) -> FolderStore:
    run = config.get("run")
    return FolderStore.of(str(run.get("cache", "")) if isinstance(run, Mapping) else "")


def _picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture, [height, width, channels]; a small one is enlarged without blurring."""
    picture = np.moveaxis(pixels, 0, -1)
    if picture.shape[-1] == 1:
        picture = picture[..., 0]
    times = max(1, 2 * _IMAGE_WIDTH // picture.shape[0])
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _words(place: int, names: DataNames, student: Predictions, teacher: Predictions) -> str:
    def predicted(found: Predictions) -> str:
        return f"{names.classes[int(found.classes[place])]} ({found.confidence[place]:.0%})"

    true = names.classes[int(student.labels[place])]
    return f"{true}, image {place}\nstudent: {predicted(student)}\nteacher: {predicted(teacher)}"
