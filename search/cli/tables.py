"""Trials, their metrics and their costs on a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from rich import box
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from search.analysis.pareto import quality_of
from search.cli.terminal import out
from search.objectives.budget import cost_texts, doubt_text
from search.objectives.floors import Floor
from search.objectives.goal import Goal
from search.objectives.intervals import measured_text
from search.records import Cost, Outcome, Quality, TeacherRecord, TrialKind, TrialRecord, TrialState

_RECIPE = 12  # characters: the smallest width of the column of recipes
_WHY = 12
_LONGEST_WHY = 120

_STYLES = {
    TrialState.RUNNING: "cyan",
    TrialState.COMPLETE: "green",
    TrialState.INFEASIBLE: "yellow",
    TrialState.STOPPED: "blue",
    TrialState.FAILED: "red",
    TrialState.INTERRUPTED: "magenta",
}


def state_text(state: TrialState) -> str:
    """Return the state, coloured."""
    return f"[{_STYLES[state]}]{state}[/]"


def quality_text(goal: Goal, quality: Quality) -> str:
    """Return text such as `accuracy 33.91%, balanced accuracy 17.20%`."""
    shown = (goal.metric, *goal.beside(quality))
    return ", ".join(f"{metric.label} {measured_text(metric, quality)}" for metric in shown)


def objectives_text(goal: Goal, quality: Quality, cost: Cost) -> str:
    """Return text such as `accuracy 97.31%, size 202 KB, latency 73.3 µs`; for a refit, costs."""
    costs = [f"{one.label} {one.text(cost)}" for one in goal.costs if one.cost in cost]
    return ", ".join([quality_text(goal, quality), *costs] if quality else costs)


def recipe_text(params: Mapping[str, object]) -> str:
    """Return a recipe in a few words: `test_resnet, soft_targets, magnitude 0.34, int8_static`."""
    # A trial in a store that was edited by hand may lack any of them.
    student = params.get("student.timm.model", params.get("student", "–"))
    words = [str(student), str(params.get("distillation", "–"))]
    pruning = str(params.get("pruning", "–"))
    ratio = params.get(f"pruning.{pruning}.ratio")
    if pruning != "none":
        words.append(f"{pruning} {ratio:.2f}" if isinstance(ratio, float) else pruning)
    return ", ".join([*words, str(params.get("quantization", "–"))])


def trial_table(
    trials: Sequence[TrialRecord],
    *,
    title: str,
    goal: Goal,
    teacher: TeacherRecord | None = None,
    floors: Sequence[Floor] = (),
) -> Table:
    """Return a table with a row per trial, and the teacher in the last row.

    The goal's objectives and the metric on test images come first. The values with floors, other
    metrics and other costs follow if the terminal is wide enough. The column of states is left out
    if all trials are complete, that of reasons if no trial has one, and that of kinds if all are of
    the search. Without states there is always room for the metrics beside the goal's own.
    """
    figures = partial(_figures, goal, floors)
    rows = [figures(quality_of(trial), trial.test, _outcome(trial).cost or {}) for trial in trials]
    last = figures(teacher.quality, teacher.test, teacher.cost) if teacher else {}
    states = {trial.state for trial in trials} != {TrialState.COMPLETE}
    kinds = [kind_cell(trial) for trial in trials]
    recipes = [recipe_text(trial.params) for trial in trials]
    taken = len("  teacher   ") + (len("interrupted   ") if states else 0)
    reasons = [reason_of(trial.outcome) for trial in trials]
    taken += _WHY + 3 if any(reasons) else 0
    taken += max(map(cell_len, kinds)) + 3 if any(kinds) else 0
    room = out.width - taken - max([_RECIPE, *map(cell_len, recipes)])
    titles = list(figures({}, {}, {}))
    shown = [row for row in (*rows, last) if row]
    beside = goal.beside(*([teacher.quality] if teacher else []), *map(quality_of, trials))
    needed = 2 + len(goal.costs) + (0 if states else len(beside))
    names = titles[: fitting(titles, shown, needed=needed, room=room)]
    table = _empty_table(title, names, states=states, kinds=any(kinds), reasons=any(reasons))
    for trial, recipe, row, reason in zip(trials, recipes, rows, reasons, strict=True):
        state = [state_text(trial.state)] if states else []
        state += [kind_cell(trial)] if any(kinds) else []
        recipe_cell = escape(recipe) + _no_op_mark(trial.outcome)
        why = [escape(_cut(reason or ""))] if any(reasons) else []
        table.add_row(str(trial.number), *(row[name] for name in names), *state, recipe_cell, *why)
    table.caption = doubt_text(
        *(_outcome(trial).cost for trial in trials), teacher.cost if teacher else None
    )
    if teacher:
        table.add_section()
        state = [""] * (states + any(kinds))
        cells = (last[name] for name in names)
        table.add_row("teacher", *cells, *state, escape(teacher.name), style="dim")
    return table


def fitting(
    titles: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    *,
    needed: int,
    room: int,
    between: int = 3,
) -> int:
    """Return how many columns of a table, counted from the first, fit into the width.

    Args:
        titles: the columns' titles.
        rows: the cells of each row by title.
        needed: the number of columns that are always shown.
        room: the width for these columns, in characters.
        between: characters between two columns.
    """
    for count, title in enumerate(titles):
        room -= max(map(cell_len, [*title.split(), *(row[title] for row in rows)])) + between
        if count >= needed and room < 0:
            return count
    return len(titles)


def add_figures(table: Table, names: Iterable[str]) -> None:
    """Add a column for each figure; each word of its title is on a line of its own."""
    for name in names:
        table.add_column(escape("\n".join(name.split())), justify="right", no_wrap=True)


def kind_cell(trial: TrialRecord) -> str:
    """Return `final of 5` or `refit of 30`; empty for a trial of the search."""
    return "" if trial.kind is TrialKind.SEARCH else f"{trial.kind} of {trial.repeats}"


def _empty_table(
    title: str, names: Iterable[str], *, states: bool, kinds: bool, reasons: bool
) -> Table:
    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD,
        caption_justify="left",
    )  # fmt: skip
    add_figures(table, ["trial", *names])
    if states:
        table.add_column("state", no_wrap=True)
    if kinds:
        table.add_column("kind", no_wrap=True)
    table.add_column("recipe", overflow="fold", min_width=_RECIPE)
    if reasons:
        table.add_column("why", overflow="fold", min_width=_WHY)
    return table


def _figures(
    goal: Goal, floors: Sequence[Floor], quality: Quality, test: Quality, cost: Cost
) -> dict[str, str]:
    """Return a network's figures by column, the most important first."""
    own, *others = goal.all_metrics
    costs = cost_texts(cost)
    return {
        own.label: measured_text(own, quality),
        "test": measured_text(own, test),
        **{limit.label: costs[limit.label] for limit in goal.costs},
        **{floor.label: floor.text(quality) for floor in floors},
        **{metric.label: measured_text(metric, quality) for metric in others},
        **{limit.label: costs[limit.label] for limit in goal.all_limits},
    }


def reason_of(outcome: Outcome | None) -> str | None:
    """Return why a trial is infeasible or over budget, was stopped early or failed; else None."""
    if outcome is not None and outcome.failure is not None:
        return f"{outcome.failure.kind}: {outcome.failure.message}"
    return None if outcome is None else outcome.reason


def _cut(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_WHY else f"{reason[: _LONGEST_WHY - 1]}…"


def _outcome(trial: TrialRecord) -> Outcome:
    return trial.outcome or Outcome(state=trial.state)


def _no_op_mark(outcome: Outcome | None) -> str:
    """Return a mark that names the stages without effect; `retort show` gives the reason."""
    lines = (outcome.no_op or "").splitlines() if outcome else []
    stages = ", ".join(line.partition(":")[0] for line in lines)
    return f" [yellow](no_op: {escape(stages)})[/]" if stages else ""
