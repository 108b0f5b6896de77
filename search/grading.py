"""The test of a study's best students, on images that no choice of the search used."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from search.analysis.finals import of_kind
from search.analysis.pareto import frontier
from search.data.dataset import Dataset
from search.errors import ArtifactError, FolderStoreError, TargetError
from search.evaluation.artifact import check_own, check_whole
from search.evaluation.measure import predictions, quality
from search.evaluation.predictions_file import TEACHER, keep_test
from search.objectives.goal import Goal
from search.objectives.predictions import Predictions
from search.pipeline.floor_classes import floor_labels
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback
from search.records import TeacherRecord, TrialKind, TrialRecord, TrialState
from search.storage.storage import Store
from search.targets.registry import runtime
from search.targets.this_machine import load_here


def grade(
    spec: StudyContextSpec, teacher: TeacherRecord, store: Store, callback: Callback, *, goal: Goal
) -> None:
    """Measure the teacher, the frontier, all finalists and refits on the test images."""
    dataset = spec.open_dataset()
    if not len(dataset.test):
        callback.log("no student is tested, because there are no test images: data.test_share is 0")
        return
    teacher_predictions = _test(TEACHER, spec, dataset)
    measured = partial(
        quality,
        teacher=teacher_predictions.classes,
        classes=floor_labels(spec.requirements.budget, dataset.info),
    )
    store.record_teacher(spec.study, replace(teacher, test=measured(teacher_predictions)))
    students = _to_test(store.trials(spec.study), goal)
    callback.log(
        f"testing {len(students)} students on {len(dataset.test)} images that the search never used"
    )
    for student in students:
        assert student.outcome is not None
        artifact = student.outcome.artifact
        assert artifact is not None
        try:
            check_own(spec.artifacts.fetched(artifact.path), artifact)
            found = _test(artifact.path, spec, dataset)
        except FolderStoreError:
            raise
        except (ArtifactError, TargetError) as error:
            callback.log(f"trial {student.number} is not tested: {error}")
            continue
        store.record_test(spec.study, student.number, measured(found))


def _to_test(trials: Sequence[TrialRecord], goal: Goal) -> list[TrialRecord]:
    """Return the frontier, and the complete finalists and refits that are not on it."""
    members = frontier(trials, goal)
    known = {trial.number for trial in members}
    others = of_kind(trials, TrialKind.FINAL, TrialKind.REFIT)
    return members + [
        trial
        for trial in others
        if trial.state is TrialState.COMPLETE and trial.number not in known
    ]


def _test(name: str, spec: StudyContextSpec, dataset: Dataset) -> Predictions:
    """Predict the test images with the network in the folder `name`, and store the predictions."""
    folder = spec.artifacts.fetched(name)
    check_whole(folder)
    target = spec.requirements.target
    served = load_here(folder / runtime(target.runtime).file, target)
    found = predictions(served, dataset.test, dataset)
    keep_test(spec.claim.writing, name, found)
    return found
