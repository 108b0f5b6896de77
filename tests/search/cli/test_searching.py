"""init, plan and run: what they write, and what they refuse before they write anything."""

import json
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
import yaml
from huggingface_hub import constants
from PIL import Image

from search.config.presets import preset_names
from search.errors import ArtifactError, BadInput, StudyFileError
from tests.messages import naming
from tests.search.cli.conftest import Retort, RetortProcess

WriteStudy = Callable[..., Path]


@pytest.fixture
def write_study(home: Path, stripes_file: Path) -> WriteStudy:
    """Writes `study.yaml`, a search for a test_resnet on stripes, with these sections replaced."""

    def write(**sections: object) -> Path:
        study = {
            "study": "stripes",
            "data": {"source": "npz", "path": str(stripes_file), "flip": False},
            "teacher": {"model": "test_resnet", "train": {"epochs": 1, "batch_size": 16}},
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "training": {"standard": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0}},
                "distillation": ["labels"],
                "quantization": ["float32", "int8_static"],
            },
            "search": {"trials": 2, "views": 1},
            "run": {"parallel": 1, "cache": str(home / "cache")},
        }
        file = home / "study.yaml"
        file.write_text(yaml.safe_dump({**study, **sections}))
        return file

    return write


@pytest.mark.parametrize("preset", preset_names())
def test_init_writes_a_study_that_plan_can_read(retort: Retort, home: Path, preset: str) -> None:
    result = retort("init", "new", "--preset", preset)
    assert "retort run new/study.yaml" in result.stdout
    assert (home / "new/study.yaml").read_text().startswith("#")
    with pytest.raises(StudyFileError, match=naming("search.trials", "'none'")):
        retort("plan", "new/study.yaml", "search.trials=none")


def test_init_refuses_to_replace_a_file(retort: Retort, home: Path) -> None:
    (home / "study.yaml").write_text("mine")
    with pytest.raises(BadInput, match=naming("study.yaml", "--force")):
        retort("init")
    assert (home / "study.yaml").read_text() == "mine"


def test_init_replaces_a_file_when_told_to(retort: Retort, home: Path) -> None:
    (home / "study.yaml").write_text("mine")
    retort("init", "--force")
    assert (home / "study.yaml").read_text() != "mine"


def test_init_shows_a_bracketed_folder_literally(retort: Retort) -> None:
    assert "[red]x/study.yaml" in retort("init", "[red]x").stdout


def test_an_unknown_preset_brings_what_comes_near_and_writes_nothing(
    retort: Retort, home: Path
) -> None:
    with pytest.raises(BadInput, match=naming("'digit'", "'digits'")):
        retort("init", "new", "--preset", "digit")
    assert list(home.iterdir()) == []


def test_plan_counts_the_space_and_records_no_trial(
    retort: Retort, write_study: WriteStudy, home: Path
) -> None:
    plan = json.loads(retort("plan", str(write_study()), "--json").stdout)
    assert plan["recipes"] == 2
    assert len(plan["draws"]) == 2
    assert plan["share_that_fits"] == 1
    assert plan["images"] == [168, 36, 36]
    assert {path.name for path in home.iterdir()} == {"study.yaml", "cache"}


def test_fault_39_plan_tells_augmentation_unused_files_and_warnings(
    retort: Retort, write_study: WriteStudy, home: Path
) -> None:
    for number in range(20):
        for name in ("left", "right"):
            (home / "images" / name).mkdir(parents=True, exist_ok=True)
            Image.effect_noise((32, 32), 40).save(home / "images" / name / f"{number}.png")
    (home / "images" / "left" / "a.heic").touch()
    file = write_study(data={"source": "folder", "path": "images"})
    plan = json.loads(retort("plan", str(file), "--json").stdout)
    assert plan["unused"] == {".heic": 1}
    assert "mirrored at random" in plan["augmentation"]
    assert any(
        naming("'left'", "'right'", "data.augment.flip").search(line) for line in plan["warnings"]
    )
    shown = " ".join(retort("plan", str(file)).stdout.split())
    assert naming("mirrored at random", "1 .heic", "'left'", "10%").search(shown)


def test_plan_shows_what_would_be_rejected_in_eighty_columns(
    retort: Retort, write_study: WriteStudy
) -> None:
    shown = retort("plan", str(write_study(budget={"size": "600KB"}))).stdout
    assert any(naming(1, 2, "50%").search(line) for line in shown.splitlines())
    refused = naming("test_resnet", "labels", "float32", "size", "1.45 MB")
    assert any(refused.search(line) for line in shown.splitlines())
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


