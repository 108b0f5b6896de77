"""A picture of the frontier, as a PNG."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from search.analysis.pareto import cost_of, frontier, value_of
from search.files.atomic import file_written_whole
from search.objectives.budget import stored_budget
from search.objectives.goal import Goal
from search.objectives.limit import Limit
from search.records import StudyRecord, TrialRecord, TrialState

_WIDTH, _HEIGHT = 5.5, 4.6  # inches, of each plot


def draw_frontier(
    trials: Sequence[TrialRecord], study: StudyRecord, goal: Goal, path: Path
) -> Path:
    """Draw the goal's metric against each cost, with the budget as lines, the teacher as a star."""
    metric = goal.metric
    complete = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.outcome and goal.point(trial.outcome)
    ]
    best = frontier(trials, goal)
    figure = Figure(figsize=(_WIDTH * len(goal.costs), _HEIGHT), layout="constrained")
    figure.suptitle(f"{study.name}: {metric.label} on validation images", x=0.01, ha="left")
    plots = figure.subplots(1, len(goal.costs), sharey=True, squeeze=False)[0]
    for axes, limit in zip(plots, goal.costs, strict=True):
        _scatter(axes, _points(complete, goal, limit), color="#9aa5b1", label="complete", size=22)
        _scatter(axes, _points(best, goal, limit), color="#1f6feb", label="frontier", size=46)
        _stairs(axes, _points(best, goal, limit), goal)
        _draw_teacher(axes, study, goal, limit)
        _draw_bound(axes, study, limit)
        _format_axes(axes, limit)
    plots[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: metric.format(value)))
    if not metric.is_maximized:
        plots[0].invert_yaxis()
    _legend(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    return path


def _points(trials: Sequence[TrialRecord], goal: Goal, limit: Limit) -> list[tuple[float, float]]:
    """Return the cost and the metric of each trial whose cost is known, by cost."""
    return sorted(
        (cost_of(trial)[limit.cost], value_of(trial, goal))
        for trial in trials
        if limit.cost in cost_of(trial)
    )


def _scatter(
    axes: Axes, points: Sequence[tuple[float, float]], *, color: str, label: str, size: float
) -> None:
    if points:
        costs, values = zip(*points, strict=True)
        axes.scatter(costs, values, s=size, color=color, label=label, zorder=2)


def _stairs(axes: Axes, points: Sequence[tuple[float, float]], goal: Goal) -> None:
    """Draw the best value that any student reaches at each cost, as steps."""
    steps: list[tuple[float, float]] = []
    for cost, value in points:
        if not steps or goal.metric.utility(value) > goal.metric.utility(steps[-1][1]):
            steps.append((cost, value))
    if steps:
        costs, values = zip(*steps, strict=True)
        axes.step(costs, values, where="post", color="#1f6feb", linewidth=1, zorder=1)


def _draw_teacher(axes: Axes, study: StudyRecord, goal: Goal, limit: Limit) -> None:
    teacher = study.teacher
    found = teacher and teacher.quality.get(goal.metric.name)
    if teacher and found and teacher.cost.get(limit.cost):
        axes.scatter(teacher.cost[limit.cost], found.value, marker="*", s=190, color="#d97706",
                     label=f"teacher, {teacher.name}", zorder=3)  # fmt: skip


def _draw_bound(axes: Axes, study: StudyRecord, limit: Limit) -> None:
    bound = stored_budget(study.config).limits().get(limit.cost)
    if bound is not None:
        axes.axvline(bound, color="#cf222e", linestyle="--", linewidth=1.2,
                     label=f"budget, {limit.format(bound)}")  # fmt: skip


def _format_axes(axes: Axes, limit: Limit) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(f"{limit.label} ({limit.description})")
    low, high = axes.get_xlim()
    # Labels at 1, 2 and 5 of each decade fit if the axis spans at most one and a half decades.
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 30 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: limit.format(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure) -> None:
    """Draw one legend for all plots, below them."""
    shown = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=5, frameon=False)
