"""The formats that an exported student can have besides its measured file.

This module imports only the standard library, since the command's help needs these names.
"""

from enum import StrEnum


class ExportFormat(StrEnum):
    """A further format of the student, written on request in addition to the measured file."""

    FLOAT32 = "float32"
    FP16 = "fp16"
    UINT8 = "uint8"
    PT2 = "pt2"
    OPENVINO = "openvino"
    TFLITE = "tflite"

    @property
    def file(self) -> str:
        """The name of its file in the exported folder."""
        return _FILES[self]

    @property
    def is_onnx(self) -> bool:
        """Whether its file is an ONNX file."""
        return self.file.endswith(".onnx")


_FILES = {
    ExportFormat.FLOAT32: "model.float32.onnx",
    ExportFormat.FP16: "model.fp16.onnx",
    ExportFormat.UINT8: "model.uint8.onnx",
    ExportFormat.PT2: "model.pt2",
    ExportFormat.OPENVINO: "model.openvino.xml",
    ExportFormat.TFLITE: "model.tflite",
}
