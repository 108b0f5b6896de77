"""Finds on its confusion matrix that a teacher's outputs stand in another order than its classes.

The order that fits best is found on one half of the validation images and tested on the other half.
So no order is found by chance in a teacher that errs without a system.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.errors import TeacherError
from search.objectives.metrics import ACCURACY
from search.objectives.predictions import Predictions
from search.teachers.class_order import Names, columns, known_orders

# The probability at which a teacher whose order is right would be refused.
_LEVEL = 0.01
# Below every difference between two recalls: a class that no image decides keeps its place.
_TIE = 1e-9
_MOST_ROWS = 20
_MOST_LISTED = 100

Columns = NDArray[np.int64]


@dataclass(frozen=True)
class _Order:
    """An order of the outputs that fits better, and the value of `classes` that sets it."""

    columns: Columns
    value: str | None


def check_order(
    found: Predictions,
    classes: Names,
    names: Names | None,
    *,
    key: str,
    class_ids: Names | None = None,
) -> None:
    """Refuse a teacher whose outputs another order fits better than chance explains.

    Args:
        found: the teacher's predictions for the validation images.
        classes: the data's classes.
        names: the class of each output as the study or the weights state it; None: the data's.
        key: the study file's key for the order of the classes.
        class_ids: the names of the classes in the data, by which orders sort; None: `classes`.

    Raises:
        TeacherError: a fitted order raises the accuracy significantly, or two classes are each
            mostly taken for the other.
    """
    better = better_columns(found, len(classes))
    if better is None:
        return
    known = known_orders(classes, class_ids or classes)
    order = _named(found, classes, names or classes, better, known)
    right = [
        ACCURACY.format(float((one == found.classes).mean()))
        for one in (found.labels, order.columns[found.labels])
    ]
    raise TeacherError(
        f"the teacher's outputs must stand in the order of its classes, but its validation "
        f"{ACCURACY.label} is {right[0]}, and {right[1]} in another order:\n"
        f"{_side_by_side(order.columns, classes, names or classes)}\n{_remedy(order, key)}"
    )


def better_columns(found: Predictions, classes: int) -> Columns | None:
    """Return the output of each class in the order that fits; None if the present one may be right.

    Args:
        found: the predictions for the validation images.
        classes: the number of classes.
    """
    confusion = _confusion(found.labels, found.classes, classes)
    if _is_significant(*_gain(found, classes)):
        return _fitted(confusion)
    swapped = np.arange(classes)
    for one, other in _swaps(confusion):
        swapped[[one, other]] = other, one
    return swapped if (swapped != np.arange(classes)).any() else None


def _confusion(labels: NDArray[np.int64], outputs: NDArray[np.int64], classes: int) -> Columns:
    """Count the images of each class (row) by the largest output (column)."""
    counted = np.bincount(labels * classes + outputs, minlength=classes**2)
    return counted.reshape(classes, classes)


def _fitted(confusion: Columns) -> Columns:
    """Return the output of each class in the order with the highest mean recall.

    The recall, not the accuracy: otherwise a teacher that says the same of all images would be
    given the order in which this is the commonest class.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    recalls = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    _, outputs = linear_sum_assignment(recalls + _TIE * np.eye(len(confusion)), maximize=True)
    fitted: Columns = outputs.astype(np.int64)
    return fitted


def _gain(found: Predictions, classes: int) -> tuple[int, int]:
    """Count the images that only an order fitted to other images gets right, and the reverse."""
    halves = _halves(found.labels)
    gained = lost = 0
    for half in (0, 1):
        fit, test = halves != half, halves == half
        outputs = _fitted(_confusion(found.labels[fit], found.classes[fit], classes))
        after = outputs[found.labels[test]] == found.classes[test]
        before = found.right[test]
        gained += int((after & ~before).sum())
        lost += int((before & ~after).sum())
    return gained, lost


def _halves(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0 or 1 for each image, alternating within each class."""
    halves = np.empty_like(labels)
    for label in np.unique(labels):
        (own,) = np.nonzero(labels == label)
        halves[own] = np.arange(len(own)) % 2
    return halves


def _swaps(confusion: Columns) -> list[tuple[int, int]]:
    """Return the pairs of classes of which each is mostly taken for the other."""
    mostly = 2 * confusion > confusion.sum(axis=1, keepdims=True)
    pairs: list[list[int]] = np.argwhere(np.triu(mostly & mostly.T, 1)).tolist()
    return [
        (one, other)
        for one, other in pairs
        if _is_significant(
            int(confusion[one, other] + confusion[other, one]),
            int(confusion[one, one] + confusion[other, other]),
        )
    ]


def _is_significant(gained: int, lost: int) -> bool:
    """Return whether so many more gained than lost are unlikely to be chance (a sign test)."""
    from scipy.stats import binomtest  # slow to import

    if gained <= lost:
        return False
    test = binomtest(gained, gained + lost, alternative="greater")
    return bool(test.pvalue < _LEVEL)


def _named(
    found: Predictions,
    classes: Names,
    names: Names,
    better: Columns,
    known: Mapping[str, Names],
) -> _Order:
    """Return a known order of the classes if it fits as well, or else the fitted one."""
    after = better[found.labels] == found.classes
    for value, order in known.items() if len(names) == len(classes) else ():
        # Output i is now read as names[i], and would be read as order[i].
        outputs = np.array(columns(classes, [names[i] for i in columns(order, classes)]))
        right = outputs[found.labels] == found.classes
        gains = int((right & ~found.right).sum()), int((found.right & ~right).sum())
        misses = int((after & ~right).sum()), int((right & ~after).sum())
        if _is_significant(*gains) and not _is_significant(*misses):
            return _Order(outputs, value)
    read = _read_as(better, classes, names)
    listed = json.dumps(read, ensure_ascii=False) if len(read) <= _MOST_LISTED else None
    return _Order(better, listed)


def _read_as(better: Columns, classes: Names, names: Sequence[str]) -> list[str]:
    """Return the class of each output in the order that fits."""
    fitting = {classes[output]: classes[label] for label, output in enumerate(better)}
    return [fitting.get(name, name) for name in names]


def _side_by_side(better: Columns, classes: Names, names: Names) -> str:
    rows = [("output", "read as", "seems to be")]
    pairs = enumerate(zip(names, _read_as(better, classes, names), strict=True))
    rows += [(str(place), now, then) for place, (now, then) in pairs if now != then]
    more = f"\n  and {len(rows) - 1 - _MOST_ROWS} more" if len(rows) - 1 > _MOST_ROWS else ""
    rows = rows[: _MOST_ROWS + 1]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = (f"  {one:>{wide[0]}}  {now:<{wide[1]}}  {then}" for one, now, then in rows)
    return "\n".join(lines) + more


def _remedy(order: _Order, key: str) -> str:
    if order.value is not None:
        return f"Set {key}: {order.value}"
    return (
        f"Set {key} to a file with the class of each output, one name a line, in the order in "
        "which the teacher was trained"
    )
