"""What every limit must keep."""

from pathlib import Path

import pytest
from torch import nn

from search.objectives.budget import Budget
from search.objectives.limit import CountedStudent, Limit
from search.objectives.limits import limits

ALL = pytest.mark.parametrize("limit", limits().values(), ids=list(limits()))
COUNTED = [limit for limit in limits().values() if limit.count is not None]


@ALL
def test_has_names_that_can_stand_in_a_study_file_and_a_store(limit: Limit) -> None:
    assert limit.name.isidentifier()
    assert limit.cost.isidentifier()
    assert limit.label
    assert limit.description


@ALL
def test_a_written_bound_is_read_again(limit: Limit) -> None:
    assert limit.parse(limit.write(1234.0)) == 1234


@ALL
@pytest.mark.parametrize("text", ["", "-1", "many", 0, True, None])
def test_what_is_no_bound_is_refused(limit: Limit, text: object) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        limit.parse(text)


@ALL
def test_a_budget_bounds_it_and_says_so(limit: Limit) -> None:
    budget = Budget.model_validate({limit.name: limit.write(100.0)})
    assert budget.limits() == {limit.cost: 100.0}
    assert budget.admits({limit.cost: 100.0})
    assert not budget.admits({limit.cost: 101.0})
    assert not budget.surely_admits({})
    assert limit.format(101.0) in budget.explain({limit.cost: 101.0})
    assert Budget.model_validate(budget.model_dump(mode="json")) == budget


@pytest.mark.parametrize("limit", COUNTED, ids=lambda limit: limit.name)
def test_what_is_counted_is_the_same_each_time(limit: Limit, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 17)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    student = CountedStudent(path=path, network=network, image_shape=(1, 8, 8))
    assert limit.count is not None
    assert limit.count(student) == limit.count(student) > 0
