from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from search.config.target_settings import TargetSettings
from search.pipeline.gains import Footprint, hardware_of, is_faster, why_no_op
from search.targets.latency import Latency
from spaces.processor import multiplies_int8_exactly
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.shrinks import EVERYWHERE, SIZE_ONLY, Hardware, Shrinks
from tests.messages import naming

CPU = {Hardware.ANY_CPU, Hardware.INT8_CPU}
STEADY = (1.0, 1.01, 0.99, 1.0, 1.0, 1.01, 0.99)


@dataclass(frozen=True)
class SizeOnly(Float32):
    """Saves bytes alone."""

    shrinks: ClassVar[Shrinks] = SIZE_ONLY


def _footprint(
    *, size: int = 1000, macs: int = 100, rounds: tuple[float, ...] = STEADY
) -> Footprint:
    middle = sorted(rounds)[len(rounds) // 2]
    return Footprint({"size_bytes": size, "macs": macs}, Latency(middle, max(rounds), rounds))


def _times(factor: float) -> tuple[float, ...]:
    return tuple(factor * took for took in STEADY)


def test_what_is_smaller_and_faster_made_a_difference() -> None:
    after = _footprint(size=300, rounds=_times(0.5))
    assert why_no_op(Int8Static(), _footprint(), after, CPU) is None
    assert why_no_op(Magnitude(), _footprint(), after, CPU) is None


def test_a_file_that_is_no_smaller_is_flagged_with_both_sizes() -> None:
    after = _footprint(size=1200, rounds=_times(0.5))
    reason = str(why_no_op(Int8Static(), _footprint(), after, CPU))
    assert naming("1.00 KB", "1.20 KB").search(reason)
    assert "1.00 ms" not in reason


def test_pruning_that_is_no_faster_is_flagged_with_the_macs_that_it_saved() -> None:
    after = _footprint(size=500, macs=40, rounds=_times(1.5))
    reason = str(why_no_op(Magnitude(), _footprint(), after, CPU))
    assert naming("1.00 ms", "1.50 ms", "60%", "MACs").search(reason)
    assert "1.00 KB" not in reason


def test_both_are_flagged_where_both_hold() -> None:
    reason = str(why_no_op(Int8Static(), _footprint(), _footprint(), CPU))
    assert naming("1.00 KB", "1.00 ms").search(reason)


def test_no_speed_is_asked_of_a_method_where_it_promises_none() -> None:
    slower = _footprint(size=300, rounds=_times(3))
    assert why_no_op(SizeOnly(), _footprint(), slower, CPU) is None
    assert why_no_op(Int8Static(), _footprint(), slower, {Hardware.ANY_CPU}) is None
    assert why_no_op(Int8Static(), _footprint(), slower, CPU)


def test_nothing_is_asked_of_a_method_that_is_for_nothing() -> None:
    worse = _footprint(size=2000, rounds=_times(2))
    assert why_no_op(Float32(), _footprint(), worse, CPU) is None
    assert why_no_op(NoPruning(), _footprint(), worse, CPU) is None


@pytest.mark.parametrize(
    ("rounds", "faster"),
    [
        (_times(0.5), True),
        (_times(0.97), True),
        (_times(0.99), False),  # within a clock's own error
        (_times(1.2), False),
        ((0.6, 1.4, 0.6, 1.4, 0.9, 1.4, 0.6), False),  # its median is lower, but so it scatters
    ],
)
def test_faster_is_what_the_rounds_scatter_does_not_explain(
    rounds: tuple[float, ...], faster: bool
) -> None:
    before, after = _footprint(), _footprint(rounds=rounds)
    assert is_faster(before.latency, after.latency) is faster


def test_a_machine_that_slows_down_hides_no_gain() -> None:
    # Files are timed in turns, so that each round slows both.
    slowing = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2)
    half = tuple(0.5 * took for took in slowing)
    assert is_faster(_footprint(rounds=slowing).latency, _footprint(rounds=half).latency)


def test_a_target_is_told_by_its_device_and_this_processor() -> None:
    assert hardware_of(TargetSettings(device="cuda")) == {Hardware.GPU}
    found = hardware_of(TargetSettings(device="cpu"))
    assert Hardware.ANY_CPU in found
    assert (Hardware.INT8_CPU in found) == multiplies_int8_exactly()
    assert set(EVERYWHERE.latency) & found


def test_fault_43_no_speed_is_denied_on_a_latency_that_can_not_be_trusted() -> None:
    slower = _footprint(size=300, rounds=_times(1.5))
    doubtful = Footprint(slower.cost, replace(slower.latency, disturbed=0.3))
    assert why_no_op(Int8Static(), _footprint(), slower, CPU)
    assert why_no_op(Int8Static(), _footprint(), doubtful, CPU) is None
