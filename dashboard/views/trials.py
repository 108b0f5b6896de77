"""Page of all trials in a table: sorting, filters, choice of columns, downloads."""

from functools import partial

import pandas as pd
import streamlit as st

from dashboard.address import bind, say, some_of
from dashboard.charts.measures import objective_measures
from dashboard.panels.filters import matching, pick_choices
from dashboard.panels.headline import show_states
from dashboard.panels.marks import in_address, marked_trials
from dashboard.panels.page import PageContext, open_study
from dashboard.panels.table import columns, label, pick_states, show_rows
from dashboard.queries import StudyView, load_study

_HEIGHT = 700


def show() -> None:
    """Show the page."""
    here = open_study("trials", "Trials")
    if here is None:
        return
    view = load_study(here.place)
    show_states(view)
    if view.trials.empty:
        st.info("No trial has started yet.", icon=":material/hourglass:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        choices = pick_choices(here, view)
        names = _pick_columns(here, view)
    states = pick_states(here, view.trials)
    shown = matching(here.place, view, choices, states)
    marked = marked_trials(here)
    show_rows(here, shown, names, marked, height=_HEIGHT)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(shown)} of {len(view.trials)} trials", width="stretch")
        _show_downloads(here, shown)
        if marked:
            is_one = len(marked) == 1
            page, action = ("trial", "Open trial") if is_one else ("compare", "Compare trials")
            st.page_link(
                f"views/{page}.py",
                label=f"{action} {in_address(marked)[:40]}",
                icon=":material/arrow_forward:",
                query_params={"study": here.study, "trial": in_address(marked)},
            )


def _pick_columns(here: PageContext, view: StudyView) -> list[str]:
    options = [
        *columns(view.axes, view.goal, view.budget.floors()),
        *(n for n in view.trials.columns if n.count(".") > 1),
    ]
    score, *costs = objective_measures(view.goal)
    objectives = [score, *(metric.name for metric in view.beside), *costs]
    kind = ["kind"] if view.trials["kind"].nunique() > 1 else []
    recipe = ["student", "pruning", "quantization"]
    wanted = ["number", "state", "on_frontier", *kind, *objectives, *recipe]
    first = [name for name in [*wanted, "duration_s", "note"] if name in options]
    key = bind(here.page, "columns", first, some_of(options))
    st.session_state[key] = [name for name in st.session_state[key] if name in options]
    known = columns(view.axes, view.goal, view.budget.floors())
    with st.popover("Columns", icon=":material/view_column:"):
        picked = st.multiselect(
            "Columns",
            options,
            key=key,
            format_func=lambda name: str(known[name]["label"]) if name in known else label(name),
        )
    say("columns", "" if picked == first else ",".join(picked))
    return picked or ["number"]


def _show_downloads(here: PageContext, shown: pd.DataFrame) -> None:
    # The file is written only on request, because ten thousand rows take a while.
    for form, make, kind in (("CSV", as_csv, "text/csv"), ("JSON", as_json, "application/json")):
        st.download_button(
            form,
            partial(make, shown),
            file_name=f"{here.study}.{form.lower()}",
            mime=kind,
            icon=":material/download:",
            on_click="ignore",
        )


def as_csv(shown: pd.DataFrame) -> bytes:
    """Return the rows with every column, missing values empty."""
    return shown.to_csv(index=False).encode()


def as_json(shown: pd.DataFrame) -> bytes:
    """Return the rows as objects, missing values null."""
    # pandas writes missing values as null; json would write NaN, which is not valid JSON.
    text: str = shown.to_json(orient="records", indent=1, double_precision=15)
    return text.encode()


if __name__ == "__main__":
    show()
