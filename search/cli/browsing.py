"""Commands that read a study: trials, show, best."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
import yaml
from rich import box
from rich.markup import escape
from rich.table import Table

from search.analysis.pareto import chosen, frontier
from search.cli.options import (
    DEFAULT_STORE,
    Json,
    MaxLatency,
    MaxSize,
    MinAccuracy,
    StoreUrl,
    StudyName,
    Trial,
    named_or_latest,
    store_option,
)
from search.cli.terminal import out, percent, say, trial_table, write_csv, write_json
from search.config.single_trial import study_of_trial
from search.errors import BadInput
from search.objectives.budget import Budget, stored_budget
from search.records import (
    Cost,
    Outcome,
    StageRecord,
    StudyRecord,
    TrialRecord,
)
from search.storage.storage import Store
from search.units import (
    format_bytes,
    format_count,
    format_duration,
    format_milliseconds,
    parse_bytes,
    parse_milliseconds,
)

_Number = TypeVar("_Number", int, float)


class OutputFormat(StrEnum):
    """How trials are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def trials(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    frontier_only: Annotated[
        bool, typer.Option("--frontier", help="Only those that no other one betters.")
    ] = False,
    as_format: Annotated[
        OutputFormat, typer.Option("--format", help="How to write.")
    ] = OutputFormat.TABLE,
) -> None:
    """The trials of a study, or its frontier."""
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record, found = opened.study(name), opened.trials(name)
    shown = frontier(found) if frontier_only else found
    if as_format is OutputFormat.JSON:
        write_json([flat(trial) for trial in shown])
    elif as_format is OutputFormat.CSV:
        write_csv([flat(trial) for trial in shown])
    else:
        title = f"frontier of {name}" if frontier_only else f"trials of {name}"
        out.print(trial_table(shown, title=title, teacher=record.teacher))


def show(
    trial: Trial,
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    as_json: Json = False,
    as_study: Annotated[
        bool, typer.Option("--as-study", help="Write a study file that does this trial again.")
    ] = False,
) -> None:
    """All that is known of one trial: recipe, stages, cost, why it failed."""
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record = opened.trial(name, trial)
        owner = opened.study(name)
    if as_study:
        sys.stdout.write(yaml.safe_dump(study_of_trial(owner, record), sort_keys=False))
        return
    if as_json:
        write_json(asdict(record))
        return
    out.print(trial_table([record], title=f"trial {trial} of {record.study}"))
    out.print(_pairs("recipe", record.params))
    if record.outcome:
        _show_outcome(record.outcome)


def best(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    max_size: MaxSize = None,
    max_latency: MaxLatency = None,
    min_accuracy: MinAccuracy = None,
    as_json: Json = False,
) -> None:
    """The most accurate student within a budget; the study's own where none is given."""
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record, found = opened.study(name), opened.trials(name)
    student = choose(record, found, max_size, max_latency, min_accuracy=min_accuracy)
    if as_json:
        write_json(flat(student))
        return
    out.print(trial_table([student], title=f"best student of {name}", teacher=record.teacher))
    named = f"{store_option(store)} --study {shlex.quote(name)}"
    say(f"export     retort export {student.number}{named} -o DIR")


def choose(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    max_size: str | None = None,
    max_latency: str | None = None,
    *,
    min_accuracy: float | None = None,
) -> TrialRecord:
    """The best trial within the limits, or within the study's budget where none is given.

    Raises:
        BadInput: a limit is malformed.
        NoStudentFits: names the nearest miss.
    """
    budget = stored_budget(study.config)
    if max_size is not None or max_latency is not None:
        _check("--max-size", max_size, parse_bytes)
        _check("--max-latency", max_latency, parse_milliseconds)
        budget = Budget.model_validate({"size": max_size, "latency": max_latency})
    return chosen(trials, budget, min_accuracy=min_accuracy)


def _check(option: str, text: str | None, parse: Callable[[object], float]) -> None:
    try:
        if text is not None:
            parse(text)
    except ValueError as error:
        raise BadInput(f"{option} {error}") from error


def flat(trial: TrialRecord) -> dict[str, Any]:
    """A trial as one row: what it is, what was measured, and its recipe's parameters."""
    outcome = trial.outcome or Outcome(state=trial.state)
    cost = asdict(outcome.cost) if outcome.cost else {}
    return {
        "study": trial.study,
        "trial": trial.number,
        "state": str(trial.state),
        "accuracy": outcome.quality.accuracy if outcome.quality else None,
        "agreement": outcome.quality.agreement if outcome.quality else None,
        "test_accuracy": trial.test.accuracy if trial.test else None,
        **{key.name: cost.get(key.name) for key in fields(Cost)},
        "duration_s": outcome.duration_s,
        "reason": outcome.reason,
        "no_op": outcome.no_op,
        "failure": outcome.failure.kind if outcome.failure else None,
        "artifact": outcome.artifact.path if outcome.artifact else None,
        **trial.params,
    }


def _show_outcome(outcome: Outcome) -> None:
    if outcome.reason:
        out.print(f"[bold]reason[/]  {escape(outcome.reason)}")
    for line in (outcome.no_op or "").splitlines():
        out.print(f"[bold yellow]no_op[/]  {escape(line)}")
    if outcome.failure:
        out.print(f"[bold red]{escape(outcome.failure.kind)}[/]  {escape(outcome.failure.message)}")
        out.print(escape(outcome.failure.traceback), style="dim", highlight=False)
    if outcome.stages:
        out.print(_stage_table(outcome.stages))
    if outcome.hardware:
        out.print(_pairs("measured on", outcome.hardware))
    if outcome.artifact:
        out.print(f"[bold]artifact[/]  {escape(outcome.artifact.path)}")


def _stage_table(stages: Sequence[StageRecord]) -> Table:
    table = Table(title="stages", title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("stage", "time", "accuracy", "parameters", "bytes", "latency"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in stages:
        count = "–" if stage.parameters is None else format_count(stage.parameters)
        took = "taken over" if stage.reused else format_duration(stage.seconds)
        size = "–" if stage.size_bytes is None else format_bytes(stage.size_bytes)
        latency = "–" if stage.latency_ms is None else format_milliseconds(stage.latency_ms)
        table.add_row(escape(stage.name), took, percent(stage.accuracy), count, size, latency)
    return table


def _pairs(title: str, values: Mapping[str, object]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, pad_edge=False, box=None)
    for key, value in values.items():
        table.add_row(escape(key), escape(str(value)))
    return table
