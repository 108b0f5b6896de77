"""The report: everything in one file that needs no network, safe against what others named."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pandas as pd
import plotly
import plotly.graph_objects as go
import yaml

from dashboard.charts.axes import COST_AXES
from dashboard.charts.cloud import accuracy_figure, cloud_points
from dashboard.charts.figure import as_text
from dashboard.charts.influence import OBJECTIVES, importance_figure
from dashboard.charts.legend import legend
from dashboard.charts.parallel import parallel_figure
from dashboard.charts.progress import progress_figure, savings_figure
from dashboard.frames import parameters_of, recipe_columns, trial_frame
from search.analysis.history import history
from search.analysis.importance import importances
from search.analysis.pareto import chosen, frontier
from search.analysis.recommend import accuracy_of, advise, cost_of, reasons
from search.analysis.savings import in_words, savings
from search.errors import NoStudentFits
from search.objectives.budget import cost_texts, stored_budget
from search.records import StudyRecord, TrainingDone, TrialRecord, TrialState
from search.storage.leases import standing, standing_counts

_FOLDER = Path(__file__).parent
_THEME = _FOLDER.parent / "charts/theme.js"
_PLOTLY = Path(plotly.__file__).parent / "package_data/plotly.min.js"
_MOST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """What a report is made of: a study, all its trials, and which of them were trained."""

    study: StudyRecord
    trials: Sequence[TrialRecord]
    done: Mapping[int, TrainingDone]


def report(material: ReportData) -> str:
    """The study as an HTML document, with all it needs in it."""
    template = Template((_FOLDER / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=as_text(f"{material.study.name} · retort"),
        body="\n".join(_sections(material)),
        plotly=_PLOTLY.read_text(encoding="utf-8"),
        theme=_THEME.read_text(encoding="utf-8"),
    )


def _sections(material: ReportData) -> Iterator[str]:
    study, trials = material.study, material.trials
    frame = trial_frame(trials)
    yield from _head(material)
    if not trials:
        yield "<p>No trial has started yet.</p>"
        return
    yield from _choice(material)
    yield from _clouds(study, frame, trials)
    yield from _members(trials, frame)
    lines = parallel_figure(frame, parameters_of(trials), marked=())
    if lines is not None:
        yield "<h2>What was chosen, and what came of it</h2>"
        yield _figure("parallel", lines)
    found = {objective: importances(trials, objective) for objective in OBJECTIVES}
    if known := {objective: shares for objective, shares in found.items() if shares}:
        yield "<h2>Importance of each parameter</h2>"
        yield _figure("importance", importance_figure(known))
    yield from _course(material)
    yield from _without_gain(trials)
    yield from _failures(trials)
    yield "<h2>The study</h2>"
    yield f"<pre>{as_text(yaml.safe_dump(dict(study.config), sort_keys=False))}</pre>"


def _head(material: ReportData) -> Iterator[str]:
    study = material.study
    found = standing_counts(standing(study), Counter(trial.state for trial in material.trials))
    states = ", ".join(f"{found[state]} {state}" for state in TrialState if state in found)
    yield f"<h1>{as_text(study.name)}</h1>"
    yield (
        f'<p class="quiet">{standing(study)} · started {study.created_at:%Y-%m-%d %H:%M} UTC · '
        f"last change {study.changed_at:%Y-%m-%d %H:%M} UTC · {len(material.trials)} trials"
        f"{': ' if states else ''}{states}<br>budget: {as_text(str(stored_budget(study.config)))}"
        "</p>"
    )


def _choice(material: ReportData) -> Iterator[str]:
    study, budget = material.study, stored_budget(material.study.config)
    advice = advise(material.trials, budget)
    yield "<h2>The student to take</h2>"
    if advice is None:
        try:
            chosen(material.trials, budget)
        except NoStudentFits as error:
            yield f"<p>{as_text(str(error))}</p>"
        return
    trial, teacher = advice.chosen, study.teacher
    names = ("size", "latency", "parameters", "MACs")
    mine = cost_texts(cost_of(trial))
    theirs = cost_texts(None if teacher is None else teacher.cost)
    cards = [
        ("accuracy", f"{accuracy_of(trial):.2%}", f"{teacher.accuracy:.2%}" if teacher else "–")
    ]
    if trial.test is not None:
        test = "–" if teacher is None or teacher.test_accuracy is None else teacher.test_accuracy
        beside = test if isinstance(test, str) else f"{test:.2%}"
        cards.append(("test accuracy", f"{trial.test.accuracy:.2%}", beside))
    cards += zip(names, mine, theirs, strict=True)
    yield '<div class="cards">'
    for name, value, beside in cards:
        yield (
            f'<div class="card">{name}<b>{value}</b><span class="quiet">teacher {beside}</span>'
            "</div>"
        )
    yield "</div><ul>"
    yield from (f"<li>{as_text(reason)}</li>" for reason in reasons(advice, budget))
    yield "</ul>"


def _clouds(
    study: StudyRecord, frame: pd.DataFrame, trials: Sequence[TrialRecord]
) -> Iterator[str]:
    budget = stored_budget(study.config)
    advice = advise(trials, budget)
    number = None if advice is None else advice.chosen.number
    yield '<h2>Accuracy against what a student costs</h2><div class="pair">'
    for axis in COST_AXES:
        if frame[axis.column].notna().any():
            points = cloud_points(frame, axis)
            figure = accuracy_figure(
                points, axis, limits=budget.limits(), teacher=study.teacher, chosen=number
            )
            yield _figure(axis.column, figure)
    yield '</div><p class="legend">'
    entries = legend(frame, has_teacher=study.teacher is not None, has_chosen=number is not None)
    for entry in entries:
        yield f'<span><b style="color: {entry.colour}">{entry.sign}</b> {entry.name}</span> '
    yield "</p>"


def _members(trials: Sequence[TrialRecord], frame: pd.DataFrame) -> Iterator[str]:
    members = sorted(frontier(trials), key=lambda trial: -accuracy_of(trial))
    if not members:
        return
    axes = recipe_columns(frame)
    yield f"<h2>The frontier: {len(members)} students</h2>"
    names = ["trial", "accuracy", "test", "size", "latency", "parameters", "MACs", *axes]
    rows = []
    for trial in members[:_MOST_ROWS]:
        test = "–" if trial.test is None else f"{trial.test.accuracy:.2%}"
        numbers = [
            str(trial.number),
            f"{accuracy_of(trial):.2%}",
            test,
            *cost_texts(cost_of(trial)),
        ]
        choices = [str(frame[axis].iloc[trial.number]) for axis in axes]
        rows.append((numbers, choices))
    yield from _table(names, rows)
    if len(members) > _MOST_ROWS:
        yield f'<p class="quiet">The {_MOST_ROWS} most accurate are listed.</p>'


def _course(material: ReportData) -> Iterator[str]:
    moments = history(material.trials, stored_budget(material.study.config))
    if len(moments) > 1 and moments[-1].best is not None:
        yield "<h2>How the search went</h2>"
        yield '<div class="pair">'
        yield _figure("by-trial", progress_figure(moments, "ended"))
        yield _figure("by-time", progress_figure(moments, "hours"))
        yield "</div>"
    spared = savings(material.trials, material.done)
    if spared.trained + spared.saved:
        yield "<h2>Training that was saved</h2>"
        yield f"<p>{as_text(in_words(spared))}</p>"
        yield _figure("savings", savings_figure(spared))


def _without_gain(trials: Sequence[TrialRecord]) -> Iterator[str]:
    found = [
        (trial.number, trial.outcome.no_op)
        for trial in trials
        if trial.outcome is not None and trial.outcome.no_op
    ]
    if not found:
        return
    yield f"<h2>Stages that made no difference: in {len(found)} trials</h2>"
    rows = [([str(number)], [why]) for number, why in found[:_MOST_ROWS]]
    yield from _table(["trial", "stage, and the likely cause"], rows)


def _failures(trials: Sequence[TrialRecord]) -> Iterator[str]:
    failed = [
        (trial.number, trial.outcome.failure)
        for trial in trials
        if trial.outcome is not None and trial.outcome.failure is not None
    ]
    if not failed:
        return
    yield f"<h2>What failed: {len(failed)} trials</h2>"
    rows = [
        ([str(number)], [failure.kind, failure.message[:200]])
        for number, failure in failed[:_MOST_ROWS]
    ]
    yield from _table(["trial", "kind", "message"], rows)


def _table(
    names: Sequence[str], rows: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> Iterator[str]:
    """Rows of numbers, which stand to the right, and then texts."""
    yield '<div class="wide"><table><tr>'
    yield from (f"<th>{as_text(name)}</th>" for name in names)
    yield "</tr>"
    for numbers, texts in rows:
        cells = [f'<td class="number">{as_text(text)}</td>' for text in numbers]
        cells += [f"<td>{as_text(text)}</td>" for text in texts]
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table></div>"


def _figure(name: str, figure: go.Figure) -> str:
    # A `</script>` in a name would end the element that holds it.
    data = str(figure.to_json()).replace("<", "\\u003c")
    return (
        f'<div class="wide"><div id="{name}" style="height: {figure.layout.height}px"></div></div>'
        f'<script type="application/json" data-figure="{name}">{data}</script>'
    )
