"""The output of `retort plan`."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from search.cli.tables import recipe_text
from search.cli.terminal import out
from search.config.final_settings import EPOCHS_FACTOR
from search.config.study import Study
from search.objectives.goal import Goal
from search.objectives.units import format_bytes, format_duration
from search.tuner.drawn_recipes import DrawnRecipe
from search.tuner.plan import StudyPlan

_MOST_REFUSALS = 10


def print_plan(plan: StudyPlan, study: Study) -> None:
    """Print the plan for a person."""
    out.print(f"[bold]{escape(plan.study)}[/]")
    facts = Table.grid(padding=(0, 2))
    for name, text in _rows(plan, study).items():
        facts.add_row(f"  {name}", escape(text))
    out.print(facts, highlight=False)
    for warning in plan.warnings:
        text = f"  warning: {warning}"
        out.print(escape(text), style="yellow", highlight=False, soft_wrap=True)
    out.print()
    out.print(_students(plan.draws, study.goal))
    _print_shares("recipes whose methods conflict", plan.contradictions)
    _print_shares("recipes that the search would reject", plan.causes)
    _print_refusals(plan.draws)


def _rows(plan: StudyPlan, study: Study) -> dict[str, str]:
    """Return the facts of the plan by their names."""
    training, validation, test = plan.images
    fits = len(plan.fitting)
    is_endless = plan.recipes == float("inf")
    recipes = "unlimited (a range is continuous)" if is_endless else f"{plan.recipes:,.0f}"
    return {
        "images": f"{training:,} training, {validation:,} validation, {test:,} test, "
        f"{plan.classes} classes",
        **({"read": "\n".join(plan.read)} if plan.read else {}),
        **({"groups": f"{plan.groups:,}, each in one part"} if plan.groups else {}),
        "augmentation": plan.augmentation,
        **({"views": _views(plan.views)} if plan.views is not None else {}),
        "not used": ", ".join(f"{count} {kind}" for kind, count in plan.unused.items())
        or "nothing",
        "loading": _loading(plan),
        "recipes": recipes,
        "students": f"{len(plan.students)}: {', '.join(plan.students)}",
        "teacher": "\n".join(plan.teacher),
        "budget": str(study.budget),
        "fit the budget": f"{fits} of {len(plan.draws)} random recipes "
        f"({fits / len(plan.draws):.0%}); the search never trains the others"
        f"{'; only training shows which students meet the floors' if plan.floors else ''}",
        "time": f"data {format_duration(plan.prepared_s)} (done), "
        f"teacher {format_duration(plan.teacher_s)}, trials up to "
        f"{format_duration(plan.trials_s)} (estimated from single training steps on this machine"
        f"{'; GPUs are faster' if plan.with_gpus else ''})",
        **_finals_row(plan, study),
        "disk": f"up to {format_bytes(plan.disk_bytes)} of {format_bytes(plan.free_bytes)} free",
    }


def _views(count: int) -> str:
    return f"the teacher answers for {count} augmented versions of each image"


def _finals_row(plan: StudyPlan, study: Study) -> dict[str, str]:
    """Return the row about the finalists; no row if the study has none."""
    final = study.final
    if final is None:
        return {}
    students = "1 student" if final.students == 1 else f"{final.students} students"
    words = [students]
    words += [f"{final.seeds} seeds each"] if final.seeds > 1 else []
    words += ["a refit of the best"] if final.refit else []
    epochs = f"{final.epochs} epochs" if final.epochs else f"{EPOCHS_FACTOR} times their epochs"
    text = f"{', '.join(words)}: {epochs}, up to {format_duration(plan.finals_s)}"
    return {"finalists": text}


def _loading(plan: StudyPlan) -> str:
    """Describe where images are read, and how long that takes."""
    by = "1 process" if plan.decoding == 1 else f"{plan.decoding} processes"
    ahead = f", ahead by {by} for each trial" if plan.decoding else ""
    return f"{plan.storage}; {plan.image_s * 1e3:.2g} ms for each training image{ahead}"


def _print_shares(title: str, shares: Mapping[str, float]) -> None:
    if not shares:
        return
    out.print(f"[bold]{title}[/]")
    for reason, share in shares.items():
        text = f"  {share:6.1%}  {reason}"
        out.print(escape(text), style="yellow", highlight=False, soft_wrap=True)


def _students(draws: Sequence[DrawnRecipe], goal: Goal) -> Table:
    by_student: dict[str, list[DrawnRecipe]] = defaultdict(list)
    for draw in draws:
        by_student[str(draw.params.get("student.timm.model", draw.params["student"]))].append(draw)
    table = Table(title="students", title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("student", overflow="fold")
    for name in ("fit", *(limit.label for limit in goal.costs), "trial time"):
        table.add_column(name, justify="right", no_wrap=True)
    for student, own in sorted(by_student.items()):
        costs = [draw.cost or {} for draw in own]
        seconds = [draw.seconds for draw in own if draw.seconds is not None]
        table.add_row(
            escape(student),
            f"{sum(draw.refusal is None for draw in own)} of {len(own)}",
            *(
                _span([cost[limit.cost] for cost in costs if limit.cost in cost], limit.format)
                for limit in goal.costs
            ),
            format_duration(sum(seconds) / len(seconds)) if seconds else "–",
        )
    return table


def _span(values: Sequence[float], form: Callable[[float], str]) -> str:
    if not values:
        return "–"
    return "–".join(dict.fromkeys((form(min(values)), form(max(values)))))


def _print_refusals(draws: Sequence[DrawnRecipe]) -> None:
    refused = [draw for draw in draws if draw.refusal]
    if not refused:
        return
    out.print("[bold]examples of rejected recipes[/]")
    for draw in refused[:_MOST_REFUSALS]:
        text = f"  {recipe_text(draw.params)}: {draw.refusal}"
        out.print(escape(text), style="yellow", highlight=False, soft_wrap=True)
    if len(refused) > _MOST_REFUSALS:
        out.print(f"  and {len(refused) - _MOST_REFUSALS} more; --json lists all")
