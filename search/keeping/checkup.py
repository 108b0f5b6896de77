"""Whether what the store says is so: its own consistency, and the artifacts that it names."""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress

from search.depot import Depot
from search.errors import ArtifactError, BadInput, DamagedRow, DepotError
from search.files import CHECKSUMS, damaged_files, file_digest
from search.keeping.holding import standing
from search.keeping.ledger import journal_of
from search.records import ArtifactRecord, StudyRecord, StudyState, TrialRecord, TrialState
from search.store import Store

# What a trial writes among the artifacts, and what is left of it where it was killed meanwhile.
_OF_A_TRIAL = re.compile(r"trial-\d{5,}(-\d+)?|\.(trial-|teacher\.).*\.(tmp|old|hung)")
_TESTED = "tested"
_AXES = ("student", "distillation", "pruning", "quantization")


def check_store(store: Store) -> list[str]:
    """What is wrong, a line each; of a study that runs, what is under way is not wrong."""
    damages = store.damages()
    problems = list(store.integrity_problems())
    problems += [f"{one.study}: {one}" if one.study else str(one) for one in damages]
    for study in store.studies():
        if isinstance(study, StudyRecord):
            problems += [f"{study.name}: {problem}" for problem in _check_study(store, study)]
    return problems


def sweep(artifacts: Depot, trials: Collection[TrialRecord]) -> list[str]:
    """Removes what killed trials left behind in a study that does not run; gives what it was."""
    found = list(_orphans(artifacts, trials))
    for depot, name in found:
        depot.remove(name)
    return [f"{depot}/{name}" for depot, name in found]


def _check_study(store: Store, study: StudyRecord) -> Iterator[str]:
    try:
        yield from _check_trials(store, study)
        # What only a damaged row names would be taken for an orphan.
        with suppress(DamagedRow):
            yield from _check_rest(store, study)
    except (DepotError, BadInput) as error:
        yield str(error)


def _check_trials(store: Store, study: StudyRecord) -> Iterator[str]:
    """Recipes and artifacts of those trials whose rows are sound."""
    artifacts = Depot.of(study.artifacts)
    for trial in store.sound_trials(study.name):
        if problem := _check_recipe(trial):
            yield f"trials.params of trial {trial.number} {problem}"
        if trial.outcome and trial.outcome.artifact:
            problem = _check_artifact(artifacts, trial.outcome.artifact)
            if problem:
                yield f"trial {trial.number}: {problem}"


def _check_rest(store: Store, study: StudyRecord) -> Iterator[str]:
    """What a process that died has left behind."""
    if standing(study) is StudyState.RUNNING:
        return
    trials, artifacts = store.trials(study.name), Depot.of(study.artifacts)
    resume = f"`retort resume {study.name}`"
    left = sum(trial.state is TrialState.RUNNING for trial in trials)
    if left or study.state is StudyState.RUNNING:
        yield f"its process died, with {left} trials under way: {resume} goes on"
    for journal in journal_of(store, artifacts).waiting:
        yield f"results that the store could not take wait in {journal}: {resume} reads them back"
    for depot, name in _orphans(artifacts, trials):
        yield f"{depot}/{name} belongs to no trial that ended: {resume} removes it"


def _check_recipe(trial: TrialRecord) -> str:
    missing = [axis for axis in _AXES if not isinstance(trial.params.get(axis), str)]
    return f"must name a method of {', '.join(missing)}, but does not" if missing else ""


def _check_artifact(artifacts: Depot, artifact: ArtifactRecord) -> str:
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


def _orphans(artifacts: Depot, trials: Collection[TrialRecord]) -> Iterator[tuple[Depot, str]]:
    """Folders and files of trials that no trial's row names, and the depot that holds each."""
    named = {t.outcome.artifact.path for t in trials if t.outcome and t.outcome.artifact}
    for depot in (artifacts, artifacts / _TESTED):
        for name in depot.names():
            if _OF_A_TRIAL.fullmatch(name) and name not in named:
                yield depot, name
