"""An export is what others load: whole, checked, and the very network that was measured."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from search.errors import ArtifactError, BadInput
from search.evaluation.artifact import RECIPE, WEIGHTS, load_network, read_provenance
from search.evaluation.measure import normalized_batches
from search.export.exporting import export_student, load
from search.export.record import ExportedMeasurements, read_export_record
from search.files.atomic import written_whole
from search.pipeline.study_context import StudyContext
from search.records import Outcome, StudyRecord, TrialRecord, TrialState
from search.storage.storage import Store
from search.targets.onnx_runtime import SERVED, Session
from spaces.axes.quantization import Quantization
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.binary import Binary
from spaces.quantization.int4_weights import Int4Weights
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.ternary import Ternary
from spaces.students.timm_model import Timm
from tests.conftest import CLASSES, SIZE
from tests.messages import naming
from tests.search.conftest import FinishedTrials
from tests.search.export.conftest import Tested

pytestmark = pytest.mark.slow


@torch.no_grad()
def _logits(network: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    logits: torch.Tensor = network(torch.randn(4, 1, SIZE, SIZE, generator=generator))
    return logits


def _artifact(study: StudyRecord, trial: TrialRecord) -> Path:
    assert trial.outcome
    assert trial.outcome.artifact
    return Path(study.artifacts) / trial.outcome.artifact.path


def test_an_export_is_a_folder_whose_checksums_hold(tested: Tested, tmp_path: Path) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "SHA256SUMS", RECIPE, WEIGHTS, SERVED, "predictions.npz",
        "teacher_predictions.npz", "preprocess.py",
    }  # fmt: skip
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert checked.stdout.count(": OK") == 8


def test_the_measured_file_is_handed_over_as_it_is(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    study, trial = finished()
    folder = export_student(study, trial, tmp_path / "student")
    assert (folder / SERVED).read_bytes() == (_artifact(study, trial) / SERVED).read_bytes()


def test_timm_refuses_a_student_that_it_would_build_otherwise(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    study, trial = finished(student=Timm(stem="small"))
    folder = export_student(study, trial, tmp_path / "student")
    own = load_network(_artifact(study, trial))
    assert torch.equal(_logits(load(folder).model), _logits(own))
    assert not torch.equal(_logits(_as_timm_builds_it(own)), _logits(own))
    with pytest.raises(RuntimeError, match="Unknown model"):
        timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert "local-dir" not in (folder / "README.md").read_text()


def _as_timm_builds_it(own: nn.Module) -> nn.Module:
    network = timm.create_model("test_resnet", num_classes=CLASSES, in_chans=1)
    network.load_state_dict(own.state_dict())
    return network.eval()


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_timm_loads_an_unpruned_student_bit_for_bit(
    finished: FinishedTrials, tmp_path: Path, model: str
) -> None:
    study, trial = finished(student=Timm(model=model))
    folder = export_student(study, trial, tmp_path / "student")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    own = load_network(_artifact(study, trial))
    assert torch.equal(_logits(network), _logits(own))
    assert network.pretrained_cfg["input_size"] == (1, SIZE, SIZE)
    assert len(network.pretrained_cfg["label_names"]) == CLASSES


def test_config_json_does_not_take_the_weights_for_timms_own(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    folder = export_student(*finished(), tmp_path / "student")
    said = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    assert said["tag"] == "retort"
    assert said["license"] is None


def test_load_gives_a_pruned_student_bit_for_bit(finished: FinishedTrials, tmp_path: Path) -> None:
    study, trial = finished(pruning=Magnitude(ratio=0.4, recovery=0.5))
    model, _, labels = load(export_student(study, trial, tmp_path / "student"))
    assert torch.equal(_logits(model), _logits(load_network(_artifact(study, trial))))
    assert labels == read_provenance(_artifact(study, trial)).data.classes


def test_load_gives_a_quantized_student_as_it_was_measured(
    finished: FinishedTrials, context: StudyContext, tmp_path: Path
) -> None:
    folder = export_student(*finished(quantization=Int8Static()), tmp_path / "student")
    model, _, _ = load(folder)
    images = next(normalized_batches(context.dataset.test, context.dataset))
    expected = Session(folder / SERVED, threads=1).predict(images)
    assert np.array_equal(model(torch.from_numpy(images)).numpy(), expected)


def test_the_transform_makes_of_a_picture_what_the_student_was_trained_on(
    finished: FinishedTrials, context: StudyContext, tmp_path: Path
) -> None:
    _, transform, _ = load(export_student(*finished(), tmp_path / "student"))
    (pixels,) = next(context.dataset.test.batches(1)).images
    expected = next(normalized_batches(context.dataset.test, context.dataset))[0]
    assert np.array_equal(transform(Image.fromarray(pixels[0].numpy())).numpy(), expected)


def test_recipe_json_tells_what_was_chosen_measured_and_of_which_study(
    tested: Tested, tmp_path: Path
) -> None:
    study, trial = tested()
    told = read_export_record(export_student(study, trial, tmp_path / "student"))
    assert (told.study, told.trial) == ("stripes", trial.number)
    assert told.measured == ExportedMeasurements.of(study, trial)
    assert told.data is not None
    assert told.data.source == "npz"


def test_recipe_json_does_not_tell_where_the_store_is(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    study, trial = finished()
    config = {**study.config, "run": {"storage": "postgresql+psycopg://db.internal/retort"}}
    folder = export_student(replace(study, config=config), trial, tmp_path / "student")
    assert "db.internal" not in (folder / RECIPE).read_text()


def test_a_folder_that_is_there_is_kept(finished: FinishedTrials, tmp_path: Path) -> None:
    kept = tmp_path / "student"
    kept.mkdir()
    with pytest.raises(BadInput, match=naming(kept, "--force")):
        export_student(*finished(), kept)
    assert list(kept.iterdir()) == []


def test_force_replaces_an_earlier_export(finished: FinishedTrials, tmp_path: Path) -> None:
    folder = export_student(*finished(), tmp_path / "student")
    (folder / "README.md").write_text("old")
    export_student(*finished(), folder, force=True)
    assert (folder / "README.md").read_text() != "old"


def test_force_never_replaces_a_students_own_artifact(finished: FinishedTrials) -> None:
    study, trial = finished()
    artifact = _artifact(study, trial)
    with pytest.raises(BadInput, match=naming(artifact, study.artifacts)):
        export_student(study, trial, artifact, force=True)
    assert (artifact / SERVED).is_file()


def test_force_never_replaces_what_is_no_export(finished: FinishedTrials, tmp_path: Path) -> None:
    precious = tmp_path / "home" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("ten years")
    with pytest.raises(BadInput, match=naming("--force", precious.parent)):
        export_student(*finished(), precious.parent, force=True)
    assert precious.read_text() == "ten years"


@pytest.mark.parametrize("name", [RECIPE, WEIGHTS, SERVED])
def test_fault_28_a_damaged_artifact_is_refused_by_name_and_nothing_is_written(
    finished: FinishedTrials, tmp_path: Path, name: str
) -> None:
    study, trial = finished()
    file = _artifact(study, trial) / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=naming(name)):
        export_student(study, trial, tmp_path / "out" / "student")
    assert not (tmp_path / "out").exists()


def test_a_student_that_a_study_of_the_same_name_has_written_over_is_refused(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    study, trial = finished()
    folder = _artifact(study, trial)
    with written_whole(folder) as other:  # whole, but another
        for name in (RECIPE, WEIGHTS, SERVED):
            (other / name).write_bytes((folder / name).read_bytes())
        (other / RECIPE).write_text((folder / RECIPE).read_text() + "\n")
    with pytest.raises(ArtifactError, match=naming(folder)):
        export_student(study, trial, tmp_path / "student")


def test_an_export_that_cannot_be_written_leaves_nothing_behind(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    study, trial = finished()
    target = tmp_path / "file"
    target.write_text("")
    with pytest.raises(OSError, match=naming(target)):
        export_student(study, trial, target / "student")
    assert target.read_text() == ""


def test_what_a_killed_export_left_goes_with_the_next(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    abandoned = tmp_path / f".student.{'0' * 32}.tmp"
    abandoned.mkdir()
    (abandoned / SERVED).write_text("half")
    export_student(*finished(), tmp_path / "student")
    assert not abandoned.exists()


@pytest.mark.parametrize("quantization", [Ternary(), Binary(), Int8Qat(), Int4Weights(tuning=0.5)])
def test_the_floats_of_a_student_trained_under_its_rounding_are_those_that_were_measured(
    quantization: Quantization, finished: FinishedTrials, context: StudyContext, tmp_path: Path
) -> None:
    folder = export_student(*finished(quantization=quantization), tmp_path / "student")
    images = next(normalized_batches(context.dataset.test, context.dataset))
    served = Session(folder / SERVED, threads=1).predict(images)
    with torch.no_grad():
        floats = load_network(folder)(torch.from_numpy(images)).numpy()
    # Where activations are not rounded, nothing but the order of sums differs.
    tolerance = 0.2 if isinstance(quantization, Int8Qat) else 1e-3
    assert np.abs(floats - served).max() <= tolerance * np.abs(served).max()


def test_only_a_complete_trial_can_be_exported(finished: FinishedTrials, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        number = store.start_trial("stripes", params={"student": "timm"}, seed=0)
        outcome = Outcome(state=TrialState.INFEASIBLE, reason="size 1 MB is above 1 KB")
        store.finish_trial("stripes", number, outcome)
        study, trial = store.study("stripes"), store.trial("stripes", number)
    with pytest.raises(BadInput, match=naming(0, "stripes", "infeasible")):
        export_student(study, trial, tmp_path / "student")
