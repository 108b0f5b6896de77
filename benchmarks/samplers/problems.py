"""The problems on which samplers are compared, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.nasbench201 import nasbench201_problem
from benchmarks.problem import Problem
from benchmarks.recorded_problem import recorded_problem
from benchmarks.synthetic_problem import synthetic_problem

_RECIPES = Path(__file__).parent.parent / "recipes.csv"


def _recorded(_: Path | None) -> Problem:
    return recorded_problem(_RECIPES, size_bytes=200_000, latency_ms=0.2, least_accuracy=0.5)


def _cells(table: Path | None, *, device: str, parameters: float, latency_ms: float) -> Problem:
    if table is None:
        raise ValueError("a problem of NAS-Bench-201 must have its table: give --table FILE")
    return nasbench201_problem(table, device=device, parameters=parameters, latency_ms=latency_ms)


# The limits on parameters and on milliseconds, and the device.
_BUDGETS = {
    "pi4, tight": ("pi4", 350e3, 15.0),
    "pi4, wide": ("pi4", 600e3, 30.0),
    "fpga, tight": ("fpga", 157e3, 3.72),
    "fpga, wide": ("fpga", 587e3, 8.0),
    "1080ti": ("1080ti", 587e3, 8.81),
}

# Each makes its problem from the path of NAS-Bench-201's table, which the others ignore.
PROBLEMS: Mapping[str, Callable[[Path | None], Problem]] = {
    "made-up": lambda _: synthetic_problem(),
    "recorded": _recorded,
    **{
        f"nasbench201, {name}": partial(_cells, device=device, parameters=most, latency_ms=latency)
        for name, (device, most, latency) in _BUDGETS.items()
    },
}
