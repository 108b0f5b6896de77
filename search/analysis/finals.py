"""The finalists of a study: their seeds, the student that is shipped, and their words. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from search.analysis.pareto import cost_of, point_of, quality_of, value_of
from search.objectives.budget import Budget
from search.objectives.goal import Goal
from search.objectives.metric import Metric
from search.records import Scalar, TrialKind, TrialRecord, TrialState


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """The metric's values of one recipe, which was trained with several seeds.

    Attributes:
        mean: the mean over the seeds.
        deviation: their sample standard deviation.
        seeds: the number of seeds whose training is complete, at least 2.
    """

    mean: float
    deviation: float
    seeds: int

    def text(self, metric: Metric) -> str:
        """Return text such as `mean 97.31% of 3 seeds, standard deviation 0.21 points`."""
        deviation = metric.difference(self.mean + self.deviation, self.mean).lstrip("+")
        mean = f"mean {metric.format(self.mean)} of {self.seeds} seeds"
        return f"{mean}, standard deviation {deviation}"


def of_kind(trials: Iterable[TrialRecord], *kinds: TrialKind) -> list[TrialRecord]:
    """Return the trials of these kinds, in their order."""
    return [trial for trial in trials if trial.kind in kinds]


def seeds_of(trial: TrialRecord, trials: Iterable[TrialRecord], goal: Goal) -> list[TrialRecord]:
    """Return the complete trials of the finalist's recipe, one for each seed; else the trial."""
    if trial.kind is not TrialKind.FINAL:
        return [trial]
    return [
        other
        for other in of_kind(trials, TrialKind.FINAL)
        if other.params == trial.params and point_of(other, goal) is not None
    ]


def seed_spread(trial: TrialRecord, trials: Iterable[TrialRecord], goal: Goal) -> SeedSpread | None:
    """Return how the metric varies over the seeds of a finalist; None for fewer than two seeds."""
    if trial.kind is not TrialKind.FINAL:
        return None
    values = [value_of(one, goal) for one in seeds_of(trial, trials, goal)]
    if len(values) < 2:
        return None
    return SeedSpread(mean=fmean(values), deviation=stdev(values), seeds=len(values))


def refit_of(trial: TrialRecord, trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the newest complete refit of a finalist; None if there is none."""
    found = [
        other
        for other in of_kind(trials, TrialKind.REFIT)
        if other.repeats == trial.number and other.state is TrialState.COMPLETE
    ]
    return found[-1] if found else None


def shipped(student: TrialRecord, trials: Sequence[TrialRecord], budget: Budget) -> TrialRecord:
    """Return the trial whose student is exported for a chosen one: its refit, or the trial itself.

    Args:
        student: the student that was chosen on the validation images.
        trials: the trials of the study.
        budget: the budget within which it was chosen. A refit whose costs break it is not
            shipped.
    """
    refit = refit_of(student, trials)
    if refit is None:
        return student
    # A refit has no quality on validation images: that of the trial that it repeats counts.
    is_within = budget.surely_admits(cost_of(refit), quality_of(student))
    return refit if is_within else student


def kind_text(trial: TrialRecord) -> str:
    """Return text such as `finalist of trial 5`; empty for a trial of the search."""
    if trial.kind is TrialKind.SEARCH:
        return ""
    return f"{'finalist' if trial.kind is TrialKind.FINAL else 'refit'} of trial {trial.repeats}"


def training_notes(trial: TrialRecord, trials: Sequence[TrialRecord], goal: Goal) -> list[str]:
    """Return sentences that tell how a finalist or a refit was trained and compared.

    Args:
        trial: a trial of the study; for one of the search, the result is empty.
        trials: the trials of the study, for the other seeds and the refitted trial.
        goal: the study's goal.
    """
    metric = goal.metric
    if trial.kind is TrialKind.FINAL:
        epochs = epochs_asked(trial.params)
        lasts = f", trained for {epochs} epochs" if epochs else ", trained to the end"
        lines = [f"A finalist: the recipe of trial {trial.repeats}{lasts}."]
        if spread := seed_spread(trial, trials, goal):
            lines.append(f"Validation {metric.label} of this recipe: {spread.text(metric)}.")
        return lines
    if trial.kind is TrialKind.REFIT:
        lines = [
            f"A refit: trial {trial.repeats} once more, trained on training and validation images "
            "together. Only the test images measure it."
        ]
        own = next((one for one in trials if one.number == trial.repeats), None)
        if own is not None and point_of(own, goal) is not None:
            value = metric.format(value_of(own, goal))
            lines.append(
                f"Trial {own.number}, which was not trained on them, has validation "
                f"{metric.label} {value}."
            )
        return lines
    return []


def epochs_asked(params: Mapping[str, Scalar]) -> int:
    """Return the planned epochs of a recipe; 0 if its training method has no parameter `epochs`."""
    epochs = params.get(f"training.{params.get('training')}.epochs", 0)
    return epochs if isinstance(epochs, int) else 0
