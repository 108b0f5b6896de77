"""The training that a search was spared by rejecting, stopping and sharing. Pure.

The unit is epochs, which are facts: the epochs that the recipes asked for, and the epochs that were
done. The time they would have taken is an estimate, from the time of an epoch in this study.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from search.objectives.units import format_duration
from search.records import Scalar, TrainingDone, TrialRecord, TrialState


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Epochs of training, before pruning, over all trials of a study.

    Attributes:
        trained: epochs that were done.
        rejected: of recipes that were never trained, because their cost breaks the budget.
        stopped: left undone when hopeless trials were stopped.
        shared: of trials that were made from a student that another trial had trained.
        seconds_per_epoch: the median over trials that trained to their end; None before one did.
    """

    trained: int
    rejected: int
    stopped: int
    shared: int
    seconds_per_epoch: float | None

    @property
    def saved(self) -> int:
        """Epochs that were asked for and not done."""
        return self.rejected + self.stopped + self.shared

    @property
    def share(self) -> float:
        """The saved share of all epochs that were asked for, 0 to 1; 0 where none was."""
        asked = self.trained + self.saved
        return self.saved / asked if asked else 0.0


def savings(trials: Sequence[TrialRecord], done: Mapping[int, TrainingDone]) -> Savings:
    """Count the epochs that a study saved.

    Args:
        trials: all trials of the study.
        done: epochs by trial number, of the trained ones.
    """
    ended = [trial for trial in trials if trial.state is not TrialState.RUNNING]
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
    """Return text on how much was saved, and about how long that would have taken."""
    text = (
        f"{found.saved:,} of {found.trained + found.saved:,} epochs ({found.share:.0%}) that the "
        "recipes asked for were not trained."
    )
    if found.saved and found.seconds_per_epoch is not None:
        time = format_duration(found.saved * found.seconds_per_epoch)
        text += f" At the median pace of this study's trials they would have taken about {time}."
    return text


def epochs_asked(params: Mapping[str, Scalar]) -> int:
    """Return the epochs of training that a recipe asks for; 0 where its method does not say."""
    epochs = params.get(f"training.{params.get('training')}.epochs", 0)
    return epochs if isinstance(epochs, int) else 0


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
