"""Results by class on a model card."""

from dataclasses import dataclass

from search.analysis.classes import ClassResult, ResultsByClass, results_by_class
from search.objectives.predictions import Predictions

_MOST_ROWS = 10


@dataclass(frozen=True, kw_only=True)
class CardClasses:
    """The tables by class of a model card; shares are texts.

    Attributes:
        measured: the number of classes that have test images.
        never_right: how many of them the student never classifies correctly.
        teacher_never_right: the same for the teacher; None without its predictions.
        worst: rows of the classes with the smallest shares of images that the student classifies
            correctly: class, test images, share, the class that it is mostly taken for. No rows if
            there are so few classes that the table of all shows them at a glance.
        pairs: rows of the most confused pairs: class, predicted class, images, and their share of
            the class's images.
        every: rows of a class, the number of its test images, and the shares of them that the
            student and the teacher classify correctly.
    """

    measured: int
    never_right: int
    teacher_never_right: int | None
    worst: list[tuple[str, int, str, str]]
    pairs: list[tuple[str, str, int, str]]
    every: list[tuple[str, int, str, str]]


def card_classes(
    student: Predictions, teacher: Predictions | None, names: tuple[str, ...]
) -> CardClasses:
    """Return the tables from predictions for the test images."""
    own = results_by_class(student, names)
    theirs = None if teacher is None else results_by_class(teacher, names)
    is_long = len(own.worst_first) > _MOST_ROWS
    return CardClasses(
        measured=len(own.worst_first),
        never_right=own.never_right,
        teacher_never_right=None if theirs is None else theirs.never_right,
        worst=[
            (each.name, each.images, _recall(each), _mostly_taken_for(each, own))
            for each in own.worst_first[: _MOST_ROWS if is_long else 0]
        ],
        pairs=[
            (names[pair.true], names[pair.predicted], pair.images, f"{pair.share:.2%}")
            for pair in own.pairs[:_MOST_ROWS]
        ],
        every=[
            (
                each.name,
                each.images,
                _recall(each),
                "not measured" if theirs is None else _recall(theirs.classes[each.label]),
            )
            for each in own.classes
        ],
    )


def _recall(found: ClassResult) -> str:
    return "–" if found.recall is None else f"{found.recall:.2%}"


def _mostly_taken_for(found: ClassResult, results: ResultsByClass) -> str:
    cell = results.mostly_taken_for.get(found.label)
    return "–" if cell is None else results.classes[cell.predicted].name
