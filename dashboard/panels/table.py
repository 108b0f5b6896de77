"""Tables of trials; selected rows mark their trials."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard.address import bind, one_of, say, some_of
from dashboard.charts.measures import Measure, all_measures, floor_measure, with_companions
from dashboard.charts.scale import short_name
from dashboard.frames import TESTED
from dashboard.panels.marks import remark
from dashboard.panels.page import PageContext
from dashboard.queries import StudyView
from search.objectives.floors import Floor, is_recall, recall_name
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.objectives.limit import Limit
from search.objectives.limits import limit_on, limits
from search.records import TrialState

_ALL, _FRONTIER = "all", "frontier"


def show_table(
    here: PageContext, view: StudyView, trials: pd.DataFrame, marked: Sequence[int]
) -> None:
    """Show a table with a filter by state; selected rows mark their trials."""
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
    show_rows(here, shown, list(columns(view.axes, view.goal, view.budget.floors())), marked)
    st.caption(f"{len(shown)} of {len(view.trials)} trials. The charts highlight selected rows.")


def pick_states(here: PageContext, trials: pd.DataFrame) -> list[str]:
    """Return the selected states of trials; an empty list means all."""
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
    """Show the rows in a table that a person can sort and search."""
    shown = shown.reset_index(drop=True)
    key = f"{here.page}.table"
    rows = shown.index[shown["number"].isin(marked)].tolist()
    # This selects the rows of all marked trials, also of those marked elsewhere.
    st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}

    def mark_rows() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        remark(here.study, [int(shown["number"].iloc[row]) for row in chosen])

    known = columns([]) | {name: _recall_column(name) for name in filter(_is_recall, names)}
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
    """Return a column's name for people."""
    return short_name(name).capitalize()


def columns(
    axes: Sequence[str], goal: Goal = DEFAULT_GOAL, floors: Sequence[Floor] = ()
) -> dict[str, ColumnConfig]:
    """Return the table's first columns: objectives, floors, the recipe's axes, other values."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    objectives = with_companions(goal)
    objectives |= {floor.name: floor_measure(floor) for floor in floors}
    others = {name: one for name, one in all_measures().items() if name not in objectives}
    return {
        "number": number("Trial", format="%d", pinned=True, width="small"),
        "state": text("State", width="small"),
        "on_frontier": text("Frontier", width="small", help="No other trial dominates it."),
        "kind": text(
            "Kind",
            width="small",
            help="final: a finalist, trained to the end; refit: on validation images too.",
        ),
        **{name: _measure_column(measure) for name, measure in objectives.items()},
        **{axis: text(label(axis)) for axis in axes},
        **{name: _measure_column(measure) for name, measure in others.items()},
        **{
            cost: number(label_of, format=_cost_format(limit, cost))
            for limit in limits().values()
            for cost, label_of in limit.also.items()
        },
        **{
            f"{TESTED}{name}": _measure_column(measure, "Test ")
            for name, measure in all_measures().items()
            if not measure.is_cost
        },
        **{
            name: _recall_column(name)
            for floor in floors
            if floor.of_class is not None
            for name in [f"{TESTED}{floor.name}"]
        },
        "duration_s": number("Duration", format="%.1f s"),
        "parent": number(
            "Branch of", format="%d", help="The trial whose trained student this trial uses."
        ),
        "repeats": number("Repeats", format="%d", help="The trial whose recipe it trains again."),
        "seed": number("Seed", format="%d"),
        "note": text(
            "Note", width="large", help="Why the trial ended, or which stage had no effect."
        ),
    }


def _is_recall(column: str) -> bool:
    """Return whether a column has the recall of a class, on validation or on test images."""
    return is_recall(column.removeprefix(TESTED))


def _recall_column(name: str) -> ColumnConfig:
    before = "Test recall" if name.startswith(TESTED) else "Recall"
    of_class = name.removeprefix(TESTED).removeprefix(recall_name(""))
    return st.column_config.NumberColumn(f"{before} of {of_class}", format="%.1f%%")


def _measure_column(measure: Measure, before: str = "") -> ColumnConfig:
    title = f"{before}{measure.name}".strip() if before else measure.title
    if measure.is_cost:
        return st.column_config.NumberColumn(title, format=_cost_format(limit_on(measure.column)))
    form = "%.1f%%" if measure.is_share else "%.4g"
    return st.column_config.NumberColumn(title, format=form)


def _cost_format(limit: Limit, cost: str = "") -> str:
    """Return Streamlit's format of a limit's cost; the stored name holds the unit."""
    if cost.endswith("_share"):
        return "percent"
    if limit.cost.endswith("_bytes"):
        return "bytes"
    return "%.3g ms" if limit.cost.endswith("_ms") else "compact"


def _as_shown(trials: pd.DataFrame) -> pd.DataFrame:
    shares = [name for name, measure in all_measures().items() if measure.is_share]
    shares += [f"{TESTED}{name}" for name in shares]
    shares += filter(_is_recall, trials.columns)
    percent = {name: trials[name] * 100 for name in shares if name in trials}
    if "on_frontier" in trials:
        trials = trials.assign(on_frontier=trials["on_frontier"].map({True: "●", False: ""}))
    return trials.assign(**percent)
