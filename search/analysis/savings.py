"""Epochs of training that a search saved by rejecting, stopping and sharing. Pure.

The numbers of planned and trained epochs are exact. The saved time is an estimate, from the
duration of an epoch in the same study.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from search.analysis.finals import epochs_asked, of_kind
from search.objectives.units import format_duration
from search.records import TrainingDone, TrialKind, TrialRecord, TrialState


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Epochs of training before pruning, over all trials of a study.

    Attributes:
        trained: epochs that were trained.
        rejected: epochs of recipes that were never trained, because their cost breaks the budget.
        stopped: remaining epochs of trials that were stopped early.
        shared: epochs of trials whose student another trial had trained.
        seconds_per_epoch: the median over complete trials; None without any.
    """

    trained: int
    rejected: int
    stopped: int
    shared: int
    seconds_per_epoch: float | None

    @property
    def saved(self) -> int:
        """The number of planned epochs that were not trained."""
        return self.rejected + self.stopped + self.shared

    @property
    def share(self) -> float:
        """The saved share of all planned epochs, 0 to 1; 0 without planned epochs."""
        asked = self.trained + self.saved
        return self.saved / asked if asked else 0.0


def savings(trials: Sequence[TrialRecord], done: Mapping[int, TrainingDone]) -> Savings:
    """Count the epochs that a search saved.

    Args:
        trials: all trials of the study; finalists are no part of its search.
        done: the trained epochs of each trained trial, by trial number.
    """
    searched = of_kind(trials, TrialKind.SEARCH)
    ended = [trial for trial in searched if trial.state is not TrialState.RUNNING]
    own = [trial for trial in ended if _is_own(trial, done)]
    return Savings(
        trained=sum(done[trial.number].epochs for trial in own if trial.number in done),
        rejected=sum(epochs_asked(trial.params) for trial in own if _is_rejected(trial, done)),
        stopped=sum(
            max(0, epochs_asked(trial.params) - _epochs(trial, done))
            for trial in own
            if trial.state is TrialState.STOPPED
        ),
        shared=sum(epochs_asked(trial.params) for trial in ended if not _is_own(trial, done)),
        seconds_per_epoch=_seconds_per_epoch(own, done),
    )


def in_words(found: Savings) -> str:
    """Return text about the saved epochs, and an estimate of the saved time."""
    text = (
        f"{found.saved:,} of {found.trained + found.saved:,} planned epochs ({found.share:.0%}) "
        "were not trained."
    )
    if found.saved and found.seconds_per_epoch is not None:
        time = format_duration(found.saved * found.seconds_per_epoch)
        text += f" With the median duration of an epoch in this study, this saved about {time}."
    return text


def _is_own(trial: TrialRecord, done: Mapping[int, TrainingDone]) -> bool:
    found = done.get(trial.number)
    return trial.parent is None and not (found is not None and found.reused)


def _is_rejected(trial: TrialRecord, done: Mapping[int, TrainingDone]) -> bool:
    return trial.state is TrialState.INFEASIBLE and trial.number not in done


def _epochs(trial: TrialRecord, done: Mapping[int, TrainingDone]) -> int:
    found = done.get(trial.number)
    return 0 if found is None else found.epochs


def _seconds_per_epoch(
    own: Iterable[TrialRecord], done: Mapping[int, TrainingDone]
) -> float | None:
    paces = [
        trial.outcome.duration_s / done[trial.number].epochs
        for trial in own
        if trial.state is TrialState.COMPLETE and trial.outcome is not None and trial.number in done
    ]
    return median(paces) if paces else None
