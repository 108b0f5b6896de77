"""A problem of recorded trainings: real recipes, each trained once or more, in a CSV file.

The file has a header and one line for each training. Columns, in any order:

    student, training, distillation, pruning, quantization
        the names of the methods;
    student.timm.model, training.standard.learning_rate, pruning.magnitude.ratio, …
        their parameters, by flat key as in `Recipe.to_params`; empty if the recipe's methods do
        not have the parameter. A parameter without a column keeps its default;
    size_bytes, latency_ms, parameters, macs
        the artifact's cost;
    accuracy
        the artifact's accuracy, a share from 0 to 1;
    accuracy_1, accuracy_2, …
        the float network's accuracy after each epoch before pruning; empty beyond the last.

Other columns are ignored. A recipe on several lines was trained with several seeds: a run with the
seed n uses its line n modulo their number.

The space holds exactly the recorded recipes. A sampler proposes values as in any other space. If
the proposed recipe was not recorded, each value in turn is replaced by the nearest one that some
recorded recipe has together with the values before it.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.problem import Problem, Training
from search.objectives.budget import Budget
from search.records import Cost
from spaces import registry
from spaces.axes.order import AXES
from spaces.distributions import Distribution, FloatRange, IntRange, OneOf, Scalar, Suggester
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

# Numbers with more values than this are searched as a range.
_LISTED = 12

Params = Mapping[str, Scalar]


@dataclass(frozen=True)
class Line:
    """One recorded training."""

    recipe: Recipe
    cost: Cost
    training: Training


@dataclass(frozen=True)
class RecordedSpace(SearchSpace):
    """The space of the recorded recipes.

    `suggest` returns one of them; `axes` are the smallest ranges and lists that hold them all.
    """

    recipes: tuple[Params, ...]

    def suggest(self, trial: Suggester) -> dict[str, Scalar]:
        left: Sequence[Params] = self.recipes
        params: dict[str, Scalar] = {}
        for axis, methods in self.axes.items():
            left = _chosen(axis, OneOf(tuple(methods)), trial, left)
            name = str(left[0][axis])
            params[axis] = name
            for key, distribution in methods[name].items():
                flat = f"{axis}.{name}.{key}"
                left = _chosen(flat, distribution, trial, left)
                params[flat] = left[0][flat]
        return params

    def count(self) -> float:
        return len(self.recipes)


def recorded_problem(
    path: Path, *, size_bytes: float, latency_ms: float, least_accuracy: float
) -> Problem:
    """Return the problem of a file of recorded trainings under a budget.

    Raises:
        ValueError: a line holds no recipe, or lacks its cost or accuracy.
    """
    by_recipe: dict[Recipe, list[Line]] = defaultdict(list)
    for line in read_lines(path):
        by_recipe[line.recipe].append(line)

    def train(recipe: Recipe, seed: int) -> Training:
        lines = by_recipe[recipe]
        return lines[seed % len(lines)].training

    return Problem(
        space=recorded_space(by_recipe),
        budget=Budget(size=round(size_bytes), latency=f"{latency_ms}ms"),
        least_accuracy=least_accuracy,
        predict=lambda recipe: by_recipe[recipe][0].cost,
        train=train,
    )


def read_lines(path: Path) -> list[Line]:
    """Return every recorded training of the file.

    Raises:
        ValueError: a line holds no recipe, or lacks its cost or accuracy.
    """
    lines = []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        for cells in reader:
            try:
                lines.append(_line({key: cell for key, cell in cells.items() if cell}))
            except (KeyError, ValueError) as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    return lines


def recorded_space(recipes: Iterable[Recipe]) -> RecordedSpace:
    """Return the space that holds exactly these recipes."""
    params = tuple(recipe.to_params() for recipe in recipes)
    axes = {}
    for axis in (one.axis for one in AXES):
        names = sorted({str(one[axis]) for one in params})
        axes[axis] = {
            name: {
                key: _distribution(distribution, [one[flat] for one in params if flat in one])
                for key, distribution in registry.method(axis, name).distributions().items()
                for flat in [f"{axis}.{name}.{key}"]
            }
            for name in names
        }
    return RecordedSpace(axes, params)


def _line(cells: Mapping[str, str]) -> Line:
    axes = {axis.axis for axis in AXES}
    params = {key: _scalar(cell) for key, cell in cells.items() if key.partition(".")[0] in axes}
    epochs = [key for key in cells if key.startswith("accuracy_")]
    curve = [float(cells[key]) for key in sorted(epochs, key=lambda key: int(key[9:]))]
    counted = ("size_bytes", "parameters", "macs")
    cost: Cost = {name: round(float(cells[name])) for name in counted} | {
        "latency_ms": float(cells["latency_ms"])
    }
    return Line(Recipe.from_params(params), cost, Training(float(cells["accuracy"]), tuple(curve)))


def _scalar(cell: str) -> Scalar:
    """Return a cell's number or boolean, in JSON's or Python's notation; else its text."""
    text = {"True": "true", "False": "false"}.get(cell, cell)
    try:
        value = json.loads(text)
    except ValueError:
        return cell
    return value if isinstance(value, bool | int | float) else cell


def _distribution(whole: Distribution, values: Sequence[Scalar]) -> Distribution:
    """Return the smallest distribution that holds the values."""
    different = sorted(set(values), key=lambda value: (str(type(value)), value))
    if isinstance(whole, FloatRange | IntRange) and len(different) > _LISTED:
        low, high = different[0], different[-1]
        return type(whole)(low, high, whole.log)  # type: ignore[arg-type]
    return OneOf(tuple(different))


def _chosen(
    key: str, distribution: Distribution, trial: Suggester, left: Sequence[Params]
) -> Sequence[Params]:
    """Return the remaining recipes whose value is the nearest to the trial's suggestion."""
    wanted = distribution.suggest(trial, key)
    options = sorted({one[key] for one in left}, key=str)
    if wanted in options:
        found = wanted
    elif isinstance(distribution, FloatRange | IntRange):
        found = min(options, key=lambda option: _distance(option, wanted, log=distribution.log))
    else:
        assert isinstance(distribution, OneOf)
        found = options[distribution.options.index(wanted) % len(options)]
    return [one for one in left if one[key] == found]


def _distance(one: Scalar, other: Scalar, *, log: bool) -> float:
    if log:
        return abs(math.log(float(one) / float(other)))
    return abs(float(one) - float(other))
