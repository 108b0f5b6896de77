import json

import pytest

from spaces.distributions import Scalar
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe, flat_keys
from spaces.training.standard import Standard
from tests.messages import naming

CHOICES: dict[str, Scalar] = {
    "student": "timm",
    "training": "standard",
    "distillation": "soft_targets",
    "pruning": "magnitude",
    "quantization": "int8_static",
}


def test_parameters_that_are_absent_mean_what_they_meant_before_they_were_there() -> None:
    recipe = Recipe.from_params(CHOICES)
    assert recipe.pruning == Magnitude()
    assert recipe.training == Standard(freeze_statistics=False)


def test_recipes_with_equal_values_share_a_method_and_one_is_not_true() -> None:
    key = "training.standard.freeze_statistics"
    frozen = Recipe.from_params(CHOICES | {key: True})
    assert Recipe.from_params(CHOICES | {key: True}).training is frozen.training
    for wrong in (1, [True]):
        with pytest.raises(ValueError, match=key):
            Recipe.from_params(CHOICES | {key: wrong})  # type: ignore[dict-item]


def test_flat_parameters_reach_the_choice_that_owns_them() -> None:
    recipe = Recipe.from_params(CHOICES | {"pruning.magnitude.ratio": 0.25})
    assert recipe.pruning == Magnitude(ratio=0.25)


def test_a_recipe_survives_json() -> None:
    recipe = Recipe.from_params(CHOICES | {"pruning.magnitude.ratio": 0.1 + 0.2})
    assert Recipe.from_params(json.loads(json.dumps(recipe.to_params()))) == recipe


def test_flat_parameters_hold_every_default() -> None:
    params = Recipe.from_params(CHOICES).to_params()
    methods = (Standard, Magnitude, Int8Static)
    assert params.keys() == set(CHOICES).union(*(flat_keys(one) for one in methods)) | {
        "student.timm.model",
        "student.timm.pretrained",
        "student.timm.stem",
        "student.timm.weights",
        "distillation.soft_targets.temperature",
        "distillation.soft_targets.weight",
        "distillation.soft_targets.standardize",
    }


def test_choices_stand_in_the_order_of_compression() -> None:
    axes = [method.axis for method in Recipe.from_params(CHOICES).methods()]
    assert axes == ["student", "training", "distillation", "pruning", "quantization"]


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"pruning": "magnitud"}, ["'magnitud'", "'magnitude'"]),
        ({"pruning.magnitude.ratio": 0.95}, ["pruning.magnitude.ratio", 0.05, 0.9, 0.95]),
        ({"pruning.magnitude.ratoi": 0.5}, ["pruning.magnitude.ratoi"]),
        ({"pruning": "none", "pruning.magnitude.ratio": 0.5}, ["pruning.magnitude.ratio"]),
    ],
)
def test_parameters_that_make_no_recipe_are_refused(
    change: dict[str, Scalar], facts: list[object]
) -> None:
    with pytest.raises(ValueError, match=naming(*facts)):
        Recipe.from_params(CHOICES | change)


@pytest.mark.parametrize("axis", CHOICES)
def test_a_recipe_needs_a_choice_on_every_axis(axis: str) -> None:
    params = {key: value for key, value in CHOICES.items() if key != axis}
    with pytest.raises(ValueError, match=naming(axis)):
        Recipe.from_params(params)


def test_a_recipe_without_contradiction_has_no_conflict() -> None:
    assert Recipe.from_params(CHOICES).conflict() is None


def test_a_contradiction_within_a_recipe_is_explained() -> None:
    recipe = Recipe.from_params(
        CHOICES | {"training.standard.epochs": 2, "training.standard.warmup_epochs": 2}
    )
    assert naming("training.standard", "warmup_epochs", "epochs", 2).search(str(recipe.conflict()))


def test_the_digest_does_not_depend_on_the_order_of_parameters() -> None:
    params = Recipe.from_params(CHOICES).to_params()
    backwards = dict(reversed(params.items()))
    assert Recipe.from_params(backwards).digest() == Recipe.from_params(params).digest()


def test_the_digest_differs_for_any_other_value() -> None:
    other = Recipe.from_params(CHOICES | {"pruning.magnitude.ratio": 0.31})
    assert other.digest() != Recipe.from_params(CHOICES).digest()


def test_one_and_one_point_zero_are_one_recipe() -> None:
    key = "distillation.soft_targets.weight"
    whole, point = (Recipe.from_params(CHOICES | {key: value}) for value in (1, 1.0))
    assert whole.digest() == point.digest()
