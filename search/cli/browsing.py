"""Commands that read a study: trials, show, best."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich import box
from rich.markup import escape
from rich.table import Table

from search.analysis.finals import of_kind, training_notes
from search.analysis.floor_notes import floor_notes
from search.analysis.pareto import fits, frontier
from search.analysis.recommend import advise, reasons
from search.cli.options import (
    DEFAULT_STORE,
    Json,
    Max,
    MaxLatency,
    MaxSize,
    Min,
    MinAccuracy,
    MinNamed,
    StoreUrl,
    StudyName,
    Trial,
    asked_budget,
    given_budget,
    given_floor,
    named_or_latest,
    store_option,
)
from search.cli.tables import add_figures, reason_of, trial_table
from search.cli.terminal import out, say, write_csv, write_json
from search.config.single_trial import study_of_trial
from search.errors import BadInput
from search.objectives.budget import Budget, cost_texts, stored_budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.limits import limits
from search.objectives.metrics import metrics
from search.objectives.units import format_duration
from search.records import (
    Cost,
    Outcome,
    Quality,
    StageRecord,
    TrialKind,
    TrialRecord,
)
from search.storage.storage import Store


class OutputFormat(StrEnum):
    """Formats in which a command writes its results."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def trials(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    max_size: MaxSize = None,
    max_latency: MaxLatency = None,
    more: Max = None,
    least: MinNamed = None,
    frontier_only: Annotated[
        bool, typer.Option("--frontier", help="List only the trials on the frontier.")
    ] = False,
    kind: Annotated[
        TrialKind | None,
        typer.Option(
            help="List only trials of the search, finalists, or refits.", show_default=False
        ),
    ] = None,
    as_format: Annotated[
        OutputFormat, typer.Option("--format", help="The output format.")
    ] = OutputFormat.TABLE,
) -> None:
    """List a study's trials, or its frontier. With limits, list only trials that keep them."""
    budget = given_budget(max_size, max_latency, more, least)
    if any("=" not in text for text in least or ()):
        raise BadInput("--min must be NAME=VALUE, such as recall.stop=0.98")
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record, found = opened.study(name), opened.trials(name)
    goal, own = stored_goal(record.config), stored_budget(record.config)
    if budget is not None:
        asked_budget(budget, own)  # refuses floors of classes that were not measured
    found = found if kind is None else of_kind(found, kind)
    within = found if budget is None else [trial for trial in found if fits(trial, budget)]
    shown = frontier(within, goal) if frontier_only else within
    if as_format is OutputFormat.JSON:
        write_json([flat(trial, own) for trial in shown])
    elif as_format is OutputFormat.CSV:
        write_csv([flat(trial, own) for trial in shown])
    else:
        title = f"frontier of {name}" if frontier_only else f"trials of {name}"
        out.print(
            trial_table(shown, title=title, goal=goal, teacher=record.teacher, floors=own.floors())
        )


def show(
    trial: Trial,
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    as_json: Json = False,
    as_study: Annotated[
        bool, typer.Option("--as-study", help="Write a study file that repeats this trial.")
    ] = False,
) -> None:
    """Show one trial: its recipe, stages and costs, and why it failed."""
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record = opened.trial(name, trial)
        owner, others = opened.study(name), opened.trials(name)
    if as_study:
        sys.stdout.write(yaml.safe_dump(study_of_trial(owner, record), sort_keys=False))
        return
    if as_json:
        write_json(asdict(record))
        return
    goal, budget = stored_goal(owner.config), stored_budget(owner.config)
    title = f"trial {trial} of {record.study}"
    out.print(trial_table([record], title=title, goal=goal, floors=budget.floors()))
    for note in (*training_notes(record, others, goal), *floor_notes(record, others, budget)):
        say(note)
    out.print(_pairs("recipe", record.params))
    if record.outcome:
        _show_outcome(record.outcome, goal)


