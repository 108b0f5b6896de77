"""Options that several commands share."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search.errors import BadInput
from search.files.paths import expanded
from search.objectives.budget import Budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.limits import LATENCY, SIZE, limit_of
from search.objectives.metrics import ACCURACY
from search.records import StudyRecord
from search.storage.storage import Store

DEFAULT_STORE = "sqlite:///retort.db"
STORE_VARIABLE = "RETORT_STORE"


def path_or_name(given: str | Path) -> str:
    """Expand `~` and variables in a value; a shell leaves the `~` in `--output=~/student`."""
    try:
        return expanded(str(given))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def path(given: str | Path) -> Path:
    """Return a given path, with `~` and variables expanded."""
    return Path(path_or_name(given))


StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        show_envvar=True,
        help="The store: sqlite:///file or postgresql+psycopg://….",
    ),
]
StudyName = Annotated[
    str | None, typer.Option("--study", help="The study; by default the one that changed last.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
MaxSize = Annotated[str | None, typer.Option(help="Such as 2MB.")]
MaxLatency = Annotated[str | None, typer.Option(help="Such as 5ms.")]
Max = Annotated[
    list[str] | None,
    typer.Option(
        "--max",
        metavar="NAME=VALUE",
        help="Another limit, such as parameters=500k; repeatable. `retort limits` lists them.",
    ),
]
Min = Annotated[
    float | None,
    typer.Option(
        "--min",
        metavar="VALUE",
        help="The worst value of the study's metric, on validation images, that will do.",
    ),
]
MinAccuracy = Annotated[float | None, typer.Option(f"--min-{ACCURACY.name}", hidden=True)]
Trial = Annotated[int, typer.Argument(help="The trial's number.", min=0)]


def store_option(url: str) -> str:
    """Return the option that finds this store again, ` --store URL`, or nothing."""
    if url == os.environ.get(STORE_VARIABLE, DEFAULT_STORE):
        return ""
    # Another database's URL may hold a password: it is left to the environment.
    return f" --store {shlex.quote(url)}" if url.startswith("sqlite:") else ""


def named_or_latest(store: Store, study: str | None) -> str:
    """Return the named study, or the latest one."""
    return study if study is not None else store.latest_study().name


def goal_of(study: StudyRecord) -> Goal:
    """Return the goal of a study.

    Raises:
        BadInput: a metric or a limit that is not installed here.
    """
    try:
        return stored_goal(study.config)
    except ValueError as error:
        raise BadInput(f"the goal of {study.name} is not known here: {error}") from error


def given_budget(
    max_size: str | None, max_latency: str | None, more: Sequence[str] | None
) -> Budget | None:
    """Return the limits that a person gives; None where none is given.

    Raises:
        BadInput: one is malformed, unknown or given twice.
    """
    given = [("--max-size", SIZE.name, max_size), ("--max-latency", LATENCY.name, max_latency)]
    for text in more or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--max must be NAME=VALUE, such as parameters=500k, but got {text!r}")
        given.append((f"--max {name}", name, value))
    bounds: dict[str, str] = {}
    for option, name, bound in given:
        if bound is None:
            continue
        if name in bounds:
            raise BadInput(f"{option} limits {name}, which another option limits too")
        try:
            limit_of(name).parse(bound)
        except ValueError as error:
            raise BadInput(f"{option} {error}") from error
        bounds[name] = bound
    return Budget.model_validate(bounds) if bounds else None


def given_floor(goal: Goal, value: float | None, min_accuracy: float | None) -> float | None:
    """Return the worst acceptable value of the goal's metric; None accepts any.

    Args:
        goal: of the study.
        value: of the option `--min`.
        min_accuracy: of the option that older scripts use, for studies that maximise accuracy.

    Raises:
        BadInput: the metric has no such value, or another metric is meant.
    """
    metric = goal.metric
    option = "--min"
    if min_accuracy is not None:
        option = f"--min-{ACCURACY.name}"
        if value is not None or metric.name != ACCURACY.name:
            raise BadInput(
                f"{option} stands for --min where a study searches for {ACCURACY.name}, and this "
                f"one searches for {metric.name}: give --min alone"
            )
        value = min_accuracy
    low, high = sorted((metric.worst, metric.best))
    if value is not None and not low <= value <= high:
        raise BadInput(
            f"{option} must be from {low:g} to {high:g}, as {metric.label} is, but got {value:g}"
        )
    return value
