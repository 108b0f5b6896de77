import itertools

import numpy as np
import pytest

from search.objectives.dominance import hypervolume, non_dominated


def test_only_what_no_other_betters_is_non_dominated_and_of_equals_the_first() -> None:
    values = np.array([[2.0, 1.0], [1.0, 2.0], [2.0, 2.0], [1.0, 2.0], [3.0, 0.5]])
    assert non_dominated(values).tolist() == [1, 0, 4]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_non_dominated_is_what_comparing_all_pairs_leaves(
    objectives: int, seed: int
) -> None:
    # Whole numbers, so that many are equal in some objective or in all.
    values = np.random.default_rng(seed).integers(0, 6, (60, objectives)).astype(float)
    expected = {
        i
        for i, own in enumerate(values)
        if not any(
            (other <= own).all() and ((other < own).any() or k < i)
            for k, other in enumerate(values)
            if k != i
        )
    }
    assert set(non_dominated(values).tolist()) == expected


def test_infinite_costs_are_compared_like_others() -> None:
    values = np.array([[0.2, 5.0, np.inf], [0.2, 4.0, np.inf], [0.1, 9.0, np.inf]])
    assert set(non_dominated(values).tolist()) == {1, 2}


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_hypervolume_is_the_number_of_cells_that_a_point_dominates(
    objectives: int, seed: int
) -> None:
    side = 5
    points = np.random.default_rng(seed).integers(0, side + 1, (12, objectives))
    cells = sum(
        any(
            all(value <= place for value, place in zip(point, cell, strict=True))
            for point in points
        )
        for cell in itertools.product(range(side), repeat=objectives)
    )
    assert hypervolume(points.tolist(), [side] * objectives) == pytest.approx(cells)


def test_the_volume_of_two_boxes_that_overlap_is_worked_out_by_hand() -> None:
    # 2·3·1·1 of the first, 3·1·1·1 of the second, of which 2·1·1·1 is common.
    assert hypervolume([[1, 0, 0, 0], [0, 2, 0, 0]], [3, 3, 1, 1]) == pytest.approx(6 + 3 - 2)


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([[1, 4], [4, 1], [3, 1]], [3, 3]) == 0.0


@pytest.mark.parametrize("reference", [[1.0], [1.0] * 6, [1.0, float("nan")]])
def test_another_number_of_objectives_is_refused(reference: list[float]) -> None:
    with pytest.raises(ValueError, match="2 to 5"):
        hypervolume([], reference)


@pytest.mark.parametrize("point", [[0.5], [0.5, float("nan")]])
def test_a_point_of_another_length_or_that_is_no_number_is_refused(point: list[float]) -> None:
    with pytest.raises(ValueError, match="2 numbers"):
        hypervolume([point], [1.0, 1.0])


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_what_is_non_dominated_is_ordered_by_the_objectives(objectives: int) -> None:
    values = np.random.default_rng(0).integers(0, 999, (60, objectives)).astype(float)
    found = values[non_dominated(values)].tolist()
    assert len(found) > 1
    assert found == sorted(found)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_of_no_rows_none_is_non_dominated(objectives: int) -> None:
    assert non_dominated(np.empty((0, objectives))).tolist() == []
