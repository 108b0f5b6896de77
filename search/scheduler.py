"""Which trial to stop early: one that cheaper trials leave behind at the same rung.

What a student costs is known before its first step; only its accuracy is learned as it trains. So
a trial is compared with those alone that cost no more in bytes and in latency. A plain successive
halving compares all, and so stops the small students: they are less accurate, and rightly so.

Source: asynchronous successive halving, Li et al. 2020, arXiv:1810.05934, for the rungs;
non-dominated sorting in the place of its quantile, as Schmucker et al. 2021, arXiv:2106.12639.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from search.records import Cost
from search.units import format_bytes

# Shares of the training after which trials are compared.
_RUNGS = (0.25, 0.5, 0.75)
# Two latencies that differ by less are equal: so much the median of one file varies.
_SAME_LATENCY = 1.05
# Standard errors of a difference between two measured accuracies: 95%, one-sided.
_DEVIATIONS = 1.645


@dataclass(frozen=True)
class _Entry:
    trial: int
    accuracy: float
    cost: Cost


class Rungs:
    """Remembers how trials did at each rung, and says who is hopeless.

    Args:
        validation_images: that accuracies are measured on; fewer images, wider margins.
    """

    def __init__(self, validation_images: int) -> None:
        self._images = validation_images
        self._entries: dict[float, list[_Entry]] = defaultdict(list)
        self._reached: dict[int, float] = {}

    def hopeless(self, trial: int, *, share: float, accuracy: float, cost: Cost) -> str | None:
        """Why the trial should stop; None while it may go on.

        Args:
            trial: its number.
            share: of its training that is done, above 0 to 1.
            accuracy: on validation images, now.
            cost: foreseen, of the student that it will end with.
        """
        rung = max((rung for rung in _RUNGS if rung <= share), default=None)
        if rung is None or self._reached.get(trial, 0.0) >= rung:
            return None
        self._reached[trial] = rung
        own = _Entry(trial, accuracy, cost)
        entries = self._entries[rung]
        better = [other for other in entries if self._dominates(other, own)]
        entries.append(own)
        if not better:
            return None
        best = max(better, key=lambda other: other.accuracy)
        return (
            f"after {rung:.0%} of its training at {accuracy:.1%}, where trial {best.trial}, which "
            f"costs no more ({format_bytes(best.cost.size_bytes)}), was at {best.accuracy:.1%}"
        )

    def _dominates(self, other: _Entry, own: _Entry) -> bool:
        """Whether `other` costs no more and is more accurate by more than chance explains."""
        cheaper = other.cost.size_bytes <= own.cost.size_bytes and (
            _latency(other.cost) <= _latency(own.cost) * _SAME_LATENCY
        )
        return cheaper and other.accuracy > own.accuracy + self._margin(own, other)

    def _margin(self, *entries: _Entry) -> float:
        variance = sum(entry.accuracy * (1 - entry.accuracy) for entry in entries) / self._images
        return _DEVIATIONS * math.sqrt(variance)


def _latency(cost: Cost) -> float:
    return math.inf if cost.latency_ms is None else cost.latency_ms
