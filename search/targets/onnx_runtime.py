"""ONNX Runtime, which serves ONNX files of every number format.

The agent on a small board serves by this file too, where neither onnx nor torch is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from search.errors import ArtifactError, TargetError, shortened
from search.targets.target import Runtime, ServedModel

if TYPE_CHECKING:
    from search.targets.float_student import FloatStudent
    from spaces.axes.quantization import Quantization

SERVED = "model.onnx"
ONNX_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
"""Errors of ONNX Runtime for a file that it can't load or run; they have no common base class."""
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_LOADING_CODE = """\
import json, numpy, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{file}")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
size, mean, std = {size}, numpy.float32({mean}), numpy.float32({std})
image = Image.open("image.png").convert("{mode}")
side, (left, top) = min(image.size), [(length - min(image.size)) // 2 for length in image.size]
image = image.resize((size, size), Image.BILINEAR, box=(left, top, left + side, top + side))
pixels = (numpy.asarray(image, numpy.float32).reshape(size, size, -1) / 255 - mean) / std
print(labels[session.run(None, {{"input": pixels.transpose(2, 0, 1)[None]}})[0].argmax()])
"""


class OnnxRuntime(Runtime):
    """ONNX Runtime, on processors and NVIDIA's GPUs."""

    name: ClassVar[str] = "onnxruntime"
    title: ClassVar[str] = "ONNX Runtime"
    file: ClassVar[str] = SERVED
    library: ClassVar[str] = "onnx"
    loading_code: ClassVar[str | None] = _LOADING_CODE

    def version(self) -> str:
        return str(onnxruntime.__version__)

    def check_device(self, device: str) -> None:
        _provider(device)

    def conflict(self, quantization: Quantization) -> str | None:
        del quantization  # each number format converts ONNX files
        return None

    def write(
        self,
        student: FloatStudent,
        destination: Path,
        *,
        quantization: Quantization,
        calibration: Iterable[np.ndarray],
    ) -> None:
        quantization.convert(student.onnx, destination, calibration=calibration)
        if student.pruning.leaves_zeros:
            import onnx  # a board that serves does not need it

            from spaces.quantization.weight_compression.packed import pack_sparse

            onnx.save(pack_sparse(onnx.load(destination)), destination)

    def load(self, path: Path, *, threads: int, device: str = "cpu") -> ServedModel:
        return Session(path, threads=threads, device=device)

    def annotate(self, path: Path, said: Mapping[str, str]) -> None:
        """Append to the file's metadata, where any ONNX Runtime finds it.

        Two concatenated serialized messages form one message with the fields of both, lists joined.
        What was measured of the file before therefore stays true of its first bytes, and of the
        graph.

        Source: https://protobuf.dev/programming-guides/encoding/#last-one-wins
        """
        with path.open("ab") as file:
            file.write(_metadata(said))

    def annotation_bytes(self, said: Mapping[str, str]) -> int:
        return len(_metadata(said))


class Session(ServedModel):
    """A student as it is served: an ONNX file in ONNX Runtime, with a fixed number of threads.

    Raises:
        ArtifactError: the file can't be loaded, or this build has no provider for the device.
        TargetError: the device's provider does not start.
    """

    def __init__(self, path: Path, *, threads: int, device: str = "cpu") -> None:
        provider = _provider(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its errors are raised
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[provider])
        except ONNX_ERRORS as error:
            raise ArtifactError(f"ONNX Runtime can't load {path}: {error}") from error
        if provider not in self._session.get_providers():
            raise TargetError(
                f"measuring on {device} needs ONNX Runtime's {provider}, which does not start "
                "here: see that its CUDA and cuDNN are installed and that the GPU has room, or set "
                "budget.target.device: cpu"
            )
        self._input = self._session.get_inputs()[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's input."""
        channels, height, width = self._input.shape[1:]
        return channels, height, width

    @property
    def input_shape(self) -> tuple[int | str | None, ...]:
        """Shape of the model's input, the batch first; a free dimension has a name or None."""
        return tuple(self._input.shape)

    @property
    def metadata(self) -> dict[str, str]:
        """The file's own metadata."""
        said: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return said

    @property
    def takes_pixels(self) -> bool:
        """Whether the file includes its preprocessing: [batch, height, width, channels], uint8."""
        return bool(self._input.type == "tensor(uint8)")

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute logits [batch, classes] of normalised images [batch, channels, height, width].

        Raises:
            ArtifactError: it can't be computed of such images, or not at all.
        """
        try:
            logits: np.ndarray = self._session.run(None, {self._input.name: images})[0]
        # Some files show no fault until they are run.
        except ONNX_ERRORS as error:
            raise ArtifactError(f"ONNX Runtime can't run the file: {shortened(error)}") from error
        return logits


def _provider(device: str) -> str:
    """Return the provider that serves on the device.

    Raises:
        ArtifactError: this build of ONNX Runtime lacks it.
    """
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ArtifactError(
            f"measuring on {device} needs ONNX Runtime's {provider}, which this build lacks: "
            "install onnxruntime-gpu in place of onnxruntime, or set budget.target.device: cpu"
        )
    return provider


def _metadata(said: Mapping[str, str]) -> bytes:
    """Return a serialized model that holds these properties alone."""
    import onnx  # a board that serves does not need it

    model = onnx.ModelProto()
    for key, value in said.items():
        model.metadata_props.add(key=key, value=value)
    text: bytes = model.SerializeToString()
    return text
