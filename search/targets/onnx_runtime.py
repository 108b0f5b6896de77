"""ONNX Runtime, which serves ONNX files of every number format.

The agent imports this file too. On a small board, neither onnx nor torch is installed.
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
import onnxruntime
from preprocess import labels, preprocess

session = onnxruntime.InferenceSession("{file}")
(logits,) = session.run(None, {{"input": preprocess("image.png")}})
print(labels()[logits.argmax()])
"""


class OnnxRuntime(Runtime):
    """ONNX Runtime, on CPUs and NVIDIA GPUs."""

    name: ClassVar[str] = "onnxruntime"
    title: ClassVar[str] = "ONNX Runtime"
    file: ClassVar[str] = SERVED
    library: ClassVar[str] = "onnx"
    loading_code: ClassVar[str | None] = _LOADING_CODE
    file_version: ClassVar[int] = 3

    def version(self) -> str:
        return str(onnxruntime.__version__)

    def check_device(self, device: str) -> None:
        _provider(device)

    def conflict(self, quantization: Quantization) -> str | None:
        del quantization  # every number format can be converted to ONNX
        return None

    def write(
        self,
        student: FloatStudent,
        destination: Path,
        *,
        quantization: Quantization,
        calibration: Iterable[np.ndarray],
    ) -> None:
        # These import onnx, which is not installed on a board.
        from search.targets.onnx_slimming import slim

        quantization.convert(student.onnx, destination, calibration=calibration)
        if student.pruning.leaves_zeros:
            import onnx

            from spaces.quantization.weight_compression.packed import pack_sparse

            onnx.save(pack_sparse(onnx.load(destination)), destination)
        slim(destination)

    def least_version(self, path: Path) -> str | None:
        import onnx

        from search.targets.onnx_imports import least_onnxruntime

        return least_onnxruntime(onnx.load(path))

    def load(self, path: Path, *, threads: int, device: str = "cpu") -> ServedModel:
        return Session(path, threads=threads, device=device)

    def annotate(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Append metadata to the file; ONNX Runtime reads them as `custom_metadata_map`.

        Two concatenated serialized messages are one message with the fields of both. So the graph,
        and the file's earlier bytes, are unchanged, and their measurements stay valid.

        Source: https://protobuf.dev/programming-guides/encoding/#last-one-wins
        """
        with path.open("ab") as file:
            file.write(_metadata_bytes(metadata))

    def annotation_bytes(self, metadata: Mapping[str, str]) -> int:
        return len(_metadata_bytes(metadata))


class Session(ServedModel):
    """An ONNX file, loaded in ONNX Runtime with a fixed number of threads.

    Raises:
        ArtifactError: the file can't be loaded, or this build has no provider for the device.
        TargetError: the device's provider does not start.
    """

    def __init__(self, path: Path, *, threads: int, device: str = "cpu") -> None:
        provider = _provider(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised, so they need no log
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[provider])
        except ONNX_ERRORS as error:
            raise ArtifactError(f"ONNX Runtime can't load {path}: {error}") from error
        if provider not in self._session.get_providers():
            raise TargetError(
                f"measuring on {device} needs ONNX Runtime's {provider}, which does not start "
                "here: check that CUDA and cuDNN are installed and the GPU has free memory, or set "
                "budget.target.device: cpu"
            )
        self._input = self._session.get_inputs()[0]
        self._device = device

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
    def computes_in_caller(self) -> bool:
        """Whether the calling thread computes: on a GPU it may sleep meanwhile."""
        return self._device == "cpu"

    @property
    def metadata(self) -> dict[str, str]:
        """The file's own metadata."""
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return metadata

    @property
    def takes_pixels(self) -> bool:
        """Whether the file includes its preprocessing: [batch, height, width, channels], uint8."""
        return bool(self._input.type == "tensor(uint8)")

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute logits [batch, classes] of normalised images [batch, channels, height, width].

        Raises:
            ArtifactError: the file can't be run, or not with such images.
        """
        try:
            logits: np.ndarray = self._session.run(None, {self._input.name: images})[0]
        # Some files can be loaded, but not run.
        except ONNX_ERRORS as error:
            raise ArtifactError(f"ONNX Runtime can't run the file: {shortened(error)}") from error
        return logits


def _provider(device: str) -> str:
    """Return the name of the provider for the device.

    Raises:
        ArtifactError: this build of ONNX Runtime lacks the provider.
    """
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ArtifactError(
            f"measuring on {device} needs ONNX Runtime's {provider}, which this build lacks: "
            "install onnxruntime-gpu in place of onnxruntime, or set budget.target.device: cpu"
        )
    return provider


def _metadata_bytes(metadata: Mapping[str, str]) -> bytes:
    """Return a serialized model that contains only these metadata."""
    import onnx  # not installed on a board

    model = onnx.ModelProto()
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    text: bytes = model.SerializeToString()
    return text
