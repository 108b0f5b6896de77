"""The ready studies: each is sound as it stands, and runs, shortened, on images made here."""

import re
from pathlib import Path

import pytest

from search.config.loader import load_study
from search.config.presets import preset_names, preset_summary, preset_text
from search.config.study import Study
from search.errors import BadInput
from search.pipeline.checks import student_models
from search.progress import SilentCallback
from search.records import TrialKind, TrialState
from search.run import run_study
from search.storage.storage import Store
from spaces.students.sizes import parameters_of
from tests.faults.without_ray import one_after_another
from tests.messages import naming

over_presets = pytest.mark.parametrize("name", preset_names())

# In place of each preset's images, networks, epochs and machine: nothing else of it is changed.
SHORTENED = (
    "data={source: npz, path: STRIPES, image_size: 32, flip: false}",
    "teacher={model: test_resnet, train: {epochs: 1, batch_size: 16}}",
    "space.student.timm.model=[test_resnet, test_byobnet]",
    "space.student.timm.pretrained=false",
    "space.training.standard.epochs=2",
    "space.training.standard.batch_size=16",
    "space.training.standard.warmup_epochs=1",
    "budget={}",
    "search={trials: 3, views: 2, sampler: random, branches: 0}",
    "final={students: 1, epochs: 3}",
    "run.parallel=1",
    "run.cpus=1",
    "run.gpus=0",
)


def _loaded(name: str, folder: Path, *overrides: str) -> Study:
    file = folder / "study.yaml"
    file.write_text(preset_text(name))
    return load_study(file, overrides)


def test_there_is_one_for_each_purpose() -> None:
    assert preset_names() == (
        "digits", "edge-int8", "mobile-cpu", "server-gpu", "small-images-cpu",
    )  # fmt: skip


@over_presets
def test_a_preset_is_sound_and_says_what_it_is_for(name: str, tmp_path: Path) -> None:
    study = _loaded(name, tmp_path)
    assert study.budget.limits()
    assert study.final is not None
    assert len(student_models(study)) > 3
    assert preset_summary(name).endswith(".")
    assert study.data.augment.flip is not None
    assert re.search(r"^    flip: (true|false) +# \w+", preset_text(name), re.MULTILINE)


def test_the_students_for_phones_are_small_as_timm_counts(tmp_path: Path) -> None:
    models = student_models(_loaded("mobile-cpu", tmp_path))
    assert max(parameters_of(model) for model in models) <= 8e6


def test_a_preset_that_is_not_there_is_refused_with_one_that_comes_near() -> None:
    with pytest.raises(BadInput, match=naming("'mobile'", "'mobile-cpu'")):
        preset_text("mobile")


@pytest.mark.slow
@over_presets
def test_a_preset_runs_in_short(name: str, stripes_file: Path, tmp_path: Path) -> None:
    places = (
        f"run.cache={tmp_path / 'cache'}",
        f"run.artifacts={tmp_path / 'artifacts'}",
        f"run.storage=sqlite:///{tmp_path / 'retort.db'}",
    )
    shortened = [override.replace("STRIPES", str(stripes_file)) for override in SHORTENED]
    study = _loaded(name, tmp_path, *shortened, *places)
    with one_after_another(), Store.open(study.run.storage) as store:
        run_study(study, store, SilentCallback())
        trials = store.trials(study.study, whole=True)
    assert [trial.kind for trial in trials] == [TrialKind.SEARCH] * 3 + [TrialKind.FINAL]
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4, [
        (trial.params, trial.outcome and (trial.outcome.reason, trial.outcome.failure))
        for trial in trials
    ]
