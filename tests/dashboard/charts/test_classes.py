"""Figures of recalls and confused classes."""

import numpy as np

from dashboard.charts.classes import classes_figure
from dashboard.charts.confusion import confusion_figure, pairs_figure
from search.analysis.classes import ResultsByClass, results_by_class
from search.objectives.predictions import Predictions


def _results(names: list[str], labels: list[int], classes: list[int]) -> ResultsByClass:
    found = Predictions(
        labels=np.array(labels, np.int64),
        classes=np.array(classes, np.int64),
        confidence=np.full(len(labels), 0.5, np.float32),
    )
    return results_by_class(found, names)


def _many(count: int) -> ResultsByClass:
    """Two images of each class, of which every other class is taken for the next."""
    labels = [label for label in range(count) for _ in range(2)]
    classes = [(label + label % 2) % count for label in labels]
    return _results([f"sign {label}" for label in range(count)], labels, classes)


def test_the_class_on_which_the_student_is_worst_comes_first() -> None:
    names, labels = ["<b>", "b", "c"], [0] * 10 + [1] * 10 + [2] * 4
    student = _results(names, labels, [0] * 9 + [1] + [1] * 2 + [0] * 8 + [0] * 4)
    figure = classes_figure(student, _results(names, labels, labels))
    gaps, teacher, dots = figure.data
    assert list(gaps.x[:3]) == [0, 1, None]
    assert list(dots.text) == list(figure.layout.yaxis.ticktext) == ["c", "b", "&lt;b&gt;"]
    assert list(dots.x) == [0, 0.2, 0.9]
    assert list(teacher.x) == [1, 1, 1]


def test_classes_without_images_are_left_out_and_names_that_begin_alike_have_own_rows() -> None:
    names = [f"Animalia_Arthropoda_Insecta_Lepidoptera_{letter}" for letter in "ab"]
    labels = [0] * 10 + [1] * 10
    student = _results([*names, "owl"], labels, [0] * 9 + [1] + [1] * 2 + [0] * 8)
    (dots,) = classes_figure(student, None).data
    assert list(dots.y) == [0, 1]
    assert list(dots.x) == [0.2, 0.9]


def test_a_heat_map_has_what_is_right_on_its_diagonal_and_shares_of_rows() -> None:
    results = _results(["<a>", "b"], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0])
    figure = confusion_figure(results)
    assert figure is not None
    right, wrong = figure.data
    assert [list(row) for row in right.z] == [[0.75, None], [None, None]]
    assert [list(row) for row in wrong.z] == [[None, 0.25], [1.0, None]]
    assert wrong.text[0][1] == "1"
    assert list(figure.layout.yaxis.ticktext) == ["&lt;a&gt;", "b"]


def test_the_fields_of_43_classes_have_room_and_each_class_has_its_name() -> None:
    figure = confusion_figure(_many(43))
    assert figure is not None
    assert len(figure.layout.xaxis.ticktext) == len(figure.layout.yaxis.ticktext) == 43
    assert figure.layout.height / 43 > 14


def test_a_thousand_classes_have_no_heat_map_but_their_most_confused_pairs() -> None:
    results = _many(1000)
    assert confusion_figure(results) is None
    figure = pairs_figure(results, None)
    assert figure is not None
    assert len(figure.data[0].x) == 25
    assert figure.layout.height < 800


def test_the_most_confused_pair_is_on_top_beside_the_teachers_images_of_that_pair() -> None:
    names, labels = ["a", "b", "c"], [0, 0, 0, 1, 1, 2]
    student = _results(names, labels, [1, 1, 0, 2, 1, 2])
    figure = pairs_figure(student, _results(names, labels, [0, 0, 1, 1, 1, 2]))
    assert figure is not None
    bars, dots = figure.data
    assert list(figure.layout.yaxis.ticktext) == ["a → b (67%)", "b → c (50%)"]
    assert list(bars.x) == [2, 1]
    assert list(dots.x) == [1, 0]


def test_a_student_that_is_always_right_confuses_no_pair() -> None:
    assert pairs_figure(_results(["a", "b"], [0, 1], [0, 1]), None) is None
