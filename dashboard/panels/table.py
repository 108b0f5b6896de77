"""The table of a study's trials."""

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard.panels.picker import TRIAL, select_trial
from search.records import TrialState

_KEY = "trials_table"
_FILTER = "states"
_SHARES = ("accuracy", "agreement", "test_accuracy")
_FRONTIER_ONLY = "frontier_only"


def show_table(trials: pd.DataFrame) -> None:
    """A table that sorts and filters; a chosen row selects its trial."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("#### Trials", width="stretch")
        is_frontier_only = st.toggle("Frontier only", key=_FRONTIER_ONLY, bind="query-params")
    present = [state.value for state in TrialState if (trials["state"] == state.value).any()]
    states = st.pills(
        "States",
        present,
        selection_mode="multi",
        key=_FILTER,
        disabled=is_frontier_only,
        label_visibility="collapsed",
    )
    shown = trials[trials["on_frontier"]] if is_frontier_only else trials
    if states and not is_frontier_only:
        shown = shown[shown["state"].isin(states)]
    shown = shown.reset_index(drop=True)
    _mark_selected(shown)
    st.dataframe(
        _as_shown(shown),
        key=_KEY,
        on_select=lambda: _select_row(shown),
        selection_mode="single-row",
        hide_index=True,
        height=min(38 + 35 * max(1, len(shown)), 460),
        column_config=_columns(),
        column_order=list(_columns()),
        placeholder="–",
    )
    st.caption(f"{len(shown)} of {len(trials)} trials. Select a row to see its trial above.")


def _mark_selected(shown: pd.DataFrame) -> None:
    """Makes the table's selected row that of the selected trial, wherever it was selected."""
    number = st.session_state.get(TRIAL)
    rows = [] if number is None else shown.index[shown["number"] == number].tolist()
    st.session_state[_KEY] = {"selection": {"rows": rows, "columns": [], "cells": []}}


def _select_row(shown: pd.DataFrame) -> None:
    rows = st.session_state[_KEY]["selection"]["rows"]
    select_trial(int(shown["number"].iloc[rows[0]]) if rows else None)


def _as_shown(trials: pd.DataFrame) -> pd.DataFrame:
    percent = {name: trials[name] * 100 for name in _SHARES}
    return trials.assign(on_frontier=trials["on_frontier"].map({True: "●", False: ""}), **percent)


def _columns() -> dict[str, ColumnConfig]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "number": number("Trial", format="%d", pinned=True, width="small"),
        "state": text("State", width="small"),
        "on_frontier": text("Frontier", width="small", help="No other trial betters it."),
        "accuracy": number("Accuracy", format="%.1f%%"),
        "size_bytes": number("Size", format="bytes"),
        "latency_ms": number("Latency", format="%.2f ms"),
        "student": text("Student"),
        "pruning": text("Pruning"),
        "quantization": text("Quantization"),
        "latency_p95_ms": number("Latency p95", format="%.2f ms"),
        "parameters": number("Parameters", format="compact"),
        "macs": number("MACs", format="compact"),
        "duration_s": number("Took", format="%.1f s"),
        "training": text("Training"),
        "distillation": text("Distillation"),
        "agreement": number("Agreement", format="%.1f%%", help="With the teacher's predictions."),
        "test_accuracy": number("Test accuracy", format="%.1f%%"),
        "note": text("Why", width="large"),
    }
