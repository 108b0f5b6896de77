"""Students that start from a file's weights, or from the teacher's own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from search.config.loader import load_study
from search.config.study import Study
from search.data.dataset import normalize
from search.errors import BadInput
from search.pipeline.setup import prepare_context, requirements_of
from search.pipeline.study_context import StudyContextSpec, open_context
from search.pipeline.trial import finish, run_trial
from search.records import TrialState
from spaces.pruning.magnitude import Magnitude
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from tests.messages import naming
from tests.recorder import TrialRecorder

Specs = Callable[..., StudyContextSpec]


@pytest.fixture
def file(schooled: nn.Module, tmp_path: Path) -> Path:
    save_file(schooled.state_dict(), tmp_path / "student.safetensors")
    return tmp_path / "student.safetensors"


@pytest.fixture
def study(stripes_file: Path, tmp_path: Path, file: Path) -> Callable[..., Study]:
    """Makes a study whose teacher is the file's network, on images of another normalisation."""

    def make(weights: list[str], **more: object) -> Study:
        timm_space = {"model": ["test_resnet", "test_vit"], "weights": weights}
        return Study.model_validate(
            {
                "study": "given",
                "data": {"source": "npz", "path": stripes_file, "flip": False},
                "teacher": {
                    "model": "test_resnet", "checkpoint": file, "mean": [0.4], "std": [0.3],
                    "train": {"epochs": 1, "learning_rate": 1e-5, "weight_decay": 0.0},
                },
                "space": {"student": {"timm": timm_space}, "distillation": ["labels"]},
                "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
                **more,
            }
        )  # fmt: skip

    return make


