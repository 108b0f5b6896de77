"""Filters by what was chosen: the student's family, and the method on each axis of the recipe."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.address import bind, say, some_of
from dashboard.panels.messages import as_plain
from dashboard.panels.page import PageContext
from dashboard.queries import Place, StudyView, load_numbers

Choices = Mapping[str, Sequence[str]]

_FAMILY = "family"


def pick_choices(here: PageContext, view: StudyView) -> Choices:
    """What is wanted of each column where not all is; in a popover that says how many filters act.

    An axis on which all trials chose the same has no filter.
    """
    if not view.options:
        return {}
    chosen = {}
    acting = sum(bool(st.session_state.get(f"{here.page}.{name}")) for name in view.options)
    with st.popover(f"Filters ({acting})" if acting else "Filters", icon=":material/filter_alt:"):
        for name, values in view.options.items():
            key = bind(here.page, name, list[str](), some_of(values))
            # What a study no longer holds can't be chosen any more.
            st.session_state[key] = [value for value in st.session_state[key] if value in values]
            picked = st.pills(
                name.capitalize(), values, selection_mode="multi", format_func=as_plain, key=key
            )
            say(name, ",".join(picked))
            if picked:
                chosen[name] = picked
    return chosen


def matching(
    place: Place, view: StudyView, choices: Choices, states: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows of the trials that chose one of what is wanted, on every filtered column."""
    if not choices and not states:
        return view.trials
    groups = [_parameters(view, name, values) for name, values in choices.items()]
    numbers = load_numbers(place, states, groups)
    return view.trials[view.trials["number"].isin(numbers)]


def _parameters(view: StudyView, name: str, values: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The parameters that the store finds these choices by; one of them must fit."""
    if name != _FAMILY:
        return {name: values}
    trials = view.trials[view.trials[_FAMILY].isin(values)]
    methods = trials["student.method"].unique()
    models = {method: f"student.{method}.model" for method in methods}
    # A student whose method names no model is known by the method itself.
    found = {name: trials[name].dropna().unique() for name in models.values() if name in trials}
    alone = [method for method, name in models.items() if name not in found]
    return {name: sorted(held) for name, held in found.items()} | (
        {"student": alone} if alone else {}
    )
