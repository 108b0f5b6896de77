"""Rows 19 and 28 of the faults: pickles, and exported folders that are damaged or newer."""

import json
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from search.cli.app import app
from search.errors import ArtifactError, BadInput, RetortError
from search.evaluation.artifact import RECIPE, WEIGHTS
from search.export.exporting import export_student, load
from search.files.atomic import CHECKSUMS, written_whole
from search.targets.onnx_runtime import SERVED
from tests.search import conftest as of_search
from tests.search.conftest import FinishedTrials

finished, run_once = of_search.finished, of_search.run_once


class _Payload:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.trace, "ran"))


@pytest.fixture
def student(finished: FinishedTrials, tmp_path: Path) -> Path:
    return export_student(*finished(), tmp_path / "student")


def _replace(folder: Path, **files: bytes) -> None:
    """Writes the folder anew with other contents, and checksums that fit them."""
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != CHECKSUMS}
    with written_whole(folder) as temporary:
        for name, content in (kept | files).items():
            (temporary / name).write_bytes(content)


@pytest.mark.parametrize("form", ["pickle", "torch.save"])
def test_fault_19_a_pickle_in_the_place_of_weights_is_refused_and_does_not_run(
    form: str, student: Path, tmp_path: Path
) -> None:
    trace, payload = tmp_path / "trace", tmp_path / "payload"
    if form == "pickle":
        payload.write_bytes(pickle.dumps(_Payload(trace)))
    else:
        torch.save({"weight": _Payload(trace)}, payload)
    _replace(student, **{WEIGHTS: payload.read_bytes()})
    with pytest.raises(ArtifactError, match=r"the student in .* can't be rebuilt"):
        load(student)
    assert not trace.exists()


def test_fault_19_a_pickle_as_a_teachers_checkpoint_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / "trace"
    torch.save(
        {"state_dict": nn.Linear(2, 2).state_dict(), "extra": _Payload(trace)}, "teacher.pth"
    )
    study = {
        "study": "unsafe",
        "data": {"source": "digits"},
        "teacher": {"model": "test_resnet", "checkpoint": "teacher.pth"},
        "space": {"student": {"timm": {"model": ["test_resnet"]}}},
        "run": {"cache": "cache"},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    done = CliRunner().invoke(app, ["run", "study.yaml"])
    assert isinstance(done.exception, BadInput)
    assert "state_dict()" in str(done.exception)
    assert not trace.exists()


def test_fault_19_a_pickle_in_the_place_of_an_exported_network_is_not_loaded_unasked(
    student: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    _replace(student, **{"model.pt2": pickle.dumps(_Payload(trace))})
    done = CliRunner().invoke(app, ["verify", str(student), "--cache", str(tmp_path / "cache")])
    assert "pass --trust" in done.stdout
    assert not trace.exists()


COMMANDS = {
    "verify": ["verify"],
    "predict": ["predict", "image.png"],
    "evaluate": ["evaluate"],
    "profile": ["profile", "--on", "http://127.0.0.1:9"],
}


def _refusal(command: str, student: Path, monkeypatch: pytest.MonkeyPatch) -> RetortError:
    monkeypatch.chdir(student.parent)
    Image.new("L", (32, 32)).save("image.png")
    name, *rest = COMMANDS[command]
    done = CliRunner().invoke(app, [name, str(student), *rest])
    assert isinstance(done.exception, RetortError)
    return done.exception


@pytest.mark.parametrize("file", [RECIPE, WEIGHTS, SERVED, "config.json", "README.md", CHECKSUMS])
def test_fault_28_a_damaged_folder_is_refused_by_the_name_of_the_file(
    file: str, student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = student / file
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    for command in COMMANDS:
        error = _refusal(command, student, monkeypatch)
        assert isinstance(error, ArtifactError)
        # A list that is damaged itself names what it no longer fits.
        assert file == CHECKSUMS or file in str(error)


def test_fault_28_a_folder_of_a_newer_version_is_refused_with_both_numbers(
    student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((student / RECIPE).read_text())
    _replace(student, **{RECIPE: json.dumps({**document, "format": 99}).encode()})
    for command in COMMANDS:
        error = _refusal(command, student, monkeypatch)
        assert "of format 2 or older, but is of format 99: read it with a newer" in str(error)


def test_a_folder_that_holds_no_student_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"neither recipe\.json nor SHA256SUMS"):
        load(tmp_path)


def test_fault_28_a_file_that_is_missing_is_named(student: Path) -> None:
    (student / SERVED).unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        load(student)
