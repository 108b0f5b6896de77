"""The arms that compare distillations."""

import argparse

import pytest

from benchmarks.ablation import base_of
from benchmarks.distillation_arms import distillation_arms
from spaces.distillation.dkd import DKD
from spaces.recipe import Recipe

OPTIONS = argparse.Namespace(student="test_resnet", stem="small", epochs=60)


def _recipes(epochs: int = 60) -> dict[str, Recipe]:
    return {
        arm.name: Recipe.from_params({**base_of(OPTIONS), **arm.params})
        for arm in distillation_arms(epochs)
    }


def test_every_arm_is_another_distillation_of_the_same_recipe() -> None:
    recipes = _recipes()
    assert len({recipe.distillation for recipe in recipes.values()}) == len(recipes)
    assert len({(recipe.student, recipe.training) for recipe in recipes.values()}) == 1
    assert {recipe.conflict() for recipe in recipes.values()} == {None}


def test_the_warm_up_of_20_epochs_is_a_share_of_the_training() -> None:
    for epochs, share in ((60, 1 / 3), (240, 20 / 240), (10, 1.0)):
        found = _recipes(epochs)["dkd, warm-up of 20 epochs"].distillation
        assert isinstance(found, DKD)
        assert found.warmup == pytest.approx(share)
