"""The runtime that serves a student: ONNX Runtime, and the file that it loads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from search.errors import ArtifactError, TargetError, shortened

if TYPE_CHECKING:
    import torch
    from torch import nn

INPUT = "input"
OUTPUT = "logits"
ONNX_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
"""What ONNX Runtime raises of a file that it can't load or run; its own have no base in common."""
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def export_onnx(network: nn.Module, path: Path, *, image_shape: tuple[int, int, int]) -> None:
    """Writes `network` as an ONNX file from float32 [batch, *image_shape] to logits.

    Raises:
        ArtifactError: torch's exporter can't express this network.
    """
    import torch  # the agent on a small board serves without it

    from search.targets.onnx_decomposition import Decomposed

    network.eval()
    example = torch.zeros(2, *image_shape, device=_device_of(network))
    with _without_pages(), _of_images_alone(network), Decomposed(), warnings.catch_warnings():
        # The older exporter takes seconds where the newer takes minutes; it says so itself.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network,
                (example,),
                str(path),
                dynamo=False,
                opset_version=17,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            )
        # Besides the exporter's, the network's own complaints of an image size.
        except (
            RuntimeError,
            AssertionError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            torch.onnx.errors.OnnxExporterError,
        ) as error:
            # The exporter goes on with the graph around what it could not express.
            reason = shortened(error, lines=1).partition("[Caused by the value")[0].strip()
            kind = type(network).__name__
            raise ArtifactError(f"{kind} can't be exported to ONNX: {reason}") from error


@contextmanager
def _of_images_alone(network: nn.Module) -> Iterator[None]:
    """Hides what else `forward` takes: the exporter would give it the defaults, made tensors."""
    forward = network.forward
    network.forward = lambda images: forward(images)
    try:
        yield
    finally:
        del network.forward


@contextmanager
def _without_pages() -> Iterator[None]:
    """Keeps the exporter from printing the whole graph, from C++, where it fails.

    Its `verbose=False` is meant to, but torch 2.15 asks whether the log is on by the truth of the
    function that tells it, and so always turns it on. To redirect the file descriptor instead
    would swallow what other threads print meanwhile, such as the live picture of a search.
    """
    from torch import _C

    turn_on = _C._jit_set_onnx_log_enabled
    turn_on(False)
    _C._jit_set_onnx_log_enabled = lambda enabled: None
    try:
        yield
    finally:
        _C._jit_set_onnx_log_enabled = turn_on


def check_device(device: str) -> None:
    """Raises ArtifactError unless this build of ONNX Runtime serves on the device."""
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ArtifactError(
            f"measuring on {device} needs ONNX Runtime's {provider}, which this build lacks: "
            "install onnxruntime-gpu in place of onnxruntime, or set budget.target.device: cpu"
        )


class Session:
    """A student as it is served: an ONNX file in ONNX Runtime, with a fixed number of threads.

    Raises:
        ArtifactError: the file can't be loaded, or this build has no provider for the device.
        TargetError: the device's provider does not start.
    """

    def __init__(self, path: Path, *, threads: int, device: str = "cpu") -> None:
        check_device(device)
        provider = _PROVIDERS[device]
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
        """Channels, height and width that the model takes."""
        channels, height, width = self._input.shape[1:]
        return channels, height, width

    @property
    def input_shape(self) -> tuple[int | str | None, ...]:
        """Of what the model takes, the batch first; a dimension that is free has a name or none."""
        return tuple(self._input.shape)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        said: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return said

    @property
    def takes_pixels(self) -> bool:
        """Whether its preprocessing is in it: [batch, height, width, channels], uint8."""
        return bool(self._input.type == "tensor(uint8)")

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Logits [batch, classes] of normalised images [batch, channels, height, width].

        Raises:
            ArtifactError: it can't be computed of such images, or not at all.
        """
        try:
            logits: np.ndarray = self._session.run(None, {self._input.name: images})[0]
        # Some files are sound until they are run.
        except ONNX_ERRORS as error:
            raise ArtifactError(f"ONNX Runtime can't run the file: {shortened(error)}") from error
        return logits


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
