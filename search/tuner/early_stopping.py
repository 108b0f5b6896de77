"""Which trial to stop early: one that cheaper trials will leave behind.

What a student costs is known before its first step; only its accuracy is learned as it trains. So
a trial is compared with those alone that cost no more in bytes and in latency. A plain successive
halving compares all, and so stops the small students: they are less accurate, and rightly so.

Source: asynchronous successive halving, Li et al. 2020, arXiv:1810.05934, for the rungs;
non-domination in the place of its quantile, as Schmucker et al. 2021, arXiv:2106.12639.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from search.records import Cost
from search.samplers.curve_extrapolation import ENOUGH, foreseen_ending
from search.samplers.logit_scale import to_accuracies, to_logits
from search.units import format_bytes

# Shares of the training after which trials are compared.
_RUNGS = (0.25, 0.5, 0.75)
# Two latencies that differ by less are equal: so much the median of one file varies.
_SAME_LATENCY = 1.05
# Standard errors of a difference between two measured accuracies: 95%, one-sided.
_DEVIATIONS = 1.645


@dataclass
class _Curve:
    """A trial's errors at each share of its training, and that of the student it ended with."""

    errors: dict[float, float] = field(default_factory=dict)
    last: float | None = None


@dataclass(frozen=True)
class _EndedStudent:
    """A finished student: whose it is, what it costs, and its error as it is shipped."""

    trial: int
    cost: Cost
    error: float


class EarlyStopping:
    """Remembers how trials came along, and says who is hopeless.

    A trial is hopeless if it would stay behind a finished student that costs no more even if it
    came out better than three quarters of those that are as accurate at the same rung, compression
    included.

    Args:
        validation_images: that accuracies are measured on; fewer images, wider margins.
    """

    def __init__(self, validation_images: int) -> None:
        self._images = validation_images
        self._trials: dict[int, _Curve] = defaultdict(_Curve)
        self._students: list[_EndedStudent] = []

    def finish(
        self,
        trial: int,
        *,
        accuracy: float,
        cost: Cost,
        branch: bool = False,
        feasible: bool = True,
    ) -> None:
        """Hears of a finished student.

        Args:
            trial: that trained it.
            accuracy: of the student as it is shipped.
            cost: likewise.
            branch: whether it was branched off, so that the trial has one of its own.
            feasible: whether it keeps to the budget; else none is stopped for its sake.
        """
        if feasible:
            self._students.append(_EndedStudent(trial, cost, 1 - accuracy))
        if not branch:
            self._trials[trial].last = 1 - accuracy

    def note(self, trial: int, *, share: float, accuracy: float) -> None:
        """Hears of a point of a trial's curve: its accuracy at that share of its training."""
        self._trials[trial].errors[share] = 1 - accuracy

    def should_stop(self, trial: int, *, share: float, accuracy: float, cost: Cost) -> str | None:
        """Why the trial should stop; None while it may go on.

        Args:
            trial: its number.
            share: of its training that is done, above 0 to 1.
            accuracy: on validation images, now.
            cost: foreseen, of the student that it will end with.
        """
        before = max(self._trials[trial].errors, default=0.0)
        self.note(trial, share=share, accuracy=accuracy)
        rung = max((rung for rung in _RUNGS if before < rung <= share), default=None)
        if rung is None or share == 1.0 or (hoped := self._hoped(share, accuracy)) is None:
            return None
        better = [student for student in self._students if self._beats(student, hoped, cost)]
        if not better:
            return None
        best = min(better, key=lambda student: student.error)
        return (
            f"{accuracy:.1%} after {share:.0%} of its training; it may hope for {1 - hoped:.1%}, "
            f"but a student of trial {best.trial} that costs no more "
            f"({format_bytes(best.cost.size_bytes)}) has {1 - best.error:.1%}"
        )

    def _hoped(self, share: float, accuracy: float) -> float | None:
        """The error that a trial may come to; None while nothing tells.

        Where trials train for different numbers of epochs, each is taken at its last point before
        the share: it had then more to gain, so that no trial is thought hopeless for that.
        """
        ended = []
        for trial in self._trials.values():
            before = [point for point in trial.errors if point <= share]
            if trial.last is not None and before:
                ended.append((1 - trial.errors[max(before)], 1 - trial.last))
        if len(ended) < ENOUGH:
            return None
        reached, *points = to_logits(np.array([(accuracy, accuracy), *ended])).tolist()
        hope = foreseen_ending(reached[0], points).hope
        return 1 - float(to_accuracies(np.array(hope)))

    def _beats(self, other: _EndedStudent, hoped: float, cost: Cost) -> bool:
        """Whether `other` costs no more, and its error is lower by more than chance explains."""
        cheaper = other.cost.size_bytes <= cost.size_bytes and _is_as_fast(other.cost, cost)
        variance = sum(error * (1 - error) for error in (other.error, hoped)) / self._images
        return cheaper and other.error < hoped - _DEVIATIONS * math.sqrt(variance)


def _is_as_fast(one: Cost, other: Cost) -> bool:
    """Whether the one is no slower; False where one latency alone is known, which tells nothing."""
    if one.latency_ms is None or other.latency_ms is None:
        return one.latency_ms is other.latency_ms
    return one.latency_ms <= other.latency_ms * _SAME_LATENCY
