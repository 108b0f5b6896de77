"""What a study file means by its models."""

import pytest
import timm
from timm.models import register_model

from search.config.loader import dump_study, load_study, study_from_dict
from spaces.search_space import SearchSpace
from spaces.students.sizes import (
    count_size,
    family_of,
    known_sizes,
    macs_of,
    parameters_of,
)
from spaces.students.wanted import named_models
from tests.messages import naming


def _models(wanted: object, **params: object) -> list[object]:
    space = SearchSpace.from_config({"student": {"timm": {"model": wanted, **params}}})
    return list(space.distributions()["student.timm.model"].edges())


def test_names_stay_in_the_order_in_which_they_are_given() -> None:
    assert _models(["test_vit", "resnet10t"]) == ["test_vit", "resnet10t"]


def test_a_glob_means_all_that_match_sorted() -> None:
    assert _models("mobilenetv3_small_0*") == ["mobilenetv3_small_050", "mobilenetv3_small_075"]


def test_names_and_globs_stand_side_by_side_each_model_once() -> None:
    wanted = ["mobilenetv3_small_075", "test_resnet", "mobilenetv3_small_0*"]
    assert _models(wanted) == ["mobilenetv3_small_075", "test_resnet", "mobilenetv3_small_050"]


def test_a_filter_keeps_what_is_no_larger_than_its_limits() -> None:
    limits = {"glob": "mobilenetv3_*", "max_params": "4M", "max_macs": "100M"}
    found = _models(limits)
    matching = timm.list_models("mobilenetv3_*")
    assert found == [
        name for name in matching if parameters_of(name) <= 4e6 and macs_of(name) <= 1e8
    ]
    assert 0 < len(found) < len(matching)


def test_a_filter_by_family_keeps_what_timm_defines_in_that_module() -> None:
    found = _models({"family": ["ghostnet", "levit"], "max_params": "4M"})
    assert {family_of(str(name)) for name in found} == {"ghostnet"}
    assert len(found) > 1


def test_models_without_weights_are_left_out_where_weights_are_asked_for() -> None:
    anyway, pretrained = _models("test_vit*"), _models("test_vit*", pretrained=True)
    assert set(pretrained) < set(anyway)
    assert all(timm.is_model_pretrained(str(name)) for name in pretrained)


@pytest.mark.parametrize(
    ("wanted", "facts"),
    [
        ("test_vitt*", ["test_vitt*", "'test_vit'"]),
        ({"glob": "xyz_*"}, ["xyz_*"]),
        ({"family": "resnets"}, ["family", "'resnets'", "'resnet'"]),
        (
            {"family": "levit", "max_params": "1M"},
            [20, "max_params", "1,000,000", "levit_128s", f"{parameters_of('levit_128s'):,}"],
        ),
        (
            {"glob": "resnet*", "max_parameters": 5},
            ["glob", "family", "max_params", "max_macs", "'max_parameters'"],
        ),
        ({}, ["glob", "family", "max_params", "max_macs", {}]),
        ({"max_params": "5 apples"}, ["'5 apples'"]),
        ({"glob": []}, ["glob", []]),
        ({"glob": 3}, ["glob", 3]),
    ],
)
def test_what_means_no_model_is_refused_with_its_place(wanted: object, facts: list[object]) -> None:
    with pytest.raises(ValueError, match=naming("student.timm.model", *facts)):
        _models(wanted)


def test_a_study_keeps_the_names_and_needs_no_glob_again(tmp_path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "{study: s, data: {source: digits}, teacher: {model: resnet18, train: {}}, "
        "space: {student: {timm: {model: ['mobilenetv3_small_0*', test_vit]}}}}"
    )
    stored = dump_study(load_study(file))
    assert stored["space"]["student"]["timm"]["model"] == [
        "mobilenetv3_small_050",
        "mobilenetv3_small_075",
        "test_vit",
    ]
    assert study_from_dict(stored).space == stored["space"]


@pytest.mark.parametrize("model", ["resnet10t", "mobilenetv3_small_050", "test_vit"])
def test_the_table_of_sizes_tells_what_counting_finds(model: str) -> None:
    assert known_sizes()[model] == count_size(model)


@pytest.mark.parametrize(
    ("model", "parameters", "macs"),
    [
        # He et al. 2016, table 1: 1.8 and 11.3 billion multiply-adds; timm's counts of parameters.
        ("resnet18", 11_689_512, 1.8e9),
        ("resnet152", 60_192_808, 11.3e9),
    ],
)
def test_sizes_are_those_that_the_paper_names(model: str, parameters: int, macs: float) -> None:
    size = known_sizes()[model]
    assert size.parameters == parameters
    assert size.macs == pytest.approx(macs, rel=0.03)


@pytest.mark.usefixtures("own_registry")
def test_a_model_that_is_new_to_the_table_is_counted() -> None:
    def wholly_new_model(pretrained: bool = False, **given: object) -> object:
        return timm.create_model("test_resnet", pretrained=pretrained, **given)

    wholly_new_model.__module__ = "timm.models.resnet"
    register_model(wholly_new_model)
    assert named_models({"glob": "wholly_new_*", "max_params": "1M"}) == ["wholly_new_model"]
    assert parameters_of("wholly_new_model") == parameters_of("test_resnet")
    assert macs_of("wholly_new_model") == macs_of("test_resnet")
