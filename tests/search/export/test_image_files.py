"""Training, evaluation, predict, `load` and the shipped preprocess.py read every file alike."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.config.data_settings import DataSettings
from search.data import preprocess
from search.data.dataset import Dataset, normalize
from search.data.images import load_image
from search.data.parts import StreamedPart
from search.data.pictures import FilePictures
from search.data.prepare import prepare
from search.data.views.view import Views
from search.export.exporting import export_student, load
from search.export.formats import ExportFormat
from search.export.loading_snippet import snippet
from search.export.predict import predict
from search.export.preprocess_file import PREPROCESS
from search.files.filestore import FolderStore
from search.pipeline.study_context import StudyContext
from search.targets.onnx_runtime import SERVED, OnnxRuntime, Session
from spaces.quantization.int8_static import Int8Static
from tests.conftest import SIZE, task_in
from tests.search.conftest import FinishedTrials

Grey = np.ndarray
Save = Callable[[Path, Grey], None]

# Nothing of these may be imported, not even from the current folder's parents.
ALONE = """\
import sys
for stranger in ("torch", "timm", "search", "spaces", "onnx", "torchvision", "pandas", "scipy"):
    sys.modules[stranger] = None
"""


def _saved(image: Image.Image, path: Path, **options: object) -> None:
    image.save(path, **options)  # type: ignore[arg-type]


def _with_alpha(grey: Grey, colours: int) -> Image.Image:
    """The picture with a border of noise under alpha 0, and another of alpha 100."""
    noise = np.random.default_rng(int(grey.sum())).integers(0, 256, (*grey.shape, colours))
    mixed = np.repeat(grey[..., None], colours + 1, axis=2)
    mixed[..., -1] = 255
    mixed[:6, :, -1] = 100
    mixed[:3, :, -1] = 0
    mixed[:3, :, :-1] = noise[:3]
    return Image.fromarray(mixed.astype(np.uint8))


def _palette(grey: Grey, path: Path) -> None:
    image = Image.fromarray(grey).convert("RGB").quantize(16)
    _saved(image, path, transparency=bytes([0, 100, 200]))


def _turned(grey: Grey, path: Path) -> None:
    exif = Image.Exif()
    exif[preprocess.ORIENTATION] = 6
    stored = Image.fromarray(grey).transpose(Image.Transpose.ROTATE_90)
    _saved(stored, path, exif=exif, quality=95)


def _wide(grey: Grey, path: Path) -> None:
    _saved(Image.fromarray(np.hstack([grey, grey, grey])).convert("RGB"), path)


KINDS: Mapping[str, Save] = {
    "plain.png": lambda grey, path: _saved(Image.fromarray(grey), path),
    "deep.png": lambda grey, path: _saved(Image.fromarray(grey.astype("<u2") * 257), path),
    "deep.tif": lambda grey, path: _saved(Image.fromarray(grey.astype(">u2") * 257), path),
    "cmyk.jpg": lambda grey, path: _saved(
        Image.fromarray(grey).convert("RGB").convert("CMYK"), path, quality=95
    ),
    "palette.png": _palette,
    "moving.gif": lambda grey, path: _saved(
        Image.fromarray(grey), path, save_all=True, append_images=[Image.fromarray(255 - grey)]
    ),
    "rgba.png": lambda grey, path: _saved(_with_alpha(grey, 3), path),
    "rgba.webp": lambda grey, path: _saved(
        _with_alpha(grey, 3), path, lossless=True, exact=True
    ),
    "la.png": lambda grey, path: _saved(_with_alpha(grey, 1), path),
    "turned.jpg": _turned,
    "wide.bmp": _wide,
}  # fmt: skip


@pytest.fixture(scope="module")
def files(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 16 pictures of each class, as each kind of file."""
    root = tmp_path_factory.mktemp("files")
    with np.load(stripes_file) as stripes:
        images, labels = stripes["images"], stripes["labels"]
    for label in np.unique(labels):
        (root / str(label)).mkdir()
        for place, grey in enumerate(images[labels == label][:16]):
            for kind, save in KINDS.items():
                save(grey, root / str(label) / f"{place}_{kind}")
    return root


