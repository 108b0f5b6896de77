"""A whole search: prepare, run trials, test the frontier, return the best student."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from search.analysis.pareto import chosen, frontier
from search.config.loader import dump_study
from search.config.study import Study
from search.data.dataset import Dataset
from search.errors import (
    ArtifactError,
    ArtifactsHeld,
    DiskError,
    FolderStoreError,
    Interrupted,
    RayUnavailable,
    StoreError,
    StoreUnavailable,
    StudyHeld,
    TargetError,
)
from search.evaluation.artifact import check_own, check_whole
from search.evaluation.measure import predictions, quality
from search.evaluation.predictions_file import TEACHER, keep_test
from search.files.filestore import FolderStore
from search.objectives.goal import Goal
from search.objectives.predictions import Predictions
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback
from search.ray_backend.trials import reaching_target, run_trials
from search.records import StudyRecord, StudyState, TeacherRecord, TrialRecord
from search.storage.artifact_owner import Claim, check_free, claim_artifacts
from search.storage.integrity import sweep
from search.storage.lease_rows import held_message
from search.storage.leases import Heartbeat, Log, beating, lives, take, this_process
from search.storage.retrying_writer import journal_of
from search.storage.storage import Store
from search.targets.registry import runtime
from search.targets.this_machine import load_here
from search.tuner.study_changes import check_changes, check_data_and_teacher
from search.tuner.warm_start import check_comparable


def run_study(
    study: Study, store: Store, callback: Callback, *, allow_code: bool = False
) -> TrialRecord:
    """Run a new study to its end, and return its best student within the budget, tested.

    Raises:
        BadInput: data or teacher can't be used; nothing was written to the store.
        ArtifactsHeld: the artifacts folder contains the students of another study; nothing was
            written to the store.
        StoreError: the store already contains a study with this name, or can't be written.
        NoStudentFits: no trial ended within the budget; the message names the nearest one.
        Interrupted: the user stopped the run.
    """
    _check_is_new(study, store)
    study, lease = _with_absolute_folders(study), this_process()
    artifacts = FolderStore.of(study.run.artifacts) / study.study
    check_free(artifacts, study.study)
    with reaching_target(study):
        spec, teacher = prepare_context(study, callback, allow_code=allow_code, hold=lease.token)
        check_comparable(study, spec, teacher, store)
        store.create_study(
            study.study,
            config=dump_study(study),
            artifacts=str(artifacts),
            data_digest=spec.data_digest,
            lease=lease,
        )
        with beating(store, study.study) as heartbeat:
            claim_artifacts(store, study.study, lease.token)
            _rename_journals(journal_of(store, artifacts).waiting, callback.log)
            return _search(study, spec, teacher, store, callback, heartbeat)


def resume_study(
    study: Study,
    store: Store,
    callback: Callback,
    *,
    allow_code: bool = False,
    take_over: bool = False,
) -> TrialRecord:
    """Continue a study that was interrupted or failed, or that gets more trials or time.

    First, results in the journal, which could not be written before, are written to the store.
    Interrupted trials run first, with their former recipes.

    Args:
        study: the study with its changes.
        store: the store that contains the study.
        callback: receives the events of the search.
        allow_code: whether a teacher's factory may run its code.
        take_over: whether to take the artifacts folder from another store, or from a newer copy of
            this store.

    Raises:
        StudyHeld: another process runs the study, or another store has its artifacts folder.
        BadInput: with the changes, new trials could not be compared with earlier ones.
        NoStudentFits, Interrupted, StoreError: for the same reasons as in `run_study`.
    """
    name = study.study
    lease = take(store, name, log=callback.log)
    with beating(store, name) as heartbeat, reaching_target(study):
        record = store.study(name)
        study = _with_absolute_folders(study)
        claim = claim_artifacts(store, name, lease.token, take_over=take_over)
        _prepare_resume(study, record, claim, store, callback.log)
        spec, teacher = prepare_context(study, callback, allow_code=allow_code, hold=lease.token)
        check_data_and_teacher(record, data_digest=spec.data_digest, teacher=teacher)
        check_comparable(study, spec, teacher, store)
        store.reopen_study(name, config=dump_study(study), data_digest=spec.data_digest)
        return _search(study, spec, teacher, store, callback, heartbeat)


def _prepare_resume(
    study: Study, record: StudyRecord, claim: Claim, store: Store, log: Log
) -> None:
    """Clean up after earlier runs of the study, and check the changes of the study."""
    read_back_journal(store, study.study, claim.artifacts, log)
    for change in check_changes(record, study, store.trials(study.study)):
        log(f"changed: {change}")
    store.interrupt_running(study.study)
    sweep(claim, store.trials(study.study), log)


def _search(
    study: Study,
    spec: StudyContextSpec,
    teacher: TeacherRecord,
    store: Store,
    callback: Callback,
    heartbeat: Heartbeat,
) -> TrialRecord:
    """Run trials and test the frontier; this process must have the lease on the study."""
    state = StudyState.FAILED
    try:
        store.record_teacher(
            study.study, _with_earlier_test(teacher, store.study(study.study).teacher)
        )
        run_trials(study, spec, store, callback, heartbeat)
        grade_frontier(spec, teacher, store, callback, goal=study.goal)
        state = StudyState.FINISHED
    except (Interrupted, KeyboardInterrupt) as error:
        state = StudyState.INTERRUPTED
        raise Interrupted(
            "you stopped the search. Every ended trial is in the store: continue with "
            f"`retort resume {study.study}`"
        ) from error
    except RayUnavailable as error:
        state = StudyState.INTERRUPTED
        raise RayUnavailable(
            f"{error}. Every ended trial is in the store: continue with "
            f"`retort resume {study.study}`"
        ) from error
    except (StoreUnavailable, DiskError) as error:
        advice = _resume_advice(study.study, journal_of(store, spec.artifacts).waiting)
        raise type(error)(f"{error}. {advice}") from error
    finally:
        _end_run(store, spec, state, callback)
    return chosen(store.trials(study.study), study.budget, study.goal)


def _with_earlier_test(teacher: TeacherRecord, before: TeacherRecord | None) -> TeacherRecord:
    """Return the teacher with the test quality that an earlier run measured."""
    if before is None or before.digest != teacher.digest:
        return teacher
    return replace(teacher, test=before.test)


def _end_run(store: Store, spec: StudyContextSpec, state: StudyState, callback: Callback) -> None:
    """End running trials and clean up; if the store is unreachable, `resume` does that later."""
    with suppress(StoreError):
        if spec.claim.is_kept():
            with suppress(OSError):
                read_back_journal(store, spec.study, spec.artifacts, callback.log)
        store.interrupt_running(spec.study)
        with suppress(OSError, ArtifactsHeld):
            sweep(spec.claim, store.trials(spec.study), callback.log)
        store.set_study_state(spec.study, state)


def read_back_journal(store: Store, study: str, artifacts: FolderStore, log: Log) -> None:
    """Write the journal's results to the store."""
    journal = journal_of(store, artifacts)
    read = journal.read_back(partial(store.finish_trial, study))
    if read.kept:
        log(f"{read.kept} results of the journal have been written to the store")
    if read.damaged:
        log(f"{read.damaged} lines of {journal.path} are damaged: their trials run again")
    if read.refused:
        log(
            f"{read.refused} results of {journal.path} contradict the store, so they were moved to "
            f"{journal.refused_path}"
        )


