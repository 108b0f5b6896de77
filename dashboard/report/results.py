"""Results of a study's trials, as the report's template needs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from dashboard.charts.cloud import cloud_figure, cloud_points
from dashboard.charts.influence import importance_figure
from dashboard.charts.legend import LegendEntry, legend
from dashboard.charts.measures import (
    cost_measures,
    limit_measure,
    metric_measure,
    objective_measures,
)
from dashboard.charts.parallel import parallel_figure
from dashboard.charts.progress import progress_figure, savings_figure
from dashboard.frames import parameters_of, recipe_columns, trial_frame
from dashboard.report.tables import (
    MOST_ROWS,
    ReportTable,
    failure_table,
    finals_table,
    no_op_table,
)
from search.analysis.history import history
from search.analysis.importance import importances
from search.analysis.pareto import cost_of, frontier, quality_of, value_of
from search.analysis.recommend import Advice, advice_or_refusal, reasons
from search.analysis.savings import in_words, savings
from search.objectives.budget import Budget, cost_texts, stored_budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.intervals import measured_text
from search.records import (
    Quality,
    StudyRecord,
    TeacherRecord,
    TrainingDone,
    TrialRecord,
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure as JSON, for plotly's script."""

    name: str
    height: int
    data: Markup


@dataclass(frozen=True, kw_only=True)
class MeasureCard:
    """A measure of the chosen student, with the teacher's value."""

    name: str
    value: str
    teacher: str


@dataclass(frozen=True, kw_only=True)
class ChosenStudent:
    """The chosen student and the reasons for it, or the reason why there is none."""

    cards: Sequence[MeasureCard] = ()
    reasons: Sequence[str] = ()
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True)
class SavedTraining:
    """Training that was saved."""

    text: str
    figure: Drawn


@dataclass(frozen=True, kw_only=True)
class Results:
    """The report's sections, in their order. The report leaves out a section that is None or empty.

    Attributes:
        choice: the recommended student.
        score: the study's metric, for a heading.
        clouds: the metric against each cost that is minimised.
        legend: the legend of the clouds.
        members: the frontier.
        finals: the finalists and refits.
        parallel: recipes and objectives, as parallel coordinates.
        importance: the importance of each parameter.
        course: the progress of the search.
        savings: training that was saved.
        without_gain: stages without effect.
        failures: trials that failed.
    """

    choice: ChosenStudent
    score: str
    clouds: Sequence[Drawn]
    legend: Sequence[LegendEntry]
    members: ReportTable
    finals: ReportTable
    parallel: Drawn | None
    importance: Drawn | None
    course: Sequence[Drawn]
    savings: SavedTraining | None
    without_gain: ReportTable
    failures: ReportTable


def results_of(
    study: StudyRecord, trials: Sequence[TrialRecord], done: Mapping[int, TrainingDone]
) -> Results:
    """Return the results of the trials; there must be at least one."""
    budget, goal = stored_budget(study.config), stored_goal(study.config)
    frame, teacher = trial_frame(trials, goal), study.teacher
    objectives = objective_measures(goal)
    advice, refusal = advice_or_refusal(trials, budget, goal)
    lines = parallel_figure(frame, parameters_of(trials), objectives, marked=())
    number = None if advice is None else advice.chosen.number
    return Results(
        choice=_chosen(advice, budget, goal, teacher) if advice else ChosenStudent(refusal=refusal),
        score=metric_measure(goal.metric).title,
        clouds=_clouds(frame, budget, goal, teacher=teacher, number=number),
        legend=legend(
            frame, objectives, has_teacher=teacher is not None, has_chosen=advice is not None
        ),
        members=_members(trials, frame, budget, goal),
        finals=finals_table(trials, goal),
        parallel=None if lines is None else _drawn("parallel", lines),
        importance=_importance(trials, goal),
        course=_course(trials, budget, goal),
        savings=_savings(trials, done),
        without_gain=no_op_table(trials),
        failures=failure_table(trials),
    )


