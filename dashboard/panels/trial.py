"""One trial: its recipe, its measures, and the reason for its end."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.charts.measures import limit_measure
from dashboard.charts.scale import short_name
from dashboard.frames import axes_of, recipe_in_words
from dashboard.panels.headline import show_measures, teacher_in_words
from dashboard.panels.marks import in_address, remark
from dashboard.panels.messages import show_problem, show_text
from dashboard.panels.page import PageContext
from dashboard.queries import StudyView, load_trials
from search.analysis.finals import kind_text
from search.files.filestore import FolderStore
from search.files.text import visible
from search.objectives.budget import doubt_text, total_violation
from search.objectives.floors import recall_texts
from search.objectives.intervals import measured_text
from search.objectives.limits import limits
from search.objectives.metrics import metrics
from search.objectives.units import format_duration
from search.records import (
    Cost,
    Outcome,
    Quality,
    Scalar,
    StudyRecord,
    StudyState,
    TrialRecord,
    TrialState,
)
from search.storage.leases import standing


def show_marked(here: PageContext, view: StudyView, marked: Sequence[int]) -> None:
    """Show the marked trial, a way to compare several, or a hint if none is marked."""
    if not marked:
        st.caption(
            "Click a point or a row to show its trial here. Draw a box to mark several trials."
        )
        return
    with st.container(border=True):
        if len(marked) == 1:
            trial = load_trials(here.place, tuple(marked))[marked[0]]
            show_end(trial, view)
            with st.expander("Recipe"):
                show_recipe(trial)
        else:
            st.markdown(f"#### {len(marked)} trials are marked")
        with st.container(horizontal=True, vertical_alignment="center"):
            page, label = (
                ("trial", f"Open trial {marked[0]}")
                if len(marked) == 1
                else ("compare", "Compare these trials")
            )
            st.page_link(
                f"views/{page}.py",
                label=label,
                icon=":material/arrow_forward:",
                query_params={"study": here.study, "trial": in_address(marked)},
            )
            st.button("Unmark", on_click=remark, args=(here.study, []), type="tertiary")


def show_end(trial: TrialRecord, view: StudyView) -> None:
    """Show how the trial ended: its measures and the teacher's, and the reason or the error."""
    is_member = bool(view.trials["on_frontier"].iloc[trial.number])
    state = ":green-badge[on the frontier]" if is_member else f":gray-badge[{trial.state}]"
    kind = f":violet-badge[{kind_text(trial)}]" if kind_text(trial) else ""
    over = ":orange-badge[over budget]" if _breaks_floor(trial) else ""
    st.markdown(f"#### Trial {trial.number} {state} {over} {kind}")
    # Plain text, because others may have named the student.
    st.text(visible(recipe_in_words(trial.params)))
    outcome = trial.outcome
    if outcome is None:
        if standing(view.study) is StudyState.RUNNING:
            st.info("This trial is still running. Its costs are not known yet.")
        else:
            st.info("This trial was interrupted. `retort resume` runs it again.")
        return
    if outcome.cost is not None and view.study.teacher is not None:
        st.caption(f"Teacher: {teacher_in_words(view.study.teacher, view.goal)}")
    show_measures(trial, view.study.teacher, view.goal, floors=view.budget.floors())
    _show_remarks(outcome)


def _breaks_floor(trial: TrialRecord) -> bool:
    if trial.state is not TrialState.COMPLETE or trial.outcome is None:
        return False
    return total_violation(trial.outcome.violations) > 0


def _show_remarks(outcome: Outcome) -> None:
    """Show the error, the reason, a doubtful latency, and stages without effect."""
    if outcome.failure is not None:
        show_problem("This trial failed.", f"{outcome.failure.kind}: {outcome.failure.message}")
        if outcome.failure.traceback:
            with st.expander("Traceback"):
                show_text(outcome.failure.traceback)
    if outcome.reason:
        show_text(outcome.reason)
    if doubt := doubt_text(outcome.cost):
        st.caption(doubt)
    if outcome.no_op:
        st.caption("A stage had no effect:")
        show_text(outcome.no_op)


def show_recipe(trial: TrialRecord) -> None:
    """Show the method chosen on each axis, with its parameters."""
    show_pairs("Recipe", recipe_rows(trial.params, axes_of([trial])))


def recipe_rows(
    params: Mapping[str, Scalar], axes: Sequence[str], *, whole_names: bool = False
) -> dict[str, str]:
    """Return each axis with its method and parameters.

    With `whole_names`, a parameter's name begins with that of its method.
    """
    rows: dict[str, str] = {}
    for axis in axes:
        choice = str(params[axis])
        rows[axis.capitalize()] = choice
        prefix = f"{axis}.{choice}."
        for key, value in params.items():
            if key.startswith(prefix):
                name = key.removeprefix(prefix).replace("_", " ")
                rows[f"{choice} {name}" if whole_names else f"\u2003{name}"] = text_of(value)
    return rows


def text_of(value: object) -> str:
    """Return a parameter's value for people; floats have four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_facts(trial: TrialRecord, study: StudyRecord) -> None:
    """Show the measurements, the hardware, and the artifact."""
    show_pairs("Measured", _facts(trial, study))


def _facts(trial: TrialRecord, study: StudyRecord) -> dict[str, str]:
    rows = {"Seed": str(trial.seed), "Started": f"{trial.started_at:%Y-%m-%d %H:%M} UTC"}
    if trial.parent is not None:
        rows["Branch of"] = f"trial {trial.parent}, whose trained student it uses"
    if trial.repeats is not None:
        rows["Kind"] = kind_text(trial)
    outcome = trial.outcome
    if outcome is None:
        return rows
    rows["Duration"] = format_duration(outcome.duration_s)
    rows |= measured_rows(trial)
    rows |= {short_name(key).capitalize(): str(value) for key, value in outcome.hardware.items()}
    if outcome.artifact is not None:
        rows["Artifact"] = str(FolderStore.of(study.artifacts) / outcome.artifact.path)
        rows["SHA-256"] = f"{outcome.artifact.sha256[:12]}…"
    return rows


def measured_rows(trial: TrialRecord) -> dict[str, str]:
    """Return the student's measured values as text; empty if nothing was measured."""
    if trial.outcome is None:
        return {}
    return {
        **_metrics(trial.outcome.quality, ""),
        **_metrics(trial.test, "Test "),
        **_costs(trial.outcome.cost or {}),
    }


def _metrics(quality: Quality, before: str) -> dict[str, str]:
    of_metrics = {
        f"{before}{metric.label}".capitalize(): measured_text(metric, quality)
        for name, metric in metrics().items()
        if name in quality
    }
    recalls = {f"{before}{label}": text for label, text in recall_texts(quality).items()}
    return of_metrics | {f"{label[0].upper()}{label[1:]}": one for label, one in recalls.items()}


def _costs(cost: Cost) -> dict[str, str]:
    rows = {}
    for limit in limits().values():
        if limit.cost not in cost:
            continue
        rows[limit_measure(limit).title] = limit.text(cost)
        for name, label in limit.also.items():
            if name in cost:
                rows[label.capitalize()] = limit.also_text(name, cost[name])
    return rows


def show_pairs(title: str, rows: Mapping[str, str]) -> None:
    """Show two columns, names and values."""
    frame = pd.DataFrame(
        {title: list(map(visible, rows)), "value": list(map(visible, rows.values()))}
    )
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        column_config={title: st.column_config.TextColumn(width="small"), "value": " "},
    )
