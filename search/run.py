"""A whole search: prepare, try recipes, test the frontier, report the best student."""

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
from search.tuner.study_changes import check_changes, check_made_of_the_same
from search.tuner.warm_start import check_alike


def run_study(
    study: Study, store: Store, callback: Callback, *, allow_code: bool = False
) -> TrialRecord:
    """Run a new study to its end, and return its best student within the budget, tested.

    Raises:
        BadInput: data or teacher can't be used; nothing is in the store then.
        ArtifactsHeld: another study has its students where this one's would be; nothing is in the
            store then.
        StoreError: the store contains a study of that name, or can't be written.
        NoStudentFits: no trial ended within the budget; names the nearest miss.
        Interrupted: a person stopped it.
    """
    _check_is_new(study, store)
    study, lease = _placed(study), this_process()
    artifacts = FolderStore.of(study.run.artifacts) / study.study
    check_free(artifacts, study.study)
    with reaching_target(study):
        spec, teacher = prepare_context(study, callback, allow_code=allow_code, hold=lease.token)
        check_alike(study, spec, teacher, store)
        store.create_study(
            study.study,
            config=dump_study(study),
            artifacts=str(artifacts),
            data_digest=spec.data_digest,
            lease=lease,
        )
        with beating(store, study.study) as heartbeat:
            claim_artifacts(store, study.study, lease.token)
            _set_aside_journals(journal_of(store, artifacts).waiting, callback.log)
            return _search(study, spec, teacher, store, callback, heartbeat)


def resume_study(
    study: Study,
    store: Store,
    callback: Callback,
    *,
    allow_code: bool = False,
    take_over: bool = False,
) -> TrialRecord:
    """Continue a study that was interrupted, failed, or is to get more trials or more time.

    Results that the store could not take are read back first. Interrupted trials run first, with
    the recipes that they had.

    Args:
        study: the study as it is from now on.
        store: contains the study.
        callback: receives the events of the search.
        allow_code: whether a teacher's factory may run its code.
        take_over: whether its artifacts folder may be taken from another store, or from a newer
            copy of this one.

    Raises:
        StudyHeld: another process runs it, or another store has its artifacts folder.
        BadInput: the changes would mix trials that can't be compared.
        NoStudentFits, Interrupted, StoreError: as `run_study`.
    """
    name = study.study
    lease = take(store, name, log=callback.log)
    with beating(store, name) as heartbeat, reaching_target(study):
        record = store.study(name)
        study = _placed(study)
        claim = claim_artifacts(store, name, lease.token, take_over=take_over)
        _tidy_up(study, record, claim, store, callback.log)
        spec, teacher = prepare_context(study, callback, allow_code=allow_code, hold=lease.token)
        check_made_of_the_same(record, data_digest=spec.data_digest, teacher=teacher)
        check_alike(study, spec, teacher, store)
        store.reopen_study(name, config=dump_study(study), data_digest=spec.data_digest)
        return _search(study, spec, teacher, store, callback, heartbeat)


def _tidy_up(study: Study, record: StudyRecord, claim: Claim, store: Store, log: Log) -> None:
    """Clean up what earlier runs of the study left behind."""
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
    """Try recipes and test the frontier, in a study that this process holds."""
    state = StudyState.FAILED
    try:
        store.record_teacher(study.study, _as_tested(teacher, store.study(study.study).teacher))
        run_trials(study, spec, store, callback, heartbeat)
        grade_frontier(spec, teacher, store, callback, goal=study.goal)
        state = StudyState.FINISHED
    except (Interrupted, KeyboardInterrupt) as error:
        state = StudyState.INTERRUPTED
        raise Interrupted(
            "stopped by you; every trial that had ended is in the store; go on with "
            f"`retort resume {study.study}`"
        ) from error
    except RayUnavailable as error:
        state = StudyState.INTERRUPTED
        raise RayUnavailable(
            f"{error}. Every trial that had ended is in the store: go on with "
            f"`retort resume {study.study}`"
        ) from error
    except (StoreUnavailable, DiskError) as error:
        advice = _how_to_go_on(study.study, journal_of(store, spec.artifacts).waiting)
        raise type(error)(f"{error}. {advice}") from error
    finally:
        _close_books(store, spec, state, callback)
    return chosen(store.trials(study.study), study.budget, study.goal)


