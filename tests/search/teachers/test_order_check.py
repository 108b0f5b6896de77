"""What a confusion matrix tells of the order of a teacher's classes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from search.errors import TeacherError
from search.objectives.predictions import Predictions
from search.teachers.class_order import natural_order
from search.teachers.order_check import better_columns, check_order
from tests.messages import naming

NAMES = ("Dog", "ant", "bee", "cat", "elk", "fox", "gnu", "hen", "ibis", "jay")
KEY = "teacher.classes"


def _predicted(labels: NDArray[np.int64], classes: NDArray[np.int64]) -> Predictions:
    return Predictions(
        labels=labels, classes=classes, confidence=np.ones(len(labels), dtype=np.float32)
    )


def _teacher(
    order: list[int], *, images: int = 20, accuracy: float = 0.9, seed: int = 0
) -> Predictions:
    """A teacher that errs at random, and whose output for class c is order[c]."""
    generator = np.random.default_rng(seed)
    labels = np.arange(len(order) * images) % len(order)
    wrong = generator.random(len(labels)) > accuracy
    known = np.where(wrong, generator.integers(0, len(order), len(labels)), labels)
    return _predicted(labels, np.array(order)[known])


def test_fault_40_natural_order_with_one_capital_letter_is_found_by_its_name() -> None:
    natural = natural_order(NAMES)
    found = _teacher([natural.index(name) for name in NAMES])
    with pytest.raises(TeacherError, match=naming(f"{KEY}: natural", "Dog", "ant")):
        check_order(found, NAMES, None, key=KEY)
    check_order(_teacher(list(range(10))), NAMES, None, key=KEY)


def test_fault_40_folders_of_numbers_in_natural_order_are_found() -> None:
    numbers = tuple(sorted(str(number) for number in [*range(4), *range(10, 16)]))
    natural = natural_order(numbers)
    found = _teacher([natural.index(name) for name in numbers], accuracy=0.99)
    with pytest.raises(TeacherError, match=naming(f"{KEY}: natural")):
        check_order(found, numbers, None, key=KEY)


def test_fault_40_a_known_order_is_that_of_the_names_in_the_data() -> None:
    numbers = tuple(sorted(str(number) for number in [*range(4), *range(10, 16)]))
    shown = tuple(f"class {letter}" for letter in "jihgfedcba")
    natural = natural_order(numbers)
    found = _teacher([natural.index(name) for name in numbers], accuracy=0.99)
    with pytest.raises(TeacherError, match=naming(f"{KEY}: natural", "class a")):
        check_order(found, shown, None, key=KEY, class_ids=numbers)
    with pytest.raises(TeacherError, match=naming(f'{KEY}: ["class j"')):
        check_order(found, shown, None, key=KEY)


def test_fault_40_two_swapped_classes_among_many_are_found() -> None:
    order = list(range(100))
    order[3], order[70] = 70, 3
    # Half right: other classes err too often for the whole order to tell.
    assert better_columns(_teacher(order, images=8, accuracy=0.85), 100) is not None
    found = better_columns(_teacher(order, images=20, accuracy=0.7), 100)
    assert found is not None
    assert found.tolist() == order


def test_fault_40_an_order_of_no_name_is_listed_and_sets_what_is_found() -> None:
    order = [1, 2, 0, 3]
    with pytest.raises(TeacherError) as caught:
        check_order(_teacher(order), ("a", "b", "c", "d"), None, key=KEY)
    assert f'{KEY}: ["c", "a", "b", "d"]' in str(caught.value)


def test_a_stated_order_that_is_wrong_is_mended_from_there() -> None:
    # Its outputs are a, b, c; the study says b, c, a, so that class a is shown output 2.
    stated = ("b", "c", "a")
    found = _teacher([stated.index("abc"[place]) for place in (0, 1, 2)])
    shown = np.array([("a", "b", "c").index(stated[output]) for output in (0, 1, 2)])
    right = _predicted(found.labels, shown[found.labels])
    with pytest.raises(TeacherError, match=naming(f"{KEY}: natural")):
        check_order(right, ("a", "b", "c"), stated, key=KEY)


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.6, 0.95])
def test_teachers_that_err_without_a_system_are_not_refused(accuracy: float) -> None:
    refused = sum(
        better_columns(_teacher(list(range(6)), images=6, accuracy=accuracy, seed=seed), 6)
        is not None
        for seed in range(300)
    )
    assert refused <= 9  # 1% is the level of the test


def test_a_pair_that_cannot_be_told_apart_is_not_refused() -> None:
    refused = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        labels = np.arange(120) % 6
        guessed = np.where(labels < 2, generator.integers(0, 2, len(labels)), labels)
        refused += better_columns(_predicted(labels, guessed), 6) is not None
    assert refused <= 12


def test_a_teacher_that_says_the_same_of_every_image_has_no_order() -> None:
    labels = np.array([0] * 5 + [1] * 80 + [2] * 15)
    assert better_columns(_predicted(labels, np.zeros_like(labels)), 3) is None


def test_a_class_without_images_keeps_its_place() -> None:
    labels = np.repeat([0, 1, 2], 20)
    found = better_columns(_predicted(labels, np.array([1, 2, 0])[labels]), 5)
    assert found is not None
    assert found.tolist() == [1, 2, 0, 3, 4]


def test_the_list_of_many_classes_is_short_and_asks_for_a_file() -> None:
    names = tuple(f"{number:03}" for number in range(200))
    order = [*range(1, 200), 0]
    with pytest.raises(TeacherError, match=naming(KEY, "180 more")) as caught:
        check_order(_teacher(order), names, None, key=KEY)
    assert len(str(caught.value).splitlines()) < 30