@pytest.fixture(scope="module")
def held(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return _prepared(files, tmp_path_factory.mktemp("held"), in_memory="1GB")


@pytest.fixture(scope="module")
def streamed(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return _prepared(files, tmp_path_factory.mktemp("streamed"), in_memory="1B")


def _prepared(files: Path, cache: Path, *, in_memory: str) -> Dataset:
    settings = DataSettings.model_validate(
        {"source": "folder", "path": files, "image_size": SIZE, "in_memory": in_memory}
    )
    return prepare(settings, seed=0, cache=FolderStore.of(cache))


@pytest.fixture
def context(held: Dataset, views: Views, tmp_path: Path) -> StudyContext:
    """In place of the task on stripes: the same on files, with three channels."""
    grey = task_in(tmp_path, held, views)
    return replace(grey, requirements=replace(grey.requirements, channels=3))


@pytest.fixture
def exported(finished: FinishedTrials, tmp_path: Path) -> Path:
    student = finished(quantization=Int8Static())
    return export_student(*student, tmp_path / "student", formats=[ExportFormat.UINT8])


def _test_files(dataset: Dataset) -> list[Path]:
    """The files of the test part, in its order."""
    part = dataset.test
    assert isinstance(part, StreamedPart)
    assert isinstance(part.pictures, FilePictures)
    root = Path(part.pictures.origin["root"])
    return [root / part.pictures.name(index) for index in range(len(part))]


def _run_alone(code: str, folder: Path) -> str:
    """Run code in an exported folder, where neither retort nor torch can be imported."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-B", "-W", "ignore", "-c", ALONE + code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _shipped(folder: Path, paths: list[Path], scratch: Path) -> np.ndarray:
    """The network's inputs that preprocess.py of the folder makes of files."""
    code = (
        "import numpy\nfrom preprocess import preprocess\n"
        f"paths = {[str(path) for path in paths]!r}\n"
        f"numpy.save({str(scratch / 'inputs.npy')!r}, "
        "numpy.concatenate([preprocess(path) for path in paths]))\n"
    )
    _run_alone(code, folder)
    inputs: np.ndarray = np.load(scratch / "inputs.npy")
    return inputs


def test_fault_39_every_reader_gives_the_same_pixels(
    exported: Path, held: Dataset, streamed: Dataset, tmp_path: Path
) -> None:
    paths = _test_files(streamed)
    assert {path.name.partition("_")[2] for path in paths} == set(KINDS)
    assert (exported / PREPROCESS).read_bytes() == Path(preprocess.__file__).read_bytes()
    info = held.info
    training = next(held.test.batches(len(paths))).images
    assert np.array_equal(training, next(streamed.test.batches(len(paths))).images)
    assert np.array_equal(training, [load_image(path, SIZE, 3) for path in paths])
    expected = normalize(training, info.mean, info.std).numpy()
    assert np.array_equal(_shipped(exported, paths, tmp_path), expected)
    transform = load(exported).transform
    for path, pixels in zip(paths, expected, strict=True):
        with Image.open(path) as image:
            assert np.array_equal(transform(image).numpy(), pixels), path


def test_fault_39_every_reader_gives_the_same_classes(
    exported: Path, streamed: Dataset, tmp_path: Path
) -> None:
    """As it was measured, so as `evaluate` and `verify` see it; by predict; and by the lines."""
    paths = _test_files(streamed)
    measured = Session(exported / SERVED, threads=1).predict(_shipped(exported, paths, tmp_path))
    names = [streamed.info.classes[place] for place in measured.argmax(axis=1)]
    assert [found[0].label for _, found in predict(exported, paths)] == names
    code = snippet(OnnxRuntime())
    assert code
    looped = f"code = {code!r}\nfor path in {[str(path) for path in paths]!r}:\n"
    told = _run_alone(f"{looped}    exec(code.replace('image.png', path))\n", exported)
    assert told.split() == names


def test_fault_39_the_uint8_form_takes_the_decoded_files(
    exported: Path, streamed: Dataset, tmp_path: Path
) -> None:
    paths = _test_files(streamed)
    code = (
        "import numpy, onnxruntime\nfrom preprocess import decoded, preprocess\n"
        f"pixels = onnxruntime.InferenceSession({ExportFormat.UINT8.file!r})\n"
        f"served = onnxruntime.InferenceSession({SERVED!r})\n"
        f"for path in {[str(path) for path in paths]!r}:\n"
        "    (one,) = pixels.run(None, {'pixels': decoded(path)[None]})\n"
        "    (other,) = served.run(None, {'input': preprocess(path)})\n"
        "    assert numpy.array_equal(one, other), path\n"
    )
    _run_alone(code, exported)
