"""Bytes and latency of the files that students ship, against those that torch's exporter writes.

    python -m benchmarks.served_files [MODEL …] [--size 160]

Each student has random weights. Its file in float32 and its file in int8 (`int8_static` at its
defaults) are made twice: as torch exports it and ONNX Runtime quantizes it, with padding computed
from the size of each image, all names and all zero points; and as a trial ships it. Latency is the
median of single images on one thread; the two files take turns. The program prints a Markdown
table. docs/export.md shows it.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch.nn import functional

from search.targets import onnx_decomposition
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import Session
from search.targets.onnx_slimming import slim
from spaces.axes.quantization import Quantization
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.students.timm_model import Timm

_MODELS = ("test_efficientnet", "test_resnet", "mobilenetv3_small_050", "tf_efficientnet_lite0")
_CLASSES, _IMAGES, _TURNS = 10, 16, 50
_FORMATS: tuple[Quantization, ...] = (Float32(), Int8Static())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=_MODELS)
    parser.add_argument("--size", type=int, default=160, help="the images' side in pixels")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| student | format | bytes, exported | bytes, shipped | ratio | ms, exported "
          "| ms, shipped | ratio |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for model in options.models:
        for quantization in _FORMATS:
            print(row(model, quantization, (3, options.size, options.size)), flush=True)


def row(model: str, quantization: Quantization, shape: tuple[int, int, int]) -> str:
    """Return the table's row of a student in a number format, for images of this shape."""
    with TemporaryDirectory() as folder:
        exported, shipped = Path(folder) / "exported.onnx", Path(folder) / "shipped.onnx"
        with _padding_of_the_exporter():
            _write(model, quantization, shape, exported)
        _write(model, quantization, shape, shipped)
        slim(shipped)
        sizes = [file.stat().st_size for file in (exported, shipped)]
        times = _latencies([exported, shipped])
    values = (
        f"{sizes[0]:,}", f"{sizes[1]:,}", f"{sizes[1] / sizes[0]:.2f}",
        f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[1] / times[0]:.2f}",
    )  # fmt: skip
    return f"| {model} | {quantization.name} | {' | '.join(values)} |"


@contextmanager
def _padding_of_the_exporter() -> Iterator[None]:
    plain = onnx_decomposition.PLAIN
    others = {key: value for key, value in plain.items() if key is not functional.pad}
    with patch.object(onnx_decomposition, "PLAIN", others):
        yield


def _write(model: str, quantization: Quantization, shape: tuple[int, int, int], path: Path) -> None:
    torch.manual_seed(0)
    network = Timm(model=model).build(classes=_CLASSES, channels=3, image_size=shape[1])
    images = np.random.default_rng(0).standard_normal((_IMAGES, *shape)).astype(np.float32)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        export_onnx(network, source, image_shape=shape)
        quantization.convert(source, path, calibration=[images])


def _latencies(files: Sequence[Path]) -> list[float]:
    """Return the median milliseconds of one image, of each file."""
    sessions = [Session(file, threads=1) for file in files]
    image = np.zeros((1, *sessions[0].image_shape), np.float32)
    seconds: list[list[float]] = [[] for _ in sessions]
    for _ in range(_TURNS):
        for session, own in zip(sessions, seconds, strict=True):
            begun = time.perf_counter()
            session.predict(image)
            own.append(time.perf_counter() - begun)
    return [1e3 * median(own) for own in seconds]


if __name__ == "__main__":
    main()
