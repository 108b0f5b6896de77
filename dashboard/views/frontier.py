"""The frontier of a study: accuracy against what a student costs, and all its trials."""

from functools import partial

import streamlit as st

from dashboard.charts import LATENCY, SIZE, CostAxis, accuracy_figure, legend
from dashboard.panels.headline import show_headline
from dashboard.panels.messages import show_problem, show_text
from dashboard.panels.picker import pick_study, pick_trial, say_unknown_study, select_trial
from dashboard.panels.table import show_table
from dashboard.panels.trial import show_trial
from dashboard.queries import (
    Pulse,
    StudyView,
    load_study,
    load_trial,
    store_url,
    study_names,
    study_pulse,
)
from search.errors import StoreError
from search.store import safe_url

_POLL_S = 3.0
_LIVE_HELP = "Draws the page again when a trial starts or ends, which undoes zooming."
_CHART_OPTIONS = {"displaylogo": False, "modeBarButtonsToRemove": ["autoScale2d"]}


def show() -> None:
    """The page; whatever is wrong with the store is said in words."""
    url = store_url()
    try:
        names = study_names(url)
        if not names:
            st.title("retort")
            st.info("This store holds no study yet. Start one:", icon=":material/science:")
            st.code("retort run study.yaml", language="bash")
            show_text(safe_url(url))
            return
        _show_study(url, names)
    except StoreError as error:
        show_problem("The store can't be read.", str(error))


def _show_study(url: str, names: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown("## Frontier", width="content")
        with st.container(width=280):
            study = pick_study(names)
        is_live = st.toggle("Live", value=True, key="live", help=_LIVE_HELP)
    say_unknown_study()
    pulse = study_pulse(url, study)
    view = load_study(url, study, pulse)
    _watch(url, study, pulse, is_live=is_live)
    show_headline(view)
    if view.trials.empty:
        st.info("No trial has started yet.", icon=":material/hourglass:")
        return
    _show_charts(view)
    _show_selected(view, url, pulse)
    show_table(view.trials)


@st.fragment(run_every=_POLL_S)
def _watch(url: str, study: str, seen: Pulse, *, is_live: bool) -> None:
    """Polls the study's pulse alone, and draws the page again where it has changed."""
    try:
        now = study_pulse(url, study)
    except StoreError as error:
        st.warning("The store can't be read now; shown is what it held before.")
        show_text(str(error))
        return
    if now == seen:
        return
    if is_live:
        st.rerun()
    new = now[0] - seen[0]
    label = f"{new} new trials: show them" if new > 0 else "Something changed: show it"
    if st.button(label, icon=":material/refresh:"):
        st.rerun()


def _show_charts(view: StudyView) -> None:
    left, right = st.columns(2, gap="medium")
    limits = view.budget.limits()
    for column, axis, title in (
        (left, SIZE, "Accuracy against size"),
        (right, LATENCY, "Accuracy against latency"),
    ):
        with column:
            st.markdown(f"**{title}**")
            _show_chart(view, axis, limits.get(axis.column), title)
    entries = legend(view.trials, has_teacher=view.study.teacher is not None)
    spans = [
        f'<span style="white-space: nowrap; margin-right: 1.2em">'
        f'<b style="color: {entry.colour}">{entry.sign}</b> {entry.name}</span> '
        for entry in entries
    ]
    st.html(f'<div style="font-size: 0.875rem">{"".join(spans)}</div>')


def _show_chart(view: StudyView, axis: CostAxis, limit: float | None, title: str) -> None:
    figure = accuracy_figure(view.trials, axis, limit=limit, teacher=view.study.teacher)
    if not figure.data:
        st.caption("No trial's cost is known yet.")
        return
    key = f"chart_{axis.column}"
    st.plotly_chart(
        figure,
        key=key,
        on_select=partial(_select_point, key),
        selection_mode="points",
        config=_CHART_OPTIONS,
        alt=f"{title} of {len(view.trials)} trials",
    )


def _select_point(key: str) -> None:
    points = st.session_state[key]["selection"]["points"]
    # The teacher's star is a point, too, but of no trial.
    carried = next((point["customdata"] for point in points if "customdata" in point), None)
    if carried is not None:
        select_trial(int(carried[0]))


def _show_selected(view: StudyView, url: str, pulse: Pulse) -> None:
    numbers = view.trials["number"].tolist()
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width=280):
                number = pick_trial(numbers)
            best = view.best
            if best is not None and number != best.number:
                st.button(
                    "Show the best", on_click=select_trial, args=(best.number,), type="tertiary"
                )
        if number is None:
            st.caption("Click a point or a row, and its trial is shown here.")
            return
        trial = load_trial(url, view.study.name, number, pulse)
        members = view.trials.loc[view.trials["on_frontier"], "number"]
        show_trial(trial, view.study, url=url, is_member=number in set(members))
