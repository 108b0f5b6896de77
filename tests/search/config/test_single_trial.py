"""A trial as a study file of its own."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from search.config.loader import dump_study, load_study
from search.config.presets import preset_text
from search.config.single_trial import study_of_trial
from search.errors import BadInput
from search.records import StudyRecord, StudyState, TrialKind, TrialRecord, TrialState
from spaces.recipe import Recipe
from tests.messages import naming

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARAMS = {
    "student": "timm",
    "student.timm.model": "test_resnet",
    "training": "standard",
    "training.standard.learning_rate": 1e-5,
    "distillation": "soft_targets",
    "pruning": "magnitude",
    "pruning.magnitude.ratio": 0.34,
    "quantization": "int8_static",
}


def _study(tmp_path: Path, *overrides: str) -> StudyRecord:
    file = tmp_path / "digits.yaml"
    file.write_text(preset_text("digits"))
    return StudyRecord(
        name="digits",
        state=StudyState.FINISHED,
        config=dump_study(load_study(file, overrides)),
        artifacts="artifacts",
        teacher=None,
        created_at=NOW,
        changed_at=NOW,
    )


def _trial() -> TrialRecord:
    return TrialRecord(
        study="digits",
        number=12,
        state=TrialState.COMPLETE,
        params=Recipe.from_params(PARAMS).to_params(),
        seed=0,
        started_at=NOW,
        finished_at=NOW,
        outcome=None,
    )


def _written(study: StudyRecord, trial: TrialRecord, tmp_path: Path) -> Path:
    file = tmp_path / "again.yaml"
    file.write_text(yaml.safe_dump(study_of_trial(study, trial), sort_keys=False))
    return file


def test_its_space_holds_the_trials_recipe_alone(tmp_path: Path) -> None:
    again = load_study(_written(_study(tmp_path), _trial(), tmp_path))
    space = again.search_space()
    assert space.count() == 1
    found = Recipe.from_params(
        {name: distribution.at(0.5) for name, distribution in space.distributions().items()}
    )
    assert found.to_params() == _trial().params


def test_it_trains_once_on_the_same_data_with_the_same_seed(tmp_path: Path) -> None:
    study = _study(tmp_path, "seed=7", "search.warm_start=[another]")
    again = load_study(_written(study, _trial(), tmp_path))
    assert (again.study, again.seed) == ("digits-trial-12", 7)
    assert (again.search.trials, again.search.branches) == (1, 0)
    assert again.search.warm_start == []
    assert dump_study(again)["data"] == study.config["data"]
    assert dump_study(again)["budget"] == study.config["budget"]


def test_a_long_name_stays_a_name(tmp_path: Path) -> None:
    study = replace(_study(tmp_path), name="x" * 64)
    again = load_study(_written(study, _trial(), tmp_path))
    assert again.study == "x" * 55 + "-trial-12"


def test_a_masked_password_is_not_taken_for_one(tmp_path: Path) -> None:
    study = _study(tmp_path, "run.storage=postgresql+psycopg://me:hunter2@host/db")
    again = load_study(_written(study, _trial(), tmp_path))
    assert again.run.storage == "sqlite:///retort.db"


def test_it_has_no_finalists(tmp_path: Path) -> None:
    final = replace(_trial(), kind=TrialKind.FINAL, repeats=3)
    study = _study(tmp_path, f"seed={final.seed}", "final={students: 2}")
    assert load_study(_written(study, final, tmp_path)).final is None


@pytest.mark.parametrize(("kind", "views"), [(TrialKind.SEARCH, 6), (TrialKind.FINAL, 40)])
def test_the_student_sees_as_many_views_as_it_saw(
    kind: TrialKind, views: int, tmp_path: Path
) -> None:
    study = replace(_study(tmp_path, "search.views=auto"), views=6, final_views=40)
    trial = replace(_trial(), kind=kind, seed=study.config["seed"])
    assert load_study(_written(study, trial, tmp_path)).search.views == views


def test_what_no_study_file_can_repeat_is_refused(tmp_path: Path) -> None:
    study = _study(tmp_path, f"seed={_trial().seed}")
    refit = replace(_trial(), kind=TrialKind.REFIT, repeats=9)
    with pytest.raises(BadInput, match=naming("trial 12", "trial 9")):
        study_of_trial(study, refit)
    final = replace(_trial(), kind=TrialKind.FINAL, repeats=3, seed=_trial().seed + 1)
    with pytest.raises(BadInput, match=naming("trial 12", "trial 3")):
        study_of_trial(study, final)