def best(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    max_size: MaxSize = None,
    max_latency: MaxLatency = None,
    more: Max = None,
    least: Min = None,
    min_accuracy: MinAccuracy = None,
    as_json: Json = False,
) -> None:
    """Show the best student within the given limits, or else within the study's budget."""
    budget = given_budget(max_size, max_latency, more, least)
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record, found = opened.study(name), opened.trials(name)
    goal = stored_goal(record.config)
    floor = given_floor(goal, least, min_accuracy)
    within = asked_budget(budget, stored_budget(record.config))
    advice = advise(found, within, goal, floor=floor)
    student, exported = advice.chosen, advice.shipped
    if as_json:
        estimate = advice.ranking.estimate(student)
        names = {f"estimate{end}": value for end, value in estimate.quantiles.items()}
        write_json(flat(exported, within) | names)
        return
    title = f"best student of {name}"
    shown = [student] if exported == student else [student, exported]
    out.print(
        trial_table(shown, title=title, goal=goal, teacher=record.teacher, floors=within.floors())
    )
    for line in reasons(advice, within, goal):
        say(line)
    options = f"{store_option(store)} --study {shlex.quote(name)}"
    say(f"export     retort export {exported.number}{options} -o DIR")


def flat(trial: TrialRecord, budget: Budget) -> dict[str, Any]:
    """Return a trial as one row: number, state, kind and seed, its measurements, its recipe.

    Args:
        trial: the trial.
        budget: the budget whose floors have columns, and that `within_budget` is about. It is None
            without a measured cost. A value that was not measured breaks nothing.
    """
    outcome = trial.outcome or Outcome(state=trial.state)
    costs = [cost for limit in limits().values() for cost in (limit.cost, *limit.also)]
    return {
        "study": trial.study,
        "trial": trial.number,
        "state": str(trial.state),
        "kind": str(trial.kind),
        "repeats": trial.repeats,
        "seed": trial.seed,
        **_flat_quality(outcome.quality, budget),
        **_flat_quality(trial.test, budget, "test_"),
        **dict.fromkeys(costs),
        **(outcome.cost or {}),
        "duration_s": outcome.duration_s,
        "within_budget": None
        if outcome.cost is None
        else budget.admits(outcome.cost, outcome.quality),
        "reason": reason_of(outcome),
        "no_op": outcome.no_op,
        "failure": outcome.failure.kind if outcome.failure else None,
        "artifact": outcome.artifact.path if outcome.artifact else None,
        **trial.params,
    }


def _flat_quality(quality: Quality, budget: Budget, prefix: str = "") -> dict[str, float | None]:
    """Return the value of every metric and every floor; None if it was not measured."""
    values = {name: found.value for name, found in quality.items()}
    floors = [floor.name for floor in budget.floors()]
    names = dict.fromkeys([*metrics(), *floors, *values])
    return {f"{prefix}{name}": values.get(name) for name in names}


def _show_outcome(outcome: Outcome, goal: Goal) -> None:
    if outcome.reason:
        out.print(f"[bold]reason[/]  {escape(outcome.reason)}")
    for line in (outcome.no_op or "").splitlines():
        out.print(f"[bold yellow]no_op[/]  {escape(line)}")
    if outcome.failure:
        out.print(f"[bold red]{escape(outcome.failure.kind)}[/]  {escape(outcome.failure.message)}")
        out.print(escape(outcome.failure.traceback), style="dim", highlight=False)
    if outcome.stages:
        out.print(_stage_table(outcome.stages, goal))
    if outcome.hardware:
        measurement = _spread(outcome.cost or {})
        out.print(_pairs("measured on", {**outcome.hardware, **measurement}))
    if outcome.artifact:
        out.print(f"[bold]artifact[/]  {escape(outcome.artifact.path)}")


def _spread(cost: Cost) -> dict[str, str]:
    """Return the costs that were measured along with a limit's value, by their labels."""
    return {
        label: limit.also_text(name, cost[name])
        for limit in limits().values()
        for name, label in limit.also.items()
        if name in cost
    }


def _stage_table(stages: Sequence[StageRecord], goal: Goal) -> Table:
    table = Table(title="stages", title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("stage")
    known = {cost for stage in stages for cost in stage.cost}
    labels = [limit.label for limit in limits().values() if limit.cost in known]
    add_figures(table, ["time", goal.metric.label, *labels])
    for stage in stages:
        took = "reused" if stage.reused else format_duration(stage.seconds)
        score = "–" if stage.score is None else goal.metric.format(stage.score)
        costs = cost_texts(stage.cost)
        table.add_row(escape(stage.name), took, score, *(costs[label] for label in labels))
    return table


def _pairs(title: str, values: Mapping[str, object]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, pad_edge=False, box=None)
    for key, value in values.items():
        table.add_row(escape(key), escape(str(value)))
    return table
