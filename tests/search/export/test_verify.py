"""`retort verify` sees what is wrong with a folder, and that a sound one is sound."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from search.config.data_settings import DataSettings
from search.errors import ArtifactError, BadInput, TargetError
from search.evaluation.artifact import RECIPE, read_provenance
from search.evaluation.measure import quality
from search.evaluation.predictions_file import PREDICTIONS, read_predictions, write_predictions
from search.export.checks import Check
from search.export.evaluated_model import open_model
from search.export.exporting import export_student
from search.export.formats import ExportFormat
from search.export.images import RECORDED, open_images
from search.export.preprocess_file import PREPROCESS
from search.export.record import ExportRecord, read_export_record
from search.export.verify import verify
from search.files.atomic import CHECKSUMS, file_digest
from search.objectives.intervals import interval_text
from search.objectives.metrics import ACCURACY, metric_of
from search.targets.onnx_runtime import SERVED, OnnxRuntime, Session
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.sparse_magnitude import SparseMagnitude
from spaces.quantization.int4_weights import Int4Weights
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.kmeans import KMeans
from spaces.quantization.ternary import Ternary
from spaces.students.timm_model import Timm
from tests.messages import naming
from tests.search.export.conftest import Tested

pytestmark = pytest.mark.slow

Checked = Callable[..., dict[str, Check]]
COUNTED = ("size", "parameters", "MACs")


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    def check(folder: Path, **options: object) -> dict[str, Check]:
        options = {"data": RECORDED, "cache": tmp_path / "cache", **options}
        return {each.name: each for each in verify(folder, **options)}  # type: ignore[arg-type]

    return check


def _rewrite(folder: Path, name: str, content: bytes) -> None:
    """Changes a file and the list of checksums with it, as someone might who means harm."""
    before = file_digest(folder / name)
    (folder / name).write_bytes(content)
    sums = (folder / CHECKSUMS).read_text()
    (folder / CHECKSUMS).write_text(sums.replace(before, file_digest(folder / name)))


@pytest.mark.parametrize(
    "methods",
    [
        {},
        {"student": Timm(stem="small")},
        {"pruning": Magnitude(ratio=0.4, recovery=0.5)},
        {"pruning": SparseMagnitude()},
        {"quantization": Int8Static()},
        {"pruning": Magnitude(ratio=0.4, recovery=0.5), "quantization": Int4Weights()},
        {"quantization": Ternary()},
        {"quantization": KMeans()},
    ],
    ids=["plain", "stem", "pruned", "sparse", "int8", "pruned int4", "ternary", "k-means"],
)
def test_a_sound_student_passes_every_check(
    methods: dict[str, object], tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(**methods), tmp_path / "student")
    found = checked(folder)
    assert [each for each in found.values() if each.holds is False] == []
    assert {"checksums", SERVED, "retort", "test part", "predictions", *COUNTED} <= {*found}
    assert found["test part"].holds is True
    assert naming(0, 36).search(found["predictions"].found)
    pruned = isinstance(methods.get("pruning"), Magnitude)
    assert ("timm" in found) == (not pruned and "student" not in methods)
    assert found["budget"].holds is None


def test_every_further_form_is_loaded_and_compared(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    forms = [ExportFormat.FLOAT32, ExportFormat.FP16, ExportFormat.UINT8, ExportFormat.PT2]
    student = tested(quantization=Int8Static())
    folder = export_student(*student, tmp_path / "student", formats=forms)
    found = checked(folder, trust=True)
    assert [found[form.file].holds for form in forms] == [True] * 4


def test_a_file_that_might_run_code_is_loaded_only_on_trust(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student", formats=[ExportFormat.PT2])
    check = checked(folder)["model.pt2"]
    assert check.holds is None
    assert naming("--trust").search(check.found)


def test_a_form_that_cannot_be_run_fails_alone(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student", formats=[ExportFormat.FP16])
    _rewrite(folder, ExportFormat.FP16.file, b"not of this runtime")
    found = checked(folder)
    assert found[ExportFormat.FP16.file].holds is False
    assert naming(ExportFormat.FP16.file).search(found[ExportFormat.FP16.file].found)
    assert found["size"].holds is True


def test_a_device_that_does_not_start_is_not_measured(
    tested: Tested, checked: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export_student(*tested(), tmp_path / "student")

    def load(_: object, path: Path, *, threads: int, device: str = "") -> Session:
        if device:
            raise TargetError("the GPU does not start")
        return Session(path, threads=threads)

    monkeypatch.setattr(OnnxRuntime, "load", load)
    check = checked(folder)["latency"]
    assert check.holds is None
    assert naming("the GPU does not start").search(check.found)


def test_images_that_come_with_a_library_are_nowhere_else(tmp_path: Path) -> None:
    told = cast("ExportRecord", SimpleNamespace(data=DataSettings(source="digits"), seed=0))
    photos = tmp_path / "photos"
    with pytest.raises(BadInput, match=naming("--data", "scikit-learn", photos)):
        open_images(photos, told, cache=tmp_path / "cache")


def _wrecked(path: Path) -> bytes:
    """The ONNX file with its largest weight negated."""
    model = onnx.load(path)
    largest = max(model.graph.initializer, key=lambda each: np.prod(each.dims))
    largest.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(largest), largest.name))
    wrecked: bytes = model.SerializeToString()
    return wrecked


def test_another_network_under_its_name_is_found_out(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student", formats=[ExportFormat.UINT8])
    _rewrite(folder, SERVED, _wrecked(folder / SERVED))
    found = checked(folder)
    assert found["checksums"].holds is True
    assert found[SERVED].holds is False
    assert found["retort"].holds is False
    assert found[ExportFormat.UINT8.file].holds is False


def _preprocessing(folder: Path, changed: str) -> None:
    text = (folder / PREPROCESS).read_text()
    _rewrite(folder, PREPROCESS, f"{text}\n{changed}\n".encode())


def test_fault_39_the_folder_reads_every_kind_of_image_file_as_retort_does(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    check = checked(export_student(*tested(), tmp_path / "student"))[PREPROCESS]
    assert check.holds is True
    assert naming("7 of 7").search(check.found)


def test_preprocessing_that_is_not_retorts_own_is_run_only_on_trust(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    _preprocessing(folder, f"open({str(tmp_path / 'run')!r}, 'w').close()")
    check = checked(folder)[PREPROCESS]
    assert check.holds is None
    assert naming("--trust").search(check.found)
    assert not (tmp_path / "run").exists()
    assert checked(folder, trust=True)[PREPROCESS].holds is True
    assert (tmp_path / "run").exists()


def test_preprocessing_that_reads_otherwise_is_found_out(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    _preprocessing(folder, "_TURNS.clear()")
    check = checked(folder, trust=True)[PREPROCESS]
    assert check.holds is False
    assert naming("6 of 7").search(check.found)
    _preprocessing(folder, "raise SystemExit('no such luck')")
    check = checked(folder, trust=True)[PREPROCESS]
    assert check.holds is False
    assert naming("no such luck").search(check.found)


def test_compiled_preprocessing_supports_no_claim(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "preprocess.cpython-311.pyc").write_bytes(b"anything")
    check = checked(folder)[PREPROCESS]
    assert check.holds is None
    assert naming("__pycache__").search(check.found)


def test_a_card_that_boasts_is_found_out(tested: Tested, checked: Checked, tmp_path: Path) -> None:
    study, trial = tested()
    folder = export_student(study, trial, tmp_path / "student")
    assert trial.test
    card = (folder / "README.md").read_text()
    said = f"value: {round(trial.test['accuracy'].value, 6)}"
    assert said in card
    _rewrite(folder, "README.md", card.replace(said, "value: 0.05", 1).encode())
    found = checked(folder)["test part"]
    assert found.holds is False
    assert naming("5.00%").search(found.found)


@pytest.mark.parametrize("name", ["agreement", "balanced_accuracy"])
def test_the_metric_that_was_searched_for_is_the_one_that_is_compared(
    name: str, tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    study, trial = tested()
    study = replace(study, config={**study.config, "search": {"objective": name}})
    folder = export_student(study, trial, tmp_path / "student")
    found = checked(folder)["test part"]
    assert found.holds is True
    assert found.found.startswith(metric_of(name).label)
    card = (folder / "README.md").read_text()
    said = f"type: {name}\n"
    assert said in card
    _rewrite(folder, "README.md", card.replace(said, "type: another\n").encode())
    assert checked(folder)["test part"].holds is None


def test_a_student_that_is_always_right_holds_what_its_card_says(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    """The interval of its error, 0, has no width."""
    study, trial = tested()
    study = replace(study, config={**study.config, "search": {"objective": "balanced_accuracy"}})
    exact = round(trial.test["balanced_accuracy"].value, 3)
    folder = export_student(study, trial, tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["measured"]["test"]["balanced_accuracy"]["error"] = 0.0
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    assert checked(folder)["test part"].holds is True
    card = (folder / "README.md").read_text()
    said = f"value: {round(trial.test['balanced_accuracy'].value, 6)}"
    assert said in card
    _rewrite(folder, "README.md", card.replace(said, f"value: {exact - 0.001}", 1).encode())
    assert checked(folder)["test part"].holds is False


def test_a_counted_cost_that_is_not_as_it_is_told_is_found_out(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["measured"]["cost"]["macs"] += 1
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    found = checked(folder)
    assert [found[name].holds for name in COUNTED] == [True, True, False]


def test_predictions_that_are_not_its_own_are_found_out(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    kept = read_predictions(folder / PREDICTIONS)
    kept["test"].classes[:3] += 1
    before = file_digest(folder / PREDICTIONS)
    write_predictions(folder / PREDICTIONS, kept)
    sums = (folder / CHECKSUMS).read_text()
    (folder / CHECKSUMS).write_text(sums.replace(before, file_digest(folder / PREDICTIONS)))
    found = checked(folder)["predictions"]
    assert found.holds is False
    assert naming(3, 36).search(found.found)


def test_a_budget_that_this_machine_breaks_is_said(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["study"]["budget"] = {"latency": "0.0001ms"}
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    found = checked(folder)
    assert found["latency"].holds is None
    assert found["budget"].holds is False
    assert naming("latency").search(found["budget"].found)


def test_a_budget_that_holds_here_is_said_with_all_its_limits(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["study"]["budget"] = {"latency": "1m", "size": "1GB", "parameters": 10**9}
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    found = checked(folder)["budget"]
    assert found.holds is True
    assert naming("size", "1.00 GB", "latency", "60.0 s", "parameters", "1.00 G").search(
        found.found
    )
    document["study"]["budget"] = {"macs": 1000}
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    found = checked(folder)["budget"]
    assert found.holds is False
    assert naming("MACs", "1.00 k").search(found.found)


def test_a_latency_of_a_device_that_is_not_here_is_not_measured(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has the device")
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["measured"]["hardware"]["device"] = "cuda"
    document["study"]["budget"] = {"latency": "1m"}
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    found = checked(folder)
    assert found["latency"].holds is None
    assert naming("cuda", "CUDAExecutionProvider").search(found["latency"].found)
    assert found["budget"].holds is None


def test_data_without_a_test_part_are_not_graded(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["study"]["data"]["test_share"] = 0
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    found = checked(folder)["test part"]
    assert not len(open_images(RECORDED, read_export_record(folder), cache=tmp_path / "cache").test)
    assert found.holds is None
    assert "%" not in found.found


def test_data_that_moved_are_taken_from_where_they_are_now(
    tested: Tested, checked: Checked, stripes_file: Path, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["study"]["data"]["path"] = "/nowhere/stripes.npz"
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    lost = checked(folder)["test part"]
    assert lost.holds is None
    assert "/nowhere/stripes.npz" in lost.found
    assert checked(folder, data=stripes_file)["test part"].holds is True


def test_other_images_than_those_of_the_card_support_no_claim(
    tested: Tested, checked: Checked, stripes_file: Path, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    with np.load(stripes_file) as stripes:
        np.savez(
            tmp_path / "other.npz", images=stripes["images"][::-1], labels=stripes["labels"][::-1]
        )
    check = checked(folder, data=tmp_path / "other.npz")["test part"]
    assert check.holds is None
    assert "%" in check.found  # they are graded, and no claim is made of it


def test_other_images_are_given_as_the_student_takes_them(
    tested: Tested, checked: Checked, stripes_file: Path, tmp_path: Path
) -> None:
    """Not by the mean, the deviation and the size of these data."""
    folder = export_student(*tested(), tmp_path / "student")
    with np.load(stripes_file) as stripes:
        np.savez(tmp_path / "dark.npz", images=stripes["images"] // 8, labels=stripes["labels"])
    data = json.loads((folder / RECIPE).read_text())["study"]["data"]
    study = {
        "study": "dark",
        "data": data | {"path": str(tmp_path / "dark.npz"), "image_size": 40},
        "teacher": {"model": "test_resnet", "train": {}},
        "space": {"student": {"timm": {"model": "test_resnet"}}},
    }
    (tmp_path / "dark.yaml").write_text(json.dumps(study))  # YAML holds all of JSON
    check = checked(folder, data=tmp_path / "dark.yaml")["test part"]
    images = open_images(tmp_path / "dark.yaml", None, cache=tmp_path / "cache")
    info = read_provenance(folder).data
    student = open_model(str(folder), info, threads=1, scratch=tmp_path)
    again = quality(student.predict(images.test), teacher=None)["accuracy"]
    assert check.holds is None
    assert interval_text(ACCURACY, again, len(images.test)) in check.found


def test_images_without_labels_may_be_left_behind(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    document = json.loads((folder / RECIPE).read_text())
    document["study"]["data"]["unlabelled"] = "/nowhere/more"
    document["data"] |= {"unlabelled": 9, "digest": "of all"}
    _rewrite(folder, RECIPE, json.dumps(document).encode())
    assert checked(folder)["test part"].holds is True


def test_a_damaged_folder_is_refused_by_name(
    tested: Tested, checked: Checked, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match=naming(folder, "config.json")):
        checked(folder)
