"""The study of examples/table goes all the way: a table, its groups, and names of its classes."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from PIL import Image

from search.config.loader import load_study
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.evaluation.artifact import read_provenance
from search.evaluation.onnx_metadata import LABELS
from search.export import load
from search.export.exporting import export_student
from search.export.predict import predict
from search.export.verify import verify
from search.files.filestore import FolderStore
from search.run import run_study
from search.storage.storage import Store
from tests.faults.without_ray import TrialRecorder, one_after_another
from tests.pages import ROOT, code_block

EXAMPLE = ROOT / "examples" / "table"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHORT = (
    "search.trials=1",
    "search.views=1",
    "data.train_images=200",
    "teacher.train.epochs=1",
    "space={student: {timm: {model: test_resnet}}, training: {standard: {epochs: 1}}, "
    "distillation: [labels]}",
    "budget={}",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder with the images that its script writes."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "study.yaml").write_text((EXAMPLE / "study.yaml").read_text())
    command = [sys.executable, str(EXAMPLE / "make_images.py"), str(folder)]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def student(folder: Path) -> Path:
    """The student of a short search."""
    places = [f"run.{key}={folder / key}" for key in ("cache", "artifacts")]
    study = load_study(
        folder / "study.yaml", [*places, *SHORT, f"run.storage=sqlite:///{folder / 'retort.db'}"]
    )
    with one_after_another(), Store.open(study.run.storage) as store:
        chosen = run_study(study, store, TrialRecorder())
        assert chosen is not None
        return export_student(store.study(study.study), chosen, folder / "student")


def _prepared(folder: Path) -> Dataset:
    study = load_study(folder / "study.yaml")
    return prepare(study.data, seed=study.seed, cache=FolderStore.of(folder / "cache"))


def test_the_example_reads_its_table(folder: Path) -> None:
    info = _prepared(folder).info
    assert info.classes == NAMES
    assert info.class_ids == tuple("0123456789")
    assert (info.groups, info.shared_groups) == (60, 0)
    assert sum((info.sizes.training, info.sizes.validation, info.sizes.test)) == 1797
    assert info.unused == ()


def test_the_exported_student_says_readable_names_everywhere(student: Path, folder: Path) -> None:
    metadata = onnx.load(student / "model.onnx").metadata_props
    assert json.loads({each.key: each.value for each in metadata}[LABELS]) == list(NAMES)
    assert json.loads((student / "config.json").read_text())["label_names"] == list(NAMES)
    assert load(student)[2] == NAMES
    ((_, classes),) = predict(student, [folder / "images" / "0000.png"])
    assert {each.label for each in classes} == set(NAMES)
    assert "seven" in (student / "README.md").read_text()
    assert read_provenance(student).data.class_ids == tuple("0123456789")


def test_the_exported_student_is_verified_on_the_table_it_is_given(
    student: Path, folder: Path
) -> None:
    (folder / "names.csv").rename(folder / "names.away")
    try:
        checks = {each.name: each for each in verify(student, data=folder / "train.csv")}
    finally:
        (folder / "names.away").rename(folder / "names.csv")
    assert [each for each in checks.values() if each.holds is False] == []
    assert checks["test part"].holds is True


def test_the_pages_table_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text(code_block("docs/tables.md", "csv"))
    (tmp_path / "photos").mkdir()
    for number in range(1, 5):
        name = f"{number:04}.jpg"
        Image.new("RGB", (32, 32), (40 * number, 0, 0)).save(tmp_path / "photos" / name)
    rest = (EXAMPLE / "study.yaml").read_text().partition("teacher:")
    text = f"study: photos\n{code_block('docs/tables.md', 'yaml')}{''.join(rest[1:])}"
    (tmp_path / "study.yaml").write_text(text)
    info = _prepared(tmp_path).info
    assert info.classes == ("cat", "dog")
    assert (info.groups, info.shared_groups) == (4, 0)
    assert (info.sizes.training, info.sizes.validation, info.sizes.test) == (2, 1, 1)
