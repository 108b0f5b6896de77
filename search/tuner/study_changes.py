"""Checks which parts of a study changed between two runs: its trials must stay comparable."""

import json
from collections.abc import Iterator, Mapping, Sequence

from search.analysis.finals import of_kind
from search.config.loader import dump_study, study_from_dict
from search.config.study import Study
from search.errors import BadInput
from search.files.filestore import FolderStore
from search.records import StudyRecord, TeacherRecord, TrialKind, TrialRecord, TrialState
from search.targets.timing import processor_of
from search.tuner.earlier_defaults import was_allowed

# These keys, and the keys below them, may change. Paths may change because hashes compare the
# files. Names of classes are only shown, unless budget.recall names classes.
_FREE = (
    "run",
    "final",
    "search.branches",
    "search.goal",
    "search.max_time",
    "search.sampler",
    "search.stopping",
    "search.teacher_share",
    "search.trials",
    "search.warm_start",
    "data.path",
    "data.images",
    "data.class_names",
    "data.unlabelled",
    "data.workers",
    "space",
)
_PATHS = ("checkpoint", "exported", ".classes")
_FREE_TEXT = (
    "search.trials, max_time, goal, sampler, stopping, branches, teacher_share and warm_start, "
    "data.workers, all keys of final, all keys of run except artifacts, and space if it still "
    "contains the recipe of every trial"
)


def check_changes(
    record: StudyRecord, study: Study, trials: Sequence[TrialRecord], *, has_begun: bool = True
) -> list[str]:
    """Return the differences from the study's last run, one line for each.

    Args:
        record: the study, as its last run stored it.
        study: the study with its changes.
        trials: its trials.
        has_begun: whether its search has begun; before that, everything but the folder may change.

    Raises:
        BadInput: after a change, new trials could not be compared with earlier ones; the message
            names all such changes.
    """
    before = dump_study(study_from_dict(record.config))  # with the defaults of new keys
    changes = list(_differences(before, dump_study(study)))
    refused = [line for place, line in changes if not _is_free(place, study)]
    refused += _outside_space(study, trials)
    if refused and has_begun:
        raise BadInput(
            f"{study.study} can't be resumed with these changes, because its trials could then not "
            "be compared:\n  "
            + "\n  ".join(refused)
            + f"\nThese keys may change: {_FREE_TEXT}. For other changes, start a new study: "
            f"study={study.study}-2"
        )
    _check_folder_and_target(record, study, trials)
    return [line for place, line in changes if not place.startswith("run.")]


def check_data_and_teacher(
    record: StudyRecord, *, data_digest: str | None, teacher: TeacherRecord
) -> None:
    """Check that the data and the teacher are the same as for the earlier trials.

    Raises:
        BadInput: the data or the teacher changed.
    """
    if record.data_digest not in (None, data_digest):
        raise BadInput(
            f"the data of {record.name} must be the same as for its earlier trials, but they "
            f"changed: restore the data, or start a new study: study={record.name}-2"
        )
    if record.teacher is not None and record.teacher.digest != teacher.digest:
        known = record.teacher
        raise BadInput(
            f"the teacher of {record.name} must be the same as for its earlier trials, "
            f"{known.name} with the hash {known.digest[:12]}, but it is {teacher.name} with the "
            f"hash {teacher.digest[:12]}: restore the teacher, or start a new study: "
            f"study={record.name}-2"
        )


def _differences(
    before: Mapping[str, object], after: Mapping[str, object], place: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield each key that differs, and a line with both values."""
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
    """Return several teachers by position, so that differences are reported for each teacher."""
    return dict(enumerate(teachers)) if isinstance(teachers, list) else teachers


def _shown(value: object) -> str:
    """Return a value as a study file would contain it."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_free(place: str, study: Study) -> bool:
    if study.budget.recall and place.startswith("data.class_names"):
        return False  # the floors may name classes by them
    return place.endswith(_PATHS) or any(
        place == free or place.startswith(f"{free}.") for free in _FREE
    )


def _outside_space(study: Study, trials: Sequence[TrialRecord]) -> list[str]:
    """Return a line for the first trial of the search whose recipe is no longer in the space."""
    distributions = study.search_space().distributions()
    for trial in of_kind(trials, TrialKind.SEARCH):
        for key, value in trial.params.items():
            if key not in distributions or not was_allowed(distributions[key], key, value):
                now = f"contains {distributions[key]}" if key in distributions else "lacks this key"
                return [f"space: trial {trial.number} has {key} = {value}, but the space now {now}"]
    return []


def _check_folder_and_target(
    record: StudyRecord, study: Study, trials: Sequence[TrialRecord]
) -> None:
    folder_store, before = FolderStore.of(study.run.artifacts), FolderStore.of(record.artifacts)
    if folder_store / study.study != before:
        raise BadInput(
            f"run.artifacts must be the folder with the study's students, {before.parent}, but is "
            f"{folder_store}: set run.artifacts={before.parent}"
        )
    target = study.budget.target
    if study.run.ray != "local" and not target.is_elsewhere:
        return
    here = processor_of(target)
    for trial in trials:
        there = trial.outcome.hardware.get("processor", here) if trial.outcome else here
        if trial.state is TrialState.COMPLETE and there != here:
            raise BadInput(
                f"all latencies of a study must be measured on the same processor, but trial "
                f"{trial.number} was measured on {there}, and the target now is {here}: resume "
                f"with the former target, or start a new study: study={study.study}-2"
            )
