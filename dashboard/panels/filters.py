"""Filters by kind of trial, family of student, and the method on each axis of the recipe."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.address import bind, say, some_of
from dashboard.panels.messages import as_plain
from dashboard.panels.page import PageContext
from dashboard.queries import Place, StudyView, load_numbers

Choices = Mapping[str, Sequence[str]]

_FAMILY, _KIND = "family", "kind"


def pick_choices(here: PageContext, view: StudyView) -> Choices:
    """Return the selected values of each filtered column, picked in a popover.

    The popover shows how many filters are active. An axis on which all trials have the same method
    has no filter.
    """
    if not view.options:
        return {}
    chosen = {}
    active = sum(bool(st.session_state.get(f"{here.page}.{name}")) for name in view.options)
    with st.popover(f"Filters ({active})" if active else "Filters", icon=":material/filter_alt:"):
        for name, values in view.options.items():
            key = bind(here.page, name, list[str](), some_of(values))
            # A choice that the study no longer holds can't be selected any more.
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
    """Return the rows of trials that match the selection in every filtered column."""
    if not choices and not states:
        return view.trials
    groups = [_parameters(view, name, values) for name, values in choices.items() if name != _KIND]
    is_wanted = view.trials["number"].isin(load_numbers(place, states, groups))
    if _KIND in choices:
        is_wanted &= view.trials[_KIND].isin(choices[_KIND])
    return view.trials[is_wanted]


def _parameters(view: StudyView, name: str, values: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the stored parameters for these choices; a trial must match one of them."""
    if name != _FAMILY:
        return {name: values}
    trials = view.trials[view.trials[_FAMILY].isin(values)]
    methods = trials["student.method"].unique()
    models = {method: f"student.{method}.model" for method in methods}
    # A student whose method names no model is identified by the method.
    found = {name: trials[name].dropna().unique() for name in models.values() if name in trials}
    alone = [method for method, name in models.items() if name not in found]
    return {name: sorted(held) for name, held in found.items()} | (
        {"student": alone} if alone else {}
    )
