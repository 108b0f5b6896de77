"""The occupancy of a search's workers: the time in trials, and the time between them. Pure."""

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
        workers: trials at a time.
        elapsed_s: from the search's beginning, with the start of the workers, to its end.
        busy_s: of all workers together, in trials: training, compressing and measuring; for trials
            that were stopped or died, their whole duration.
        around_s: a worker's time around a trial: from the end of the one before to the start of its
            work, from the end of its work until the tuner knew, and waits in between; the median of
            the trials.
    """

    workers: int
    elapsed_s: float
    busy_s: float
    around_s: float

    @property
    def share(self) -> float:
        """The share of the workers' time, 0 to 1, that went into trials."""
        return min(1.0, self.busy_s / (self.workers * self.elapsed_s)) if self.elapsed_s else 0.0


def occupancy(
    trials: Iterable[TrialRecord], *, elapsed_s: float, workers: int | None
) -> WorkerOccupancy:
    """Measure how busy the workers were.

    Args:
        trials: all trials of a study. Rejected ones took no worker's time.
        elapsed_s: how long the study searched.
        workers: trials at a time; None for the largest number that ran at once.
    """
    stays = _stays(trials)
    workers = workers or _most_at_once(stays)
    return WorkerOccupancy(
        workers=workers,
        elapsed_s=elapsed_s,
        busy_s=sum(stay.busy_s for stay in stays),
        around_s=median(_around(stays, workers) or [0.0]),
    )


def occupancy_text(found: WorkerOccupancy) -> str:
    """Return the occupancy in words."""
    return (
        f"{found.workers} at a time for {format_duration(found.elapsed_s)}: {found.share:.0%} of "
        f"it in trials, {format_duration(found.around_s)} of a worker around each"
    )


@dataclass(frozen=True, order=True)
class _Stay:
    """A trial at its worker, with all that was made from its student."""

    begin: datetime
    end: datetime
    busy_s: float


def _stays(trials: Iterable[TrialRecord]) -> list[_Stay]:
    """Return the stays of all trials that ran, in the order of their beginnings."""

    def owner(trial: TrialRecord) -> int:
        return trial.number if trial.parent is None else trial.parent

    ran = [trial for trial in trials if trial.outcome and trial.outcome.duration_s]
    found = []
    for _, group in groupby(sorted(ran, key=owner), key=owner):
        made = list(group)
        ends = [trial.finished_at for trial in made if trial.finished_at]
        busy_s = sum(trial.outcome.duration_s for trial in made if trial.outcome)
        if ends:
            found.append(_Stay(min(trial.started_at for trial in made), max(ends), busy_s))
    return sorted(found)


def _most_at_once(stays: Sequence[_Stay]) -> int:
    """Return the largest number of stays at one time; stays are sorted by their beginnings."""
    ends: list[datetime] = []
    most = 1
    for stay in stays:
        while ends and ends[0] <= stay.begin:
            heapq.heappop(ends)
        heapq.heappush(ends, stay.end)
        most = max(most, len(ends))
    return most


def _around(stays: Sequence[_Stay], workers: int) -> list[float]:
    """Return the seconds around each stay; for each worker's first, only those within it."""
    free: list[datetime] = []
    found = []
    for stay in stays:
        since = heapq.heappop(free) if len(free) == workers else stay.begin
        heapq.heappush(free, stay.end)
        taken_s = (stay.end - min(since, stay.begin)).total_seconds()
        found.append(max(0.0, taken_s - stay.busy_s))
    return found
