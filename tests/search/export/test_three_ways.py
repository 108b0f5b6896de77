"""An export is loaded in one line, three ways, each in a fresh process, as the README shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search.evaluation.artifact import load_network
from search.evaluation.measure import normalized_batches
from search.evaluation.predictions_file import PREDICTIONS, read_predictions
from search.export.exporting import export_student, load
from search.export.loading_snippet import snippet
from search.pipeline.study_context import StudyContext
from search.targets.onnx_runtime import SERVED, OnnxRuntime, Session
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int8_static import Int8Static
from tests.search.export.conftest import Tested

pytestmark = pytest.mark.slow

README = Path(__file__).parents[3] / "README.md"
# None of these may be imported.
ALONE = """\
import sys
for stranger in ("torch", "timm", "search", "spaces", "onnx", "pandas", "scipy"):
    sys.modules[stranger] = None
"""


def _blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def _line(holding: str) -> str:
    (block,) = (block for block in _blocks() if holding in block)
    return block


def _run(code: str, folder: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(README.parent)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def images(context: StudyContext, tmp_path: Path) -> np.ndarray:
    """The test images, normalised; in `images.npy` as well."""
    images = next(normalized_batches(context.dataset.test, context.dataset))
    np.save(tmp_path / "images.npy", images)
    return images


APPLY = """
import numpy, torch
images = torch.from_numpy(numpy.load("images.npy"))
with torch.inference_mode():
    numpy.save("logits.npy", model.eval()(images).numpy())
"""


def test_timm_alone_gives_the_very_logits(
    tested: Tested, images: np.ndarray, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    code = "import sys; sys.modules['search'] = None\n" + _line("local-dir:student")
    _run(code + APPLY, tmp_path)
    with torch.inference_mode():
        expected = load_network(folder)(torch.from_numpy(images)).numpy()
    assert np.array_equal(np.load(tmp_path / "logits.npy"), expected)


def test_retort_gives_what_was_measured(tested: Tested, images: np.ndarray, tmp_path: Path) -> None:
    pruning, int8 = Magnitude(ratio=0.4, recovery=0.5), Int8Static()
    students: dict[str, dict[str, object]] = {
        "plain": {},
        "pruned": {"pruning": pruning},
        "quantized": {"quantization": int8},
        "both": {"pruning": pruning, "quantization": int8},
    }
    code = ""
    for name, methods in students.items():
        export_student(*tested(**methods), tmp_path / name / "student")
        np.save(tmp_path / name / "images.npy", images)
        code += f"import os; os.chdir({str(tmp_path / name)!r})\n"
        code += _line("search.export import load") + APPLY
    _run(code, tmp_path)
    for name in students:
        served = Session(tmp_path / name / "student" / SERVED, threads=1).predict(images)
        found = np.load(tmp_path / name / "logits.npy")
        assert np.array_equal(found.argmax(axis=1), served.argmax(axis=1)), name
        assert np.abs(found - served).max() <= 1e-4 * np.abs(served).max(), name


@pytest.mark.parametrize("quantized", [False, True], ids=["float32", "int8_static"])
def test_onnx_runtime_and_pillow_alone_name_the_class_of_every_test_image_as_measured(
    quantized: bool, tested: Tested, context: StudyContext, tmp_path: Path
) -> None:
    methods = {"quantization": Int8Static()} if quantized else {}
    folder = export_student(*tested(**methods), tmp_path / "student")
    measured = read_predictions(folder / PREDICTIONS)["test"].classes
    card = (folder / "README.md").read_text()
    code = re.search(r"```python\n(import onnxruntime.*?)```", card, re.DOTALL)
    assert code
    assert len(code[1].splitlines()) <= 10
    places = range(len(measured))
    for place, batch in zip(places, context.dataset.test.batches(1), strict=True):
        Image.fromarray(batch.images[0, 0].numpy()).save(tmp_path / f"{place}.png")
    # The lines as they are, for one image after another.
    looped = (
        f"{ALONE}\ncode = {code[1]!r}\n"
        f"for place in range({len(measured)}):\n"
        "    exec(code.replace('image.png', f'../{place}.png'))\n"
    )
    told = _run(looped, folder).split()
    assert told == [context.dataset.info.classes[place] for place in measured]


def test_the_lines_of_the_readme_are_those_of_a_card() -> None:
    assert snippet(OnnxRuntime()) in _blocks()


def test_a_folder_whose_preprocessing_python_has_compiled_is_still_whole(
    tested: Tested, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    Image.new("RGB", (97, 61)).save(tmp_path / "image.png")
    code = snippet(OnnxRuntime())
    assert code
    compiling = "import sys\nsys.dont_write_bytecode = False\n"
    _run(compiling + ALONE + code.replace("image.png", "../image.png"), folder)
    assert list((folder / "__pycache__").iterdir())
    assert load(folder).labels
