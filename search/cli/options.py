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
from search.objectives.goal import Goal
from search.objectives.limits import LATENCY, SIZE, limit_of
from search.objectives.metrics import ACCURACY
from search.storage.storage import Store

DEFAULT_STORE = "sqlite:///retort.db"
STORE_VARIABLE = "RETORT_STORE"


def path_or_name(given: str | Path) -> str:
    """Expand `~` and variables in a value; a shell does not expand `--output=~/student`."""
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
        help="The store's URL: sqlite:///file or postgresql+psycopg://….",
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option("--study", help="The study's name; by default the study that changed last."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
MaxSize = Annotated[str | None, typer.Option(help="The largest size, such as 2MB.")]
MaxLatency = Annotated[str | None, typer.Option(help="The highest latency, such as 5ms.")]
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
        help="The worst acceptable value of the study's metric on validation images.",
    ),
]
MinAccuracy = Annotated[float | None, typer.Option(f"--min-{ACCURACY.name}", hidden=True)]
Trial = Annotated[int, typer.Argument(help="The trial's number.", min=0)]


def store_option(url: str) -> str:
    """Return ` --store URL`, or nothing if the command finds this store without it."""
    if url == os.environ.get(STORE_VARIABLE, DEFAULT_STORE):
        return ""
    # Another database's URL may hold a password: the person sets it in RETORT_STORE.
    return f" --store {shlex.quote(url)}" if url.startswith("sqlite:") else ""


def named_or_latest(store: Store, study: str | None) -> str:
    """Return the named study, or the latest one."""
    return study if study is not None else store.latest_study().name


def given_budget(
    max_size: str | None, max_latency: str | None, more: Sequence[str] | None
) -> Budget | None:
    """Return the limits that the options give; None if they give none.

    Raises:
        BadInput: a limit is malformed, unknown or given twice.
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
            raise BadInput(
                f"{option} must be the only limit on {name}, but another option limits it too: "
                "leave one out"
            )
        try:
            limit_of(name).parse(bound)
        except ValueError as error:
            raise BadInput(f"{option} {error}") from error
        bounds[name] = bound
    return Budget.model_validate(bounds) if bounds else None


def given_floor(goal: Goal, value: float | None, min_accuracy: float | None) -> float | None:
    """Return the worst acceptable value of the goal's metric; None accepts any.

    Args:
        goal: the study's goal.
        value: the value of `--min`.
        min_accuracy: the value of `--min-accuracy`, which older scripts use; it is only for studies
            whose objective is accuracy.

    Raises:
        BadInput: the metric can't have this value, or `--min-accuracy` is given for another metric
            or together with `--min`.
    """
    metric = goal.metric
    option = "--min"
    if min_accuracy is not None:
        option = f"--min-{ACCURACY.name}"
        if value is not None or metric.name != ACCURACY.name:
            raise BadInput(
                f"{option} must be given without --min, and only for a study whose objective is "
                f"{ACCURACY.name}; the objective of this study is {metric.name}: give --min alone"
            )
        value = min_accuracy
    low, high = sorted((metric.worst, metric.best))
    if value is not None and not low <= value <= high:
        raise BadInput(
            f"{option} must be from {low:g} to {high:g}, the range of {metric.label}, but got "
            f"{value:g}"
        )
    return value
