"""Export of a network to a float32 ONNX file, from which runtimes convert their files."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import _C, nn

from search.errors import ArtifactError, shortened
from search.targets.onnx_decomposition import Decomposed

# Bump it when the same network gives another file.
VERSION = 2
INPUT = "input"
OUTPUT = "logits"


def export_onnx(network: nn.Module, path: Path, *, image_shape: tuple[int, int, int]) -> None:
    """Write `network` as an ONNX file: its input is float32 [batch, *image_shape], output logits.

    Raises:
        ArtifactError: torch's exporter can't export this network.
    """
    network.eval()
    example = torch.zeros(2, *image_shape, device=_device_of(network))
    with _without_printed_graph(), _only_images(network), Decomposed(), warnings.catch_warnings():
        # The older exporter needs seconds, the newer one minutes. The older one warns of its age.
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
        # Besides the exporter's errors, a network may raise its own, for an image size.
        except (
            RuntimeError,
            AssertionError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            torch.onnx.errors.OnnxExporterError,
        ) as error:
            # For an unsupported operator, the message also contains the rest of the graph.
            reason = shortened(error, lines=1).partition("[Caused by the value")[0].strip()
            kind = type(network).__name__
            raise ArtifactError(f"{kind} can't be exported to ONNX: {reason}") from error


@contextmanager
def _only_images(network: nn.Module) -> Iterator[None]:
    """Hide further arguments of `forward`: the exporter would pass their defaults as tensors."""
    forward = network.forward
    network.forward = lambda images: forward(images)
    try:
        yield
    finally:
        del network.forward


@contextmanager
def _without_printed_graph() -> Iterator[None]:
    """Stop the exporter's C++ code from printing the whole graph after a failure.

    `verbose=False` should do this. But torch 2.15 has a fault: it does not call the function that
    reports whether the log is on; it tests the function object, which is always true, and so turns
    the log on. Redirecting the file descriptor is no solution, since that also hides the output of
    other threads, such as the live display of a search.
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
