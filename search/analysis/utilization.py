"""The occupancy of a search's workers: time in trials, and time between trials. Pure."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from statistics import median

from search.objectives.units import format_duration
from search.records import TrialRecord


@dataclass(frozen=True, kw_only=True)
class WorkerOccupancy:
    """The use of the workers' time.

    Attributes:
        workers: the number of parallel trials.
        elapsed_s: seconds from the first trial to the end of the search.
        busy_s: seconds in trials, over all workers: training, compressing and measuring. For trials
            that were stopped or died, this is their whole duration.
        around_s: the median over trials of a worker's seconds that belong to no work: from the end
            of the previous trial to the start of the work, waits in between, and the time until the
            tuner has recorded the result.
    """

    workers: int
    elapsed_s: float
    busy_s: float
    around_s: float

    @property
    def share(self) -> float:
        """The share of the workers' time that was spent in trials, 0 to 1."""
        return min(1.0, self.busy_s / (self.workers * self.elapsed_s)) if self.elapsed_s else 0.0


def occupancy(
    trials: Iterable[TrialRecord], *, elapsed_s: float, workers: int | None
) -> WorkerOccupancy:
    """Measure how busy the workers were.

    Args:
        trials: all trials of a study. Rejected trials used no worker.
        elapsed_s: the seconds that the study searched.
        workers: the number of parallel trials; None uses the largest number that ran at once.
    """
    periods = _periods(trials)
    workers = workers or _most_at_once(periods)
    return WorkerOccupancy(
        workers=workers,
        elapsed_s=elapsed_s,
        busy_s=sum(period.busy_s for period in periods),
        around_s=median(_around(periods, workers) or [0.0]),
    )


def occupancy_text(found: WorkerOccupancy) -> str:
    """Return the occupancy in words."""
    return (
        f"{found.workers} in parallel for {format_duration(found.elapsed_s)}: {found.share:.0%} of "
        f"the time in trials, {format_duration(found.around_s)} between two trials"
    )


@dataclass(frozen=True, order=True)
class _Period:
    """The period in which a trial and its branches occupy a worker."""

    begin: datetime
    end: datetime
    busy_s: float


def _periods(trials: Iterable[TrialRecord]) -> list[_Period]:
    """Return the periods of all trials that ran, sorted by their begin."""

    def owner(trial: TrialRecord) -> int:
        return trial.number if trial.parent is None else trial.parent

    ran = [trial for trial in trials if trial.outcome and trial.outcome.duration_s]
    found = []
    for _, group in groupby(sorted(ran, key=owner), key=owner):
        members = list(group)
        ends = [trial.finished_at for trial in members if trial.finished_at]
        busy_s = sum(trial.outcome.duration_s for trial in members if trial.outcome)
        if ends:
            found.append(_Period(min(trial.started_at for trial in members), max(ends), busy_s))
    return sorted(found)


def _most_at_once(periods: Sequence[_Period]) -> int:
    """Return the largest number of simultaneous periods; they are sorted by their begin."""
    ends: list[datetime] = []
    most = 1
    for period in periods:
        while ends and ends[0] <= period.begin:
            heapq.heappop(ends)
        heapq.heappush(ends, period.end)
        most = max(most, len(ends))
    return most


def _around(periods: Sequence[_Period], workers: int) -> list[float]:
    """Return the seconds without work around each trial.

    For the first trial of each worker, only seconds within its period count.
    """
    free: list[datetime] = []
    found = []
    for period in periods:
        since = heapq.heappop(free) if len(free) == workers else period.begin
        heapq.heappush(free, period.end)
        taken_s = (period.end - min(since, period.begin)).total_seconds()
        found.append(max(0.0, taken_s - period.busy_s))
    return found
