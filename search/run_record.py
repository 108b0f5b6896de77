"""The record of a run in the store: its beginning, what it does now, and how it ended."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from search.config.loader import dump_study
from search.config.study import Study
from search.errors import (
    ArtifactsHeld,
    BadInput,
    DiskError,
    Interrupted,
    RayUnavailable,
    RetortError,
    StoreError,
    StoreUnavailable,
    StudyHeld,
    shortened,
)
from search.files.filestore import FolderStore
from search.progress import Callback
from search.records import Lease, StudyRecord, StudyState
from search.storage.artifact_owner import Claim, check_free
from search.storage.integrity import sweep
from search.storage.lease_rows import held_message
from search.storage.leases import Log, lives, take, this_process
from search.storage.retrying_writer import journal_of
from search.storage.storage import Store

FIRST_ACTIVITY = "preparing the data"


def begin_study(study: Study, store: Store, log: Log) -> Lease:
    """Record a new study as running, and return this process's lease on it.

    A study without a trial may begin again under its name, with any changes: its preparation failed
    or was stopped.

    Raises:
        ArtifactsHeld: the artifacts folder contains the students of another study.
        StudyHeld: another process runs the study.
        StoreError: the store already contains trials of a study with this name.
    """
    name, config = study.study, dump_study(study)
    artifacts = FolderStore.of(study.run.artifacts) / name
    known = store.study(name) if name in store.names() else None
    if known is not None:
        _check_may_begin_again(known, store)
    if known is None or known.artifacts != str(artifacts):
        check_free(artifacts, name)
    if known is None:
        lease = this_process()
        store.create_study(
            name,
            config=config,
            artifacts=str(artifacts),
            lease=lease,
            activity=FIRST_ACTIVITY,
        )
        return lease
    lease = take(store, name, log=log)
    store.renew_study(name, config=config, artifacts=str(artifacts))
    store.begin_run(name, activity=FIRST_ACTIVITY)
    return lease


@contextmanager
def recorded_run(
    study: Study, store: Store, claim: Claim, callback: Callback, *, refused: StudyState
) -> Iterator[None]:
    """Record how the block ends, and clean up; the block prepares and searches.

    Args:
        study: the study, which this process holds.
        store: the store that contains it.
        claim: the right to write its artifacts.
        callback: receives lines about the clean-up.
        refused: the study's state if the block refuses the user's input.
    """
    state, failure = StudyState.FAILED, None
    resume = f"continue with `retort resume {study.study}`"
    try:
        yield
        state = StudyState.FINISHED
    except (Interrupted, KeyboardInterrupt) as error:
        state = StudyState.INTERRUPTED
        raise Interrupted(
            f"you stopped the search. Every ended trial is in the store: {resume}"
        ) from error
    except RayUnavailable as error:
        state, failure = StudyState.INTERRUPTED, _in_short(error)
        raise RayUnavailable(f"{error}. Every ended trial is in the store: {resume}") from error
    except (StoreUnavailable, DiskError) as error:
        failure = _in_short(error)
        advice = _resume_advice(study.study, journal_of(store, claim.artifacts).waiting)
        raise type(error)(f"{error}. {advice}") from error
    except Exception as error:
        state = refused if isinstance(error, BadInput) else state
        failure = _in_short(error)
        raise
    finally:
        _end_run(study.study, store, claim, state, failure, callback)


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


def rename_journals(paths: Sequence[Path], log: Log) -> None:
    """Rename the journals with a new study's name: they belong to a study that was removed."""
    for path in paths:
        aside = path.with_name(f"{path.name}.old")
        path.replace(aside)
        log(f"the journal {path} of an earlier study with this name was renamed to {aside}")


def has_begun(record: StudyRecord, store: Store) -> bool:
    """Return whether the study's search has begun: data and teacher were ready once."""
    return record.teacher is not None or store.extent(record.name).trials > 0


def _check_may_begin_again(known: StudyRecord, store: Store) -> None:
    name = known.name
    if known.lease and lives(known.lease):
        raise StudyHeld(held_message(name, known.lease))
    if has_begun(known, store):
        raise StoreError(
            f"a new study must have a new name, but the store already contains {name}: continue it "
            f"with `retort resume {name}`, or choose another name, such as study={name}-2"
        )


def _end_run(
    study: str,
    store: Store,
    claim: Claim,
    state: StudyState,
    failure: str | None,
    callback: Callback,
) -> None:
    """End running trials and clean up; if the store is unreachable, `resume` does that later."""
    with suppress(StoreError):
        if claim.is_kept():
            with suppress(OSError):
                read_back_journal(store, study, claim.artifacts, callback.log)
        store.interrupt_running(study)
        with suppress(OSError, ArtifactsHeld):
            sweep(claim, store.trials(study), callback.log)
        store.set_study_state(study, state, failure=failure)


def _in_short(error: Exception) -> str:
    """Return the error's message, with the type of an error that is not ours."""
    text = shortened(error)
    return text if isinstance(error, RetortError) else f"{type(error).__name__}: {text}"


def _resume_advice(study: str, journals: Sequence[Path]) -> str:
    named = ", ".join(map(str, journals))
    where = f"Results that could not be stored are in {named}. " if journals else ""
    return f"{where}When it can be written again, continue with `retort resume {study}`"