def _chosen(
    advice: Advice, budget: Budget, goal: Goal, teacher: TeacherRecord | None
) -> ChosenStudent:
    trial = advice.chosen
    assert trial.outcome is not None
    theirs = teacher.quality if teacher else {}
    cards = _metric_cards(trial.outcome.quality, theirs, goal)
    cards += [
        (f"{floor} (floor)", floor.text(trial.outcome.quality), floor.text(theirs))
        for floor in budget.floors()
    ]
    shipped = advice.shipped  # of a refit, only the test images are measured
    if shipped.test:
        cards += _metric_cards(shipped.test, teacher.test if teacher else {}, goal, before="test ")
    costs = cost_texts(teacher.cost if teacher else None)
    cards += [(name, text, costs[name]) for name, text in cost_texts(cost_of(shipped)).items()]
    return ChosenStudent(
        cards=[
            MeasureCard(name=name, value=value, teacher=beside) for name, value, beside in cards
        ],
        reasons=list(reasons(advice, budget, goal)),
    )


def _metric_cards(
    own: Quality, theirs: Quality, goal: Goal, *, before: str = ""
) -> list[tuple[str, str, str]]:
    """Return a label, the student's and the teacher's value of the metric and those beside it."""
    return [
        (f"{before}{metric.label}", measured_text(metric, own), measured_text(metric, theirs))
        for metric in (goal.metric, *goal.beside(own, theirs))
    ]


def _clouds(
    frame: pd.DataFrame,
    budget: Budget,
    goal: Goal,
    *,
    teacher: TeacherRecord | None,
    number: int | None,
) -> list[Drawn]:
    """Return plots of the metric against each minimised cost that some trial has."""
    score, objectives = metric_measure(goal.metric), objective_measures(goal)
    axes = [limit_measure(limit) for limit in goal.costs]
    return [
        _drawn(
            axis.column,
            cloud_figure(
                cloud_points(frame, axis, objectives),
                axis,
                score,
                limits=budget.limits() | {one.name: one.bound for one in budget.floors()},
                teacher=teacher,
                chosen=number,
            ),
        )
        for axis in axes
        if frame[axis.column].notna().any()
    ]


def _members(
    trials: Sequence[TrialRecord], frame: pd.DataFrame, budget: Budget, goal: Goal
) -> ReportTable:
    """Return the frontier, the best first."""
    metric, floors = goal.metric, budget.floors()
    best_first = -1.0 if metric.is_maximized else 1.0
    members = sorted(frontier(trials, goal), key=lambda trial: best_first * value_of(trial, goal))
    axes = recipe_columns(frame)
    beside = goal.beside(*map(quality_of, members))
    rows = [
        (
            [
                str(trial.number),
                measured_text(metric, quality_of(trial)),
                *(measured_text(each, quality_of(trial)) for each in beside),
                measured_text(metric, trial.test),
                *(floor.text(quality_of(trial)) for floor in floors),
                *cost_texts(cost_of(trial)).values(),
            ],
            [str(frame[axis].iloc[trial.number]) for axis in axes],
        )
        for trial in members[:MOST_ROWS]
    ]
    costs = [measure.name for measure in cost_measures().values()]
    scores = [metric.label, *(each.label for each in beside), "test"]
    names = ["trial", *scores, *(floor.label for floor in floors), *costs, *axes]
    return ReportTable(names=names, rows=rows, count=len(members))


def _importance(trials: Sequence[TrialRecord], goal: Goal) -> Drawn | None:
    objectives = objective_measures(goal)
    found = {column: importances(trials, goal, column) for column in objectives}
    known = {objective: shares for objective, shares in found.items() if shares}
    return _drawn("importance", importance_figure(known, objectives)) if known else None


def _course(trials: Sequence[TrialRecord], budget: Budget, goal: Goal) -> list[Drawn]:
    moments, score = history(trials, budget, goal), metric_measure(goal.metric)
    if len(moments) < 2 or moments[-1].best is None:
        return []
    return [
        _drawn("by-trial", progress_figure(moments, "ended", score)),
        _drawn("by-time", progress_figure(moments, "hours", score)),
    ]


def _savings(
    trials: Sequence[TrialRecord], done: Mapping[int, TrainingDone]
) -> SavedTraining | None:
    found = savings(trials, done)
    if not found.trained + found.saved:
        return None
    return SavedTraining(text=in_words(found), figure=_drawn("savings", savings_figure(found)))


def _drawn(name: str, figure: go.Figure) -> Drawn:
    # A `</script>` in a name would end the element that holds it.
    data = str(figure.to_json()).replace("<", "\\u003c")
    return Drawn(name=name, height=figure.layout.height, data=Markup(data))  # noqa: S704