def _score(outcome_of: Recipe, spec: StudyContextSpec) -> tuple[float | None, int]:
    """The score of the student after its training, and the number of its epochs."""
    outcome = finish(run_trial(outcome_of, open_context(spec), number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    trained = next(stage for stage in outcome.stages if stage.name == "distil")
    return trained.score, len([one for one in outcome.epochs if one.stage == "distil"])


def test_a_student_with_the_teachers_weights_is_the_teacher_and_is_not_trained(
    study: Callable[..., Study], recipe: Callable[..., Recipe]
) -> None:
    spec, teacher = prepare_context(study(["teacher"]), TrialRecorder())
    score, epochs = _score(recipe(student=Timm(weights="teacher")), spec)
    assert epochs == 0
    assert score == pytest.approx(teacher.quality["accuracy"].value, abs=0.06)


def test_the_teachers_pruned_self_recovers(
    study: Callable[..., Study], recipe: Callable[..., Recipe]
) -> None:
    spec, _ = prepare_context(study(["teacher"]), TrialRecorder())
    pruned = recipe(student=Timm(weights="teacher"), pruning=Magnitude(ratio=0.3, recovery=1.0))
    outcome = finish(run_trial(pruned, open_context(spec), number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    assert [stage.name for stage in outcome.stages][:4] == ["admit", "distil", "prune", "recover"]


def test_a_file_gives_a_student_its_weights(
    study: Callable[..., Study], recipe: Callable[..., Recipe], file: Path, schooled: nn.Module
) -> None:
    spec, _ = prepare_context(study([str(file)]), TrialRecorder())
    student = Timm(weights=str(file))
    context = open_context(spec)
    network = spec.requirements.build(student, weights=context.weights(student))
    assert all(
        torch.equal(value, network.state_dict()[key])
        for key, value in schooled.state_dict().items()
    )
    still = replace(recipe().training, learning_rate=1e-5)
    assert _score(recipe(student=student, training=still), spec)[1] == 1


def test_weights_of_other_classes_and_pixels_are_made_to_fit(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    imagenet = timm.create_model("test_resnet", num_classes=1000)
    path = tmp_path / "imagenet.safetensors"
    save_file(imagenet.state_dict(), path)
    spec, _ = prepare_context(study([str(path)]), TrialRecorder())
    context, student = open_context(spec), Timm(weights=str(path))
    network = spec.requirements.build(student, weights=context.weights(student)).eval()
    (batch,) = context.dataset.validation.batches(64)
    cfg = timm.get_pretrained_cfg("test_resnet")
    pixels = batch.images.float() / 255
    coloured = (pixels - np.mean(cfg.mean)) / np.mean(cfg.std)
    with torch.inference_mode():
        info = context.dataset.info
        found = network.forward_features(normalize(batch.images, info.mean, info.std))
        expected = imagenet.eval().forward_features(coloured.expand(-1, 3, -1, -1))
        apart = (found - expected).norm() / expected.norm()
        assert network(normalize(batch.images, info.mean, info.std)).shape == (36, 3)
    assert apart < 0.2  # the edges are padded with another colour


def test_weights_that_fit_another_model_make_a_recipe_infeasible(
    study: Callable[..., Study], recipe: Callable[..., Recipe]
) -> None:
    spec, _ = prepare_context(study(["teacher", "none"]), TrialRecorder())
    other = recipe(student=Timm(model="test_vit", weights="teacher"))
    outcome = finish(run_trial(other, open_context(spec), number=0, seed=0))
    assert outcome.state is TrialState.INFEASIBLE
    assert naming("teacher", "test_vit").search(str(outcome.reason))


def test_weights_that_fit_no_model_are_refused(
    study: Callable[..., Study], stripes, tmp_path: Path
) -> None:
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for weights in (str(tmp_path / "other.safetensors"), str(tmp_path / "missing.safetensors")):
        with pytest.raises(BadInput, match=naming("space.student.timm.weights", weights)):
            requirements_of(study([weights]), stripes.info)


def test_a_teacher_with_a_stem_for_small_images_is_not_copied(
    study: Callable[..., Study], stripes
) -> None:
    stated = study(["teacher"])
    teacher = stated.teachers[0].model_copy(update={"stem": "small"})
    with pytest.raises(BadInput, match=naming("space.student.timm.weights", "stem")):
        requirements_of(stated.model_copy(update={"teacher": teacher}), stripes.info)


def test_a_stage_is_kept_by_the_content_of_the_file(
    study: Callable[..., Study], recipe: Callable[..., Recipe], file: Path, tmp_path: Path
) -> None:
    def key(path: Path) -> str:
        spec, _ = prepare_context(study([str(path)]), TrialRecorder())
        return spec.lineage.training_key(recipe(student=Timm(weights=str(path))), 0)

    first = key(file)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(file.read_bytes())
    assert key(moved) == first
    # What timm writes beside weights says how their images were normalised.
    beside = tmp_path / "hub" / "weights.safetensors"
    beside.parent.mkdir()
    beside.write_bytes(file.read_bytes())
    config = {"pretrained_cfg": {"mean": [0.4], "std": [0.2]}}
    beside.with_name("config.json").write_text(json.dumps(config))
    assert key(beside) != first
    weights = timm.create_model("test_resnet", num_classes=3, in_chans=1).state_dict()
    save_file(weights, file)
    assert key(file) != first


def test_the_file_is_named_relative_to_the_study_files_folder(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "study: a\ndata: {source: digits}\nteacher: {model: test_resnet, train: {}}\n"
        "space: {student: {timm: {model: test_resnet, weights: [none, teacher, w.safetensors]}}}\n"
    )
    space = load_study(tmp_path / "study.yaml").search_space()
    options = getattr(space.distributions()["student.timm.weights"], "options", ())
    assert options == ("none", "teacher", str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    "student",
    [Timm(pretrained=True, weights="teacher"), Timm(stem="small", weights="teacher")],
)
def test_weights_exclude_others(student: Timm, recipe: Callable[..., Recipe]) -> None:
    assert naming("weights", "teacher").search(str(recipe(student=student).conflict()))
