"""Tables in Markdown, and a plot, of what the arms came to."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure

from benchmarks.time_to_frontier.traces import Student, Trace
from search.budget import Budget

OURS = "retort"


def comparison(traces: Sequence[Trace], budget: Budget) -> str:
    """What each arm reached, and how much sooner ours reached it."""
    lines = [
        "| arm | hypervolume, median (range) | seconds | epochs | students | fit | "
        "ours as good after: seconds (1/…) | epochs (1/…) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm in dict.fromkeys(trace.arm for trace in traces):
        runs = [trace for trace in traces if trace.arm == arm]
        cells = [
            arm,
            _spread([run.final(budget) for run in runs], "{:.4f}"),
            f"{median(run.seconds for run in runs):.0f}",
            f"{median(run.epochs for run in runs):.0f}",
            f"{median(run.finished for run in runs):.0f}",
            f"{median(run.feasible(budget) for run in runs):.0%}",
            "" if arm == OURS else _overtaken(runs, traces, budget, lambda one: one.seconds),
            "" if arm == OURS else _overtaken(runs, traces, budget, lambda one: one.epochs),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(traces: Sequence[Trace], budget: Budget, path: Path) -> None:
    """Hypervolume over seconds and over epochs: each seed a thin line, each arm a colour."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    arms = list(dict.fromkeys(trace.arm for trace in traces))
    axes_of = figure.subplots(1, 2, sharey=True)
    for axes, label in zip(axes_of, ("seconds", "epochs"), strict=True):
        for trace in traces:
            first = trace is next(one for one in traces if one.arm == trace.arm)
            steps = trace.steps(budget)
            xs = [float(getattr(student, label)) for student, _ in steps]
            ys = [volume for _, volume in steps]
            end = max([float(getattr(trace, label)), *xs])
            axes.step(
                [*xs, end],
                [*ys, ys[-1] if ys else 0.0],
                where="post",
                color=f"C{arms.index(trace.arm)}",
                label=trace.arm if first else None,
                linewidth=2 if trace.arm == OURS else 1,
            )
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    axes_of[0].set_ylabel("hypervolume within the budget, on test images")
    handles, labels = axes_of[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(arms), frameon=False)
    figure.savefig(path, dpi=130)


def _overtaken(
    runs: Iterable[Trace],
    traces: Sequence[Trace],
    budget: Budget,
    value: Callable[[Student], float],
) -> str:
    """By seed, when ours had what the baseline had at its end, and which share of its way."""
    cells = []
    for run in runs:
        ours = next(one for one in traces if (one.arm, one.seed) == (OURS, run.seed))
        moved = run.steps(budget)
        reached = ours.reaches(run.final(budget), budget)
        if not moved:
            cells.append("it found none")
        elif reached is None:
            cells.append("never")
        else:
            # The baseline's clock stops at its last student that counts, not at its budget's end.
            last = value(moved[-1][0])
            cells.append(f"{value(reached):.0f} (1/{last / max(value(reached), 1e-9):.1f})")
    return ", ".join(cells)


def _spread(values: Sequence[float], form: str) -> str:
    low, middle, high = min(values), median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"
