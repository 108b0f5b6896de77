"""A resumed study keeps the defaults that it began with."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from search.config.study import Study
from search.records import TrialKind, TrialRecord, TrialState
from search.tuner.earlier_defaults import with_earlier_defaults
from spaces.distributions import FloatRange, OneOf, Scalar
from spaces.recipe import Recipe

RATE = "training.standard.learning_rate"
FREEZE = "training.standard.freeze_statistics"
# As an earlier version stored it, whose default was a number.
STORED = {
    **Recipe.from_params(
        {
            "student": "timm", "training": "standard", "distillation": "labels",
            "pruning": "none", "quantization": "float32",
        }
    ).to_params(),
    FREEZE: "auto",
    RATE: 0.01,
}  # fmt: skip


def _study(training: object) -> Study:
    space = {"student": {"timm": {"model": ["test_resnet"]}}, "distillation": ["labels"]}
    return Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "digits"},
            "teacher": {"model": "test_resnet", "train": {}},
            "space": space if training is None else {**space, "training": training},
        }
    )


def _trial(params: Mapping[str, Scalar], kind: TrialKind = TrialKind.SEARCH) -> TrialRecord:
    return TrialRecord(
        study="stripes",
        number=0,
        state=TrialState.COMPLETE,
        params=params,
        seed=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=None,
        outcome=None,
        kind=kind,
    )


@pytest.mark.parametrize(
    "training", [None, "standard", ["standard"], {"standard": None}, {"standard": {"epochs": 8}}]
)
def test_a_default_that_has_changed_stays_as_the_trials_have_it(training: object) -> None:
    study = _study(training)
    assert not study.search_space().contains(STORED)
    kept = with_earlier_defaults(study, [_trial(STORED)]).search_space()
    assert kept.contains(STORED)
    assert kept.distributions()[RATE] == OneOf((0.01,))
    before = {**study.search_space().distributions(), RATE: OneOf((0.01,))}
    assert kept.distributions() == before


def test_a_parameter_that_the_study_names_stays_as_it_is_named() -> None:
    study = _study({"standard": {"learning_rate": {"low": 1e-3, "high": 5e-3}}})
    kept = with_earlier_defaults(study, [_trial(STORED)]).search_space()
    assert kept.distributions()[RATE] == FloatRange(1e-3, 5e-3, log=True)


def test_trials_within_the_space_change_nothing() -> None:
    study = _study({"standard": {"epochs": 8}})
    older: dict[str, Scalar] = {key: STORED[key] for key in STORED if key != RATE}
    for recipes in ([], [older], [{**STORED, RATE: "auto"}]):
        assert with_earlier_defaults(study, [*map(_trial, recipes)]) == study


def test_a_study_from_before_a_parameter_goes_on_as_if_it_were_off() -> None:
    older: dict[str, Scalar] = {one: STORED[one] for one in STORED if one not in (FREEZE, RATE)}
    kept = with_earlier_defaults(_study("standard"), [_trial(older)]).search_space()
    assert kept.distributions()[FREEZE] == OneOf((False,))
    assert kept.contains(Recipe.from_params(older).to_params())


def test_neither_finalists_nor_halved_batches_widen_the_space() -> None:
    study, auto = _study("standard"), {**STORED, RATE: "auto"}
    finalist = _trial({**auto, "training.standard.epochs": 40}, TrialKind.FINAL)
    halved = _trial({**auto, "training.standard.batch_size": 32})
    assert with_earlier_defaults(study, [_trial(auto), finalist, halved]) == study
