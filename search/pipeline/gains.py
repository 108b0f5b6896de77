"""Tests whether a stage made the student smaller or faster, and names the likely cause if not.

The latencies of two files are measured alternately, in rounds. A file counts as faster if the gain
exceeds the scatter of the rounds.
"""

from dataclasses import dataclass

import numpy as np

from search.config.target_settings import TargetSettings
from search.objectives.limits import LATENCY, MACS, SIZE
from search.records import Cost
from search.targets.latency import Latency
from spaces.axes.pruning import Pruning
from spaces.method import Method
from spaces.processor import multiplies_int8_exactly
from spaces.shrinks import Hardware

# The clock's own error: a smaller gain never counts, even if the rounds do not scatter.
_LEAST_GAIN = 0.02
_CERTAINTY = 2.0


@dataclass(frozen=True)
class Footprint:
    """The cost of a student's file, and the rounds in which the latency of one image was measured.

    A latency is comparable only with latencies of the same measurement.
    """

    cost: Cost
    latency: Latency


def hardware_of(target: TargetSettings) -> set[Hardware]:
    """Return the kinds of hardware of a target on this machine, as methods name them."""
    if target.device != "cpu":
        return {Hardware.GPU}
    exact = {Hardware.INT8_CPU} if multiplies_int8_exactly() else set()
    return {Hardware.ANY_CPU} | exact


def why_no_op(
    method: Method, before: Footprint, after: Footprint, hardware: set[Hardware]
) -> str | None:
    """Return the reasons why `method` had no effect.

    Args:
        method: the method that was applied.
        before: the student's file without the method.
        after: the file with the method, timed alternately with `before`.
        hardware: the hardware that runs the student.

    Returns:
        Text; None if the method had all its intended effects, or has none. A disturbed latency is
        not compared.
    """
    reasons = []
    if method.shrinks.size and after.cost[SIZE.cost] >= before.cost[SIZE.cost]:
        reasons.append(_no_smaller(method, before, after))
    is_known = not (before.latency.is_disturbed or after.latency.is_disturbed)
    is_meant = bool(set(method.shrinks.latency) & hardware)
    if is_meant and is_known and not is_faster(before.latency, after.latency):
        reasons.append(_no_faster(method, before, after))
    return "; ".join(reasons) or None


def is_faster(before: Latency, after: Latency) -> bool:
    """Return whether `after` is faster than `before` by more than the scatter of their rounds."""
    ratios = np.array(after.rounds_ms) / np.array(before.rounds_ms)
    scatter = _CERTAINTY * float(ratios.std()) / np.sqrt(len(ratios))
    return bool(np.median(ratios) < 1 - max(_LEAST_GAIN, scatter))


def _no_smaller(method: Method, before: Footprint, after: Footprint) -> str:
    cause = (
        "the pruning removed almost nothing, or the file format stores zeros like other numbers"
        if isinstance(method, Pruning)
        else "the network has few weights: the scales and conversion layers add more bytes than "
        "the smaller weights save"
    )
    sizes = " before, ".join(SIZE.format(found.cost[SIZE.cost]) for found in (before, after))
    return f"the file is no smaller ({sizes} after): {cause}"


def _no_faster(method: Method, before: Footprint, after: Footprint) -> str:
    if not isinstance(method, Pruning):
        cause = (
            "the layers are small: converting between number formats takes as much time as the "
            "faster layers save"
        )
    elif (left := after.cost[MACS.cost] / before.cost[MACS.cost]) < 1:
        cause = (
            f"{1 - left:.0%} fewer MACs, but in a network of this size starting layers and moving "
            "data take most of the time, or the remaining channels do not fill the processor's "
            "vectors"
        )
    else:
        cause = "the number of MACs is the same as before"
    times = " before, ".join(LATENCY.format(found.latency.median_ms) for found in (before, after))
    return f"the latency of one image is no lower ({times} after): {cause}"
