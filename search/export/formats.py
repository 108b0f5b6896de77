"""The forms of an exported student besides its measured file, by the names people use.

Nothing heavy is imported here: the command's help needs these names.
"""

from enum import StrEnum


class ExportFormat(StrEnum):
    """A further form of the student, written beside the measured file on request."""

    FLOAT32 = "float32"
    FP16 = "fp16"
    UINT8 = "uint8"
    PT2 = "pt2"
    OPENVINO = "openvino"
    TFLITE = "tflite"

    @property
    def file(self) -> str:
        """Its path in the exported folder."""
        return _FILES[self]

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file."""
        return self.file.endswith(".onnx")


_FILES = {
    ExportFormat.FLOAT32: "model.float32.onnx",
    ExportFormat.FP16: "model.fp16.onnx",
    ExportFormat.UINT8: "model.uint8.onnx",
    ExportFormat.PT2: "model.pt2",
    ExportFormat.OPENVINO: "model.openvino.xml",
    ExportFormat.TFLITE: "model.tflite",
}
