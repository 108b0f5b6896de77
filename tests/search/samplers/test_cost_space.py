"""The corner up to which costs count."""

import math

import pytest

from search.objectives.budget import Budget
from search.objectives.goal import stored_goal
from search.samplers.cost_space import CostSpace

GOAL = stored_goal({})


def _corner(*reached: tuple[float, float], **limits: object) -> list[float]:
    space = CostSpace(GOAL, Budget.model_validate(limits), lambda recipe: None)
    return space.worst(reached, []).tolist()


def test_a_limited_cost_counts_up_to_its_bound_and_a_free_one_a_little_beyond_the_highest() -> None:
    assert _corner((100.0, 2.0), (50.0, 4.0), size="1KB") == pytest.approx([1000, 4.04])


@pytest.mark.parametrize("unknown", [math.inf, 0.0])
def test_where_a_free_cost_is_known_of_none_or_0_for_all_the_corner_is_finite_and_above_0(
    unknown: float,
) -> None:
    corner = _corner((100.0, unknown))
    assert corner == pytest.approx([101, 1.01])


def test_a_cost_that_one_lacks_counts_up_to_the_others() -> None:
    assert _corner((100.0, math.inf), (50.0, 4.0)) == pytest.approx([101, 4.04])
