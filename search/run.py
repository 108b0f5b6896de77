"""A whole search: make ready, try recipes, test the frontier, name the best student."""

from dataclasses import replace

from search.artifacts import SERVED, check_whole
from search.config import Study
from search.data.dataset import Dataset
from search.data.prepare import open_dataset
from search.errors import Interrupted, StoreError
from search.frontier import chosen, frontier
from search.measure import predictions, quality
from search.predictions import TEACHER, Predictions, keep_test
from search.preparation import TaskSpec, prepare_task
from search.progress import Watcher
from search.records import StudyState, TeacherRecord, TrialRecord
from search.runtime import Session
from search.store import Store
from search.study import run_trials
from search.study_file import dump_study


def run_study(
    study: Study, store: Store, watcher: Watcher, *, allow_code: bool = False
) -> TrialRecord:
    """Runs a new study to its end; its best student within the budget, tested.

    Raises:
        BadInput: data or teacher can't be used; nothing is in the store then.
        StoreError: the store holds a study of that name.
        NoStudentFits: no trial ended within the budget; names the nearest miss.
        Interrupted: the person stopped it.
    """
    _check_is_new(study, store)
    spec, teacher = prepare_task(study, watcher, allow_code=allow_code)
    store.create_study(study.study, config=dump_study(study), artifacts=str(spec.artifacts))
    store.record_teacher(study.study, teacher)
    state = StudyState.FAILED
    try:
        run_trials(study, spec, store, watcher)
        grade_frontier(spec, teacher, store, watcher)
        state = StudyState.FINISHED
    except (Interrupted, KeyboardInterrupt) as error:
        state = StudyState.INTERRUPTED
        raise Interrupted("stopped by you; every trial that had ended is in the store") from error
    finally:
        store.interrupt_running(study.study)
        store.set_study_state(study.study, state)
    return chosen(store.trials(study.study), study.budget)


def grade_frontier(spec: TaskSpec, teacher: TeacherRecord, store: Store, watcher: Watcher) -> None:
    """Measures the teacher and each student on the frontier on the test images, unseen so far."""
    dataset = open_dataset(spec.dataset)
    taught = _tested(TEACHER, spec, dataset)
    store.record_teacher(spec.study, replace(teacher, test_accuracy=taught.accuracy))
    students = frontier(store.trials(spec.study))
    watcher.say(
        f"testing {len(students)} students on {len(dataset.test)} images that no one has seen"
    )
    for student in students:
        assert student.outcome is not None
        assert student.outcome.artifact is not None
        found = _tested(student.outcome.artifact.path, spec, dataset)
        store.record_test(spec.study, student.number, quality(found, teacher=taught.classes))


def _tested(name: str, spec: TaskSpec, dataset: Dataset) -> Predictions:
    """What the network in the folder `name` predicts for the test images; kept beside it."""
    folder = spec.artifacts / name
    check_whole(folder)
    target = spec.brief.target
    session = Session(folder / SERVED, threads=target.threads, device=target.device)
    found = predictions(session, dataset.test, dataset)
    keep_test(spec.artifacts, name, found)
    return found


def _check_is_new(study: Study, store: Store) -> None:
    if study.study in {known.name for known in store.studies()}:
        raise StoreError(
            f"the store holds a study {study.study} already: give this one another name, such as "
            f"study={study.study}-2"
        )
