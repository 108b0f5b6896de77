"""One trial: its recipe, what it measured, why it ended so, and the command that exports it."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath

import pandas as pd
import streamlit as st

from dashboard.panels.headline import show_measures
from dashboard.panels.messages import show_problem, show_text
from dashboard.queries import DEFAULT_STORE
from search.records import Outcome, Scalar, StudyRecord, TrialRecord, TrialState
from search.store import safe_url
from search.units import format_bytes, format_count, format_duration, format_milliseconds

_AXES = ("student", "training", "distillation", "pruning", "quantization")


def show_trial(trial: TrialRecord, study: StudyRecord, *, url: str, is_member: bool) -> None:
    """The trial's own panel."""
    state = ":green-badge[on the frontier]" if is_member else f":gray-badge[{trial.state}]"
    st.markdown(f"#### Trial {trial.number} {state}")
    outcome = trial.outcome
    if outcome is None:
        st.info("This trial is still running; its recipe is known, its cost is not yet.")
    else:
        show_measures(trial, study.teacher)
        _show_end(outcome)
    left, right = st.columns(2, gap="large")
    with left:
        _show_pairs("Recipe", _recipe(trial.params))
    with right:
        _show_pairs("Measured", _facts(trial, study))
        if trial.state is TrialState.COMPLETE:
            st.markdown("**Take it with you**", help="Writes the student into a folder.")
            st.code(export_command(trial, url=url), language="bash", wrap_lines=True)


def export_command(trial: TrialRecord, *, url: str) -> str:
    """The command that writes this trial's student into a folder.

    A store whose URL holds a secret is not named: the command finds it in RETORT_STORE.
    """
    words = ["retort", "export", str(trial.number), "--study", trial.study]
    if url not in (DEFAULT_STORE, "") and safe_url(url) == url:
        words += ["--store", url]
    return shlex.join([*words, "-o", f"student-{trial.number}"])


def _show_end(outcome: Outcome) -> None:
    if outcome.failure is not None:
        show_problem("This trial failed.", f"{outcome.failure.kind}: {outcome.failure.message}")
        if outcome.failure.traceback:
            with st.expander("Traceback"):
                show_text(outcome.failure.traceback)
    if outcome.reason:
        show_text(outcome.reason)
    if outcome.no_op:
        st.caption("A stage made no difference:")
        show_text(outcome.no_op)


def _recipe(params: Mapping[str, Scalar]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for axis in _AXES:
        choice = str(params.get(axis, "–"))
        rows[axis.capitalize()] = choice
        prefix = f"{axis}.{choice}."
        for key, value in params.items():
            if key.startswith(prefix):
                rows[f"\u2003{key.removeprefix(prefix).replace('_', ' ')}"] = str(value)
    return rows


def _facts(trial: TrialRecord, study: StudyRecord) -> dict[str, str]:
    rows = {"Seed": str(trial.seed), "Started": f"{trial.started_at:%Y-%m-%d %H:%M} UTC"}
    outcome = trial.outcome
    if outcome is None:
        return rows
    rows["Took"] = format_duration(outcome.duration_s)
    if outcome.quality is not None:
        rows["Agreement"] = f"{outcome.quality.agreement:.1%}"
    if trial.test is not None:
        rows["Test accuracy"] = f"{trial.test.accuracy:.1%}"
    if (cost := outcome.cost) is not None:
        rows["MACs"] = format_count(cost.macs)
        rows["Size"] = format_bytes(cost.size_bytes)
        if cost.latency_p95_ms is not None:
            rows["Latency p95"] = format_milliseconds(cost.latency_p95_ms)
    if outcome.hardware:
        rows["Hardware"] = ", ".join(f"{key} {value}" for key, value in outcome.hardware.items())
    if outcome.artifact is not None:
        rows["Artifact"] = str(PurePath(study.artifacts, outcome.artifact.path))
        rows["SHA-256"] = f"{outcome.artifact.sha256[:12]}…"
    return rows


def _show_pairs(title: str, rows: Mapping[str, str]) -> None:
    frame = pd.DataFrame({title: list(rows), "value": list(rows.values())})
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        column_config={title: st.column_config.TextColumn(width="small"), "value": " "},
    )
