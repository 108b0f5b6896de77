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
from search.objectives.floors import RECALL, parse_metric_floors, parse_recalls, recall_name
from search.objectives.goal import Goal
from search.objectives.limits import LATENCY, SIZE, limit_of
from search.objectives.metrics import ACCURACY
from search.storage.storage import Store
from spaces.names import suggestion

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
    list[str] | None,
    typer.Option(
        "--min",
        metavar="[NAME=]VALUE",
        help="The worst acceptable value of the study's metric on validation images; with a NAME, "
        "of another metric or of a class's recall, such as recall.stop=0.98; repeatable. These "
        "floors replace those of the study's budget.",
    ),
]
MinNamed = Annotated[
    list[str] | None,
    typer.Option(
        "--min",
        metavar="NAME=VALUE",
        help="The worst acceptable value of a metric or of a class's recall on validation images, "
        "such as recall.stop=0.98; repeatable.",
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
    max_size: str | None,
    max_latency: str | None,
    more: Sequence[str] | None,
    least: Sequence[str] | None = None,
) -> Budget | None:
    """Return the limits and the named floors that the options give; None if they give none.

    Raises:
        BadInput: a limit or floor is malformed, unknown or given twice.
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
    floors = _given_floors(least or ())
    return Budget.model_validate({**bounds, **floors}) if bounds or floors else None


def _given_floors(least: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the floors of `--min NAME=VALUE`, as a budget has them."""
    found: dict[str, dict[str, float]] = {}
    for text in least:
        name, equals, value = text.rpartition("=")
        if not equals:
            continue  # a value of the study's metric
        start, dot, of_class = name.partition(".")
        key, inner, parse = (
            (RECALL, of_class, parse_recalls)
            if start == RECALL and dot
            else ("metrics", name, parse_metric_floors)
        )
        if inner in found.setdefault(key, {}):
            raise BadInput(f"--min {name} must be given once: leave one out")
        try:
            found[key] |= parse({inner: _number(value)})
        except ValueError as error:
            raise BadInput(f"--min {error}") from error
    return found


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def asked_budget(given: Budget | None, stored: Budget) -> Budget:
    """Return the budget that a command asks about.

    Limits that options give replace those of the study's budget, and floors replace its floors.

    Args:
        given: the limits and floors of the options; None if there are none.
        stored: the study's budget.

    Raises:
        BadInput: a floor is of a class whose recall the study did not measure.
    """
    if given is None:
        return stored
    for name in given.recall:
        if name not in stored.recall:
            known = ", ".join(map(recall_name, stored.recall)) or "none"
            raise BadInput(
                f"--min {recall_name(name)} must be of a class whose recall the study measured, "
                f"which are those in its budget.recall: {known}{suggestion(name, stored.recall)}"
            )
    asked = given if given.limits() else stored
    floors = given if given.floors() else stored
    both: Budget = asked.model_copy(update={"recall": floors.recall, "metrics": floors.metrics})
    return both


def given_floor(
    goal: Goal, least: Sequence[str] | None, min_accuracy: float | None
) -> float | None:
    """Return the worst acceptable value of the goal's metric; None accepts any.

    Args:
        goal: the study's goal.
        least: the values of `--min`; those with a name are floors of the budget.
        min_accuracy: the value of `--min-accuracy`, which older scripts use; it is only for studies
            whose objective is accuracy.

    Raises:
        BadInput: it is no number, it is given twice, the metric can't have this value, or
            `--min-accuracy` is given for another metric or together with `--min`.
    """
    metric, value = goal.metric, _unnamed(least or ())
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


def _unnamed(least: Sequence[str]) -> float | None:
    """Return the value of `--min` without a name; None without any."""
    texts = [text for text in least if "=" not in text]
    if len(texts) > 1:
        raise BadInput(f"--min without a name must be given once, but got {' and '.join(texts)}")
    try:
        return float(texts[0]) if texts else None
    except ValueError as error:
        raise BadInput(
            f"--min must be a number, or NAME=VALUE such as recall.stop=0.98, but got {texts[0]!r}"
        ) from error
