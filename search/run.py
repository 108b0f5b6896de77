"""A whole search: prepare, run trials, train finalists, test, return the best student."""

from dataclasses import replace
from functools import partial

from search.analysis.ranking import Ranking
from search.config.loader import dump_study
from search.config.study import Study
from search.files.filestore import FolderStore
from search.finals import FinalRound
from search.grading import grade
from search.pipeline.checks import check_study
from search.pipeline.setup import prepare_context
from search.progress import Callback
from search.ray_backend.local_cluster import workers_starting
from search.ray_backend.signals import ending_when_asked
from search.ray_backend.trials import keeping_ray, reaching_target, run_trials
from search.records import StudyRecord, StudyState, TeacherRecord, TrialRecord
from search.run_record import (
    FIRST_ACTIVITY,
    begin_study,
    has_begun,
    read_back_journal,
    recorded_run,
    rename_journals,
)
from search.storage.artifact_owner import Claim, claim_artifacts
from search.storage.integrity import sweep
from search.storage.leases import Heartbeat, Log, beating, take
from search.storage.retrying_writer import journal_of
from search.storage.storage import Store
from search.tuner.earlier_defaults import with_earlier_defaults
from search.tuner.study_changes import check_changes, check_data_and_teacher
from search.tuner.view_count import count_views
from search.tuner.warm_start import check_comparable


def run_study(
    study: Study, store: Store, callback: Callback, *, allow_code: bool = False
) -> TrialRecord:
    """Run a new study to its end, and return its best student within the budget, tested.

    The study is in the store from the beginning. If its preparation fails or is stopped, it can be
    run again under its name, with any changes.

    Raises:
        BadInput: for the reasons of `check_study`, and nothing was written to the store; or data or
            teacher can't be used, and the study is recorded as failed, with the reason.
        ArtifactsHeld: the artifacts folder contains the students of another study; nothing was
            written to the store.
        StoreError: the store already contains trials of a study with this name, or can't be
            written.
        NoStudentFits: no trial ended within the budget; the message names the nearest one.
        Interrupted: the user stopped the run.
    """
    check_study(study)
    study = _with_absolute_folders(study)
    lease = begin_study(study, store, callback.log)
    with beating(store, study.study) as heartbeat:
        claim = claim_artifacts(store, study.study, lease.token)
        with recorded_run(study, store, claim, callback, refused=StudyState.FAILED):
            rename_journals(journal_of(store, claim.artifacts).waiting, callback.log)
            _search(study, claim, store, callback, heartbeat, allow_code=allow_code)
    return Ranking(store.trials(study.study), study.goal).chosen(study.budget)


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
    with beating(store, name) as heartbeat:
        record = store.study(name)
        study = _with_absolute_folders(study)
        claim = claim_artifacts(store, name, lease.token, take_over=take_over)
        study = _prepare_resume(study, record, claim, store, callback.log)
        with recorded_run(study, store, claim, callback, refused=_if_refused(record, store)):
            store.begin_run(name, activity=FIRST_ACTIVITY)
            _search(study, claim, store, callback, heartbeat, allow_code=allow_code)
    return Ranking(store.trials(name), study.goal).chosen(study.budget)


def _prepare_resume(
    study: Study, record: StudyRecord, claim: Claim, store: Store, log: Log
) -> Study:
    """Clean up after earlier runs of the study; return it with the defaults that it began with.

    Raises:
        BadInput: with the changes of the study, new trials could not be compared with earlier ones.
    """
    read_back_journal(store, study.study, claim.artifacts, log)
    trials = store.trials(study.study)
    study = with_earlier_defaults(study, trials)
    for change in check_changes(record, study, trials, has_begun=has_begun(record, store)):
        log(f"changed: {change}")
    store.interrupt_running(study.study)
    sweep(claim, store.trials(study.study), log)
    return study


def _if_refused(record: StudyRecord, store: Store) -> StudyState:
    """Return a study's state after a refused resume: its trials stay as they were."""
    if not has_begun(record, store):
        return StudyState.FAILED
    is_left = record.state is StudyState.RUNNING  # its process died
    return StudyState.INTERRUPTED if is_left else record.state


def _search(
    study: Study,
    claim: Claim,
    store: Store,
    callback: Callback,
    heartbeat: Heartbeat,
    *,
    allow_code: bool,
) -> None:
    """Prepare data and teacher, run trials and finalists, and test; this process has the lease."""
    heartbeat.activity, record = FIRST_ACTIVITY, store.study(study.study)

    def step(text: str) -> None:
        heartbeat.activity = text
        callback.on_step(text)

    with reaching_target(study), workers_starting(study.run) as wait_for_workers:
        with ending_when_asked(heartbeat):
            spec, teacher = prepare_context(
                study,
                callback,
                count_views=partial(
                    count_views, log=callback.log, known=record.views, quiet=wait_for_workers
                ),
                allow_code=allow_code,
                hold=claim.hold,
                step=step,
                quiet=wait_for_workers,
            )
        check_data_and_teacher(record, data_digest=spec.data_digest, teacher=teacher)
        check_comparable(study, spec, teacher, store)
        config = dump_study(study)
        store.record_data(study.study, config=config, data_digest=spec.data_digest)
        store.record_views(study.study, views=spec.views.count)
        store.record_teacher(study.study, _with_earlier_test(teacher, record.teacher))
        heartbeat.activity = None
        with keeping_ray() as ray:
            run_trials(study, spec, store, callback, heartbeat, ray)
            if study.final is not None:
                finals = FinalRound(
                    study=study,
                    settings=study.final,
                    store=store,
                    callback=callback,
                    heartbeat=heartbeat,
                    ray=ray,
                    allow_code=allow_code,
                )
                finals.run(spec)
        heartbeat.activity = "testing the best students"
        grade(spec, teacher, store, callback, goal=study.goal)


def _with_earlier_test(teacher: TeacherRecord, before: TeacherRecord | None) -> TeacherRecord:
    """Return the teacher with the test quality that an earlier run measured."""
    if before is None or before.digest != teacher.digest:
        return teacher
    return replace(teacher, test=before.test)


def _with_absolute_folders(study: Study) -> Study:
    """Return the study with absolute folders, so that it can be resumed from another folder."""
    folder_stores = {
        key: FolderStore.of(getattr(study.run, key)).address for key in ("artifacts", "cache")
    }
    return study.model_copy(update={"run": study.run.model_copy(update=folder_stores)})
