"""From a network to its ONNX file in floats, from which runtimes make what they serve."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import _C, nn

from search.errors import ArtifactError, shortened
from search.targets.onnx_decomposition import Decomposed

# Bump it when the same network is exported to another file.
VERSION = 1
INPUT = "input"
OUTPUT = "logits"


def export_onnx(network: nn.Module, path: Path, *, image_shape: tuple[int, int, int]) -> None:
    """Write `network` as an ONNX file from float32 [batch, *image_shape] to logits.

    Raises:
        ArtifactError: torch's exporter can't express this network.
    """
    network.eval()
    example = torch.zeros(2, *image_shape, device=_device_of(network))
    with _without_pages(), _of_images_alone(network), Decomposed(), warnings.catch_warnings():
        # The older exporter takes seconds where the newer takes minutes; it warns that it is old.
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
        # A network may raise its own errors about an image size, besides the exporter's.
        except (
            RuntimeError,
            AssertionError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            torch.onnx.errors.OnnxExporterError,
        ) as error:
            # When an operator can't be expressed, the exporter still exports the rest of the graph.
            reason = shortened(error, lines=1).partition("[Caused by the value")[0].strip()
            kind = type(network).__name__
            raise ArtifactError(f"{kind} can't be exported to ONNX: {reason}") from error


@contextmanager
def _of_images_alone(network: nn.Module) -> Iterator[None]:
    """Hide other arguments of `forward`: the exporter would pass their defaults as tensors."""
    forward = network.forward
    network.forward = lambda images: forward(images)
    try:
        yield
    finally:
        del network.forward


@contextmanager
def _without_pages() -> Iterator[None]:
    """Keep the exporter from printing the whole graph, from C++, where it fails.

    Its `verbose=False` is meant to, but torch 2.15 tests the truth of the function that reports
    whether the log is on, instead of calling it, and so always turns the log on. Redirecting the
    file descriptor would also swallow what other threads print meanwhile, such as the live
    picture of a search.
    """
    turn_on = _C._jit_set_onnx_log_enabled
    turn_on(False)
    _C._jit_set_onnx_log_enabled = lambda enabled: None
    try:
        yield
    finally:
        _C._jit_set_onnx_log_enabled = turn_on


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
