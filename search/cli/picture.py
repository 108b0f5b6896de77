"""A picture of the frontier, as a PNG."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from search.analysis.pareto import frontier
from search.files.atomic import file_written_whole
from search.objectives.budget import stored_budget
from search.records import StudyRecord, TrialRecord, TrialState
from search.units import format_bytes, format_milliseconds

_COSTS = (
    ("size_bytes", "bytes of the served file", format_bytes),
    ("latency_ms", "latency of one image, median", format_milliseconds),
)


def draw_frontier(trials: Sequence[TrialRecord], study: StudyRecord, path: Path) -> Path:
    """Accuracy against bytes and against latency, the budget as lines, the teacher as a star."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    figure.suptitle(f"{study.name}: accuracy on validation images", x=0.01, ha="left")
    limits = stored_budget(study.config).limits()
    for axes, (cost, label, form) in zip(figure.subplots(1, 2, sharey=True), _COSTS, strict=True):
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        best = frontier(trials)
        _scatter(axes, complete, cost, color="#9aa5b1", label="complete", size=22)
        _scatter(axes, best, cost, color="#1f6feb", label="frontier", size=46)
        _stairs(axes, best, cost)
        if study.teacher and (taught := getattr(study.teacher.cost, cost)):
            axes.scatter(taught, study.teacher.accuracy, marker="*", s=190, color="#d97706",
                         label=f"teacher, {study.teacher.name}", zorder=3)  # fmt: skip
        if cost in limits:
            axes.axvline(limits[cost], color="#cf222e", linestyle="--", linewidth=1.2,
                         label=f"budget, {form(limits[cost])}")  # fmt: skip
        _dress(axes, label, form)
    _legend(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    return path


def _scatter(
    axes: Axes, trials: Sequence[TrialRecord], cost: str, *, color: str, label: str, size: float
) -> None:
    points = _points(trials, cost)
    if points:
        costs, accuracies = zip(*points, strict=True)
        axes.scatter(costs, accuracies, s=size, color=color, label=label, zorder=2)


def _stairs(axes: Axes, best: Sequence[TrialRecord], cost: str) -> None:
    """The most that any student reaches at each cost, as steps."""
    steps: list[tuple[float, float]] = []
    for value, accuracy in _points(best, cost):
        if not steps or accuracy > steps[-1][1]:
            steps.append((value, accuracy))
    if steps:
        costs, accuracies = zip(*steps, strict=True)
        axes.step(costs, accuracies, where="post", color="#1f6feb", linewidth=1, zorder=1)


def _points(trials: Sequence[TrialRecord], cost: str) -> list[tuple[float, float]]:
    return sorted(
        (getattr(trial.outcome.cost, cost), trial.outcome.quality.accuracy)
        for trial in trials
        if trial.outcome and trial.outcome.cost and trial.outcome.quality
    )


def _dress(axes: Axes, label: str, form: Callable[[float], str]) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(label)
    low, high = axes.get_xlim()
    # Labels of every 1, 2 and 5 fit on the axis up to a decade and a half.
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 30 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure) -> None:
    """One legend for both plots, below them."""
    shown = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=5, frameon=False)
