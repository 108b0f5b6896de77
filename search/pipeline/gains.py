"""The test whether a stage had the effect that its method is for, and the likely cause if not.

Files are compared by measurements that took turns. A file counts as faster if the gain exceeds
the scatter of the rounds.
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

# A clock's own error: a smaller gain never counts, however steady the rounds were.
_LEAST_GAIN = 0.02
_CERTAINTY = 2.0


@dataclass(frozen=True)
class Footprint:
    """What a student's file costs, and the rounds in which one image was timed.

    Latencies are compared only with others of the same measurement.
    """

    cost: Cost
    latency: Latency


def hardware_of(target: TargetSettings) -> set[Hardware]:
    """Return the kinds of hardware that a target on this machine runs on, as methods name them."""
    if target.device != "cpu":
        return {Hardware.GPU}
    exact = {Hardware.INT8_CPU} if multiplies_int8_exactly() else set()
    return {Hardware.ANY_CPU} | exact


def why_no_op(
    method: Method, before: Footprint, after: Footprint, hardware: set[Hardware]
) -> str | None:
    """Return why `method` had no effect; None where it had each effect it is for, or is for none.

    Args:
        method: what was applied.
        before: the student's file without it.
        after: the file with it, timed in turns with `before`.
        hardware: what the student is served on.
    """
    reasons = []
    if method.shrinks.size and after.cost[SIZE.cost] >= before.cost[SIZE.cost]:
        reasons.append(_no_smaller(method, before, after))
    if set(method.shrinks.latency) & hardware and not is_faster(before.latency, after.latency):
        reasons.append(_no_faster(method, before, after))
    return "; ".join(reasons) or None


def is_faster(before: Latency, after: Latency) -> bool:
    """Return whether `after` takes less time than `before`, beyond the scatter of their rounds."""
    ratios = np.array(after.rounds_ms) / np.array(before.rounds_ms)
    scatter = _CERTAINTY * float(ratios.std()) / np.sqrt(len(ratios))
    return bool(np.median(ratios) < 1 - max(_LEAST_GAIN, scatter))


def _no_smaller(method: Method, before: Footprint, after: Footprint) -> str:
    cause = (
        "it took out next to nothing, or what it took out is not stored any smaller"
        if isinstance(method, Pruning)
        else "scales and conversions take more bytes than so few weights save"
    )
    sizes = " before, ".join(SIZE.format(found.cost[SIZE.cost]) for found in (before, after))
    return f"the file is no smaller ({sizes} after): {cause}"


def _no_faster(method: Method, before: Footprint, after: Footprint) -> str:
    if not isinstance(method, Pruning):
        cause = "layers so small lose as much to converting between formats as they gain"
    elif (left := after.cost[MACS.cost] / before.cost[MACS.cost]) < 1:
        cause = (
            f"{1 - left:.0%} fewer MACs, but at this size the time goes into "
            "starting layers and moving data, or the channels left fill no vector of the processor"
        )
    else:
        cause = "as many MACs as before"
    times = " before, ".join(LATENCY.format(found.latency.median_ms) for found in (before, after))
    return f"one image takes no less time ({times} after): {cause}"
