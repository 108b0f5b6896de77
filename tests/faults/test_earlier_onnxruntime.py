"""Every ONNX file loads in ONNX Runtime 1.17, which is far older than the one installed here."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from search.data.dataset import Dataset
from search.evaluation.artifact import Provenance
from search.evaluation.measure import calibration_batches, normalized_batches
from search.export.formats import ExportFormat
from search.export.writers import WriterSource, write_formats
from search.targets.float_student import FloatStudent
from search.targets.onnx_export import export_onnx
from search.targets.onnx_imports import least_onnxruntime, unused_imports
from search.targets.onnx_runtime import OnnxRuntime, Session
from spaces import registry
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.pruning.none import NoPruning
from spaces.pruning.sparse_magnitude import SparseMagnitude
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from tests.conftest import CLASSES, SIZE

EARLIER = "1.17.3"
SHAPE = (1, SIZE, SIZE)
FORMATS = list(registry.methods("quantization"))
EXPORTED = [each for each in ExportFormat if each.is_onnx]

# Loads every file in the earlier version; its logits for the images of the first argument.
_LOAD = """\
import json, sys
import numpy, onnxruntime
images, found = numpy.load(sys.argv[1]), {}
for path in sys.argv[2:]:
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found[path] = session.run(None, {session.get_inputs()[0].name: images})[0].tolist()
    except Exception as error:
        found[path] = str(error)
print(json.dumps({"version": onnxruntime.__version__, "found": found}))
"""


@pytest.fixture(scope="module")
def served(
    schooled: nn.Module, stripes: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A student in every number format, and a sparse one in some."""
    folder = tmp_path_factory.mktemp("served")
    dense, sparse = NoPruning(), SparseMagnitude()
    return {
        **_all_made(schooled, dense, FORMATS, folder / "dense", stripes),
        **_all_made(schooled, sparse, ["float32", "int8_static"], folder / "sparse", stripes),
    }


def _all_made(
    network: nn.Module, pruning: Pruning, kinds: Sequence[str], folder: Path, dataset: Dataset
) -> dict[str, Path]:
    folder.mkdir()
    student = FloatStudent(network, folder / "floats", SHAPE, pruning=pruning)
    for kind in kinds:
        _make(student, folder / f"{kind}.onnx", kind, dataset)
    return {f"{folder.name} {kind}": folder / f"{kind}.onnx" for kind in kinds}


def _make(student: FloatStudent, path: Path, kind: str, dataset: Dataset) -> None:
    quantization = registry.method("quantization", kind)()
    assert isinstance(quantization, Quantization)
    images = calibration_batches(dataset, seed=0)
    OnnxRuntime().make(student, path, quantization=quantization, calibration=images)


@pytest.fixture(scope="module")
def exported(
    served: dict[str, Path],
    schooled: nn.Module,
    stripes: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """The further ONNX forms of a student in int8, as an artifact of an earlier version has it."""
    folder = tmp_path_factory.mktemp("exported")
    measured = onnx.load(served["dense int8_static"])
    measured.opset_import.add(domain="ai.onnx.ml", version=5)
    onnx.save(measured, folder / OnnxRuntime.file)
    recipe = Recipe.from_params({**_params(), "quantization": Int8Static.name})
    provenance = Provenance(params=recipe.to_params(), cuts=(), data=stripes.info, origin={})
    source = WriterSource(folder=folder, network=schooled, provenance=provenance)
    write_formats(source, EXPORTED, folder)
    return {each.file: folder / each.file for each in EXPORTED}


def _params() -> dict[str, str]:
    return {
        "student": "timm",
        "student.timm.model": "test_resnet",
        "training": "standard",
        "distillation": "labels",
        "pruning": "none",
    }


def test_fault_42_no_file_imports_what_it_does_not_use_and_1_17_reads_its_versions(
    served: dict[str, Path], exported: dict[str, Path]
) -> None:
    models = {name: onnx.load(path) for name, path in {**served, **exported}.items()}
    assert {name: found for name, one in models.items() if (found := unused_imports(one))} == {}
    least = {name: least_onnxruntime(model) for name, model in models.items()}
    assert {name for name, version in least.items() if not version or _later(version)} == set()


def _later(version: str) -> bool:
    return [int(part) for part in version.split(".")] > [int(x) for x in EARLIER.split(".")]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the earlier ONNX Runtime, in an environment of its own."""
    folder = tmp_path_factory.mktemp("earlier")
    python = folder / "bin" / "python"
    wanted = [f"onnxruntime=={EARLIER}", "numpy<2"]
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
    command = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:]
        pytest.skip(f"pip can't install {wanted[0]} here: {reason}")
    return python


@pytest.mark.slow
def test_fault_42_every_format_loads_in_1_17_and_predicts_alike(
    earlier: Path,
    served: dict[str, Path],
    exported: dict[str, Path],
    schooled: nn.Module,
    stripes: Dataset,
    tmp_path: Path,
) -> None:
    transformer = Timm(model="test_vit").build(classes=CLASSES, channels=1, image_size=SIZE).eval()
    files = {
        **served,
        **exported,
        **_all_made(transformer, NoPruning(), FORMATS, tmp_path / "transformer", stripes),
        **_all_made(schooled, SparseMagnitude(), FORMATS, tmp_path / "sparse", stripes),
    }
    baked = files.pop(ExportFormat.UINT8.file)
    raw = next(iter(stripes.test.batches(8))).images.numpy().transpose(0, 2, 3, 1)
    images = next(normalized_batches(stripes.test, stripes))[:8]
    for taken, paths in ((images, [*files.values()]), (np.ascontiguousarray(raw), [baked])):
        found = _logits(earlier, taken, paths, tmp_path)
        assert {path: error for path, error in found.items() if isinstance(error, str)} == {}
        for path in paths:
            expected = Session(path, threads=1).predict(taken)
            difference = np.abs(np.array(found[str(path)]) - expected).max()
            assert difference <= 0.05 * np.abs(expected).max(), path


def _logits(
    python: Path, images: np.ndarray, paths: list[Path], folder: Path
) -> dict[str, list[list[float]] | str]:
    np.save(folder / "images.npy", images)
    command = [python, "-c", _LOAD, folder / "images.npy", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_bare())
    told = json.loads(done.stdout)
    assert told["version"] == EARLIER
    found: dict[str, list[list[float]] | str] = told["found"]
    return found


def _bare() -> dict[str, str]:
    """This environment without our own import path, whose packages are of other versions."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize(
    ("ir", "standard", "classic", "least"),
    [(8, 17, None, "1.12"), (8, 18, 3, "1.14"), (9, 17, None, "1.15"), (8, 17, 4, "1.17"),
     (8, 17, 5, "1.18"), (10, 21, None, "1.18"), (99, 17, None, None), (8, 99, None, None)],
)  # fmt: skip
def test_the_least_version_follows_from_what_a_file_states(
    ir: int, standard: int, classic: int | None, least: str | None, tmp_path: Path
) -> None:
    export_onnx(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), tmp_path / "a.onnx", image_shape=(1, 2, 2)
    )
    model = onnx.load(tmp_path / "a.onnx")
    model.ir_version, model.opset_import[0].version = ir, standard
    if classic:
        model.opset_import.add(domain="ai.onnx.ml", version=classic)
    assert least_onnxruntime(model) == least
    model.graph.node[0].domain = "com.microsoft"
    assert least_onnxruntime(model) is None
