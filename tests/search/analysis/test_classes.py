"""Results by class: worked out by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from search.analysis.classes import ResultsByClass, results_by_class
from search.errors import ArtifactError
from search.objectives.metrics import BALANCED_ACCURACY
from search.objectives.predictions import Predictions
from tests.messages import naming


def predicted(labels: list[int], classes: list[int]) -> Predictions:
    """Predictions of these classes, each with the same confidence."""
    return Predictions(
        labels=np.array(labels, np.int64),
        classes=np.array(classes, np.int64),
        confidence=np.full(len(labels), 0.5, np.float32),
    )


@pytest.fixture
def signs() -> ResultsByClass:
    """Nine signs: four stops, three turns, two ways, which are never right, and no end."""
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2]
    classes = [0, 0, 0, 1, 1, 2, 2, 0, 1]
    return results_by_class(predicted(labels, classes), ["stop", "turn", "way", "end"])


def test_each_class_has_its_recall_and_one_without_images_has_none(signs: ResultsByClass) -> None:
    assert [each.recall for each in signs.classes] == [0.75, 1 / 3, 0.0, None]


def test_the_worst_class_comes_first_and_a_class_without_images_is_left_out(
    signs: ResultsByClass,
) -> None:
    assert [each.name for each in signs.worst_first] == ["way", "turn", "stop"]
    assert signs.never_right == 1


def test_of_classes_that_are_never_right_the_largest_comes_first() -> None:
    found = results_by_class(predicted([0, 1, 1, 2], [2, 2, 2, 2]), ["a", "b", "c"])
    assert [each.name for each in found.worst_first] == ["b", "a", "c"]
    assert found.never_right == 2


def test_the_pair_that_is_confused_most_comes_first(signs: ResultsByClass) -> None:
    pairs = [(pair.true, pair.predicted, pair.images) for pair in signs.pairs]
    assert pairs[0] == (1, 2, 2)
    assert pairs[-1] == (0, 1, 1)  # a quarter of its class; the other pairs of one image are half
    assert signs.pairs[0].share == pytest.approx(2 / 3)
    assert signs.mostly_taken_for[1].predicted == 2
    assert 3 not in signs.mostly_taken_for


def test_recalls_and_the_matrix_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels, classes = random.integers(0, 7, 200), random.integers(0, 7, 200)
    found = results_by_class(predicted(labels.tolist(), classes.tolist()), list("abcdefg"))
    np.testing.assert_array_equal(found.matrix(), confusion_matrix(labels, classes))
    recalls = [each.recall for each in found.classes]
    np.testing.assert_allclose(recalls, recall_score(labels, classes, average=None))
    mean = BALANCED_ACCURACY.compute(predicted(labels.tolist(), classes.tolist()), classes)
    assert np.mean([recall for recall in recalls if recall is not None]) == pytest.approx(mean)


def test_classes_of_one_name_stay_two_classes() -> None:
    found = results_by_class(predicted([0, 1, 1], [1, 1, 0]), ["crane", "crane"])
    assert [each.right for each in found.classes] == [0, 1]
    assert found.matrix().tolist() == [[0, 1], [1, 1]]


def test_predictions_of_a_class_without_a_name_are_refused() -> None:
    with pytest.raises(ArtifactError, match=naming(2, 7)):
        results_by_class(predicted([0, 1], [0, 7]), ["a", "b"])


def test_no_predictions_are_no_results() -> None:
    found = results_by_class(predicted([], []), ["a", "b"])
    assert found.worst_first == found.cells == ()