REFUSED = {
    "a student that timm does not have": (
        "space.student.timm.model=tset_resnet",
        ["space.student.timm.model", "'test_resnet'"],
    ),
    "a teacher that timm does not have": (
        "teacher.model=tset_resnet",
        ["teacher.model", "'test_resnet'"],
    ),
    "more trials at a time than there are cores": (
        "run.parallel=5000",
        ["run.parallel", "run.cpus", 5000],
    ),
    "a space of contradictions": (
        "space.training.standard.warmup_epochs=100",
        ["training.standard", "warmup_epochs", "epochs"],
    ),
    "a range upside down": (
        "space.pruning={magnitude: {ratio: {low: 0.9, high: 0.1}}}",
        ["space.pruning.magnitude.ratio", 0.9, 0.1],
    ),
    "an axis without a method": ("space.pruning=[]", ["space.pruning", "magnitude", "[]"]),
    "a URL that would be stored with its password": (
        "run.artifacts=s3://me:hunter2@bucket/students",
        ["run.artifacts", "s3://me:***@bucket/students"],
    ),
    "a file system that is not installed": (
        "run.cache=gs://bucket/cache",
        ["gs://bucket/cache", "gcsfs"],
    ),
    "a typo": ("search.trails=3", ["search.trails", "'trials'"]),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(("override", "facts"), REFUSED.values(), ids=REFUSED)
def test_fault_25_what_cannot_run_is_refused_before_any_work(
    retort: Retort,
    write_study: WriteStudy,
    home: Path,
    command: str,
    override: str,
    facts: list[object],
) -> None:
    with pytest.raises(BadInput, match=naming(*facts)):
        retort(command, str(write_study()), override)
    assert not (home / "cache").exists()
    assert not (home / "artifacts").exists()


def test_a_store_beside_a_file_that_names_its_own_is_refused(
    retort: Retort, write_study: WriteStudy, home: Path
) -> None:
    facts = ("--store", "study.yaml", "run.storage=sqlite:///o.db")
    with pytest.raises(BadInput, match=naming(*facts)):
        retort("resume", str(write_study()), "--store", "sqlite:///o.db")
    assert not (home / "o.db").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_gpu_that_is_not_there_is_refused_before_any_work(
    retort: Retort, write_study: WriteStudy, home: Path, command: str
) -> None:
    with pytest.raises(BadInput, match=naming("run.gpus", 1)):
        retort(command, str(write_study()), "run.gpus=1")
    assert not (home / "cache").exists()


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="it serves on CUDA"
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_fault_25_a_runtime_that_does_not_serve_on_the_target_is_refused_before_any_work(
    retort: Retort, write_study: WriteStudy, home: Path, command: str
) -> None:
    facts = ("CUDAExecutionProvider", "onnxruntime-gpu", "budget.target.device")
    with pytest.raises(ArtifactError, match=naming(*facts)):
        retort(command, str(write_study()), "budget.target.device=cuda")
    assert not (home / "cache").exists()


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    "override",
    ["teacher={model: test_resnet, pretrained: true}", "space.student.timm.pretrained=true"],
)
def test_pretrained_weights_that_cannot_be_had_are_refused_before_any_work(
    retort: Retort,
    write_study: WriteStudy,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    override: str,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    facts = ("test_resnet", home / "hub", "HF_HUB_OFFLINE", "pretrained: false")
    with pytest.raises(BadInput, match=naming(*facts)):
        retort(command, str(write_study()), override)
    assert not (home / "cache").exists()


def test_one_epoch_alone_is_a_training(retort: Retort, write_study: WriteStudy) -> None:
    space = {"student": {"timm": {"model": "test_resnet"}}, "distillation": ["labels"]}
    file = write_study(space=space | {"training": {"standard": {"epochs": 1}}})
    plan = json.loads(retort("plan", str(file), "--json").stdout)
    assert plan["share_that_fits"] == 1
    assert plan["contradictions"] == {}


def test_plan_tells_its_progress_beside_its_output(retort: Retort, write_study: WriteStudy) -> None:
    result = retort("plan", str(write_study()), "--json")
    assert "recipe 1 of" in result.stderr
    json.loads(result.stdout)


def test_fault_25_a_student_that_cannot_take_the_images_is_refused_at_plan(
    retort: Retort, write_study: WriteStudy
) -> None:
    file = write_study(space={"student": {"timm": {"model": "inception_v4"}}})
    with pytest.raises(BadInput, match=naming("space", "InceptionV4", 32)):
        retort("plan", str(file))


def test_fault_20_what_is_refused_leaves_no_store_behind(
    retort_main: RetortProcess, write_study: WriteStudy, home: Path
) -> None:
    result = retort_main("run", str(write_study()), "teacher.model=tset_resnet")
    assert result.returncode == 2
    assert naming("teacher.model", "'test_resnet'").search(result.stderr)
    assert [path.name for path in home.iterdir()] == ["study.yaml"]
