"""Tables by class that stay readable with many classes and several models."""

import numpy as np
import pytest

from search.analysis.classes import results_by_class
from search.cli.class_tables import print_by_class, print_confusions, print_recalls
from search.export.evaluate import EvaluationResult
from search.objectives.predictions import Predictions

CLASSES = 43


def _result(model: str, classes: int = CLASSES, *, right: int = 16) -> EvaluationResult:
    """Ten images of each class; only the first `right` classes are ever right."""
    labels = np.repeat(np.arange(classes), 10)
    found = Predictions(
        labels=labels,
        classes=np.where(labels < right, labels, 0),
        confidence=np.full(len(labels), 0.5, np.float32),
    )
    names = [f"sign {label:03}" for label in range(classes)]
    by_class = results_by_class(found, names)
    return EvaluationResult(model=model, images=len(labels), quality={}, cost={}, by_class=by_class)


def test_the_number_of_classes_that_are_never_right_is_told_for_each_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_recalls([_result("student"), _result("teacher", right=18)])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("student: 27 of 43 ") for line in lines)
    assert any(line.startswith("teacher: 25 of 43 ") for line in lines)
    assert sum(line.strip().startswith("sign ") for line in lines) == CLASSES


def test_of_many_classes_the_worst_and_the_most_confused_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_by_class([_result("student", 1000)])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip().startswith("sign ") for line in lines) == 2 * 10
    assert sum("10 (100%)" in line for line in lines) == 2 * 10
    assert max(map(len, lines)) <= 80


def test_all_pairs_are_printed_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_confusions([_result("student")])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip().startswith("sign ") for line in lines) == CLASSES - 16


def test_many_models_leave_the_names_of_classes_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_by_class([_result(f"models/of/some/folder/{number}") for number in range(9)])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip().startswith("sign 016") for line in lines)
    assert max(len(line) for line in lines if "never" not in line) <= 80
