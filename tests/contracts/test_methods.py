"""What every method of every axis promises, whatever it does."""

import dataclasses
import json
import pickle
from collections.abc import Callable

import pytest

from spaces import registry
from spaces.axes.order import AXES
from spaces.distributions import AnyName, Distribution, IntRange, OneOf
from spaces.method import Method
from spaces.recipe import Recipe
from tests.messages import naming

METHODS = [
    pytest.param(method, id=f"{axis.axis}-{name}")
    for axis in AXES
    for name, method in registry.methods(axis.axis).items()
]
PARAMETERS = [
    pytest.param(case.values[0], key, distribution, id=f"{case.id}-{key}")
    for case in METHODS
    for key, distribution in case.values[0].distributions().items()
]
over_methods = pytest.mark.parametrize("method", METHODS)
over_parameters = pytest.mark.parametrize(("method", "key", "distribution"), PARAMETERS)


def _outside(distribution: Distribution) -> list[object]:
    if isinstance(distribution, AnyName):
        return ["", 3, None]
    if isinstance(distribution, OneOf):
        return [f"{distribution.options[0]}?", None]
    beyond = [
        distribution.low - 1,
        distribution.high + 1,
        float("nan"),
        float("inf"),
        True,
        "1",
        None,
    ]
    return [*beyond, distribution.low + 0.5] if isinstance(distribution, IntRange) else beyond


def test_every_axis_holds_a_method() -> None:
    assert all(registry.methods(axis.axis) for axis in AXES)


@over_methods
def test_builds_from_its_defaults(method: type[Method]) -> None:
    assert method().params().keys() == method.distributions().keys()


@over_methods
def test_is_a_frozen_dataclass(method: type[Method]) -> None:
    assert dataclasses.is_dataclass(method)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method().name = "another"  # type: ignore[misc]


@over_methods
def test_says_in_a_sentence_what_it_is(method: type[Method]) -> None:
    # A dataclass without a docstring is given one that shows its arguments.
    assert method.summary().endswith(".")
    assert not method.summary().startswith(f"{method.__name__}(")


@over_methods
def test_has_a_name_that_can_stand_in_a_study_file(method: type[Method]) -> None:
    assert method.name.isidentifier()
    assert method.name == method.name.lower()


@over_methods
def test_says_what_it_shrinks(method: type[Method]) -> None:
    compresses = method.axis in ("pruning", "quantization")
    assert (str(method.shrinks) != "nothing") == (
        compresses and method.name not in ("none", "float32")
    )


@over_methods
def test_survives_pickling(method: type[Method]) -> None:
    assert pickle.loads(pickle.dumps(method())) == method()  # noqa: S301


@over_methods
def test_comes_back_from_the_flat_form_of_its_recipe_through_json(
    method: type[Method], recipe: Callable[..., Recipe]
) -> None:
    whole = recipe(**{method.axis: method()})
    again = Recipe.from_params(json.loads(json.dumps(whole.to_params())))
    assert again == whole
    assert again.digest() == whole.digest()


@over_methods
def test_contradicts_nothing_in_a_plain_recipe(
    method: type[Method], recipe: Callable[..., Recipe]
) -> None:
    assert recipe(**{method.axis: method()}).conflict() is None


@over_parameters
def test_accepts_each_edge_of_the_distribution(
    method: type[Method], key: str, distribution: Distribution, recipe: Callable[..., Recipe]
) -> None:
    for edge in distribution.edges():
        whole = recipe(**{method.axis: method(**{key: edge})})
        assert Recipe.from_params(whole.to_params()).to_params()[_flat(method, key)] == edge


@over_parameters
def test_refuses_what_lies_outside_of_the_distribution(
    method: type[Method], key: str, distribution: Distribution
) -> None:
    for value in _outside(distribution):
        with pytest.raises(ValueError, match=naming(_flat(method, key), repr(value))):
            method(**{key: value})


def _flat(method: type[Method], key: str) -> str:
    return f"{method.axis}.{method.name}.{key}"
