"""The budget's limits, and what breaks them."""

import pytest
from pydantic import ValidationError

from search.objectives.budget import Budget, total_violation
from search.records import Cost
from tests.measured import cost
from tests.messages import naming

COST: Cost = cost(size_bytes=1_500_000, parameters=400_000, macs=20_000_000, latency_ms=4.0)


def budget(**limits: object) -> Budget:
    return Budget.model_validate(limits)


def _faults(**limits: object) -> list[tuple[object, str]]:
    """Place and kind of each fault for which these limits are refused."""
    with pytest.raises(ValidationError) as caught:
        budget(**limits)
    return [(*error["loc"], error["type"]) for error in caught.value.errors()]  # type: ignore[misc]


def test_a_budget_without_limits_admits_everything() -> None:
    assert budget().admits(COST)


def test_limits_are_named_as_in_the_cost_and_in_its_units() -> None:
    limits = budget(size="2MB", latency="5ms", parameters="500k", macs="10M").limits()
    assert limits == {
        "size_bytes": 2_000_000,
        "latency_ms": 5,
        "parameters": 500_000,
        "macs": 10_000_000,
    }


def test_a_cost_without_a_limit_is_free() -> None:
    assert budget(size="2MB").limits() == {"size_bytes": 2_000_000}


def test_violations_are_relative_to_their_bounds() -> None:
    violations = budget(size="1MB", latency="5ms").violations(COST)
    assert violations == {
        "size_bytes": pytest.approx(0.5),
        "latency_ms": pytest.approx(-0.2),
    }


def test_a_cost_at_its_bound_is_admitted() -> None:
    assert budget(size=1_500_000, latency="4ms").admits(COST)


def test_one_broken_limit_is_enough_to_refuse() -> None:
    assert not budget(size="2MB", macs="10M").admits(COST)


def test_a_latency_that_was_not_measured_is_left_out() -> None:
    untimed = cost(size_bytes=1, parameters=1, macs=1)
    assert budget(size="2MB", latency="5ms").violations(untimed).keys() == {"size_bytes"}


def test_broken_limits_are_explained_with_their_units() -> None:
    explained = budget(size="1MB", latency="5ms", macs="10M").explain(COST)
    assert naming("size", "1.50 MB", "1.00 MB", "MACs", "20.0 M", "10.0 M").search(explained)
    assert "latency" not in explained


def test_nothing_is_explained_where_nothing_is_broken() -> None:
    assert budget(size="2MB").explain(COST) == ""


def test_the_total_violation_adds_only_what_is_broken() -> None:
    assert total_violation({"size_bytes": 0.5, "macs": 0.25, "latency_ms": -0.9}) == 0.75


def test_the_total_violation_of_a_feasible_cost_is_zero() -> None:
    assert total_violation({"size_bytes": -0.5}) == 0


@pytest.mark.parametrize("size", ["0MB", "-1MB", "inf", float("nan"), True, "plenty"])
def test_a_limit_that_is_no_quantity_is_refused(size: object) -> None:
    assert _faults(size=size) == [("size", "value_error")]


def test_a_limit_of_an_unknown_cost_is_refused() -> None:
    assert _faults(weight="2MB") == [("weight", "extra_forbidden")]


def test_a_budget_is_not_changed_later() -> None:
    given = budget(size="2MB")
    with pytest.raises(ValidationError):
        given.size = 1  # type: ignore[misc]
    assert given == budget(size="2MB")
