"""Data frames of trials, with a row per trial and a column for each value that pages show."""

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from search.analysis.pareto import frontier
from search.objectives.floors import is_recall
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.objectives.limits import limits
from search.objectives.metric import DEVIATIONS_95, Metric
from search.objectives.metrics import metrics
from search.records import Outcome, Quality, Scalar, TrialKind, TrialRecord, TrialState

TESTED = "test_"
"""Prefix of the columns of metrics on the test images."""

REACH = "reach"
"""The column with the half of the 95% interval of the goal's metric, in the metric's unit."""

COSTS = tuple(cost for limit in limits().values() for cost in (limit.cost, *limit.also))
METRICS = tuple(metrics())
NUMBERS = (*METRICS, *(f"{TESTED}{name}" for name in METRICS), *COSTS, "duration_s")
_OF_TRIAL = ("number", "state", "on_frontier", "parent", "kind", "repeats", "seed")
FIXED = (*_OF_TRIAL, *NUMBERS, REACH, "family", "note")
"""Columns of every study's frame; the recipe's columns follow."""

# mobilenetv3_small_050 belongs to mobilenetv3, resnet10t to resnet, test_vit to test_vit.
_FAMILY = re.compile(r"((?:test_)?[a-z]+?(?:v\d+)?)(?=\d|_|$)")


def axes_of(trials: Iterable[TrialRecord]) -> list[str]:
    """Return the axes of the trials' recipes, in the recipe's order."""
    return [name for name in _names_in(trials) if "." not in name]


def parameters_of(trials: Iterable[TrialRecord]) -> list[str]:
    """Return the frame's columns that hold recipes: each axis's method and each parameter."""
    return [name if "." in name else f"{name}.method" for name in _names_in(trials)]


def trial_frame(trials: Sequence[TrialRecord], goal: Goal = DEFAULT_GOAL) -> pd.DataFrame:
    """Return a frame with one row per trial, in the given order.

    Columns: `number`, `state`, `on_frontier` and `parent` (NaN if the trial trained its own
    student); `kind`, `repeats` (NaN for a trial of the search) and `seed`; each metric by its name,
    and with the prefix `test_` on the test images; likewise the recall of each class that the
    study's budget bounds; `reach`, the half of the 95% interval of the goal's metric; each cost by
    its stored name, and `duration_s` (NaN if not measured); the student's `family`; `note`, the
    reason why the trial is not complete, or which stage had no effect. Then each axis of the recipe
    as short text (`pruning`: magnitude 34%), its method alone (`pruning.method`: magnitude), and
    each parameter by its own name.

    Args:
        trials: the trials of one study.
        goal: the objectives of its frontier.
    """
    members = {trial.number for trial in frontier(trials, goal)}
    outcomes = [trial.outcome or Outcome(state=trial.state) for trial in trials]
    columns: dict[str, Sequence[object]] = {
        "number": [trial.number for trial in trials],
        "state": [trial.state.value for trial in trials],
        "on_frontier": [trial.number in members for trial in trials],
        "parent": [trial.parent for trial in trials],
        "kind": [trial.kind.value for trial in trials],
        "repeats": [trial.repeats for trial in trials],
        "seed": [trial.seed for trial in trials],
    }
    for name in METRICS:
        columns[name] = [_value(found.quality, name) for found in outcomes]
        columns[f"{TESTED}{name}"] = [_value(trial.test, name) for trial in trials]
    for name in _recalls(trials):
        columns[name] = [_value(found.quality, name) for found in outcomes]
        columns[f"{TESTED}{name}"] = [_value(trial.test, name) for trial in trials]
    columns[REACH] = [_reach(found.quality, goal.metric) for found in outcomes]
    for cost in COSTS:
        columns[cost] = [(found.cost or {}).get(cost) for found in outcomes]
    columns["duration_s"] = [
        None if trial.state is TrialState.RUNNING else found.duration_s
        for trial, found in zip(trials, outcomes, strict=True)
    ]
    columns["family"] = [family(trial.params) for trial in trials]
    columns["note"] = [_note(found) for found in outcomes]
    recalls = [f"{before}{name}" for name in _recalls(trials) for before in ("", TESTED)]
    types = {"number": "int64", "on_frontier": "bool"} | dict.fromkeys(
        ("parent", "repeats", *NUMBERS, REACH, *recalls), "float64"
    )
    return pd.DataFrame({**columns, **_recipes(trials)}).astype(types)


def searched(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the search's trials, without finalists and refits."""
    return trials[trials["kind"] == TrialKind.SEARCH.value]


def recipe_columns(trials: pd.DataFrame) -> list[str]:
    """Return the columns of a `trial_frame` that hold the axes of the recipe."""
    return [name for name in trials.columns if name not in FIXED and "." not in name]


def varying(trials: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the columns in which trials differ, sorted by how many trials have a value."""
    several = [name for name in names if trials[name].nunique() > 1]
    return sorted(several, key=lambda name: -trials[name].count())


def describe_method(params: Mapping[str, Scalar], axis: str) -> str:
    """Return one axis of a recipe as short text: `resnet18`, `magnitude 34%`, `int8_static`."""
    name = str(params.get(axis, ""))
    if (model := params.get(f"{axis}.{name}.model")) is not None:
        return str(model)
    if isinstance(ratio := params.get(f"{axis}.{name}.ratio"), float):
        return f"{name} {ratio:.0%}"
    return name


def recipe_in_words(params: Mapping[str, Scalar]) -> str:
    """Return all methods: `resnet18 · standard · soft_targets · magnitude 34% · float32`."""
    return " · ".join(describe_method(params, name) for name in params if "." not in name)


def family(params: Mapping[str, Scalar]) -> str:
    """Return the kind of network that the student is: `resnet`, `mobilenetv3`."""
    student = describe_method(params, "student")
    match = _FAMILY.match(student)
    return match[1] if match else student


def _value(quality: Quality, metric: str) -> float | None:
    found = quality.get(metric)
    return None if found is None else found.value


def _reach(quality: Quality, metric: Metric) -> float | None:
    found = quality.get(metric.name)
    return None if found is None or found.error is None else DEVIATIONS_95 * found.error


def _recalls(trials: Iterable[TrialRecord]) -> list[str]:
    """Return the names of the recalls of classes that were measured for a trial."""
    found = (trial.outcome.quality for trial in trials if trial.outcome is not None)
    return list(dict.fromkeys(name for quality in found for name in quality if is_recall(name)))


def _names_in(trials: Iterable[TrialRecord]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _recipes(trials: Sequence[TrialRecord]) -> dict[str, Sequence[object]]:
    names = _names_in(trials)
    columns: dict[str, Sequence[object]] = {
        axis: [describe_method(trial.params, axis) for trial in trials]
        for axis in names
        if "." not in axis
    }
    for name in names:
        if "." not in name:
            columns[f"{name}.method"] = [trial.params.get(name) for trial in trials]
        else:
            columns[name] = [trial.params.get(name) for trial in trials]
    return columns


def _note(outcome: Outcome) -> str:
    failure = outcome.failure
    reason = outcome.reason or (f"{failure.kind}: {failure.message}" if failure else "")
    return reason or (f"no effect: {outcome.no_op}" if outcome.no_op else "")
