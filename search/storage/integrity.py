"""Checks of a store: its own consistency, and the artifacts that it records."""

import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress

from search.errors import ArtifactError, BadInput, DamagedRow, FolderStoreError
from search.files.atomic import CHECKSUMS, damaged_files, file_digest
from search.files.filestore import FolderStore
from search.records import ArtifactRecord, StudyRecord, StudyState, TrialRecord, TrialState
from search.storage.artifact_owner import Claim, stranger
from search.storage.leases import Log, standing
from search.storage.retrying_writer import journal_of
from search.storage.storage import Store

# Names that a trial writes in the artifacts folder, and names that remain after a kill.
_OF_A_TRIAL = re.compile(r"trial-\d{5,}(-\d+)?|\.(trial-|teacher\.|owner\.).*\.(tmp|old|hung)")
_TESTED = "tested"
_AXES = ("student", "distillation", "pruning", "quantization")
_ASIDE = "aside"


def check_store(store: Store) -> list[str]:
    """Return one line for each problem; unfinished work of a running study is not a problem."""
    damages = store.damages()
    problems = list(store.integrity_problems())
    problems += [f"{one.study}: {one}" if one.study else str(one) for one in damages]
    for study in _sound_studies(store):
        problems += [f"{study.name}: {problem}" for problem in _check_study(store, study)]
    return problems


def students_aside(store: Store) -> list[str]:
    """Return one line for each folder with students that clean-ups have set aside.

    A person who needs the disk space may remove these folders.
    """
    lines = []
    for study in _sound_studies(store):
        with suppress(FolderStoreError, BadInput):  # `check_store` reports it
            places = [folder_store / _ASIDE for folder_store in _folder_stores(study)]
            counts = [(place, len(place.names())) for place in places]
            lines += [
                f"{study.name}: {n} students are set aside in {place}" for place, n in counts if n
            ]
    return lines


def sweep(claim: Claim, trials: Collection[TrialRecord], log: Log) -> None:
    """Clean the artifacts folder of everything that no trial of the study records.

    The study must not be running. Incomplete folders are removed. Complete folders may still be
    needed, so they are set aside.

    Args:
        claim: the study's claim of the folder.
        trials: all trials of the study.
        log: called with a line of text about the students that are set aside.

    Raises:
        ArtifactsHeld: another study has claimed the folder.
        FolderStoreError: the URL does not answer.
    """
    claim.check()
    aside: dict[str, list[str]] = {}
    for folder_store, name in list(_orphans(claim.artifacts, trials)):
        if folder_store.kept(name) is None:
            folder_store.remove(name)
        else:
            folder_store.move(name, f"{_ASIDE}/{name.strip('.')}.{uuid.uuid4().hex[:8]}")
            aside.setdefault(f"{folder_store}/{_ASIDE}", []).append(name)
    for place, names in aside.items():
        log(f"set aside in {place}, since no trial that ended records them: {', '.join(names)}")


def _sound_studies(store: Store) -> list[StudyRecord]:
    return [study for study in store.studies() if isinstance(study, StudyRecord)]


def _check_study(store: Store, study: StudyRecord) -> Iterator[str]:
    try:
        yield from _check_trials(store, study)
        # If a row is damaged, its folder would wrongly be reported as an orphan.
        with suppress(DamagedRow):
            yield from _check_rest(store, study)
    except (FolderStoreError, BadInput) as error:
        yield str(error)


def _check_trials(store: Store, study: StudyRecord) -> Iterator[str]:
    """Yield the problems of recipes and artifacts, for trials with undamaged rows."""
    artifacts = FolderStore.of(study.artifacts)
    for trial in store.sound_trials(study.name):
        if problem := _check_recipe(trial):
            yield f"trials.params of trial {trial.number} {problem}"
        if trial.outcome and trial.outcome.artifact:
            problem = _check_artifact(artifacts, trial.outcome.artifact)
            if problem:
                yield f"trial {trial.number}: {problem}"


def _check_rest(store: Store, study: StudyRecord) -> Iterator[str]:
    """Yield the problems that a process which died has left."""
    if standing(study) is StudyState.RUNNING:
        return
    trials, artifacts = store.trials(study.name), FolderStore.of(study.artifacts)
    resume = f"`retort resume {study.name}`"
    left = sum(trial.state is TrialState.RUNNING for trial in trials)
    if left or study.state is StudyState.RUNNING:
        yield f"its process died while {left} trials were running: continue it with {resume}"
    for journal in journal_of(store, artifacts).waiting:
        yield f"{journal} contains results that could not be stored: {resume} stores them"
    yield from _check_folder(store, study, trials)


def _check_folder(
    store: Store, study: StudyRecord, trials: Collection[TrialRecord]
) -> Iterator[str]:
    """Yield the problems of the artifacts folder: another owner, or orphans."""
    artifacts, _ = _folder_stores(study)
    try:
        if found := stranger(artifacts, study, store.extent(study.name)):
            yield found
            return
        for folder, name in _orphans(artifacts, trials):
            yield (
                f"{folder}/{name} belongs to no trial that ended: `retort resume {study.name}` "
                "removes it or sets it aside"
            )
    except OSError as error:
        yield f"{artifacts} can't be read: {error}"


def _folder_stores(study: StudyRecord) -> tuple[FolderStore, FolderStore]:
    """Return the study's folder stores: of students, and of their test predictions."""
    artifacts = FolderStore.of(study.artifacts)
    return artifacts, artifacts / _TESTED


def _check_recipe(trial: TrialRecord) -> str:
    missing = [axis for axis in _AXES if not isinstance(trial.params.get(axis), str)]
    return f"must name a method for {', '.join(missing)}, but does not" if missing else ""


def _check_artifact(artifacts: FolderStore, artifact: ArtifactRecord) -> str:
    try:
        folder = artifacts.fetched(artifact.path)
        damaged = damaged_files(folder)
        if not damaged and file_digest(folder / CHECKSUMS) != artifact.sha256:
            damaged = [CHECKSUMS]
    except (ArtifactError, BadInput) as error:
        return str(error)
    except OSError as error:
        return f"{artifacts}/{artifact.path} can't be read: {error.strerror}"
    if not damaged:
        return ""
    return (
        f"the files in {artifacts}/{artifact.path} must have their recorded checksums, but these "
        f"differ: {', '.join(damaged)}"
    )


def _orphans(
    artifacts: FolderStore, trials: Collection[TrialRecord]
) -> Iterator[tuple[FolderStore, str]]:
    """Yield folders and files that no trial records, each with its folder store."""
    named = {t.outcome.artifact.path for t in trials if t.outcome and t.outcome.artifact}
    for folder_store in (artifacts, artifacts / _TESTED):
        for name in folder_store.names():
            if _OF_A_TRIAL.fullmatch(name) and name not in named:
                yield folder_store, name
