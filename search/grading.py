"""The test of a study's best students, on images that no choice of the search used."""

from dataclasses import replace
from functools import partial

from search.analysis.finals import of_kind
from search.analysis.pareto import frontier
from search.analysis.ranking import Ranking
from search.data.dataset import Dataset
from search.errors import ArtifactError, FolderStoreError, TargetError
from search.evaluation.artifact import check_own, check_whole
from search.evaluation.measure import predictions, quality
from search.evaluation.predictions_file import TEACHER, keep_test
from search.objectives.budget import Budget
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
    """Measure the teacher and the students of `students_to_test` on the test images."""
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
    ranking = Ranking(store.trials(spec.study), goal)
    students = students_to_test(ranking, spec.requirements.budget)
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


def students_to_test(ranking: Ranking, budget: Budget) -> list[TrialRecord]:
    """Return the frontier, the best student, and the complete finalists and refits.

    The frontier compares measured values, but the best student has the best estimate. So it need
    not be on the frontier.
    """
    finals = of_kind(ranking.trials, TrialKind.FINAL, TrialKind.REFIT)
    found = [
        *frontier(ranking.trials, ranking.goal),
        *filter(None, [ranking.best(budget)]),
        *(trial for trial in finals if trial.state is TrialState.COMPLETE),
    ]
    return list({trial.number: trial for trial in found}.values())


def _test(name: str, spec: StudyContextSpec, dataset: Dataset) -> Predictions:
    """Predict the test images with the network in the folder `name`, and store the predictions."""
    folder = spec.artifacts.fetched(name)
    check_whole(folder)
    target = spec.requirements.target
    served = load_here(folder / runtime(target.runtime).file, target)
    found = predictions(served, dataset.test, dataset)
    keep_test(spec.claim.writing, name, found)
    return found
