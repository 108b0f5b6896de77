"""The corner up to which costs count."""

import numpy as np
import pytest

from search.objectives.budget import Budget
from search.objectives.goal import stored_goal
from search.samplers.cost_space import CostSpace

GOAL = stored_goal({})


def _corner(*costs: float, **limits: object) -> list[float]:
    space = CostSpace(GOAL, Budget.model_validate(limits), lambda recipe: None)
    return space.worst(np.array(costs or (0.0, 0.0)), []).tolist()


def test_a_limited_cost_counts_up_to_its_bound_and_a_free_one_a_little_beyond_the_highest() -> None:
    assert _corner(100.0, 4.0, size="1KB") == pytest.approx([1000, 4.04])


def test_where_a_free_cost_is_known_of_none_the_corner_is_above_0() -> None:
    assert _corner() == pytest.approx([1.01, 1.01])
    assert _corner(100.0, 0.0) == pytest.approx([101, 1.01])
