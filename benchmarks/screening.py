"""Definitive screening designs, and the effects of their factors with standard errors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.records import Scalar

Lines = Sequence[Mapping[str, str]]
Levels = Mapping[str, tuple[Scalar, Scalar, Scalar]]


@dataclass(frozen=True)
class Effect:
    """The effect of a factor on the result, in the result's unit.

    Attributes:
        change: the result at the high level minus that at the low level.
        change_error: its standard error.
        middle: the result at the middle level minus the mean of those at both ends.
        middle_error: its standard error.
    """

    change: float
    change_error: float
    middle: float
    middle_error: float


def conference_matrix(prime: int) -> np.ndarray:
    """Return a conference matrix of order prime + 1: zeros on the diagonal, else 1 and -1.

    The product with its transpose is `prime` times the identity.

    Args:
        prime: a prime number that leaves the rest 3 when divided by 4.

    Source: Paley 1933, On Orthogonal Matrices.
    """
    squares = {number * number % prime for number in range(1, prime)}
    matrix = np.zeros((prime + 1, prime + 1), dtype=int)
    matrix[0, 1:], matrix[1:, 0] = 1, -1
    for row in range(prime):
        for column in range(prime):
            if row != column:
                matrix[row + 1, column + 1] = 1 if (row - column) % prime in squares else -1
    return matrix


def definitive_design(matrix: np.ndarray) -> np.ndarray:
    """Return the runs of a design: a conference matrix, its mirror image, and the centre.

    Args:
        matrix: a conference matrix, [factors, factors].

    Returns:
        The level of each factor in each run, -1, 0 or 1, [2 · factors + 1, factors].
    """
    return np.concatenate([matrix, -matrix, np.zeros((1, len(matrix)), dtype=int)])


def effects(levels: np.ndarray, results: np.ndarray, blocks: np.ndarray) -> list[Effect]:
    """Return the effect of each factor by least squares, each block with its own mean.

    The middle is fitted for one factor at a time, beside all main effects.

    Args:
        levels: -1, 0 or 1, [runs, factors].
        results: [runs].
        blocks: the block of each run, such as its student, [runs].

    Raises:
        ValueError: there are too few runs for their effects and errors.
    """
    means = (blocks[:, None] == np.unique(blocks)[None, :]).astype(float)
    whole = np.concatenate([levels, means], axis=1)
    slopes, errors = _fitted(whole, results)
    found = []
    for factor in range(levels.shape[1]):
        bent = np.concatenate([levels[:, factor : factor + 1] ** 2, whole], axis=1)
        bends, bend_errors = _fitted(bent, results)
        found.append(
            Effect(2 * slopes[factor], 2 * errors[factor], -float(bends[0]), float(bend_errors[0]))
        )
    return found


def _fitted(columns: np.ndarray, results: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of a linear model and their standard errors."""
    runs, terms = columns.shape
    if runs <= terms or np.linalg.matrix_rank(columns) < terms:
        raise ValueError(f"effects must have more runs than their {terms} terms, but got {runs}")
    inverse = np.linalg.inv(columns.T @ columns)
    coefficients = inverse @ columns.T @ results
    left = results - columns @ coefficients
    variance = float(left @ left) / (runs - terms)
    return coefficients, np.sqrt(variance * np.diag(inverse))


def report(lines: Lines, factors: Levels) -> list[str]:
    """Return Markdown tables of the effects on accuracy, of each student and of all together."""
    done = [line for line in lines if line["accuracy"]]
    told = [f"{len(done)} runs, and {len(lines) - len(done)} that failed"]
    told += [
        f"- {line['student']}, run {line['run']}: {line['failure']}"
        for line in lines
        if not line["accuracy"]
    ]
    students = list(dict.fromkeys(line["student"] for line in done))
    for title, own in [
        *((student, [line for line in done if line["student"] == student]) for student in students),
        ("all students", done),
    ]:
        told += ["", f"**{title}**", "", *_table(own, factors)]
    return told


def _table(lines: Lines, factors: Levels) -> list[str]:
    levels = np.array([[_level(line[name], factors[name]) for name in factors] for line in lines])
    results = np.array([float(line["accuracy"]) for line in lines])
    blocks = np.array([line["student"] for line in lines])
    try:
        found = effects(levels, results, blocks)
    except ValueError as error:
        return [f"{error}."]
    head = "| parameter | levels | high - low | middle - ends |"
    rows = [
        f"| {name} | {', '.join(_value(value) for value in factors[name])} "
        f"| {_percent(one.change, one.change_error)} | {_percent(one.middle, one.middle_error)} |"
        for name, one in sorted(
            zip(factors, found, strict=True), key=lambda pair: -abs(pair[1].change)
        )
    ]
    return [head, "|---|---|---|---|", *rows]


def _level(cell: str, values: tuple[Scalar, Scalar, Scalar]) -> int:
    return [str(value) for value in values].index(cell) - 1


def _value(value: Scalar) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _percent(value: float, error: float) -> str:
    """Return points with their standard error; bold from twice the error."""
    text = f"{100 * value:+.2f} ± {100 * error:.2f}"
    return f"**{text}**" if math.fabs(value) > 2 * error else text