def _rename_journals(paths: Sequence[Path], log: Log) -> None:
    """Rename the journals with a new study's name: they belong to a study that was removed."""
    for path in paths:
        aside = path.with_name(f"{path.name}.old")
        path.replace(aside)
        log(f"the journal {path} of an earlier study with this name was renamed to {aside}")


def _resume_advice(study: str, journals: Sequence[Path]) -> str:
    named = ", ".join(map(str, journals))
    where = f"Results that could not be stored are in {named}. " if journals else ""
    return f"{where}When it can be written again, continue with `retort resume {study}`"


def _with_absolute_folders(study: Study) -> Study:
    """Return the study with absolute folders, so that it can be resumed from another folder."""
    folder_stores = {
        key: FolderStore.of(getattr(study.run, key)).address for key in ("artifacts", "cache")
    }
    return study.model_copy(update={"run": study.run.model_copy(update=folder_stores)})


def grade_frontier(
    spec: StudyContextSpec, teacher: TeacherRecord, store: Store, callback: Callback, *, goal: Goal
) -> None:
    """Measure the teacher and each student on the frontier on the test images."""
    dataset = spec.open_dataset()
    if not len(dataset.test):
        callback.log("no student is tested, because there are no test images: data.test_share is 0")
        return
    teacher_predictions = _test(TEACHER, spec, dataset)
    store.record_teacher(
        spec.study,
        replace(teacher, test=quality(teacher_predictions, teacher=teacher_predictions.classes)),
    )
    students = frontier(store.trials(spec.study), goal)
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
        store.record_test(
            spec.study, student.number, quality(found, teacher=teacher_predictions.classes)
        )


def _test(name: str, spec: StudyContextSpec, dataset: Dataset) -> Predictions:
    """Predict the test images with the network in the folder `name`, and store the predictions."""
    folder = spec.artifacts.fetched(name)
    check_whole(folder)
    target = spec.requirements.target
    served = load_here(folder / runtime(target.runtime).file, target)
    found = predictions(served, dataset.test, dataset)
    keep_test(spec.claim.writing, name, found)
    return found


def _check_is_new(study: Study, store: Store) -> None:
    if study.study not in store.names():
        return
    known = store.study(study.study)
    if known.lease and lives(known.lease):
        raise StudyHeld(held_message(study.study, known.lease))
    raise StoreError(
        f"a new study must have a new name, but the store already contains {study.study}: continue "
        f"it with `retort resume {study.study}`, or choose another name, such as "
        f"study={study.study}-2"
    )