def _as_tested(teacher: TeacherRecord, before: TeacherRecord | None) -> TeacherRecord:
    """Return the teacher with an earlier run's measurements on the test images."""
    if before is None or before.digest != teacher.digest:
        return teacher
    return replace(teacher, test=before.test)


def _close_books(
    store: Store, spec: StudyContextSpec, state: StudyState, callback: Callback
) -> None:
    """End running trials and clean up, where the store can be reached; else `resume` does."""
    with suppress(StoreError):
        if spec.claim.is_kept():
            with suppress(OSError):
                read_back_journal(store, spec.study, spec.artifacts, callback.log)
        store.interrupt_running(spec.study)
        with suppress(OSError, ArtifactsHeld):
            sweep(spec.claim, store.trials(spec.study), callback.log)
        store.set_study_state(spec.study, state)


def read_back_journal(store: Store, study: str, artifacts: FolderStore, log: Log) -> None:
    """Add the journal's results to the store, which could not take them before."""
    journal = journal_of(store, artifacts)
    read = journal.read_back(partial(store.finish_trial, study))
    if read.kept:
        log(f"{read.kept} results that the store could not take before are in it now")
    if read.damaged:
        log(f"{read.damaged} lines of {journal.path} were damaged: their trials are run again")
    if read.refused:
        log(
            f"{read.refused} results of {journal.path} contradict the store, so they are set aside "
            f"in {journal.refused_path}"
        )


def _set_aside_journals(paths: Sequence[Path], log: Log) -> None:
    """Set aside the journals under a new study's name: they belong to a study that was removed."""
    for path in paths:
        aside = path.with_name(f"{path.name}.old")
        path.replace(aside)
        log(f"results of an earlier study of that name waited in {path}; they are in {aside} now")


def _how_to_go_on(study: str, journals: Sequence[Path]) -> str:
    named = ", ".join(map(str, journals))
    kept = f"Results that it could not take are in {named}. " if journals else ""
    return f"{kept}Once it can be written again, go on with `retort resume {study}`"


def _placed(study: Study) -> Study:
    """Return the study with absolute folders: it may be resumed from elsewhere."""
    folder_stores = {
        key: FolderStore.of(getattr(study.run, key)).address for key in ("artifacts", "cache")
    }
    return study.model_copy(update={"run": study.run.model_copy(update=folder_stores)})


def grade_frontier(
    spec: StudyContextSpec, teacher: TeacherRecord, store: Store, callback: Callback, *, goal: Goal
) -> None:
    """Measure the teacher and each student on the frontier on the test images, unseen so far."""
    dataset = spec.open_dataset()
    if not len(dataset.test):
        callback.log("nothing is tested: no image was set apart for it (data.test_share is 0)")
        return
    taught = _tested(TEACHER, spec, dataset)
    store.record_teacher(spec.study, replace(teacher, test=quality(taught, teacher=taught.classes)))
    students = frontier(store.trials(spec.study), goal)
    callback.log(
        f"testing {len(students)} students on {len(dataset.test)} images that no one has seen"
    )
    for student in students:
        assert student.outcome is not None
        artifact = student.outcome.artifact
        assert artifact is not None
        try:
            check_own(spec.artifacts.fetched(artifact.path), artifact)
            found = _tested(artifact.path, spec, dataset)
        except FolderStoreError:
            raise
        except (ArtifactError, TargetError) as error:
            callback.log(f"trial {student.number} is not tested: {error}")
            continue
        store.record_test(spec.study, student.number, quality(found, teacher=taught.classes))


def _tested(name: str, spec: StudyContextSpec, dataset: Dataset) -> Predictions:
    """Return the test predictions of the network in the folder `name`, and store them beside it."""
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
        f"the store holds a study {study.study} already: go on with it by `retort resume "
        f"{study.study}`, or give this one another name, such as study={study.study}-2"
    )
