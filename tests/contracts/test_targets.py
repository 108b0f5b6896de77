"""What every runtime promises, on a network that has learned something."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from search.data.dataset import Dataset
from search.errors import ArtifactError
from search.evaluation.measure import calibration_batches, normalized_batches
from search.targets.float_student import FloatStudent
from search.targets.latency import measure_latency
from search.targets.registry import runtime, runtime_names
from search.targets.target import Runtime
from spaces import registry
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.pruning.none import NoPruning
from spaces.pruning.sparse_magnitude import SparseMagnitude
from spaces.quantization.float32 import Float32
from tests.contracts import probe
from tests.plugins import write_plugin

ROOT = Path(__file__).parents[2]
SHAPE = (1, 32, 32)
# Those of the table, and one that is none of the package's: the contract is everybody's.
RUNTIMES = [*map(runtime, runtime_names()), probe.Probe()]

each_runtime = pytest.mark.parametrize("serving", RUNTIMES, ids=lambda one: one.name)


def _student(network: nn.Module, folder: Path, pruning: Pruning | None = None) -> FloatStudent:
    return FloatStudent(network, folder / "floats", SHAPE, pruning=pruning or NoPruning())


def _made(serving: Runtime, network: nn.Module, folder: Path) -> Path:
    path = folder / serving.file
    serving.make(_student(network, folder), path, quantization=Float32(), calibration=())
    return path


def _images(stripes: Dataset) -> np.ndarray:
    return next(normalized_batches(stripes.test, stripes))


def test_names_of_runtimes_and_their_files_differ() -> None:
    assert len({one.name for one in RUNTIMES}) == len(RUNTIMES)
    assert len({one.file for one in RUNTIMES}) == len(RUNTIMES)


@pytest.mark.parametrize("name", runtime_names())
def test_the_table_knows_a_runtime_by_the_name_that_it_has(name: str) -> None:
    assert runtime(name).name == name


@each_runtime
def test_it_describes_itself(serving: Runtime) -> None:
    assert serving.describe() == f"{serving.name} {serving.version()}"
    assert serving.version()
    assert serving.title
    assert serving.library
    assert serving.file == f"model{serving.suffix}"


@each_runtime
def test_it_loads_what_it_makes_and_gives_the_networks_logits(
    serving: Runtime, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    served = serving.load(_made(serving, schooled, tmp_path), threads=1)
    images = _images(stripes)
    with torch.inference_mode():
        expected = schooled(torch.from_numpy(images)).numpy()
    logits = served.predict(images)
    assert logits.dtype == np.float32
    assert np.allclose(logits, expected, atol=1e-4)
    assert served.image_shape == SHAPE
    assert served.input_shape[1:] == SHAPE
    assert not served.takes_pixels


@each_runtime
def test_an_image_has_the_same_logits_alone_as_among_others(
    serving: Runtime, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    served = serving.load(_made(serving, schooled, tmp_path), threads=1)
    images = _images(stripes)[:8]
    alone = np.concatenate([served.predict(image[None]) for image in images])
    assert np.allclose(served.predict(images), alone, atol=1e-5)


@each_runtime
def test_images_of_another_size_are_refused(
    serving: Runtime, schooled: nn.Module, tmp_path: Path
) -> None:
    served = serving.load(_made(serving, schooled, tmp_path), threads=1)
    with pytest.raises(ArtifactError):
        served.predict(np.zeros((1, 1, 32, 31), np.float32))


@each_runtime
def test_it_is_timed(serving: Runtime, schooled: nn.Module, tmp_path: Path) -> None:
    (latency,) = measure_latency([serving.load(_made(serving, schooled, tmp_path), threads=1)])
    assert 0 < latency.median_ms <= latency.p95_ms


@each_runtime
def test_a_process_of_its_own_tells_the_memory_that_it_takes(
    serving: Runtime, schooled: nn.Module, tmp_path: Path
) -> None:
    source = Path(str(probe.__file__)).read_text()
    write_plugin(tmp_path, "probe", source)
    path = _made(serving, schooled, tmp_path)
    command = [sys.executable, "-m", "search.targets.agent", "measure", path]
    done = subprocess.run(
        [*command, "--runtime", serving.name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["runtime"] == serving.describe()
    assert 0 < told["model_memory_bytes"] < told["process_memory_bytes"]


@each_runtime
@pytest.mark.parametrize("damage", ["empty", "foreign", "cut off", "missing"])
def test_a_damaged_file_is_refused_by_its_path(
    serving: Runtime, damage: str, schooled: nn.Module, tmp_path: Path
) -> None:
    path = _made(serving, schooled, tmp_path)
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        content = {"empty": b"", "foreign": b"of no runtime", "cut off": whole[: len(whole) // 2]}
        path.write_bytes(content[damage])
    with pytest.raises(ArtifactError, match=str(path)):
        serving.load(path, threads=1)


@each_runtime
@pytest.mark.parametrize("name", registry.methods("quantization"))
def test_a_number_format_is_served_or_refused_with_a_reason(
    serving: Runtime, name: str, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    quantization = registry.method("quantization", name)()
    assert isinstance(quantization, Quantization)
    student, path = _student(schooled, tmp_path), tmp_path / serving.file
    calibration = calibration_batches(stripes, seed=0)
    if reason := serving.conflict(quantization):
        with pytest.raises(ValueError, match=rf"{name}.*{reason}"):
            serving.make(student, path, quantization=quantization, calibration=calibration)
        assert not path.exists()
        return
    serving.make(student, path, quantization=quantization, calibration=calibration)
    logits = serving.load(path, threads=1).predict(_images(stripes))
    assert logits.shape == (len(stripes.test), 3)
    assert np.isfinite(logits).all()


@each_runtime
def test_a_student_with_zeros_is_served_as_it_is(
    serving: Runtime, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    pruning = SparseMagnitude(ratio=0.8)
    pruned, _ = pruning.apply(schooled, torch.zeros(1, *SHAPE))
    path = _student(pruned.eval(), tmp_path, pruning).in_floats(serving)
    with torch.inference_mode():
        expected = pruned(torch.from_numpy(_images(stripes))).numpy()
    assert np.allclose(serving.load(path, threads=1).predict(_images(stripes)), expected, atol=1e-4)


@each_runtime
def test_making_a_file_leaves_the_students_own_as_they_are(
    serving: Runtime, schooled: nn.Module, tmp_path: Path
) -> None:
    student = _student(schooled, tmp_path)
    before = student.onnx.read_bytes()
    floats = student.in_floats(serving)
    made = floats.read_bytes()
    serving.make(student, tmp_path / serving.file, quantization=Float32(), calibration=())
    assert student.onnx.read_bytes() == before
    assert student.in_floats(serving) == floats
    assert floats.read_bytes() == made == (tmp_path / serving.file).read_bytes()


@each_runtime
def test_what_is_said_of_a_file_takes_as_many_bytes_as_foretold_and_changes_no_logit(
    serving: Runtime, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    path, said = _made(serving, schooled, tmp_path), {"labels": '["a", "b", "c"]'}
    size, logits = path.stat().st_size, serving.load(path, threads=1).predict(_images(stripes))
    serving.annotate(path, said)
    assert path.stat().st_size == size + serving.annotation_bytes(said)
    served = serving.load(path, threads=1)
    assert np.array_equal(served.predict(_images(stripes)), logits)
    assert served.metadata == (said if serving.annotation_bytes(said) else {})


@each_runtime
def test_it_serves_on_the_processor_and_refuses_a_device_that_it_lacks(serving: Runtime) -> None:
    serving.check_device("cpu")
    if torch.cuda.is_available():
        pytest.skip("has a GPU")
    with pytest.raises(ArtifactError, match=r"cuda.*budget\.target\.device"):
        serving.check_device("cuda")


@each_runtime
def test_it_is_the_same_in_another_process(
    serving: Runtime, schooled: nn.Module, tmp_path: Path
) -> None:
    again = pickle.loads(pickle.dumps(serving))  # noqa: S301  our own
    assert again.describe() == serving.describe()
    path = _made(again, schooled, tmp_path)
    assert path.read_bytes() == _made(serving, schooled, tmp_path).read_bytes()
