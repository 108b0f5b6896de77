"""A study of one trial: the same data, teacher, budget and seed, and a space of one recipe."""

from collections.abc import Mapping
from typing import Any

from search.errors import BadInput
from search.records import StudyRecord, TrialKind, TrialRecord

_LONGEST_NAME = 64
_MASKED = "***"


def study_of_trial(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """Return a study file, in JSON's types, with which `retort run` repeats the trial.

    Raises:
        BadInput: the trial is a refit, or a finalist with another seed than the data's split.
    """
    _check_can_be_repeated(study, trial)
    config: dict[str, Any] = dict(study.config)
    ending = f"-trial-{trial.number}"
    once: dict[str, Any] = {
        "trials": 1,
        "branches": 0,
        "stopping": False,
        "sampler": "random",
        "max_time": None,
        "warm_start": [],  # the study may run with a store that lacks these studies
    }
    views = study.final_views if trial.kind is TrialKind.FINAL else study.views
    if views is not None:
        once["views"] = views  # `auto` would count views for the time of one trial
    run = config.get("run", {})
    if _MASKED in str(run.get("storage", "")):
        # The stored URL lacks its password: the person sets it in RETORT_STORE or in the file.
        run = {key: value for key, value in run.items() if key != "storage"}
    return config | {
        "final": None,
        "study": study.name[: _LONGEST_NAME - len(ending)] + ending,
        "space": _space_of(trial),
        "search": config.get("search", {}) | once,
        "run": run,
    }


def _check_can_be_repeated(study: StudyRecord, trial: TrialRecord) -> None:
    if trial.kind is TrialKind.REFIT:
        raise BadInput(
            f"a study can't repeat a refit, which was trained on validation images too, but trial "
            f"{trial.number} is one: repeat trial {trial.repeats}, which it refits"
        )
    seed = study.config.get("seed", trial.seed)
    if trial.kind is TrialKind.FINAL and trial.seed != seed:
        raise BadInput(
            f"a study repeats a trial with the seed that splits its images, {seed}, but trial "
            f"{trial.number} has the seed {trial.seed}: repeat another finalist of trial "
            f"{trial.repeats}"
        )


def _space_of(trial: TrialRecord) -> Mapping[str, Any]:
    """Return each axis with the trial's method, and each parameter with its value."""
    axes = {axis: str(method) for axis, method in trial.params.items() if "." not in axis}
    return {
        axis: {
            method: {
                name.removeprefix(f"{axis}.{method}."): value
                for name, value in trial.params.items()
                if name.startswith(f"{axis}.{method}.")
            }
        }
        for axis, method in axes.items()
    }
