"""How busy the workers of a search were: what their time went into, and what lay between. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from search.records import TrialRecord
from search.units import format_duration


@dataclass(frozen=True, kw_only=True)
class Occupancy:
    """What became of the workers' time.

    Attributes:
        workers: trials at a time.
        elapsed_s: from the search's beginning, with the start of the workers, to its end.
        busy_s: of all workers together, in trials: training, compressing and measuring.
        trials: that they ran.
    """

    workers: int
    elapsed_s: float
    busy_s: float
    trials: int

    @property
    def share(self) -> float:
        """Of the workers' time, 0 to 1, that went into trials."""
        return min(1.0, self.busy_s / (self.workers * self.elapsed_s)) if self.elapsed_s else 0.0

    @property
    def around_s(self) -> float:
        """Seconds of a worker for each trial that went into anything else."""
        idle_s = max(0.0, self.workers * self.elapsed_s - self.busy_s)
        return idle_s / self.trials if self.trials else 0.0


def occupancy(trials: Iterable[TrialRecord], *, elapsed_s: float, workers: int) -> Occupancy:
    """How busy the workers were.

    Args:
        trials: all of a study. Those that were rejected took no worker's time.
        elapsed_s: how long the study searched.
        workers: trials at a time.
    """
    ran = [trial for trial in trials if trial.outcome and trial.outcome.duration_s]
    return Occupancy(
        workers=workers,
        elapsed_s=elapsed_s,
        busy_s=sum(trial.outcome.duration_s for trial in ran if trial.outcome),
        trials=sum(trial.parent is None for trial in ran),
    )


def occupancy_text(found: Occupancy) -> str:
    """The occupancy in words."""
    return (
        f"{found.workers} at a time for {format_duration(found.elapsed_s)}: {found.share:.0%} of "
        f"it in trials, {format_duration(found.around_s)} of a worker around each"
    )
