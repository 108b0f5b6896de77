"""Which trial to stop early: one that cheaper trials will leave behind.

What a student costs is known before its first step; only its accuracy is learned as it trains. So
a trial is compared with those alone that cost no more in bytes and in latency. A plain successive
halving compares all, and so stops the small students: they are less accurate, and rightly so.

Source: asynchronous successive halving, Li et al. 2020, arXiv:1810.05934, for the rungs;
non-domination in the place of its quantile, as Schmucker et al. 2021, arXiv:2106.12639.
"""

import math
from dataclasses import dataclass, field
from statistics import quantiles

from search.records import Cost
from search.units import format_bytes

# Shares of the training after which trials are compared.
_RUNGS = (0.25, 0.5, 0.75)
# Before so many trials ended, nothing tells how much is still to be gained after a rung.
_ENOUGH = 3
# Two latencies that differ by less are equal: so much the median of one file varies.
_SAME_LATENCY = 1.05
# Standard errors of a difference between two measured accuracies: 95%, one-sided.
_DEVIATIONS = 1.645


@dataclass
class _Curve:
    """A trial's cost, and its error at each share of its training."""

    cost: Cost
    errors: dict[float, float] = field(default_factory=dict)

    @property
    def latest(self) -> float:
        return self.errors[max(self.errors)]


class Rungs:
    """Remembers how trials came along, and says who is hopeless.

    A trial is hopeless if it would stay behind one that costs no more even if it still gained more
    than most trials gained after the same rung.

    Args:
        validation_images: that accuracies are measured on; fewer images, wider margins.
    """

    def __init__(self, validation_images: int) -> None:
        self._images = validation_images
        self._curves: dict[int, _Curve] = {}

    def hopeless(self, trial: int, *, share: float, accuracy: float, cost: Cost) -> str | None:
        """Why the trial should stop; None while it may go on.

        Args:
            trial: its number.
            share: of its training that is done, above 0 to 1.
            accuracy: on validation images, now.
            cost: foreseen, of the student that it will end with.
        """
        curve = self._curves.setdefault(trial, _Curve(cost))
        before = max(curve.errors, default=0.0)
        curve.errors[share] = 1 - accuracy
        rung = max((rung for rung in _RUNGS if before < rung <= share), default=None)
        if rung is None or share == 1.0 or (ratio := self._error_ratio(share)) is None:
            return None
        hoped = (1 - accuracy) * ratio
        better = [
            (other.latest, number)
            for number, other in self._curves.items()
            if number != trial and self._beats(other, hoped, cost)
        ]
        if not better:
            return None
        error, number = min(better)
        size = format_bytes(self._curves[number].cost.size_bytes)
        return (
            f"{accuracy:.1%} after {share:.0%} of its training; it may hope for {1 - hoped:.1%}, "
            f"but trial {number}, which costs no more ({size}), has {1 - error:.1%}"
        )

    def _error_ratio(self, share: float) -> float | None:
        """What an error at this share becomes: a ratio that only a quarter of trials went below."""
        ends = [curve.errors for curve in self._curves.values() if 1.0 in curve.errors]
        smallest = 0.5 / self._images
        ratios = [
            max(errors[1.0], smallest) / max(errors[share], smallest)
            for errors in ends
            if share in errors
        ]
        return quantiles(ratios, n=4, method="inclusive")[0] if len(ratios) >= _ENOUGH else None

    def _beats(self, other: _Curve, hoped: float, cost: Cost) -> bool:
        """Whether `other` costs no more, and its error is lower by more than chance explains."""
        cheaper = other.cost.size_bytes <= cost.size_bytes and (
            _latency(other.cost) <= _latency(cost) * _SAME_LATENCY
        )
        variance = sum(error * (1 - error) for error in (other.latest, hoped)) / self._images
        return cheaper and other.latest < hoped - _DEVIATIONS * math.sqrt(variance)


def _latency(cost: Cost) -> float:
    return math.inf if cost.latency_ms is None else cost.latency_ms
