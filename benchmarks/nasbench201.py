"""A problem that no one here made: the networks of NAS-Bench-201, with latencies of real devices.

The table has all 15,625 cells of NAS-Bench-201 (Dong and Yang 2020, arXiv:2001.00326), each with
the validation accuracies of up to three trainings on CIFAR-10, its parameters, and its latency on a
Raspberry Pi 4, an FPGA and a GTX 1080 Ti (HELP, Lee et al. 2021, arXiv:2106.08630). A recipe is a
cell: an operation on each of its six edges. A sampler is told the accuracy of one training. A cell
counts by the mean over its trainings. Parameters and latency are known before the training.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import ClassVar

import numpy as np
from torch import nn

from benchmarks.problem import Problem, Training
from search.objectives.budget import Budget
from search.objectives.dominance import hypervolume, non_dominated
from search.objectives.goal import Goal
from search.objectives.limits import LATENCY, PARAMETERS
from search.records import Cost
from spaces import plugins
from spaces.axes.student import Student
from spaces.method import OneOf, param
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

OPERATIONS = ("none", "skip", "conv_1x1", "conv_3x3", "pool_3x3")
DEVICES = {"pi4": "raspi4_ms", "fpga": "fpga_ms", "1080ti": "gpu_1080ti_ms"}
# A few latencies near zero are faults of the record: those below a fifth of this quantile.
_FAULTY = 0.001
_LEAST_ACCURACY = 0.5


@dataclass(frozen=True)
class Cell(Student):
    """A cell: the operation on each of its edges, in the order of the table."""

    name: ClassVar[str] = "nasbench201"
    edge_0: str = param("none", OneOf(OPERATIONS))
    edge_1: str = param("none", OneOf(OPERATIONS))
    edge_2: str = param("none", OneOf(OPERATIONS))
    edge_3: str = param("none", OneOf(OPERATIONS))
    edge_4: str = param("none", OneOf(OPERATIONS))
    edge_5: str = param("none", OneOf(OPERATIONS))

    @property
    def code(self) -> str:
        """The cell as the table writes it."""
        edges = (getattr(self, f"edge_{number}") for number in range(6))
        return "".join(str(OPERATIONS.index(edge)) for edge in edges)

    def build(
        self, *, classes: int, channels: int, image_size: int, blank: bool = False
    ) -> nn.Module:
        raise ValueError("the cells of the table are looked up, not built")


@dataclass(frozen=True)
class Row:
    """What the table knows of a cell: accuracies of its trainings, as shares, and its cost."""

    accuracies: tuple[float, ...]
    cost: Cost


def nasbench201_problem(
    path: Path, *, device: str, parameters: float, latency_ms: float
) -> Problem:
    """Return the problem under a budget.

    Args:
        path: the table.
        device: one of `DEVICES`.
        parameters: the limit on the number of parameters.
        latency_ms: the limit on the latency.
    """
    _register()
    table = _table(path, DEVICES[device])
    budget = Budget(parameters=round(parameters), latency=f"{latency_ms}ms")
    cells = SearchSpace.from_config(
        {
            "student": {Cell.name: {f"edge_{number}": [*OPERATIONS] for number in range(6)}},
            "training": "standard",
            "distillation": "labels",
            "pruning": "none",
            "quantization": "float32",
        }
    )
    best, volume = _oracle(table, budget)
    return Problem(
        space=cells,
        budget=budget,
        least_accuracy=_LEAST_ACCURACY,
        predict=lambda recipe: table[_code(recipe)].cost,
        train=lambda recipe, _: Training(fmean(table[_code(recipe)].accuracies)),
        told=lambda recipe, seed: _one_of(table[_code(recipe)].accuracies, recipe, seed),
        goal=Goal.of("accuracy", [PARAMETERS.name, LATENCY.name]),
        best_accuracy=best,
        best_volume=volume,
    )


def _register() -> None:
    module = ModuleType("nasbench201")
    module.Cell = Cell  # type: ignore[attr-defined]
    plugins.add(module)


def _code(recipe: Recipe) -> str:
    assert isinstance(recipe.student, Cell)
    return recipe.student.code


def _one_of(accuracies: tuple[float, ...], recipe: Recipe, seed: int) -> float:
    """Return the accuracy of one of the trainings, which the seed decides."""
    draw = np.random.default_rng([seed, int(_code(recipe), 5)])
    return accuracies[int(draw.integers(len(accuracies)))]


@cache
def _table(path: Path, column: str) -> Mapping[str, Row]:
    """Return the cells; no budget admits one with a faulty latency."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    least = float(np.quantile([float(line[column]) for line in lines], _FAULTY)) / 5
    return {line["cell"]: _row(line, column, least) for line in lines}


def _row(line: Mapping[str, str], column: str, least: float) -> Row:
    found = [line[f"val_accuracy_seed{seed}"] for seed in range(3)]
    latency = float(line[column])
    cost: Cost = {
        PARAMETERS.cost: round(1e6 * float(line["million_parameters"])),
        LATENCY.cost: latency if latency >= least else 1e9,
    }
    return Row(tuple(float(value) / 100 for value in found if value), cost)


def _oracle(table: Mapping[str, Row], budget: Budget) -> tuple[float, float]:
    """Return the best accuracy of all cells within the budget, and the hypervolume of all."""
    limits = budget.limits()
    points = np.array(
        [
            [
                (1 - fmean(row.accuracies)) / (1 - _LEAST_ACCURACY),
                *(row.cost[cost] / limits[cost] for cost in (PARAMETERS.cost, LATENCY.cost)),
            ]
            for row in table.values()
            if budget.admits(row.cost)
        ]
    )
    front = [tuple(map(float, points[place])) for place in non_dominated(points)]
    best = 1 - float(points[:, 0].min()) * (1 - _LEAST_ACCURACY)
    return best, hypervolume(front, (1.0, 1.0, 1.0))
