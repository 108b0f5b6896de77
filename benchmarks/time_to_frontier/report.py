"""Tables in Markdown, and a plot, of the arms' results."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks.time_to_frontier.runs import (
    ABLATIONS,
    BASELINES,
    NATURAL,
    OURS,
    SHARING,
    Run,
    Terms,
)
from benchmarks.time_to_frontier.traces import REFERENCE, Trace
from search.objectives.budget import Budget
from search.objectives.units import format_milliseconds

# Shares of a baseline's minutes after which our results are compared.
_EARLY = (20, 10)
_CLOCKS = ("seconds", "epochs")


@dataclass(frozen=True)
class Comparison:
    """Our arm against others, seed by seed.

    Attributes:
        traces: grouped by arm, in the order of their seeds; all of one seed have the same pace.
        budget: bounds the hypervolume.
    """

    traces: Sequence[Trace]
    budget: Budget

    @property
    def arms(self) -> dict[str, list[Trace]]:
        """The traces of each arm."""
        names = dict.fromkeys(trace.run.arm for trace in self.traces)
        return {name: [one for one in self.traces if one.run.arm == name] for name in names}

    def ours(self, seed: int) -> Trace | None:
        """Return our trace for that seed; None if it has not been run yet."""
        return next((one for one in self.arms.get(OURS, []) if one.run.seed == seed), None)


def comparisons(kept: Mapping[Run, Trace], terms: Terms, budget: Budget) -> list[Comparison]:
    """Return the comparisons with shared training, with the natural arm, and with ablations.

    A comparison without runs is left out; the others have the seeds that any of their arms has.
    Latencies are converted to the pace of the seed's median run, because other seeds may have run
    on other machines, and are shares of the limit there.
    """
    paces = _paces([kept[run] for run in terms.chosen(kept, (OURS, *BASELINES, *ABLATIONS))])
    found = []
    for others in (SHARING, (NATURAL,), tuple(ABLATIONS)):
        chosen = terms.chosen(kept, (OURS, *others))
        seeds = {run.seed for run in chosen if run.arm != OURS}
        traces = [
            kept[run].at_pace(paces[run.seed]).under(budget) for run in chosen if run.seed in seeds
        ]
        if traces:
            found.append(Comparison(traces, budget))
    return found


def _paces(traces: Sequence[Trace]) -> dict[int, float]:
    """Return the median pace of each seed's runs, in milliseconds."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for trace in traces:
        by_seed[trace.run.seed].append(trace.pace_ms)
    return {seed: median(found) for seed, found in by_seed.items()}


def table(comparison: Comparison) -> str:
    """Return a table of each arm's results, and how much sooner ours reached them."""
    early = any(not trace.run.is_ours for trace in comparison.traces)
    parts = ", ".join(f"1/{part}" for part in _EARLY)
    columns = [
        "arm",
        "seeds",
        "hypervolume, median (range)",
        "seconds",
        "epochs",
        "students (fit)",
        f"{OURS} as good after: seconds (1/…)",
        "epochs (1/…)",
        *([f"at {parts} of its minutes {OURS} has"] if early else []),
    ]
    lines = [columns, ["---"] * len(columns)]
    for arm, traces in comparison.arms.items():
        compared = [] if arm == OURS else _compared(traces, comparison, early=early)
        cells = [arm, *_reached(traces, comparison.budget), *compared]
        lines.append(cells + [""] * (len(columns) - len(cells)))
    machines = {
        (one.run.seed, one.processor, one.pace_ms, one.limit_ms) for one in comparison.traces
    }
    told = "; ".join(
        f"seed {seed}: {processor}, {format_milliseconds(pace_ms)}, "
        f"latency up to {format_milliseconds(limit_ms)}"
        for seed, processor, pace_ms, limit_ms in sorted(machines)
    )
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return (
        f"{rows}\n\nBudget: {comparison.budget}. What it ran on, how long an untrained "
        f"{REFERENCE} takes there, and the limit there: {told}."
    )


def draw(comparison: Comparison, path: Path) -> None:
    """Draw hypervolume over seconds and over epochs: a thin line a seed, a colour an arm."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, clock in zip((left, right), _CLOCKS, strict=True):
        for number, (arm, traces) in enumerate(comparison.arms.items()):
            for trace in traces:
                _draw_trace(axes, trace, comparison.budget, clock=clock, colour=f"C{number}")
            axes.lines[-1].set_label(arm)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(clock)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("hypervolume within the budget, on test images")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _draw_trace(axes: Axes, trace: Trace, budget: Budget, *, clock: str, colour: str) -> None:
    steps = trace.steps(budget)
    xs = [float(getattr(student, clock)) for student, _ in steps]
    ys = [volume for _, volume in steps]
    end = max([float(getattr(trace, clock)), *xs])
    width = 2 if trace.run.arm == OURS else 1
    axes.step([*xs, end], [*ys, trace.volume(budget)], where="post", color=colour, linewidth=width)


def _reached(traces: Sequence[Trace], budget: Budget) -> list[str]:
    """Return the cells of an arm's own results."""
    finished = sum(trace.finished for trace in traces)
    fitting = sum(trace.fitting for trace in traces)
    return [
        str(len(traces)),
        _spread([trace.volume(budget) for trace in traces]),
        f"{median(trace.seconds for trace in traces):.0f}",
        f"{median(trace.epochs for trace in traces):.0f}",
        f"{median(trace.finished for trace in traces):.0f} ({fitting / max(finished, 1):.0%})",
    ]


def _compared(traces: Sequence[Trace], comparison: Comparison, *, early: bool) -> list[str]:
    """Return the cells that compare an arm with ours."""
    pairs = [(trace, comparison.ours(trace.run.seed)) for trace in traces]
    cells = [
        "; ".join(_overtaken(trace, ours, comparison.budget, clock) for trace, ours in pairs)
        for clock in _CLOCKS
    ]
    return [*cells, _early_shares(pairs, comparison.budget)] if early else cells


def _overtaken(trace: Trace, ours: Trace | None, budget: Budget, clock: str) -> str:
    """Return when ours reached the trace's final hypervolume, and as a share of its time."""
    moved = trace.steps(budget)
    if not moved:
        return "it found none"
    if ours is None:
        return "not run"
    reached = ours.reaches(trace.volume(budget), budget)
    if reached is None:
        return "never"
    # The other's clock stops at its last student that counts, not when its time is over.
    mine, last = getattr(reached, clock), getattr(moved[-1][0], clock)
    return f"{mine:.0f} (1/{last / max(mine, 1e-9):.1f})"


def _early_shares(pairs: Sequence[tuple[Trace, Trace | None]], budget: Budget) -> str:
    """Return our early hypervolumes as shares of the others' final ones, medians over seeds."""
    known = [(trace, ours) for trace, ours in pairs if ours and trace.volume(budget)]
    if not known:
        return "–"
    shares = [
        median(_early_share(trace, ours, budget, part) for trace, ours in known) for part in _EARLY
    ]
    return f"{', '.join(f'{share:.0%}' for share in shares)} of it"


def _early_share(trace: Trace, ours: Trace, budget: Budget, part: int) -> float:
    until = 60 * trace.run.minutes / part
    return ours.volume(budget, until=until) / trace.volume(budget)


def _spread(values: Sequence[float]) -> str:
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})" if len(values) > 1 else f"{middle:.3f}"
