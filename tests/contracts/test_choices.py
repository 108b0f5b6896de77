"""What every method of every axis promises, whatever it does."""

import dataclasses
import json
import pickle
from collections.abc import Callable

import pytest

from spaces import catalogue
from spaces.axes.order import AXES
from spaces.choice import Choice
from spaces.domain import AnyName, Domain, IntRange, OneOf, Scalar
from spaces.recipe import Recipe

METHODS = [
    pytest.param(method, id=f"{axis.axis}-{name}")
    for axis in AXES
    for name, method in catalogue.methods(axis.axis).items()
]
PARAMETERS = [
    pytest.param(case.values[0], key, domain, id=f"{case.id}-{key}")
    for case in METHODS
    for key, domain in case.values[0].domains().items()
]
over_methods = pytest.mark.parametrize("method", METHODS)
over_parameters = pytest.mark.parametrize(("method", "key", "domain"), PARAMETERS)


def _outside(domain: Domain) -> list[object]:
    if isinstance(domain, AnyName):
        return ["", 3, None]
    if isinstance(domain, OneOf):
        return [f"{domain.options[0]}?", None]
    beyond = [domain.low - 1, domain.high + 1, float("nan"), float("inf"), True, "1", None]
    return [*beyond, domain.low + 0.5] if isinstance(domain, IntRange) else beyond


def test_every_axis_holds_a_method() -> None:
    assert all(catalogue.methods(axis.axis) for axis in AXES)


@over_methods
def test_builds_from_its_defaults(method: type[Choice]) -> None:
    assert method().params().keys() == method.domains().keys()


@over_methods
def test_is_a_frozen_dataclass(method: type[Choice]) -> None:
    assert dataclasses.is_dataclass(method)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        method().name = "another"  # type: ignore[misc]


@over_methods
def test_says_in_a_sentence_what_it_is(method: type[Choice]) -> None:
    # A dataclass without a docstring is given one that shows its arguments.
    assert method.summary().endswith(".")
    assert not method.summary().startswith(f"{method.__name__}(")


@over_methods
def test_has_a_name_that_can_stand_in_a_study_file(method: type[Choice]) -> None:
    assert method.name.isidentifier()
    assert method.name == method.name.lower()


@over_methods
def test_says_what_it_shrinks(method: type[Choice]) -> None:
    compresses = method.axis in ("pruning", "quantization")
    assert (str(method.shrinks) != "nothing") == (
        compresses and method.name not in ("none", "float32")
    )


@over_methods
def test_survives_pickling(method: type[Choice]) -> None:
    assert pickle.loads(pickle.dumps(method())) == method()  # noqa: S301


@over_methods
def test_comes_back_from_the_flat_form_of_its_recipe_through_json(
    method: type[Choice], recipe: Callable[..., Recipe]
) -> None:
    whole = recipe(**{method.axis: method()})
    again = Recipe.from_params(json.loads(json.dumps(whole.to_params())))
    assert again == whole
    assert again.digest() == whole.digest()


@over_methods
def test_contradicts_nothing_in_a_plain_recipe(
    method: type[Choice], recipe: Callable[..., Recipe]
) -> None:
    assert recipe(**{method.axis: method()}).conflict() is None


@over_parameters
def test_accepts_each_edge_of_the_domain(
    method: type[Choice], key: str, domain: Domain, recipe: Callable[..., Recipe]
) -> None:
    for edge in domain.edges():
        whole = recipe(**{method.axis: method(**{key: edge})})
        assert Recipe.from_params(whole.to_params()).to_params()[_flat(method, key)] == edge


@over_parameters
def test_refuses_what_lies_outside_of_the_domain(
    method: type[Choice], key: str, domain: Domain
) -> None:
    for value in _outside(domain):
        with pytest.raises(ValueError, match=rf"^{method.axis}\.{method.name}\.{key} must be "):
            method(**{key: value})


def _flat(method: type[Choice], key: str) -> Scalar:
    return f"{method.axis}.{method.name}.{key}"
