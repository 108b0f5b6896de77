import math
import re

import optuna
import pytest

from spaces import registry
from spaces.axes.order import AXES
from spaces.distributions import FloatRange, OneOf
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from tests.messages import naming

STUDENT = {"timm": {"model": ["test_resnet", "test_vit"]}}


def space(**axes: object) -> SearchSpace:
    return SearchSpace.from_config({"student": STUDENT, **axes})


def test_an_axis_that_is_not_opened_keeps_one_method_at_its_defaults() -> None:
    axes = space().axes
    assert {axis: list(methods) for axis, methods in axes.items()} == {
        "student": ["timm"],
        "training": ["standard"],
        "distillation": ["soft_targets"],
        "pruning": ["none"],
        "quantization": ["float32"],
    }
    assert axes["distillation"]["soft_targets"]["temperature"] == OneOf((4.0,))


@pytest.mark.parametrize(
    "config",
    [
        ["none", "magnitude"],
        {"none": None, "magnitude": None},
        {"none": {}, "magnitude": {}},
    ],
)
def test_an_axis_is_a_list_of_methods_or_maps_them_to_parameters(config: object) -> None:
    assert list(space(pruning=config).axes["pruning"]) == ["none", "magnitude"]


def test_an_axis_may_name_a_single_method() -> None:
    assert list(space(pruning="magnitude").axes["pruning"]) == ["magnitude"]


def test_a_parameter_that_is_opened_keeps_its_range() -> None:
    opened = space(pruning={"magnitude": {"ratio": {"low": 0.1, "high": 0.5}}})
    assert opened.distributions()["pruning.magnitude.ratio"] == FloatRange(0.1, 0.5)


def test_every_proposal_is_a_recipe_of_the_space() -> None:
    opened = space(
        distillation=["labels", "soft_targets"],
        pruning={"none": None, "magnitude": {"ratio": {"low": 0.1, "high": 0.5}}},
        quantization=["float32", "int8_static"],
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = opened.distributions()
    for _ in range(50):
        params = opened.suggest(study.ask())
        assert [
            key for key, value in params.items() if not distributions[key].contains(value)
        ] == []
        assert Recipe.from_params(params).to_params() == params


def test_parameters_are_proposed_only_for_the_method_that_owns_them() -> None:
    opened = space(pruning=["none", "magnitude"])
    trial = optuna.trial.FixedTrial(
        {key: distribution.edges()[0] for key, distribution in opened.distributions().items()}
        | {"pruning": "none"}
    )
    assert [key for key in opened.suggest(trial) if key.startswith("pruning.")] == []


def test_a_discrete_space_counts_its_recipes() -> None:
    # 2 models × (no pruning + 3 ratios) × 2 formats.
    opened = space(
        pruning={"none": None, "magnitude": {"ratio": [0.1, 0.2, 0.3]}},
        quantization=["float32", "int8_static"],
    )
    assert opened.count() == 16


def test_a_continuous_space_has_no_end() -> None:
    assert space(pruning={"magnitude": {"ratio": {}}}).count() == math.inf


@pytest.mark.parametrize("axis", [axis.axis for axis in AXES])
def test_every_method_can_be_opened_by_its_name_alone(axis: str) -> None:
    opened = SearchSpace.from_config({"student": STUDENT, axis: list(registry.methods(axis))})
    assert list(opened.axes[axis]) == list(registry.methods(axis))


def test_a_space_without_students_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^student: "):
        SearchSpace.from_config({})


@pytest.mark.parametrize(
    ("axes", "place", "facts"),
    [
        ({"prunning": []}, "prunning", [*(axis.axis for axis in AXES), "'prunning'", "'pruning'"]),
        ({"pruning": []}, "pruning", [*registry.methods("pruning"), "[]"]),
        ({"pruning": None}, "pruning", ["None"]),
        ({"pruning": 5}, "pruning", ["5"]),
        ({"pruning": [None]}, "pruning", ["None"]),
        ({"pruning": [{"none": {}}]}, "pruning", ["{'none': {}}"]),
        ({"pruning": ["none", "none"]}, "pruning", ["'none'"]),
        ({"pruning": ["non"]}, "pruning.non", ["'non'", "'none'"]),
        ({"pruning": {"magnitude": 0.5}}, "pruning.magnitude", ["0.5"]),
        (
            {"pruning": {"magnitude": {"ratoi": 0.5}}},
            "pruning.magnitude.ratoi",
            [*registry.method("pruning", "magnitude").distributions(), "'ratoi'", "'ratio'"],
        ),
        (
            {"pruning": {"magnitude": {"ratio": 1.2}}},
            "pruning.magnitude.ratio",
            ["0.05", "0.9", "1.2"],
        ),
        ({"pruning": {"none": {"ratio": 0.5}}}, "pruning.none.ratio", ["'ratio'"]),
        ({"student": {"timm": {"model": {"low": 1}}}}, "student.timm.model", ["low"]),
    ],
)
def test_a_fault_begins_with_its_place(
    axes: dict[str, object], place: str, facts: list[str]
) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(place)}: ") as raised:
        space(**axes)
    assert naming(*facts).search(str(raised.value))
