"""The parts of a study that may change between two runs: its trials stay comparable."""

import json
from collections.abc import Iterator, Mapping, Sequence

from search.config.loader import dump_study, study_from_dict
from search.config.study import Study
from search.errors import BadInput
from search.files.filestore import FolderStore
from search.records import StudyRecord, TeacherRecord, TrialRecord, TrialState
from search.targets.timing import processor_of
from spaces.distributions import Distribution, Scalar

# These keys and the keys below them may change. Paths may: their content is compared by hash.
_FREE = (
    "run",
    "search.branches",
    "search.max_time",
    "search.sampler",
    "search.stopping",
    "search.trials",
    "search.warm_start",
    "data.path",
    "data.unlabelled",
    "space",
)
_PATHS = ("checkpoint", "exported")
_FREE_TEXT = (
    "search.trials, max_time, sampler, stopping, branches and warm_start, all of run but "
    "artifacts, and space where every trial so far lies in it"
)


def check_changes(record: StudyRecord, study: Study, trials: Sequence[TrialRecord]) -> list[str]:
    """Return what differs from the study's last run, a line each.

    Raises:
        BadInput: a change would mix trials that can't be compared; the message names all such
            changes.
    """
    before = dump_study(study_from_dict(record.config))  # with defaults of keys new since
    changes = list(_differences(before, dump_study(study)))
    refused = [line for place, line in changes if not _is_free(place)]
    refused += _outside(study, trials)
    if refused:
        raise BadInput(
            f"{study.study} can't be resumed so, since its trials could not be compared:\n  "
            + "\n  ".join(refused)
            + f"\nWhat may change: {_FREE_TEXT}. Else start a new study: study={study.study}-2"
        )
    _check_places(record, study, trials)
    return [line for place, line in changes if not place.startswith("run.")]


def check_made_of_the_same(
    record: StudyRecord, *, data_digest: str | None, teacher: TeacherRecord
) -> None:
    """Check that data and teacher are those of the trials so far.

    Raises:
        BadInput: they are others.
    """
    if record.data_digest not in (None, data_digest):
        raise BadInput(
            f"the data of {record.name} must be those of its trials so far, but they changed: put "
            f"them back, or start a new study: study={record.name}-2"
        )
    if record.teacher is not None and record.teacher.digest != teacher.digest:
        known = record.teacher
        raise BadInput(
            f"the teacher of {record.name} must be that of its trials so far, {known.name} with "
            f"the hash {known.digest[:12]}, but it is {teacher.name} with {teacher.digest[:12]}: "
            f"put it back, or start a new study: study={record.name}-2"
        )


def _differences(
    before: Mapping[str, object], after: Mapping[str, object], place: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield each place where the two differ, and how."""
    for key in dict.fromkeys([*before, *after]):
        here = f"{place}.{key}" if place else str(key)
        old, new = before.get(key), after.get(key)
        if place == "" and key == "teacher":
            old, new = _by_place(old), _by_place(new)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, here)
        elif old != new:
            yield here, f"{here}: {_shown(old)}, now {_shown(new)}"


def _by_place(teachers: object) -> object:
    """Return several teachers by their places, so that differences are reported for each."""
    return dict(enumerate(teachers)) if isinstance(teachers, list) else teachers


def _shown(value: object) -> str:
    """Return a value as a study file would show it."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_free(place: str) -> bool:
    return place.endswith(_PATHS) or any(
        place == free or place.startswith(f"{free}.") for free in _FREE
    )


def _outside(study: Study, trials: Sequence[TrialRecord]) -> list[str]:
    """Return a line for the first trial whose recipe the space no longer holds."""
    distributions = study.search_space().distributions()
    for trial in trials:
        for key, value in trial.params.items():
            if key not in distributions or not _holds(distributions[key], key, value):
                held = f"holds {distributions[key]}" if key in distributions else "does not open it"
                return [f"space: trial {trial.number} has {key} = {value}, but now it {held}"]
    return []


def _holds(distribution: Distribution, key: str, value: Scalar) -> bool:
    """Return whether the distribution holds the value, or a batch size halved to it to save memory."""
    values = [value]
    if key.endswith(".batch_size") and isinstance(value, int):
        values += [2 * value, 2 * value + 1]
    return any(distribution.contains(one) for one in values)


def _check_places(record: StudyRecord, study: Study, trials: Sequence[TrialRecord]) -> None:
    folder_store, kept = FolderStore.of(study.run.artifacts), FolderStore.of(record.artifacts)
    if folder_store / study.study != kept:
        raise BadInput(
            f"run.artifacts must stay where the study's students are, {kept.parent}, but is "
            f"{folder_store}: set run.artifacts={kept.parent}"
        )
    target = study.budget.target
    if study.run.ray != "local" and not target.is_elsewhere:
        return
    here = processor_of(target)
    for trial in trials:
        there = trial.outcome.hardware.get("processor", here) if trial.outcome else here
        if trial.state is TrialState.COMPLETE and there != here:
            raise BadInput(
                f"latency must be measured on one machine, but trial {trial.number} was measured "
                f"on {there}, and the target now is {here}: resume there, or start a new study: "
                f"study={study.study}-2"
            )
