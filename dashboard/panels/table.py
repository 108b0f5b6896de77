"""Tables of trials, in which chosen rows mark their trials."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard.address import bind, one_of, say, some_of
from dashboard.charts.scale import short_name
from dashboard.panels.marks import remark
from dashboard.panels.page import PageContext
from dashboard.queries import StudyView
from search.records import TrialState

_SHARES = ("accuracy", "agreement", "test_accuracy")
_ALL, _FRONTIER = "all", "frontier"


def show_table(
    here: PageContext, view: StudyView, trials: pd.DataFrame, marked: Sequence[int]
) -> None:
    """A table with a filter by state; chosen rows mark their trials."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Trials**", width="stretch")
        key = bind(here.page, "rows", _ALL, one_of((_ALL, _FRONTIER)))
        rows = st.segmented_control(
            "Rows", (_ALL, _FRONTIER), key=key, required=True, label_visibility="collapsed"
        )
        say("rows", "" if rows == _ALL else _FRONTIER)
    states = pick_states(here, trials) if rows == _ALL else []
    shown = trials[trials["on_frontier"]] if rows == _FRONTIER else trials
    if states:
        shown = shown[shown["state"].isin(states)]
    show_rows(here, shown, list(columns(view.axes)), marked)
    st.caption(f"{len(shown)} of {len(view.trials)} trials. Chosen rows stand out in the charts.")


def pick_states(here: PageContext, trials: pd.DataFrame) -> list[str]:
    """The states of trials that are wanted; none stands for all."""
    present = [state.value for state in TrialState if (trials["state"] == state.value).any()]
    key = bind(here.page, "states", list[str](), some_of([state.value for state in TrialState]))
    st.session_state[key] = [state for state in st.session_state[key] if state in present]
    states = st.pills(
        "States", present, selection_mode="multi", key=key, label_visibility="collapsed"
    )
    say("states", ",".join(states))
    return list(states)


def show_rows(
    here: PageContext,
    shown: pd.DataFrame,
    names: Sequence[str],
    marked: Sequence[int],
    height: int = 420,
) -> None:
    """The rows, in a table that sorts and searches by itself."""
    shown = shown.reset_index(drop=True)
    key = f"{here.page}.table"
    rows = shown.index[shown["number"].isin(marked)].tolist()
    # Makes the table's chosen rows those of the marked trials, wherever they were marked.
    st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}

    def mark_rows() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        remark(here.study, [int(shown["number"].iloc[row]) for row in chosen])

    known = columns([])
    st.dataframe(
        _as_shown(shown[[name for name in names if name in shown]]),
        key=key,
        on_select=mark_rows,
        selection_mode="multi-row",
        hide_index=True,
        height=min(38 + 35 * max(1, len(shown)), height),
        column_config={
            name: known.get(name, st.column_config.Column(label(name))) for name in names
        },
        placeholder="–",
    )


def label(name: str) -> str:
    """A column's name for people."""
    return short_name(name).capitalize()


def columns(axes: Sequence[str]) -> dict[str, ColumnConfig]:
    """The columns that a table begins with, those of the recipe's axes among them."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "number": number("Trial", format="%d", pinned=True, width="small"),
        "state": text("State", width="small"),
        "on_frontier": text("Frontier", width="small", help="No other trial betters it."),
        "accuracy": number("Accuracy", format="%.1f%%"),
        "size_bytes": number("Size", format="bytes"),
        "latency_ms": number("Latency", format="%.3g ms"),
        **{axis: text(label(axis)) for axis in axes},
        "latency_p95_ms": number("Latency p95", format="%.3g ms"),
        "parameters": number("Parameters", format="compact"),
        "macs": number("MACs", format="compact"),
        "agreement": number("Agreement", format="%.1f%%", help="With the teacher's predictions."),
        "test_accuracy": number("Test accuracy", format="%.1f%%"),
        "duration_s": number("Took", format="%.1f s"),
        "parent": number("Made of", format="%d", help="The trial whose trained student it took."),
        "note": text("Note", width="large", help="Why it ended so, or what gained nothing."),
    }


def _as_shown(trials: pd.DataFrame) -> pd.DataFrame:
    percent = {name: trials[name] * 100 for name in _SHARES if name in trials}
    if "on_frontier" in trials:
        trials = trials.assign(on_frontier=trials["on_frontier"].map({True: "●", False: ""}))
    return trials.assign(**percent)
