"""Each further form holds the same student, and one that can't says why."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from PIL import Image

from search.data.images import square
from search.errors import BadInput
from search.evaluation.artifact import load_network
from search.evaluation.measure import normalized_batches
from search.evaluation.onnx_metadata import LABELS
from search.export.exporting import export_student
from search.export.formats import ExportFormat
from search.export.pixels import PIXELS
from search.export.verify import verify
from search.pipeline.study_context import StudyContext
from search.targets.onnx_runtime import SERVED, Session
from spaces.axes.quantization import Quantization
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.ternary import Ternary
from tests.messages import naming
from tests.search.conftest import FinishedTrials

pytestmark = pytest.mark.slow


@pytest.fixture
def images(context: StudyContext) -> np.ndarray:
    return next(normalized_batches(context.dataset.test, context.dataset))


def _floats(folder: Path, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        logits: np.ndarray = load_network(folder)(torch.from_numpy(images)).numpy()
    return logits


@pytest.mark.parametrize(
    ("form", "tolerance"), [(ExportFormat.FLOAT32, 1e-4), (ExportFormat.FP16, 0.02)]
)
def test_an_onnx_form_of_a_quantized_student_holds_the_floats(
    form: ExportFormat,
    tolerance: float,
    finished: FinishedTrials,
    images: np.ndarray,
    tmp_path: Path,
) -> None:
    student = finished(quantization=Int8Static())
    folder = export_student(*student, tmp_path / "student", formats=[form])
    expected = _floats(folder, images)
    logits = Session(folder / form.file, threads=1).predict(images)
    assert np.abs(logits - expected).max() <= tolerance * np.abs(expected).max()
    assert LABELS in {entry.key for entry in onnx.load(folder / form.file).metadata_props}


def test_fp16_weights_are_halves_and_take_half_the_bytes(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    folder = export_student(*finished(), tmp_path / "student", formats=[ExportFormat.FP16])
    model = onnx.load(folder / ExportFormat.FP16.file)
    large = [each for each in model.graph.initializer if np.prod(each.dims) > 64]
    assert {each.data_type for each in large} == {TensorProto.FLOAT16}
    assert (folder / ExportFormat.FP16.file).stat().st_size < 0.6 * (folder / SERVED).stat().st_size


def test_torch_export_gives_the_same_for_any_number_of_images(
    finished: FinishedTrials, images: np.ndarray, tmp_path: Path
) -> None:
    folder = export_student(*finished(), tmp_path / "student", formats=[ExportFormat.PT2])
    network = torch.export.load(folder / "model.pt2").module()
    for some in (images[:1], images[:7]):
        assert np.allclose(
            network(torch.from_numpy(some)).detach().numpy(), _floats(folder, some), atol=1e-5
        )


@pytest.mark.parametrize("size", [(32, 32), (20, 15), (97, 61), (61, 97), (33, 200), (1, 1)])
def test_baked_preprocessing_is_pillows_to_two_of_255_levels(
    size: tuple[int, int], finished: FinishedTrials, context: StudyContext, tmp_path: Path
) -> None:
    folder = export_student(*finished(), tmp_path / "student", formats=[ExportFormat.UINT8])
    onnx_model = onnx.load(folder / ExportFormat.UINT8.file)
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    expected = square(Image.fromarray(noise), context.dataset.info.image_size)
    found = _input_of_the_student(onnx_model, noise[None, :, :, None], context)
    assert np.abs(found.astype(int) - expected).max() <= 2


def _input_of_the_student(
    model: onnx.ModelProto, pixels: np.ndarray, context: StudyContext
) -> np.ndarray:
    """The levels that the student's own graph is given for these pixels, [1, size, size], uint8."""
    import onnxruntime

    model.graph.output.append(onnx.ValueInfoProto(name="input"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (normalised,) = session.run(["input"], {PIXELS: pixels})
    info = context.dataset.info
    levels: np.ndarray = np.round((normalised[0] * info.std + info.mean) * 255).astype(np.uint8)
    return levels


def test_baked_preprocessing_changes_no_prediction_of_images_as_they_are(
    finished: FinishedTrials, context: StudyContext, images: np.ndarray, tmp_path: Path
) -> None:
    student = finished(quantization=Int8Static())
    folder = export_student(*student, tmp_path / "student", formats=[ExportFormat.UINT8])
    raw = next(context.dataset.test.batches(256)).images.numpy().transpose(0, 2, 3, 1)
    found = Session(folder / ExportFormat.UINT8.file, threads=1).predict(np.ascontiguousarray(raw))
    assert np.array_equal(found, Session(folder / SERVED, threads=1).predict(images))


@pytest.mark.parametrize(
    "form", [ExportFormat.FLOAT32, ExportFormat.FP16, ExportFormat.UINT8, ExportFormat.PT2]
)
def test_writing_a_form_prints_nothing(
    form: ExportFormat, finished: FinishedTrials, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    student = finished(quantization=Int8Static())
    capfd.readouterr()
    export_student(*student, tmp_path / "student", formats=[form])
    assert capfd.readouterr() == ("", "")


def test_a_float_student_needs_no_second_float_file(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=naming("--format", "float32", SERVED)):
        export_student(*finished(), tmp_path / "student", formats=[ExportFormat.FLOAT32])
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize(
    ("form", "module", "remedy"),
    [
        (ExportFormat.OPENVINO, "openvino", ["pip install -e '.[openvino]'"]),
        (ExportFormat.TFLITE, "litert_torch", ["2.15", "docs/export.md"]),
    ],
)
def test_a_form_whose_converter_is_missing_says_how_to_get_it_and_nothing_is_written(
    form: ExportFormat, module: str, remedy: list[str], finished: FinishedTrials, tmp_path: Path
) -> None:
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(BadInput, match=naming("--format", form, *remedy)):
        export_student(*finished(), tmp_path / "student", formats=[form])
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize("quantization", [Float32(), Ternary()], ids=["float32", "ternary"])
def test_openvino_gives_the_same(
    quantization: Quantization, finished: FinishedTrials, images: np.ndarray, tmp_path: Path
) -> None:
    openvino = pytest.importorskip("openvino")
    student = finished(quantization=quantization)
    folder = export_student(*student, tmp_path / "student", formats=[ExportFormat.OPENVINO])
    compiled = openvino.Core().compile_model(folder / ExportFormat.OPENVINO.file, "CPU")
    expected = _floats(folder, images)
    difference = np.abs(compiled(images)[0] - expected).max()
    assert difference <= 0.02 * np.abs(expected).max()  # it may compute in halves
    forms = {each.name: each for each in verify(folder, cache=tmp_path / "cache")}
    assert forms[ExportFormat.OPENVINO.file].holds is True


def test_tensorflow_lite_gives_the_same(finished: FinishedTrials, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch")
    student = finished(pruning=Magnitude(ratio=0.4, recovery=0.5))
    folder = export_student(*student, tmp_path / "student", formats=[ExportFormat.TFLITE])
    forms = {each.name: each for each in verify(folder, cache=tmp_path / "cache")}
    assert forms[ExportFormat.TFLITE.file].holds is True
