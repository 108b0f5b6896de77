"""An export is what others load: whole, checked, and the very network that was measured."""

import subprocess
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from search.artifacts import RECIPE, SERVED, WEIGHTS, load_network
from search.errors import ArtifactError, BadInput
from search.export import export_student, load
from search.records import Outcome, StudyRecord, TrialRecord, TrialState
from search.store import Store
from spaces.pruning.magnitude import Magnitude
from tests.conftest import CLASSES, SIZE
from tests.search.conftest import Finished


@torch.no_grad()
def _logits(network: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    logits: torch.Tensor = network(torch.randn(4, 1, SIZE, SIZE, generator=generator))
    return logits


def _artifact(study: StudyRecord, trial: TrialRecord) -> Path:
    assert trial.outcome
    assert trial.outcome.artifact
    return Path(study.artifacts) / trial.outcome.artifact.path


def test_an_export_is_a_folder_whose_checksums_hold(finished: Finished, tmp_path: Path) -> None:
    folder = export_student(*finished(), tmp_path / "student")
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "SHA256SUMS", RECIPE, WEIGHTS, SERVED,
    }  # fmt: skip
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert checked.stdout.count(": OK") == 5


def test_timm_loads_an_unpruned_student_bit_for_bit(finished: Finished, tmp_path: Path) -> None:
    study, trial = finished()
    folder = export_student(study, trial, tmp_path / "student")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    own = load_network(_artifact(study, trial))
    assert torch.equal(_logits(network), _logits(own))
    assert network.pretrained_cfg["input_size"] == (1, SIZE, SIZE)
    assert len(network.pretrained_cfg["label_names"]) == CLASSES


def test_load_gives_a_pruned_student_bit_for_bit(finished: Finished, tmp_path: Path) -> None:
    study, trial = finished(pruning=Magnitude(ratio=0.4, recovery=0.5))
    folder = export_student(study, trial, tmp_path / "student")
    assert torch.equal(_logits(load(folder)), _logits(load_network(_artifact(study, trial))))


def test_a_folder_that_is_there_is_kept(finished: Finished, tmp_path: Path) -> None:
    kept = tmp_path / "student"
    kept.mkdir()
    with pytest.raises(BadInput, match="student is there already: name another folder"):
        export_student(*finished(), kept)
    assert list(kept.iterdir()) == []


def test_force_replaces_an_earlier_export(finished: Finished, tmp_path: Path) -> None:
    folder = export_student(*finished(), tmp_path / "student")
    (folder / "README.md").write_text("old")
    export_student(*finished(), folder, force=True)
    assert (folder / "README.md").read_text() != "old"


def test_force_never_replaces_what_is_no_export(finished: Finished, tmp_path: Path) -> None:
    precious = tmp_path / "home" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("ten years")
    with pytest.raises(BadInput, match=r"replaces an earlier export, but .*home is none"):
        export_student(*finished(), precious.parent, force=True)
    assert precious.read_text() == "ten years"


@pytest.mark.parametrize("name", [RECIPE, WEIGHTS, SERVED])
def test_a_damaged_artifact_is_refused_by_name_and_nothing_is_written(
    finished: Finished, tmp_path: Path, name: str
) -> None:
    study, trial = finished()
    file = _artifact(study, trial) / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=f"differs in {name}"):
        export_student(study, trial, tmp_path / "out" / "student")
    assert not (tmp_path / "out").exists()


def test_an_export_that_cannot_be_written_leaves_nothing_behind(
    finished: Finished, tmp_path: Path
) -> None:
    study, trial = finished()
    target = tmp_path / "file"
    target.write_text("")
    with pytest.raises(OSError, match="file"):
        export_student(study, trial, target / "student")
    assert target.read_text() == ""


def test_only_a_complete_trial_can_be_exported(finished: Finished, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        number = store.start_trial("stripes", params={"student": "timm"}, seed=0)
        outcome = Outcome(state=TrialState.INFEASIBLE, reason="size 1 MB is above 1 KB")
        store.finish_trial("stripes", number, outcome)
        study, trial = store.study("stripes"), store.trial("stripes", number)
    with pytest.raises(BadInput, match="trial 0 of stripes is infeasible"):
        export_student(study, trial, tmp_path / "student")
