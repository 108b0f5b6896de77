"""Checks of a store: its own consistency, and the artifacts that it names."""

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

# Names that a trial writes among the artifacts, and names that remain where it was killed.
_OF_A_TRIAL = re.compile(r"trial-\d{5,}(-\d+)?|\.(trial-|teacher\.|owner\.).*\.(tmp|old|hung)")
_TESTED = "tested"
_AXES = ("student", "distillation", "pruning", "quantization")
_ASIDE = "aside"


def check_store(store: Store) -> list[str]:
    """Return the problems, one line each; unfinished work of a running study is not a problem."""
    damages = store.damages()
    problems = list(store.integrity_problems())
    problems += [f"{one.study}: {one}" if one.study else str(one) for one in damages]
    for study in _sound_studies(store):
        problems += [f"{study.name}: {problem}" for problem in _check_study(store, study)]
    return problems


def students_aside(store: Store) -> list[str]:
    """Return how many students clean-ups have set aside, and in which folder, one line each.

    A person who needs the disk space may remove them.
    """
    lines = []
    for study in _sound_studies(store):
        with suppress(FolderStoreError, BadInput):  # `check_store` reports it
            places = [folder_store / _ASIDE for folder_store in _folder_stores(study)]
            counts = [(place, len(place.names())) for place in places]
            lines += [f"{study.name}: {n} set aside in {place}" for place, n in counts if n]
    return lines


def sweep(claim: Claim, trials: Collection[TrialRecord], log: Log) -> None:
    """Remove what no trial of the study names, while the study does not run.

    Incomplete folders are removed. Complete ones may belong to somebody: they are set aside.

    Args:
        claim: the claim by which the folder is this study's.
        trials: all trials of the study.
        log: receives a line for what is set aside.

    Raises:
        ArtifactsHeld: the folder is another's by now.
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
        log(f"set aside in {place}, as no trial that ended made them: {', '.join(names)}")


def _sound_studies(store: Store) -> list[StudyRecord]:
    return [study for study in store.studies() if isinstance(study, StudyRecord)]


def _check_study(store: Store, study: StudyRecord) -> Iterator[str]:
    try:
        yield from _check_trials(store, study)
        # A folder that only a damaged row names would be taken for an orphan.
        with suppress(DamagedRow):
            yield from _check_rest(store, study)
    except (FolderStoreError, BadInput) as error:
        yield str(error)


def _check_trials(store: Store, study: StudyRecord) -> Iterator[str]:
    """Yield the problems of recipes and artifacts of the trials whose rows are sound."""
    artifacts = FolderStore.of(study.artifacts)
    for trial in store.sound_trials(study.name):
        if problem := _check_recipe(trial):
            yield f"trials.params of trial {trial.number} {problem}"
        if trial.outcome and trial.outcome.artifact:
            problem = _check_artifact(artifacts, trial.outcome.artifact)
            if problem:
                yield f"trial {trial.number}: {problem}"


def _check_rest(store: Store, study: StudyRecord) -> Iterator[str]:
    """Yield a problem for each remnant of a process that died."""
    if standing(study) is StudyState.RUNNING:
        return
    trials, artifacts = store.trials(study.name), FolderStore.of(study.artifacts)
    resume = f"`retort resume {study.name}`"
    left = sum(trial.state is TrialState.RUNNING for trial in trials)
    if left or study.state is StudyState.RUNNING:
        yield f"its process died, with {left} trials under way: {resume} goes on"
    for journal in journal_of(store, artifacts).waiting:
        yield f"results that the store could not take wait in {journal}: {resume} reads them back"
    yield from _check_folder(store, study, trials)


def _check_folder(
    store: Store, study: StudyRecord, trials: Collection[TrialRecord]
) -> Iterator[str]:
    """Yield the problems of the artifacts folder: its owner, and contents that no trial names."""
    artifacts, _ = _folder_stores(study)
    try:
        if found := stranger(artifacts, study, store.extent(study.name)):
            yield found
            return
        for folder, name in _orphans(artifacts, trials):
            yield (
                f"{folder}/{name} belongs to no trial that ended: `retort resume {study.name}` "
                "clears it away"
            )
    except OSError as error:
        yield f"{artifacts} can't be read: {error}"


def _folder_stores(study: StudyRecord) -> tuple[FolderStore, FolderStore]:
    """Return the study's stores of students and of their predictions for the test images."""
    artifacts = FolderStore.of(study.artifacts)
    return artifacts, artifacts / _TESTED


def _check_recipe(trial: TrialRecord) -> str:
    missing = [axis for axis in _AXES if not isinstance(trial.params.get(axis), str)]
    return f"must name a method of {', '.join(missing)}, but does not" if missing else ""


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
    name = f"{artifacts}/{artifact.path}"
    return f"{name} differs from what was written in {', '.join(damaged)}" if damaged else ""


def _orphans(
    artifacts: FolderStore, trials: Collection[TrialRecord]
) -> Iterator[tuple[FolderStore, str]]:
    """Yield folders and files of trials that no trial's row names, each with its folder store."""
    named = {t.outcome.artifact.path for t in trials if t.outcome and t.outcome.artifact}
    for folder_store in (artifacts, artifacts / _TESTED):
        for name in folder_store.names():
            if _OF_A_TRIAL.fullmatch(name) and name not in named:
                yield folder_store, name
