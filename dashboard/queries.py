"""What the pages show: read from the store, as data frames and records; it writes nothing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard.launch import STORE_VARIABLE
from search.budget import Budget, stored_budget
from search.frontier import best, frontier, nearest_miss
from search.records import Outcome, Scalar, StudyRecord, TrialRecord, TrialState
from search.store import Store

DEFAULT_STORE = "sqlite:///retort.db"

# A person waits for this: shorter than a writer's patience, longer than its transactions.
_PATIENCE_S = 3.0

Pulse = tuple[int, datetime]

_NUMBERS = (
    "accuracy",
    "agreement",
    "test_accuracy",
    "size_bytes",
    "latency_ms",
    "latency_p95_ms",
    "parameters",
    "macs",
    "duration_s",
)
_AXES = ("student", "training", "distillation", "pruning", "quantization")
_COLUMNS = ("number", "state", "on_frontier", *_NUMBERS, *_AXES, "note")


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study as a page shows it.

    Attributes:
        study: its record.
        budget: the limits its students must keep.
        trials: a row a trial, by number; the columns are those of `trial_frame`.
        best: the most accurate trial within the budget.
        nearest: the trial that breaks the budget by the least.
    """

    study: StudyRecord
    budget: Budget
    trials: pd.DataFrame
    best: TrialRecord | None
    nearest: TrialRecord | None


def store_url() -> str:
    """Where the store is, as the launcher handed it over; it may hold a password."""
    return os.environ.get(STORE_VARIABLE, DEFAULT_STORE)


def study_names(url: str) -> list[str]:
    """The names of all studies, the one that changed last first.

    Raises:
        StoreError: as `Store.open`.
    """
    with _open(url) as store:
        studies = sorted(store.studies(), key=lambda study: study.changed_at, reverse=True)
    return [study.name for study in studies]


def study_pulse(url: str, study: str) -> Pulse:
    """How many trials there are, and when the newest change was: all that is polled."""
    with _open(url) as store:
        return store.pulse(study)


# The pulse is an argument so that a change of the store is a change of the key.
@st.cache_data(max_entries=16, show_spinner=False)
def load_study(url: str, study: str, pulse: Pulse) -> StudyView:
    """The study, and its trials with what is worth having of them."""
    with _open(url) as store:
        record, trials = store.study(study), store.trials(study)
    budget = stored_budget(record.config)
    return StudyView(
        study=record,
        budget=budget,
        trials=trial_frame(trials),
        best=best(trials, budget),
        nearest=nearest_miss(trials, budget),
    )


@st.cache_data(max_entries=64, show_spinner=False)
def load_trial(url: str, study: str, number: int, pulse: Pulse) -> TrialRecord:
    """One trial, with all that is known of it."""
    with _open(url) as store:
        return store.trial(study, number)


def trial_frame(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """A row a trial, in the given order.

    Columns: `number`, `state` and `on_frontier`; `accuracy`, `agreement` and `test_accuracy`,
    shares from 0 to 1; `size_bytes`, `latency_ms`, `latency_p95_ms`, `parameters`, `macs` and
    `duration_s`, NaN where not measured; a text for each axis of the recipe; `note`, why the trial
    is not complete.
    """
    members = {trial.number for trial in frontier(trials)}
    rows = [_row(trial, is_member=trial.number in members) for trial in trials]
    frame = pd.DataFrame(rows, columns=pd.Index(_COLUMNS))
    return frame.astype(
        {"number": "int64", "on_frontier": "bool", **dict.fromkeys(_NUMBERS, "float64")}
    )


def describe_choice(params: Mapping[str, Scalar], axis: str) -> str:
    """One axis of a recipe in a few words: `resnet18`, `magnitude 34%`, `int8_static`."""
    name = str(params.get(axis, ""))
    if axis == "student":
        return str(params.get(f"student.{name}.model", name))
    if axis == "pruning" and isinstance(ratio := params.get(f"pruning.{name}.ratio"), float):
        return f"{name} {ratio:.0%}"
    return name


def _open(url: str) -> Store:
    return Store.open(url, read_only=True, patience_s=_PATIENCE_S)


def _row(trial: TrialRecord, *, is_member: bool) -> dict[str, object]:
    outcome = trial.outcome or Outcome(state=trial.state)
    quality, cost, failure = outcome.quality, outcome.cost, outcome.failure
    return {
        "number": trial.number,
        "state": trial.state.value,
        "on_frontier": is_member,
        "accuracy": quality and quality.accuracy,
        "agreement": quality and quality.agreement,
        "test_accuracy": trial.test and trial.test.accuracy,
        "size_bytes": cost and cost.size_bytes,
        "latency_ms": cost and cost.latency_ms,
        "latency_p95_ms": cost and cost.latency_p95_ms,
        "parameters": cost and cost.parameters,
        "macs": cost and cost.macs,
        "duration_s": None if trial.state is TrialState.RUNNING else outcome.duration_s,
        **{axis: describe_choice(trial.params, axis) for axis in _AXES},
        "note": outcome.reason or (failure and f"{failure.kind}: {failure.message}") or "",
    }
