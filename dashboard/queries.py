"""Read-only queries of the pages, cached until the store changes.

All visitors share the cached values, so no caller may change them in place.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pandas as pd
import streamlit as st

from dashboard.frames import axes_of, parameters_of, trial_frame, varying
from dashboard.launch import STORE_VARIABLE
from search.analysis.history import HistoryPoint, history
from search.analysis.pareto import quality_of
from search.analysis.ranking import Ranking
from search.analysis.recommend import Advice, advice_or_refusal
from search.analysis.savings import Savings, savings
from search.errors import BadInput, DamagedRow
from search.objectives.budget import Budget, stored_budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.metric import Metric
from search.records import StudyRecord, Tally, TrainingDone, TrialRecord, TrialState
from search.storage.storage import Store

DEFAULT_STORE = "sqlite:///retort.db"

# A person waits for this: shorter than a writer's patience, longer than its transactions.
_PATIENCE_S = 3.0

Pulse = tuple[int, datetime]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A study in a store, in the state that its pulse identifies; it is the key of the caches.

    Attributes:
        url: the store's URL; it may hold a password.
        study: the study's name.
        pulse: the study's pulse; it changes whenever the study changes in the store.
    """

    url: str
    study: str
    pulse: Pulse


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study as a page shows it.

    Attributes:
        study: its record.
        budget: the limits its students must keep.
        goal: its objectives.
        records: its trials by number, without stages, epochs and tracebacks.
        trials: a frame from `trial_frame`, one row a trial, by number.
        axes: the axes of its recipes.
        parameters: the parameters of its recipes: `pruning.method`, `pruning.magnitude.ratio`.
        best: the best trial within the budget.
    """

    study: StudyRecord
    budget: Budget
    goal: Goal
    records: Sequence[TrialRecord]
    trials: pd.DataFrame
    axes: Sequence[str]
    parameters: Sequence[str]
    best: TrialRecord | None

    @cached_property
    def counts(self) -> Mapping[TrialState, int]:
        """The number of trials in each state."""
        return Counter(trial.state for trial in self.records)

    @cached_property
    def beside(self) -> Sequence[Metric]:
        """The metrics that stand beside the goal's own in tables of the study's trials."""
        teacher = self.study.teacher
        known = [] if teacher is None else [teacher.quality]
        return self.goal.beside(*known, *map(quality_of, self.records))

    @cached_property
    def varying(self) -> Sequence[str]:
        """The parameters in which trials differ, those first that all trials have."""
        return varying(self.trials, self.parameters)

    @cached_property
    def options(self) -> Mapping[str, Sequence[str]]:
        """The kinds, families and methods of each axis, if trials differ in them."""
        columns = {"kind": "kind", "family": "family"}
        columns |= {axis: f"{axis}.method" for axis in self.axes if axis != "student"}
        found = {
            name: sorted(self.trials[column].dropna().unique()) for name, column in columns.items()
        }
        return {name: values for name, values in found.items() if len(values) > 1}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A study in the list of all: its trials' states, and its best trial within the budget."""

    study: StudyRecord
    tallies: Mapping[TrialState, Tally]
    best: TrialRecord | None


def store_url() -> str:
    """Return the store's URL, which the launcher passed on; it may hold a password."""
    return os.environ.get(STORE_VARIABLE, DEFAULT_STORE)


def study_pulses(url: str) -> dict[str, Pulse]:
    """Return each study's number of trials and its time of change, which is all that is polled.

    The study that changed last is the first.

    Raises:
        StoreError: as `Store.open`.
    """
    with _open(url) as store:
        return store.pulses()


def load_summaries(url: str, pulses: Mapping[str, Pulse]) -> list[Summary | DamagedRow | BadInput]:
    """Return a summary of every study, in the pulses' order, or why it can't be read.

    Damaged ones come first.
    """
    with _open(url) as store:
        found, tallies = store.studies(), store.tallies()
    studies = {study.name: study for study in found if isinstance(study, StudyRecord)}
    summaries: list[Summary | DamagedRow | BadInput] = [
        error for error in found if isinstance(error, DamagedRow)
    ]
    for name, pulse in pulses.items():
        if name in studies:
            place = Place(url=url, study=name, pulse=pulse)
            summaries.append(_summary(studies[name], tallies.get(name, {}), place))
    return summaries


def _summary(
    study: StudyRecord, tallies: Mapping[TrialState, Tally], place: Place
) -> Summary | DamagedRow | BadInput:
    try:
        return Summary(study=study, tallies=tallies, best=load_best(place))
    except (DamagedRow, BadInput) as error:
        return error


@st.cache_resource(max_entries=6, show_spinner=False)
def load_study(place: Place) -> StudyView:
    """Return the study, and its trials with the parts worth keeping."""
    with _open(place.url) as store:
        record, trials = store.study(place.study), store.trials(place.study)
    budget, goal = stored_budget(record.config), stored_goal(record.config)
    return StudyView(
        study=record,
        budget=budget,
        goal=goal,
        records=trials,
        trials=trial_frame(trials, goal),
        axes=axes_of(trials),
        parameters=parameters_of(trials),
        best=Ranking(trials, goal).best(budget),
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def load_advice(place: Place) -> Advice | None:
    """Return the recommended student within the study's own budget, and its neighbours."""
    view = load_study(place)
    return advice_or_refusal(view.records, view.budget, view.goal)[0]


@st.cache_resource(max_entries=500, show_spinner=False)
def load_best(place: Place) -> TrialRecord | None:
    """Return the best trial within the study's budget.

    Raises:
        DamagedRow: a trial can't be read. All trials are read, not only the complete ones.
        BadInput: its goal or its budget is of a plugin that is not installed here.
    """
    with _open(place.url) as store:
        record, trials = store.study(place.study), store.trials(place.study)
    return Ranking(trials, stored_goal(record.config)).best(stored_budget(record.config))


@st.cache_resource(max_entries=64, show_spinner=False)
def load_trials(place: Place, numbers: Sequence[int]) -> Mapping[int, TrialRecord]:
    """Return some trials by number, with everything that the store holds of them."""
    with _open(place.url) as store:
        found = store.trials(place.study, numbers=numbers, whole=True)
    return {trial.number: trial for trial in found}


@st.cache_resource(max_entries=64, show_spinner=False)
def load_numbers(
    place: Place,
    states: Sequence[str],
    choices: Sequence[Mapping[str, Sequence[str]]],
) -> Sequence[int]:
    """Return the trials that made the choices, in one of the states; no states means any."""
    wanted = [TrialState(state) for state in states] or None
    with _open(place.url) as store:
        return store.numbers(place.study, states=wanted, methods=choices)


@st.cache_resource(max_entries=16, show_spinner=False)
def load_history(place: Place) -> Sequence[HistoryPoint]:
    """Return the course of the search, moment by moment."""
    view = load_study(place)
    return history(view.records, view.budget, view.goal)


@st.cache_resource(max_entries=16, show_spinner=False)
def load_savings(place: Place) -> Savings:
    """Return the training that the search saved."""
    return savings(load_study(place).records, load_done(place))


@st.cache_resource(max_entries=16, show_spinner=False)
def load_done(place: Place) -> Mapping[int, TrainingDone]:
    """Return how long each trial trained, or whose student it took over."""
    with _open(place.url) as store:
        return store.training_done(place.study)


def _open(url: str) -> Store:
    return Store.open(url, read_only=True, patience_s=_PATIENCE_S)
