"""Writers of a student in the further formats, with the converters of each format's project."""

import contextlib
import importlib
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
import torch
from torch import nn

from search.data.dataset import DataInfo
from search.errors import BadInput, RetortError, shortened
from search.evaluation.artifact import Provenance
from search.evaluation.onnx_metadata import described
from search.export.formats import ExportFormat
from search.export.pixels import bake
from search.files.disk import disk_fault, scratch
from search.targets.onnx_export import export_onnx
from search.targets.onnx_slimming import slim
from search.targets.registry import runtime_of_file
from spaces.quantization.float16 import Float16


@dataclass(frozen=True, kw_only=True)
class WriterSource:
    """What a format is written from.

    Attributes:
        folder: contains the measured file.
        network: the float32 network, in evaluation mode.
        provenance: the student's provenance.
    """

    folder: Path
    network: nn.Module
    provenance: Provenance

    @property
    def data(self) -> DataInfo:
        """The data that the student was trained on."""
        return self.provenance.data

    @property
    def measured(self) -> Path:
        """The measured file."""
        return self.folder / self.provenance.served_by.file

    @property
    def measured_onnx(self) -> Path:
        """The measured file, if it is an ONNX file.

        Raises:
            BadInput: its runtime serves files of another format.
        """
        if self.measured.suffix != ".onnx":
            raise BadInput(
                f"the measured file must be an ONNX file for this format, but is "
                f"{self.measured.name}: leave this format out"
            )
        return self.measured

    def float_onnx(self, destination: Path) -> None:
        shape = (self.data.channels, self.data.image_size, self.data.image_size)
        export_onnx(self.network, destination, image_shape=shape)


def write_formats(source: WriterSource, formats: Collection[ExportFormat], folder: Path) -> None:
    """Write the student into `folder` in each format.

    Raises:
        BadInput: a format can't represent this student, or its converter is not installed; the
            message gives the reason.
    """
    for export_format in formats:
        destination = folder / export_format.file
        try:
            _WRITERS[export_format](source, destination)
        except OSError:
            raise  # such as a full disk, which is not the format's fault
        except RetortError as error:
            raise BadInput(f"--format {export_format}: {error}") from error
        # The errors of the converters (torch, MLIR, OpenVINO) have no common base class. Each
        # means that the conversion is impossible.
        except Exception as error:
            if fault := disk_fault(error, folder):
                raise fault from error
            raise BadInput(
                f"--format {export_format} can't represent this student: {type(error).__name__}: "
                f"{shortened(error)}"
            ) from error
        if export_format.is_onnx:
            slim(destination)
        if export_format.is_onnx and export_format is not ExportFormat.UINT8:
            runtime_of_file(destination).annotate(destination, described(source.data))


def _write_float32(source: WriterSource, destination: Path) -> None:
    measured = source.measured
    if source.provenance.is_float and measured.suffix == destination.suffix:
        raise BadInput(f"{measured.name} is float32 already: leave this format out")
    source.float_onnx(destination)


def _write_fp16(source: WriterSource, destination: Path) -> None:
    with scratch() as workspace:
        source.float_onnx(workspace / "float.onnx")
        Float16().convert(workspace / "float.onnx", destination, calibration=())


def _write_uint8(source: WriterSource, destination: Path) -> None:
    bake(source.measured_onnx, destination, source.data)


def _write_pt2(source: WriterSource, destination: Path) -> None:
    data = source.data
    example = torch.zeros(2, data.channels, data.image_size, data.image_size)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(source.network, (example,), dynamic_shapes=({0: batch},))
        torch.export.save(program, destination)


def _write_openvino(source: WriterSource, destination: Path) -> None:
    openvino = _converter("openvino")
    frontend = importlib.import_module("openvino.frontend")
    with scratch() as workspace:
        # OpenVINO can't read functions that a file defines, such as those that unpack weights.
        plain = workspace / "plain.onnx"
        onnx.save(onnx.inliner.inline_local_functions(onnx.load(source.measured_onnx)), plain)
        try:
            model = openvino.convert_model(plain)
        except (frontend.GeneralFailure, frontend.OpConversionFailure) as error:
            # The last line is the reason; the lines before it name places in OpenVINO's source.
            reason = str(error).strip().splitlines()[-1].removeprefix("-- ")
            raise BadInput(f"OpenVINO can't represent this student: {reason}") from error
        openvino.save_model(model, destination, compress_to_fp16=False)


def _write_tflite(source: WriterSource, destination: Path) -> None:
    litert = _converter("litert_torch")
    data = source.data
    example = torch.zeros(1, data.channels, data.image_size, data.image_size)
    with contextlib.redirect_stdout(sys.stderr):  # stdout may be read as JSON
        litert.convert(source.network, (example,)).export(str(destination))


def _converter(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput(f"{_MISSING[module]} ({error})") from error


_MISSING = {
    "openvino": "needs OpenVINO's converter: pip install -e '.[openvino]'",
    "litert_torch": (
        "needs litert-torch, whose release 0.10 requires torch below 2.15, while retort requires "
        "2.15: docs/export.md has a command that installs both"
    ),
}

_WRITERS: Mapping[ExportFormat, Callable[[WriterSource, Path], None]] = {
    ExportFormat.FLOAT32: _write_float32,
    ExportFormat.FP16: _write_fp16,
    ExportFormat.UINT8: _write_uint8,
    ExportFormat.PT2: _write_pt2,
    ExportFormat.OPENVINO: _write_openvino,
    ExportFormat.TFLITE: _write_tflite,
}
