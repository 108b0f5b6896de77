"""What the pages show: read from the store, kept until the store changes; it writes nothing.

What is kept is shared by all who look, so nobody changes it in place.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard.frames import axes_of, trial_frame
from dashboard.launch import STORE_VARIABLE
from search.budget import Budget, stored_budget
from search.frontier import best, nearest_miss
from search.records import StudyRecord, Tally, TrialRecord, TrialState
from search.store import Store

DEFAULT_STORE = "sqlite:///retort.db"

# A person waits for this: shorter than a writer's patience, longer than its transactions.
_PATIENCE_S = 3.0

Pulse = tuple[int, datetime]


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study as a page shows it.

    Attributes:
        study: its record.
        budget: the limits its students must keep.
        records: its trials by number, without stages, epochs and tracebacks.
        trials: a row a trial, by number; the columns are those of `trial_frame`.
        axes: what its recipes choose a method for.
        best: the most accurate trial within the budget.
        nearest: the trial that breaks the budget by the least.
    """

    study: StudyRecord
    budget: Budget
    records: Sequence[TrialRecord]
    trials: pd.DataFrame
    axes: Sequence[str]
    best: TrialRecord | None
    nearest: TrialRecord | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A study in the list of all: how its trials stand, and the best of them within its budget."""

    study: StudyRecord
    tallies: Mapping[TrialState, Tally]
    best: TrialRecord | None


def store_url() -> str:
    """Where the store is, as the launcher handed it over; it may hold a password."""
    return os.environ.get(STORE_VARIABLE, DEFAULT_STORE)


def study_pulses(url: str) -> dict[str, Pulse]:
    """How many trials each study has, and when it last changed: all that is polled.

    The study that changed last is the first.

    Raises:
        StoreError: as `Store.open`.
    """
    with _open(url) as store:
        return store.pulses()


@st.cache_resource(max_entries=4, show_spinner=False)
def load_summaries(url: str, pulses: Sequence[tuple[str, Pulse]]) -> list[Summary]:
    """Every study in a few words, in the order of the pulses."""
    with _open(url) as store:
        studies = {study.name: study for study in store.studies()}
        tallies = store.tallies()
        complete = {
            name: store.trials(name, states=[TrialState.COMPLETE])
            for name, _ in pulses
            if name in studies
        }
    return [
        Summary(
            study=studies[name],
            tallies=tallies.get(name, {}),
            best=best(trials, stored_budget(studies[name].config)),
        )
        for name, trials in complete.items()
    ]


# The pulse is an argument so that a change of the store is a change of the key.
@st.cache_resource(max_entries=6, show_spinner=False)
def load_study(url: str, study: str, pulse: Pulse) -> StudyView:
    """The study, and its trials with what is worth having of them."""
    with _open(url) as store:
        record, trials = store.study(study), store.trials(study)
    budget = stored_budget(record.config)
    return StudyView(
        study=record,
        budget=budget,
        records=trials,
        trials=trial_frame(trials),
        axes=axes_of(trials),
        best=best(trials, budget),
        nearest=nearest_miss(trials, budget),
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def load_trials(
    url: str, study: str, numbers: Sequence[int], pulse: Pulse
) -> Mapping[int, TrialRecord]:
    """Some trials by number, with all that is known of them."""
    with _open(url) as store:
        found = store.trials(study, numbers=numbers, whole=True)
    return {trial.number: trial for trial in found}


def _open(url: str) -> Store:
    return Store.open(url, read_only=True, patience_s=_PATIENCE_S)
