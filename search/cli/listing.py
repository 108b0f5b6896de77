"""Commands that list what a study file can use: methods, metrics, limits, settings."""

from typing import Annotated

import typer
from rich.markup import escape

from search.cli.options import Json
from search.cli.terminal import out, say, write_json
from search.errors import BadInput
from search.objectives.limit import Limit
from search.objectives.limits import limits as all_limits
from search.objectives.metric import Metric
from search.objectives.metrics import metrics as all_metrics
from spaces.plugins import plugin_modules

Markdown = Annotated[
    bool, typer.Option("--markdown", help="Write Markdown tables, for the documentation.")
]


def methods(
    axis: Annotated[
        str | None,
        typer.Argument(help="student, training, distillation, pruning or quantization."),
    ] = None,
    *,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """List the methods of one axis, or of all axes, with their parameters and papers."""
    # The methods import torch, which takes seconds.
    from spaces.listing import as_markdown, list_methods

    try:
        found = list_methods(axis)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if as_json:
        write_json([method.to_json() for method in found])
        return
    if markdown:
        say(as_markdown(found))
        return
    for method in found:
        out.print(f"[bold]{method.axis}.{method.name}[/]  {escape(method.summary)}", soft_wrap=True)
        facts = {"shrinks": method.shrinks, "needs the teacher's": method.needs,
                 "papers": ", ".join(method.papers)}  # fmt: skip
        for name, text in facts.items():
            if text not in ("", "nothing"):
                out.print(f"  {name} {escape(text)}", style="dim", highlight=False, soft_wrap=True)
        for one in method.parameters:
            text = f"  {one.name}: {one.distribution}; by default {one.default}"
            out.print(escape(text), highlight=False, soft_wrap=True)


def metrics(*, as_json: Json = False) -> None:
    """List the metrics. Each is measured on every student, and can be a study's objective."""
    found = [_metric_facts(metric) for metric in all_metrics().values()]
    if as_json:
        write_json(found)
        return
    for one in found:
        out.print(f"[bold]{one['name']}[/]  {escape(str(one['description']))}", soft_wrap=True)
        text = (
            f"  {one['direction']}, from {one['worst']:g} to {one['best']:g}; from {one['origin']}"
        )
        out.print(escape(text), style="dim", highlight=False, soft_wrap=True)


def limits(*, as_json: Json = False) -> None:
    """List the costs that a budget can limit and that a study can minimise."""
    found = [_limit_facts(limit) for limit in all_limits().values()]
    if as_json:
        write_json(found)
        return
    for one in found:
        out.print(f"[bold]{one['name']}[/]  {escape(str(one['description']))}", soft_wrap=True)
        text = (
            f"  {one['takes']}; {one['measured']}, stored as {one['stored_as']}; "
            f"from {one['origin']}"
        )
        out.print(escape(text), style="dim", highlight=False, soft_wrap=True)


def _metric_facts(metric: Metric) -> dict[str, str | float]:
    return {
        "name": metric.name,
        "label": metric.label,
        "description": metric.description,
        "direction": "more is better" if metric.is_maximized else "less is better",
        "worst": metric.worst,
        "best": metric.best,
        "origin": _origin(metric),
    }


def _limit_facts(limit: Limit) -> dict[str, str]:
    return {
        "name": limit.name,
        "label": limit.label,
        "description": limit.description,
        "takes": limit.takes,
        "measured": "timed on the target" if limit.is_timed else "counted on the student",
        "stored_as": limit.cost,
        "origin": _origin(limit),
    }


def _origin(entry: Metric | Limit) -> str:
    """Return the plugin module that defines the entry, or `retort`."""
    for module in plugin_modules():
        if any(value is entry for value in vars(module).values()):
            return module.__name__
    return "retort"


def settings(
    part: Annotated[
        str | None,
        typer.Argument(help="study, seed, data, teacher, space, budget, search, final or run."),
    ] = None,
    *,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """List the keys of a study file, or of one part: values, default and meaning."""
    # The module imports timm, which takes seconds.
    from search.config.reference import as_markdown, list_settings

    try:
        found = list_settings(part)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if as_json:
        write_json([vars(setting) for setting in found])
        return
    if markdown:
        say(as_markdown(found))
        return
    for one in found:
        default = "must be given" if one.default is None else f"by default {one.default}"
        out.print(f"[bold]{one.key}[/]  {escape(one.meaning)}", soft_wrap=True, highlight=False)
        out.print(escape(f"  {one.takes}; {default}"), style="dim", highlight=False, soft_wrap=True)
