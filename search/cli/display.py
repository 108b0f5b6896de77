"""Progress of a running search: a live display on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.analysis.finals import epochs_asked, of_kind
from search.analysis.pareto import frontier
from search.cli.tables import objectives_text, recipe_text, state_text, trial_table
from search.cli.terminal import out, say
from search.config.study import Study
from search.errors import StoreError
from search.objectives.budget import doubt_text
from search.objectives.goal import Goal
from search.objectives.units import format_duration
from search.progress import Callback, FinalPlace
from search.records import (
    TRAINING,
    EpochRecord,
    Outcome,
    Scalar,
    TrialKind,
    TrialRecord,
    TrialState,
)
from search.storage.storage import Store

_MOST_ROWS = 8


@contextmanager
def watching(study: Study, store: Store) -> Iterator[Callback]:
    """Yield the callback that shows progress: a live display on a terminal, else plain lines."""
    if not out.is_terminal:
        yield PlainLines(study)
        return
    display = LiveDisplay(study, store, **_earlier_runs(study, store))
    # Transient: the display is removed at the end, because the command then prints a summary.
    with Live(console=out, get_renderable=display.render, refresh_per_second=4, transient=True):
        yield display


@dataclass
class PlainLines:
    """A callback that prints one line per event, for logs, pipes and continuous integration."""

    study: Study
    start: float = field(default_factory=time.monotonic)

    def log(self, text: str) -> None:
        elapsed = format_duration(time.monotonic() - self.start)
        out.print(f"{elapsed:>8}  {escape(text)}", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        self.log(text)

    def on_step(self, text: str) -> None:
        """Print nothing: the steps of a preparation are many."""

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None:
        self.log(f"trial {number} started: {recipe_text(params)}")

    def on_final_start(self, number: int, params: Mapping[str, Scalar], place: FinalPlace) -> None:
        epochs = epochs_asked(params)
        lasts = f" for {epochs} epochs" if epochs else ""
        self.log(f"trial {number} started{lasts}: {place}, {recipe_text(params)}")

    def on_trial_report(self, number: int, point: EpochRecord) -> None:
        """Print nothing: one line per epoch would hide the other lines."""

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        result = _result(outcome, self.study.goal)
        self.log(f"trial {number} {outcome.state}: {result} ({recipe_text(params)})")
        if doubt := doubt_text(outcome.cost):
            self.log(f"trial {number}: {doubt}")

    def on_trial_exit(self, number: int) -> None:
        """Print nothing: `on_trial_end` has printed the trial and each of its branches."""


@dataclass
class LiveDisplay:
    """A live display: trials by state, running trials, the frontier so far, and the time left."""

    study: Study
    store: Store
    start: float = field(default_factory=time.monotonic)
    elapsed_before_s: float = 0.0
    first_trial: float | None = None
    news: str = "starting"
    step: str = ""
    trained: int = 0
    trained_before: int = 0
    states: Counter[TrialState] = field(default_factory=Counter)
    running: dict[int, str] = field(default_factory=dict)
    points: dict[int, EpochRecord] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    finals: dict[int, FinalPlace] = field(default_factory=dict)
    best_so_far: list[TrialRecord] = field(default_factory=list)
    lacks_some: bool = True

    def log(self, text: str) -> None:
        self.news = text

    def note(self, text: str) -> None:
        say(text)  # above the display, where it stays

    def on_step(self, text: str) -> None:
        self.step = text

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None:
        self.first_trial = self.first_trial or time.monotonic()
        self._on_start(number, params)

    def on_final_start(self, number: int, params: Mapping[str, Scalar], place: FinalPlace) -> None:
        self.finals[number] = place
        self._on_start(number, params)

    def _on_start(self, number: int, params: Mapping[str, Scalar]) -> None:
        self.running[number] = recipe_text(params)
        self.epochs[number] = epochs_asked(params)
        self.news = self.step = ""

    def on_trial_report(self, number: int, point: EpochRecord) -> None:
        self.points[number] = point

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        # A rejected trial has not run, and a branch shares the run of its parent.
        is_searched = number in self.running and number not in self.finals
        if is_searched and outcome.state is not TrialState.INFEASIBLE:
            self.trained += 1
        self.states[outcome.state] += 1
        if outcome.state is TrialState.COMPLETE:
            try:
                self.best_so_far = frontier(self._frontier_candidates(number), self.study.goal)
                self.lacks_some = False
            except StoreError:  # the display is brought up to date later; the search must go on
                self.lacks_some = True
        if doubt := doubt_text(outcome.cost):
            self.news = f"trial {number}: {doubt}"
        if outcome.state is TrialState.FAILED:
            self.news = f"trial {number} failed: {_result(outcome, self.study.goal)}"

    def _frontier_candidates(self, number: int) -> Sequence[TrialRecord]:
        """Return the trials that may form the frontier, now that this trial has ended."""
        if self.lacks_some:
            return self.store.trials(self.study.study)
        return [*self.best_so_far, *self.store.trials(self.study.study, numbers=[number])]

    def on_trial_exit(self, number: int) -> None:
        self.running.pop(number)
        self.points.pop(number, None)

    def render(self) -> RenderableType:
        """Return what the terminal shows now."""
        parts: list[RenderableType] = [self._header()]
        parts += [Text(line, style="dim") for line in (self.step, self.news) if line]
        if self.running:
            parts.append(self._running_table())
        if self.best_so_far:
            shown = self.best_so_far[-_MOST_ROWS:]
            title = f"frontier so far ({len(self.best_so_far)} students)"
            floors = self.study.budget.floors()
            parts.append(trial_table(shown, title=title, goal=self.study.goal, floors=floors))
        return Group(*parts)

    def _header(self) -> RenderableType:
        wanted = self.study.search.trials
        trained, elapsed = self.trained, format_duration(time.monotonic() - self.start)
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            ProgressBar(total=wanted, completed=self.trained_before + trained, width=20),
            f"{self.trained_before + trained}/{wanted} trained",
            f"{elapsed} elapsed{self._left(trained, wanted)}",
        )
        counts = "  ".join(f"{state_text(state)} {n}" for state, n in sorted(self.states.items()))
        if self.finals:
            ended = len(self.finals.keys() - self.running.keys())
            counts += f"  finalists ended {ended}"
        return Group(grid, counts) if counts else grid

    def _left(self, trained: int, wanted: int) -> str:
        if not trained or self.first_trial is None or self.finals:
            return ""
        elapsed = time.monotonic() - self.first_trial
        left = elapsed / trained * (wanted - self.trained_before - trained)
        if self.study.search.max_time:
            searched = self.elapsed_before_s + elapsed
            left = min(left, max(0.0, self.study.search.max_time - searched))
        return f", about {format_duration(left)} left"

    def _running_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for number, recipe in sorted(self.running.items()):
            table.add_row(f"[cyan]trial {number}[/]", escape(recipe), escape(self._where(number)))
        return table

    def _where(self, number: int) -> str:
        """Return text such as `finalist 2 of 3, distil, epoch 17 of 40, accuracy 97.31%`."""
        metric, place, point = (
            self.study.goal.metric,
            self.finals.get(number),
            self.points.get(number),
        )
        parts = [] if place is None else [str(place)]
        if point is not None:
            count, all_epochs = point.epoch + 1, self.epochs[number]
            of_all = f" of {all_epochs}" if point.stage == TRAINING and all_epochs else ""
            parts += [point.stage, f"epoch {count}{of_all}"]
            # A refit is trained on the validation images, so its score there means nothing.
            if place is None or place.refits is None:
                parts.append(f"{metric.label} {metric.format(point.score)}")
        return ", ".join(parts)


def _earlier_runs(study: Study, store: Store) -> dict[str, Any]:
    """Return the number of trained trials and the time of the study's earlier runs."""
    if study.study not in store.names():
        return {}
    counted = {TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED}
    searched = of_kind(store.trials(study.study, states=counted), TrialKind.SEARCH)
    ended = [trial for trial in searched if trial.parent is None]
    elapsed_s = store.study(study.study).elapsed_s
    return {"trained_before": len(ended), "elapsed_before_s": elapsed_s}


def _result(outcome: Outcome, goal: Goal) -> str:
    """Describe in a few words how a trial ended."""
    if outcome.state is TrialState.COMPLETE:
        text = objectives_text(goal, outcome.quality, outcome.cost or {})
        return f"{text}; over budget: {outcome.reason}" if outcome.reason else text
    if outcome.failure:
        return f"{outcome.failure.kind}: {outcome.failure.message}"
    return outcome.reason or ""
